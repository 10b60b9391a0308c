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

    Whoever changes ``is_frozen`` has the training graph traced again. Under TensorFlow a training
    step takes its gradient in closed form: a third less time than by differentiating every
    operation.
    """

    is_frozen = False

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        """Normalise by the batch in training, by the moving statistics where frozen."""
        by_batch = bool(training) and not self.is_frozen
        is_plain = self.scale and self.center and self.axis in (-1, len(inputs.shape) - 1)
        if not (by_batch and self.trainable and is_plain and mask is None and _is_tensorflow()):
            return super().call(inputs, training=by_batch, mask=mask)
        flat = ops.reshape(ops.cast(inputs, "float32"), (-1, inputs.shape[-1]))
        weights = (weight * 1.0 for weight in (self.gamma, self.beta))  # values, not variables
        y, mean, variance = _normalised(flat, *weights, ops.convert_to_tensor(self.epsilon))
        kept = 1.0 - self.momentum
        self.moving_mean.assign(self.momentum * self.moving_mean + kept * mean)
        self.moving_variance.assign(self.momentum * self.moving_variance + kept * variance)
        return ops.cast(ops.reshape(y, ops.shape(inputs)), self.compute_dtype)


@ops.custom_gradient
def _normalised(x: Any, gamma: Any, beta: Any, epsilon: Any) -> Any:
    """Return gamma (x - mean) / sd + beta of the columns of a matrix, their mean and variance.

    Sums over rows are products with a row of ones, the quickest reduction there is here. No
    gradient passes through mean and variance as outputs: they go to the moving statistics only.
    """
    n = ops.cast(ops.shape(x)[0], "float32")
    ones = ops.ones((1, ops.shape(x)[0]))
    mean = ops.matmul(ones, x)[0] / n
    centred = x - mean
    variance = ops.matmul(ones, ops.square(centred))[0] / n
    inverse = ops.rsqrt(variance + epsilon)

    def gradient(upstream: Any, *_: Any) -> tuple[Any, ...]:
        of_beta = ops.matmul(ones, upstream)[0]
        of_gamma = ops.matmul(ones, upstream * centred)[0] * inverse
        slope = of_gamma * inverse / n
        of_x = (upstream - centred * slope - of_beta / n) * (gamma * inverse)
        return of_x, of_gamma, of_beta, ops.zeros_like(epsilon)

    return (centred * (gamma * inverse) + beta, mean, variance), gradient


# oneDNN's gradients of such wide convolutions take five times as long as their output
_WIDE = 512


@keras.saving.register_keras_serializable(package="ecg_risk")
class Conv1D(keras.layers.Conv1D):
    """Keras' own; a wide one is trained as one matrix product a tap, which halves its time."""

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """Return the convolution, shape (batch, time, filters)."""
        n_taps = self.kernel_size[0]
        is_plain = self.padding == "same" and n_taps % 2 == 1 and not self.use_bias
        is_plain &= self.strides == self.dilation_rate == (1,) and self.groups == 1
        is_wide = min(self.filters, inputs.shape[-1]) >= _WIDE and inputs.shape[1] is not None
        if not (training and is_plain and is_wide and _is_tensorflow()):
            return super().call(inputs)
        n_time, side = inputs.shape[1], n_taps // 2
        padded = ops.pad(inputs, ((0, 0), (side, side), (0, 0)))
        kernel = ops.concatenate([self.kernel[tap] for tap in range(n_taps)], axis=-1)
        every = ops.matmul(padded, kernel)  # each sample through each tap
        taps = ops.split(every, n_taps, axis=-1)
        parts = [part[:, tap : tap + n_time] for tap, part in enumerate(taps)]
        total = parts[0]
        for part in parts[1:]:
            total = total + part
        return total if self.activation is None else self.activation(total)


def _is_tensorflow() -> bool:
    return keras.backend.backend() == "tensorflow"


CUSTOM_OBJECTS = {"TrainingScale": TrainingScale, "BatchNormalization": BatchNormalization}
CUSTOM_OBJECTS["Conv1D"] = Conv1D
