# Keras types its back-end tensors as optional.
# pyright: reportOptionalOperand=false, reportOperatorIssue=false, reportOptionalSubscript=false
"""Output layers ``risk`` of the heads: from logits to what a reader is told."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

BINARY, CONTINUOUS = "binary", "continuous"


@keras.saving.register_keras_serializable(package="ecg_risk")
class ColumnsOutput(keras.layers.Layer):
    """Probabilities of binary columns, values of continuous ones in their own unit.

    Mean and scale of the training values are weights, so they are saved with the network.

    Parameters
    ----------
    kinds : sequence of str
        ``binary`` or ``continuous``, one for each column.
    """

    def __init__(self, kinds: Sequence[str], *, name: str | None = None, **options: Any) -> None:
        super().__init__(name=name, **{**options, "dtype": "float32"})
        self.kinds = list(kinds)

    def build(self, input_shape: Sequence[int | None]) -> None:
        """Create one mean and one scale a column."""
        shape = (len(self.kinds),)
        self.mean = self.add_weight(shape=shape, initializer="zeros", trainable=False, name="mean")
        self.scale = self.add_weight(shape=shape, initializer="ones", trainable=False, name="scale")
        super().build(input_shape)

    def call(self, logits: Any) -> Any:
        """Return probabilities and values, (batch, n_columns)."""
        is_binary = ops.convert_to_tensor([kind == BINARY for kind in self.kinds])
        return ops.where(is_binary, ops.sigmoid(logits), logits * self.scale + self.mean)

    def set_statistics(self, mean: Any, scale: Any) -> None:
        """Write the statistics of the training values, shape (n_columns,)."""
        self.mean.assign(mean)
        self.scale.assign(scale)

    def get_config(self) -> dict[str, Any]:
        """Return what rebuilds the layer."""
        return {"name": self.name, "kinds": self.kinds}


@keras.saving.register_keras_serializable(package="ecg_risk")
class HazardOutput(keras.layers.Layer):
    r"""Cumulative incidence of the first cause at the end of each interval.

    .. math:: F_1(t_k) = \sum_{j \le k} p_{1j} \prod_{i < j} p_{0i}

    with the conditional probabilities of the interval (no event, cause 1, cause 2) as softmax of
    (0, logits): it can only rise, and the incidences of the causes add up to 1 at most.

    Parameters
    ----------
    n_causes : int
        1, or 2 where another event competes.
    """

    def __init__(self, n_causes: int, *, name: str | None = None, **options: Any) -> None:
        super().__init__(name=name, **{**options, "dtype": "float32"})
        self.n_causes = n_causes

    def call(self, logits: Any) -> Any:
        """Return the incidences, (batch, n_intervals)."""
        probability = ops.softmax(interval_logits(logits, self.n_causes), axis=-1)
        survived = ops.cumprod(probability[..., 0], axis=-1)
        before = ops.concatenate([ops.ones_like(survived[:, :1]), survived[:, :-1]], axis=-1)
        return ops.cumsum(probability[..., 1] * before, axis=-1)

    def get_config(self) -> dict[str, Any]:
        """Return what rebuilds the layer."""
        return {"name": self.name, "n_causes": self.n_causes}


def interval_logits(logits: Any, n_causes: int) -> Any:
    """Return logits (batch, n_intervals * n_causes) as (batch, n_intervals, 1 + n_causes).

    The first of each interval is that of no event, and 0.
    """
    n_intervals = logits.shape[-1] // n_causes
    causes = ops.reshape(logits, (-1, n_intervals, n_causes))
    return ops.concatenate([ops.zeros_like(causes[..., :1]), causes], axis=-1)
