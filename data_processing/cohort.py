"""Read a cohort: tables and list of ECGs, checked, typed and pseudonymised.

Patients and records get pseudonyms (module ``pseudonyms``). What leads back to the person is
returned separately (``Cohort.identifiers``) to be written under ``private/``.

``select_cohort`` and ``finish_cohort`` (module ``selection``) go on from here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from data_processing.definitions import (
    CohortDefinition,
    brugada_huca_definition,
    nicm_definition,
)
from data_processing.event_dates import check_events, with_first_event
from data_processing.pseudonyms import pseudonyms, read_key
from data_processing.repeated_rows import one_row_a_patient
from data_processing.rule_verdicts import attach_cells, with_verdicts
from data_processing.tables import Problems, read_table
from data_processing.typed_tables import read_ecgs, read_patients

__all__ = [
    "Cohort",
    "CohortDefinition",
    "brugada_huca_definition",
    "nicm_definition",
    "read_brugada_huca",
    "read_cohort",
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
        descriptive columns, and ``outcome`` or the dates and ``event_type``; ``rule_<k>`` is the
        verdict of the k-th exclusion, from 0 (NA: no value).
    records
        One row an ECG: ``record_id``, ``patient_id``, ``recorded_at``, ``table_row``, ``is_paced``
        and verdicts where declared, and, private, ``path`` and ``record`` (which recording of the
        file; empty where it holds one).
    identifiers
        One row an ECG: ``record_id``, ``patient_id``, ``original_patient_id``, ``path``, and
        ``original_site`` where sites are known. For ``private/`` only.
    rule_notes
        What each exclusion should be checked for; empty texts where nothing.
    flow
        Steps before the tables were checked: what of a published table is on this machine.
    """

    definition: CohortDefinition
    patients: pd.DataFrame
    records: pd.DataFrame
    identifiers: pd.DataFrame = field(repr=False)
    rule_notes: tuple[str, ...] = ()
    flow: list[dict[str, Any]] = field(default_factory=list)


def read_cohort(directory: str | Path, definition: CohortDefinition) -> Cohort:
    """Read the tables of a cohort and its list of ECG files.

    Parameters
    ----------
    directory
        Holds the tables the definition names; ECG files are given relative to it, or by their name
        alone. An empty cell is a missing value.
    definition
        Which column is what.

    Returns
    -------
    Cohort

    Raises
    ------
    FileNotFoundError
        If a table is not there.
    CohortTableError
        A ValueError that lists every problem of all tables by row, without identifiers.
    """
    directory = Path(directory)
    problems = Problems()
    needed = {name: [] for name in definition.source_files}
    needed[definition.patients_file] += definition.patient_columns
    needed[definition.ecgs_file] += definition.ecg_columns
    tables = {
        name: read_table(directory, name, list(dict.fromkeys(columns)), problems)
        for name, columns in needed.items()
    }
    return cohort_of_tables(tables, directory, definition, problems)


def cohort_of_tables(
    tables: dict[str, pd.DataFrame],
    directory: Path,
    definition: CohortDefinition,
    problems: Problems,
) -> Cohort:
    """Check, type and pseudonymise the tables of a cohort that are already in memory.

    Parameters
    ----------
    tables
        ``definition.patients_file`` and ``ecgs_file``: text cells, empty = missing, indexed by the
        row of the file.
    directory
        ECG files are given relative to it.
    definition
        Which column is what.
    problems
        What reading the tables found; all is reported together.

    Raises
    ------
    CohortTableError
        As ``read_cohort``.
    """
    ecgs = read_ecgs(tables[definition.ecgs_file], directory, definition, problems)
    rows = tables[definition.patients_file]
    patients = attach_cells(read_patients(rows, definition, problems), rows, definition)
    if definition.has_one_table:
        patients = one_row_a_patient(patients, ecgs["recorded_at"], definition, problems)
    if definition.has_dates:
        patients = with_first_event(patients, definition)
        check_events(patients, definition, problems)
    ecg_rows = tables[definition.ecgs_file]
    patients, ecgs, notes = with_verdicts(patients, ecgs, ecg_rows, definition, problems)
    ecgs = ecgs[ecgs["path"] != ""]
    _check_patients_and_ecgs(patients, ecgs, definition, problems)
    _check_enough_events(patients, definition, problems)
    problems.raise_if_any()
    patients, ecgs = (table.reset_index(drop=True) for table in (patients, ecgs))
    return _pseudonymised(definition, patients, ecgs, notes)


def read_hospital_folder(
    directory: str | Path, definition: CohortDefinition | None = None
) -> Cohort:
    """Read a folder with ``patients.csv``, ``ecgs.csv`` and the ECG files.

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
    FileNotFoundError, CohortTableError
        As ``read_cohort``.
    """
    return read_cohort(directory, definition or nicm_definition())


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
        As ``read_cohort``.
    """
    return read_cohort(directory, brugada_huca_definition(atypical=atypical))


def _check_patients_and_ecgs(
    patients: pd.DataFrame, ecgs: pd.DataFrame, definition: CohortDefinition, problems: Problems
) -> None:
    """Check that each ECG has its patient; note what the rules of selection will leave out."""
    name = definition.patients_file
    patient = definition.ecg_patient_column or definition.patient_column
    owner, identifier = ecgs["original_patient_id"], patients["original_patient_id"]
    if problems.is_absent(name, definition.patient_column):
        return
    is_unknown = ~owner.isin(identifier) & (owner != "")
    problems.add(definition.ecgs_file, is_unknown, f"{patient} must occur in {name}")
    if problems.is_absent(definition.ecgs_file, patient):
        return
    has_none = ~identifier.isin(owner) & (identifier != "")
    problems.note(name, has_none, "patients without an ECG; they are left out and counted")
    if definition.has_dates:
        first = patients.drop_duplicates("original_patient_id")
        event_date = first.set_index("original_patient_id")["event_date"]
        is_late = ecgs["recorded_at"] >= owner.map(event_date).dt.normalize()
        text = "ECGs on or after the day of the event; they stop the run or are dropped"
        problems.note(definition.ecgs_file, is_late, f"{text} (ecgs_after_event)")
        index_day = patients["index_date"].dt.normalize()
        is_late = patients["covariates_date"].dt.normalize() > index_day
        problems.note(name, is_late, "covariates after the index date; they stop the run")


def _check_enough_events(
    patients: pd.DataFrame, definition: CohortDefinition, problems: Problems
) -> None:
    """Check that there are enough patients with the event to evaluate anything."""
    if definition.has_dates:
        column = "outcome" if definition.dated_events else definition.event_type_column
        n_events = int(patients["event_type"].isin(definition.event_types).sum())
        n_others = len(patients) - n_events
    else:
        column = definition.outcome_column
        n_events, n_others = (int((patients["outcome"] == value).sum()) for value in (1, 0))
    for n, word in ((n_events, "with"), (n_others, "without")):
        if n < definition.least_events:
            rule = (
                f"{column} must mark at least {definition.least_events} patients {word} the event"
            )
            problems.add(definition.patients_file, True, f"{rule}, there are {n}")


def _pseudonymised(
    definition: CohortDefinition,
    patients: pd.DataFrame,
    ecgs: pd.DataFrame,
    rule_notes: tuple[str, ...],
) -> Cohort:
    """Replace the original identifiers; keep them in ``identifiers`` alone."""
    key = read_key(definition.pseudonym_key) if definition.pseudonym_key else b""
    patient_ids = pseudonyms(patients["original_patient_id"], "P", 4, key=key)
    # The file's name without the folder: the same cohort elsewhere gets the same numbers.
    keys = ecgs["original_patient_id"] + "\n" + [Path(path).name for path in ecgs["path"]]
    keys += ("\n" + ecgs["record"]).where(ecgs["record"] != "", "")
    keys += "\n" + ecgs.groupby(keys).cumcount().astype(str)
    record_ids = pseudonyms(keys, "R", 5, key=key)
    patients = patients.assign(patient_id=patients["original_patient_id"].map(patient_ids))
    identifiers = ["record_id", "patient_id", "original_patient_id", "path", "record"]
    if "site" in patients:
        patients, ecgs = _without_names_of_sites(patients, ecgs)
        identifiers.append("original_site")
    records = ecgs.assign(
        record_id=keys.map(record_ids), patient_id=ecgs["original_patient_id"].map(patient_ids)
    ).sort_values("record_id", ignore_index=True)
    first = ["patient_id", "table_row"]
    others = [name for name in patients if name not in (*first, "original_patient_id")]
    columns = ["record_id", "patient_id", "recorded_at", "table_row", "path", "record"]
    columns += [name for name in records if name == "is_paced" or str(name).startswith("rule_")]
    return Cohort(
        definition=definition,
        patients=patients.sort_values("patient_id", ignore_index=True)[[*first, *others]],
        records=records[columns],
        identifiers=records[identifiers],
        rule_notes=rule_notes,
    )


def _without_names_of_sites(
    patients: pd.DataFrame, ecgs: pd.DataFrame
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the patients with labels ``site 1``, ..., and the ECGs with ``original_site``."""
    named = pseudonyms(patients["site"].dropna(), "", 1)
    labels = {name: f"site {number}" for name, number in named.items()}
    original = patients.set_index("original_patient_id")["site"]
    ecgs = ecgs.assign(original_site=ecgs["original_patient_id"].map(original))
    return patients.assign(site=patients["site"].map(labels)), ecgs
