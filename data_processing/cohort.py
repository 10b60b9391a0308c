"""Read a cohort: tables and list of ECGs, checked, typed and pseudonymised.

Patients become P0001, P0002, ... and records R00001, R00002, ... in the order of a hash of their
original identifiers: the numbers do not change when a table is sorted differently, and they do not
reveal the order of admission. What leads back to the person is returned separately
(``Cohort.identifiers``) to be written under ``private/``.

``select_cohort`` and ``finish_cohort`` (module ``selection``) go on from here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from data_processing.definitions import (
    CohortDefinition,
    brugada_huca_definition,
    nicm_definition,
)
from data_processing.tables import Problems, parse_covariate, parse_dates, read_table

__all__ = [
    "Cohort",
    "CohortDefinition",
    "brugada_huca_definition",
    "nicm_definition",
    "read_brugada_huca",
    "read_hospital_folder",
]


@dataclass
class Cohort:
    """A cohort as read, before any selection.

    Parameters
    ----------
    definition
        What its columns mean.
    patients
        One row a patient: ``patient_id`` (pseudonym), ``table_row``, covariates (raw, typed),
        descriptive columns, and ``outcome`` or the dates and ``event_type``.
    records
        One row an ECG: ``record_id``, ``patient_id``, ``recorded_at``, ``table_row``, ``path``
        (private).
    identifiers
        One row an ECG: ``record_id``, ``patient_id``, ``original_patient_id``, ``path``. For
        ``private/`` only.
    """

    definition: CohortDefinition
    patients: pd.DataFrame
    records: pd.DataFrame
    identifiers: pd.DataFrame = field(repr=False)


def read_hospital_folder(
    directory: str | Path, definition: CohortDefinition | None = None
) -> Cohort:
    """Read a folder with a table of patients, a table of ECGs, and the ECG files.

    Parameters
    ----------
    directory
        Holds ``patients.csv`` (``patient_id, index_date, <covariates>, covariates_date,
        event_type, event_date, last_contact_date``) and ``ecgs.csv`` (``patient_id, ecg_file,
        recorded_at``; ``ecg_file`` relative to the folder). Dates are ISO 8601; an empty cell is
        a missing value.
    definition
        Which column is what; ``nicm_definition()`` if not given.

    Returns
    -------
    Cohort

    Raises
    ------
    FileNotFoundError
        If a table is not there.
    CohortTableError
        A ValueError that lists every problem of both tables by row, without identifiers.
    """
    directory = Path(directory)
    definition = definition or nicm_definition()
    problems = Problems()
    patients = _read_patients(directory, definition, problems)
    ecgs = _read_ecgs(directory, definition, problems)
    known = ecgs["original_patient_id"].isin(patients["original_patient_id"])
    problems.add(
        definition.ecgs_file,
        ~known & (ecgs["original_patient_id"] != ""),
        f"{definition.patient_column} must occur in {definition.patients_file}",
    )
    problems.raise_if_any()
    return _pseudonymised(definition, patients, ecgs)


def read_brugada_huca(directory: str | Path, *, atypical: str = "exclude") -> Cohort:
    """Read Brugada-HUCA 1.0.0 in its published layout.

    Parameters
    ----------
    directory
        Holds ``metadata.csv`` and ``files/<id>/<id>.hea``.
    atypical
        What uncertain diagnoses count as: ``exclude``, ``positive`` or ``negative``.

    Returns
    -------
    Cohort
        One ECG a patient, undated; no covariates. ``basal_pattern`` and ``sudden_death`` are kept
        as descriptive columns.

    Raises
    ------
    FileNotFoundError, CohortTableError
        As ``read_hospital_folder``.
    """
    directory = Path(directory)
    definition = brugada_huca_definition(atypical=atypical)
    problems = Problems()
    patients = _read_patients(directory, definition, problems)
    problems.raise_if_any()
    original = patients["original_patient_id"]
    ecgs = pd.DataFrame(
        {
            "original_patient_id": original,
            "path": [str(directory / "files" / name / f"{name}.hea") for name in original],
            "recorded_at": pd.Series(pd.NaT, index=original.index, dtype="datetime64[ns]"),
            "table_row": patients["table_row"],
        }
    )
    return _pseudonymised(definition, patients, ecgs)


def _read_patients(
    directory: Path, definition: CohortDefinition, problems: Problems
) -> pd.DataFrame:
    """Return the typed table of patients with ``original_patient_id`` and ``table_row``."""
    name = definition.patients_file
    covariate_columns = [item.get("column", item["name"]) for item in definition.covariates]
    dated = (
        definition.index_date_column,
        definition.covariates_date_column,
        definition.event_type_column,
        definition.event_date_column,
        definition.last_contact_column,
    )
    required = [
        definition.patient_column,
        *covariate_columns,
        *definition.descriptive_columns,
        *(dated if definition.has_dates else (definition.outcome_column,)),
    ]
    table = read_table(directory, name, required, problems)
    identifier = table[definition.patient_column]
    problems.add(name, identifier == "", f"{definition.patient_column} must not be empty")
    is_repeated = identifier.duplicated(keep="first") & (identifier != "")
    problems.add(name, is_repeated, f"{definition.patient_column} must occur once, it repeats")
    columns = {"original_patient_id": identifier, "table_row": np.arange(len(table)) + 2}
    for item, column in zip(definition.covariates, covariate_columns, strict=True):
        columns[column] = parse_covariate(table[column], item, name, problems)
    columns |= {column: table[column] for column in definition.descriptive_columns}
    if definition.has_dates:
        columns |= _read_outcome_dates(table, definition, problems)
    else:
        columns["outcome"] = _read_outcome_column(table, definition, problems)
    return pd.DataFrame(columns)


def _read_outcome_column(
    table: pd.DataFrame, definition: CohortDefinition, problems: Problems
) -> pd.Series:
    """Return 0/1, NA where the case is uncertain and to be excluded."""
    cells = table[definition.outcome_column]
    meaning = {"0": 0, "1": 1, "positive": 1, "negative": 0}
    values = cells.map({"0": 0, "1": 1}).astype("Int8")
    accepted = ["0", "1"]
    is_uncertain = pd.Series(False, index=cells.index)
    if definition.uncertain_value:
        accepted.append(definition.uncertain_value)
        is_uncertain = cells == definition.uncertain_value
        values = values.mask(is_uncertain, meaning.get(definition.uncertain_as, pd.NA))
    problems.add(
        definition.patients_file,
        ~cells.isin(accepted),
        f"{definition.outcome_column} must be one of {', '.join(accepted)}",
    )
    return values


def _read_outcome_dates(
    table: pd.DataFrame, definition: CohortDefinition, problems: Problems
) -> dict[str, pd.Series]:
    """Return dates and event type, checked for plausible order."""
    name = definition.patients_file
    columns = {
        "index_date": (definition.index_date_column, True),
        "covariates_date": (definition.covariates_date_column, False),
        "event_date": (definition.event_date_column, False),
        "last_contact_date": (definition.last_contact_column, True),
    }
    dates = {
        key: parse_dates(table[column], name, problems, is_required=is_required)
        for key, (column, is_required) in columns.items()
    }
    types = (*definition.event_types, *definition.competing_types)
    cells = table[definition.event_type_column].str.lower()
    is_blank = cells == ""
    kind = definition.event_type_column
    problems.add(name, ~is_blank & ~cells.isin(types), f"{kind} must be one of {', '.join(types)}")
    has_date = table[definition.event_date_column] != ""
    date = definition.event_date_column
    problems.add(name, ~is_blank & ~has_date, f"{kind} must come with {date}, which is empty")
    problems.add(name, is_blank & has_date, f"{date} must come with {kind}, which is empty")
    index, last, event = dates["index_date"], dates["last_contact_date"], dates["event_date"]
    contact = definition.last_contact_column
    first = definition.index_date_column
    problems.add(name, last < index, f"{contact} must not be before {first}")
    problems.add(name, last.dt.normalize() < event.dt.normalize(), f"{contact} before {date}")
    is_competing = cells.isin(definition.competing_types)
    problems.add(name, is_competing & (event < index), f"{date} of a death before {first}")
    return {**dates, "event_type": cells.where(~is_blank, None).astype(object)}


def _read_ecgs(directory: Path, definition: CohortDefinition, problems: Problems) -> pd.DataFrame:
    """Return the typed table of ECGs with the full path of each file."""
    name = definition.ecgs_file
    required = [
        definition.patient_column,
        definition.ecg_file_column,
        definition.recorded_at_column,
    ]
    table = read_table(directory, name, required, problems)
    file = table[definition.ecg_file_column]
    problems.add(name, file == "", f"{definition.ecg_file_column} must not be empty")
    is_repeated = file.duplicated(keep="first") & (file != "")
    problems.add(name, is_repeated, f"{definition.ecg_file_column} must occur once, it repeats")
    patient = table[definition.patient_column]
    problems.add(name, patient == "", f"{definition.patient_column} must not be empty")
    return pd.DataFrame(
        {
            "original_patient_id": patient,
            "path": [str(directory / part) for part in file],
            "recorded_at": parse_dates(table[definition.recorded_at_column], name, problems),
            "table_row": np.arange(len(table)) + 2,
        }
    )


def _pseudonymised(
    definition: CohortDefinition, patients: pd.DataFrame, ecgs: pd.DataFrame
) -> Cohort:
    """Replace the original identifiers; keep them in ``identifiers`` alone."""
    patient_ids = _pseudonyms(patients["original_patient_id"], "P", 4)
    # The file's name without the folder: the same cohort elsewhere gets the same numbers.
    keys = ecgs["original_patient_id"] + "\n" + [Path(path).name for path in ecgs["path"]]
    keys += "\n" + ecgs.groupby(keys).cumcount().astype(str)
    record_ids = _pseudonyms(keys, "R", 5)
    patients = patients.assign(patient_id=patients["original_patient_id"].map(patient_ids))
    records = ecgs.assign(
        record_id=keys.map(record_ids), patient_id=ecgs["original_patient_id"].map(patient_ids)
    ).sort_values("record_id", ignore_index=True)
    first = ["patient_id", "table_row"]
    others = [name for name in patients if name not in (*first, "original_patient_id")]
    return Cohort(
        definition=definition,
        patients=patients.sort_values("patient_id", ignore_index=True)[[*first, *others]],
        records=records[["record_id", "patient_id", "recorded_at", "table_row", "path"]],
        identifiers=records[["record_id", "patient_id", "original_patient_id", "path"]],
    )


def _pseudonyms(keys: Sequence[str] | pd.Series, letter: str, n_digits: int) -> dict[str, str]:
    """Return a number for each key, in the order of their hashes."""
    ordered = sorted(keys, key=lambda key: hashlib.sha256(str(key).encode()).digest())
    n_digits = max(n_digits, len(str(len(ordered))))
    return {key: f"{letter}{number:0{n_digits}d}" for number, key in enumerate(ordered, 1)}
