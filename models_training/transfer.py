"""Weights from another network, and how fast each layer may move away from them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from models_training.fast_layers import BatchNormalization


def copy_weights(
    source: keras.Model, network: keras.Model, *, skipped: tuple[str, ...] = ("logit", "risk")
) -> str:
    """Give the layers of a network the weights of those of the same name.

    Parameters
    ----------
    source, network : keras.Model
        Where the weights come from, and where they go.
    skipped : tuple of str
        Layers that keep their own.

    Returns
    -------
    str
        Hash of the copied weights.

    Raises
    ------
    ValueError
        If no layer fits, or one of the same name has other shapes.
    """
    digest, theirs = hashlib.sha256(), {layer.name: layer for layer in source.layers}
    names = [layer.name for layer in network.layers if layer.weights and layer.name in theirs]
    names = [name for name in names if name not in skipped]
    if not names:
        raise ValueError(
            "source must have layers named like the network's, got none. Use the architecture of "
            "the pre-trained network."
        )
    for name in names:
        values = theirs[name].get_weights()
        network.get_layer(name).set_weights(values)  # refuses other shapes
        for value in values:
            digest.update(np.ascontiguousarray(value).tobytes())
    return digest.hexdigest()


def set_layer_rates(
    network: keras.Model, rates: Mapping[str, float], *, freeze_statistics: bool = False
) -> None:
    """Scale the learning rate of layers of a compiled network; 0 freezes them.

    Parameters
    ----------
    network : keras.Model
        Compiled with `FlatAdamW`.
    rates : mapping of str to float
        From the beginning of layers' names to a factor; the longest that fits counts, and 1 where
        none does.
    freeze_statistics : bool
        Whether all batch normalisation uses its moving statistics; else that of frozen layers. The
        graph is traced again only where this changes. Only layers of `models_training.layers` can.

    Examples
    --------
    >>> set_layer_rates(network, {"": 0.0, "logit": 1.0})  # a linear probe
    """
    factors: dict[int, float] = {}
    has_changed = False
    for layer in network.layers:
        fitting = [name for name in rates if layer.name.startswith(name)]
        rate = rates[max(fitting, key=len)] if fitting else 1.0
        factors |= {id(variable): rate for variable in layer.trainable_variables}
        if isinstance(layer, BatchNormalization):
            is_frozen = freeze_statistics or rate == 0
            has_changed |= layer.is_frozen != is_frozen
            layer.is_frozen = is_frozen
    optimizer: Any = network.optimizer
    optimizer.set_rates([factors[id(variable)] for variable in network.trainable_variables])
    if has_changed:
        network.make_train_function(force=True)
