"""Pre-trained encoders: found by name, checked against the cohort, their weights put in place."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from models_training.external_checks import ExternalError, check_encoder, check_overlap
from models_training.registry import (
    CARD_FILE,
    ENCODER,
    FOLDER,
    RegistryError,
    find_model,
    registered,
    sha256_of,
)
from models_training.settings import ArchitectureSettings

if TYPE_CHECKING:
    import keras

WEIGHTS_FILE = "weights.npz"
_REQUIRED = ("architecture", "signal_chain", "leads", "trained_on")
_ANY_LENGTH = ("duration_seconds", "pad_short")  # of the ECG: a convolution takes any
_OF_THE_HEAD = ("dropout", "covariate_units", "use_amplitude")
_BESIDE = "amplitude"  # beginning of the layers' names that stand beside the trunk, with the head
_OF_OTHERS = ("n_random_features",)  # an encoder has none


class PretrainedError(ValueError):
    """An encoder that is not there, is damaged, or does not belong to this cohort or network."""


@dataclass(frozen=True)
class Pretrained:
    """An encoder as it was stored.

    Attributes
    ----------
    name : str
        Of the registry, or of its folder.
    card : dict
        Architecture, signal chain, training corpora, licence, metrics.
    weights : dict
        From the name of a layer to its arrays, float32, in the order of ``layer.weights``.
    sha256 : str
        Of the file of weights.
    """

    name: str
    card: dict[str, Any]
    weights: dict[str, list[np.ndarray]]
    sha256: str

    @property
    def origin(self) -> dict[str, Any]:
        """What the card of a network says that started from it."""
        trained_on = self.card["trained_on"]
        kept = {key: self.card[key] for key in ("licence",) if key in self.card}
        kept |= {key: trained_on[key] for key in ("hashed",) if key in trained_on}
        cohorts = trained_on.get("cohorts", [])
        return {"name": self.name, "sha256": self.sha256, "cohorts": cohorts, **kept}

    @property
    def file_sha256(self) -> list[str]:
        """Hashes of the ECG files it has seen, and so has a network that starts from it."""
        return list(self.card["trained_on"]["file_sha256"])


def load_pretrained(name: str | Path, *, folder: Path = FOLDER) -> Pretrained:
    """Return an encoder of the registry, or of a folder, after its checksums.

    Parameters
    ----------
    name : str or Path
        A name in ``registry.json``, or the folder of an encoder.
    folder : Path
        Where the registry lies.

    Raises
    ------
    PretrainedError
        If there is no such encoder, a file was changed, or its card is incomplete.
    """
    try:
        directory = find_model(name, kind=ENCODER, folder=folder)
    except RegistryError as error:
        raise PretrainedError(str(error)) from None
    if not all((directory / file).exists() for file in (CARD_FILE, WEIGHTS_FILE)):
        known = [key for key, entry in registered(folder).items() if entry["kind"] == ENCODER]
        raise PretrainedError(
            f"pretrained must be one of {', '.join(known) or '(the registry is empty)'}, or a "
            f"folder with {CARD_FILE} and {WEIGHTS_FILE}, got {str(name)!r}. Check the name."
        )
    card = json.loads((directory / CARD_FILE).read_text(encoding="utf-8"))
    absent = [key for key in _REQUIRED if key not in card]
    if absent:
        raise PretrainedError(
            f"{CARD_FILE} of {directory.name} must have {', '.join(_REQUIRED)}, missing: "
            f"{', '.join(absent)}. Make the encoder again."
        )
    sha256 = sha256_of(directory / WEIGHTS_FILE)
    if card.get("weights_sha256", sha256) != sha256:
        raise PretrainedError(
            f"{WEIGHTS_FILE} of {directory.name} must have the checksum of its card, got another. "
            "It was changed, damaged, or belongs to another card: copy both again."
        )
    weights: dict[str, list[np.ndarray]] = {}
    with np.load(directory / WEIGHTS_FILE, allow_pickle=False) as stored:
        for key in sorted(stored.files, key=_layer_and_number):
            weights.setdefault(_layer_and_number(key)[0], []).append(stored[key].astype("float32"))
    return Pretrained(directory.name, card, weights, sha256)


def _layer_and_number(key: str) -> tuple[str, int]:
    layer, _, number = key.rpartition("/")
    return layer, int(number)


def check_pretrained(
    pretrained: Pretrained,
    dataset: Mapping[str, Any],
    records: pd.DataFrame,
    architecture: ArchitectureSettings,
) -> str:
    """Refuse a cohort or a network that an encoder must not, or cannot, be used for.

    Parameters
    ----------
    pretrained : Pretrained
        The encoder.
    dataset
        ``dataset.json`` of the cohort.
    records : DataFrame
        ``record_id, patient_id, file_sha256`` of the cohort.
    architecture : ArchitectureSettings
        Of the network that is to start from it; head, covariates and the input of the leads'
        amplitudes are free.

    Returns
    -------
    str
        What was compared, in words.

    Raises
    ------
    PretrainedError
        If architecture, leads or signal chain differ, or the cohort is or holds one of its corpora.
    ExternalError
        If an ECG file of the cohort was used to train it.
    """
    card, name = pretrained.card, pretrained.name
    theirs = {**asdict(ArchitectureSettings()), **card["architecture"]}
    for key, ours in asdict(architecture).items():
        if key not in (*_OF_THE_HEAD, *_OF_OTHERS) and _plain(theirs[key]) != _plain(ours):
            shown = "architecture" if key == "name" else key
            raise PretrainedError(
                f"{shown} must be {_plain(theirs[key])} as in the encoder {name}, got "
                f"{_plain(ours)}. Set the parameter so, or choose another encoder."
            )
    chains = [
        {**facts["signal_chain"], "leads": ", ".join(facts["leads"])} for facts in (card, dataset)
    ]
    for key in {**chains[0], **chains[1]}:
        expected, found = chains[0].get(key), chains[1].get(key)
        if key not in _ANY_LENGTH and expected != found:
            raise PretrainedError(
                f"{key} of the signal chain must be {expected} as the encoder {name} was trained "
                f"with, got {found}. Prepare the cohort so, or choose another encoder."
            )
    try:
        note = check_encoder(pretrained.origin, dataset)
    except ExternalError as error:
        raise PretrainedError(str(error)) from None
    return note or check_overlap(card, records)


def _plain(value: Any) -> Any:
    """Return a value as a parameter shows it: ``3-4-6-3``."""
    return "-".join(map(str, value)) if isinstance(value, list | tuple) else value


def transfer(pretrained: Pretrained, trunk: keras.Model) -> None:
    """Put an encoder's weights into the layers of a trunk that have the same names.

    Layers of the leads' amplitudes stay as they are: they learn with the head.

    Parameters
    ----------
    pretrained : Pretrained
        The encoder.
    trunk : keras.Model
        From ECG to pooled features, for ECGs of any length (`models_training.embeddings.trunk_of`).

    Raises
    ------
    PretrainedError
        If a layer of the trunk has no weights in the encoder, or of another shape, or shortens the
        ECG by another factor (`wide_resnet` for ECGs of another length).
    """
    strides = pretrained.card.get("strides", {})
    for layer in trunk.layers:
        if not layer.weights or layer.name.startswith(_BESIDE):
            continue
        expected = [tuple(weight.shape) for weight in layer.weights]
        found = [array.shape for array in pretrained.weights.get(layer.name, [])]
        if expected != found:
            raise PretrainedError(
                f"layer {layer.name} of the encoder {pretrained.name} must have weights of shape "
                f"{expected}, got {found or 'none'}. Use the architecture of its card."
            )
        if layer.name in strides and strides[layer.name] != layer.strides[0]:
            raise PretrainedError(
                f"layer {layer.name} must shorten the ECG by {strides[layer.name]} as in the "
                f"encoder {pretrained.name}, got {layer.strides[0]}. Use ECGs, or pieces, of the "
                "length it was made for."
            )
        layer.set_weights(pretrained.weights[layer.name])
