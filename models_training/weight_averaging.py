"""Averages of the weights along a training: exponential moving (EMA) or stochastic (SWA)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import keras
import numpy as np

AVERAGES = ("none", "ema", "swa")
EMA_DECAY = 0.999
SWA_FROM = 0.75  # share of the training after which weights are collected, one set an epoch


class WeightAverage:
    """A running average of a network's weights, kept beside the network.

    ``ema`` is updated after every step with decay d = min(0.999, (1 + t) / (10 + t)), so that a
    short training is not an average of its first weights: a <- a + (1 - d) (w - a). ``swa`` is the
    plain mean of the weights after each of the last epochs.

    Parameters
    ----------
    kind : str
        ``ema`` or ``swa``.
    state : sequence of ndarray
        Of a stopped training, from `state`; empty to begin.

    References
    ----------
    Izmailov et al. 2018, Averaging weights leads to wider optima. arXiv:1803.05407.
    """

    def __init__(self, kind: str, state: Sequence[np.ndarray] = ()) -> None:
        if kind not in AVERAGES[1:]:
            raise ValueError(
                f"weight_averaging must be one of {', '.join(AVERAGES)}, got {kind!r}. none is off."
            )
        self.kind = kind
        self.n_updates = int(state[0]) if state else 0
        self.weights: list[np.ndarray] = [np.array(array) for array in state[1:]]

    def update(self, weights: Iterable[np.ndarray]) -> None:
        """Add the weights of one more step (EMA) or epoch (SWA)."""
        if self.kind == "ema":
            share = 1 - min(EMA_DECAY, (1 + self.n_updates) / (10 + self.n_updates))
        else:
            share = 1 / (self.n_updates + 1)
        self.n_updates += 1
        if not self.weights:
            self.weights = [np.array(weight) for weight in weights]
            return
        for average, weight in zip(self.weights, weights, strict=True):
            if average.dtype.kind == "f":
                average += share * (weight - average)
            else:
                average[...] = weight  # a counter or the state of a dropout has no mean

    def state(self) -> list[np.ndarray]:
        """Return what a stopped training needs to go on."""
        return [np.array(self.n_updates), *self.weights]


def recompute_batch_norm(network: keras.Model, batches: Iterable[Mapping[str, Any]]) -> None:
    """Give batch normalisation the means and variances of training ECGs under the present weights.

    Those it has belong to other weights, of which the present ones are the average. All batches
    count together: mean of the means, and mean of the variances plus variance of the means, each
    weighted by the records of the batch. Frozen layers stay as they are.

    Parameters
    ----------
    network : keras.Model
        Changed in place.
    batches : iterable of mapping of str to array
        Inputs of training records, and of these alone.
    """
    layers: list[Any] = [
        layer
        for layer in network._flatten_layers()
        if isinstance(layer, keras.layers.BatchNormalization) and layer.trainable
    ]
    if not layers:
        return
    momenta, found, sizes = [layer.momentum for layer in layers], [], []
    for layer in layers:
        layer.momentum = 0.0  # the moving statistics are then those of the last batch
    for batch in batches:
        network(batch, training=True)
        sizes.append(len(next(iter(batch.values()))))
        pairs = [(layer.moving_mean, layer.moving_variance) for layer in layers]
        found.append([tuple(np.array(value, "float64") for value in pair) for pair in pairs])
    share = np.array(sizes, "float64")[:, None] / sum(sizes)
    for number, (layer, momentum) in enumerate(zip(layers, momenta, strict=True)):
        layer.momentum = momentum
        means, variances = (np.stack([batch[number][k] for batch in found]) for k in (0, 1))
        mean = (share * means).sum(axis=0)
        layer.moving_mean.assign(mean)
        layer.moving_variance.assign((share * (variances + (means - mean) ** 2)).sum(axis=0))
