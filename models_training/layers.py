"""Layers that Keras does not have: scaling by training rows or by the record, lead amplitudes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from models_training.fast_layers import BatchNormalization, Conv1D
from models_training.output_layers import ColumnsOutput, HazardOutput
from models_training.random_kernels import RandomKernels

MIN_SD_MV = 0.01  # a lead that moves less is flat


@keras.saving.register_keras_serializable(package="ecg_risk")
class TrainingScale(keras.layers.Layer):
    """Standardise with means and scales of the training rows; a missing value (NaN) becomes 0.

    A missing covariate is thus replaced by the training mean, and so is any value of a column that
    is constant in the training rows (scale 0): nothing was learnt of it. The statistics are
    weights, so they are saved with the network; ``set_statistics`` writes them. Always in float32.
    """

    def __init__(self, *, name: str | None = None, **options: Any) -> None:
        super().__init__(name=name, **{**options, "dtype": "float32"})

    def get_config(self) -> dict[str, Any]:
        """Return what rebuilds the layer; its name is part of the network's contract."""
        return {"name": self.name, "trainable": self.trainable}

    def build(self, input_shape: Sequence[int | None]) -> None:
        """Create one mean and one scale a column."""
        shape = (input_shape[-1],)
        self.mean = self.add_weight(shape=shape, initializer="zeros", trainable=False, name="mean")
        self.scale = self.add_weight(shape=shape, initializer="ones", trainable=False, name="scale")
        super().build(input_shape)

    def call(self, inputs: Any) -> Any:
        """Return (inputs - mean) / scale, 0 where missing or where the scale is 0."""
        is_missing = ops.isnan(inputs)
        # The mean is put in before any arithmetic: a NaN behind `where` still spoils gradients.
        # JAX's `where` does not take a variable while the graph is built.
        known = ops.where(is_missing, ops.convert_to_tensor(self.mean), inputs)
        scale = ops.convert_to_tensor(self.scale)
        varies = ops.greater(scale, 0)
        scaled = ops.divide(known - self.mean, ops.where(varies, scale, 1.0))
        return ops.multiply(scaled, ops.cast(varies, "float32"))

    def set_statistics(self, mean: Any, scale: Any) -> None:
        """Write the statistics, shape (n_columns,); a scale of 0 is that of a constant column."""
        self.mean.assign(mean)
        self.scale.assign(scale)


@keras.saving.register_keras_serializable(package="ecg_risk")
class RecordScale(keras.layers.Layer):
    """Standardise each lead of each ECG by its own mean and SD over time, in float32.

    A lead with an SD below 0.01 mV is divided by that instead, so a flat one becomes 0; a missing
    sample (NaN) counts as the lead's mean.
    """

    def __init__(self, *, name: str | None = None, **options: Any) -> None:
        super().__init__(name=name, **{**options, "dtype": "float32"})

    def get_config(self) -> dict[str, Any]:
        """Return what rebuilds the layer."""
        return {"name": self.name, "trainable": self.trainable}

    def call(self, inputs: Any) -> Any:
        """Return (inputs - mean) / SD of the lead, shape (batch, n_samples, n_leads)."""
        centred, variance = _moments(inputs)
        return centred / ops.sqrt(ops.maximum(variance, MIN_SD_MV**2))


@keras.saving.register_keras_serializable(package="ecg_risk")
class LeadAmplitude(keras.layers.Layer):
    """Return the natural logarithm of each lead's SD over time in mV, at least log 0.01."""

    def __init__(self, *, name: str | None = None, **options: Any) -> None:
        super().__init__(name=name, **{**options, "dtype": "float32"})

    def get_config(self) -> dict[str, Any]:
        """Return what rebuilds the layer."""
        return {"name": self.name, "trainable": self.trainable}

    def call(self, inputs: Any) -> Any:
        """Return the logarithms, shape (batch, n_leads)."""
        _, variance = _moments(inputs)
        return ops.log(ops.sqrt(ops.maximum(variance[:, 0], MIN_SD_MV**2)))


def _moments(ecg: Any) -> tuple[Any, Any]:
    """Return the ECG less its leads' means, NaN as 0, and the variance, (batch, 1, n_leads)."""
    is_known = ops.logical_not(ops.isnan(ecg))
    n_known = ops.maximum(ops.sum(ops.cast(is_known, "float32"), axis=1, keepdims=True), 1.0)
    # Zeros are put in before any arithmetic: a NaN behind `where` still spoils gradients.
    known = ops.where(is_known, ecg, 0.0)
    mean = ops.divide(ops.sum(known, axis=1, keepdims=True), n_known)
    centred = ops.where(is_known, ops.subtract(known, mean), 0.0)
    return centred, ops.divide(ops.sum(ops.square(centred), axis=1, keepdims=True), n_known)


_LAYERS = (TrainingScale, BatchNormalization, RecordScale, LeadAmplitude, RandomKernels)
_LAYERS += (Conv1D, ColumnsOutput, HazardOutput)
CUSTOM_OBJECTS: dict[str, type[keras.layers.Layer]] = {layer.__name__: layer for layer in _LAYERS}
