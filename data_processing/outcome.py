"""The outcome of each patient from dates, at a horizon, and which component it was.

Time zero is the index date, or a landmark so many days after it. Binary outcome at a horizon of h
days after time zero (the cumulative-incidence definition):

* 1 if the event of interest came at or before h;
* 0 if the patient was followed event-free to h, or a competing event (death of another cause,
  transplantation) came before h: the arrhythmia can no longer come, so it did not come;
* unknown if follow-up ended before h without either, or an event came up to time zero.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from data_processing.cohort_definition import CohortDefinition


def define_outcome(
    patients: pd.DataFrame, definition: CohortDefinition, *, horizon_days: int, landmark_days: int
) -> pd.DataFrame:
    """Return the patients with their outcome.

    Parameters
    ----------
    patients
        As read: ``index_date``, ``last_contact_date``, ``event_type``, ``event_date``.
    definition
        Which types are the event, and which compete.
    horizon_days, landmark_days
        The horizon counts from time zero, and time zero from the index date.

    Returns
    -------
    DataFrame
        With ``time_zero`` (a day), ``event`` (0 censored, 1 event, 2 competing), ``duration_days``,
        ``event_component`` (which came first, None without one), ``outcome`` (Int8); where events
        have a date each, ``days_to_<name>``; where the ICD's date is known, ``has_icd_at_index``
        (at time zero) and ``icd_during_follow_up`` (later, up to the event or the end), 0/1.
    """
    zero = patients["index_date"].dt.normalize() + pd.Timedelta(days=landmark_days)
    is_event = patients["event_type"].isin(definition.event_types).to_numpy()
    is_competing = patients["event_type"].isin(definition.competing_types).to_numpy()
    event = np.where(is_event, 1, np.where(is_competing, 2, 0)).astype(np.int8)
    end = patients["event_date"].where(event > 0, patients["last_contact_date"])
    duration = _days(zero, end)
    patients = patients.assign(time_zero=zero, event=event, duration_days=duration)
    patients["event_component"] = patients["event_type"].where(event > 0, None)
    outcome = pd.Series((event == 1) & (duration <= horizon_days), patients.index).astype("Int8")
    is_known = (duration > 0) & ((event > 0) | (duration >= horizon_days))
    patients["outcome"] = outcome.where(is_known)
    for name, _ in definition.dated_events:
        patients[f"days_to_{name}"] = _days(zero, patients[f"date_of_{name}"])
    if "device_icd" in patients:
        implanted = patients["device_icd"].dt.normalize()
        is_later = (implanted > zero) & (implanted <= end.dt.normalize())
        patients["has_icd_at_index"] = (implanted <= zero).astype(np.int8)
        patients["icd_during_follow_up"] = is_later.astype(np.int8)
    return patients


def _days(start: pd.Series, end: pd.Series) -> np.ndarray:
    return (end.dt.normalize() - start).dt.days.to_numpy(dtype=np.float64)


def count_components(
    patients: pd.DataFrame, definition: CohortDefinition, horizon_days: int
) -> list[dict[str, Any]]:
    """Return how often each component was the first event, for ``dataset.json``.

    Parameters
    ----------
    patients
        With ``event_component`` and ``duration_days``; of a cohort without dates the list is empty.
    definition
        With the names of the components.
    horizon_days
        Of the outcome.

    Returns
    -------
    list of dict
        ``name``, ``role`` (``event`` or ``competing``), ``n_events`` (first events, whenever),
        ``n_within_horizon`` (of these), and ``n_any_within_horizon`` where each component has its
        own date: also after another one. The first two add up; the last does not.
    """
    if not definition.has_dates:
        return []
    is_within = patients["duration_days"] <= horizon_days
    rows = []
    for name in (*definition.event_types, *definition.competing_types):
        is_first = patients["event_component"] == name
        role = "event" if name in definition.event_types else "competing"
        row: dict[str, Any] = {"name": name, "role": role, "n_events": int(is_first.sum())}
        row["n_within_horizon"] = int((is_first & is_within).sum())
        if f"days_to_{name}" in patients:
            is_any = patients[f"days_to_{name}"] <= horizon_days
            row["n_any_within_horizon"] = int(is_any.sum())
        rows.append(row)
    return rows


def count_same_day(patients: pd.DataFrame, definition: CohortDefinition) -> int:
    """Return in how many patients two events share the day of the first one.

    A rule decided there which came first: see ``with_first_event``.
    """
    names = [f"days_to_{name}" for name, _ in definition.dated_events]
    if not names:
        return 0
    is_first = patients[names].eq(patients["duration_days"], axis=0)
    return int((is_first.sum(axis=1) > 1).sum())


def events_by_icd(patients: pd.DataFrame, definition: CohortDefinition) -> pd.DataFrame:
    """Return first events by who carried an ICD; empty where its date is not known.

    Appropriate therapy can only be seen in carriers: without one the same arrhythmia may have been
    a sudden death, or nothing anyone noticed.

    Returns
    -------
    DataFrame
        One row a component and ``no event``, columns ``ICD at index``, ``ICD later``, ``no ICD``.
    """
    if "has_icd_at_index" not in patients:
        return pd.DataFrame()
    carriage = np.select(
        [patients["has_icd_at_index"] == 1, patients["icd_during_follow_up"] == 1],
        ["ICD at index", "ICD later"],
        "no ICD",
    )
    first = patients["event_component"].fillna("no event")
    table = pd.crosstab(first, carriage)
    rows = [*definition.event_types, *definition.competing_types, "no event"]
    columns = ["ICD at index", "ICD later", "no ICD"]
    table = table.reindex(index=rows, columns=columns, fill_value=0)
    return table.rename_axis(index="first event", columns=None)
