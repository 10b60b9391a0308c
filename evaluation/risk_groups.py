"""Low, medium and high risk: groups whose limits were chosen on training patients.

Limits taken from the test patients themselves would differ from those a clinic could apply, and
would make the groups look more different than they are. Each fold has its own limits, since each
fold has a model of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from evaluation.arrays import require_columns
from evaluation.discrimination import wilson_interval
from evaluation.incidence import incidence_at
from evaluation.scores import TRAINING_ROLES
from evaluation.survival import COMPETING, FollowUp
from evaluation.thresholds import FOLD_KEYS

GROUPS = ("low", "medium", "high")
GROUP_KEYS = ["target", "variant", "repeat", "group"]


def risk_groups(
    patients: pd.DataFrame, *, quantiles: Sequence[float] = (1 / 3, 2 / 3)
) -> pd.DataFrame:
    """Put every test patient into one of three groups by risk.

    Parameters
    ----------
    patients : pandas.DataFrame
        Test and training rows of :func:`evaluation.scores.patient_scores`.
    quantiles : (float, float)
        Of the training patients' scores (roles "validation" and "inner"), per target, variant,
        repeat and fold; the default makes thirds of them. Declared beforehand.

    Returns
    -------
    pandas.DataFrame
        The test rows with `medium_from` and `high_from` (risks in [0, 1]) and `group` (`low`,
        `medium` or `high`). The groups of test patients need not be of equal size.

    Raises
    ------
    ValueError
        If the quantiles are not two in order, or a fold has test but no training patients.
    """
    low, high = quantiles
    if not 0 < low < high < 1:
        raise ValueError(
            f"quantiles must satisfy 0 < low < high < 1, got {low:g} and {high:g}. Use 1/3 and 2/3."
        )
    require_columns(patients, [*FOLD_KEYS, "role", "patient_id", "y_score"], name="patients")
    test = patients[patients["role"] == "test"]
    training = patients[patients["role"].isin(TRAINING_ROLES)]
    limits = training.groupby(FOLD_KEYS)["y_score"].quantile([low, high]).unstack()
    limits = limits.set_axis(["medium_from", "high_from"], axis=1).reset_index()
    joined = test.merge(limits, on=FOLD_KEYS, how="left", validate="many_to_one")
    n_lost = int(joined["medium_from"].isna().sum())
    if n_lost:
        raise ValueError(
            f"training rows must cover every fold, got none for {n_lost} of {len(test)} patient "
            "rows. Write validation predictions for each fold too."
        )
    is_above = [joined["y_score"] >= joined[name] for name in ("high_from", "medium_from")]
    return joined.assign(group=np.select(is_above, ["high", "medium"], "low").astype(object))


def risk_group_table(grouped: pd.DataFrame, *, confidence: float = 0.95) -> pd.DataFrame:
    """Return how often the event came in each group.

    Parameters
    ----------
    grouped : pandas.DataFrame
        From :func:`risk_groups`.
    confidence : float
        Of the intervals.

    Returns
    -------
    pandas.DataFrame
        One row a target, variant, repeat and group: `n` patients, `n_known` whose status at the
        horizon is known, `n_events` by the horizon, `event_rate` of the known with its Wilson
        interval `ci_low, ci_high` (in the group *high* the positive predictive value of that
        label; too high where many were lost, read `incidence` there), `share_of_events` (of all
        events, those in this group), `mean_risk`. With follow-up also `n_competing`, `n_unknown`
        and `incidence, incidence_low, incidence_high`: the Aalen-Johansen estimate at the horizon,
        which uses the patients lost before it, too.
    """
    has_follow_up = {"event", "duration_days"} <= set(grouped.columns)
    has_follow_up = has_follow_up and bool(grouped["event"].notna().all())
    n_events = grouped.groupby(GROUP_KEYS[:-1])["y_true"].sum()
    rows = []
    for key, part in grouped.groupby(GROUP_KEYS, sort=False):
        known = part["y_true"].dropna().astype(int)
        row: dict[str, Any] = dict(zip(GROUP_KEYS, key, strict=True))
        row |= {"n": len(part), "n_known": len(known), "n_events": int(known.sum())}
        low, high = (np.nan, np.nan)
        if len(known):
            low, high = wilson_interval(row["n_events"], len(known), confidence=confidence)
        row |= {"event_rate": known.mean(), "ci_low": low, "ci_high": high}
        total = int(n_events[key[:-1]])
        row["share_of_events"] = row["n_events"] / total if total else np.nan
        row["mean_risk"] = part["y_score"].mean()
        if has_follow_up:
            row |= _followed(part, confidence)
        rows.append(row)
    table = pd.DataFrame(rows, columns=None if rows else GROUP_KEYS)
    order = table["group"].map({name: k for k, name in enumerate(GROUPS)})
    by = [table[name] for name in ("target", "variant", "repeat")]
    # The variants stay in the order in which they came.
    codes = [pd.factorize(column)[0] for column in by]
    return table.iloc[np.lexsort([order, *codes[::-1]])].reset_index(drop=True)


def _followed(part: pd.DataFrame, confidence: float) -> dict[str, float]:
    horizon_days = float(part["horizon_days"].iloc[0])
    follow_up = FollowUp(part["duration_days"], part["event"])
    value, low, high = incidence_at(follow_up, horizon_days, confidence=confidence)
    is_early = follow_up.duration_days <= horizon_days
    return {
        "n_competing": int((is_early & (follow_up.status == COMPETING)).sum()),
        "n_unknown": follow_up.n_unknown(horizon_days),
        "incidence": value,
        "incidence_low": low,
        "incidence_high": high,
    }
