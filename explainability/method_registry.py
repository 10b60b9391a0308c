"""Every attribution method by its name: how it is prepared, and what its values are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import keras

from explainability.attribution import gradient_explainer, smooth_explainer
from explainability.batch_maps import BatchExplainer, BatchMap
from explainability.class_activation import (
    cam_function,
    default_layer,
    mean_weights,
    plus_plus_weights,
)
from explainability.integrated import check_baseline, path_explainer
from explainability.method_settings import MethodSettings
from explainability.model_access import ECG_INPUT, Inputs, ecg_samples
from explainability.occlusion import check_windows, lead_explainer, wave_explainer
from explainability.resolution import map_resolution, resize_map, step_centres
from explainability.scores import Score
from explainability.shap_deep import deep_shap_explainer
from explainability.shap_maps import BackgroundSettings, gradient_shap_explainer

MOST_RECORDS_A_PROCESS = 256  # of shap_deep, whose every batch starts a process
Prepare = Callable[[keras.Model, Inputs, MethodSettings, "Score | None", bool], BatchExplainer]
Resolution = Callable[[keras.Model, MethodSettings, "Score | None"], tuple[float, str]]


@dataclass(frozen=True)
class Method:
    """How one method is prepared for a network, and what its values are."""

    prepare: Prepare
    resolution: Resolution
    unit: str
    has_lead_axis: bool = True
    n_calls: Callable[[MethodSettings], int] = lambda settings: 1
    least_batch: int = 1


def _cam(weights: Any) -> Prepare:
    def prepare(model, arrays, settings, score, is_long) -> BatchExplainer:
        layer = settings.layer_name or default_layer(model, rate_hz=settings.rate_hz, score=score)
        options = {"layer_name": layer, "score": score, "is_compiled": is_long}
        explain = cam_function(model, weights, **options)
        shape = (arrays[ECG_INPUT].shape[1], step_centres(model, layer))
        return lambda batch, rows: BatchMap(resize_map(explain(batch), *shape))

    return prepare


def _integrated(model, arrays, settings, score, is_long) -> BatchExplainer:
    explain = path_explainer(
        model,
        check_baseline(arrays, settings.baseline),
        n_steps=settings.n_steps,
        score=score,
        relative_tolerance=settings.relative_tolerance,
        is_compiled=is_long,
    )
    if settings.baseline and set(settings.baseline) - {ECG_INPUT}:
        return explain

    def without_covariates(batch: Inputs, rows: slice) -> BatchMap:
        return replace(explain(batch, rows), covariates=None)  # they did not move: 0 says nothing

    return without_covariates


def _smooth(model, arrays, settings, score, is_long) -> BatchExplainer:
    return smooth_explainer(
        model,
        score=score,
        n_draws=settings.n_draws,
        noise_share=settings.noise_share,
        seed=settings.seed,
        is_compiled=is_long,
    )


def _leads(model, arrays, settings, score, is_long) -> BatchExplainer:
    n_leads = arrays[ECG_INPUT].shape[2]
    groups = settings.groups or {f"lead {lead + 1}": [lead] for lead in range(n_leads)}
    return lead_explainer(model, groups, score=score, is_compiled=is_long)


def _waves(model, arrays, settings, score, is_long) -> BatchExplainer:
    windows = check_windows(settings.windows, arrays[ECG_INPUT].shape[:2])
    if not windows:
        raise ValueError(
            "windows must name a mask for each wave, got none. Delineate the beats first."
        )
    return wave_explainer(model, windows, score=score, is_compiled=is_long)


def _shap(make: Callable[..., BatchExplainer]) -> Prepare:
    def prepare(model, arrays, settings, score, is_long) -> BatchExplainer:
        if settings.background is None:
            raise ValueError(
                "background must hold inputs of training patients, got None. "
                "Give 20 to 100 records."
            )
        options = BackgroundSettings(
            settings.background, settings.n_draws, settings.relative_tolerance, settings.seed
        )
        return make(model, options, score=score)

    return prepare


def _cam_resolution(model, settings, score) -> tuple[float, str]:
    layer = settings.layer_name or default_layer(model, rate_hz=settings.rate_hz, score=score)
    found = map_resolution(model, layer, rate_hz=settings.rate_hz)
    return found.seconds_per_value, f"{layer}: {found}"


def _sample_resolution(model, settings, score) -> tuple[float, str]:
    seconds = 1 / settings.rate_hz
    return seconds, f"one value every {seconds:.3f} s in each lead"


def _record_resolution(model, settings, score) -> tuple[float, str]:
    seconds = ecg_samples(model) / settings.rate_hz
    return seconds, f"one value a group of leads for the whole record of {seconds:.1f} s"


def _wave_resolution(model, settings, score) -> tuple[float, str]:
    seconds, _ = _record_resolution(model, settings, score)
    waves = ", ".join(settings.windows)
    return seconds, f"one value a wave ({waves}) for all beats of the record; no lead axis"


_IN_LOGITS = "logits of the network's score"
_UP_TO_A_FACTOR = "logits a step, up to a factor"
METHODS: dict[str, Method] = {
    "grad_cam": Method(_cam(mean_weights), _cam_resolution, _UP_TO_A_FACTOR, False),
    "grad_cam_plus_plus": Method(_cam(plus_plus_weights), _cam_resolution, _UP_TO_A_FACTOR, False),
    "integrated_gradients": Method(
        _integrated, _sample_resolution, _IN_LOGITS, n_calls=lambda settings: settings.n_steps
    ),
    "gradient_x_input": Method(
        lambda model, arrays, settings, score, is_long: gradient_explainer(
            model, score=score, is_compiled=is_long
        ),
        _sample_resolution,
        _IN_LOGITS,
    ),
    "smooth_grad": Method(
        _smooth, _sample_resolution, "logits per mV", n_calls=lambda settings: settings.n_draws
    ),
    "occlusion_by_lead": Method(
        _leads, _record_resolution, _IN_LOGITS, n_calls=lambda settings: 1 + len(settings.groups)
    ),
    "occlusion_by_wave": Method(
        _waves,
        _wave_resolution,
        _IN_LOGITS,
        has_lead_axis=False,
        n_calls=lambda settings: 1 + len(settings.windows),
    ),
    "shap_gradient": Method(_shap(gradient_shap_explainer), _sample_resolution, _IN_LOGITS),
    "shap_deep": Method(
        _shap(deep_shap_explainer),
        _sample_resolution,
        _IN_LOGITS,
        least_batch=MOST_RECORDS_A_PROCESS,
    ),
}
