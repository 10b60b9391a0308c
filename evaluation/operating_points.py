"""What a decision at a given risk would mean: one row a threshold, nothing chosen on test data.

Two tables: decisions at thresholds that reach a wanted sensitivity or specificity on *training*
patients, and the explorer, a list of declared risks. A threshold read off the explorer because its
row looks best is a threshold chosen on test patients.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from evaluation.discrimination import exact_interval, wilson_interval
from evaluation.intervals import bootstrap_interval
from evaluation.net_benefit import as_risk_thresholds, net_benefit_statistic
from evaluation.resampling import BootstrapPlan
from evaluation.samples import ScoredRows
from evaluation.scores import TRAINING_ROLES
from evaluation.thresholds import apply_thresholds, choose_thresholds
from evaluation.weighted import ratio_statistic

WANTED = (("sensitivity", 0.9), ("sensitivity", 0.8), ("specificity", 0.9), ("specificity", 0.8))
PROPORTIONS = ("sensitivity", "specificity", "ppv", "npv")


def proportion_rows(sample: ScoredRows, decision: np.ndarray, plan: BootstrapPlan) -> list[dict]:
    """Return sensitivity, specificity, PPV and NPV of decisions, with their intervals.

    Parameters
    ----------
    sample : ScoredRows
        One row a patient and repeat.
    decision : numpy.ndarray of bool, shape (n_rows,)
        True: acted on.
    plan : BootstrapPlan
        Level; resamples where there are several repeats, in which Wilson and exact intervals would
        count a patient more than once.

    Returns
    -------
    list of dict
        `metric, estimate, ci_low, ci_high, exact_low, exact_high, count, among`: the interval is
        Wilson's (or the patient bootstrap's with several repeats), `exact` is Clopper and
        Pearson's; `count` of `among` patients, mean over repeats.
    """
    is_event = sample.frame["y_true"].to_numpy() == 1
    cells = {
        "sensitivity": (decision & is_event, is_event),
        "specificity": (~decision & ~is_event, ~is_event),
        "ppv": (decision & is_event, decision),
        "npv": (~decision & ~is_event, ~decision),
    }
    n_repeats = len(sample.repeats)
    rows = []
    for metric, (hits, among) in cells.items():
        count, size = hits.sum() / n_repeats, among.sum() / n_repeats
        row = {"metric": metric, "count": count, "among": size}
        row["estimate"] = count / size if size else np.nan
        exact = (np.nan, np.nan)
        if n_repeats == 1:
            whole = (int(count), int(size))
            low, high = wilson_interval(*whole, confidence=plan.confidence)
            exact = exact_interval(*whole, confidence=plan.confidence)
        else:
            is_conditional = metric in ("sensitivity", "specificity")
            found = bootstrap_interval(
                ratio_statistic(hits, among),
                sample.clusters,
                plan=plan,
                strata=sample.by_outcome if is_conditional else None,
            )
            low, high = found.ci_low, found.ci_high
        row |= {"ci_low": low, "ci_high": high, "exact_low": exact[0], "exact_high": exact[1]}
        rows.append(row)
    return rows


def operating_points(patients: pd.DataFrame, *, plan: BootstrapPlan) -> pd.DataFrame:
    """Return test decisions at thresholds that reach a wanted figure on training patients.

    Parameters
    ----------
    patients : pandas.DataFrame
        Rows of :func:`evaluation.scores.patient_scores`, of all roles and of known outcome.
    plan : BootstrapPlan
        Of the intervals.

    Returns
    -------
    pandas.DataFrame
        `target, variant, rule, wanted, threshold` (median over folds), the columns of
        :func:`proportion_rows`, `n, n_events`. The figure that was aimed at is reached on training
        patients; how near the test patients come is what the table shows.
    """
    training = patients[patients["role"].isin(TRAINING_ROLES)]
    test = patients[patients["role"] == "test"]
    rows = []
    for rule, wanted in WANTED:
        thresholds = choose_thresholds(training, rule=rule, target=wanted)
        decided = apply_thresholds(test, thresholds)
        decided = decided[decided["decision"].notna()]
        for (target, variant), part in decided.groupby(["target", "variant"], sort=False):
            sample = ScoredRows(part)
            first = {"target": target, "variant": variant, "rule": rule, "wanted": wanted}
            first["threshold"] = float(part["threshold"].median())
            decision = sample.frame["decision"].to_numpy(dtype=np.int8) == 1
            for row in proportion_rows(sample, decision, plan):
                rows.append(first | row | {"n": sample.n, "n_events": sample.n_events})
    return pd.DataFrame(rows)


def explorer_table(
    sample: ScoredRows, risks: Sequence[float] | np.ndarray, plan: BootstrapPlan
) -> pd.DataFrame:
    """Return what acting at each of some declared risks would mean.

    Parameters
    ----------
    sample : ScoredRows
        Test patients of one variant, one row a patient and repeat.
    risks : sequence of float
        Risks in (0, 1), declared beforehand.
    plan : BootstrapPlan
        Of the intervals.

    Returns
    -------
    pandas.DataFrame
        `threshold, n_positive, true_positives, false_positives, false_negatives, true_negatives`
        (mean over repeats), each of sensitivity, specificity, ppv and npv with `_low` and `_high`,
        `number_needed` (patients acted on for one with the event, 1 / PPV), `net_benefit`, `n`,
        `n_events`.
    """
    levels = as_risk_thresholds(risks)
    score = sample.frame["y_score"].to_numpy(dtype=np.float64)
    is_event = sample.frame["y_true"].to_numpy() == 1
    n_repeats = len(sample.repeats)
    gain = sample.statistic(lambda y, s: net_benefit_statistic(y, s, levels), sample.repeats)
    benefits = gain(np.ones((1, len(score))))[0]
    rows = []
    for level, benefit in zip(levels, benefits, strict=True):
        decision = score >= level
        row = {
            "threshold": level,
            "n_positive": decision.sum() / n_repeats,
            "true_positives": (decision & is_event).sum() / n_repeats,
            "false_positives": (decision & ~is_event).sum() / n_repeats,
            "false_negatives": (~decision & is_event).sum() / n_repeats,
            "true_negatives": (~decision & ~is_event).sum() / n_repeats,
        }
        for found in proportion_rows(sample, decision, plan):
            name = found["metric"]
            row |= {name: found["estimate"], f"{name}_low": found["ci_low"]}
            row[f"{name}_high"] = found["ci_high"]
        row["number_needed"] = 1 / row["ppv"] if row["ppv"] > 0 else np.nan
        rows.append(row | {"net_benefit": benefit, "n": sample.n, "n_events": sample.n_events})
    return pd.DataFrame(rows)
