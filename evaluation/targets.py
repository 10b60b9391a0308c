"""Which target of a run is evaluated, and what came true of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from evaluation.scores import status_at_horizon


def chosen_number(targets: Sequence[Mapping[str, Any]], name: str = "") -> Mapping[str, Any]:
    """Return the number that is evaluated: the first unless one is named.

    Parameters
    ----------
    targets : sequence of mappings
        ``targets`` of ``dataset.json``: `name, kind, column, label, unit`.
    name : str
        One of their names.

    Raises
    ------
    ValueError
        If there is no such number.
    """
    numbers = {item["name"]: item for item in targets if item["kind"] == "continuous"}
    if not numbers:
        raise ValueError(
            "task must be regression for this evaluation, got outcomes. Use notebook 03_evaluate."
        )
    if name and name not in numbers:
        raise ValueError(f"evaluated_target must be one of {', '.join(numbers)}, got {name!r}.")
    return numbers[name or next(iter(numbers))]


def chosen_target(targets: Sequence[Mapping[str, Any]], name: str = "") -> Mapping[str, Any]:
    """Return the target that is evaluated.

    Parameters
    ----------
    targets : sequence of mappings
        ``targets`` of ``dataset.json``: `name, kind, column, horizon_days`.
    name : str
        One of their names; empty: the first outcome, or the longest horizon.

    Raises
    ------
    ValueError
        If there is no such target, or it is a number: risks and thresholds mean nothing there.

    Examples
    --------
    >>> chosen_target([{"name": "sva", "kind": "binary"}])["name"]
    'sva'
    """
    outcomes = [item for item in targets if item["kind"] != "continuous"]
    if not outcomes:
        raise ValueError(
            "task must be one of outcomes for this evaluation, got regression. A number has no "
            "AUROC, threshold or decision curve; use notebook 03_evaluate_numbers."
        )
    by_name = {item["name"]: item for item in outcomes}
    if name and name not in by_name:
        raise ValueError(f"evaluated_target must be one of {', '.join(by_name)}, got {name!r}.")
    return by_name[name] if name else outcomes[-1 if outcomes[0]["kind"] == "time_to_event" else 0]


def any_target(targets: Sequence[Mapping[str, Any]], name: str = "") -> Mapping[str, Any]:
    """Return :func:`chosen_target`, or :func:`chosen_number` where only numbers are predicted."""
    is_regression = all(item["kind"] == "continuous" for item in targets)
    return (chosen_number if is_regression else chosen_target)(targets, name)


def held_out_rows(
    predictions: pd.DataFrame, target: Mapping[str, Any], outcomes: pd.Series
) -> pd.DataFrame:
    """Return the test rows of a target, with `y_true` of :func:`outcomes_of`; unknown ones not."""
    is_wanted = (predictions["role"] == "test") & (predictions["target"] == target["name"])
    rows = predictions[is_wanted]
    return rows.assign(y_true=rows["patient_id"].map(outcomes)).dropna(subset="y_true")


def outcomes_of(patients: pd.DataFrame, target: Mapping[str, Any]) -> pd.Series:
    """Return 0 or 1 by `patient_id`, of all patients whose status is known.

    Of a number 1 stands for above the median of these patients, to tell them apart.

    Parameters
    ----------
    patients : pandas.DataFrame
        `patient_id`, and the column of the target or `event, duration_days`.
    target : mapping
        From :func:`any_target`.
    """
    if target["kind"] == "continuous":
        measured = patients.set_index("patient_id")[target["column"]].dropna()
        return (measured > measured.median()).astype(int)
    status = (
        status_at_horizon(patients.assign(horizon_days=target["horizon_days"]))
        if target["kind"] == "time_to_event"
        else patients[target["column"]]
    )
    return pd.Series(status.to_numpy(), patients["patient_id"]).dropna().astype(int)
