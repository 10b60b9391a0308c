"""Pieces that the families of networks share; layer names follow Keras' own residual networks."""

from __future__ import annotations

from typing import Any

import keras

from models_training.fast_layers import BatchNormalization, Conv1D

# The default of 0.99 needs hundreds of steps; small cohorts have tens.
BATCH_NORM_MOMENTUM = 0.9


def convolution(x: Any, filters: int, kernel_samples: int, name: str, *, stride: int = 1) -> Any:
    """Add the convolution ``<name>_conv``, without bias, as long as its input over the stride."""
    return Conv1D(
        filters,
        kernel_samples,
        strides=stride,
        padding="same",
        use_bias=False,
        name=f"{name}_conv",
    )(x)


def batch_norm(x: Any, name: str, gamma_initializer: str = "ones") -> Any:
    """Add ``<name>_bn``."""
    return BatchNormalization(
        momentum=BATCH_NORM_MOMENTUM, gamma_initializer=gamma_initializer, name=f"{name}_bn"
    )(x)


def norm_relu(x: Any, name: str, relu: str = "relu") -> Any:
    """Add ``<name>_bn`` and ``<name>_relu`` (or another last word)."""
    return keras.layers.Activation("relu", name=f"{name}_{relu}")(batch_norm(x, name))


def pointwise(x: Any, filters: int, name: str, gamma_initializer: str = "ones") -> Any:
    """Add ``<name>_conv`` and ``<name>_bn``: a convolution of length 1.

    It is a dense layer over the channels: the same operation, as one matrix product, which is
    faster on processors.
    """
    x = keras.layers.Dense(filters, use_bias=False, name=f"{name}_conv")(x)
    return batch_norm(x, name, gamma_initializer)


def join(shortcut: Any, x: Any, name: str) -> Any:
    """Add ``<name>_add`` and the end of a block, ``<name>_out``."""
    x = keras.layers.Add(name=f"{name}_add")([shortcut, x])
    return keras.layers.Activation("relu", name=f"{name}_out")(x)


def mean_over_time(x: Any) -> Any:
    """Add ``avg_pool``."""
    return keras.layers.GlobalAveragePooling1D(name="avg_pool")(x)
