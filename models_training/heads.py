# Keras types its back-end tensors as optional.
# pyright: reportOptionalOperand=false, reportOperatorIssue=false
"""What a network predicts: the last layers, the loss, and how logits become scores."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import keras
import numpy as np
from keras import ops
from scipy.special import expit
from sklearn.metrics import roc_auc_score


class Head(ABC):
    """What every head offers; targets are float32, shape (n, n_targets), NaN where unknown.

    Attributes
    ----------
    n_outputs : int
        Units of the layer ``logit``.
    n_targets : int
        Columns of the targets.
    metric : str
        What `metrics` measures first: its name in the history of a training, after ``val_``.
    has_soft_targets : bool
        Whether encoded targets between 0 and 1 mean something: mixup, label smoothing.
    """

    n_outputs = n_targets = 1
    metric = "auroc"
    has_soft_targets = False

    def fit(self, y_true: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
        """Take what the loss needs to know of the training targets; none by default.

        Returns
        -------
        tuple of arrays, or None
            Mean and scale for ``set_statistics`` of the layer ``risk``, where it has any.
        """
        return None

    def encode(self, y_true: np.ndarray) -> np.ndarray:
        """Return the targets in the form `loss` takes, (n, n_columns), float32."""
        return y_true

    @abstractmethod
    def risk(self, logit: Any) -> Any:
        """Add the output layer ``risk`` to the layer ``logit`` of n_outputs units."""

    @abstractmethod
    def loss(self, encoded: Any, logit: Any) -> Any:
        """Return the loss of each record, shape (batch,); an unknown target costs nothing."""

    @abstractmethod
    def start_bias(self, y_true: np.ndarray) -> np.ndarray:
        """Return the bias of ``logit`` that predicts the mean of the training targets."""

    @abstractmethod
    def scores(self, logits: np.ndarray) -> np.ndarray:
        """Return what the layer ``risk`` gives for logits, shape (n, n_scores)."""

    def outcomes(self, y_true: np.ndarray) -> np.ndarray:
        """Return what each score is to be compared with, shape (n, n_scores); NaN for unknown."""
        return y_true

    def metrics(self, y_true: np.ndarray, logits: np.ndarray) -> dict[str, float]:
        """Return figures of patients to watch in training; NaN where there is too little."""
        found = auroc(self.outcomes(y_true)[:, -1], self.scores(logits)[:, -1])
        return {self.metric: found}

    @abstractmethod
    def config(self) -> dict[str, Any]:
        """Return what rebuilds the head, for the card; see ``head_from_config``."""


class BinaryHead(Head):
    """One outcome, 0 or 1."""

    has_soft_targets = True

    def risk(self, logit: Any) -> Any:
        """Return the probability, shape (batch, 1)."""
        return keras.layers.Activation("sigmoid", name="risk", dtype="float32")(logit)

    def loss(self, encoded: Any, logit: Any) -> Any:
        """Return the cross-entropy of each record."""
        return ops.sum(masked_entropy(encoded, logit), axis=-1)

    def start_bias(self, y_true: np.ndarray) -> np.ndarray:
        """Return the log odds of the share of events."""
        return log_odds(y_true)

    def scores(self, logits: np.ndarray) -> np.ndarray:
        """Return probabilities."""
        return expit(logits)

    def config(self) -> dict[str, Any]:
        """Return its name."""
        return {"kind": "binary"}


def masked_entropy(y_true: Any, logit: Any) -> Any:
    """Return the cross-entropy of each value; 0, with gradient 0, where the target is NaN."""
    is_known = ops.logical_not(ops.isnan(y_true))
    target = ops.where(is_known, y_true, 0.0)
    entropy = ops.binary_crossentropy(target, logit, from_logits=True)
    return ops.where(is_known, entropy, 0.0)


def log_odds(y_true: np.ndarray) -> np.ndarray:
    """Return the log odds of the mean of each column of 0 and 1, kept within 0.001 and 0.999."""
    share = np.clip(np.nanmean(y_true, axis=0), 1e-3, 1 - 1e-3).astype("float64")
    return np.log(share / (1 - share))


def auroc(y_true: np.ndarray, y_score: np.ndarray) -> float:
    """Return the AUROC of the rows whose outcome is known; NaN without both outcomes."""
    is_known = np.isfinite(y_true)
    known = y_true[is_known].astype(int)
    if len(np.unique(known)) != 2:
        return float("nan")
    return float(roc_auc_score(known, y_score[is_known]))
