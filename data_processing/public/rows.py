"""From the rows of a published table to a cohort: what is on this machine, one ECG a patient.

The label of these collections belongs to an ECG, a cohort's outcome to a patient. One ECG a patient
counts therefore, and what is left out is counted in the flow.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from data_processing.cohort import Cohort, cohort_of_tables
from data_processing.cohort_definition import CohortDefinition
from data_processing.definitions import NICM_COVARIATES
from data_processing.ecg_files import ECGFiles
from data_processing.tables import Problems

AGE_AND_SEX = NICM_COVARIATES[:2]  # columns ``age_years`` and ``sex`` (male, female)
_DAYS_A_YEAR = 365.25
_DAY_0 = pd.Timestamp("1900-01-01")


def cohort_of_rows(
    rows: pd.DataFrame,
    directory: Path,
    definition: CohortDefinition,
    *,
    problems: Problems,
    has_followup: pd.Series | None = None,
) -> Cohort:
    """Return the cohort of the ECGs that are on this machine, the first row of each patient.

    Parameters
    ----------
    rows
        One row an ECG, text cells, indexed by the row of the published table; of a patient's rows
        the first one counts.
    directory
        ECG files are given relative to it.
    definition
        With one table for patients and ECGs.
    problems
        What preparing the rows found.
    has_followup
        Which rows count at all; the others are left out and counted.

    Returns
    -------
    Cohort
        Its ``flow`` begins with the published rows.

    Raises
    ------
    FileNotFoundError
        If no ECG of the table is here.
    CohortTableError
        As ``cohort_of_tables``.
    """
    patient, file = definition.patient_column, definition.ecg_file_column
    flow = [_step("published", rows, patient, f"rows of {definition.ecgs_file}")]
    files = ECGFiles(directory)
    is_here = {
        name: bool(name) and bool(files.find(definition.ecg_path.replace("{}", name)))
        for name in rows[file].unique()
    }
    here = rows[rows[file].map(is_here).astype(bool)]
    if here.empty:
        raise FileNotFoundError(
            f"{definition.title} must have ECG files beside {definition.ecgs_file}, got none of "
            f"{len(rows)}. Download it again, or copy its folders of ECGs there."
        )
    if len(here) < len(rows):
        flow.append(_step("file on this machine", here, patient, "ECG file not on this machine"))
    if has_followup is not None:
        here = here[has_followup[here.index]]
        flow.append(_step("follow-up known", here, patient, "no follow-up with this ECG"))
    first = here[~here[patient].duplicated() | (here[patient] == "")]
    if len(first) < len(here):
        flow.append(_step("one ECG a patient", first, patient, "further ECG of the patient"))
    cohort = cohort_of_tables({definition.ecgs_file: first}, directory, definition, problems)
    cohort.flow = flow
    return cohort


def _step(step: str, rows: pd.DataFrame, patient: str, reason: str) -> dict[str, Any]:
    n_patients = int(rows[patient].nunique())
    return {"step": step, "n_patients": n_patients, "n_records": len(rows), "reason": reason}


def death_dates(died: pd.Series, years: pd.Series) -> dict[str, pd.Series]:
    """Return the columns of a dated cohort from follow-up in years after an undated ECG.

    Parameters
    ----------
    died
        Text cells: true or false, any case.
    years
        Text cells: years from the ECG to death, or to the last contact.

    Returns
    -------
    dict of Series
        ``index_date``, ``recorded_at``, ``event_type``, ``event_date``, ``last_contact_date`` as
        text. The day of the ECG stands as 1900-01-01: only differences have a meaning.
    """
    is_dead = died.str.lower().isin(("true", "1", "1.0"))
    days = (pd.to_numeric(years, errors="coerce") * _DAYS_A_YEAR).round()
    end = (_DAY_0 + pd.to_timedelta(days, unit="D")).dt.strftime("%Y-%m-%d").fillna("")
    day_0 = pd.Series(str(_DAY_0.date()), index=died.index)
    return {
        "index_date": day_0,
        "recorded_at": day_0,
        "event_type": is_dead.map({True: "death", False: ""}),
        "event_date": end.where(is_dead, ""),
        "last_contact_date": end,
    }


def split_targets(target: str) -> list[str]:
    """Return the labels of ``"MI,STTC"``, the outcome first.

    Raises
    ------
    ValueError
        If one is named twice.
    """
    names = [name.strip() for name in target.split(",") if name.strip()]
    if len(set(names)) < len(names):
        raise ValueError(f"target must name each label once, got {target!r}. Remove the copy.")
    return names


def unknown_target(target: str, known: list[str], title: str) -> ValueError:
    """Return the error for a target the collection does not have."""
    return ValueError(
        f"target must be a label of {title}, got {target!r}. Choose one of: {', '.join(known)}."
    )
