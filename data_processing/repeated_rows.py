"""One row a patient from a table with one row an ECG, in which the patient's columns repeat."""

from __future__ import annotations

from typing import Any

import pandas as pd

from data_processing.cohort_definition import CohortDefinition
from data_processing.tables import Problems

_DAYS_A_YEAR = 365.25
_ROUNDING_YEARS = 1.0  # ages in full years, at two dates


def one_row_a_patient(
    rows: pd.DataFrame, recorded_at: pd.Series, definition: CohortDefinition, problems: Problems
) -> pd.DataFrame:
    """Return one row a patient; what contradicts itself between the rows of one is a problem.

    Parameters
    ----------
    rows
        Typed, indexed by row number, ``original_patient_id`` first. An empty cell contradicts
        nothing: the value of the patient's other rows stands.
    recorded_at
        Date of each row's ECG. An age may grow with it; then the one at the last ECG up to the
        index date counts (without an index date, at the first ECG).
    definition
        Which column is what.
    problems
        Where contradictions are added.

    Returns
    -------
    DataFrame
        Indexed by each patient's first row.
    """
    rows = rows[rows["original_patient_id"] != ""]
    owner = rows["original_patient_id"]
    recorded_at = recorded_at[rows.index]
    ages = [_column(item) for item in definition.covariates if _is_age(item)]
    headings = _headings(definition)
    for column in rows.columns.drop(["original_patient_id", "table_row"]):
        known = rows[column].notna()
        if column in ages:
            differs = _is_other_age(rows[column], recorded_at, owner)
        else:
            first = rows.groupby(owner)[column].transform("first")
            differs = known & (rows[column] != first).fillna(False)
        heading = headings.get(column, column)
        rule = "must be the same in all rows of a patient"
        rule += " (or grow with the ECG's date)" if column in ages else ""
        problems.add(definition.patients_file, differs, f"{heading} {rule}, here it differs")
    merged = rows.drop(columns="original_patient_id").groupby(owner, sort=False).first()
    index_date = rows.get("index_date")
    for column in ages:
        at_baseline = _age_at_baseline(rows[column], recorded_at, index_date, owner)
        merged[column] = at_baseline.reindex(merged.index)
    merged = merged.reset_index().astype(rows.dtypes.to_dict())
    return merged.set_axis(pd.Index(merged["table_row"]), axis=0)[list(rows.columns)]


def _column(item: dict[str, Any]) -> str:
    return item.get("column", item["name"])


def _is_age(item: dict[str, Any]) -> bool:
    """Return whether a covariate may grow with the ECG's date; from a date of birth it does not."""
    is_age = item["kind"] == "number" and item["name"].split("_")[0] == "age"
    return is_age and "birth_date" not in item


def _headings(definition: CohortDefinition) -> dict[str, str]:
    """Return the table's heading of each column that has another name here."""
    rules = enumerate(definition.exclusions)
    births = (item for item in definition.covariates if "birth_date" in item)
    return {
        **{_column(item): item["birth_date"] for item in births},
        **{f"rule_{number}": definition.heading_of(rule) for number, rule in rules},
        **{f"date_of_{name}": column for name, column in definition.dated_events},
        **{f"device_{name}": column for name, column in definition.device_columns},
        "prior_event": definition.prior_event_column,
        "outcome": definition.outcome_column,
        "index_date": definition.index_date_column,
        "covariates_date": definition.covariates_date_column,
        "event_date": definition.event_date_column,
        "event_type": definition.event_type_column,
        "last_contact_date": definition.last_contact_column,
    }


def _is_other_age(age: pd.Series, recorded_at: pd.Series, owner: pd.Series) -> pd.Series:
    """Return which ages do not fit the patient's first one and the time between the ECGs."""
    known = age[age.notna()].index
    order = recorded_at[known].sort_values(kind="stable", na_position="last").index
    first_row = pd.Series(order, index=order).groupby(owner[order]).first()
    first = owner.map(first_row)
    years = (recorded_at - first.map(recorded_at)).dt.days.fillna(0) / _DAYS_A_YEAR
    grown = age - first.map(age)
    rounding = (years > 0) * _ROUNDING_YEARS
    return age.notna() & ((grown < 0) | ((grown - years).abs() > rounding))


def _age_at_baseline(
    age: pd.Series, recorded_at: pd.Series, index_date: pd.Series | None, owner: pd.Series
) -> pd.Series:
    """Return the age of each patient at the last ECG up to the index date, or at the first ECG."""
    known = age[age.notna()].index
    order = recorded_at[known].sort_values(kind="stable", na_position="last").index
    first = age[order].groupby(owner[order]).first()
    if index_date is None:
        return first
    is_before = recorded_at[order].dt.normalize() <= index_date[order].dt.normalize()
    before = order[is_before.to_numpy()]
    return age[before].groupby(owner[before]).last().combine_first(first)
