"""Paired comparison of two variants on the same patients.

Differences are new - reference. For AUROC and net benefit above zero favours the new variant, for
the Brier score below zero does. Both variants see the same resamples, so what they share cancels.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
from scipy.stats import t

from evaluation.discrimination import delong_covariance
from evaluation.intervals import Interval, bootstrap_interval, bootstrap_intervals
from evaluation.net_benefit import net_benefit_statistic
from evaluation.resampling import BootstrapPlan
from evaluation.samples import ScoredRows
from evaluation.weighted import auroc_statistic, brier_statistic, difference

CONDITIONAL = "conditional on the fitted models"


def pair_patients(new: pd.DataFrame, reference: pd.DataFrame) -> ScoredRows:
    """Join the test rows of two variants.

    Parameters
    ----------
    new, reference : pandas.DataFrame
        `patient_id, repeat, fold, y_true, y_score`, one row a patient and repeat.

    Returns
    -------
    ScoredRows
        With the score columns `new` and `reference`.

    Raises
    ------
    ValueError
        If the variants share no repeat, or the patients (in the same repeats and folds) or their
        outcomes are not identical.

    Notes
    -----
    Repeats that only one of them has are left out: a network is trained in fewer of them.
    """
    keys = ["repeat", "fold", "patient_id"]
    repeats = sorted(set(new["repeat"]) & set(reference["repeat"]))
    if not repeats:
        raise ValueError(
            "repeats must overlap in a paired comparison, got none that both variants have. "
            "Predict both variants on the same splits."
        )
    n_repeats = max(rows["repeat"].nunique() for rows in (new, reference))
    new, reference = (rows[rows["repeat"].isin(repeats)] for rows in (new, reference))
    columns = [*keys, "y_true", "y_score"]
    joined = new[columns].merge(
        reference[columns],
        on=keys,
        how="outer",
        suffixes=("_new", "_reference"),
        validate="one_to_one",
        indicator="_side",
    )
    sides = joined["_side"].value_counts()
    if sides["left_only"] or sides["right_only"]:
        raise ValueError(
            "patients must be identical in a paired comparison, got "
            f"{sides['left_only']} patient rows only in the new variant, {sides['right_only']} "
            f"only in the reference and {sides['both']} in both. Predict both variants on the "
            "same splits."
        )
    n_differ = int((joined["y_true_new"] != joined["y_true_reference"]).sum())
    if n_differ:
        raise ValueError(
            f"y_true must be identical in a paired comparison, got {n_differ} patient rows that "
            "differ. Compare variants of the same target only."
        )
    names = {"y_true_new": "y_true", "y_score_new": "new", "y_score_reference": "reference"}
    frame = joined.rename(columns=names)[[*keys, "y_true", "new", "reference"]]
    return ScoredRows(frame, n_repeats)


def paired_delong(
    y_true, y_new, y_reference, *, folds=None, confidence: float = 0.95
) -> tuple[Interval, float]:
    """Return the difference of two AUROCs on the same patients, and its two-sided p-value.

    Var(A1 - A2) = V11 + V22 - 2 V12 of DeLong et al. 1988 (doi 10.2307/2531595), with the quantile
    of Student's t at one less than the number of events (or of the others, if fewer). With several
    columns (repeats) the AUROCs are averaged; the variance uses all their covariances.

    Parameters
    ----------
    y_true : array-like, shape (n,)
        0 or 1, both present.
    y_new, y_reference : array-like, shape (n,) or (n, n_repeats)
        Scores of the same patients.
    folds : array-like, shape (n,) or (n, n_repeats), optional
        Test fold of each patient: then the mean of the AUROCs within folds is compared.
    confidence : float
        Level of the interval.

    Returns
    -------
    Interval, float
        NaN bounds and p-value where the estimated variance is zero or undefined.

    Raises
    ------
    ValueError
        If an array is malformed or only one outcome class is present.
    """
    outcome = np.asarray(y_true)
    new = np.asarray(y_new, dtype=np.float64).reshape(outcome.size, -1)
    reference = np.asarray(y_reference, dtype=np.float64).reshape(outcome.size, -1)
    if folds is not None:
        folds = np.broadcast_to(np.asarray(folds).reshape(outcome.size, -1), new.shape)
        folds = np.hstack([folds, folds])
    auc, covariance = delong_covariance(outcome, np.hstack([new, reference]), folds=folds)
    n_repeats = new.shape[1]
    contrast = np.repeat([1 / n_repeats, -1 / n_repeats], n_repeats)
    estimate = float(contrast @ auc)
    variance = float(contrast @ covariance @ contrast)
    name = "DeLong, t" if folds is None else "DeLong within folds, t"
    # Identical rankings leave rounding of the order of 1e-18, not a variance.
    if not variance > 1e-15:
        nan = float("nan")
        return Interval(estimate, nan, nan, f"{name}; no interval: no variance"), nan
    error = np.sqrt(variance)
    n_events = int((outcome == 1).sum())
    freedom = max(min(n_events, outcome.size - n_events) - 1, 1)
    half_width = t.ppf(0.5 + confidence / 2, freedom) * error
    p_value = float(2 * t.sf(abs(estimate) / error, freedom))
    return Interval(estimate, float(estimate - half_width), float(estimate + half_width), name), (
        p_value
    )


def compare_variants(
    new: pd.DataFrame,
    reference: pd.DataFrame,
    *,
    plan: BootstrapPlan,
    risk_thresholds=(),
) -> pd.DataFrame:
    """Return every paired difference of two variants.

    Parameters
    ----------
    new, reference : pandas.DataFrame
        Test rows, one a patient and repeat; see :func:`pair_patients`.
    plan : BootstrapPlan
        Resamples, level, kind, seed.
    risk_thresholds : sequence of float
        Risks in (0, 1) at which the difference in net benefit is wanted.

    Returns
    -------
    pandas.DataFrame
        `metric, method, threshold, estimate, ci_low, ci_high, p_value, n, n_events`, metric in
        `delta_auroc_mean_within_fold` (primary) and `delta_auroc_pooled`, each by DeLong and by the
        bootstrap, `delta_brier`, `delta_net_benefit`. The first row is the one
        to be judged. AUROC resamples are stratified by outcome, the others
        are not.

    Raises
    ------
    ValueError
        If the patients or their outcomes are not identical.
    """
    pairs = pair_patients(new, reference)
    # BCa covers a paired difference worse than percentiles (benchmarks/interval_coverage.py).
    plan = replace(plan, method="percentile")
    rows = _auroc_rows(pairs, pairs.folds, "delta_auroc_mean_within_fold", plan)
    rows += _auroc_rows(pairs, pairs.repeats, "delta_auroc_pooled", plan)
    brier = _paired(pairs, brier_statistic, pairs.repeats)
    interval = bootstrap_interval(brier, pairs.clusters, plan=plan)
    rows.append(_row("delta_brier", interval, pairs))
    if len(risk_thresholds):
        gain = _paired(
            pairs, lambda y, s: net_benefit_statistic(y, s, risk_thresholds), pairs.repeats
        )
        intervals = bootstrap_intervals(gain, pairs.clusters, plan=plan)
        for level, interval in zip(risk_thresholds, intervals, strict=True):
            rows.append(_row("delta_net_benefit", interval, pairs, threshold=float(level)))
    return pd.DataFrame(rows).assign(n=pairs.n, n_events=pairs.n_events)


def _paired(pairs: ScoredRows, factory, parts):
    return difference(
        pairs.statistic(factory, parts, "new"), pairs.statistic(factory, parts, "reference")
    )


def _auroc_rows(pairs: ScoredRows, parts, metric: str, plan: BootstrapPlan) -> list[dict]:
    mixed = pairs.mixed(parts)
    if not mixed:
        nan = float("nan")
        return [_row(metric, Interval(nan, nan, nan, "not estimable: one outcome class"), pairs)]
    rows = []
    new, reference = pairs.score_matrix("new"), pairs.score_matrix("reference")
    if new is not None and reference is not None:
        is_within = metric == "delta_auroc_mean_within_fold"
        folds = pairs.score_matrix("fold") if is_within else None
        interval, p_value = paired_delong(
            pairs.by_outcome, new, reference, folds=folds, confidence=plan.confidence
        )
        rows.append(_row(metric, interval, pairs, p_value=p_value))
    statistic = _paired(pairs, auroc_statistic, mixed)
    drawn = bootstrap_interval(statistic, pairs.clusters, plan=plan, strata=pairs.by_outcome)
    return [*rows, _row(metric, drawn, pairs)]


def _row(metric, interval: Interval, pairs, *, threshold=np.nan, p_value=np.nan) -> dict:
    return {
        "metric": metric,
        "method": f"paired: {interval.method}{pairs.repeats_text()}, {CONDITIONAL}",
        "threshold": threshold,
        "estimate": interval.estimate,
        "ci_low": interval.ci_low,
        "ci_high": interval.ci_high,
        "p_value": p_value,
    }
