# Keras types its back-end tensors as optional.
# pyright: reportOptionalOperand=false, reportOperatorIssue=false, reportOptionalSubscript=false
"""A network of several targets seen as a network of one, for whoever asks about that one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
from keras import ops

from models_training.ensemble import LOGIT, RISK, renamed_copy
from models_training.output_layers import CONTINUOUS, ColumnsOutput, interval_logits

EVERY_LOGIT = "every_logit"


@keras.saving.register_keras_serializable(package="ecg_risk")
class ColumnScore(keras.layers.Layer):
    """One column of the logits: the log odds of an outcome, or a number in standard deviations."""

    def __init__(self, column: int, *, name: str | None = None, **options: Any) -> None:
        super().__init__(name=name, **{**options, "dtype": "float32"})
        self.column = column

    def call(self, logits: Any) -> Any:
        """Return the column, (batch, 1)."""
        return logits[:, self.column : self.column + 1]

    def get_config(self) -> dict[str, Any]:
        """Return what rebuilds the layer."""
        return {"name": self.name, "column": self.column}


@keras.saving.register_keras_serializable(package="ecg_risk")
class HorizonScore(keras.layers.Layer):
    r"""Log odds of the cumulative incidence of the first cause at a horizon.

    .. math:: \log \frac{F_1(t_k)}{1 - F_1(t_k)}, \qquad
              1 - F_1(t_k) = S(t_k) + F_2(t_k)

    Both sums are made of logarithms, so that a risk near 0 or 1 keeps its gradient.

    Parameters
    ----------
    n_causes : int
        1, or 2 where another event competes.
    column : int
        Number of the horizon, from 0.
    """

    def __init__(
        self, n_causes: int, column: int, *, name: str | None = None, **options: Any
    ) -> None:
        super().__init__(name=name, **{**options, "dtype": "float32"})
        self.n_causes, self.column = n_causes, column

    def call(self, logits: Any) -> Any:
        """Return the log odds, (batch, 1)."""
        likely = ops.log_softmax(interval_logits(logits, self.n_causes), axis=-1)
        likely = likely[:, : self.column + 1]
        survived = ops.cumsum(likely[..., 0], axis=-1)
        before = ops.concatenate([ops.zeros_like(survived[:, :1]), survived[:, :-1]], axis=-1)
        events = likely[..., 1:] + ops.expand_dims(before, -1)
        neither = survived[:, -1:]
        if self.n_causes > 1:
            neither = ops.concatenate([neither, events[..., 1]], axis=-1)
        log_odds = ops.logsumexp(events[..., 0], axis=-1) - ops.logsumexp(neither, axis=-1)
        return ops.expand_dims(log_odds, -1)

    def get_config(self) -> dict[str, Any]:
        """Return what rebuilds the layer."""
        return {"name": self.name, "n_causes": self.n_causes, "column": self.column}


def one_target(network: keras.Model, head: Mapping[str, Any], column: int) -> keras.Model:
    """Return a network with one ``logit`` and one ``risk``: those of a single target.

    Parameters
    ----------
    network : keras.Model
        With layers ``logit`` and, as output, ``risk``.
    head : mapping
        ``head`` of its card, see `models_training.head_choice.head_from_config`.
    column : int
        Which target, from 0.

    Returns
    -------
    keras.Model
        `network` itself where it has one binary outcome. Else ``logit`` is the log odds of the
        outcome or of the cumulative risk at the horizon, or a number in standard deviations of the
        training patients; ``risk`` is the probability or the number in its unit. All other layers
        keep their names; the former ``logit`` is called ``every_logit``.
    """
    if head["kind"] == "binary":
        return network
    part = keras.Model(network.inputs, network.get_layer(LOGIT).output)
    inner = renamed_copy(part, lambda name: EVERY_LOGIT if name == LOGIT else name, part.inputs)
    if head["kind"] == "hazard":
        score: Any = HorizonScore(head["n_causes"], column, name=LOGIT)
    else:
        score = ColumnScore(column, name=LOGIT)
    is_number = head["kind"] == "columns" and head["kinds"][column] == CONTINUOUS
    if is_number:
        told: Any = ColumnsOutput([CONTINUOUS], name=RISK)
    else:
        told = keras.layers.Activation("sigmoid", name=RISK, dtype="float32")
    found = keras.Model(inner.inputs, told(score(inner.outputs[0])), name=network.name)
    take_weights(found, network, column)
    return found


def take_weights(found: keras.Model, network: keras.Model, column: int) -> None:
    """Give a network of `one_target` the present weights of the network it was made from."""
    if found is network:
        return
    own: Any = found.get_layer(RISK)
    for layer in network.layers:
        weights = layer.get_weights()
        if layer.name != RISK:
            name = EVERY_LOGIT if layer.name == LOGIT else layer.name
            found.get_layer(name).set_weights(weights)
        elif own.get_weights():  # mean and scale of a number
            own.set_weights([values[column : column + 1] for values in weights])
