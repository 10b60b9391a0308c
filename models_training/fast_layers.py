# Keras types its back-end tensors as optional.
# pyright: reportOptionalOperand=false, reportOperatorIssue=false
# pyright: reportOptionalSubscript=false, reportOptionalMemberAccess=false
"""Keras' own layers in forms that train faster on processors; outside training they are Keras'."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


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


def must_compile(run_eagerly: bool) -> bool:
    """Return Keras' ``jit_compile``: JAX compiles no step without; XLA slows TensorFlow's."""
    return keras.backend.backend() == "jax" and not run_eagerly
