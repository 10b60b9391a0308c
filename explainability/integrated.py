"""Integrated gradients: divide the change of a score from a baseline among samples and leads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import pandas as pd

from explainability.batch_maps import (
    BatchExplainer,
    BatchMap,
    explain_batches,
    n_records_of,
)
from explainability.gradients import CALLS_THAT_PAY, compiled, gradient_function
from explainability.model_access import (
    COVARIATE_INPUT,
    ECG_INPUT,
    Inputs,
    check_has_gradient,
    check_inputs,
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
    arrays = check_inputs(model, inputs)
    n_records = n_records_of(arrays)
    n_rows = min(batch_size, n_records) * n_steps
    explain = path_explainer(
        model,
        check_baseline(arrays, baseline),
        n_steps=n_steps,
        score=score,
        relative_tolerance=relative_tolerance,
        is_compiled=-(-n_records // batch_size) * n_rows > CALLS_THAT_PAY * _PATH_ROWS,
    )
    ecg = np.zeros(arrays[ECG_INPUT].shape, np.float32)
    covariates, table = explain_batches(explain, arrays, out=ecg, batch_size=batch_size)
    return Attribution(ecg, covariates, table)


def path_explainer(
    model: keras.Model,
    starts: Inputs,
    *,
    n_steps: int = 32,
    score: Score | None = None,
    relative_tolerance: float = 0.05,
    is_compiled: bool = False,
) -> BatchExplainer:
    """Return a function from a batch and its rows to integrated gradients.

    Parameters
    ----------
    starts : mapping of str to array
        As returned by `check_baseline`.
    """
    if n_steps < 2:
        raise ValueError(f"n_steps must be at least 2, got {n_steps}. Use 32 to 128.")
    function, score = score_function(model, score)
    check_has_gradient(model, score.layer_name)
    differentiate = gradient_function(function, is_compiled=is_compiled)
    evaluate = compiled(function, is_compiled=is_compiled)
    positions, weights = np.polynomial.legendre.leggauss(n_steps)
    positions, weights = (positions + 1) / 2, weights / 2

    def explain(batch: Inputs, rows: slice) -> BatchMap:
        ends = list(batch.values())
        begins = [_start(starts, name, rows, end) for name, end in batch.items()]
        steps = [end - begin for end, begin in zip(ends, begins, strict=True)]
        total = [np.zeros(end.shape, np.float64) for end in ends]
        n_together = max(1, _PATH_ROWS // len(ends[0]))
        for first in range(0, n_steps, n_together):
            part_of_path = positions[first : first + n_together].astype(np.float32)
            weight = weights[first : first + n_together]
            points = [
                np.concatenate([begin + position * step for position in part_of_path])
                for begin, step in zip(begins, steps, strict=True)
            ]
            for part, gradient in zip(total, differentiate(points)[1], strict=True):
                part += np.tensordot(weight, gradient.reshape(len(weight), *part.shape), axes=1)
        found = {
            name: np.where(np.isnan(step), 0.0, np.nan_to_num(step) * part).astype(np.float32)
            for name, step, part in zip(batch, steps, total, strict=True)
        }
        scores, at_start = (to_numpy(evaluate(_tensors(points))) for points in (ends, begins))
        return BatchMap(
            found[ECG_INPUT],
            found.get(COVARIATE_INPUT),
            completeness_table(found, scores, at_start, relative_tolerance),
        )

    return explain


def _tensors(arrays: list[np.ndarray]) -> list[Any]:
    return [keras.ops.convert_to_tensor(array) for array in arrays]


def check_baseline(arrays: Inputs, baseline: Inputs | None) -> dict[str, np.ndarray]:
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


def completeness_table(
    contributions: Inputs,
    scores: np.ndarray,
    baseline_scores: np.ndarray,
    relative_tolerance: float,
) -> pd.DataFrame:
    """Sum the contributions of each record and compare them with the change of its score."""
    total = np.sum(
        [
            array.sum(axis=tuple(range(1, array.ndim)), dtype=np.float64)
            for array in contributions.values()
        ],
        axis=0,
    )
    scores, baseline_scores = (np.asarray(one, np.float64) for one in (scores, baseline_scores))
    change = scores - baseline_scores
    error = np.abs(total - change) / np.maximum(np.abs(change), NEGLIGIBLE_LOGIT)
    return pd.DataFrame(
        {
            "score": scores,
            "baseline_score": baseline_scores,
            "attribution_sum": total,
            "completeness_error": error,
            "is_complete": error <= relative_tolerance,
        }
    )
