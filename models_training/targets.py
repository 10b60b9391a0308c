"""The targets of a cohort as arrays, as ``dataset.json`` names them. Imports nothing heavy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from models_training.discrete_time import status_at

Targets = Sequence[Mapping[str, Any]]  # each has name, column, kind and horizon_days
FOLLOW_UP = ["duration_days", "event"]


def target_table(patients: pd.DataFrame, targets: Targets) -> pd.DataFrame:
    """Return the columns of the patients that the head of `choose_head` learns from."""
    if any(item["kind"] == "time_to_event" for item in targets):
        return patients[FOLLOW_UP]
    return patients[[item["column"] for item in targets]]


def target_outcomes(patients: pd.DataFrame, targets: Targets) -> np.ndarray:
    """Return 0, 1 or NaN of each patient for each target or horizon, (n_patients, n_targets).

    Raises
    ------
    ValueError
        If a target is a number.
    """
    if any(item["kind"] == "continuous" for item in targets):
        raise ValueError(
            "variant clinical must predict outcomes, got a number. It is a logistic regression: "
            "leave this variant out."
        )
    values = target_table(patients, targets).to_numpy("float64", na_value=np.nan)
    if targets[0]["kind"] == "time_to_event":
        return status_at(values[:, 0], values[:, 1], [item["horizon_days"] for item in targets])
    return values


def target_counts(patients: pd.DataFrame, targets: Targets) -> list[str]:
    """Return what is known of each target in one line: events, or the mean of a number.

    Parameters
    ----------
    patients : DataFrame
        ``patient_id`` and the columns of the targets, or ``event, duration_days``.
    targets : sequence of mappings
        ``targets`` of ``dataset.json``.
    """
    lines: list[str] = []
    is_timed = any(item["kind"] == "time_to_event" for item in targets)
    table = target_table(patients, targets).to_numpy("float64", na_value=np.nan)
    values = target_outcomes(patients, targets) if is_timed else table
    for item, column in zip(targets, values.T, strict=True):
        known = column[np.isfinite(column)]
        text = f"{item['name']}: known of {len(known)} of {len(column)} patients, "
        if item["kind"] == "continuous":
            text += f"mean {known.mean():.1f}, SD {known.std(ddof=1):.1f} {item['unit']}".rstrip()
        else:
            text += f"{int(known.sum())} with the event"
        lines.append(text)
    return lines


def main_target(targets: Targets) -> str:
    """Return the name of the target a decision is about; empty where numbers are predicted.

    It is the first outcome, or that of the longest horizon.
    """
    outcomes = [item for item in targets if item["kind"] != "continuous"]
    if not outcomes:
        return ""
    is_time_to_event = outcomes[0]["kind"] == "time_to_event"
    return str(outcomes[-1 if is_time_to_event else 0]["name"])
