"""The tables that figures are drawn from: one row a point, one column a meaning."""

from __future__ import annotations

import numpy as np
import pandas as pd

from evaluation.discrimination import precision_recall_curve, roc_curve
from evaluation.intervals import percentile_interval
from evaluation.net_benefit import decision_curve, net_benefit_statistic, treat_all_statistic
from evaluation.resampling import BootstrapPlan, bootstrap_draws
from evaluation.samples import ScoredRows
from evaluation.smoothing import calibration_curve_statistic
from evaluation.weighted import difference


def _labelled(table: pd.DataFrame, sample: ScoredRows) -> pd.DataFrame:
    return table.assign(n=sample.n, n_events=sample.n_events)


def _per_repeat(sample: ScoredRows, make) -> pd.DataFrame:
    tables = []
    for rows in sample.mixed(sample.repeats):
        part = sample.frame.iloc[rows]
        table = make(part["y_true"], part["y_score"])
        table.insert(0, "repeat", part["repeat"].iloc[0])
        tables.append(table)
    if tables:
        return _labelled(pd.concat(tables, ignore_index=True), sample)
    # Nothing to draw, yet the columns must be there: take them from a made-up pair.
    table = make([0, 1], [0.0, 1.0])
    table.insert(0, "repeat", 0)
    return _labelled(table.iloc[:0], sample)


def roc_table(sample: ScoredRows) -> pd.DataFrame:
    """Return `repeat, threshold, fpr, tpr, n, n_events`; empty with a single outcome class."""
    return _per_repeat(sample, roc_curve)


def precision_recall_table(sample: ScoredRows) -> pd.DataFrame:
    """Return `repeat, threshold, recall, precision, prevalence, n, n_events`."""
    return _per_repeat(sample, precision_recall_curve)


def calibration_table(
    sample: ScoredRows, plan: BootstrapPlan, *, n_points: int = 60
) -> pd.DataFrame:
    """Return the flexible calibration curve with its bootstrap band.

    Returns
    -------
    pandas.DataFrame
        `risk, observed, ci_low, ci_high, n, n_events`: pointwise percentile band, mean over
        repeats, between the lowest and the highest risk.
    """
    risks = sample.frame["y_score"].to_numpy(dtype=np.float64)
    grid = np.unique(np.linspace(risks.min(), risks.max(), n_points))
    statistic = sample.statistic(
        lambda y, s: calibration_curve_statistic(y, s, grid), sample.repeats
    )
    low, high = _band(statistic, sample, plan)
    observed = statistic(np.ones((1, len(risks))))[0]
    table = {"risk": grid, "observed": observed, "ci_low": low, "ci_high": high}
    return _labelled(pd.DataFrame(table), sample)


def _band(statistic, sample: ScoredRows, plan: BootstrapPlan):
    draws = bootstrap_draws(statistic, sample.clusters, plan=plan)
    return percentile_interval(draws, confidence=plan.confidence)


def decision_table(
    sample: ScoredRows,
    plan: BootstrapPlan,
    *,
    thresholds,
    rule: tuple[str, pd.Series] | None = None,
) -> pd.DataFrame:
    """Return the decision curve of one variant, of treating all or none, and of a simple rule.

    Parameters
    ----------
    sample : ScoredRows
        Test patients of one variant.
    plan : BootstrapPlan
        Resamples (not stratified: the prevalence is part of net benefit) and level.
    thresholds : array-like, shape (n_thresholds,)
        The declared range of risks in (0, 1).
    rule : tuple of str and Series, optional
        Name, and whom the rule acts on: 0 or 1 by `patient_id`; see
        :func:`evaluation.net_benefit.limit_rule`.

    Returns
    -------
    pandas.DataFrame
        `strategy, threshold, net_benefit, ci_low, ci_high, minus_all, minus_all_low,
        minus_all_high, minus_rule, minus_rule_low, minus_rule_high, n, n_events`, strategy in
        "model", "treat all", "treat none" and the name of the rule. The band of net_benefit is that
        of the difference to treating nobody.
    """
    tables = []
    for rows in sample.mixed(sample.repeats):
        part = sample.frame.iloc[rows]
        scores = {"model": part["y_score"]}
        if rule is not None:
            scores[rule[0]] = part["patient_id"].map(rule[1]).astype(float)
        tables.append(decision_curve(part["y_true"], scores, thresholds))
    columns = ["strategy", "threshold", "net_benefit", "ci_low", "ci_high"]
    columns += [f"minus_{peer}{end}" for peer in ("all", "rule") for end in ("", "_low", "_high")]
    if not tables:
        return _labelled(
            pd.DataFrame(columns=columns).astype(dict.fromkeys(columns[1:], float)), sample
        )
    curves = pd.concat(tables).rename(columns={"variant": "strategy"})
    curves = curves.groupby(["strategy", "threshold"], sort=False, as_index=False).mean()
    model = sample.statistic(lambda y, s: net_benefit_statistic(y, s, thresholds), sample.repeats)
    peers = {
        "all": sample.statistic(lambda y, _: treat_all_statistic(y, thresholds), sample.repeats)
    }
    if rule is not None:
        ruled = ScoredRows(
            sample.frame.assign(rule=sample.frame["patient_id"].map(rule[1]).astype(float))
        )
        peers["rule"] = ruled.statistic(
            lambda y, s: net_benefit_statistic(y, s, thresholds), ruled.repeats, "rule"
        )
    one = np.ones((1, len(sample.frame)))
    is_model = curves["strategy"] == "model"
    curves.loc[is_model, ["ci_low", "ci_high"]] = np.column_stack(_band(model, sample, plan))
    for peer, statistic in peers.items():
        gain = difference(model, statistic)
        found = np.column_stack([gain(one)[0], *_band(gain, sample, plan)])
        curves.loc[is_model, [f"minus_{peer}", f"minus_{peer}_low", f"minus_{peer}_high"]] = found
    return _labelled(curves.reindex(columns=columns), sample)


def histogram_table(sample: ScoredRows, *, n_bins: int = 20) -> pd.DataFrame:
    """Return the histogram of risks by outcome.

    Returns
    -------
    pandas.DataFrame
        `y_true, bin_low, bin_high, count, fraction, n, n_events`; count is the mean over
        repeats, fraction is within the outcome class and NaN when that is empty.
    """
    edges = np.linspace(0, 1, n_bins + 1)
    n_repeats = len(sample.repeats)
    tables = []
    for outcome in (0, 1):
        risks = sample.frame.loc[sample.frame["y_true"] == outcome, "y_score"]
        count = np.histogram(risks, bins=edges)[0]
        table = pd.DataFrame({"y_true": outcome, "bin_low": edges[:-1], "bin_high": edges[1:]})
        table["count"] = count / n_repeats
        table["fraction"] = count / len(risks) if len(risks) else np.nan
        tables.append(table)
    return _labelled(pd.concat(tables, ignore_index=True), sample)
