"""The residual network with the refinements of He et al. 2019, as PTB-XL's benchmark uses it."""

from __future__ import annotations

from typing import Any

import keras

from models_training.blocks import convolution, join, norm_relu, pointwise
from models_training.settings import ArchitectureSettings

EXPANSION = 4


def xresnet1d(x: Any, settings: ArchitectureSettings) -> Any:
    """Add the network of Strodthoff et al. 2021 (doi 10.1109/JBHI.2020.3022989).

    Refinements of He et al. 2019 (arXiv:1812.01187): three convolutions as stem, stride in the
    middle convolution of a block, mean over two values in the shortcut before its 1x1. As in the
    benchmark, every stage has the same number of channels, and mean and maximum over time are
    both kept. Blocks 3-4-6-3 are its xresnet1d50, 3-4-23-3 its xresnet1d101.

    Returns
    -------
    tensor of shape (batch, 2 * 4 * width)
        The pooled features, ``pooled``; blocks end in ``conv2_block1_out`` ...
        ``conv5_block3_out``.
    """
    width, length, stride = settings.width, settings.stem_kernel_samples, settings.stem_stride
    for number, filters in enumerate((max(width // 2, 1), max(width // 2, 1), width), start=1):
        name = f"conv1_{number}"
        x = norm_relu(convolution(x, filters, length, name, stride=stride), name)
        stride = 1
    x = keras.layers.MaxPooling1D(3, strides=2, padding="same", name="pool1_pool")(x)
    for stage, n_blocks in enumerate(settings.stage_blocks):
        for block in range(n_blocks):
            stride = 2 if stage > 0 and block == 0 else 1
            name = f"conv{stage + 2}_block{block + 1}"
            x = _block(x, width, settings.kernel_samples, name, stride)
    mean = keras.layers.GlobalAveragePooling1D(name="avg_pool")(x)
    highest = keras.layers.GlobalMaxPooling1D(name="max_pool")(x)
    return keras.layers.Concatenate(name="pooled")([mean, highest])


def _block(x: Any, filters: int, kernel_samples: int, name: str, stride: int) -> Any:
    """Add one bottleneck block; it starts as its shortcut."""
    shortcut = x
    if stride > 1:
        shortcut = keras.layers.AveragePooling1D(
            2, strides=2, padding="same", name=f"{name}_0_pool"
        )(shortcut)
    if shortcut.shape[-1] != filters * EXPANSION:
        shortcut = pointwise(shortcut, filters * EXPANSION, f"{name}_0")
    y = pointwise(x, filters, f"{name}_1")
    y = keras.layers.Activation("relu", name=f"{name}_1_relu")(y)
    y = convolution(y, filters, kernel_samples, f"{name}_2", stride=stride)
    y = norm_relu(y, f"{name}_2")
    y = pointwise(y, filters * EXPANSION, f"{name}_3", gamma_initializer="zeros")
    return join(shortcut, y, name)
