# Keras types its back-end tensors as optional.
# pyright: reportOptionalOperand=false, reportOperatorIssue=false
"""Several columns at once, each an outcome or a number; what is unknown costs nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from keras import ops
from scipy.special import expit
from sklearn.metrics import r2_score

from models_training.heads import Head, auroc, log_odds, masked_entropy
from models_training.output_layers import BINARY, CONTINUOUS, ColumnsOutput


class ColumnsHead(Head):
    r"""Several outcomes with missing labels, numbers (regression), or both.

    The loss of a record is the mean over the columns of the cross-entropy (binary) or of the
    squared error of the standardised value (continuous), an unknown one counting 0:

    .. math:: \frac{1}{C} \sum_{c\ \mathrm{known}} \ell_c(y_c, z_c)

    Parameters
    ----------
    kinds : sequence of str
        ``binary`` or ``continuous``, one for each column.
    huber_delta : float
        Standardised error from which the loss grows linearly, against outliers; 0: never.

    Raises
    ------
    ValueError
        For another kind, or no column.

    Examples
    --------
    >>> ColumnsHead(["binary", "continuous"]).n_outputs
    2
    """

    def __init__(self, kinds: Sequence[str], *, huber_delta: float = 0.0) -> None:
        unknown = sorted(set(kinds) - {BINARY, CONTINUOUS})
        if unknown or not kinds:
            got = ", ".join(unknown) or "no column"
            raise ValueError(
                f"kinds must be {BINARY} or {CONTINUOUS}, got {got}. Name the columns'."
            )
        self.kinds, self.huber_delta = list(kinds), huber_delta
        self.is_binary = np.array([kind == BINARY for kind in kinds])
        self.n_outputs = self.n_targets = len(kinds)
        self.metric = "auroc" if self.is_binary.any() else "r2"
        self.mean, self.scale = np.zeros(len(kinds), "float32"), np.ones(len(kinds), "float32")

    def fit(self, y_true: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Take mean and SD of the continuous columns; 0 and 1 of the binary ones."""
        known = np.ma.masked_invalid(y_true.astype("float64"))
        mean, scale = known.mean(axis=0).filled(0.0), known.std(axis=0).filled(0.0)
        self.mean = np.where(self.is_binary, 0.0, mean).astype("float32")
        self.scale = np.where(self.is_binary | (scale == 0), 1.0, scale).astype("float32")
        return self.mean, self.scale

    def encode(self, y_true: np.ndarray) -> np.ndarray:
        """Return the columns, the continuous ones standardised."""
        return (y_true - self.mean) / self.scale

    def risk(self, logit: Any) -> Any:
        """Return probabilities and values, shape (batch, n_columns)."""
        return ColumnsOutput(self.kinds, name="risk")(logit)

    def loss(self, encoded: Any, logit: Any) -> Any:
        """Return the mean loss of a record's columns."""
        is_known = ops.logical_not(ops.isnan(encoded))
        # Both losses are made of all columns; of each, the one that does not fit is dropped.
        error = ops.where(is_known, encoded, 0.0) - logit
        squared = 0.5 * ops.square(error)
        if self.huber_delta:
            size, delta = ops.abs(error), self.huber_delta
            squared = ops.where(size <= delta, squared, delta * (size - 0.5 * delta))
        squared = ops.where(is_known, squared, 0.0)
        cost = ops.where(
            ops.convert_to_tensor(self.is_binary), masked_entropy(encoded, logit), squared
        )
        return ops.mean(cost, axis=-1)

    def start_bias(self, y_true: np.ndarray) -> np.ndarray:
        """Return log odds of the binary columns, 0 for the continuous and the unknown ones."""
        is_usable = self.is_binary & np.isfinite(y_true).any(axis=0)
        bias = np.zeros(len(self.kinds))
        if is_usable.any():
            bias[is_usable] = log_odds(y_true[:, is_usable])
        return bias

    def scores(self, logits: np.ndarray) -> np.ndarray:
        """Return probabilities of binary columns, values of continuous ones."""
        return np.where(self.is_binary, expit(logits), logits * self.scale + self.mean)

    def metrics(self, y_true: np.ndarray, logits: np.ndarray) -> dict[str, float]:
        """Return ``auroc`` and ``r2``: means over the binary and the continuous columns."""
        scores = self.scores(logits)
        measures = {"auroc": (self.is_binary, auroc), "r2": (~self.is_binary, _r2)}
        found = {}
        for name, (columns, measure) in measures.items():
            values = [measure(y_true[:, c], scores[:, c]) for c in np.flatnonzero(columns)]
            known = [value for value in values if np.isfinite(value)]
            if len(values):
                found[name] = float(np.mean(known)) if known else float("nan")
        return found

    def config(self) -> dict[str, Any]:
        """Return kinds and loss; the statistics are in the network."""
        return {"kind": "columns", "kinds": self.kinds, "huber_delta": self.huber_delta}


def _r2(y_true: np.ndarray, y_score: np.ndarray) -> float:
    is_known = np.isfinite(y_true)
    if is_known.sum() < 2:
        return float("nan")
    return float(r2_score(y_true[is_known], y_score[is_known]))
