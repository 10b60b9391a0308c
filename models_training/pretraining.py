"""Pre-training of an encoder: many labels at once, random crops of scaled ECGs, averaged weights.

A record has some binary labels and some measures (age), each possibly unknown. The network sees
short pieces of it, changed and mixed at random (`augmentations`, `mixing`), so that a few thousand
records suffice; it is scored on whole records.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
from keras import ops
from scipy.special import expit

from models_training.architectures import ARCHITECTURES
from models_training.augmentations import augment
from models_training.crops import random_crops
from models_training.fast_layers import must_compile
from models_training.fold_store import Checkpoint
from models_training.inputs import ECG_INPUT
from models_training.mixing import mixed, mixup_shares
from models_training.optimizers import FlatAdamW
from models_training.pretrained import Pretrained, transfer
from models_training.pretraining_recipe import MEASURES, PretrainingData, PretrainingSettings
from models_training.schedules import rate_share
from models_training.settings import ArchitectureSettings, resolved_precision
from models_training.weight_averaging import WeightAverage

_FARTHEST_SD = 3.0  # a measure farther off than this pulls no harder


class Pretrainer:
    """One encoder with a linear layer for all targets.

    Parameters
    ----------
    data : PretrainingData
        The corpus.
    settings : PretrainingSettings
        How to train.
    rate_hz : float
        Sampling rate of the ECGs.
    run_eagerly : bool
        Without compiling the graph; pays for tiny models only.
    """

    def __init__(
        self,
        data: PretrainingData,
        settings: PretrainingSettings,
        *,
        rate_hz: float = 100.0,
        run_eagerly: bool = False,
    ) -> None:
        self.data, self.settings, self.rate_hz = data, settings, rate_hz
        self.n_labels = data.labels.shape[1]
        before = keras.config.dtype_policy()
        keras.config.set_dtype_policy(resolved_precision(settings.precision))
        try:
            self.network = _network(len(data.target_names), settings.architecture, settings.seed)
        finally:
            keras.config.set_dtype_policy(before)
        weights = np.array([*data.label_weights, *data.measure_weights], "float32")
        optimizer = FlatAdamW(settings.learning_rate, weight_decay=settings.weight_decay)
        self.network.compile(
            optimizer,
            columns_loss(self.n_labels, weights),
            jit_compile=must_compile(run_eagerly),
            run_eagerly=run_eagerly,
        )
        optimizer.build(self.network.trainable_variables)
        self.average = WeightAverage("ema")

    def fit(self, rows: np.ndarray, *, store: Path | None = None) -> pd.DataFrame:
        """Train on some records; the averaged weights are then in `network`.

        With a `store` (an ``.npz`` file), a training of the same records, targets and settings
        that was stopped goes on after its last whole epoch.

        Returns
        -------
        DataFrame
            ``epoch`` (from 1), ``loss``, ``seconds``.
        """
        targets = self._targets(rows)
        checkpoint = Checkpoint(store, self._mark(rows)) if store is not None else None
        history = self._start(rows, targets, checkpoint)
        for epoch in range(len(history), self.settings.n_epochs):
            begin = time.perf_counter()
            loss = self._train_epoch(epoch, rows, targets)
            seconds = round(time.perf_counter() - begin, 1)
            history.append({"epoch": epoch + 1, "loss": loss, "seconds": seconds})
            if checkpoint is not None:
                optimizer: Any = self.network.optimizer
                checkpoint.save(
                    variables=_values(self.network.variables),
                    optimizer=_values(optimizer.variables),
                    best_weights=self.average.state(),
                    history=history,
                )
        _assign(self.network.variables, self.average.weights)
        return pd.DataFrame(history)

    def _mark(self, rows: np.ndarray) -> str:
        """Return a hash of what a stopped training must share with this one to be gone on with."""
        data = self.data
        text = json.dumps(
            [asdict(self.settings), data.target_names, [*map(float, data.label_weights)]]
        )
        digest = hashlib.sha256(text.encode())
        for part in (rows, data.labels.to_numpy("float32"), data.signals[:: len(rows)]):
            digest.update(np.ascontiguousarray(part).tobytes())
        return digest.hexdigest()

    def _targets(self, rows: np.ndarray) -> np.ndarray:
        """Return labels and standardised measures of all records, (n, n_targets)."""
        measures = self.data.measures.to_numpy("float32")
        mean, sd = np.nanmean(measures[rows], axis=0), np.nanstd(measures[rows], axis=0)
        return np.hstack([self.data.labels.to_numpy("float32"), (measures - mean) / sd])

    def _start(
        self, rows: np.ndarray, targets: np.ndarray, checkpoint: Checkpoint | None
    ) -> list[dict[str, float]]:
        """Set the last layer to the targets' means, or everything to a stopped state."""
        share = np.nanmean(targets[rows, : self.n_labels], axis=0).clip(1e-3, 1 - 1e-3)
        bias = np.zeros(targets.shape[1], "float32")
        bias[: self.n_labels] = np.log(share / (1 - share))
        self.network.get_layer("logit").bias.assign(bias)
        state = checkpoint.load() if checkpoint is not None else None
        if state is None:
            return []
        optimizer: Any = self.network.optimizer
        _assign(self.network.variables, state["variables"])
        _assign(optimizer.variables, state["optimizer"])
        self.average = WeightAverage("ema", state["best_weights"])
        return list(state["history"])

    def _train_epoch(self, epoch: int, rows: np.ndarray, targets: np.ndarray) -> float:
        settings = self.settings
        optimizer: Any = self.network.optimizer
        rng = np.random.default_rng((settings.seed, epoch))
        n_steps = max(len(rows) // settings.batch_size, 1)
        order = np.resize(rng.permutation(rows), n_steps * settings.batch_size)
        losses = []
        for step, batch in enumerate(order.reshape(n_steps, -1)):
            done = (epoch + step / n_steps) / settings.n_epochs
            rate = rate_share(settings.schedule, done) * settings.learning_rate
            optimizer.learning_rate.assign(rate)
            self.network.reset_metrics()  # the loss of this batch alone
            inputs = self._batch(batch, targets, rng)
            losses.append(float(np.ravel(self.network.train_on_batch(*inputs))[0]))
            self.average.update(_values(self.network.variables))
        return float(np.mean(losses))

    def _batch(
        self, rows: np.ndarray, targets: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return pieces and targets of some records, changed and mixed."""
        settings = self.settings
        ecg = random_crops(np.asarray(self.data.signals[rows]), settings.crop_samples, rng)
        ecg = augment(ecg, rate_hz=self.rate_hz, settings=settings.augmentation, rng=rng)
        alpha = settings.augmentation.mixup_alpha
        partner, share = mixup_shares(len(rows), alpha=alpha, rng=rng)
        if alpha == 0:
            return ecg, targets[rows]
        return mixed(ecg, partner, share), mixed(targets[rows], partner, share)

    def predict(self, rows: np.ndarray) -> np.ndarray:
        """Return the probabilities of the labels for whole records, (n, n_labels)."""
        found = self.network.predict(self.data.signals[rows], batch_size=64, verbose=0)
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
    sizes = {**sizes, "stage_blocks": tuple(sizes["stage_blocks"])}
    network = _network(len(targets), ArchitectureSettings(**sizes))
    transfer(encoder, network)
    found = np.asarray(network.predict(signals, batch_size=64, verbose=0), "float64")
    labels = pd.DataFrame(expit(found), columns=targets)
    return labels.drop(columns=[name for name in MEASURES if name in labels])


def _network(n_targets: int, architecture: ArchitectureSettings, seed: int = 0) -> keras.Model:
    """Return the trunk for scaled ECGs of any length, dropout and one linear layer."""
    keras.utils.set_random_seed(seed)
    ecg = keras.Input((None, 12), name=ECG_INPUT)
    features = ARCHITECTURES[architecture.name].trunk(ecg, architecture)
    features = keras.layers.Dropout(architecture.dropout, name="dropout")(features)
    logit = keras.layers.Dense(n_targets, name="logit", dtype="float32")(features)
    return keras.Model(ecg, logit, name=f"{architecture.name}_encoder")


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


def _values(variables: Sequence[Any]) -> list[np.ndarray]:
    return [np.asarray(variable) for variable in variables]


def _assign(variables: Sequence[Any], values: Sequence[np.ndarray]) -> None:
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)
