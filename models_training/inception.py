"""InceptionTime of Ismail Fawaz et al. 2020."""

from __future__ import annotations

from typing import Any

import keras

from models_training.blocks import batch_norm, join, mean_over_time, pointwise
from models_training.settings import ArchitectureSettings


def inception_time(x: Any, settings: ArchitectureSettings) -> Any:
    """Add one network of Ismail Fawaz et al. 2020 (doi 10.1007/s10618-020-00710-y).

    Modules of three convolutions (40, 20, 10 samples: `kernel_samples` and its half and quarter)
    after a 1x1 bottleneck, and a max-pooled path; a shortcut around the modules of each stage.
    The published classifier is the mean of five such networks that differ by their seed. A
    `stem_stride` above 1 first takes means over so many samples.

    Returns
    -------
    tensor of shape (batch, 4 * width)
        The pooled features; modules end in ``conv1_block1_out``, stages in ``conv1_out`` and
        ``conv2_out``.
    """
    if settings.stem_stride > 1:
        x = keras.layers.AveragePooling1D(settings.stem_stride, name="stem_pool")(x)
    for stage, n_blocks in enumerate(settings.stage_blocks, start=1):
        shortcut = pointwise(x, 4 * settings.width, f"conv{stage}_0")
        for block in range(1, n_blocks + 1):
            x = _module(x, settings.width, settings.kernel_samples, f"conv{stage}_block{block}")
        x = join(shortcut, x, f"conv{stage}")
    return mean_over_time(x)


def _module(x: Any, filters: int, kernel_samples: int, name: str) -> Any:
    """Add one inception module of 4 * filters channels."""
    narrow = keras.layers.Dense(filters, use_bias=False, name=f"{name}_0_conv")(x)
    paths = [
        keras.layers.Conv1D(
            filters,
            max(kernel_samples // 2**number, 1),
            padding="same",
            use_bias=False,
            name=f"{name}_{number + 1}_conv",
        )(narrow)
        for number in range(3)
    ]
    pooled = keras.layers.MaxPooling1D(3, strides=1, padding="same", name=f"{name}_pool")(x)
    paths.append(keras.layers.Dense(filters, use_bias=False, name=f"{name}_4_conv")(pooled))
    joined = keras.layers.Concatenate(name=f"{name}_concat")(paths)
    return keras.layers.Activation("relu", name=f"{name}_out")(batch_norm(joined, name))
