"""Integrated gradients: divide the change of a score from a baseline among samples and leads."""

from __future__ import annotations

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
    to_numpy,
)
from explainability.scores import Score, score_function

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


_PATH_ROWS = 128  # points of the path that go through the network together
_CALLS_THAT_PAY = 20  # from so many calls on, compiling costs less than it saves


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
    positions, weights = np.polynomial.legendre.leggauss(n_steps)
    positions, weights = (positions + 1) / 2, weights / 2
    n_records = len(arrays[ECG_INPUT])
    n_together = max(1, _PATH_ROWS // max(1, min(batch_size, n_records)))
    n_calls = -(-n_records // batch_size) * -(-n_steps // n_together)
    differentiate = gradient_function(function, is_compiled=n_calls > _CALLS_THAT_PAY)
    result = {name: np.zeros(array.shape, np.float32) for name, array in arrays.items()}
    scores, baseline_scores = (np.zeros(n_records) for _ in range(2))
    for rows, batch in batches(arrays, batch_size=batch_size):
        ends = list(batch.values())
        begins = [_start(starts, name, rows, end) for name, end in batch.items()]
        steps = [end - begin for end, begin in zip(ends, begins, strict=True)]
        total = [np.zeros(end.shape, np.float64) for end in ends]
        for first in range(0, n_steps, n_together):
            part_of_path = positions[first : first + n_together].astype(np.float32)
            weight = weights[first : first + n_together]
            points = [
                np.concatenate([begin + position * step for position in part_of_path])
                for begin, step in zip(begins, steps, strict=True)
            ]
            for part, gradient in zip(total, differentiate(points)[1], strict=True):
                part += np.tensordot(weight, gradient.reshape(len(weight), *part.shape), axes=1)
        for name, step, part in zip(batch, steps, total, strict=True):
            result[name][rows] = np.where(np.isnan(step), 0.0, np.nan_to_num(step) * part)
        scores[rows] = to_numpy(function(ends))
        baseline_scores[rows] = to_numpy(function(begins))
    return _with_table(result, scores, baseline_scores, relative_tolerance)


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
