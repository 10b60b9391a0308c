"""The residual network with long kernels of Ribeiro et al. 2020, for ECGs of any length."""

from __future__ import annotations

import math
from typing import Any

import keras

from models_training.blocks import convolution, mean_over_time, norm_relu
from models_training.settings import ArchitectureSettings

# Channels of the four stages over those of the first convolution: 128, 196, 256, 320 over 64.
GROWTH = (2.0, 3.0625, 4.0, 5.0)
DROPOUT = 0.2
LEAST_VALUES = 16
ENCODER_SAMPLES = 1000  # ten seconds at 100 Hz


def wide_resnet(x: Any, settings: ArchitectureSettings) -> Any:
    """Add the network of Ribeiro et al. 2020 (doi 10.1038/s41467-020-15432-4).

    Kernels of 16 samples; the shortcut shortens by max-pooling and skips normalisation and ReLU
    of the joined sum. Two changes make it fit any length and rate: stages shorten by as much as
    leaves about 16 values at the end (4 each for the published 4,096 samples), and the last layer
    sees the mean over time instead of every value. An encoder, for ECGs of any length, shortens as
    for 1,000 samples.

    Returns
    -------
    tensor of shape (batch, 5 * width)
        The pooled features; blocks end in ``conv2_block1_out`` ... ``conv5_block1_out``.
    """
    length, stride = settings.stem_kernel_samples, settings.stem_stride
    x = norm_relu(convolution(x, settings.width, length, "conv1", stride=stride), "conv1")
    shortcut, n_samples = x, x.shape[1] or ENCODER_SAMPLES // stride
    strides = stage_strides(n_samples, len(settings.stage_blocks))
    for stage, n_blocks in enumerate(settings.stage_blocks):
        filters = round(settings.width * GROWTH[stage])
        for block in range(n_blocks):
            name = f"conv{stage + 2}_block{block + 1}"
            stride = strides[stage] if block == 0 else 1
            shortcut, x = _unit(shortcut, x, filters, name, settings.kernel_samples, stride)
    return mean_over_time(x)


def stage_strides(n_samples: int, n_stages: int) -> list[int]:
    """Return by how much each stage shortens: powers of two, at most 4, about 16 values left.

    Examples
    --------
    >>> stage_strides(4096, 4), stage_strides(1000, 4)
    ([4, 4, 4, 4], [4, 4, 2, 2])
    """
    n_halvings = round(math.log2(max(n_samples / LEAST_VALUES, 1)))
    n_halvings = min(n_halvings, 2 * n_stages)
    return [2 ** (n_halvings // n_stages + (stage < n_halvings % n_stages))
            for stage in range(n_stages)]  # fmt: skip


def _unit(
    shortcut: Any, x: Any, filters: int, name: str, kernel_samples: int, stride: int
) -> tuple[Any, Any]:
    """Add one unit; return the sum before its normalisation (the next shortcut) and after."""
    if stride > 1:
        shortcut = keras.layers.MaxPooling1D(
            stride, strides=stride, padding="same", name=f"{name}_0_pool"
        )(shortcut)
    if shortcut.shape[-1] != filters:
        shortcut = keras.layers.Dense(filters, use_bias=False, name=f"{name}_0_conv")(shortcut)
    x = norm_relu(convolution(x, filters, kernel_samples, f"{name}_1"), f"{name}_1")
    x = keras.layers.Dropout(DROPOUT, name=f"{name}_1_dropout")(x)
    x = convolution(x, filters, kernel_samples, f"{name}_2", stride=stride)
    both = keras.layers.Add(name=f"{name}_add")([shortcut, x])
    x = norm_relu(both, name, "out")
    return both, keras.layers.Dropout(DROPOUT, name=f"{name}_dropout")(x)
