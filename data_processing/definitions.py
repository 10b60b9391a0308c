"""The cohorts this project knows by name, and the covariates of its clinical model."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from data_processing.cohort_definition import CohortDefinition

__all__ = [
    "LGE_PATTERNS",
    "NICM_COVARIATES",
    "CohortDefinition",
    "brugada_huca_definition",
    "nicm_definition",
]

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


_NICM = CohortDefinition(
    name="folder",
    title="Non-ischaemic cardiomyopathy",
    target="sva",
    target_label="sustained ventricular arrhythmia (sudden cardiac death, sustained VT, "
    "appropriate ICD therapy)",
    covariates=NICM_COVARIATES,
    event_types=("sustained_vt", "appropriate_icd_therapy", "sudden_cardiac_death"),
    competing_types=("death_other", "transplant", "lvad"),
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
        competing_types=("death_other",),
        device_columns=(("icd", "icd_date"),),
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
