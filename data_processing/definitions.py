"""What a cohort's tables mean: columns, event types, covariates. A new cohort is a new definition.

A covariate is a plain dict, so that it can be stored in ``dataset.json`` and in a model's card:
``name, label, unit, kind`` ("number", "binary" or "category"), ``column`` (of the table, if it
differs from the name), ``low`` and ``high`` of a number, ``categories`` (of a category, first =
reference; of a binary, the words for 0 and 1).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from data_processing.declared import DeclaredSignal

LGE_PATTERNS = ("none", "midwall_septal", "subepicardial", "ring_like")

NICM_COVARIATES: tuple[dict[str, Any], ...] = (
    {
        "name": "age_years",
        "label": "Age",
        "unit": "years",
        "kind": "number",
        "low": 0.0,
        "high": 120.0,
    },
    {
        "name": "is_male",
        "label": "Male sex",
        "unit": "",
        "kind": "binary",
        "column": "sex",
        "categories": ["female", "male"],
    },
    {
        "name": "lvef_percent",
        "label": "LVEF",
        "unit": "%",
        "kind": "number",
        "low": 5.0,
        "high": 85.0,
    },
    {"name": "lge_present", "label": "LGE present", "unit": "", "kind": "binary"},
    {
        "name": "lge_pattern",
        "label": "LGE pattern",
        "unit": "",
        "kind": "category",
        "categories": list(LGE_PATTERNS),
    },
    {"name": "pathogenic_variant", "label": "Pathogenic variant", "unit": "", "kind": "binary"},
)


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
    target_label
        The outcome in words, for the report; ``target`` if empty.
    covariates
        Known at the index date; see the module's text.
    event_types, competing_types
        Values of ``event_type_column`` that are the event of interest, and those that end its
        possibility. An empty cell is no event; so are ``no_event_types``.
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
    covariates: tuple[dict[str, Any], ...] = ()
    event_types: tuple[str, ...] = ()
    competing_types: tuple[str, ...] = ()
    no_event_types: tuple[str, ...] = ()
    outcome_column: str = ""
    outcome_words: tuple[str, ...] = ()
    missing_outcome: str = "stop"
    uncertain_value: str = ""
    uncertain_as: str = "exclude"
    descriptive_columns: tuple[str, ...] = ()
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
    signals: DeclaredSignal = field(default_factory=DeclaredSignal)

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

    @property
    def has_dates(self) -> bool:
        """Whether outcome, ECGs and covariates are dated."""
        return not self.outcome_column

    @property
    def source_files(self) -> tuple[str, ...]:
        """Tables the cohort is read from."""
        return tuple(dict.fromkeys((self.patients_file, self.ecgs_file)))

    @property
    def has_one_table(self) -> bool:
        """Whether one table holds patients and ECGs: one row an ECG."""
        return self.patients_file == self.ecgs_file

    @property
    def patient_columns(self) -> list[str]:
        """Columns the table of patients must have."""
        dates = (
            self.index_date_column,
            self.covariates_date_column,
            self.event_type_column,
            self.event_date_column,
            self.last_contact_column,
        )
        columns = [
            self.patient_column,
            *(item.get("column", item["name"]) for item in self.covariates),
            *self.descriptive_columns,
            *(dates if self.has_dates else (self.outcome_column,)),
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
        )
        return [name for name in dict.fromkeys(columns) if name]


_NICM = CohortDefinition(
    name="folder",
    title="Non-ischaemic cardiomyopathy",
    target="sva",
    target_label="sustained ventricular arrhythmia (sudden cardiac death, sustained VT, "
    "appropriate ICD therapy)",
    covariates=NICM_COVARIATES,
    event_types=("sustained_vt", "appropriate_icd_therapy", "sudden_cardiac_death"),
    competing_types=("death_other",),
)


def nicm_definition(*, is_synthetic: bool = False) -> CohortDefinition:
    """Return the cohort of the first question: sustained ventricular arrhythmia in NICM.

    Parameters
    ----------
    is_synthetic
        True for the simulated cohort, False for a hospital's folder of the same layout.
    """
    if not is_synthetic:
        return _NICM
    return replace(
        _NICM,
        name="synthetic_nicm",
        title="Synthetic non-ischaemic cardiomyopathy",
        is_synthetic=True,
        licence="MIT, simulated by this project",
    )


def brugada_huca_definition(*, atypical: str = "exclude") -> CohortDefinition:
    """Return Brugada-HUCA 1.0.0: diagnosis of Brugada syndrome from the ECG.

    Parameters
    ----------
    atypical
        What the seven uncertain diagnoses (``brugada`` = 2) count as: ``exclude``, ``positive`` or
        ``negative``.

    Notes
    -----
    ``basal_pattern`` was read from the ECG that is to be classified, so it describes and never
    predicts. Five recordings are filed under two numbers each: four sample by sample, and one moved
    by a fraction of a sample and scaled by 0.86, which has Brugada syndrome under one number and
    not under the other. By default the four are merged and the contradicting pair is left out.
    """
    return CohortDefinition(
        name="brugada_huca",
        title="Brugada-HUCA 1.0.0",
        target="brugada",
        target_label="a diagnosis of Brugada syndrome",
        licence="CC BY-SA 4.0",
        citation="Costa Cortez & Garcia Iglesias 2026, doi:10.13026/0m2w-dy83",
        outcome_column="brugada",
        uncertain_value="2",
        uncertain_as=atypical,
        descriptive_columns=("basal_pattern", "sudden_death"),
        default_duplicates="merge",
        patients_file="metadata.csv",
        ecgs_file="metadata.csv",
        ecg_path="files/{}/{}.hea",
        ecg_file_column="patient_id",
        recorded_at_column="",
    )
