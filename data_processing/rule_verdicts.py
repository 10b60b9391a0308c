"""The exclusions of a cohort, judged on its tables: ``rule_<k>`` is the verdict of the k-th."""

from __future__ import annotations

from typing import Any

import pandas as pd

from data_processing.cohort_definition import CohortDefinition
from data_processing.exclusions import ExclusionRule, judge
from data_processing.tables import Problems


def attach_cells(
    patients: pd.DataFrame, table: pd.DataFrame, definition: CohortDefinition
) -> pd.DataFrame:
    """Return the typed patients with the cells their rules need, None where empty.

    Parameters
    ----------
    patients
        Typed, before the rows of one patient are put together: cells that contradict each other are
        found there.
    table
        The same rows as text.
    definition
        With the exclusions.
    """
    cells = {
        f"rule_{number}": table[definition.heading_of(rule)].replace("", None)
        for number, rule in enumerate(definition.exclusions)
        if rule.table == "patients" and _number(rule, definition) is None
    }
    return patients.assign(**cells)


def with_verdicts(
    patients: pd.DataFrame,
    ecgs: pd.DataFrame,
    table: pd.DataFrame,
    definition: CohortDefinition,
    problems: Problems,
) -> tuple[pd.DataFrame, pd.DataFrame, tuple[str, ...]]:
    """Return patients and ECGs with the verdicts, and a note for each rule (or an empty text).

    Parameters
    ----------
    patients
        One row a patient, with the cells of ``attach_cells``.
    ecgs
        Typed, one row an ECG.
    table
        Of ECGs, as text, with the same rows.
    definition
        With the exclusions.
    problems
        Where cells that cannot be judged are added.
    """
    index_date = patients["index_date"] if definition.has_dates else None
    of_ecg = None
    if index_date is not None:
        by_owner = index_date.set_axis(patients["original_patient_id"]).groupby(level=0).first()
        of_ecg = ecgs["original_patient_id"].map(by_owner)
    notes = []
    for number, rule in enumerate(definition.exclusions):
        column, is_patients = f"rule_{number}", rule.table == "patients"
        item = _number(rule, definition)
        if item is not None:
            numbers = patients[item.get("column", item["name"])]
            cells = numbers.astype(str)
        else:
            numbers = None
            cells = patients[column].fillna("") if is_patients else table[rule.column]
        verdict, note = judge(
            rule,
            cells.astype(object).rename(definition.heading_of(rule)),
            table=definition.patients_file if is_patients else definition.ecgs_file,
            problems=problems,
            index_date=index_date if is_patients else of_ecg,
            date_format=definition.date_format,
            numbers=numbers,
        )
        if is_patients:
            patients = patients.assign(**{column: verdict})
        else:
            ecgs = ecgs.assign(**{column: verdict})
        notes.append(note)
    return patients, ecgs, tuple(notes)


def _number(rule: ExclusionRule, definition: CohortDefinition) -> dict[str, Any] | None:
    """Return the covariate whose typed numbers a rule compares, None if it reads the cells."""
    if rule.table != "patients" or rule.operator not in ("above", "below"):
        return None
    item = definition.covariate_called(rule.column)
    return item if item is not None and item["kind"] == "number" else None
