"""What a network predicts: the last layers, the loss, and how logits become scores."""

from __future__ import annotations

from typing import Any, Protocol

import keras
import numpy as np
from keras import ops
from scipy.special import expit


class Head(Protocol):
    """What every head offers; targets are float32, shape (n, n_targets), NaN where unknown."""

    n_outputs: int
    n_targets: int

    def risk(self, logit: Any) -> Any:
        """Add the output layer ``risk`` to the layer ``logit`` of n_outputs units."""
        ...

    def loss(self, y_true: Any, logit: Any) -> Any:
        """Return the loss of each record, shape (batch,); an unknown target costs nothing."""
        ...

    def start_bias(self, y_true: np.ndarray) -> np.ndarray:
        """Return the bias of ``logit`` that predicts the mean of the training targets."""
        ...

    def scores(self, logits: np.ndarray) -> np.ndarray:
        """Return what the layer ``risk`` gives for logits, shape (n, n_scores)."""
        ...


class BinaryHead:
    """One outcome, 0 or 1."""

    n_outputs = n_targets = 1

    def risk(self, logit: Any) -> Any:
        """Return the probability, shape (batch, 1)."""
        return keras.layers.Activation("sigmoid", name="risk", dtype="float32")(logit)

    def loss(self, y_true: Any, logit: Any) -> Any:
        """Return the cross-entropy of each record."""
        is_known = ops.logical_not(ops.isnan(y_true))
        target = ops.where(is_known, y_true, 0.0)
        entropy = keras.ops.maximum(logit, 0.0) - logit * target + ops.softplus(-ops.abs(logit))
        return ops.sum(ops.where(is_known, entropy, 0.0), axis=-1)

    def start_bias(self, y_true: np.ndarray) -> np.ndarray:
        """Return the log odds of the share of events."""
        share = np.clip(np.nanmean(y_true, axis=0), 1e-3, 1 - 1e-3)
        return np.log(share / (1 - share))

    def scores(self, logits: np.ndarray) -> np.ndarray:
        """Return probabilities."""
        return expit(logits)
