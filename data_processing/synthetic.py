"""The SYNTHETIC cohort: patients with non-ischaemic cardiomyopathy whose truth is known.

Use it to try the workflow without patient data and to test it against the right answer::

    settings = SyntheticSettings(n_patients=314, effect_size=1.0, seed=0)
    write_hospital_folder("cohort", settings)            # what a hospital would hand over
    patients = simulate_patients(settings)               # the same patients with their truth
    signals_mv, truth = simulate_ecgs(patients, settings)

What is planted, and what is not:

* sustained ventricular arrhythmia with constant hazards, death of other causes competing, follow-up
  of one to eight years (``synthetic_patients``);
* covariates with the medians and shares of the published cohort (68.5 % men, median age 50.4
  years, median LVEF 28 %), correlated with each other, missing as in a clinic and never because of
  the outcome;
* four ECG signs that carry the risk in known leads and windows (``planted_windows``). All else
  that varies (axis, voltage, rate, intervals, bundle branch block, atrial fibrillation, noise)
  carries none, nor does the ECG tell age or sex: effect size 0 is a true null.

Implementation: ``synthetic_settings``, ``synthetic_truth`` (answer key), ``synthetic_patients``,
``synthetic_oracle``, ``synthetic_traits``, ``synthetic_heart``, ``synthetic_rhythm``,
``synthetic_noise``, ``synthetic_ecg``, ``synthetic_files``.
"""

from __future__ import annotations

from data_processing.leads import LEADS
from data_processing.synthetic_ecg import simulate_ecgs
from data_processing.synthetic_files import (
    ECG_COLUMNS,
    PATIENT_COLUMNS,
    UNITS_PER_MV,
    declared_truth,
    draw_ecg_table,
    hospital_patients,
    write_hospital_folder,
)
from data_processing.synthetic_oracle import oracle_auroc, status_at_horizon
from data_processing.synthetic_patients import EVENT_TYPES, LGE_PATTERNS, simulate_patients
from data_processing.synthetic_settings import SYNTHETIC_LABEL, SyntheticSettings
from data_processing.synthetic_truth import planted_in, planted_mask, planted_windows

__all__ = [
    "ECG_COLUMNS",
    "EVENT_TYPES",
    "LEADS",
    "LGE_PATTERNS",
    "PATIENT_COLUMNS",
    "SYNTHETIC_LABEL",
    "UNITS_PER_MV",
    "SyntheticSettings",
    "declared_truth",
    "draw_ecg_table",
    "hospital_patients",
    "oracle_auroc",
    "planted_in",
    "planted_mask",
    "planted_windows",
    "simulate_ecgs",
    "simulate_patients",
    "status_at_horizon",
    "write_hospital_folder",
]
