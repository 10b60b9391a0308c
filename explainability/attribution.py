"""Where in the ECG a network's score comes from: Grad-CAM, integrated gradients, occlusion.

What is explained is a score object, by default the logit: it is unbounded and additive, while
the risk saturates and its gradients vanish for the patients at highest risk. Every function
works in batches; where the maps of all records do not fit in memory, pass ``out`` (a memory map) or
go through `model_access.batches` some hundred records at a time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import pandas as pd

from explainability.model_access import (
    COVARIATE_INPUT,
    ECG_INPUT,
    Inputs,
    batches,
    check_inputs,
    gradient_function,
    layer_output,
    split_at_layer,
    to_numpy,
)
from explainability.resolution import MapResolution, map_resolution, resize_map
from explainability.scores import LogitScore, Score, check_score, score_function

__all__ = [
    "Attribution",
    "LogitScore",
    "MapResolution",
    "Score",
    "grad_cam",
    "gradient_x_input",
    "integrated_gradients",
    "map_resolution",
    "occlude_leads",
    "resize_map",
]

# A change of 0.1 in the logit moves a risk of 10 % to 10.9 %: below that the completeness error
# is measured against 0.1, because a ratio to almost nothing says nothing.
NEGLIGIBLE_LOGIT = 0.1


@dataclass(frozen=True)
class Attribution:
    """Contributions to the score, one a sample and lead.

    Attributes
    ----------
    ecg : array of shape (n_records, n_samples, n_leads)
        In units of the score (logits); signed.
    covariates : array of shape (n_records, n_columns) or None
        None for one-input networks; 0 where the covariate is missing.
    table : DataFrame
        One row a record: ``score``, ``baseline_score``, ``attribution_sum``,
        ``completeness_error`` (relative), ``is_complete``.
    """

    ecg: np.ndarray
    covariates: np.ndarray | None
    table: pd.DataFrame


def grad_cam(
    model: keras.Model,
    inputs: Inputs | np.ndarray,
    *,
    layer_name: str,
    score: Score | None = None,
    batch_size: int = 32,
    out: np.ndarray | None = None,
) -> np.ndarray:
    """Return non-negative Grad-CAM maps: when in the record the score is pushed up.

    Parameters
    ----------
    model : keras.Model
        Flat functional network with input ``ecg`` (n_samples, n_leads) in mV and optionally
        ``covariates`` (n_columns), NaN for missing.
    inputs : mapping of str to array, or array of shape (n_records, n_samples, n_leads)
        One array an input.
    layer_name : str
        Stage output such as ``conv5_block3_out``, of shape (steps, channels).
    score : Score, optional
        What is explained; `LogitScore` by default. A bare index is not accepted.
    batch_size : int
        Records at a time.
    out : array of shape (n_records, n_steps), optional
        Where to write.

    Returns
    -------
    float32 array of shape (n_records, n_steps)
        At least 0, in logits per step up to a factor, not normalised. The map has **no lead
        axis**; see `map_resolution` for what one step stands for.

    Raises
    ------
    TypeError
        If `score` is not a score object.
    ValueError
        If the inputs do not fit, or the layer has no time axis or is not on the way to the score.

    Notes
    -----
    map[t] = relu(sum_c alpha_c A[t, c]) with alpha_c the mean **over time** of d score / d A[t, c].

    References
    ----------
    Selvaraju et al. 2017, doi 10.1109/ICCV.2017.74.
    """
    score = check_score(score)
    arrays = check_inputs(model, inputs)
    shape = tuple(layer_output(model, layer_name).shape[1:])
    if len(shape) != 2:
        raise ValueError(
            f"layer_name must have outputs of shape (steps, channels), got {shape} from "
            f"{layer_name!r}. Choose a stage output such as 'conv5_block3_out'."
        )
    lower, upper = split_at_layer(model, layer_name, score.layer_name)
    maps = _prepare(out, (_n_records(arrays), shape[0]))
    for rows, batch in batches(arrays, batch_size=batch_size):
        tensors = _tensors(batch)
        activation = lower(tensors, training=False)

        def function(points: list[Any], fixed: list[Any] = tensors) -> Any:
            return score(upper([*points, *fixed], training=False))

        _, (gradient,) = gradient_function(function)([activation])
        alpha = gradient.mean(axis=1, keepdims=True)
        maps[rows] = np.maximum((alpha * to_numpy(activation)).sum(axis=-1), 0.0)
    return maps


def integrated_gradients(
    model: keras.Model,
    inputs: Inputs | np.ndarray,
    *,
    baseline: Inputs | None = None,
    n_steps: int = 32,
    score: Score | None = None,
    relative_tolerance: float = 0.05,
    batch_size: int = 32,
) -> Attribution:
    """Return integrated gradients, which divide the score's change among samples and leads.

    Parameters
    ----------
    model : keras.Model
        As for `grad_cam`.
    inputs : mapping of str to array, or array of shape (n_records, n_samples, n_leads)
        One array an input.
    baseline : mapping of str to array, optional
        Start of the path, of shapes that broadcast to the inputs. An ECG left out starts at 0 mV
        (the isoelectric line). Covariates left out stay at the patient's own values, so that
        the ECG is explained for this patient; give training means to divide the score among all.
    n_steps : int
        Points of the Gauss-Legendre rule along the path.
    score : Score, optional
        `LogitScore` by default.
    relative_tolerance : float
        Up to which completeness error ``is_complete`` is True.
    batch_size : int
        Records at a time; memory does not grow with `n_steps`.

    Returns
    -------
    Attribution

    Raises
    ------
    TypeError
        If `score` is not a score object.
    ValueError
        If inputs or baseline do not fit.

    Notes
    -----
    IG_i = (x_i - b_i) integral_0^1 d score(b + u (x - b)) / d x_i du; the values sum to
    score(x) - score(b) (completeness). The error is |sum - change| / max(|change|, 0.1 logit).
    A missing covariate stays missing along the path and gets 0.

    References
    ----------
    Sundararajan et al. 2017, https://proceedings.mlr.press/v70/sundararajan17a.html.
    """
    if n_steps < 2:
        raise ValueError(f"n_steps must be at least 2, got {n_steps}. Use 32 to 128.")
    function, score = score_function(model, score)
    arrays = check_inputs(model, inputs)
    starts = _check_baseline(arrays, baseline)
    differentiate = gradient_function(function, is_compiled=True)
    positions, weights = np.polynomial.legendre.leggauss(n_steps)
    positions, weights = (positions + 1) / 2, weights / 2
    result = {name: np.zeros(array.shape, np.float32) for name, array in arrays.items()}
    scores, baseline_scores = (np.zeros(_n_records(arrays)) for _ in range(2))
    for rows, batch in batches(arrays, batch_size=batch_size):
        ends = list(batch.values())
        begins = [_start(starts, name, rows, end) for name, end in batch.items()]
        steps = [end - begin for end, begin in zip(ends, begins, strict=True)]
        total = [np.zeros(end.shape, np.float64) for end in ends]
        for position, weight in zip(positions, weights, strict=True):
            points = [b + np.float32(position) * s for b, s in zip(begins, steps, strict=True)]
            for part, gradient in zip(total, differentiate(points)[1], strict=True):
                part += weight * gradient
        for name, step, part in zip(batch, steps, total, strict=True):
            result[name][rows] = np.where(np.isnan(step), 0.0, np.nan_to_num(step) * part)
        scores[rows] = to_numpy(function(ends))
        baseline_scores[rows] = to_numpy(function(begins))
    return _with_table(result, scores, baseline_scores, relative_tolerance)


def gradient_x_input(
    model: keras.Model,
    inputs: Inputs | np.ndarray,
    *,
    score: Score | None = None,
    batch_size: int = 32,
    out: np.ndarray | None = None,
) -> np.ndarray:
    """Return gradient times input for the ECG: the cheap, local relative of integrated gradients.

    Parameters
    ----------
    model, inputs, score, batch_size
        As for `integrated_gradients`.
    out : array of shape (n_records, n_samples, n_leads), optional
        Where to write.

    Returns
    -------
    float32 array of shape (n_records, n_samples, n_leads)
        Logits; they do not sum to the score unless the network is linear.

    References
    ----------
    Ancona et al. 2018, https://openreview.net/forum?id=Sy21R9JAW.
    """
    function, _ = score_function(model, score)
    arrays = check_inputs(model, inputs)
    differentiate = gradient_function(function)
    result = _prepare(out, arrays[ECG_INPUT].shape)
    for rows, batch in batches(arrays, batch_size=batch_size):
        _, gradients = differentiate(list(batch.values()))
        result[rows] = batch[ECG_INPUT] * dict(zip(batch, gradients, strict=True))[ECG_INPUT]
    return result


def occlude_leads(
    model: keras.Model,
    inputs: Inputs | np.ndarray,
    *,
    groups: Mapping[str, Sequence[int]],
    score: Score | None = None,
    baseline_mv: float = 0.0,
    batch_size: int = 32,
) -> pd.DataFrame:
    """Return how far the score falls when leads are replaced by a flat line.

    Parameters
    ----------
    model, inputs, score, batch_size
        As for `grad_cam`.
    groups : mapping of str to sequence of int
        Name to positions of leads, such as ``{"V1": [6]}`` or ``{"limb": range(6)}``.
    baseline_mv : float
        Millivolts put in their place.

    Returns
    -------
    DataFrame of shape (n_records, n_groups)
        score(record) - score(occluded record), in logits; positive: the lead raised the score.

    Raises
    ------
    ValueError
        If a group is empty or names a lead the model lacks.

    Notes
    -----
    One limb lead without its five relatives breaks Einthoven's law, a record no network has
    seen; occluding the limb leads together is the safer question.

    References
    ----------
    Zeiler & Fergus 2014, doi 10.1007/978-3-319-10590-1_53.
    """
    function, _ = score_function(model, score)
    arrays = check_inputs(model, inputs)
    n_leads = arrays[ECG_INPUT].shape[2]
    for name, leads in groups.items():
        if len(leads) == 0 or not all(0 <= lead < n_leads for lead in leads):
            raise ValueError(
                f"groups[{name!r}] must hold positions from 0 to {n_leads - 1}, "
                f"got {list(leads)}. Name at least one lead of the model."
            )
    result = np.zeros((_n_records(arrays), len(groups)))
    for rows, batch in batches(arrays, batch_size=batch_size):
        full = to_numpy(function(list(batch.values())))
        for column, leads in enumerate(groups.values()):
            occluded = batch[ECG_INPUT].copy()
            occluded[:, :, list(leads)] = baseline_mv
            changed = {**batch, ECG_INPUT: occluded}
            result[rows, column] = full - to_numpy(function(list(changed.values())))
    return pd.DataFrame(result, columns=list(groups))


def _check_baseline(arrays: Inputs, baseline: Inputs | None) -> dict[str, np.ndarray]:
    """Return the start of the path for each input that moves, as broadcast views."""
    given: dict[str, Any] = {ECG_INPUT: np.float32(0.0), **(baseline or {})}
    unknown = sorted(set(given) - set(arrays))
    if unknown:
        raise ValueError(
            f"baseline must name inputs of the model {list(arrays)}, got {unknown}. "
            "Remove the others."
        )
    starts = {}
    for name, value in given.items():
        value = np.asarray(value, dtype=np.float32)
        try:
            starts[name] = np.broadcast_to(value, arrays[name].shape)
        except ValueError:
            raise ValueError(
                f"baseline[{name!r}] must broadcast to {arrays[name].shape}, got {value.shape}. "
                "Give one value, one row, or one row a record."
            ) from None
        if not np.isfinite(value).all():
            raise ValueError(
                f"baseline[{name!r}] must be finite, got NaN or infinity. "
                "Use training means, not missing values."
            )
    return starts


def _start(starts: Inputs, name: str, rows: slice, end: np.ndarray) -> np.ndarray:
    """Return the path's start for a batch; inputs without one, and missing values, do not move."""
    if name not in starts:
        return end
    return np.where(np.isnan(end), end, starts[name][rows])


def _with_table(
    result: dict[str, np.ndarray],
    scores: np.ndarray,
    baseline_scores: np.ndarray,
    relative_tolerance: float,
) -> Attribution:
    """Sum the contributions of each record and compare them with the change of its score."""
    axes = [tuple(range(1, array.ndim)) for array in result.values()]
    sums = [
        array.sum(axis=axis, dtype=np.float64)
        for array, axis in zip(result.values(), axes, strict=True)
    ]
    total = np.sum(sums, axis=0)
    change = scores - baseline_scores
    error = np.abs(total - change) / np.maximum(np.abs(change), NEGLIGIBLE_LOGIT)
    table = pd.DataFrame(
        {
            "score": scores,
            "baseline_score": baseline_scores,
            "attribution_sum": total,
            "completeness_error": error,
            "is_complete": error <= relative_tolerance,
        }
    )
    return Attribution(result[ECG_INPUT], result.get(COVARIATE_INPUT), table)


def _n_records(arrays: Inputs) -> int:
    return len(arrays[ECG_INPUT])


def _tensors(batch: Inputs) -> list[Any]:
    return [keras.ops.convert_to_tensor(array) for array in batch.values()]


def _prepare(out: np.ndarray | None, shape: tuple[int, ...]) -> np.ndarray:
    """Return the array to write to, after checking a given one."""
    if out is None:
        return np.zeros(shape, dtype=np.float32)
    if tuple(out.shape) != tuple(shape):
        raise ValueError(
            f"out must be of shape {tuple(shape)}, got {tuple(out.shape)}. "
            "Make it with numpy.lib.format.open_memmap."
        )
    return out
