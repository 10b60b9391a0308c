"""Models of Keras 2 in ``.h5`` files: opened where Keras 3 can, otherwise refused with the reason.

Keras 3 opens plain ``.h5`` models (the outputs agree to 1e-6); it opens neither ``.keras`` files of
Keras 2 nor SavedModel folders, and nothing that carries code of its own.
"""

from __future__ import annotations

import json
import re
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np

from models_training.layers import TrainingScale

_AGAIN = "In the environment that made it, call model.save('model.h5') and import that file."
_CARRY_CODE = {
    "Lambda": "it carries code, which safe mode does not run",
    "TFOpLambda": "it calls a TensorFlow function, which Keras 3 cannot rebuild",
    "SlicingOpLambda": "it slices by a TensorFlow function, which Keras 3 cannot rebuild",
}
_MODELS = ("Functional", "Model", "Sequential")


class LegacyError(ValueError):
    """A file of an older Keras that cannot be used here."""


def load_legacy(path: Path) -> keras.Model:
    """Return the network of a Keras-2 ``.h5`` file, in safe mode and without its optimizer.

    Losses and metrics are not loaded, so those of one's own or of an add-on do not matter.

    Raises
    ------
    LegacyError
        If the file is of another kind, holds weights only, or has a layer that Keras 3 lacks.

    Examples
    --------
    >>> model = load_legacy(Path("model.h5"))  # doctest: +SKIP
    """
    _refuse_other_kinds(path)
    config = _model_config(path)
    if config is None:
        raise LegacyError(
            f"{path.name} must hold a model, got weights only. Declare the `architecture` they "
            "belong to in the card."
        )
    for name in dict.fromkeys(_layer_classes(config)):
        if why := _why_not(name):
            raise LegacyError(
                f"layers must be Keras' own, got {name}: {why}. Rebuild the network without it "
                "and copy its weights, or import the weights into an `architecture` of this "
                "project."
            )
    try:
        with warnings.catch_warnings():  # on spellings of Keras 2 that Keras 3 still reads
            warnings.simplefilter("ignore", UserWarning)
            model: Any = keras.models.load_model(path, compile=False, safe_mode=True)
    except (TypeError, ValueError, KeyError, NotImplementedError, AttributeError) as error:
        reason = " ".join(str(error).split())[:300]
        raise LegacyError(
            f"{path.name} must be a model that Keras 3 can rebuild; it says: {reason}. Rebuild the "
            "network and copy its weights, or import them into an `architecture` of this project."
        ) from error
    return model


def load_legacy_weights(
    path: Path, model: keras.Model, layer_names: Mapping[str, str] | None = None
) -> None:
    """Write the weights of a Keras-2 ``.h5`` file into a network of ours, layer by layer by name.

    A convolution of one sample fits our dense layer: the same matrix. The scaling layers are left
    as they are; a legacy file has none.

    Parameters
    ----------
    path : Path
        A whole model or weights only.
    model : keras.Model
        Of :func:`models_training.architectures.build_network`.
    layer_names : mapping of str to str
        Name in the file of those of our layers that are called otherwise there.

    Raises
    ------
    LegacyError
        If a layer is missing on either side, or a shape differs. Nothing is written then.
    """
    _refuse_other_kinds(path)
    stored, renamed = _stored_weights(path), dict(layer_names or {})
    problems, found = [], []
    for layer in model.layers:
        if not layer.weights or isinstance(layer, TrainingScale):
            continue
        arrays = stored.pop(renamed.get(layer.name, layer.name), None)
        if arrays is None:
            problems.append(f"{layer.name} is missing")
            continue
        shapes = [tuple(weight.shape) for weight in layer.weights]
        fitted = [_without_kernel_axis(array, shape) for array, shape in zip(arrays, shapes)]  # noqa: B905
        if len(arrays) != len(shapes) or [array.shape for array in fitted] != shapes:
            theirs = [array.shape for array in arrays]
            problems.append(f"{layer.name} must have weights of shape {shapes}, got {theirs}")
        found.append((layer, fitted))
    problems += [f"{name} is not in our network" for name in stored]
    if problems:
        raise LegacyError(
            f"weights must fit the declared architecture, {len(problems)} layers do not: "
            f"{'; '.join(problems[:3])}. Change `architecture` or `layer_names` in the card."
        )
    for layer, arrays in found:
        layer.set_weights(arrays)


def _refuse_other_kinds(path: Path) -> None:
    """Refuse what is no HDF5 file, saying what it is."""
    if path.is_dir():
        raise LegacyError(
            f"model must be a .h5 file, got the folder {path.name!r}: Keras 3 cannot open a "
            f"SavedModel as a network. {_AGAIN}"
        )
    if not path.is_file():
        raise FileNotFoundError(f"model must be a file, got no {path.name!r}. Correct the name.")
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            about = archive.read("metadata.json") if "metadata.json" in archive.namelist() else "{}"
        version = json.loads(about).get("keras_version", "unknown")
        what = "Keras 3 cannot open a .keras file of Keras 2. " + _AGAIN
        if not version.startswith("2"):
            what = "Only files of Keras 2 are imported."
        raise LegacyError(f"model must be a .h5 file, got a .keras file (Keras {version}). {what}")
    if not h5py.is_hdf5(path):
        raise LegacyError(
            f"model must be a .h5 file, got {path.name}, which is no HDF5 file. If it is a few "
            "hundred bytes long, it may be the pointer of an unfetched large file."
        )


def _model_config(path: Path) -> dict[str, Any] | None:
    with h5py.File(path) as file:
        text = file.attrs.get("model_config")
    return None if text is None else json.loads(text)


def _layer_classes(config: Any) -> list[str]:
    """Return the class of every layer of a Keras-2 configuration, also of wrapped and nested."""
    if isinstance(config, list):
        return [name for value in config for name in _layer_classes(value)]
    if not isinstance(config, dict):
        return []
    inner = config.get("config")
    own: list[str] = []
    if "class_name" in config and isinstance(inner, dict) and "name" in inner:
        own = [str(config["class_name"])]
    inside = [value for key, value in config.items() if key != "dtype"]
    return own + [name for value in inside for name in _layer_classes(value)]


def _why_not(name: str) -> str:
    """Return why Keras 3 cannot rebuild a class of layers; empty if it can."""
    if name in _CARRY_CODE:
        return _CARRY_CODE[name]
    if ">" in name:
        return f"it comes from the package {name.split('>')[0]}, not from Keras"
    if name in _MODELS or hasattr(keras.layers, name):
        return ""
    return "Keras 3 has no layer of this name"


def _stored_weights(path: Path) -> dict[str, list[np.ndarray]]:
    """Return the weights of each layer that has any, in the order of the file."""
    with h5py.File(path) as file:
        group: Any = file.get("model_weights", file)
        names = _names(group, "layer_names")
        if not names:
            raise LegacyError(
                f"{path.name} must hold the weights of a Keras-2 network, got an HDF5 file without "
                "`layer_names`. Save them there with model.save_weights('weights.h5')."
            )
        stored = {
            name: [np.asarray(group[name][key]) for key in _names(group[name], "weight_names")]
            for name in names
        }
    return {name: arrays for name, arrays in stored.items() if arrays}


def _names(group: Any, attribute: str) -> list[str]:
    """Return a list of names; Keras 2 splits long ones: ``layer_names0``, ``layer_names1`` ..."""
    keys = [key for key in group.attrs if re.fullmatch(rf"{attribute}\d*", key)]
    keys.sort(key=lambda key: int(key.removeprefix(attribute) or 0))
    names = [name for key in keys for name in group.attrs[key]]
    return [name.decode() if isinstance(name, bytes) else str(name) for name in names]


def _without_kernel_axis(array: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Return a (1, n, m) kernel as the (n, m) of our dense layer; everything else as it is."""
    return array[0] if array.ndim == len(shape) + 1 == 3 and array.shape[0] == 1 else array
