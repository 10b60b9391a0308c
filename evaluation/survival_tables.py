"""Rows of the time-to-event tables: estimate, interval, and the method in words.

As for the binary outcome, the mean within the folds is primary (models of different folds are
different models) and the pooled figure secondary; with several repeats both are means over repeats.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from evaluation.comparison import CONDITIONAL, pair_patients
from evaluation.intervals import Interval, bootstrap_interval
from evaluation.resampling import BootstrapPlan
from evaluation.samples import ScoredRows
from evaluation.survival import (
    COMPETING,
    EVENT,
    MAX_PAIRWISE_ROWS,
    FollowUp,
    concordance_statistic,
    horizon_auroc_statistic,
    horizon_brier_statistic,
    observed_risk_statistic,
)
from evaluation.weighted import Statistic, difference, mean_over_parts, ratio_statistic, safe_ratio

Factory = Callable[[FollowUp, np.ndarray], Statistic]
COUNTS = ["n", "n_events", "n_competing", "n_unknown"]
METRIC_COLUMNS = ["variant", "target", "level", "subgroup", "metric", "method", "threshold"]
METRIC_COLUMNS += ["horizon_days", "estimate", "ci_low", "ci_high", *COUNTS]
COMPARISON_COLUMNS = ["target", "new", "reference", "is_primary", "metric", "method"]
COMPARISON_COLUMNS += ["horizon_days", "estimate", "ci_low", "ci_high", *COUNTS]
PRIMARY_METRIC = "delta_uno_c_mean_within_fold"


@dataclass(frozen=True)
class Measure:
    """A statistic of follow-up and score, up to one horizon."""

    name: str
    horizon_days: float
    factory: Factory
    is_pairwise: bool = False  # compares all patients with one another


def ranking_measures(horizons: Sequence[float]) -> list[Measure]:
    """Return Uno's and Harrell's C up to the last horizon, and the AUROC at each."""
    end = horizons[-1]
    # Events on the day of the horizon count, as in the binary outcome.
    last = float(np.nextafter(end, np.inf))

    def uno(follow_up: FollowUp, scores: np.ndarray) -> Statistic:
        return concordance_statistic(follow_up, scores, horizon_days=last)

    def harrell(follow_up: FollowUp, scores: np.ndarray) -> Statistic:
        return concordance_statistic(follow_up, scores, horizon_days=last, is_weighted=False)

    def auroc_at(day: float) -> Factory:
        return lambda follow_up, scores: horizon_auroc_statistic(
            follow_up, scores, horizon_days=day
        )

    found = [Measure("uno_c", end, uno, True), Measure("harrell_c", end, harrell, True)]
    return found + [Measure("horizon_auroc", day, auroc_at(day)) for day in horizons]


def risk_measures(horizon_days: float) -> list[Measure]:
    """Return Brier score, observed (Aalen-Johansen) and mean predicted risk, and their ratio."""

    def brier(follow_up: FollowUp, risk: np.ndarray) -> Statistic:
        return horizon_brier_statistic(follow_up, risk, horizon_days=horizon_days)

    def observed(follow_up: FollowUp, _: np.ndarray) -> Statistic:
        return observed_risk_statistic(follow_up, horizon_days=horizon_days)

    def predicted(_: FollowUp, risk: np.ndarray) -> Statistic:
        return ratio_statistic(risk, np.ones(risk.size))

    def ratio(follow_up: FollowUp, risk: np.ndarray) -> Statistic:
        above, below = observed(follow_up, risk), predicted(follow_up, risk)
        return lambda weights: safe_ratio(above(weights), below(weights))

    factories = {
        "horizon_brier": brier,
        "cumulative_incidence": observed,
        "mean_predicted_risk": predicted,
        "o_e_horizon": ratio,
    }
    return [Measure(name, horizon_days, factory) for name, factory in factories.items()]


@dataclass(frozen=True)
class FollowedRows:
    """Test rows of one variant (or the pairs of two) with their follow-up.

    Parameters
    ----------
    frame : pandas.DataFrame
        `patient_id, repeat, fold, event, duration_days` and score columns; one row a patient and
        repeat.
    """

    frame: pd.DataFrame

    def counts(self, horizon_days: float) -> dict[str, int]:
        """Return patients and, by the horizon, events, competing events, and lost without."""
        first = self.frame.drop_duplicates("patient_id")
        follow_up = FollowUp(first["duration_days"], first["event"])
        is_early = follow_up.duration_days <= horizon_days
        n_of = [int((is_early & (follow_up.status == kind)).sum()) for kind in (EVENT, COMPETING)]
        values = (follow_up.n, *n_of, follow_up.n_unknown(horizon_days))
        return dict(zip(COUNTS, values, strict=True))

    def interval(
        self, measure: Measure, *, is_within: bool, columns: Sequence[str], plan: BootstrapPlan
    ) -> Interval:
        """Return a measure of one score column, or the difference of two, with its interval."""
        # `y_true` here only says that a row is there: follow-up is the outcome.
        sample = ScoredRows(self.frame.assign(y_true=0))
        parts = sample.folds if is_within else sample.repeats
        largest = max(part.size for part in parts)
        if measure.is_pairwise and largest > MAX_PAIRWISE_ROWS:
            reason = f"not estimated: {largest} patients, at most {MAX_PAIRWISE_ROWS}"
            return Interval(np.nan, np.nan, np.nan, reason)
        duration = self.frame["duration_days"].to_numpy(np.float64)
        event = self.frame["event"].to_numpy(int)
        follow_ups = [FollowUp(duration[rows], event[rows]) for rows in parts]
        statistics, n_defined = [], 0
        for column in columns:
            scores = self.frame[column].to_numpy(np.float64)
            pieces = [
                (rows, measure.factory(follow_up, scores[rows]))
                for rows, follow_up in zip(parts, follow_ups, strict=True)
            ]
            statistics.append(mean_over_parts(pieces))
            defined = [np.isfinite(one(np.ones((1, rows.size)))[0]) for rows, one in pieces]
            n_defined = int(np.sum(defined))
        statistic = difference(*statistics) if len(statistics) == 2 else statistics[0]
        if not n_defined:
            reason = "not estimable: no events to compare, or nobody followed to the horizon"
            return Interval(np.nan, np.nan, np.nan, reason)
        found = bootstrap_interval(statistic, sample.clusters, plan=plan)
        text = f"{found.method}{sample.repeats_text()}"
        if is_within:
            n_lost = len(parts) - n_defined
            lost = f" ({n_lost} without events to compare left out)" if n_lost else ""
            text = f"mean of {n_defined} folds{lost}; {text}"
        return Interval(found.estimate, found.ci_low, found.ci_high, f"{text}, {CONDITIONAL}")


def metric_table(
    variant: str, followed: FollowedRows, horizons: Sequence[float], plan: BootstrapPlan
) -> pd.DataFrame:
    """Return the metrics of one variant.

    Parameters
    ----------
    variant : str
        Its name.
    followed : FollowedRows
        Its test rows, with `y_score`.
    horizons : sequence of float
        In days, ascending; the last is the one the risk is for.
    plan : BootstrapPlan
        Resamples of patients, not stratified: how many are lost is part of the uncertainty.

    Returns
    -------
    pandas.DataFrame
        `variant, level, subgroup, metric, method, threshold, horizon_days, estimate, ci_low,
        ci_high, n, n_events, n_competing, n_unknown`, the counts by the row's horizon.
    """
    wanted = [(one, True) for one in ranking_measures(horizons)]
    wanted += [(one, False) for one in ranking_measures(horizons)]
    wanted += [(one, False) for one in risk_measures(horizons[-1])]
    rows = []
    for measure, is_within in wanted:
        found = followed.interval(measure, is_within=is_within, columns=["y_score"], plan=plan)
        rows.append(_row(measure, found, is_within) | followed.counts(measure.horizon_days))
    table = pd.DataFrame(rows)
    return table.assign(variant=variant, level="patient", subgroup="all", threshold=np.nan)


def comparison_table(
    new: pd.DataFrame, reference: pd.DataFrame, *, horizon_days: float, plan: BootstrapPlan
) -> pd.DataFrame:
    """Return paired differences (new - reference) of both C and of the AUROC at the horizon.

    Raises
    ------
    ValueError
        If the two do not hold the same patients in the same repeats and folds.
    """
    # The pairing compares y_true as well, which has no place here: the follow-up is the same.
    pairs = pair_patients(new.assign(y_true=0), reference.assign(y_true=0)).frame
    facts = new[["patient_id", "event", "duration_days"]].drop_duplicates("patient_id")
    followed = FollowedRows(pairs.merge(facts, on="patient_id", how="left", validate="m:1"))
    rows = []
    for measure in ranking_measures([horizon_days]):
        for is_within in (True, False):
            found = followed.interval(
                measure, is_within=is_within, columns=["new", "reference"], plan=plan
            )
            row = _row(measure, found, is_within) | followed.counts(horizon_days)
            rows.append(
                row | {"metric": f"delta_{row['metric']}", "method": f"paired: {found.method}"}
            )
    return pd.DataFrame(rows)


def _row(measure: Measure, found: Interval, is_within: bool) -> dict:
    is_ranking = measure.name in ("uno_c", "harrell_c", "horizon_auroc")
    kind = ("_mean_within_fold" if is_within else "_pooled") if is_ranking else ""
    return {
        "metric": f"{measure.name}{kind}",
        "method": found.method,
        "horizon_days": measure.horizon_days,
        "estimate": found.estimate,
        "ci_low": found.ci_low,
        "ci_high": found.ci_high,
    }
