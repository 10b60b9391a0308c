"""SHAP of the ECG and the covariates together: shap's DeepExplainer, in a process of its own.

It changes TensorFlow's gradients while it works; where one call fails, GradientExplainer fails in
that process ever after.
"""

from __future__ import annotations

import importlib
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import keras
import numpy as np

from explainability.batch_maps import BatchExplainer, BatchMap
from explainability.coalitions import shap_random
from explainability.model_access import Inputs, check_inputs
from explainability.scores import Score
from explainability.shap_maps import (
    BackgroundSettings,
    check_for_shap,
    logits_of,
    scaled_network,
    shap_batch_map,
)


def deep_shap_explainer(
    model: keras.Model, settings: BackgroundSettings, *, score: Score | None = None
) -> BatchExplainer:
    """Return a function from a batch and its rows to SHAP values by shap.DeepExplainer.

    Every call starts a process (some ten seconds), so batches should be large. A network in mixed
    precision is explained by its float32 twin.

    Parameters
    ----------
    model, settings, score
        As for `gradient_shap_explainer`; `n_draws` and `seed` are not used.

    Returns
    -------
    callable
        To a `BatchMap` as of `gradient_shap_explainer`, without sampling error.

    Raises
    ------
    ArithmeticError
        By the callable, if the values do not sum up: DeepExplainer has no rule for part of the
        network, and its values are wrong.
    ValueError
        By the callable, if it refuses the network.

    References
    ----------
    Shrikumar et al. 2017, https://proceedings.mlr.press/v70/shrikumar17a.html.
    """
    logit = check_for_shap(model, score, "shap_deep")
    network, scale = scaled_network(float32_copy(model), logit.layer_name)
    background = scale(check_inputs(model, settings.background))
    at_start = logits_of(network, background, logit).mean()

    def explain(batch: Inputs, rows: slice) -> BatchMap:
        points = scale(batch)
        found = [part[..., logit.column : logit.column + 1]
                 for part in run_deep_explainer(network, points, background)]  # fmt: skip
        scores = logits_of(network, points, logit)
        result = shap_batch_map(found, batch, scores, at_start, settings, logit)
        assert result.table is not None
        if not result.table["is_complete"].all():
            worst = result.table["completeness_error"].to_numpy()
            raise ArithmeticError(
                "SHAP values of shap_deep must sum to the change of the logit, got an error of "
                f"{worst.max():.0%} in row {rows.start + int(worst.argmax())}. The network has a "
                "layer DeepExplainer has no right rule for; use shap_gradient."
            )
        return result

    return explain


def run_deep_explainer(
    network: keras.Model, points: list[np.ndarray], background: list[np.ndarray]
) -> list[np.ndarray]:
    """Return DeepExplainer's values, one array an input with the outputs as last axis.

    Raises
    ------
    ValueError
        If shap refuses the network.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        network.save(folder / "network.keras")
        parts = {"points": points, "background": background}
        np.savez(folder / "inputs.npz", **{f"{key}_{number}": array for key, arrays in parts.items()
                                           for number, array in enumerate(arrays)})  # fmt: skip
        modules = {type(layer).__module__ for layer in network.layers}
        own = sorted(module for module in modules if module.split(".")[0] != "keras")
        code = "import sys; sys.path[:0] = sys.argv[1].split('\\n'); "
        code += "from explainability.shap_deep import deep_process; deep_process(*sys.argv[2:])"
        path = "\n".join(["", *sys.path, str(Path(__file__).resolve().parents[1])])
        done = subprocess.run(
            [sys.executable, "-c", code, path, str(folder), *own], capture_output=True, text=True
        )
        if done.returncode:
            last = (done.stderr.strip().splitlines() or ["no message"])[-1]
            raise ValueError(
                f"model must be made of layers shap's DeepExplainer knows, got: {last} "
                "Use shap_gradient or integrated_gradients."
            )
        with np.load(folder / "values.npz") as stored:
            return [stored[f"values_{number}"] for number in range(len(points))]


def deep_process(folder_name: str, *modules: str) -> None:
    """Explain what `run_deep_explainer` left in a folder; `modules` define the network's layers."""
    folder = Path(folder_name)
    for module in modules:
        importlib.import_module(module)
    network: Any = keras.saving.load_model(folder / "network.keras", compile=False)
    with np.load(folder / "inputs.npz") as stored:
        parts = {
            key: [stored[f"{key}_{number}"] for number in range(len(network.inputs))]
            for key in ("points", "background")
        }
    with shap_random(0):
        import shap

        explainer = shap.DeepExplainer(network, parts["background"])
        # shap's own check allows an absolute 0.01; ours is relative and follows in the parent
        found = explainer.shap_values(parts["points"], check_additivity=False)
    values = found if isinstance(found, list) else [found]
    np.savez(folder / "values.npz", **{f"values_{n}": value for n, value in enumerate(values)})


def float32_copy(model: keras.Model) -> keras.Model:
    """Return a model of the same weights that computes in float32 throughout."""

    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: plain(inner) for key, inner in value.items()}
        if isinstance(value, list | tuple):
            return type(value)(plain(inner) for inner in value)
        is_mixed = value in ("mixed_bfloat16", "mixed_float16") if isinstance(value, str) else False
        return "float32" if is_mixed else value

    copy = type(model).from_config(plain(model.get_config()))
    copy.set_weights(model.get_weights())
    for layer in copy.layers:
        if isinstance(layer, keras.layers.Normalization):
            layer.finalize_state()
    return copy
