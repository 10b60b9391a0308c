"""Pre-training of an encoder with labels: many at once, each possibly unknown.

A record has some binary labels and some measures (age). The network sees short pieces of it,
changed and mixed at random (`augmentations`, `mixing`), so that a few thousand records suffice; it
is scored on whole records.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pandas as pd
from keras import ops
from scipy.special import expit

from models_training.encoder_training import EncoderTraining, encoder_network
from models_training.mixing import mixed, mixup_shares
from models_training.pretrained import Pretrained, transfer
from models_training.pretraining_recipe import MEASURES, PretrainingData, PretrainingSettings
from models_training.settings import ArchitectureSettings

_FARTHEST_SD = 3.0  # a measure farther off than this pulls no harder


class Pretrainer(EncoderTraining):
    """One encoder with a linear layer for all targets.

    Parameters
    ----------
    data : PretrainingData
        The corpus.
    settings : PretrainingSettings
        How to train.
    **options
        Of `EncoderTraining`.
    """

    def __init__(
        self, data: PretrainingData, settings: PretrainingSettings, **options: Any
    ) -> None:
        self.data, self.n_labels, self.started_from = data, data.labels.shape[1], ""
        super().__init__(data.signals, settings, **options)

    def top(self, features: Any) -> Any:
        """Return dropout and one linear layer."""
        dropout = self.settings.architecture.dropout
        return _linear(features, len(self.data.target_names), dropout)

    def loss(self) -> Callable[[Any, Any], Any]:
        """Return the weighted sum of what every target costs."""
        weights = np.array([*self.data.label_weights, *self.data.measure_weights], "float32")
        return columns_loss(self.n_labels, weights)

    def start_from(self, encoder: keras.Model, mark: str) -> None:
        """Take the weights of the layers of the same names, of which `mark` is a text."""
        theirs = {layer.name: layer for layer in encoder.layers}
        for layer in self.network.layers:
            if layer.weights and layer.name != "logit":
                layer.set_weights(theirs[layer.name].get_weights())
        self.started_from = mark

    def begin(self, rows: np.ndarray) -> None:
        """Standardise the measures by the training rows; let the last layer say the shares."""
        measures = self.data.measures.to_numpy("float32")
        mean, sd = np.nanmean(measures[rows], axis=0), np.nanstd(measures[rows], axis=0)
        labels = self.data.labels.to_numpy("float32")
        self._targets = np.hstack([labels, (measures - mean) / sd])
        share = np.nanmean(labels[rows], axis=0).clip(1e-3, 1 - 1e-3)
        bias = np.zeros(self._targets.shape[1], "float32")
        bias[: self.n_labels] = np.log(share / (1 - share))
        self.network.get_layer("logit").bias.assign(bias)

    def facts(self) -> list[Any]:
        """Return targets, their weights, and what the training began with."""
        data = self.data
        weights = np.array(data.label_weights, "float64")
        return ["|".join(data.target_names), weights, self.started_from, data.labels.to_numpy()]

    def batch(self, rows: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Return pieces and targets of some records, changed and mixed."""
        ecg, alpha = self.pieces(rows, rng), self.settings.augmentation.mixup_alpha
        partner, share = mixup_shares(len(rows), alpha=alpha, rng=rng)
        if alpha == 0:
            return ecg, self._targets[rows]
        return mixed(ecg, partner, share), mixed(self._targets[rows], partner, share)

    def predict(self, rows: np.ndarray) -> np.ndarray:
        """Return the probabilities of the labels for whole records, (n, n_labels)."""
        found = self.network.predict(self.signals[rows], batch_size=64, verbose=0)
        return expit(np.asarray(found, "float64")[:, : self.n_labels])


def stored_probabilities(encoder: Pretrained, signals: np.ndarray) -> pd.DataFrame:
    """Return what a stored encoder says of ECGs, one column a target; measures are left out.

    Parameters
    ----------
    encoder : Pretrained
        With its last layer; `models_training.pretrained.load_pretrained`.
    signals : float32 array of shape (n, n_samples, 12)
        Through the signal chain of its card, each lead with mean 0 and SD 1 over the record.
    """
    targets = encoder.card["targets"]
    sizes = encoder.card["architecture"]
    architecture = ArchitectureSettings(**{**sizes, "stage_blocks": tuple(sizes["stage_blocks"])})
    network = encoder_network(
        architecture, lambda features: _linear(features, len(targets), architecture.dropout)
    )
    transfer(encoder, network)
    found = np.asarray(network.predict(signals, batch_size=64, verbose=0), "float64")
    labels = pd.DataFrame(expit(found), columns=targets)
    return labels.drop(columns=[name for name in MEASURES if name in labels])


def _linear(features: Any, n_targets: int, dropout: float) -> Any:
    features = keras.layers.Dropout(dropout, name="dropout")(features)
    return keras.layers.Dense(n_targets, name="logit", dtype="float32")(features)


def columns_loss(n_labels: int, weights: np.ndarray) -> Callable[[Any, Any], Any]:
    """Return the weighted sum of cross-entropies and squared errors of each record, (batch,).

    Parameters
    ----------
    n_labels : int
        Columns with cross-entropy; the others have the squared error, cut at 9.
    weights : float32 array of shape (n_targets,)
        Of the columns. An unknown target (NaN) costs nothing.
    """

    def loss(y_true: Any, output: Any) -> Any:
        is_known = ops.logical_not(ops.isnan(y_true))
        target: Any = ops.where(is_known, y_true, 0.0)
        label, measure = target[:, :n_labels], target[:, n_labels:]
        entropy = ops.binary_crossentropy(label, output[:, :n_labels], from_logits=True)
        error = ops.square(ops.subtract(output[:, n_labels:], measure))
        cost = ops.concatenate([entropy, ops.minimum(error, _FARTHEST_SD**2)], axis=1)
        return ops.sum(ops.multiply(ops.where(is_known, cost, 0.0), weights), axis=1)

    return loss
