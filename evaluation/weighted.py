"""Statistics under resampling weights, for all bootstrap resamples at once.

A bootstrap resample is a row of counts: how often each row of the data was drawn. Every factory
here looks at the data once (sorts, builds design matrices) and returns a *statistic*: a function
from weights of shape (n_resamples, n_rows) to values of shape (n_resamples,) or (n_resamples, k).
Weights of one give the point estimate; a statistic is NaN where a resample leaves it undefined.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from evaluation.arrays import as_outcome, as_risk, as_scores

Statistic = Callable[[np.ndarray], np.ndarray]


def safe_ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """Return numerator / denominator, NaN where the denominator is 0."""
    numerator, denominator = np.broadcast_arrays(numerator, denominator)
    result = np.full(numerator.shape, np.nan)
    np.divide(numerator, denominator, out=result, where=denominator != 0)
    return result


def auroc_statistic(y_true, y_score) -> Statistic:
    """Return the weighted AUROC: rows are sorted once, a resample costs one cumulative sum.

    Ties count half. NaN where a resample holds a single outcome class. Counts stay integers, so
    the sums are exact; an event looks its concordant non-events up in their running total.
    """
    outcome = as_outcome(y_true)
    scores = as_scores(y_score, n_rows=outcome.size)
    order = np.argsort(scores, kind="stable")
    event_rows, control_rows = order[outcome[order] == 1], order[outcome[order] == 0]
    n_lower = np.searchsorted(scores[control_rows], scores[event_rows], side="left")
    n_not_above = np.searchsorted(scores[control_rows], scores[event_rows], side="right")
    has_ties = bool((n_lower != n_not_above).any())

    def of_drawn(drawn: np.ndarray, row_of: np.ndarray) -> np.ndarray:
        """Return the statistic of weights that stand in another order: row i's at row_of[i]."""
        total = np.zeros((len(drawn), control_rows.size + 1), dtype=drawn.dtype)
        controls = np.take(drawn, row_of[control_rows], axis=1)
        np.cumsum(controls, axis=1, out=total[:, 1:], dtype=drawn.dtype)
        events = np.take(drawn, row_of[event_rows], axis=1)
        below = np.take(total, n_lower, axis=1).astype(np.float64)
        if has_ties:
            below = (below + np.take(total, n_not_above, axis=1)) / 2
        concordant = np.einsum("ij,ij->i", events, below)
        return safe_ratio(concordant, events.sum(axis=1) * total[:, -1].astype(np.float64))

    def statistic(weights: np.ndarray) -> np.ndarray:
        return of_drawn(weights, np.arange(outcome.size))

    statistic.of_drawn = of_drawn  # pyright: ignore[reportFunctionMemberAccess]
    return statistic


def average_precision_statistic(y_true, y_score) -> Statistic:
    """Return the weighted average precision; NaN where a resample holds no event."""
    outcome = as_outcome(y_true)
    scores = as_scores(y_score, n_rows=outcome.size)
    order = np.argsort(-scores, kind="stable")
    is_event = outcome[order].astype(np.float64)
    starts = np.flatnonzero(np.r_[True, np.diff(scores[order]) != 0])

    def statistic(weights: np.ndarray) -> np.ndarray:
        ordered = np.add.reduceat(weights[:, order].astype(np.float64), starts, axis=1)
        events = np.add.reduceat(weights[:, order] * is_event, starts, axis=1)
        precision = safe_ratio(np.cumsum(events, axis=1), np.cumsum(ordered, axis=1))
        # Leading rows that were not drawn have no precision, and no event to weigh it with.
        total = np.einsum("ij,ij->i", events, np.nan_to_num(precision))
        return safe_ratio(total, events.sum(axis=1))

    return statistic


def ratio_statistic(numerator, denominator) -> Statistic:
    """Return sum(w a) / sum(w b) of two row columns a, b, shape (n,): any proportion or mean."""
    columns = np.column_stack(np.broadcast_arrays(numerator, denominator)).astype(np.float64)

    def statistic(weights: np.ndarray) -> np.ndarray:
        sums = weights @ columns
        return safe_ratio(sums[:, 0], sums[:, 1])

    return statistic


def brier_statistic(y_true, y_score) -> Statistic:
    """Return the weighted Brier score, mean (y_score - y_true)^2, in [0, 1]; lower is better."""
    outcome = as_outcome(y_true)
    risk = as_risk(y_score, n_rows=outcome.size)
    return ratio_statistic((risk - outcome) ** 2, np.ones(outcome.size))


def scaled_brier_statistic(y_true, y_score) -> Statistic:
    """Return 1 - Brier / Brier of the prevalence; NaN where a resample holds one class."""
    outcome = as_outcome(y_true)
    brier = brier_statistic(outcome, y_score)
    prevalence = ratio_statistic(outcome, np.ones(outcome.size))

    def statistic(weights: np.ndarray) -> np.ndarray:
        share = prevalence(weights)
        return 1 - safe_ratio(brier(weights), share * (1 - share))

    return statistic


def observed_expected_statistic(y_true, y_score) -> Statistic:
    """Return observed events over expected events, O:E; below 1 the risks are too high."""
    outcome = as_outcome(y_true)
    return ratio_statistic(outcome, as_risk(y_score, n_rows=outcome.size))


def mean_over_parts(parts: Sequence[tuple[np.ndarray, Statistic]]) -> Statistic:
    """Return the mean of statistics that each see some of the rows (folds, repeats).

    Parameters
    ----------
    parts : sequence of (rows, statistic)
        rows is an integer array into the full set of rows.

    Returns
    -------
    Statistic
        A part that a resample leaves undefined (a fold that lost its events) is left out of that
        resample's mean; NaN when every part is undefined.
    """
    if not parts:
        raise ValueError("parts must hold at least one statistic, got none. Skip the metric.")

    def statistic(weights: np.ndarray) -> np.ndarray:
        total = count = 0.0
        for rows, part in parts:
            values = part(weights[:, rows])
            is_defined = np.isfinite(values)
            total = total + np.where(is_defined, values, 0.0)
            count = count + is_defined
        return safe_ratio(np.asarray(total), np.asarray(count))

    return statistic


def difference(new: Statistic, reference: Statistic) -> Statistic:
    """Return the paired difference new - reference: both see the same weights."""
    return lambda weights: new(weights) - reference(weights)
