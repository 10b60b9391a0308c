"""Layers of every network that Keras does not have; all are in `CUSTOM_OBJECTS`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="ecg_risk")
class TrainingScale(keras.layers.Layer):
    """Standardise with means and scales of the training rows; a missing value (NaN) becomes 0.

    A missing covariate is thus replaced by the training mean. The statistics are weights, so they
    are saved with the network; ``set_statistics`` writes them. Always in float32.
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
        """Return (inputs - mean) / scale, 0 where missing."""
        is_missing = ops.isnan(inputs)
        # The mean is put in before any arithmetic: a NaN behind `where` still spoils gradients.
        known = ops.where(is_missing, self.mean, inputs)
        return (known - self.mean) / self.scale

    def set_statistics(self, mean: Any, scale: Any) -> None:
        """Write the statistics, shape (n_columns,); a constant column is left unscaled."""
        self.mean.assign(mean)
        self.scale.assign(ops.where(ops.convert_to_tensor(scale) > 0, scale, 1.0))  # pyright: ignore[reportOperatorIssue]


@keras.saving.register_keras_serializable(package="ecg_risk")
class BatchNormalization(keras.layers.BatchNormalization):
    """Keras' own, whose statistics can be frozen while gain and shift stay trainable.

    Whoever changes ``is_frozen`` has the training graph traced again.
    """

    is_frozen = False

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        """Normalise by the batch in training, by the moving statistics where frozen."""
        return super().call(inputs, training=bool(training) and not self.is_frozen, mask=mask)


CUSTOM_OBJECTS = {"TrainingScale": TrainingScale, "BatchNormalization": BatchNormalization}
