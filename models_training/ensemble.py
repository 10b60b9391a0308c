"""Networks that differ in their seed alone as one flat graph, whose logit is their mean."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np

LOGIT, RISK = "logit", "risk"


def _member_name(number: int, name: str) -> str:
    """Return the name of a member's layer: the first keeps all its names but ``logit``."""
    return name if number == 0 and name != LOGIT else f"seed{number}_{name}"


def ensemble_network(model: keras.Model, members: Sequence[Sequence[np.ndarray]]) -> keras.Model:
    """Return a network that scores by the mean logit of several.

    Parameters
    ----------
    model : keras.Model
        The architecture, with layers ``logit`` and, as output, ``risk``.
    members : sequence of lists of ndarray
        Weights of each network, in the order of ``get_weights``; the first member's layers can be
        addressed by their usual names, those of the others as ``seed1_conv5_block3_out``. One
        member gives `model` with its weights.

    Returns
    -------
    keras.Model
        With the inputs of `model`; ``logit`` is the average of ``seed0_logit``, ``seed1_logit`` ...
    """
    model.set_weights(list(members[0]))
    if len(members) == 1:
        return model
    logits = []
    for number, weights in enumerate(members):
        model.set_weights(list(weights))
        part = keras.Model(model.inputs, model.get_layer(LOGIT).output)
        member = renamed_copy(
            part, lambda name, number=number: _member_name(number, name), model.inputs
        )
        member.set_weights(part.get_weights())
        logits.append(member.outputs[0])
    mean = keras.layers.Average(name=LOGIT, dtype="float32")(logits)
    whole = keras.Model(model.inputs, _copied(model.get_layer(RISK))(mean), name=model.name)
    whole.get_layer(RISK).set_weights(model.get_layer(RISK).get_weights())
    model.set_weights(list(members[0]))
    return whole


def first_member(network: keras.Model) -> keras.Model:
    """Return the first network of an ensemble, under its usual names; any other as it is."""
    name = _member_name(0, LOGIT)
    if name not in {layer.name for layer in network.layers}:
        return network
    part = keras.Model(network.inputs, network.get_layer(name).output)
    inner = renamed_copy(part, lambda layer: LOGIT if layer == name else layer, part.inputs)
    whole = keras.Model(inner.inputs, _copied(network.get_layer(RISK))(inner.outputs[0]))
    for layer in (*part.layers, network.get_layer(RISK)):
        target = LOGIT if layer.name == name else layer.name
        whole.get_layer(target).set_weights(layer.get_weights())
    return whole


def renamed_copy(model: keras.Model, rename: Callable[[str], str], inputs: Any) -> keras.Model:
    """Return a copy of a flat model whose layers have other names; its weights are new."""

    def copy(layer: Any) -> Any:
        return _copied(layer, rename(layer.name))

    return keras.models.clone_model(model, input_tensors=inputs, clone_function=copy)


def _copied(layer: Any, name: str = "") -> Any:
    config = layer.get_config()
    return type(layer).from_config(config | {"name": name or layer.name})
