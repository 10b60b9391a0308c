"""Pre-training of an encoder without labels: two pieces of one ECG are to have one embedding.

VICReg: the embeddings of the two pieces are pulled together (invariance), while each of their
columns must keep its spread over the batch (variance) and tell something of its own (covariance),
so that a constant embedding is no way out and no negative pairs are needed.

References
----------
Bardes et al. 2022, VICReg: variance-invariance-covariance regularization for self-supervised
learning. arXiv:2105.04906. Two pieces of one ECG as a pair: Kiyasseh et al. 2021, CLOCS.
arXiv:2005.13249.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import ops

from models_training.encoder_training import EncoderTraining
from models_training.pretraining import Pretrainer
from models_training.pretraining_recipe import PretrainingSettings

N_PROJECTED = 512
_INVARIANCE, _VARIANCE, _COVARIANCE = 25.0, 25.0, 1.0  # as published
_LEAST_SD = 1.0


class SelfSupervised(EncoderTraining):
    """An encoder with two dense layers for the comparison of pieces, which are thrown away after.

    Parameters
    ----------
    signals : float32 array of shape (n, n_samples, 12)
        Each lead with mean 0 and SD 1 over its record.
    settings : PretrainingSettings
        As for the training with labels that follows; nothing is mixed here.
    n_epochs : int
        Two random pieces of every ECG each.
    **options
        Of `EncoderTraining`.
    """

    def __init__(
        self, signals: np.ndarray, settings: PretrainingSettings, *, n_epochs: int, **options: Any
    ) -> None:
        unmixed = replace(settings.augmentation, mixup_alpha=0.0)
        settings = replace(settings, n_epochs=n_epochs, augmentation=unmixed)
        super().__init__(signals, settings, **options)

    def top(self, features: Any) -> Any:
        """Return the projection, (batch, N_PROJECTED)."""
        hidden = keras.layers.Dense(N_PROJECTED, use_bias=False, name="projection_1")(features)
        hidden = keras.layers.BatchNormalization(name="projection_1_bn")(hidden)
        hidden = keras.layers.ReLU(name="projection_1_relu")(hidden)
        return keras.layers.Dense(N_PROJECTED, name="projection_2", dtype="float32")(hidden)

    def loss(self) -> Callable[[Any, Any], Any]:
        """Return VICReg of the two halves of a batch; targets are not looked at."""
        return _of_halves

    def begin(self, rows: np.ndarray) -> None:
        """Nothing has to be prepared."""

    def facts(self) -> list[Any]:
        """Return the name of the loss: there are no labels."""
        return ["vicreg"]

    def batch(self, rows: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Return a piece of every ECG, then another one of each."""
        pieces = np.concatenate([self.pieces(rows, rng), self.pieces(rows, rng)])
        return pieces, np.zeros((len(pieces), 1), "float32")


def begin_unlabelled(
    trainer: Pretrainer, rows: np.ndarray, *, n_epochs: int, store: Path | None = None
) -> None:
    """Let a training with labels begin with what its records teach without; 0 epochs: nothing.

    Parameters
    ----------
    trainer : Pretrainer
        Not trained yet; its settings are those of both trainings.
    rows : int array
        Training records.
    n_epochs : int
        Without labels.
    store : Path, optional
        See `EncoderTraining.fit`.
    """
    if n_epochs:
        first = SelfSupervised(
            trainer.signals, trainer.settings, n_epochs=n_epochs, rate_hz=trainer.rate_hz
        )
        first.fit(rows, store=store)
        trainer.start_from(first.network, mark=f"{n_epochs} epochs without labels")


def _of_halves(_: Any, output: Any) -> Any:
    halves: Any = ops.split(output, 2)
    return vicreg(*halves)


def vicreg(one: Any, other: Any) -> Any:
    """Return the VICReg loss of two sets of embeddings, a scalar.

    Parameters
    ----------
    one, other : float tensor of shape (n, d)
        Row k of both belongs to the same ECG; n at least 2.
    """
    square: Any = ops.mean(ops.square(one - other))
    loss = _INVARIANCE * square
    for values in (one, other):
        centred: Any = ops.subtract(values, ops.mean(values, axis=0))
        n: Any = ops.sum(ops.ones_like(values[:, 0]))  # a compiled batch has no static size
        matrix: Any = ops.divide(ops.matmul(ops.transpose(centred), centred), n - 1)
        variance: Any = ops.diagonal(matrix)
        lacking: Any = ops.mean(ops.relu(ops.subtract(_LEAST_SD, ops.sqrt(variance + 1e-4))))
        shared: Any = ops.subtract(ops.sum(ops.square(matrix)), ops.sum(ops.square(variance)))
        loss = loss + _VARIANCE * lacking / 2 + _COVARIANCE * shared / values.shape[1]
    return loss
