# Keras types its back-end tensors as optional.
# pyright: reportOptionalOperand=false, reportOperatorIssue=false
"""Time to the event in intervals: hazards that give a risk at each of several horizons."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from keras import ops
from scipy.special import softmax

from models_training.discrete_time import encode_intervals, status_at
from models_training.heads import Head
from models_training.output_layers import HazardOutput, interval_logits


class HazardHead(Head):
    r"""Discrete-time hazards over intervals that end at the horizons.

    A patient contributes the intervals he or she was seen in:

    .. math:: \ell = -\sum_{k\ \mathrm{seen}} \log p_{c_k k}, \qquad
              p_{\cdot k} = \mathrm{softmax}(0, z_{1k}, z_{2k})

    with :math:`c_k` 0 while nothing happens; `encode_intervals` says what counts as seen. With one
    interval and nobody lost this is the cross-entropy of `BinaryHead`.

    Parameters
    ----------
    horizons_days : sequence of float
        Rising; the last one ends the follow-up that is used.
    n_causes : int
        1, or 2 where another event competes (softmax over no event and the causes).

    Raises
    ------
    ValueError
        If the horizons do not rise from above 0, or there are not 1 or 2 causes.

    References
    ----------
    Gensheimer and Narasimhan 2019, doi 10.7717/peerj.6257; Tutz and Schmid 2016,
    doi 10.1007/978-3-319-28158-2, chapter 8, for competing events.

    Examples
    --------
    >>> head = HazardHead([90, 365])
    >>> head.encode(np.array([[100, 1], [60, 0], [400, 0]])).tolist()
    [[0.0, 1.0], [0.0, nan], [0.0, 0.0]]
    """

    n_targets = 2

    def __init__(self, horizons_days: Sequence[float], *, n_causes: int = 1) -> None:
        self.horizons_days = [float(value) for value in horizons_days]
        steps = np.diff([0.0, *self.horizons_days])
        if not self.horizons_days or (steps <= 0).any():
            raise ValueError(
                f"horizons_days must rise from above 0, got {list(horizons_days)}. Name them in "
                "order, for example 90, 180, 365."
            )
        if n_causes not in (1, 2):
            raise ValueError(f"n_causes must be 1 or 2, got {n_causes}. Join the competing events.")
        self.n_causes = n_causes
        self.n_outputs = len(self.horizons_days) * n_causes

    def encode(self, y_true: np.ndarray) -> np.ndarray:
        """Return what became of each interval, see `encode_intervals`.

        Parameters
        ----------
        y_true : array of shape (n, 2)
            ``duration_days`` and ``event`` (0 censored, 1 the event, 2 the competing one).

        Raises
        ------
        ValueError
            If an event competes and the head has one cause.
        """
        duration, event = y_true[:, 0], y_true[:, 1]
        if (event > self.n_causes).any():
            raise ValueError(
                f"event must be at most {self.n_causes}, got a competing one. Use n_causes = 2."
            )
        return encode_intervals(duration, event, self.horizons_days)

    def risk(self, logit: Any) -> Any:
        """Return the cumulative incidence of cause 1 at each horizon, (batch, n_horizons)."""
        return HazardOutput(self.n_causes, name="risk")(logit)

    def loss(self, encoded: Any, logit: Any) -> Any:
        """Return the negative log-likelihood of each record."""
        likely = ops.log_softmax(interval_logits(logit, self.n_causes), axis=-1)
        classes = ops.cast(ops.arange(self.n_causes + 1), encoded.dtype)
        is_it = ops.equal(ops.expand_dims(encoded, -1), classes)  # never, where NaN
        return -ops.sum(ops.where(is_it, likely, 0.0), axis=(-2, -1))

    def start_bias(self, y_true: np.ndarray) -> np.ndarray:
        """Return the log odds of each cause against no event in each interval."""
        encoded = self.encode(y_true)
        counts = [(encoded == cause).sum(axis=0) for cause in range(self.n_causes + 1)]
        share = np.stack(counts, axis=1) / np.maximum(np.sum(counts, axis=0), 1)[:, None]
        share = np.clip(share, 1e-3, 1 - 1e-3)
        return np.log(share[:, 1:] / share[:, :1]).ravel()

    def scores(self, logits: np.ndarray) -> np.ndarray:
        """Return the cumulative incidence of cause 1 at each horizon."""
        return self.incidences(logits)[..., 0]

    def incidences(self, logits: np.ndarray) -> np.ndarray:
        """Return the cumulative incidence of every cause, (n, n_horizons, n_causes)."""
        causes = np.reshape(logits, (len(logits), len(self.horizons_days), self.n_causes))
        full = np.concatenate([np.zeros_like(causes[..., :1]), causes], axis=-1)
        probability = softmax(full, axis=-1)
        survived = np.cumprod(probability[..., 0], axis=1)
        before = np.concatenate([np.ones_like(survived[:, :1]), survived[:, :-1]], axis=1)
        return np.cumsum(probability[..., 1:] * before[..., None], axis=1)

    def outcomes(self, y_true: np.ndarray) -> np.ndarray:
        """Return the status at each horizon, see `status_at`."""
        return status_at(y_true[:, 0], y_true[:, 1], self.horizons_days)

    def config(self) -> dict[str, Any]:
        """Return horizons and causes."""
        return {
            "kind": "hazard",
            "horizons_days": self.horizons_days,
            "n_causes": self.n_causes,
        }
