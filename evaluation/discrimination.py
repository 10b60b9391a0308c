"""How well scores separate patients with the event from those without: AUROC and its relatives.

Every function takes one row a patient. Record rows of the same patient are not independent:
DeLong and Wilson intervals on them are too narrow (use :mod:`evaluation.intervals` instead).
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.special import expit, logit, stdtrit
from scipy.stats import rankdata
from statsmodels.stats.proportion import proportion_confint

from evaluation.arrays import as_outcome, as_scores


def _both_classes(y_true) -> np.ndarray:
    outcome = as_outcome(y_true)
    n_events = int(outcome.sum())
    if n_events in (0, outcome.size):
        raise ValueError(
            f"y_true must hold events and non-events, got {n_events} events in {outcome.size} "
            "rows. Report this fold as not evaluable."
        )
    return outcome


def auroc(y_true, y_score) -> float:
    """Return the area under the ROC curve: P(event scores above non-event), ties count half.

    Parameters
    ----------
    y_true : array-like, shape (n,)
        0 or 1, both present.
    y_score : array-like, shape (n,)
        Any finite score, higher meaning more likely an event.

    Returns
    -------
    float in [0, 1]

    Raises
    ------
    ValueError
        If an array is malformed or only one outcome class is present.

    Examples
    --------
    >>> auroc([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8])
    0.75
    """
    outcome = _both_classes(y_true)
    ranks = rankdata(as_scores(y_score, n_rows=outcome.size))
    n_events = int(outcome.sum())
    n_controls = outcome.size - n_events
    rank_sum = ranks[outcome == 1].sum()
    return float((rank_sum - n_events * (n_events + 1) / 2) / (n_events * n_controls))


def delong_covariance(y_true, y_scores, *, folds=None) -> tuple[np.ndarray, np.ndarray]:
    """Return AUROCs of several scores on the same patients, and their DeLong covariance.

    The structural components come from one sort (in the way of Sun & Xu 2014, doi
    10.1109/LSP.2014.2337313) and give exactly the estimator of DeLong et al. 1988 (doi
    10.2307/2531595): S = S10 / n_events + S01 / n_controls. With folds the AUROC is the mean of
    those within folds, and a patient is compared with those of the same fold only. Its component
    is centred at the mean over folds, not at that of its fold: a fold with a single event has no
    scatter of its own, and what folds differ by counts as uncertainty.

    Parameters
    ----------
    y_true : array-like, shape (n,)
        0 or 1, at least two of each.
    y_scores : array-like, shape (n,) or (n, k)
        One column a score.
    folds : array-like, shape (n,) or (n, k), optional
        Test fold of each patient (in each column, where repeats split differently). Folds with
        one outcome class are left out.

    Returns
    -------
    auc : numpy.ndarray, shape (k,)
    covariance : numpy.ndarray, shape (k, k)
        NaN when a class has fewer than two patients: a variance needs two.

    Raises
    ------
    ValueError
        If an array is malformed or only one outcome class is present.
    """
    outcome = _both_classes(y_true)
    scores = np.asarray(y_scores, dtype=np.float64)
    scores = scores[:, None] if scores.ndim == 1 else scores
    columns = [as_scores(column, n_rows=outcome.size) for column in scores.T]
    labels = np.zeros(outcome.size, dtype=np.int8) if folds is None else np.asarray(folds)
    labels = np.broadcast_to(labels if labels.ndim == 2 else labels[:, None], scores.shape)
    is_event = outcome == 1
    auc = np.empty(len(columns))
    influence = np.empty(scores.shape)
    for k, column in enumerate(columns):
        auc[k], influence[:, k] = _influence(is_event, column, labels[:, k])
    covariance = np.zeros((len(columns), len(columns)))
    for of_class in (influence[is_event], influence[~is_event]):
        size = len(of_class)
        covariance += of_class.T @ of_class * (size / (size - 1) if size > 1 else np.nan)
    return auc, covariance


def _influence(is_event: np.ndarray, score: np.ndarray, fold: np.ndarray):
    """Return the mean AUROC over folds, and what each patient adds to its error."""
    parts = [np.flatnonzero(fold == label) for label in np.unique(fold)]
    parts = [rows for rows in parts if 0 < is_event[rows].sum() < rows.size]
    component, weight = np.zeros(score.size), np.zeros(score.size)
    for rows in parts:
        component[rows] = _components(is_event[rows], score[rows])
        n_events = int(is_event[rows].sum())
        weight[rows] = 1 / np.where(is_event[rows], n_events, rows.size - n_events) / len(parts)
    auc = float(component[is_event] @ weight[is_event]) if parts else float("nan")
    auc = min(max(auc, 0.0), 1.0) if parts else auc  # rounding may leave it
    return auc, weight * (component - auc)


def _components(is_event: np.ndarray, score: np.ndarray) -> np.ndarray:
    """Return for each row the share of the other class that it is ordered rightly against."""
    order = np.argsort(score)
    events, ordered = is_event[order], score[order]
    last_of_ties = np.r_[np.flatnonzero(np.diff(ordered)), ordered.size - 1]
    n_ties = np.diff(last_of_ties, prepend=-1)
    ends = np.cumsum(events)[last_of_ties]
    starts = np.r_[0, ends[:-1]]
    events_below = np.repeat((starts + ends) / 2, n_ties)
    firsts = last_of_ties + 1 - n_ties
    controls_below = np.repeat((firsts - starts + last_of_ties + 1 - ends) / 2, n_ties)
    n_events = int(ends[-1])
    of_row = np.where(
        events, controls_below / (events.size - n_events), 1 - events_below / n_events
    )
    result = np.empty(score.size)
    result[order] = of_row
    return result


def delong_interval(
    auc: float, variance: float, *, confidence: float = 0.95, degrees_of_freedom: float = np.inf
):
    """Return the DeLong interval of one AUROC on the logit scale, so that it stays in (0, 1).

    logit(A) +- t * sqrt(V) / (A (1 - A)), transformed back; t is normal unless degrees of freedom
    are given (the smaller class less one is prudent: V rests on few patients).

    Returns
    -------
    tuple of float
        (nan, nan) when A is 0 or 1 or V is 0 or missing: there the estimator claims a certainty
        that a finite sample cannot give.
    """
    if not (0 < auc < 1) or not variance > 0:
        return float("nan"), float("nan")
    quantile = stdtrit(degrees_of_freedom, 0.5 + confidence / 2)
    half_width = quantile * np.sqrt(variance) / (auc * (1 - auc))
    low, high = expit(logit(auc) + np.array([-1, 1]) * half_width)
    return float(low), float(high)


def roc_curve(y_true, y_score) -> pd.DataFrame:
    """Return the ROC curve: `threshold, fpr, tpr`, from (0, 0) to (1, 1).

    A row is the decision `y_score >= threshold`; the first threshold is infinite (nobody).
    Raises ValueError when an array is malformed or only one outcome class is present.
    """
    outcome = _both_classes(y_true)
    thresholds, events_above, controls_above = counts_above(outcome, y_score)
    return pd.DataFrame(
        {
            "threshold": np.r_[np.inf, thresholds],
            "fpr": np.r_[0, controls_above] / controls_above[-1],
            "tpr": np.r_[0, events_above] / events_above[-1],
        }
    )


def counts_above(y_true, y_score) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return distinct scores downwards, and events and non-events at or above each."""
    outcome = as_outcome(y_true)
    scores = as_scores(y_score, n_rows=outcome.size)
    order = np.argsort(-scores, kind="stable")
    ordered = scores[order]
    last_of_ties = np.r_[np.flatnonzero(np.diff(ordered)), ordered.size - 1]
    events = np.cumsum(outcome[order], dtype=np.int64)[last_of_ties]
    return ordered[last_of_ties], events, last_of_ties + 1 - events


def precision_recall_curve(y_true, y_score) -> pd.DataFrame:
    """Return `threshold, recall, precision, prevalence`, one row a distinct score, downwards.

    Precision of an uninformative score is the prevalence, hence the column.
    Raises ValueError when an array is malformed or only one outcome class is present.
    """
    outcome = _both_classes(y_true)
    thresholds, events_above, controls_above = counts_above(outcome, y_score)
    return pd.DataFrame(
        {
            "threshold": thresholds,
            "recall": events_above / events_above[-1],
            "precision": events_above / (events_above + controls_above),
            "prevalence": outcome.mean(),
        }
    )


def average_precision(y_true, y_score) -> float:
    """Return the sum of precision times the step in recall (no interpolation), in [0, 1].

    Compare it with the prevalence, which an uninformative score reaches, never with 0.5.
    """
    curve = precision_recall_curve(y_true, y_score)
    steps = np.diff(np.r_[0, curve["recall"].to_numpy()])
    return float((steps * curve["precision"].to_numpy()).sum())


def wilson_interval(count: int, n: int, *, confidence: float = 0.95) -> tuple[float, float]:
    """Return the Wilson score interval of `count` in `n`; (nan, nan) when n is 0."""
    if n == 0:
        return float("nan"), float("nan")
    low, high = proportion_confint(count, n, alpha=1 - confidence, method="wilson")
    return float(low), float(high)


def exact_interval(count: int, n: int, *, confidence: float = 0.95) -> tuple[float, float]:
    """Return the exact (Clopper-Pearson) interval of `count` in `n`; (nan, nan) when n is 0.

    It covers at least as often as it says and is wider than Wilson's for it. At 0 the upper bound
    is 1 - (alpha / 2) ** (1 / n).

    Examples
    --------
    >>> low, high = exact_interval(0, 10)
    >>> low, round(high, 4)
    (0.0, 0.3085)
    """
    if n == 0:
        return float("nan"), float("nan")
    low, high = proportion_confint(count, n, alpha=1 - confidence, method="beta")
    return float(low), float(high)


def decision_metrics(y_true, decision, *, confidence: float = 0.95) -> pd.DataFrame:
    """Return sensitivity, specificity, PPV and NPV of decisions, with Wilson intervals.

    Parameters
    ----------
    y_true, decision : array-like, shape (n,)
        0 or 1, one row a patient; decision 1 means test positive.
    confidence : float
        Level of the intervals.

    Returns
    -------
    pandas.DataFrame
        `metric, estimate, ci_low, ci_high, count, n`; NaN where the denominator `n` is 0.
    """
    outcome = as_outcome(y_true) == 1
    positive = as_outcome(decision, name="decision") == 1
    if outcome.shape != positive.shape:
        raise ValueError(
            f"decision must be of shape {outcome.shape} as y_true, got {positive.shape}. "
            "Pass one decision a patient."
        )
    cells = {
        "sensitivity": (positive & outcome, outcome),
        "specificity": (~positive & ~outcome, ~outcome),
        "ppv": (positive & outcome, positive),
        "npv": (~positive & ~outcome, ~positive),
    }
    rows = []
    for metric, (hits, among) in cells.items():
        count, n = int(hits.sum()), int(among.sum())
        low, high = wilson_interval(count, n, confidence=confidence)
        estimate = count / n if n else float("nan")
        rows.append((metric, estimate, low, high, count, n))
    return pd.DataFrame(rows, columns=["metric", "estimate", "ci_low", "ci_high", "count", "n"])
