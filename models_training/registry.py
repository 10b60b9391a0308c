"""The registry of pre-trained models: encoders to start from, and risk models to score with."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import tempfile
from pathlib import Path
from typing import Any

from models_training.files import written_aside

FOLDER = Path(__file__).resolve().parents[1] / "pre_trained_models"
REGISTRY_FILE, CARD_FILE = "registry.json", "card.json"
ENCODER, RISK_MODEL = "encoder", "risk model"
SCHEMA_VERSION = 1
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")  # of a folder here, never a path
_FILES = {ENCODER: "weights.npz", RISK_MODEL: "model.keras"}
# What one chooses by; a card may lack some of them.
_SHOWN = {
    ENCODER: ("architecture", "licence", "signal_chain", "leads", "metrics"),
    RISK_MODEL: (
        *("target", "target_label", "horizon_days", "is_synthetic", "covariate_names"),
        *("n_weights", "licence", "signal_chain", "leads"),
    ),
}


class RegistryError(ValueError):
    """A registered model that is not there, was changed, or is of another kind."""


def registered(folder: Path = FOLDER) -> dict[str, dict[str, Any]]:
    """Return the entries of the registry in `folder`, by name."""
    path = folder / REGISTRY_FILE
    return json.loads(path.read_text(encoding="utf-8"))["models"] if path.exists() else {}


def find_model(name: str | Path, *, kind: str, folder: Path = FOLDER) -> Path:
    """Return the folder of a registered model after its checksums, or `name` as a folder.

    Parameters
    ----------
    name : str or Path
        A name in ``registry.json``, or a folder, which is returned as it is.
    kind : str
        ``encoder`` or ``risk model``.
    folder : Path
        Where the registry lies.

    Raises
    ------
    RegistryError
        If the registered model is of the other kind, or a file is absent or was changed.
    """
    entry = registered(folder).get(str(name))
    if entry is None:
        return Path(name)
    if entry["kind"] != kind:
        raise RegistryError(
            f"{name} must be registered as {kind}, got {entry['kind']}. Name another model."
        )
    for file, expected in entry["sha256"].items():
        path = folder / str(name) / file
        if not path.exists() or sha256_of(path) != expected:
            raise RegistryError(
                f"{file} of {name} must have the checksum of the registry, got "
                f"{'another' if path.exists() else 'no such file'}. It was changed, damaged or "
                "lost: copy it again."
            )
    return folder / str(name)


def register(directory: Path) -> None:
    """Add a model to the registry beside its folder, with the checksums of its files.

    Parameters
    ----------
    directory : Path
        With ``card.json`` and ``weights.npz`` (an encoder) or ``model.keras`` (a bundle).

    Raises
    ------
    RegistryError
        If the card does not say what the model was trained on.
    """
    models = registered(directory.parent) | {directory.name: _entry(directory)}
    content = {"schema_version": SCHEMA_VERSION, "models": models}
    with written_aside(directory.parent / REGISTRY_FILE) as aside:
        text = json.dumps(content, indent=1, ensure_ascii=False)
        aside.write_text(text + "\n", encoding="utf-8")


def _entry(directory: Path) -> dict[str, Any]:
    card = json.loads((directory / CARD_FILE).read_text(encoding="utf-8"))
    kind = ENCODER if (directory / _FILES[ENCODER]).exists() else RISK_MODEL
    trained_on = card.get("trained_on", {})
    corpora = trained_on.get("cohorts") or [trained_on.get("cohort")]
    if None in corpora:
        raise RegistryError(
            f"{CARD_FILE} must name what the model was trained on (trained_on.cohort), got none. "
            "Train it again, or add the name of its cohort to the card."
        )
    return {
        "kind": kind,
        "sha256": {name: sha256_of(directory / name) for name in (CARD_FILE, _FILES[kind])},
        "corpora": corpora,
        **{name: card[name] for name in _SHOWN[kind] if name in card},
    }


def share(directory: Path, name: str, *, folder: Path = FOLDER) -> Path:
    """Copy a trained network, or an encoder, with its cards to the registry's folder.

    Parameters
    ----------
    directory : Path
        ``runs/<run>/02_models/<variant>``, or the folder of an encoder. No data of patients are
        copied, but the card names the checksums of the ECG files it was trained on.
    name : str
        Of the model, new in the registry.

    Returns
    -------
    Path
        The new folder, registered.

    Raises
    ------
    RegistryError
        If the name is taken or none, there is no such model, or its card is incomplete; nothing is
        left then.
    """
    if not _NAME.fullmatch(name):
        raise RegistryError(
            f"name must be letters, digits, _, - and . and begin with a letter or digit, got "
            f"{name!r}. Choose another name."
        )
    target = folder / name
    if target.exists() or name in registered(folder):
        raise RegistryError(f"name must be new in the registry, got {name}. Choose another name.")
    found = [directory / file for file in _FILES.values() if (directory / file).exists()]
    if not found or not (directory / CARD_FILE).exists():
        raise RegistryError(
            f"model must have {CARD_FILE} and {' or '.join(_FILES.values())}, got "
            f"{directory.name!r}. Name the folder of a trained network or of an encoder."
        )
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".aside-", dir=folder) as parent:
        aside = Path(parent) / name
        aside.mkdir()
        for path in (*found, directory / CARD_FILE, directory / "MODEL_CARD.md"):
            if path.exists():
                shutil.copyfile(path, aside / path.name)
        _entry(aside)  # refused before anything is in place
        aside.rename(target)
    register(target)
    return target


def sha256_of(path: Path) -> str:
    """Return the checksum of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
