"""Residual networks in one dimension, with the layer names of Keras' own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras

from models_training.blocks import (
    batch_norm,
    convolution,
    join,
    mean_over_time,
    norm_relu,
    pointwise,
)
from models_training.settings import ArchitectureSettings

EXPANSION = 4


def resnet50(x: Any, settings: ArchitectureSettings) -> Any:
    """Add the bottleneck network of He et al. 2016 (doi 10.1109/CVPR.2016.90) with Keras' names.

    Returns
    -------
    tensor of shape (batch, 8 * 4 * width)
        The pooled features; blocks end in ``conv2_block1_out`` ... ``conv5_block3_out``.
    """
    return _resnet(x, settings, _bottleneck)


def resnet(x: Any, settings: ArchitectureSettings) -> Any:
    """Add ResNet-18 or -34 (same source): blocks of two convolutions.

    Returns
    -------
    tensor of shape (batch, 8 * width)
        The pooled features; blocks end in ``conv2_block1_out`` ... ``conv5_block2_out``.
    """
    return _resnet(x, settings, _basic)


def _resnet(x: Any, settings: ArchitectureSettings, add_block: Callable[..., Any]) -> Any:
    """Add stem, stages and pooling."""
    length, stride = settings.stem_kernel_samples, settings.stem_stride
    x = norm_relu(convolution(x, settings.width, length, "conv1", stride=stride), "conv1")
    x = keras.layers.MaxPooling1D(3, strides=2, padding="same", name="pool1_pool")(x)
    for stage, n_blocks in enumerate(settings.stage_blocks):
        filters = settings.width * 2**stage
        for block in range(n_blocks):
            halves = stage > 0 and block == 0
            name = f"conv{stage + 2}_block{block + 1}"
            x = add_block(x, filters, name, settings, is_first=block == 0, halves=halves)
    return mean_over_time(x)


def _bottleneck(
    x: Any,
    filters: int,
    name: str,
    settings: ArchitectureSettings,
    *,
    is_first: bool,
    halves: bool,
) -> Any:
    """Add one bottleneck block: 1x1, k x 1, 1x1, and the shortcut."""
    if halves:
        x = keras.layers.AveragePooling1D(1, strides=2, name=f"{name}_subsample")(x)
    shortcut = x
    if is_first:
        shortcut = pointwise(x, filters * EXPANSION, f"{name}_0")
    y = pointwise(x, filters, f"{name}_1")
    y = keras.layers.Activation("relu", name=f"{name}_1_relu")(y)
    y = norm_relu(convolution(y, filters, settings.kernel_samples, f"{name}_2"), f"{name}_2")
    # Starting as its shortcut, a block cannot drown the signal: without this, 16 blocks learn
    # nothing from a few hundred ECGs (Goyal et al. 2017, arXiv:1706.02677).
    y = pointwise(y, filters * EXPANSION, f"{name}_3", gamma_initializer="zeros")
    return join(shortcut, y, name)


def _basic(
    x: Any,
    filters: int,
    name: str,
    settings: ArchitectureSettings,
    *,
    is_first: bool,
    halves: bool,
) -> Any:
    """Add one block of two convolutions and the shortcut, a 1x1 where the size changes."""
    stride = 2 if halves else 1
    shortcut = x
    if halves:
        shortcut = keras.layers.AveragePooling1D(1, strides=2, name=f"{name}_subsample")(x)
    if is_first and x.shape[-1] != filters:
        shortcut = pointwise(shortcut, filters, f"{name}_0")
    length = settings.kernel_samples
    y = norm_relu(convolution(x, filters, length, f"{name}_1", stride=stride), f"{name}_1")
    y = convolution(y, filters, length, f"{name}_2")
    return join(shortcut, batch_norm(y, f"{name}_2", gamma_initializer="zeros"), name)
