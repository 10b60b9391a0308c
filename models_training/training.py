"""Train one network fold after fold: compiled once, reset to its initial state for each."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from models_training.architectures import build_network
from models_training.fold_store import Checkpoint
from models_training.heads import BinaryHead, Head
from models_training.inputs import BatchTransform, EpochBatches, TrainingData
from models_training.optimizers import FlatAdamW
from models_training.settings import TrainingSettings, resolved_precision
from models_training.transfer import copy_weights, set_layer_rates

_MIN_SCALE_MV = 0.01


class NetworkTrainer:
    """One compiled network of a cohort and variant, trained anew as often as asked.

    Parameters
    ----------
    data : TrainingData
        The cohort; its covariates decide whether the network has that branch.
    settings : TrainingSettings
        How to train.
    head : Head, optional
        What is predicted from the targets of `data`; a binary outcome by default.

    Attributes
    ----------
    model : keras.Model
        From an ECG to ``risk``; `network` is the same layers up to ``logit``, which is trained.
    transform : callable or None
        Changes the inputs of every training batch, see `EpochBatches`.
    started_from : str
        Hash of the weights given to `start_from`; empty for random ones.
    """

    def __init__(
        self, data: TrainingData, settings: TrainingSettings, head: Head | None = None
    ) -> None:
        self.data, self.settings, self.head = data, settings, head or BinaryHead()
        self.transform: BatchTransform | None = None
        self.started_from = ""
        self.precision = resolved_precision(settings.precision)
        before = keras.config.dtype_policy()
        keras.config.set_dtype_policy(self.precision)
        try:
            self.model = build_network(
                n_samples=data.signals.shape[1],
                covariate_names=list(data.covariates.columns),
                settings=settings.architecture,
                head=self.head,
                seed=settings.seed,
            )
        finally:
            keras.config.set_dtype_policy(before)
        self.network = keras.Model(self.model.inputs, self.model.get_layer("logit").output)
        optimizer = FlatAdamW(settings.learning_rate, weight_decay=settings.weight_decay)
        self.network.compile(
            optimizer,
            self.head.loss,
            run_eagerly=settings.run_eagerly,
            jit_compile=False,  # XLA costs training on processors
        )
        optimizer.build(self.network.trainable_variables)
        self._initial = self._state()

    def _state(self) -> dict[str, list[np.ndarray]]:
        """Return all that training changes; dropout's random state is among the variables."""
        optimizer: Any = self.network.optimizer
        return {
            "variables": [variable.numpy() for variable in self.model.variables],
            "optimizer": [variable.numpy() for variable in optimizer.variables],
        }

    def _set_state(self, state: Mapping[str, Any]) -> None:
        optimizer: Any = self.network.optimizer
        owners = {"variables": self.model.variables, "optimizer": optimizer.variables}
        for name, variables in owners.items():
            for variable, value in zip(variables, state[name], strict=True):
                variable.assign(value)

    def start_from(self, source: keras.Model, *, skipped: tuple[str, ...] = ("logit",)) -> None:
        """Let every later training begin with another network's weights, see `copy_weights`."""
        self.started_from = copy_weights(source, self.network, skipped=skipped)
        self._initial = self._state()

    def set_rates(self, rates: Mapping[str, float], *, freeze_statistics: bool = False) -> None:
        """Scale the learning rate of layers in all later trainings, see `set_layer_rates`."""
        set_layer_rates(self.network, rates, freeze_statistics=freeze_statistics)
        optimizer: Any = self.network.optimizer
        place = [variable is optimizer.rates for variable in optimizer.variables].index(True)
        self._initial["optimizer"][place] = optimizer.rates.numpy()

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
        y_true = self.data.y_true[train_rows]
        statistics = self.head.fit(y_true)
        if statistics is not None:
            self.model.get_layer("risk").set_statistics(*statistics)
        self.model.get_layer("logit").bias.assign(self.head.start_bias(y_true))

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
            ``epoch`` (from 1), ``loss``, ``val_loss`` and the head's metrics, such as
            ``val_auroc`` (of patients), ``seconds``.
        """
        self.reset(train_rows)
        batches = self._batches(train_rows, seed)
        best_weights, rows = self._resume(checkpoint)
        if bar is not None:
            bar.update(len(rows))
        for epoch in range(len(rows), n_epochs):
            if validation_rows is not None and epoch - _best_epoch(rows) >= self.settings.patience:
                break
            begin = time.perf_counter()
            row = {"epoch": epoch + 1, "loss": self._train_epoch(batches, epoch, n_epochs)}
            if validation_rows is not None:
                row |= self._validation(validation_rows)
            rows.append(row | {"seconds": round(time.perf_counter() - begin, 2)})
            if validation_rows is not None and _best_epoch(rows) == epoch + 1:
                best_weights = self.model.get_weights()
            if bar is not None:
                bar.update(1)
            if checkpoint is not None:
                checkpoint.save(**self._state(), best_weights=best_weights, history=rows)
        if best_weights:
            self.model.set_weights(best_weights)
        if bar is not None:
            bar.update(n_epochs - len(rows))
        return pd.DataFrame(rows)

    def _batches(self, rows: np.ndarray, seed: tuple[int, ...]) -> EpochBatches:
        """Return the training batches; targets as the head's loss takes them."""
        return EpochBatches(
            self.data,
            rows,
            batch_size=self.settings.batch_size,
            records_per_patient=self.settings.records_per_patient,
            seed=(self.settings.seed, *seed),
            y_true=self.head.encode(self.data.y_true),
            transform=self.transform,
        )

    def learning_rate_at(self, epoch: int, n_epochs: int) -> float:
        """Return the learning rate of an epoch (from 0): half a cosine, down to 1 %."""
        share = 0.5 * (1 + np.cos(np.pi * epoch / n_epochs))
        return self.settings.learning_rate * max(share, 0.01)

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
        optimizer: Any = self.network.optimizer
        optimizer.learning_rate.assign(self.learning_rate_at(epoch, n_epochs))
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
        """Return loss and metrics of the validation patients (mean logit of their ECGs)."""
        patient = self.data.patient_row[rows]
        logits = pd.DataFrame(self.logits(rows)).groupby(patient).mean()
        y_true = self.data.targets[logits.index]
        encoded = self.head.encode(y_true).astype("float64")
        loss = np.asarray(self.head.loss(encoded, logits.to_numpy()))
        found = self.head.metrics(y_true, logits.to_numpy())
        return {"val_loss": float(loss.mean())} | {f"val_{k}": v for k, v in found.items()}

    def logits(self, rows: np.ndarray) -> np.ndarray:
        """Return the logits of some records, (n, n_outputs), in batches of one size."""
        size = self.settings.batch_size
        parts = []
        for start in range(0, len(rows), size):
            part = rows[start : start + size]
            padded = np.resize(part, size)  # one shape, so the graph is traced once
            found = self.network.predict_on_batch(self.data.inputs(padded))
            parts.append(np.asarray(found, dtype="float64")[: len(part)])
        return np.concatenate(parts)

    def seconds_a_record(self) -> float:
        """Return the measured training time of a record; the first call also traces the graph."""
        size = self.settings.batch_size
        rows = np.resize(np.flatnonzero(self.data.is_labelled), size)
        batch = self.data.inputs(rows), self.head.encode(self.data.y_true[rows])
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
