"""Outcomes told by one date column a component, devices, and events before the study.

A component or competing event whose name contains ``death`` ends life: nothing may come after it.
One whose name contains ``icd`` is seen by an ICD: it needs one. In the typed table of patients the
date of a component is ``date_of_<name>``, that of a device ``device_<name>``.
"""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd

from data_processing.cohort_definition import CohortDefinition
from data_processing.tables import BINARY, Problems, is_missing, iso_dates

Dates = Callable[[str], pd.Series]


def read_components(
    table: pd.DataFrame, definition: CohortDefinition, dates: Dates
) -> dict[str, pd.Series]:
    """Return the typed columns of components, devices and prior events, as far as declared.

    Parameters
    ----------
    table
        Of patients, as text.
    definition
        Which column is what.
    dates
        Returns a column's dates and reports cells that are none.
    """
    columns = {f"date_of_{name}": dates(column) for name, column in definition.dated_events}
    columns |= {f"device_{name}": dates(column) for name, column in definition.device_columns}
    if definition.prior_event_column:
        cells = table[definition.prior_event_column]
        known = cells.str.lower().map(BINARY).astype(float)
        is_date = known.isna() & ~is_missing(cells)
        columns["prior_event"] = known.mask(is_date, 1.0)
    return columns


def check_prior_event(
    cells: pd.Series, index_date: pd.Series, definition: CohortDefinition, problems: Problems
) -> None:
    """Check that a prior event is told by 0, 1 or a date up to the index date.

    Parameters
    ----------
    cells, index_date
        Of each row.
    definition
        Names table and column.
    problems
        Where cells that are neither, and later dates, are added.
    """
    name, column = definition.patients_file, definition.prior_event_column
    is_dated = ~is_missing(cells) & ~cells.str.lower().isin(BINARY)
    dates = iso_dates(cells, definition.date_format)
    rule = f"{column} must be 1, 0 or a date; for other words write a rule under exclusions"
    problems.add(name, is_dated & dates.isna(), rule)
    is_late = dates.dt.normalize() > index_date.dt.normalize()
    rule = f"{column} must not be after {definition.index_date_column}, an event then is outcome"
    problems.add(name, is_late, rule)


def with_first_event(patients: pd.DataFrame, definition: CohortDefinition) -> pd.DataFrame:
    """Return the patients with ``event_type`` and ``event_date``: the first of all dated events.

    Of two on one day the event of interest comes before the competing one (a sudden cardiac death
    is filed as a death, too), and among the former the order of the definition decides.
    """
    names = [name for name, _ in definition.dated_events]
    if not names:
        return patients
    days = patients[[f"date_of_{name}" for name in names]].apply(
        lambda column: column.dt.normalize()
    )
    first = days.min(axis=1)
    place = days.eq(first, axis=0).to_numpy().argmax(axis=1)
    kinds = pd.Series([names[k] for k in place], index=patients.index, dtype=object)
    return patients.assign(event_type=kinds.where(first.notna(), None), event_date=first)


def check_events(patients: pd.DataFrame, definition: CohortDefinition, problems: Problems) -> None:
    """Check the dated events of each patient against one another, follow-up and devices.

    Parameters
    ----------
    patients
        One row a patient, typed, with ``event_type`` and ``event_date``.
    definition
        Names tables and columns.
    problems
        Where contradictions are added, by row.
    """
    name = definition.patients_file
    index_day, last_day = (_day(patients[key]) for key in ("index_date", "last_contact_date"))
    contact, start = definition.last_contact_column, definition.index_date_column
    for kind, column in definition.dated_events:
        day = _day(patients[f"date_of_{kind}"])
        problems.add(name, last_day < day, f"{contact} must not be before {column}")
        if "death" not in kind:
            continue
        problems.add(name, day < index_day, f"{column} must not be before {start}")
        for other_kind, other in definition.dated_events:
            is_later = _day(patients[f"date_of_{other_kind}"]) > day
            problems.add(name, is_later, f"{other} must not be after {column}")
    _check_therapies(patients, definition, problems)


def _check_therapies(
    patients: pd.DataFrame, definition: CohortDefinition, problems: Problems
) -> None:
    """Check that nobody had a therapy of an ICD without one."""
    icd = dict(definition.device_columns).get("icd", "")
    if not icd:
        return
    implanted = _day(patients["device_icd"])
    told = {f"date_of_{kind}": column for kind, column in definition.dated_events if "icd" in kind}
    if not definition.dated_events:
        told = {"event_date": definition.event_date_column}
    for key, column in told.items():
        therapy = _day(patients[key])
        if key == "event_date":
            is_therapy = patients["event_type"].str.contains("icd", na=False).astype(bool)
            therapy = therapy.where(is_therapy)
        is_impossible = therapy.notna() & ~(implanted <= therapy)
        rule = f"{column} of an ICD therapy must come with {icd} on or before it"
        problems.add(definition.patients_file, is_impossible, rule)


def _day(dates: pd.Series) -> pd.Series:
    return dates.dt.normalize()
