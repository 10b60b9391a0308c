"""Residual networks in one dimension, with the layer names of Keras' own."""

from __future__ import annotations

from typing import Any

import keras

from models_training.layers import BatchNormalization, Conv1D
from models_training.settings import ArchitectureSettings

EXPANSION = 4
# The default of 0.99 needs hundreds of steps; small cohorts have tens.
BATCH_NORM_MOMENTUM = 0.9


def resnet50(x: Any, settings: ArchitectureSettings) -> Any:
    """Add the bottleneck network of He et al. 2016 (doi 10.1109/CVPR.2016.90) with Keras' names.

    Returns
    -------
    tensor of shape (batch, 8 * 4 * width)
        The pooled features; blocks end in ``conv2_block1_out`` ... ``conv5_block3_out``.
    """
    x = keras.layers.Conv1D(
        settings.width,
        settings.stem_kernel_samples,
        strides=settings.stem_stride,
        padding="same",
        use_bias=False,
        name="conv1_conv",
    )(x)
    x = _norm_relu(x, "conv1")
    x = keras.layers.MaxPooling1D(3, strides=2, padding="same", name="pool1_pool")(x)
    for stage, n_blocks in enumerate(settings.stage_blocks):
        filters = settings.width * 2**stage
        for block in range(n_blocks):
            halves = stage > 0 and block == 0
            name = f"conv{stage + 2}_block{block + 1}"
            x = _bottleneck(x, filters, name, settings, is_first=block == 0, halves=halves)
    return keras.layers.GlobalAveragePooling1D(name="avg_pool")(x)


def _bottleneck(
    x: Any,
    filters: int,
    name: str,
    settings: ArchitectureSettings,
    *,
    is_first: bool,
    halves: bool,
) -> Any:
    """Add one bottleneck block: 1x1, k x 1, 1x1, and the shortcut.

    The 1x1 convolutions are dense layers over the channels: the same operation, as one matrix
    product, which is faster on processors.
    """
    if halves:
        x = keras.layers.AveragePooling1D(1, strides=2, name=f"{name}_subsample")(x)
    shortcut = x
    if is_first:
        shortcut = _pointwise(x, filters * EXPANSION, f"{name}_0")
    y = _pointwise(x, filters, f"{name}_1")
    y = keras.layers.Activation("relu", name=f"{name}_1_relu")(y)
    y = Conv1D(
        filters, settings.kernel_samples, padding="same", use_bias=False, name=f"{name}_2_conv"
    )(y)
    y = _norm_relu(y, f"{name}_2")
    # Starting as its shortcut, a block cannot drown the signal: without this, 16 blocks learn
    # nothing from a few hundred ECGs (Goyal et al. 2017, arXiv:1706.02677).
    y = _pointwise(y, filters * EXPANSION, f"{name}_3", gamma_initializer="zeros")
    y = keras.layers.Add(name=f"{name}_add")([shortcut, y])
    return keras.layers.Activation("relu", name=f"{name}_out")(y)


def _pointwise(x: Any, filters: int, name: str, gamma_initializer: str = "ones") -> Any:
    x = keras.layers.Dense(filters, use_bias=False, name=f"{name}_conv")(x)
    return BatchNormalization(
        momentum=BATCH_NORM_MOMENTUM, gamma_initializer=gamma_initializer, name=f"{name}_bn"
    )(x)


def _norm_relu(x: Any, name: str) -> Any:
    x = BatchNormalization(momentum=BATCH_NORM_MOMENTUM, name=f"{name}_bn")(x)
    return keras.layers.Activation("relu", name=f"{name}_relu")(x)
