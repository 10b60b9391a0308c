# Keras types its back-end tensors as optional.
# pyright: reportOptionalOperand=false, reportOperatorIssue=false
# pyright: reportOptionalMemberAccess=false, reportAttributeAccessIssue=false
"""AdamW in one piece: the same numbers as Keras' own, a third of the graph."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops


@keras.saving.register_keras_serializable("ecg_risk")
class FlatAdamW(keras.optimizers.Optimizer):
    r"""AdamW on all weights joined to one vector.

    A ResNet-50 has 161 small weights, and Keras writes some twenty operations for each: half the
    time of tracing, and with narrow networks a fifth of every step. Here they are joined,
    updated once, and split again:

    .. math:: w \leftarrow (1 - \eta\lambda) w - \eta \sqrt{1-\beta_2^t} / (1-\beta_1^t) \cdot
              m / (\sqrt v + \epsilon)

    with :math:`\lambda` for kernels only: batch-norm gains, shifts and biases are not decayed.
    Each weight's step may be scaled, see `set_rates`: one compiled graph serves every choice of
    frozen layers.
    Not accepted: ``tf.distribute`` strategies (gradients are not reduced here), gradient
    clipping, accumulation and moving averages of weights.

    Parameters
    ----------
    learning_rate, weight_decay, beta_1, beta_2, epsilon : float

    References
    ----------
    Loshchilov and Hutter 2019, arXiv:1711.05101.
    """

    def __init__(
        self,
        learning_rate: float = 1e-3,
        *,
        weight_decay: float = 0.01,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        name: str = "flat_adamw",
    ) -> None:
        super().__init__(learning_rate=learning_rate, name=name)
        # not `self.weight_decay`: with that set, Keras would decay every weight itself
        self.decay = weight_decay
        self.beta_1, self.beta_2, self.epsilon = beta_1, beta_2, epsilon

    def build(self, variables: Sequence[Any]) -> None:
        """Create the two moment vectors for `variables`."""
        if self.built:
            return
        super().build(variables)
        self.sizes = [math.prod(variable.shape) for variable in variables]
        shape = (sum(self.sizes),)
        self.momentum = self.add_variable(shape, name="momentum")
        self.velocity = self.add_variable(shape, name="velocity")
        self.rates = self.add_variable(shape, initializer="ones", name="rates")
        decayed = [
            np.full(size, float(len(variable.shape) > 1), np.float32)
            for size, variable in zip(self.sizes, variables, strict=True)
        ]
        self.is_decayed = np.concatenate(decayed)

    def set_rates(self, rates: Sequence[float]) -> None:
        """Scale the steps of each weight array; 0 freezes it, decay included.

        Parameters
        ----------
        rates : sequence of float, one for each of the variables of `build`
        """
        self.rates.assign(np.repeat(np.asarray(rates, "float32"), self.sizes))

    def apply(self, grads: Sequence[Any], trainable_variables: Sequence[Any] | None = None) -> Any:
        """Update the weights; called by ``fit`` on every back end."""
        if trainable_variables is not None:
            self.build(trainable_variables)
        variables = self._trainable_variables
        gradient = _join(
            [
                ops.zeros_like(variable) if gradient is None else gradient
                for gradient, variable in zip(grads, variables, strict=True)
            ]
        )
        step = ops.cast(self.iterations + 1, "float32")
        rate = ops.cast(self.learning_rate, "float32")
        momentum = self.beta_1 * self.momentum + (1 - self.beta_1) * gradient
        velocity = self.beta_2 * self.velocity + (1 - self.beta_2) * ops.square(gradient)
        correction = ops.sqrt(1 - self.beta_2**step) / (1 - self.beta_1**step)
        change = correction * momentum / (ops.sqrt(velocity) + self.epsilon)
        weights = _join([ops.convert_to_tensor(variable) for variable in variables])
        change = change + self.decay * self.is_decayed * weights
        weights = weights - rate * self.rates * change
        self.momentum.assign(momentum)
        self.velocity.assign(velocity)
        pieces = ops.split(weights, np.cumsum(self.sizes)[:-1].tolist())
        for variable, piece in zip(variables, pieces, strict=True):
            variable.assign(ops.reshape(piece, variable.shape))
        self.iterations.assign_add(1)
        return self.iterations

    def get_config(self) -> dict[str, Any]:
        """Return what rebuilds the optimizer."""
        return {
            "learning_rate": float(ops.convert_to_numpy(self.learning_rate)),
            "weight_decay": self.decay,
            "beta_1": self.beta_1,
            "beta_2": self.beta_2,
            "epsilon": self.epsilon,
            "name": self.name,
        }


def _join(tensors: Sequence[Any]) -> Any:
    return ops.concatenate([ops.reshape(ops.cast(tensor, "float32"), (-1,)) for tensor in tensors])
