"""How fast each layer may move away from the weights it began with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras

from models_training.fast_layers import BatchNormalization


def freeze_for_good(trunk: keras.Model, phases: Sequence[Mapping[str, float]]) -> None:
    """Freeze the layers that learn in no phase, before the network is compiled.

    A step then computes no gradient below the first layer that ever learns: a linear probe costs
    little more than the scores of its ECGs.

    Parameters
    ----------
    trunk : keras.Model
        Part of the network.
    phases : sequence of mapping of str to float
        For each phase, the share of the learning rate by layer name.
    """
    for layer in trunk.layers:
        if layer.weights and not any(rates.get(layer.name, 1.0) for rates in phases):
            layer.trainable = False


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
