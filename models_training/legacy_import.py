"""A legacy model and what its user declares about it, made into a bundle like any other."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np

from models_training.architectures import build_network
from models_training.bundle import save_bundle
from models_training.inputs import COVARIATE_INPUT, ECG_INPUT
from models_training.layers import TrainingScale
from models_training.legacy import LegacyError, load_legacy, load_legacy_weights
from models_training.settings import ArchitectureSettings

REQUIRED = {
    "signal_chain": "every step from a recording in mV to the model's input",
    "leads": "their order in the model's input",
    "ecg_mean_mv": "subtracted from the ECG: one number or one a lead",
    "ecg_scale_mv": "then divided by: one number or one a lead; 1 for millivolts, 0.001 for uV",
    "output": "probability or logit",
    "target": "name of the outcome",
    "horizon_days": "0 for an outcome without dates",
    "threshold": "value, rule and chosen_on; value null if there is none",
    "trained_on": "cohort, n_patients and file_sha256 (an empty list if unknown)",
    "is_synthetic": "true if it was trained on simulated patients",
}
OPTIONAL = ("covariates", "covariate_input", "architecture", "layer_names", "landmark_days")
OPTIONAL += ("target_label", "licence", "source")
_INPUTS = ("standardised", "raw")
_OUTPUTS = ("probability", "logit")


def import_legacy(path: Path, declared: Mapping[str, Any], directory: Path) -> keras.Model:
    """Write the bundle of a legacy model: nothing about its input or output is guessed.

    Parameters
    ----------
    path : Path
        A Keras-2 ``.h5`` file, or weights only with ``architecture`` declared.
    declared : mapping
        All of ``REQUIRED``; with covariates also ``covariates``, a list in the order of the
        model's input (``name, label, unit, kind, mean, scale`` of the training patients), and
        ``covariate_input``, ``standardised`` or ``raw``: what the model was fed. ``signal_chain``
        is a whole one, with ``rate_hz`` and ``duration_seconds``.
    directory : Path
        Folder of the bundle.

    Returns
    -------
    keras.Model
        The network of the bundle: inputs ``ecg`` in millivolts and ``covariates``, output ``risk``.

    Raises
    ------
    LegacyError
        If something is not declared, or the model does not fit what is.
    """
    _check_declared(declared)
    chain, covariates = declared["signal_chain"], list(declared.get("covariates") or [])
    n_samples = round(chain["rate_hz"] * chain["duration_seconds"])
    names = [item["name"] for item in covariates]
    if "architecture" in declared:
        settings = ArchitectureSettings(**_as_tuples(declared["architecture"]))
        model = build_network(n_samples=n_samples, covariate_names=names, settings=settings)
        load_legacy_weights(path, model, declared.get("layer_names"))
        _set_scaling(model, declared, covariates)
    else:
        model = _fitted(load_legacy(path), declared, n_samples, covariates)
    facts = {name: declared[name] for name in declared if name not in ("covariates", "layer_names")}
    facts |= {"covariates": covariates, "covariate_names": names, "rate_hz": chain["rate_hz"]}
    facts |= {"kind": "imported", "imported_from": path.name, "recalibration": "none"}
    save_bundle(directory, model, facts)
    return model


def _check_declared(declared: Mapping[str, Any]) -> None:
    absent = [f"{name} ({REQUIRED[name]})" for name in REQUIRED if name not in declared]
    if absent:
        raise LegacyError(f"card must declare {', '.join(absent)}. Nothing of it is guessed.")
    unknown = sorted(set(declared) - {*REQUIRED, *OPTIONAL})
    if unknown:
        known = ", ".join((*REQUIRED, *OPTIONAL))
        raise LegacyError(f"card must declare {known}, got {', '.join(unknown)}. Leave it out.")
    rules = [("output", declared["output"], _OUTPUTS)]
    if declared.get("covariates"):
        rules.append(("covariate_input", declared.get("covariate_input"), _INPUTS))
    for name, value, allowed in rules:
        if value not in allowed:
            raise LegacyError(f"{name} must be {' or '.join(allowed)}, got {value}. Declare it.")
    for key in ("value", "rule", "chosen_on"):
        if key not in declared["threshold"]:
            raise LegacyError(f"threshold must have value, rule and chosen_on, missing: {key}.")
    if "file_sha256" not in declared["trained_on"]:
        raise LegacyError("trained_on must have file_sha256, got none. Write [] if unknown.")
    _check_covariates(declared.get("covariates") or [])


def _check_covariates(covariates: list[Any]) -> None:
    for item in covariates:
        lacking = [key for key in ("name", "unit", "kind", "mean", "scale") if key not in item]
        if lacking or item["kind"] not in ("number", "binary"):
            raise LegacyError(
                "covariates must have name, unit, kind (number or binary), mean and scale, got "
                f"{item}. Declare a category as one binary a level."
            )


def _as_tuples(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: tuple(v) if isinstance(v, list) else v for name, v in values.items()}


def _fitted(
    model: keras.Model, declared: Mapping[str, Any], n_samples: int, covariates: list[Any]
) -> keras.Model:
    """Return the model behind our inputs and before our output, as one flat graph."""
    expected = [(None, n_samples, 12)] + ([(None, len(covariates))] if covariates else [])
    shapes = [tuple(tensor.shape) for tensor in model.inputs]
    fits = [tuple(s) in (e, (None, None, *e[2:])) for s, e in zip(shapes, expected, strict=False)]
    if len(shapes) != len(expected) or not all(fits):
        raise LegacyError(
            f"inputs must be {_shown(expected)} as the card declares (records, samples, leads), "
            f"got {_shown(shapes)}. A model of other leads, another length or layout cannot be fed "
            "from 12-lead ECGs without being told how: rebuild it with this input."
        )
    outputs = [tuple(tensor.shape) for tensor in model.outputs]
    if outputs != [(None, 1)]:
        raise LegacyError(
            f"output must be one number a record, (None, 1), got {_shown(outputs)}. Rebuild the "
            "last layer with one unit."
        )
    ecg = keras.Input((n_samples, 12), name=ECG_INPUT)
    inputs, passed = [ecg], [TrainingScale(name="ecg_scaling")(ecg)]
    if covariates:
        inputs.append(keras.Input((len(covariates),), name=COVARIATE_INPUT))
        passed.append(TrainingScale(name="covariate_scaling")(inputs[1]))
        if declared["covariate_input"] == "raw":  # back to their units, but never missing
            mean, variance = _statistics(covariates)[0], _statistics(covariates)[1] ** 2
            passed[1] = keras.layers.Normalization(
                mean=mean, variance=variance, invert=True, name="covariate_units"
            )(passed[1])
    # `call`, not `model(...)`: its layers join ours in one flat graph, where they have their names
    found: Any = model.call(passed[0] if isinstance(model, keras.Sequential) else passed)
    score = found[0] if isinstance(found, list) else found
    _check_output(model, declared["output"])
    if declared["output"] == "logit":
        score = keras.layers.Activation("sigmoid", name="risk", dtype="float32")(score)
    whole = keras.Model(inputs, score, name=f"imported_{model.name}")
    _set_scaling(whole, declared, covariates)
    return whole


def _check_output(model: keras.Model, output: str) -> None:
    activation: Any = getattr(model.layers[-1], "activation", None)
    name = getattr(activation, "__name__", "none")
    expected = "sigmoid" if output == "probability" else "linear"
    if name != expected:
        raise LegacyError(
            f"the last layer must have a {expected} activation for output {output}, got {name}. "
            "Correct `output` in the card."
        )


def _set_scaling(model: keras.Model, declared: Mapping[str, Any], covariates: list[Any]) -> None:
    mean, scale = (np.broadcast_to(declared[f"ecg_{name}_mv"], 12) for name in ("mean", "scale"))
    layer: Any = model.get_layer("ecg_scaling")
    layer.set_statistics(np.asarray(mean, "float32"), np.asarray(scale, "float32"))
    if covariates:
        layer = model.get_layer("covariate_scaling")
        layer.set_statistics(*_statistics(covariates))


def _statistics(covariates: list[Any]) -> tuple[np.ndarray, np.ndarray]:
    mean, scale = ([item[key] for item in covariates] for key in ("mean", "scale"))
    return np.asarray(mean, "float32"), np.asarray(scale, "float32")


def _shown(shapes: list[tuple[Any, ...]]) -> str:
    return " and ".join(map(str, shapes))
