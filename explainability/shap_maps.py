"""SHAP of the ECG and the covariates together: shap's GradientExplainer.

A record is compared with background records, and the difference of the logits is divided among
samples, leads and covariate columns. TensorFlow only.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from explainability.batch_maps import BatchExplainer, BatchMap
from explainability.coalitions import shap_random
from explainability.integrated import completeness_table
from explainability.model_access import (
    COVARIATE_INPUT,
    ECG_INPUT,
    Inputs,
    check_has_gradient,
    check_inputs,
    layer_output,
    private_copy,
    to_numpy,
)
from explainability.scores import LogitScore, Score, check_score

# They scale each value by itself, and TrainingScale puts in the training mean where one is missing:
# contributions of what they give are the contributions of what they take.
_ELEMENTWISE = ("Normalization", "Rescaling", "TrainingScale")


@dataclass(frozen=True)
class BackgroundSettings:
    """What records are compared with.

    Parameters
    ----------
    background : mapping of str to array
        Inputs of patients of the **training** folds, 20 to 100 records.
    n_draws : int
        Of shap_gradient: random points between a record and the background.
    relative_tolerance : float
        Up to which completeness error ``is_complete`` is True.
    seed : int
        Of these points.
    """

    background: Inputs
    n_draws: int = 200
    relative_tolerance: float = 0.05
    seed: int = 0


def gradient_shap_explainer(
    model: keras.Model, settings: BackgroundSettings, *, score: Score | None = None
) -> BatchExplainer:
    """Return a function from a batch and its rows to SHAP values by shap.GradientExplainer.

    Parameters
    ----------
    model : keras.Model
        Network with input ``ecg`` and optionally ``covariates``.
    settings : BackgroundSettings
        Background patients, points, seed.
    score : LogitScore, optional
        Which logit.

    Returns
    -------
    callable
        To a `BatchMap`: values (n_records, n_samples, n_leads) and covariates in logits, and the
        table of completeness. The values are estimates: they sum to the difference from the
        background's mean logit up to an error that falls with the root of `n_draws`.

    Raises
    ------
    NotImplementedError
        On a back end other than TensorFlow.
    TypeError
        If `score` is no LogitScore.
    ValueError
        If the background does not fit, or a covariate is missing and the network has no scaling
        layer that says what it puts in its place.

    References
    ----------
    Lundberg & Lee 2017, https://arxiv.org/abs/1705.07874; Erion et al. 2021,
    doi 10.1038/s42256-021-00343-w.
    """
    logit = check_for_shap(model, score, "shap_gradient")
    network, scale = scaled_network(model, logit.layer_name)
    background = scale(check_inputs(model, settings.background))
    with shap_random(settings.seed):
        import shap

        explainer = shap.GradientExplainer(network, _unwrap(background))
    at_start = logits_of(network, background, logit).mean()

    def explain(batch: Inputs, rows: slice) -> BatchMap:
        points = scale(batch)
        with shap_random(settings.seed):
            found, _ = explainer.shap_values(
                _unwrap(points),
                nsamples=settings.n_draws,
                ranked_outputs=np.full((len(points[0]), 1), logit.column),  # pyright: ignore
                output_rank_order="custom",
                rseed=(settings.seed + 7919 * rows.start) % 2**32,  # another for each batch
            )
        return shap_batch_map(
            found, batch, logits_of(network, points, logit), at_start, settings, logit
        )

    return explain


def scaled_network(
    model: keras.Model, score_layer: str
) -> tuple[keras.Model, Callable[[Inputs], list[np.ndarray]]]:
    """Cut off the layers that scale the inputs, and with them what is missing.

    Returns
    -------
    network : keras.Model
        From a list of scaled inputs to the output of `score_layer`.
    scale : callable
        From a batch to that list.
    """
    model = private_copy(model)
    cuts, scalers = [], []
    for tensor in model.inputs:
        takers = [
            operation
            for operation in model.operations
            if not isinstance(operation, keras.layers.InputLayer)
            and any(one is tensor for one in keras.tree.flatten(operation.input))
        ]
        is_scaled = len(takers) == 1 and type(takers[0]).__name__ in _ELEMENTWISE
        cuts.append(takers[0].output if is_scaled else tensor)
        scalers.append(keras.Model(tensor, cuts[-1]) if is_scaled else None)
    names = [tensor.name for tensor in model.inputs]
    network = keras.Model(cuts, layer_output(model, score_layer))

    def scale(batch: Inputs) -> list[np.ndarray]:
        scaled = []
        for name, scaler in zip(names, scalers, strict=True):
            values = np.asarray(batch[name], np.float32)
            values = values if scaler is None else to_numpy(scaler(values, training=False))
            if not np.isfinite(values).all():
                raise ValueError(
                    f"inputs[{name!r}] must be complete for SHAP, got a missing value. This "
                    "network has no scaling layer that replaces it; use integrated_gradients."
                )
            scaled.append(values)
        return scaled

    return network, scale


def check_for_shap(model: keras.Model, score: Score | None, method: str) -> LogitScore:
    """Refuse what shap cannot explain; return which logit."""
    backend = keras.backend.backend()
    if backend != "tensorflow":
        raise NotImplementedError(
            f"The Keras back end must be tensorflow for {method}, got {backend}. "
            "Set KERAS_BACKEND=tensorflow, or use integrated_gradients, which runs on both."
        )
    logit = check_score(score)
    if not isinstance(logit, LogitScore):
        raise TypeError(
            f"score must be a LogitScore for {method}, got {type(score).__name__}. "
            "SHAP explains a column of a layer."
        )
    check_has_gradient(model, logit.layer_name)
    return logit


def _unwrap(arrays: list[np.ndarray]) -> Any:
    """Return the form shap takes: a bare array for one input, a list for several."""
    return arrays if len(arrays) > 1 else arrays[0]


def logits_of(network: keras.Model, points: list[np.ndarray], logit: LogitScore) -> np.ndarray:
    """Return the scores of scaled inputs, float32 (n_records,)."""
    tensors = [keras.ops.convert_to_tensor(point) for point in points]
    return to_numpy(logit(network(tensors, training=False)))


def shap_batch_map(
    found: Any,
    batch: Inputs,
    scores: np.ndarray,
    at_start: float,
    settings: BackgroundSettings,
    logit: LogitScore,
) -> BatchMap:
    """Name shap's arrays by input, turn them toward the score and check their sum."""
    sign = 1.0 if logit.toward == "higher risk" else -1.0
    parts = found if isinstance(found, list) else [found]
    values = {
        name: (sign * np.asarray(part)[..., 0]).astype(np.float32)
        for name, part in zip(batch, parts, strict=True)
    }
    baseline = np.full(len(scores), at_start)
    table = completeness_table(values, scores, baseline, settings.relative_tolerance)
    return BatchMap(values[ECG_INPUT], values.get(COVARIATE_INPUT), table)
