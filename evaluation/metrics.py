"""The metric rows of one variant: estimate, interval, and the method in words."""

from __future__ import annotations

import numpy as np
import pandas as pd

from evaluation.auroc_intervals import auroc_interval
from evaluation.calibration import (
    calibration_error_statistic,
    calibration_line,
    calibration_line_statistic,
    undefined_reason,
)
from evaluation.claims import FEW_EVENTS_CURVE
from evaluation.comparison import CONDITIONAL
from evaluation.discrimination import (
    decision_metrics,
    delong_covariance,
    wilson_interval,
)
from evaluation.intervals import Interval, bootstrap_interval, bootstrap_intervals
from evaluation.resampling import BootstrapPlan
from evaluation.samples import ScoredRows
from evaluation.weighted import (
    auroc_statistic,
    average_precision_statistic,
    brier_statistic,
    observed_expected_statistic,
    ratio_statistic,
    scaled_brier_statistic,
)

NAN = float("nan")
ONE_CLASS = Interval(NAN, NAN, NAN, "not estimable: one outcome class")


def row_of(metric: str, interval: Interval, sample: ScoredRows, *, threshold=NAN) -> dict:
    """Return one row of the metrics table."""
    return {
        "metric": metric,
        "method": f"{interval.method}{sample.repeats_text()}, {CONDITIONAL}",
        "threshold": threshold,
        "estimate": interval.estimate,
        "ci_low": interval.ci_low,
        "ci_high": interval.ci_high,
        "n": sample.n,
        "n_events": sample.n_events,
    }


def discrimination_rows(sample: ScoredRows, plan: BootstrapPlan) -> list[dict]:
    """Return AUROC (mean within fold and pooled, each by two intervals), AUPRC and prevalence.

    The first interval of an AUROC is the one to read: with few events the bootstrap, which draws
    the same few again, is too narrow (see :mod:`evaluation.trust`).

    Folds with a single outcome class have no AUROC; they are left out and counted in `method`.
    """
    rows = _within_fold_rows(sample, plan)
    repeats = sample.mixed(sample.repeats)
    if not repeats:
        rows += [row_of("auroc_pooled", ONE_CLASS, sample), row_of("auprc", ONE_CLASS, sample)]
    else:
        pooled = bootstrap_interval(
            sample.statistic(auroc_statistic, repeats),
            sample.clusters,
            plan=plan,
            strata=sample.by_outcome,
        )
        rows.append(_delong_row("auroc_pooled", sample, plan, "DeLong"))
        rows.append(row_of("auroc_pooled", pooled, sample))
        precision = sample.statistic(average_precision_statistic, repeats)
        interval = bootstrap_interval(precision, sample.clusters, plan=plan)
        rows.append(row_of("auprc", interval, sample))
    low, high = wilson_interval(sample.n_events, sample.n, confidence=plan.confidence)
    prevalence = Interval(sample.n_events / sample.n, low, high, "Wilson")
    # A count of patients: no repeat and no model has a part in it.
    return [*rows, row_of("prevalence", prevalence, sample) | {"method": "Wilson"}]


def _within_fold_rows(sample: ScoredRows, plan: BootstrapPlan) -> list[dict]:
    folds = sample.mixed(sample.folds)
    name = "auroc_mean_within_fold"
    if not folds:
        return [row_of(name, ONE_CLASS, sample)]
    n_lost = len(sample.folds) - len(folds)
    lost = f" ({n_lost} without both outcomes left out)" if n_lost else ""
    rows = []
    fold_of = sample.score_matrix("fold")
    if fold_of is not None:
        rows.append(_delong_row(name, sample, plan, "DeLong within folds", folds=fold_of))
    drawn = bootstrap_interval(
        sample.statistic(auroc_statistic, folds),
        sample.clusters,
        plan=plan,
        strata=sample.by_outcome,
    )
    rows.append(row_of(name, drawn, sample))
    return [row | {"method": f"mean of {len(folds)} folds{lost}; {row['method']}"} for row in rows]


def _delong_row(name: str, sample: ScoredRows, plan: BootstrapPlan, kind: str, folds=None) -> dict:
    """Return the row with the wider of DeLong's interval and Newcombe's."""
    scores = sample.score_matrix()
    if scores is None:
        reason = "DeLong; not estimable: patients differ between repeats"
        return row_of(name, Interval(NAN, NAN, NAN, reason), sample)
    auc, covariance = delong_covariance(sample.by_outcome, scores, folds=folds)
    estimate = float(auc.mean())
    counts = (sample.n_events, sample.n - sample.n_events)
    low, high = auroc_interval(
        estimate, float(covariance.mean()), *counts, confidence=plan.confidence
    )
    return row_of(name, Interval(estimate, low, high, f"wider of {kind} and Newcombe"), sample)


def decision_rows(sample: ScoredRows, plan: BootstrapPlan, *, rule: str) -> list[dict]:
    """Return sensitivity, specificity, PPV and NPV at the thresholds of the training folds.

    Parameters
    ----------
    sample : ScoredRows
        With `threshold` and `decision` columns (:func:`evaluation.thresholds.apply_thresholds`).
    plan : BootstrapPlan
        Level; and resamples where there are several repeats.
    rule : str
        How the thresholds were chosen, in words.

    Returns
    -------
    list of dict
        Wilson intervals for one repeat. With several, a patient counts in each, which Wilson
        would take for more patients: there the patient bootstrap. Patients without a decision
        (their fold has no threshold) are left out and counted.
    """
    decided = sample.frame[sample.frame["decision"].notna()]
    n_lost = len(sample.frame) - len(decided)
    text = f"{rule}" + (f" ({n_lost} patient rows without a threshold left out)" if n_lost else "")
    names = ("sensitivity", "specificity", "ppv", "npv")
    if decided.empty:
        none = Interval(NAN, NAN, NAN, f"{text}; not estimable: no threshold")
        return [row_of(name, none, sample) for name in names]
    part = ScoredRows(decided)
    threshold = float(decided.drop_duplicates(["repeat", "fold"])["threshold"].median())
    if len(part.repeats) > 1:
        intervals = {name: _decision_bootstrap(part, name, plan) for name in names}
    else:
        table = decision_metrics(
            decided["y_true"], decided["decision"].astype(int), confidence=plan.confidence
        )
        intervals = {
            row.metric: Interval(row.estimate, row.ci_low, row.ci_high, "Wilson")
            for row in table.itertuples()
        }
    rows = []
    for name, value in intervals.items():
        full = Interval(value.estimate, value.ci_low, value.ci_high, f"{text}; {value.method}")
        rows.append(row_of(name, full, part, threshold=threshold))
    return rows


def _decision_bootstrap(part: ScoredRows, name: str, plan: BootstrapPlan) -> Interval:
    def factory(outcome, decision):
        wanted = 1 if name in ("sensitivity", "ppv") else 0
        is_outcome, is_decision = outcome == wanted, decision == wanted
        among = is_outcome if name in ("sensitivity", "specificity") else is_decision
        return ratio_statistic(is_outcome & is_decision, among)

    is_given_outcome = name in ("sensitivity", "specificity")
    return bootstrap_interval(
        part.statistic(factory, part.repeats, "decision"),
        part.clusters,
        plan=plan,
        strata=part.by_outcome if is_given_outcome else None,
    )


def calibration_rows(sample: ScoredRows, plan: BootstrapPlan) -> list[dict]:
    """Return Brier, scaled Brier, slope, intercept, ICI, E50, E90 and O:E.

    Resamples are not stratified: the prevalence is part of calibration. Slope and intercept have
    Wald intervals for one repeat and bootstrap intervals for several.
    """
    rows = []
    factories = {
        "brier": brier_statistic,
        "scaled_brier": scaled_brier_statistic,
        "o_e": observed_expected_statistic,
    }
    for name, factory in factories.items():
        statistic = sample.statistic(factory, sample.repeats)
        rows.append(row_of(name, bootstrap_interval(statistic, sample.clusters, plan=plan), sample))
    return rows + _error_rows(sample, plan) + _line_rows(sample, plan)


def _error_rows(sample: ScoredRows, plan: BootstrapPlan) -> list[dict]:
    """Return ICI, E50 and E90, with an interval only where there are events enough for one."""
    errors = sample.statistic(calibration_error_statistic, sample.repeats)
    names = ("ici", "e50", "e90")
    if sample.n_events >= FEW_EVENTS_CURVE:
        intervals = bootstrap_intervals(errors, sample.clusters, plan=plan)
    else:
        # Resampling adds noise to a mean of absolute values: benchmarks/interval_coverage.py.
        text = f"no interval: those of the bootstrap are too narrow under {FEW_EVENTS_CURVE} events"
        values = errors(np.ones((1, len(sample.frame))))[0]
        intervals = [Interval(float(value), NAN, NAN, text) for value in values]
    return [row_of(*pair, sample) for pair in zip(names, intervals, strict=True)]


def _line_rows(sample: ScoredRows, plan: BootstrapPlan) -> list[dict]:
    frame = sample.frame
    if len(sample.repeats) == 1:
        line = calibration_line(frame["y_true"], frame["y_score"], confidence=plan.confidence)
        slope = Interval(line.slope, line.slope_low, line.slope_high, "logistic model, Wald")
        intercept = Interval(
            line.intercept, line.intercept_low, line.intercept_high, "offset model, Wald"
        )
        reasons = (line.slope_reason, line.intercept_reason)
    else:
        statistic = sample.statistic(calibration_line_statistic, sample.repeats)
        intercept, slope = bootstrap_intervals(statistic, sample.clusters, plan=plan)
        is_mixed = 0 < sample.n_events < sample.n
        reasons = (_reason(sample), "" if is_mixed else "one outcome class")
    rows = []
    names = ("calibration_slope", "calibration_intercept")
    for name, value, reason in zip(names, (slope, intercept), reasons, strict=True):
        shown = Interval(NAN, NAN, NAN, f"not estimable: {reason}") if reason else value
        rows.append(row_of(name, shown, sample))
    return rows


def _reason(sample: ScoredRows) -> str:
    frame = sample.frame
    for rows in sample.repeats:
        part = frame.iloc[rows]
        reason = undefined_reason(part["y_true"], part["y_score"])
        if reason:
            return f"{reason} in a repeat"
    return ""


def record_rows(records: ScoredRows, plan: BootstrapPlan) -> list[dict]:
    """Return the record-level AUROC (secondary): patients are drawn with all their records.

    `n` counts records and `n_events` records of patients with the event, per repeat.
    """
    repeats = records.mixed(records.repeats)
    interval = ONE_CLASS
    if repeats:
        interval = bootstrap_interval(
            records.statistic(auroc_statistic, repeats),
            records.clusters,
            plan=plan,
            strata=records.by_outcome,
        )
    first = records.frame.drop_duplicates("record_id")
    row = row_of("auroc_pooled", interval, records)
    return [row | {"n": len(first), "n_events": int(first["y_true"].sum())}]


def metrics_frame(rows: list[dict]) -> pd.DataFrame:
    """Return metric rows as a frame with the columns in their fixed order."""
    columns = ["metric", "method", "threshold", "estimate", "ci_low", "ci_high", "n", "n_events"]
    return pd.DataFrame(rows, columns=columns)
