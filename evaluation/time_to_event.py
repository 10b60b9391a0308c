"""Time to the event: every table of it, from the scores of test patients and their follow-up.

The binary evaluation leaves out patients whose status at the horizon is unknown. Here they count up
to the day they were last seen, by inverse-probability-of-censoring weights
(:mod:`evaluation.survival`) and in Aalen-Johansen and Cox estimates.

Days count from time zero: the index date, or `landmark_days` after it. The horizon counts from time
zero, too: with a landmark of 90 days and a horizon of 1,095 the event is one from day 91 to day
1,185 after the index date, and who had it or left by day 90 is not in the cohort.

A model gives one risk, that of the event by the horizon. Its ranking is judged at shorter horizons
as well; its error (Brier) and its mean only at its own. A Brier score integrated over time would
need a risk for each day, which these models do not give.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import combinations

import pandas as pd

from evaluation.arrays import require_columns
from evaluation.claims import MIN_EVENTS, events_warning
from evaluation.cox import COX_COLUMNS, cox_table
from evaluation.incidence import CURVE_COLUMNS, incidence_curves
from evaluation.resampling import BootstrapPlan
from evaluation.risk_groups import GROUP_KEYS, GROUPS, risk_group_table, risk_groups
from evaluation.survival import FollowUp
from evaluation.survival_tables import (
    COMPARISON_COLUMNS,
    COUNTS,
    METRIC_COLUMNS,
    PRIMARY_METRIC,
    FollowedRows,
    comparison_table,
    metric_table,
)

NO_DATES = (
    "The cohort has no dates of follow-up, so nothing can be said about the time to the event; its "
    "outcome is evaluated as yes or no."
)
NO_COMPETING = (
    "No competing event is recorded, so the cumulative incidence is one minus Kaplan-Meier. If "
    "patients died of other causes and the table does not say so, it is too high."
)
TABLE_COLUMNS = {
    "survival_metrics": METRIC_COLUMNS,
    "survival_comparisons": COMPARISON_COLUMNS,
    "cox": COX_COLUMNS,
    "cumulative_incidence": [*GROUP_KEYS, *CURVE_COLUMNS, "horizon_days", *COUNTS],
    "risk_groups": GROUP_KEYS,
    "notes": ["target", "note"],
}


@dataclass(frozen=True)
class TimeToEventSettings:
    """What is declared before the evaluation of the time to the event."""

    plan: BootstrapPlan = field(default_factory=BootstrapPlan)
    new_variant: str = "ecg_covariates"  # the one primary comparison
    reference_variant: str = "clinical"
    horizon_shares: tuple[float, ...] = (0.25, 0.5)  # of the horizon: where ranking is judged, too
    group_quantiles: tuple[float, float] = (1 / 3, 2 / 3)  # of the training patients' scores

    def __post_init__(self):
        if any(not 0 < share < 1 for share in self.horizon_shares):
            raise ValueError(
                "horizon_shares must lie between 0 and 1, got "
                f"{', '.join(f'{share:g}' for share in self.horizon_shares)}. Leave out the whole "
                "horizon: it is always judged."
            )


def time_to_event(
    patients: pd.DataFrame, settings: TimeToEventSettings | None = None
) -> dict[str, pd.DataFrame]:
    """Return every table of the time to the event.

    Parameters
    ----------
    patients : pandas.DataFrame
        Training and test rows of :func:`evaluation.scores.patient_scores`, all variants, with
        `event` (0 censored, 1 event, 2 competing) and `duration_days`; `y_true` may be missing.
    settings : TimeToEventSettings, optional
        Declared beforehand.

    Returns
    -------
    dict of pandas.DataFrame
        `survival_metrics` and `survival_comparisons` (as `metrics` and `comparisons`, with
        `horizon_days, n_competing, n_unknown`), `cox`, `cumulative_incidence` (curves by risk
        group), `risk_groups`, and `notes` (`target, note`: what cannot be concluded, in words). In
        a cohort without dates all but `risk_groups` and `notes` are empty, and a note says why.

    Raises
    ------
    ValueError
        If columns or training rows are missing, or two variants hold different test patients.
    """
    settings = settings or TimeToEventSettings()
    require_columns(patients, ("target", "variant", "role", "horizon_days"), name="patients")
    grouped = risk_groups(patients, quantiles=settings.group_quantiles)
    collected: dict[str, list[pd.DataFrame]] = {}
    for target, test in grouped.groupby("target", sort=False):
        for name, table in _target_tables(str(target), test, settings).items():
            collected.setdefault(name, []).append(table)
    return {
        name: pd.concat(collected[name], ignore_index=True)
        if name in collected
        else pd.DataFrame(columns=columns)
        for name, columns in TABLE_COLUMNS.items()
    }


def _target_tables(
    target: str, test: pd.DataFrame, settings: TimeToEventSettings
) -> dict[str, pd.DataFrame]:
    """Return the tables of one target that can be made."""
    plan = settings.plan
    tables = {"risk_groups": risk_group_table(test, confidence=plan.confidence)}
    horizon_days = float(test["horizon_days"].iloc[0])
    has_dates = {"event", "duration_days"} <= set(test.columns) and test["event"].notna().all()
    if not has_dates or horizon_days <= 0:
        return tables | {"notes": pd.DataFrame({"target": [target], "note": [NO_DATES]})}
    by_variant = {str(name): rows for name, rows in test.groupby("variant", sort=False)}
    horizons = _horizons(FollowedRows(test), horizon_days, settings)
    metrics = [
        metric_table(name, FollowedRows(rows.reset_index(drop=True)), horizons, plan)
        for name, rows in by_variant.items()
    ]
    keys = ["patient_id", "repeat", "event", "duration_days"]
    wide = test.pivot(index=keys, columns="variant", values="y_score")[list(by_variant)]
    tables |= {
        "survival_metrics": pd.concat(metrics).assign(target=target)[METRIC_COLUMNS],
        "cox": cox_table(
            wide.reset_index(),
            target=target,
            horizon_days=horizon_days,
            pair=(settings.new_variant, settings.reference_variant),
            confidence=plan.confidence,
        ),
        "cumulative_incidence": _curve_table(test, horizon_days, plan.confidence),
        "notes": _notes(target, FollowedRows(test).counts(horizon_days)),
    }
    if len(by_variant) > 1:
        table = _comparisons(by_variant, horizon_days, settings).assign(target=target)
        tables["survival_comparisons"] = table[COMPARISON_COLUMNS]
    return tables


def _horizons(
    followed: FollowedRows, horizon_days: float, settings: TimeToEventSettings
) -> list[float]:
    """Return the shorter horizons with enough events by then, and the whole one."""
    days = [float(round(share * horizon_days)) for share in sorted(settings.horizon_shares)]
    days = [day for day in days if followed.counts(day)["n_events"] >= MIN_EVENTS]
    return [*days, horizon_days]


def _comparisons(
    by_variant: dict[str, pd.DataFrame], horizon_days: float, settings: TimeToEventSettings
) -> pd.DataFrame:
    primary = (settings.new_variant, settings.reference_variant)
    tables = []
    for reference, new in combinations(by_variant, 2):
        pair = primary if {new, reference} == set(primary) else (new, reference)
        table = comparison_table(
            by_variant[pair[0]],
            by_variant[pair[1]],
            horizon_days=horizon_days,
            plan=settings.plan,
        )
        is_primary = (table["metric"] == PRIMARY_METRIC) & (pair == primary)
        tables.append(table.assign(new=pair[0], reference=pair[1], is_primary=is_primary))
    return pd.concat(tables)


def _curve_table(test: pd.DataFrame, horizon_days: float, confidence: float) -> pd.DataFrame:
    """Return the curves of every variant, repeat and risk group."""
    tables = []
    for key, part in test.groupby(GROUP_KEYS, sort=False):
        follow_up = FollowUp(part["duration_days"], part["event"])
        table = incidence_curves(follow_up, horizon_days=horizon_days, confidence=confidence)
        about = dict(zip(GROUP_KEYS, key, strict=True)) | {"horizon_days": horizon_days}
        tables.append(table.assign(**about, **FollowedRows(part).counts(horizon_days)))
    table = pd.concat(tables, ignore_index=True)
    rank = table["group"].map({name: k for k, name in enumerate(GROUPS)})
    order = rank.sort_values(kind="stable").index
    return table.loc[order, TABLE_COLUMNS["cumulative_incidence"]].reset_index(drop=True)


def _notes(target: str, counts: dict[str, int]) -> pd.DataFrame:
    n, n_events = counts["n"], counts["n_events"]
    unknown = (
        f"{counts['n_unknown']} of {n} patients were lost before the horizon without an event: "
        "their status then is unknown. They count up to the day they were last seen, which is "
        "right where being lost does not depend on the risk."
    )
    n_known = n - counts["n_unknown"]
    notes = [
        events_warning(n_events, n_known) if min(n_events, n_known - n_events) < MIN_EVENTS else "",
        unknown if counts["n_unknown"] else "",
        "" if counts["n_competing"] else NO_COMPETING,
    ]
    return pd.DataFrame({"target": target, "note": [note for note in notes if note]})
