"""What a cohort's tables mean: columns, outcome, exclusions, devices, covariates.

A covariate is a plain dict, so that it can be stored in ``dataset.json`` and in a model's card:
``name, label, unit, kind`` ("number", "binary" or "category"), ``column`` (of the table, if it
differs from the name), ``low`` and ``high`` of a number, ``unit_in_table`` (where the table has
another one), ``categories`` (of a category, first = reference; of a binary, the words for 0 and 1).
An age may have ``birth_date``, a column, instead of ``column``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from data_processing.declared import DeclaredSignal
from data_processing.errors import LeakageError
from data_processing.exclusions import ExclusionRule

DEVICES = ("icd", "crt", "pacemaker")
PACED = "paced"  # an ECG that the table calls so, whatever the device


@dataclass(frozen=True)
class CohortDefinition:
    """Which column is what, and what counts as the outcome.

    Parameters
    ----------
    name, title, target
        Short name, heading for figures, and name of the outcome in ``predictions``.
    is_synthetic
        Whether every figure and page must say so.
    licence, citation
        Of the data, for ``dataset.json``; empty for a hospital's own.
    contains
        Other collections of which ECGs are in it: an encoder trained on one is then refused.
    target_label
        The outcome in words, for the report; ``target`` if empty.
    covariates
        Known at the index date; see the module's text.
    event_types, competing_types
        Values of ``event_type_column`` that are the event of interest, and those that end its
        possibility. An empty cell is no event; so are ``no_event_types``.
    component_columns, competing_columns
        Instead of ``event_type_column`` and ``event_date_column``: pairs of a name and the column
        of its date, one for each of ``event_types`` and ``competing_types``. The first date counts.
    prior_event_column
        0/1 or a date: patients who had the event before the index date, left out.
    exclusions
        Rules that leave out patients or ECGs, applied in this order.
    device_columns
        Pairs of a device (``icd``, ``crt``, ``pacemaker``) and the column of its implantation.
    dropped_devices
        Devices of which ECGs on or after the day of implantation are left out; ``paced`` for those
        that ``ecg_paced_column`` (0/1, table of ECGs) marks. The others are flagged and kept.
    outcome_column
        A table with 0/1 instead of events and dates; then there is no horizon. ``outcome_words``
        are its words for 0 and 1 where they are others; an empty cell stops, or with
        ``missing_outcome`` = ``exclude`` leaves the patient out.
    uncertain_value, uncertain_as
        Value of ``outcome_column`` for uncertain cases, and what becomes of them: ``exclude``,
        ``positive`` or ``negative``.
    descriptive_columns
        Kept in ``patients`` to describe the cohort, never a covariate (read from the ECG itself,
        for instance).
    label_columns
        Further published labels (0/1), predicted beside the outcome by the task ``several``.
    site_column
        Where a patient was seen; becomes ``site``, a label without the hospital's name.
    default_duplicates
        ``stop``, ``merge`` or ``drop`` when the user leaves the choice to the cohort.
    missing_files
        ``stop`` if a listed ECG file is not there, or ``reject`` that ECG when it is read.
    least_events
        Fewer patients with the event stop the reading; 0: not checked.
    date_format
        Besides ISO: ``dmy`` (31.12.2015, 31/12/2015) or ``mdy`` (12/31/2015).
    patients_file, ecgs_file
        Tables in the cohort's folder, CSV or Excel (``study.xlsx:sheet``). The same name twice: one
        table with one row an ECG, in which the columns of a patient repeat.
    ecg_path
        Where an ECG lies below the folder; ``{}`` is the cell of ``ecg_file_column``.
    ecg_patient_column
        The patient in the table of ECGs; empty: named as in the table of patients.
    ecg_record_column
        Which recording of a file that holds several; empty: one recording a file.
    signals
        Unit, rate and leads of files that do not state them.
    pseudonym_key
        File of the secret key of the pseudonyms; empty: they are numbers.
    recorded_at_column, covariates_date_column
        Empty where there are no such dates.
    """

    name: str
    title: str
    target: str
    target_label: str = ""
    is_synthetic: bool = False
    licence: str = ""
    citation: str = ""
    contains: tuple[str, ...] = ()
    covariates: tuple[dict[str, Any], ...] = ()
    event_types: tuple[str, ...] = ()
    competing_types: tuple[str, ...] = ()
    no_event_types: tuple[str, ...] = ()
    component_columns: tuple[tuple[str, str], ...] = ()
    competing_columns: tuple[tuple[str, str], ...] = ()
    prior_event_column: str = ""
    exclusions: tuple[ExclusionRule, ...] = ()
    device_columns: tuple[tuple[str, str], ...] = ()
    dropped_devices: tuple[str, ...] = ()
    outcome_column: str = ""
    outcome_words: tuple[str, ...] = ()
    missing_outcome: str = "stop"
    uncertain_value: str = ""
    uncertain_as: str = "exclude"
    descriptive_columns: tuple[str, ...] = ()
    label_columns: tuple[str, ...] = ()
    site_column: str = ""
    default_duplicates: str = "stop"
    missing_files: str = "reject"
    least_events: int = 0
    date_format: str = "iso"
    patients_file: str = "patients.csv"
    ecgs_file: str = "ecgs.csv"
    patient_column: str = "patient_id"
    index_date_column: str = "index_date"
    covariates_date_column: str = "covariates_date"
    event_type_column: str = "event_type"
    event_date_column: str = "event_date"
    last_contact_column: str = "last_contact_date"
    ecg_path: str = "{}"
    ecg_patient_column: str = ""
    ecg_file_column: str = "ecg_file"
    ecg_record_column: str = ""
    recorded_at_column: str = "recorded_at"
    ecg_paced_column: str = ""
    signals: DeclaredSignal = field(default_factory=DeclaredSignal)
    pseudonym_key: str = ""

    def __post_init__(self) -> None:
        if self.uncertain_as not in ("exclude", "positive", "negative"):
            raise ValueError(
                "atypical must be exclude, positive or negative, got "
                f"{self.uncertain_as!r}. Choose what uncertain cases count as."
            )
        if bool(self.outcome_column) == bool(self.event_types):
            raise ValueError(
                "definition must have either outcome_column or event_types, got "
                f"{'both' if self.outcome_column else 'neither'}. Decide how the outcome is known."
            )
        for rule in self.exclusions:
            if reason := rule.looks_ahead(self.outcome_columns):
                raise LeakageError(
                    f"exclusions must use what was known at the index date, got {rule.column}, "
                    f"which {reason}. Remove the rule."
                )

    @property
    def has_dates(self) -> bool:
        """Whether outcome, ECGs and covariates are dated."""
        return not self.outcome_column

    def duplicates_policy(self, policy: str) -> str:
        """Return what becomes of duplicates: the choice made, or this cohort's for ``cohort``."""
        return self.default_duplicates if policy == "cohort" else policy

    @property
    def source_files(self) -> tuple[str, ...]:
        """Tables the cohort is read from."""
        return tuple(dict.fromkeys((self.patients_file, self.ecgs_file)))

    @property
    def has_one_table(self) -> bool:
        """Whether one table holds patients and ECGs: one row an ECG."""
        return self.patients_file == self.ecgs_file

    @property
    def dated_events(self) -> tuple[tuple[str, str], ...]:
        """Components and competing events that have a date column each."""
        return (*self.component_columns, *self.competing_columns)

    @property
    def outcome_columns(self) -> set[str]:
        """Columns of the outcome and its follow-up: known only after the index date."""
        if not self.has_dates:
            return {self.outcome_column}
        columns = [column for _, column in self.dated_events]
        columns = columns or [self.event_type_column, self.event_date_column]
        return {*columns, self.last_contact_column}

    def covariate_called(self, column: str) -> dict[str, Any] | None:
        """Return the covariate that has this name or column, None if none has."""
        for item in self.covariates:
            if column in (item["name"], item.get("column"), item.get("birth_date")):
                return item
        return None

    def heading_of(self, rule: ExclusionRule) -> str:
        """Return the heading of a rule's column, which may be named as a covariate."""
        item = self.covariate_called(rule.column) if rule.table == "patients" else None
        if item is None:
            return rule.column
        return str(item.get("birth_date") or item.get("column", item["name"]))

    @property
    def patient_columns(self) -> list[str]:
        """Columns the table of patients must have."""
        dates = (
            self.index_date_column,
            self.covariates_date_column,
            *([] if self.dated_events else [self.event_type_column, self.event_date_column]),
            self.last_contact_column,
            self.prior_event_column,
            *(column for _, column in (*self.dated_events, *self.device_columns)),
        )
        covariates = (
            item.get("birth_date") or item.get("column", item["name"]) for item in self.covariates
        )
        columns = [
            self.patient_column,
            *covariates,
            *self.descriptive_columns,
            *self.label_columns,
            self.site_column,
            *(dates if self.has_dates else (self.outcome_column,)),
            *(self.heading_of(rule) for rule in self.exclusions if rule.table == "patients"),
        ]
        return [name for name in dict.fromkeys(columns) if name]

    @property
    def ecg_columns(self) -> list[str]:
        """Columns the table of ECGs must have."""
        patient = self.ecg_patient_column or self.patient_column
        columns = (
            patient,
            self.ecg_file_column,
            self.ecg_record_column,
            self.recorded_at_column,
            self.ecg_paced_column,
            *(rule.column for rule in self.exclusions if rule.table == "ecgs"),
        )
        return [name for name in dict.fromkeys(columns) if name]
