"""Train one network fold after fold: compiled once, reset to its initial state for each."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
from scipy.special import expit
from sklearn.metrics import log_loss, roc_auc_score
from tqdm.auto import tqdm

from models_training.architectures import ArchitectureSettings, build_resnet50
from models_training.inputs import EpochBatches, TrainingData
from models_training.optimizers import FlatAdamW

_FLAGS = ("avx512_bf16", "amx_bf16")
_MIN_SCALE_MV = 0.01


@dataclass(frozen=True)
class TrainingSettings:
    """How a network is trained.

    Parameters
    ----------
    n_epochs, patience : int
        Most epochs, and epochs without a better validation loss before a fold stops.
    batch_size : int
        Records a step.
    learning_rate, weight_decay : float
        Of AdamW; the rate falls along a cosine.
    records_per_patient : int
        See `EpochBatches`.
    precision : str
        ``auto`` (mixed bfloat16 where the processor has it), ``float32`` or ``mixed_bfloat16``.
    run_eagerly : bool
        Without compiling the graph; pays for tiny models only.
    seed : int
        Of weights, dropout and order.
    """

    n_epochs: int = 100
    patience: int = 15
    batch_size: int = 32
    learning_rate: float = 1e-3
    weight_decay: float = 1e-2
    records_per_patient: int = 0
    precision: str = "auto"
    run_eagerly: bool = False
    seed: int = 0
    architecture: ArchitectureSettings = field(default_factory=ArchitectureSettings)


def resolved_precision(precision: str) -> str:
    """Return ``float32`` or ``mixed_bfloat16``; ``auto`` asks the processor.

    Raises
    ------
    ValueError
        If the name is unknown.
    """
    if precision not in ("auto", "float32", "mixed_bfloat16"):
        raise ValueError(
            f"precision must be auto, float32 or mixed_bfloat16, got {precision!r}. Use auto."
        )
    if precision != "auto":
        return precision
    information = Path("/proc/cpuinfo")
    flags = information.read_text().split() if information.exists() else []
    return "mixed_bfloat16" if any(flag in flags for flag in _FLAGS) else "float32"


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
            self.model = build_resnet50(
                n_samples=data.signals.shape[1],
                covariate_names=list(data.covariates.columns),
                settings=settings.architecture,
                seed=settings.seed,
            )
        finally:
            keras.config.set_dtype_policy(before)
        self.network = keras.Model(self.model.inputs, self.model.get_layer("logit").output)
        # Not `weights`: dropout's random state is a variable that is no weight.
        self._initial = [variable.numpy() for variable in self.network.variables]
        optimizer = FlatAdamW(settings.learning_rate, weight_decay=settings.weight_decay)
        self.network.compile(
            optimizer,
            keras.losses.BinaryCrossentropy(from_logits=True),
            run_eagerly=settings.run_eagerly,
            jit_compile=False,  # XLA costs training on processors
        )
        optimizer.build(self.network.trainable_variables)
        self._optimizer_start = [variable.numpy() for variable in optimizer.variables]

    def reset(self, train_rows: np.ndarray) -> None:
        """Return to the initial state, with the statistics of these training rows."""
        for variable, value in zip(self.network.variables, self._initial, strict=True):
            variable.assign(value)
        optimizer: Any = self.network.optimizer
        for variable, value in zip(optimizer.variables, self._optimizer_start, strict=True):
            variable.assign(value)
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
    ) -> pd.DataFrame:
        """Train from the initial state; with validation rows the best epoch's weights are kept.

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
        optimizer: Any = self.network.optimizer
        best, best_epoch, best_weights, rows = np.inf, 0, None, []
        for epoch in range(n_epochs):
            begin = time.perf_counter()
            share = 0.5 * (1 + np.cos(np.pi * epoch / n_epochs))
            optimizer.learning_rate.assign(settings.learning_rate * max(share, 0.01))
            row = {"epoch": epoch + 1, "loss": self._train_epoch(batches)}
            if validation_rows is not None:
                row |= self._validation(validation_rows)
                if row["val_loss"] < best:
                    best, best_weights = row["val_loss"], self.network.get_weights()
                    best_epoch = epoch
            rows.append({**row, "seconds": round(time.perf_counter() - begin, 2)})
            if bar is not None:
                bar.update(1)
            if validation_rows is not None and epoch - best_epoch >= settings.patience:
                break
        if best_weights is not None:
            self.network.set_weights(best_weights)
        if bar is not None:
            bar.update(n_epochs - len(rows))
        return pd.DataFrame(rows)

    def _train_epoch(self, batches: EpochBatches) -> float:
        """Train one epoch and return its mean loss; every batch has one size, traced once."""
        total = weight = 0.0
        for index in range(len(batches)):
            inputs, y_true, weights = batches[index]
            # The loss of this batch alone: the network's own running mean starts anew.
            self.network.reset_metrics()
            loss = np.asarray(self.network.train_on_batch(inputs, y_true, sample_weight=weights))
            share = float((weights > 0).mean())
            total, weight = total + share * float(loss.ravel()[0]), weight + share
        batches.on_epoch_end()
        return total / weight

    def _validation(self, rows: np.ndarray) -> dict[str, float]:
        """Return loss and AUROC of the validation patients (mean logit of their ECGs)."""
        patient = self.data.patient_row[rows]
        logit = pd.Series(self.logits(rows)).groupby(patient).mean()
        y_true = self.data.patients["outcome"].to_numpy(int)[logit.index]
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
        rows = np.resize(np.arange(len(self.data.records)), size)
        batch = self.data.inputs(rows), self.data.y_true[rows][:, None]
        weights = np.ones(size, "float32")
        self.network.train_on_batch(*batch, sample_weight=weights)
        begin = time.perf_counter()
        self.network.train_on_batch(*batch, sample_weight=weights)
        return (time.perf_counter() - begin) / size
