"""The model bundle: a network (or the clinical model) and its card, checked on loading."""

from __future__ import annotations

import json
import zipfile
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from models_training.clinical_model import ClinicalModel
from models_training.files import written_aside
from models_training.registry import CARD_FILE, sha256_of

if TYPE_CHECKING:  # the clinical model is written and read without Keras
    import keras

MODEL_FILE, CLINICAL_FILE = "model.keras", "clinical_model.json"
SCHEMA_VERSION = 1
_REQUIRED = ("signal_chain", "covariate_names", "target", "horizon_days", "threshold")
_CODE_CLASSES = ("Lambda",)


class BundleError(ValueError):
    """A bundle is damaged, incomplete, or wants to run code."""


def save_bundle(directory: Path, model: keras.Model | ClinicalModel, card: dict[str, Any]) -> None:
    """Write a model and its card; the card holds the checksum and is written last.

    Parameters
    ----------
    directory : Path
        Folder of the variant.
    model : keras.Model or ClinicalModel
        A network is saved without its optimizer's state.
    card : dict
        At least ``signal_chain``, ``covariate_names``, ``target``, ``horizon_days``, ``threshold``.

    Raises
    ------
    BundleError
        If the card lacks one of these.
    """
    absent = [name for name in _REQUIRED if name not in card]
    if absent:
        raise BundleError(f"card must have {', '.join(_REQUIRED)}, missing: {', '.join(absent)}.")
    if isinstance(model, ClinicalModel):
        path = directory / CLINICAL_FILE
        with written_aside(path) as aside:
            aside.write_text(json.dumps(model.to_dict(), indent=1) + "\n", encoding="utf-8")
    else:
        path = directory / MODEL_FILE
        with written_aside(path) as aside:
            model.save(aside, include_optimizer=False)
    content = {
        "schema_version": SCHEMA_VERSION,
        "model_file": path.name,
        "sha256": sha256_of(path),
        "keras": metadata.version("keras"),
        **card,
    }
    with written_aside(directory / CARD_FILE) as aside:
        text = json.dumps(content, indent=1, ensure_ascii=False)
        aside.write_text(text + "\n", encoding="utf-8")


def load_card(directory: Path) -> dict[str, Any]:
    """Return the card of a bundle.

    Raises
    ------
    FileNotFoundError
        If there is none.
    BundleError
        If it is of another version or incomplete.
    """
    path = directory / CARD_FILE
    if not path.exists():
        raise FileNotFoundError(
            f"{CARD_FILE} must be in the bundle {directory.name!r}, got no such file. Name the "
            "folder of a trained variant."
        )
    card = json.loads(path.read_text(encoding="utf-8"))
    absent = [name for name in (*_REQUIRED, "sha256", "model_file") if name not in card]
    if card.get("schema_version") != SCHEMA_VERSION or absent:
        raise BundleError(
            f"{CARD_FILE} must have schema version {SCHEMA_VERSION} and all fields, got version "
            f"{card.get('schema_version')}, missing: {', '.join(absent) or 'none'}. Train again."
        )
    return card


def other_task(card: dict[str, Any]) -> str:
    """Return why what needs one binary outcome cannot use a bundle; empty where it can."""
    task = card.get("task", "binary")  # older cards are all of one outcome
    return "" if task == "binary" else f"task must be binary here, and the model's is {task}"


def load_bundle(directory: str | Path) -> tuple[keras.Model, dict[str, Any]]:
    """Return the network and the card of a bundle, in safe mode and after its checksum.

    Raises
    ------
    FileNotFoundError
        If the bundle is incomplete.
    BundleError
        If it is the clinical model (no network), was changed since it was written, or wants to
        run code of its own.
    """
    import keras

    from models_training.layers import CUSTOM_OBJECTS

    directory = Path(directory)
    card = load_card(directory)
    path = directory / card["model_file"]
    if path.name != MODEL_FILE:
        raise BundleError(
            f"bundle must hold a network, got {path.name}. Use load_clinical for that model."
        )
    if not path.exists():
        raise FileNotFoundError(
            f"{MODEL_FILE} must be in the bundle, got no such file. Train again."
        )
    if sha256_of(path) != card["sha256"]:
        raise BundleError(
            f"{MODEL_FILE} must have the checksum of its card, got another. It was changed or "
            "damaged: do not use it; copy the bundle again or train again."
        )
    _refuse_code(path)
    model: Any = keras.models.load_model(
        path, custom_objects=CUSTOM_OBJECTS, compile=False, safe_mode=True
    )
    return model, card


def load_clinical(directory: str | Path) -> tuple[ClinicalModel, dict[str, Any]]:
    """Return the clinical model and its card, after its checksum.

    Raises
    ------
    BundleError
        If the bundle holds a network, or was changed.
    """
    directory = Path(directory)
    card = load_card(directory)
    path = directory / card["model_file"]
    if path.name != CLINICAL_FILE or sha256_of(path) != card["sha256"]:
        raise BundleError(
            f"bundle must hold an unchanged {CLINICAL_FILE}, got {path.name}. Use load_bundle for "
            "networks."
        )
    return ClinicalModel.from_dict(json.loads(path.read_text())), card


def _refuse_code(path: Path) -> None:
    """Refuse a file whose configuration names a layer that carries code."""
    try:
        with zipfile.ZipFile(path) as archive:
            config = json.loads(archive.read("config.json"))
    except (zipfile.BadZipFile, KeyError, json.JSONDecodeError):
        raise BundleError(
            f"{path.name} must be a Keras 3 .keras file, got something else. A legacy .h5 "
            "model is brought in by `python -m workflow import-legacy`."
        ) from None
    found = sorted(set(_class_names(config)) & set(_CODE_CLASSES))
    if found:
        raise BundleError(
            f"{path.name} must not carry code, got {', '.join(found)} layers. Rebuild the "
            "network without it."
        )


def _class_names(config: Any) -> list[str]:
    """Return every class name in a nested configuration."""
    if isinstance(config, dict):
        own = [str(config["class_name"])] if "class_name" in config else []
        return own + [name for value in config.values() for name in _class_names(value)]
    if isinstance(config, list):
        return [name for value in config for name in _class_names(value)]
    return []
