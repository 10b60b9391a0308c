"""CODE-15 % and SaMi-Trop: exams of the Telehealth Network of Minas Gerais, with mortality.

Layout (doi:10.5281/zenodo.4916206 and 10.5281/zenodo.4905618): ``exams.csv`` and HDF5 files with
``tracings`` (exams, 4096, 12) at 400 Hz. CODE-15 % has several exams a patient, and follow-up with
the first one only; SaMi-Trop has one, in the order of its table.

**Unit.** Read as published, 1e-4 V. The signals make that doubtful: so the 10 sample exams have a
typical deflection of 0.12 to 0.37 mV, read as millivolts 1.2 to 3.7 mV, and PTB-XL has 0.4 to
1.9 mV. The true factor may lie between; small ECGs are flagged. A model that scales each lead by
its training data does not depend on it, a voltage criterion does.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from data_processing.cohort import Cohort
from data_processing.cohort_definition import CohortDefinition
from data_processing.declared import DeclaredSignal
from data_processing.leads import LEADS
from data_processing.public.rows import (
    AGE_AND_SEX,
    cohort_of_rows,
    death_dates,
    split_targets,
    unknown_target,
)
from data_processing.tables import Problems, read_table

SIGNALS = DeclaredSignal(unit="1e-4 V", rate_hz=400.0, leads=LEADS)
_DIAGNOSES = {
    "1dAVb": "first-degree AV block",
    "RBBB": "right bundle branch block",
    "LBBB": "left bundle branch block",
    "SB": "sinus bradycardia",
    "ST": "sinus tachycardia",
    "AF": "atrial fibrillation",
    "normal_ecg": "an ECG reported as normal",
}
_COMMON = ["exam_id", "age", "is_male", "normal_ecg", "death", "timey"]
_SEX = {"true": "male", "1": "male", "false": "female", "0": "female"}
_DEATH: dict[str, Any] = {
    "event_types": ("death",),
    "covariates_date_column": "",
    "target_label": "death of any cause",
}


def read_code15(directory: Path, *, target: str = "") -> Cohort:
    """Read CODE-15 %: death during follow-up, or one of seven labels of the ECG.

    Parameters
    ----------
    directory
        Holds ``exams.csv`` and unpacked ``exams_part<n>.hdf5``, as many as are wanted; or the few
        exams that circulate as ``meta.csv`` and ``org/code_15_<exam_id>.mat``.
    target
        ``death`` (the default), 1dAVb, RBBB, LBBB, SB, ST, AF or normal_ecg. Several, joined by
        commas, for the task ``several``: the first is the outcome, the others are labels.

    Returns
    -------
    Cohort
        One exam a patient: with follow-up if there is one, else the lowest number. For death, the
        exam is day 0, written as 1900-01-01; patients without follow-up are left out and counted.

    Raises
    ------
    ValueError
        If the target is unknown, or the table has problems.
    """
    target, *labels = split_targets(target or "death")
    target = _known(target, [*_DIAGNOSES], "CODE-15 %")
    for label in labels:
        if label not in _DIAGNOSES:
            raise unknown_target(label, list(_DIAGNOSES), "CODE-15 %, after the first one,")
    is_published = (directory / "exams.csv").is_file()
    name = "exams.csv" if is_published else "meta.csv"
    file_column = "trace_file" if is_published else "save_file"
    problems = Problems()
    columns = [*_COMMON, "patient_id", file_column, *_DIAGNOSES]
    table = read_table(directory, name, list(dict.fromkeys(columns)), problems)
    problems.raise_if_any()
    number = pd.to_numeric(table["exam_id"], errors="coerce")
    order = pd.DataFrame({"is_later": ~_has_followup(table), "number": number})
    order = order.sort_values(["is_later", "number"], kind="stable")
    table = table.loc[order.index]
    rows = _rows(table, table["patient_id"], table[file_column], target)
    rows = rows.assign(**{label: table[label].str.lower() for label in labels})
    definition = _definition(
        target,
        name="code15",
        title="CODE-15 %",
        citation="Ribeiro et al. 2021, doi:10.5281/zenodo.4916206",
        table=name,
        record_column="exam_id" if is_published else "",
        ecg_path="{}" if is_published else "org/{}",
    )
    definition = replace(definition, label_columns=tuple(labels))
    return _cohort(rows, directory, definition, problems)


def read_sami_trop(directory: Path, *, target: str = "") -> Cohort:
    """Read SaMi-Trop: death during follow-up of patients with Chagas cardiomyopathy.

    Parameters
    ----------
    directory
        Holds ``exams.csv`` and ``exams.hdf5``, whose rows are in the order of the table.
    target
        ``death`` (the default) or normal_ecg.

    Returns
    -------
    Cohort
        As ``read_code15``; one exam a patient.

    Raises
    ------
    ValueError
        If the target is unknown, or the table has problems.
    """
    target = _known(target, ["normal_ecg"], "SaMi-Trop")
    problems = Problems()
    table = read_table(directory, "exams.csv", _COMMON, problems)
    problems.raise_if_any()
    file = pd.Series("exams.hdf5", index=table.index)
    rows = _rows(table, table["exam_id"], file, target)
    rows["exam_row"] = (table.index - 2).astype(str)  # the heading is row 1
    definition = _definition(
        target,
        name="sami_trop",
        title="SaMi-Trop",
        citation="Cardoso et al. 2016, doi:10.1136/bmjopen-2016-011181; doi:10.5281/zenodo.4905618",
        table="exams.csv",
        record_column="exam_row",
        ecg_path="{}",
    )
    return _cohort(rows, directory, definition, problems)


def _known(target: str, labels: list[str], title: str) -> str:
    target = target or "death"
    if target not in ("death", *labels):
        raise unknown_target(target, ["death", *labels], title)
    return target


def _rows(table: pd.DataFrame, patient: pd.Series, file: pd.Series, target: str) -> pd.DataFrame:
    """Return the columns both collections share; the label itself, or what tells of death."""
    columns = {
        "patient_id": patient,
        "exam_id": table["exam_id"],
        "age_years": table["age"],
        "sex": table["is_male"].str.lower().map(_SEX).fillna(table["is_male"]),
        "ecg_file": file,
        "death": table["death"],
        "timey": table["timey"],
        "outcome": table[target].str.lower() if target != "death" else "",
    }
    return pd.DataFrame(columns)


def _has_followup(table: pd.DataFrame) -> pd.Series:
    return (table["death"] != "") & (table["timey"] != "")


def _cohort(
    rows: pd.DataFrame, directory: Path, definition: CohortDefinition, problems: Problems
) -> Cohort:
    """Return the cohort; for death, of the exams with follow-up only."""
    if not definition.has_dates:
        return cohort_of_rows(rows, directory, definition, problems=problems)
    years = pd.to_numeric(rows["timey"], errors="coerce")
    is_known = rows["death"].str.lower().isin(("", *_SEX))  # the same words for yes and no
    table = definition.patients_file
    problems.add(table, ~is_known, "death must be true, false or empty")
    is_wrong = (rows["timey"] != "") & ~(years >= 0)
    problems.add(table, is_wrong, "timey must be years from 0 on, or empty")
    dated = rows.assign(**death_dates(rows["death"], rows["timey"]))
    has_followup = _has_followup(rows)
    return cohort_of_rows(
        dated, directory, definition, problems=problems, has_followup=has_followup
    )


def _definition(
    target: str,
    *,
    name: str,
    title: str,
    citation: str,
    table: str,
    record_column: str,
    ecg_path: str,
) -> CohortDefinition:
    labels = {"outcome_column": "outcome", "recorded_at_column": ""}
    labels["target_label"] = f"{_DIAGNOSES.get(target, '')} in the report"
    return CohortDefinition(
        name=name,
        title=title,
        target=target,
        licence="CC BY 4.0",
        citation=citation,
        covariates=AGE_AND_SEX,
        default_duplicates="merge",
        patients_file=table,
        ecgs_file=table,
        ecg_path=ecg_path,
        ecg_record_column=record_column,
        signals=SIGNALS,
        **(_DEATH if target == "death" else labels),
    )
