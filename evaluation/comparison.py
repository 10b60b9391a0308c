"""Paired comparison of two variants on the same patients.

Differences are new - reference. For AUROC and net benefit above zero favours the new variant, for
the Brier score below zero does. Both variants see the same resamples, so what they share cancels.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.stats import norm

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
    y_true, y_new, y_reference, *, confidence: float = 0.95
) -> tuple[Interval, float]:
    """Return the difference of two AUROCs on the same patients, and its two-sided p-value.

    Var(A1 - A2) = V11 + V22 - 2 V12 of DeLong et al. 1988 (doi 10.2307/2531595). With several
    columns (repeats) the AUROCs are averaged; the variance uses all their covariances.

    Parameters
    ----------
    y_true : array-like, shape (n,)
        0 or 1, both present.
    y_new, y_reference : array-like, shape (n,) or (n, n_repeats)
        Scores of the same patients.
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
    new = np.asarray(y_new, dtype=np.float64).reshape(len(y_true), -1)
    reference = np.asarray(y_reference, dtype=np.float64).reshape(len(y_true), -1)
    auc, covariance = delong_covariance(y_true, np.hstack([new, reference]))
    contrast = np.r_[
        np.full(new.shape[1], 1 / new.shape[1]),
        np.full(reference.shape[1], -1 / reference.shape[1]),
    ]
    estimate = float(contrast @ auc)
    variance = float(contrast @ covariance @ contrast)
    # Identical rankings leave rounding of the order of 1e-18, not a variance.
    if not variance > 1e-15:
        nan = float("nan")
        return Interval(estimate, nan, nan, "DeLong; no interval: no variance"), nan
    error = np.sqrt(variance)
    half_width = norm.ppf(0.5 + confidence / 2) * error
    p_value = float(2 * norm.sf(abs(estimate) / error))
    low, high = float(estimate - half_width), float(estimate + half_width)
    return Interval(estimate, low, high, "DeLong"), p_value


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
        `delta_auroc_mean_within_fold` (primary), `delta_auroc_pooled` (bootstrap and DeLong),
        `delta_brier`, `delta_net_benefit`. AUROC resamples are stratified by outcome, the others
        are not.

    Raises
    ------
    ValueError
        If the patients or their outcomes are not identical.
    """
    pairs = pair_patients(new, reference)
    rows = [_auroc_row(pairs, pairs.folds, "delta_auroc_mean_within_fold", plan)]
    rows += [_auroc_row(pairs, pairs.repeats, "delta_auroc_pooled", plan)]
    rows += [_delong_row(pairs, plan)]
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


def _auroc_row(pairs: ScoredRows, parts, metric: str, plan: BootstrapPlan) -> dict:
    mixed = pairs.mixed(parts)
    if not mixed:
        nan = float("nan")
        return _row(metric, Interval(nan, nan, nan, "not estimable: one outcome class"), pairs)
    is_within = metric == "delta_auroc_mean_within_fold"
    strata = pairs.by_fold_and_outcome if is_within else pairs.by_outcome
    statistic = _paired(pairs, auroc_statistic, mixed)
    return _row(
        metric, bootstrap_interval(statistic, pairs.clusters, plan=plan, strata=strata), pairs
    )


def _delong_row(pairs: ScoredRows, plan: BootstrapPlan) -> dict:
    nan = float("nan")
    new, reference = pairs.score_matrix("new"), pairs.score_matrix("reference")
    reason = "one outcome class" if pairs.n_events in (0, pairs.n) else ""
    if new is None or reference is None:
        reason = "patients differ between repeats"
    if reason:
        interval = Interval(nan, nan, nan, f"DeLong; not estimable: {reason}")
        return _row("delta_auroc_pooled", interval, pairs)
    interval, p_value = paired_delong(pairs.by_outcome, new, reference, confidence=plan.confidence)
    return _row("delta_auroc_pooled", interval, pairs, p_value=p_value)


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
