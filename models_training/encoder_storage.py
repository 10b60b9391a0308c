"""An encoder on disk: weights as float16, half the size, with a card."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from models_training.files import written_aside
from models_training.registry import CARD_FILE, SCHEMA_VERSION, sha256_of

if TYPE_CHECKING:
    import keras

    from models_training.pretraining_recipe import PretrainingSettings

WEIGHTS_FILE = "weights.npz"
_REQUIRED = ("architecture", "signal_chain", "leads", "targets", "trained_on", "licence")


def encoder_card(
    settings: PretrainingSettings, *, targets: Sequence[str], trained_on: Mapping[str, Any]
) -> dict[str, Any]:
    """Return what a card says of the training; signal chain, leads and licence are to be added.

    Parameters
    ----------
    settings : PretrainingSettings
        As trained.
    targets : sequence of str
        Outputs of the layer ``logit``, in their order.
    trained_on : mapping
        ``cohorts, file_sha256`` and what else is known of the training records.
    """
    recipe = asdict(settings)
    return {
        "architecture": recipe.pop("architecture"),
        "recipe": recipe,
        "targets": list(targets),
        "trained_on": dict(trained_on),
    }


def write_encoder(directory: Path, network: keras.Model, card: Mapping[str, Any]) -> None:
    """Write the weights of a network and its card; the card is written last.

    ``weights.npz`` holds float16 arrays named ``<layer>/<number>`` in the order of
    ``layer.weights``; layers without weights, and states of dropout, are left out.

    Parameters
    ----------
    directory : Path
        Folder of the encoder; its name is the encoder's.
    network : keras.Model
        Trunk and the layer ``logit``.
    card : mapping
        At least ``architecture, signal_chain, leads, targets, trained_on, licence``.

    Raises
    ------
    ValueError
        If the card lacks one of these, or a weight is too large for float16.
    """
    absent = [name for name in _REQUIRED if name not in card]
    if absent:
        raise ValueError(
            f"card must have {', '.join(_REQUIRED)}, missing: {', '.join(absent)}. Add it."
        )
    arrays = {
        f"{layer.name}/{number}": _half(weight, layer.name)
        for layer in network.layers
        for number, weight in enumerate(layer.get_weights())
        if np.issubdtype(weight.dtype, np.floating)
    }
    with written_aside(directory / WEIGHTS_FILE) as aside, aside.open("wb") as file:
        np.savez(file, **arrays)
    content = {
        "schema_version": SCHEMA_VERSION,
        "weights_sha256": sha256_of(directory / WEIGHTS_FILE),
        "n_weights": int(sum(array.size for array in arrays.values())),
        "stored_as": "float16",
        "strides": {
            layer.name: int(layer.strides[0])
            for layer in network.layers
            if layer.weights and hasattr(layer, "strides")
        },
        "versions": {name: metadata.version(name) for name in ("keras", "numpy")},
        **card,
    }
    with written_aside(directory / CARD_FILE) as aside:
        text = json.dumps(content, indent=1, ensure_ascii=False)
        aside.write_text(text + "\n", encoding="utf-8")


def _half(weight: np.ndarray, layer: str) -> np.ndarray:
    if not np.abs(weight).max(initial=0.0) <= np.finfo("float16").max:  # NaN fails too
        raise ValueError(
            f"weights of {layer} must be finite and below 65504 to be stored as float16, got "
            f"{np.abs(weight).max():g}. Train again with more weight decay."
        )
    return weight.astype("float16")
