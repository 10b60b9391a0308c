# Keras types its back-end tensors as optional.
# pyright: reportOptionalOperand=false, reportOperatorIssue=false
# pyright: reportOptionalMemberAccess=false, reportAttributeAccessIssue=false
"""AdamW in few pieces: the same numbers as Keras' own, a third of the graph."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

# A kernel this large is updated alone: one vector of 16 million weights is written to memory after
# each operation (0.47 s a step on one core), pieces that fit the cache are not (0.08 s).
_LARGE = 2**15


@keras.saving.register_keras_serializable("ecg_risk")
class FlatAdamW(keras.optimizers.Optimizer):
    r"""AdamW on the small weights joined to one vector, and on each large kernel.

    A ResNet-50 has 161 small weights, and Keras writes some twenty operations for each: half the
    time of tracing, and with narrow networks a fifth of every step. Here they are joined,
    updated once, and split again; kernels of 32,768 weights and more are updated as they are:

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
        self.rates = self.add_variable((len(variables),), initializer="ones", name="rates")
        sizes = [math.prod(variable.shape) for variable in variables]
        small = [index for index, size in enumerate(sizes) if size < _LARGE]
        large = [[index] for index, size in enumerate(sizes) if size >= _LARGE]
        self.groups = [group for group in (small, *large) if group]
        self.owners = [np.repeat(group, [sizes[index] for index in group]) for group in self.groups]
        self.momenta, self.velocities, self.is_decayed = [], [], []
        for number, group in enumerate(self.groups):
            shape = (sum(sizes[index] for index in group),)
            self.momenta.append(self.add_variable(shape, name=f"momentum_{number}"))
            self.velocities.append(self.add_variable(shape, name=f"velocity_{number}"))
            decayed = [np.full(sizes[k], len(variables[k].shape) > 1, np.float32) for k in group]
            self.is_decayed.append(np.concatenate(decayed) if len(group) > 1 else decayed[0][0])

    def set_rates(self, rates: Sequence[float]) -> None:
        """Scale the steps of each weight array; 0 freezes it, decay included.

        Parameters
        ----------
        rates : sequence of float, one for each of the variables of `build`
        """
        self.rates.assign(np.asarray(rates, "float32"))

    def apply(self, grads: Sequence[Any], trainable_variables: Sequence[Any] | None = None) -> Any:
        """Update the weights; called by ``fit`` on every back end."""
        if trainable_variables is not None:
            self.build(trainable_variables)
        variables = self._trainable_variables
        step = ops.cast(self.iterations + 1, "float32")
        rates = ops.cast(self.learning_rate, "float32") * self.rates
        correction = ops.sqrt(1 - self.beta_2**step) / (1 - self.beta_1**step)
        for number, group in enumerate(self.groups):
            pairs = [(grads[index], variables[index]) for index in group]
            gradient = _join([ops.zeros_like(v) if g is None else g for g, v in pairs])
            weights = _join([ops.convert_to_tensor(variable) for _, variable in pairs])
            momentum, velocity = self.momenta[number], self.velocities[number]
            momentum.assign(self.beta_1 * momentum + (1 - self.beta_1) * gradient)
            velocity.assign(self.beta_2 * velocity + (1 - self.beta_2) * ops.square(gradient))
            rate = ops.take(rates, self.owners[number]) if len(group) > 1 else rates[group[0]]
            change = momentum / (ops.sqrt(velocity) + self.epsilon)
            kept = 1 - rate * self.decay * self.is_decayed[number]
            weights = kept * weights - (rate * correction) * change
            ends = np.cumsum([math.prod(variable.shape) for _, variable in pairs])[:-1].tolist()
            pieces = ops.split(weights, ends) if ends else [weights]
            for (_, variable), piece in zip(pairs, pieces, strict=True):
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
    flat = [ops.reshape(ops.cast(tensor, "float32"), (-1,)) for tensor in tensors]
    return ops.concatenate(flat) if len(flat) > 1 else flat[0]
