"""The loop that trains an encoder, whatever it learns from: pieces of ECGs, averaged weights."""

from __future__ import annotations

import hashlib
import json
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from models_training.architectures import ARCHITECTURES
from models_training.augmentations import augment
from models_training.crops import random_crops
from models_training.fast_layers import must_compile
from models_training.fold_store import Checkpoint
from models_training.inputs import ECG_INPUT
from models_training.optimizers import FlatAdamW
from models_training.pretraining_recipe import PretrainingSettings
from models_training.schedules import rate_share
from models_training.settings import ArchitectureSettings, resolved_precision
from models_training.weight_averaging import WeightAverage


class EncoderTraining(ABC):
    """Trains a network on random pieces of scaled ECGs; a subclass says what from.

    Parameters
    ----------
    signals : float32 array of shape (n, n_samples, 12)
        Each lead with mean 0 and SD 1 over its record; may be a memory map.
    settings : PretrainingSettings
        How to train.
    rate_hz : float
        Sampling rate of the ECGs.
    run_eagerly : bool
        Without compiling the graph; pays for tiny models only.

    Attributes
    ----------
    network : keras.Model
        From ECGs of any length; after `fit` with the averaged weights.
    """

    def __init__(
        self,
        signals: np.ndarray,
        settings: PretrainingSettings,
        *,
        rate_hz: float = 100.0,
        run_eagerly: bool = False,
    ) -> None:
        self.signals, self.settings, self.rate_hz = signals, settings, rate_hz
        before = keras.config.dtype_policy()
        keras.config.set_dtype_policy(resolved_precision(settings.precision))
        try:
            keras.utils.set_random_seed(settings.seed)
            self.network = encoder_network(settings.architecture, self.top)
        finally:
            keras.config.set_dtype_policy(before)
        optimizer = FlatAdamW(settings.learning_rate, weight_decay=settings.weight_decay)
        self.network.compile(
            optimizer,
            self.loss(),
            jit_compile=must_compile(run_eagerly),
            run_eagerly=run_eagerly,
        )
        optimizer.build(self.network.trainable_variables)
        self.average = WeightAverage("ema")

    @abstractmethod
    def top(self, features: Any) -> Any:
        """Return the layers above the trunk's features, in the graph of Keras."""

    @abstractmethod
    def loss(self) -> Callable[[Any, Any], Any]:
        """Return what is made small, of targets and outputs."""

    @abstractmethod
    def begin(self, rows: np.ndarray) -> None:
        """Prepare a training on some records."""

    @abstractmethod
    def batch(self, rows: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Return inputs and targets of one step, made of some records."""

    @abstractmethod
    def facts(self) -> list[Any]:
        """Return arrays and texts by which a stopped training is known, beside the settings."""

    def fit(self, rows: np.ndarray, *, store: Path | None = None) -> pd.DataFrame:
        """Train on some records; the averaged weights are then in `network`.

        With a `store` (an ``.npz`` file), a training of the same records, facts and settings
        that was stopped goes on after its last whole epoch.

        Returns
        -------
        DataFrame
            ``epoch`` (from 1), ``loss``, ``seconds``.
        """
        self.begin(rows)
        checkpoint = Checkpoint(store, self._mark(rows)) if store is not None else None
        history = self._resume(checkpoint)
        epochs = range(len(history), self.settings.n_epochs)
        for epoch in tqdm(epochs, desc="Encoder", unit="epoch"):
            start = time.perf_counter()
            loss = self._train_epoch(epoch, rows)
            seconds = round(time.perf_counter() - start, 1)
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
        digest = hashlib.sha256(json.dumps(asdict(self.settings)).encode())
        for part in (rows, self.signals[:: len(rows)], *self.facts()):
            data = part.encode() if isinstance(part, str) else np.ascontiguousarray(part).tobytes()
            digest.update(data)
        return digest.hexdigest()

    def _resume(self, checkpoint: Checkpoint | None) -> list[dict[str, float]]:
        """Return to a stopped state, if there is one; return its epochs."""
        state = checkpoint.load() if checkpoint is not None else None
        if state is None:
            return []
        optimizer: Any = self.network.optimizer
        _assign(self.network.variables, state["variables"])
        _assign(optimizer.variables, state["optimizer"])
        self.average = WeightAverage("ema", state["best_weights"])
        return list(state["history"])

    def _train_epoch(self, epoch: int, rows: np.ndarray) -> float:
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
            inputs = self.batch(batch, rng)
            losses.append(float(np.ravel(self.network.train_on_batch(*inputs))[0]))
            self.average.update(_values(self.network.variables))
        return float(np.mean(losses))

    def pieces(self, rows: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Return a random piece of each ECG, changed at random, (n, crop_samples, 12)."""
        settings = self.settings
        ecg = random_crops(np.asarray(self.signals[rows]), settings.crop_samples, rng)
        return augment(ecg, rate_hz=self.rate_hz, settings=settings.augmentation, rng=rng)


def encoder_network(architecture: ArchitectureSettings, top: Callable[[Any], Any]) -> keras.Model:
    """Return a trunk for scaled ECGs of any length with what `top` puts on its features."""
    ecg = keras.Input((None, 12), name=ECG_INPUT)
    output = top(ARCHITECTURES[architecture.name].trunk(ecg, architecture))
    return keras.Model(ecg, output, name=f"{architecture.name}_encoder")


def _values(variables: Sequence[Any]) -> list[np.ndarray]:
    return [np.asarray(variable) for variable in variables]


def _assign(variables: Sequence[Any], values: Sequence[np.ndarray]) -> None:
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)
