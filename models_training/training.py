"""Train one network fold after fold: compiled once, reset to its initial state for each."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import pandas as pd
from scipy.special import expit
from sklearn.metrics import log_loss, roc_auc_score
from tqdm.auto import tqdm

from models_training.architectures import build_network
from models_training.fold_store import Checkpoint
from models_training.inputs import EpochBatches, TrainingData
from models_training.optimizers import FlatAdamW
from models_training.settings import TrainingSettings, resolved_precision

_MIN_SCALE_MV = 0.01


class NetworkTrainer:
    """One compiled network of a cohort and variant, trained anew as often as asked.

    Parameters
    ----------
    data : TrainingData
        The cohort; its covariates decide whether the network has that branch.
    settings : TrainingSettings
        How to train.
    """

    def __init__(self, data: TrainingData, settings: TrainingSettings) -> None:
        self.data, self.settings = data, settings
        self.precision = resolved_precision(settings.precision)
        before = keras.config.dtype_policy()
        keras.config.set_dtype_policy(self.precision)
        try:
            self.model = build_network(
                n_samples=data.signals.shape[1],
                covariate_names=list(data.covariates.columns),
                settings=settings.architecture,
                seed=settings.seed,
            )
        finally:
            keras.config.set_dtype_policy(before)
        self.network = keras.Model(self.model.inputs, self.model.get_layer("logit").output)
        optimizer = FlatAdamW(settings.learning_rate, weight_decay=settings.weight_decay)
        self.network.compile(
            optimizer,
            keras.losses.BinaryCrossentropy(from_logits=True),
            run_eagerly=settings.run_eagerly,
            jit_compile=False,  # XLA costs training on processors
        )
        optimizer.build(self.network.trainable_variables)
        self._initial = self._state()

    def _state(self) -> dict[str, list[np.ndarray]]:
        """Return all that training changes; dropout's random state is among the variables."""
        optimizer: Any = self.network.optimizer
        return {
            "variables": [variable.numpy() for variable in self.network.variables],
            "optimizer": [variable.numpy() for variable in optimizer.variables],
        }

    def _set_state(self, state: Mapping[str, Any]) -> None:
        optimizer: Any = self.network.optimizer
        owners = {"variables": self.network.variables, "optimizer": optimizer.variables}
        for name, variables in owners.items():
            for variable, value in zip(variables, state[name], strict=True):
                variable.assign(value)

    def reset(self, train_rows: np.ndarray) -> None:
        """Return to the initial state, with the statistics of these training rows."""
        self._set_state(self._initial)
        mean, scale = self._signal_statistics(train_rows)
        self.model.get_layer("ecg_scaling").set_statistics(mean, scale)
        if self.data.covariates.shape[1]:
            seen = np.unique(self.data.patient_row[train_rows])
            values = self.data.covariates.iloc[seen]
            mean, scale = values.mean().fillna(0.0), values.std(ddof=0).fillna(1.0)
            layer = self.model.get_layer("covariate_scaling")
            layer.set_statistics(mean.to_numpy("float32"), scale.to_numpy("float32"))
        share = float(np.clip(self.data.y_true[train_rows].mean(), 1e-3, 1 - 1e-3))
        self.model.get_layer("logit").bias.assign([np.log(share / (1 - share))])

    def _signal_statistics(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return mean and SD of each lead over the training ECGs, read in pieces."""
        total, squares, n = np.zeros(12), np.zeros(12), 0
        for start in range(0, len(rows), 256):
            piece = self.data.inputs(rows[start : start + 256])["ecg"].astype("float64")
            total += piece.sum(axis=(0, 1))
            squares += np.square(piece).sum(axis=(0, 1))
            n += piece.shape[0] * piece.shape[1]
        mean = total / n
        scale = np.sqrt(np.maximum(squares / n - mean**2, _MIN_SCALE_MV**2))
        return mean.astype("float32"), scale.astype("float32")

    def fit(
        self,
        train_rows: np.ndarray,
        validation_rows: np.ndarray | None,
        *,
        n_epochs: int,
        seed: tuple[int, ...],
        bar: tqdm | None = None,
        checkpoint: Checkpoint | None = None,
    ) -> pd.DataFrame:
        """Train from the initial state; with validation rows the best epoch's weights are kept.

        With a checkpoint, a training that was stopped goes on after its last whole epoch and ends
        as if it had not been stopped.

        Returns
        -------
        DataFrame
            ``epoch`` (from 1), ``loss``, ``val_loss``, ``val_auroc`` (of patients), ``seconds``.
        """
        self.reset(train_rows)
        settings = self.settings
        batches = EpochBatches(
            self.data,
            train_rows,
            batch_size=settings.batch_size,
            records_per_patient=settings.records_per_patient,
            seed=(settings.seed, *seed),
        )
        best_weights, rows = self._resume(checkpoint)
        if bar is not None:
            bar.update(len(rows))
        for epoch in range(len(rows), n_epochs):
            if validation_rows is not None and epoch - _best_epoch(rows) >= settings.patience:
                break
            begin = time.perf_counter()
            row = {"epoch": epoch + 1, "loss": self._train_epoch(batches, epoch, n_epochs)}
            if validation_rows is not None:
                row |= self._validation(validation_rows)
            rows.append(row | {"seconds": round(time.perf_counter() - begin, 2)})
            if validation_rows is not None and _best_epoch(rows) == epoch + 1:
                best_weights = self.network.get_weights()
            if bar is not None:
                bar.update(1)
            if checkpoint is not None:
                checkpoint.save(**self._state(), best_weights=best_weights, history=rows)
        if best_weights:
            self.network.set_weights(best_weights)
        if bar is not None:
            bar.update(n_epochs - len(rows))
        return pd.DataFrame(rows)

    def _resume(
        self, checkpoint: Checkpoint | None
    ) -> tuple[list[np.ndarray], list[dict[str, float]]]:
        """Set network and optimizer to a stopped state; return best weights and epochs so far."""
        state = checkpoint.load() if checkpoint is not None else None
        if state is None:
            return [], []
        self._set_state(state)
        return state["best_weights"], state["history"]

    def _train_epoch(self, batches: EpochBatches, epoch: int, n_epochs: int) -> float:
        """Train one epoch and return its mean loss; every batch has one size, traced once."""
        share = 0.5 * (1 + np.cos(np.pi * epoch / n_epochs))
        optimizer: Any = self.network.optimizer
        optimizer.learning_rate.assign(self.settings.learning_rate * max(share, 0.01))
        batches.start_epoch(epoch)
        total = weight = 0.0
        for index in range(len(batches)):
            inputs, y_true, weights = batches[index]
            # The loss of this batch alone: the network's own running mean starts anew.
            self.network.reset_metrics()
            loss = np.asarray(self.network.train_on_batch(inputs, y_true, sample_weight=weights))
            share = float((weights > 0).mean())
            total, weight = total + share * float(loss.ravel()[0]), weight + share
        return total / weight

    def _validation(self, rows: np.ndarray) -> dict[str, float]:
        """Return loss and AUROC of the validation patients (mean logit of their ECGs)."""
        patient = self.data.patient_row[rows]
        logit = pd.Series(self.logits(rows)).groupby(patient).mean()
        y_true = self.data.patients["outcome"].iloc[logit.index].to_numpy(int)
        risk = np.clip(expit(logit.to_numpy()), 1e-7, 1 - 1e-7)
        both = len(np.unique(y_true)) == 2
        return {
            "val_loss": float(log_loss(y_true, risk, labels=[0, 1])),
            "val_auroc": float(roc_auc_score(y_true, risk)) if both else float("nan"),
        }

    def logits(self, rows: np.ndarray) -> np.ndarray:
        """Return the logits of some records, (n,), in batches of one size."""
        size = self.settings.batch_size
        parts = []
        for start in range(0, len(rows), size):
            part = rows[start : start + size]
            padded = np.resize(part, size)  # one shape, so the graph is traced once
            found = self.network.predict_on_batch(self.data.inputs(padded))
            parts.append(np.asarray(found, dtype="float64")[: len(part), 0])
        return np.concatenate(parts)

    def seconds_a_record(self) -> float:
        """Return the measured training time of a record; the first call also traces the graph."""
        size = self.settings.batch_size
        rows = np.resize(np.flatnonzero(self.data.is_labelled), size)
        batch = self.data.inputs(rows), self.data.y_true[rows][:, None]
        weights = np.ones(size, "float32")
        self.network.train_on_batch(*batch, sample_weight=weights)
        begin = time.perf_counter()
        self.network.train_on_batch(*batch, sample_weight=weights)
        return (time.perf_counter() - begin) / size

    def memory_gib(self) -> float:
        """Return roughly the memory of a training process; the ECGs stay on disk.

        Measured at widths 8 and 64: 0.9 GiB of libraries, 25 copies of the weights in the
        optimizer's step, one copy of every layer's output for a batch.
        """
        outputs = sum(math.prod(layer.output.shape[1:]) for layer in self.model.layers)
        values = 25 * self.model.count_params() + outputs * self.settings.batch_size
        return 0.9 + 4 * values / 2**30


def _best_epoch(rows: list[dict[str, float]]) -> int:
    """Return the number (from 1) of the first epoch with the lowest validation loss; 0 for none."""
    losses = [row["val_loss"] for row in rows]
    return int(np.argmin(losses)) + 1 if losses else 0
