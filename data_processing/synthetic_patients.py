"""Patients of the SYNTHETIC cohort: covariates, latent ECG signature, event times, follow-up.

Constant cause-specific hazards. For patient *i* with clinical predictor ``c_i`` and ECG
latent ``z_i`` (both standardised, independent of each other)::

    arrhythmia_i = rate * exp(b_c * clinical_effect_size * c_i + b_e * effect_size * z_i)
    risk_i(t)    = arrhythmia_i / (arrhythmia_i + death_i)
                   * (1 - exp(-(arrhythmia_i + death_i) * t))

``rate`` is solved for each setting such that the mean risk at three years stays the same;
so the effect size moves discrimination and not the number of events.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pandas as pd
from scipy.optimize import brentq
from scipy.special import expit, ndtr, ndtri

from data_processing.synthetic_settings import SyntheticSettings
from data_processing.synthetic_truth import SIGNATURES

DAYS_PER_YEAR = 365.25
LGE_PATTERNS = ("none", "midwall_septal", "subepicardial", "ring_like")
EVENT_TYPES = ("sustained_vt", "appropriate_icd_therapy", "sudden_cardiac_death")
THREE_YEAR_INCIDENCE = 0.165
STUDY_END = pd.Timestamp("2023-12-31")
# Log hazard ratios of one SD, found by simulation such that the oracle AUROC at three years is
# 0.68 (clinical) and 0.75 (ECG) with both effect sizes at 1.
CLINICAL_LOG_HAZARD = 0.675
ECG_LOG_HAZARD = 0.963
_CLINICAL_MEAN, _CLINICAL_SD = 0.715, 0.598  # of the raw predictor in a million patients
_EVENT_TYPE_SHARES = (0.35, 0.50, 0.15)
# Share with an ICD at the index date, and later, by type of event: therapy needs one.
_ICD_SHARES = {"appropriate_icd_therapy": (0.65, 0.35), "sudden_cardiac_death": (0.10, 0.05)}
_OTHER_ICD_SHARES = (0.35, 0.15)
_ICD_DAYS_BEFORE = 1500  # implanted at most so long before the index date
_N_ECGS_SHARES = (0.14, 0.20, 0.24, 0.20, 0.13, 0.09)
_REFERENCE_PATIENTS = 20_000


def simulate_patients(settings: SyntheticSettings) -> pd.DataFrame:
    """Draw the patients with their hidden truth and with what a hospital would know.

    Parameters
    ----------
    settings : SyntheticSettings
        Cohort settings; ``rate_hz`` and ``duration_seconds`` play no part here.

    Returns
    -------
    DataFrame, n_patients rows
        ``patient_number`` (0, 1, ...), ``patient_id``; complete covariates ``age_years``,
        ``sex``, ``lvef_percent``, ``lge_present``, ``lge_pattern``, ``pathogenic_variant`` and
        the same with the prefix ``observed_`` (missing as in a clinic); ``z_<signature>``,
        ``ecg_latent``, ``clinical_latent`` (all mean 0, SD 1), ``true_risk`` (probability of the
        event before ``horizon_days``), ``event`` (0 censored, 1 arrhythmia, 2 other death),
        ``duration_days`` (to event or censoring), ``event_type``, ``index_date``,
        ``covariates_date``, ``event_date``, ``last_contact_date``, ``n_ecgs`` (1 to 6),
        ``icd_date`` (of implantation; NaT without an ICD).

    Notes
    -----
    The ECG is independent of every covariate: what the ECG adds to them is then exactly what
    was planted, and with ``effect_size=0`` it holds nothing at all. Real ECGs also betray age
    and sex; this cohort leaves that out on purpose.
    """
    rng = np.random.default_rng([settings.seed, 1])
    patients = _covariates(settings.n_patients, rng)
    patients.insert(0, "patient_number", np.arange(settings.n_patients))
    patients.insert(1, "patient_id", _patient_ids(settings.n_patients, rng))
    _add_ecg_latents(patients, rng)
    _add_outcome(patients, settings, rng)
    _add_observed(patients, rng)
    _add_dates(patients, rng)
    _add_icd(patients, np.random.default_rng([settings.seed, 9]))  # changes none of the above
    return patients


def _patient_ids(n_patients: int, rng: np.random.Generator) -> list[str]:
    """Return hospital-like numbers without order; five digits while they last."""
    digits = max(5, len(str(n_patients)) + 1)
    low, high = 10 ** (digits - 1), 10**digits
    return [f"SYN-{number}" for number in low + rng.choice(high - low, n_patients, replace=False)]


def _covariates(n_patients: int, rng: np.random.Generator) -> pd.DataFrame:
    """Draw complete covariates; medians and shares as published for the cohort (see README)."""
    age = 50.4 + 14.0 * ndtri(rng.uniform(ndtr(-2.3), ndtr(2.4), n_patients))
    is_male = rng.random(n_patients) < 0.685
    variant = rng.random(n_patients) < expit(-0.85 - 0.035 * (age - 50.0))
    centre = 28.4 - 1.2 * is_male + 1.6 * variant - 0.04 * (age - 50.0)
    lvef = np.rint(centre + 8.5 * ndtri(rng.uniform(ndtr(-2.2), ndtr(2.4), n_patients)))
    has_lge = rng.random(n_patients) < expit(
        -0.60 + 0.7 * variant + 0.35 * is_male - 0.03 * (lvef - 28.0)
    )
    ring, sub = np.where(variant, 0.34, 0.12), np.where(variant, 0.28, 0.24)
    draw = rng.random(n_patients)
    pattern = np.where(draw < ring, 3, np.where(draw < ring + sub, 2, 1)) * has_lge
    raw = (
        0.35 * is_male
        - 0.035 * (lvef - 28.0)
        + 0.004 * (age - 50.0)
        + 0.45 * variant
        + np.array([0.0, 0.60, 0.75, 1.10])[pattern]
    )
    return pd.DataFrame(
        {
            "age_years": np.round(age, 1),
            "sex": np.where(is_male, "male", "female"),
            "lvef_percent": lvef,
            "lge_present": has_lge.astype(float),
            "lge_pattern": np.array(LGE_PATTERNS, dtype=object)[pattern],
            "pathogenic_variant": variant.astype(float),
            "clinical_latent": (raw - _CLINICAL_MEAN) / _CLINICAL_SD,
        }
    )


def _add_ecg_latents(patients: pd.DataFrame, rng: np.random.Generator) -> None:
    """Add one standard normal a signature and their weighted sum; weights squared = shares."""
    latents = rng.standard_normal((len(patients), len(SIGNATURES)))
    for column, sign in enumerate(SIGNATURES):
        patients[f"z_{sign.name}"] = latents[:, column]
    patients["ecg_latent"] = latents @ np.sqrt([sign.share for sign in SIGNATURES])


def _death_rate(patients: pd.DataFrame) -> np.ndarray:
    """Return the yearly hazard of death of another cause: about 0.03, higher if old or low LVEF."""
    age, lvef = patients["age_years"].to_numpy(), patients["lvef_percent"].to_numpy()
    return 0.026 * np.exp(0.035 * (age - 50.0) - 0.02 * (lvef - 28.0))


def _relative_hazard(patients: pd.DataFrame, effect: float, clinical_effect: float) -> np.ndarray:
    """Return the arrhythmia hazard relative to the average patient."""
    clinical = CLINICAL_LOG_HAZARD * clinical_effect * patients["clinical_latent"].to_numpy()
    return np.exp(clinical + ECG_LOG_HAZARD * effect * patients["ecg_latent"].to_numpy())


def _risk(arrhythmia: np.ndarray, death: np.ndarray, years: float) -> np.ndarray:
    """Return the cumulative incidence of arrhythmia with death competing (constant hazards)."""
    total = arrhythmia + death
    return arrhythmia / total * -np.expm1(-total * years)


@lru_cache(maxsize=64)
def _baseline_rate(effect: float, clinical_effect: float) -> float:
    """Solve the yearly hazard of the average patient for the declared three-year incidence."""
    rng = np.random.default_rng(20240229)  # the reference population must not follow the seed
    reference = _covariates(_REFERENCE_PATIENTS, rng)
    _add_ecg_latents(reference, rng)
    relative = _relative_hazard(reference, effect, clinical_effect)
    death = _death_rate(reference)

    def excess(log_rate: float) -> float:
        return float(_risk(np.exp(log_rate) * relative, death, 3.0).mean()) - THREE_YEAR_INCIDENCE

    return float(np.exp(brentq(excess, -25.0, 5.0)))


def _add_outcome(
    patients: pd.DataFrame, settings: SyntheticSettings, rng: np.random.Generator
) -> None:
    """Add true risk, first event, follow-up and censoring; days are whole and at least 1."""
    n_patients = len(patients)
    effects = settings.effect_size, settings.clinical_effect_size
    arrhythmia = _baseline_rate(*effects) * _relative_hazard(patients, *effects)
    death = _death_rate(patients)
    patients["true_risk"] = _risk(arrhythmia, death, settings.horizon_days / DAYS_PER_YEAR)
    years = {
        "event": rng.exponential(1.0, n_patients) / arrhythmia,
        "death": rng.exponential(1.0, n_patients) / death,
        # recruitment slowed down towards the end: few have much less than three years
        "end": 1.0 + 7.0 * rng.beta(2.2, 1.5, n_patients),
        "lost": rng.exponential(1.0 / 0.015, n_patients),
    }
    days = {name: np.ceil(value * DAYS_PER_YEAR) for name, value in years.items()}
    censored = np.minimum(days["end"], days["lost"])
    duration = np.minimum(np.minimum(days["event"], days["death"]), censored)
    is_event = days["event"] <= duration
    is_death = ~is_event & (days["death"] <= duration)
    event = np.where(is_event, 1, np.where(is_death, 2, 0)).astype(np.int8)
    kind = rng.choice(len(EVENT_TYPES), size=n_patients, p=_EVENT_TYPE_SHARES)
    types = np.array(EVENT_TYPES, dtype=object)[kind]
    patients["event"], patients["duration_days"] = event, duration
    patients["event_type"] = np.where(event == 1, types, None)
    patients.loc[event == 2, "event_type"] = "death_other"
    # A first non-fatal event does not end follow-up.
    goes_on = (event == 1) & (patients["event_type"] != "sudden_cardiac_death").to_numpy()
    patients["follow_up_days"] = np.where(
        goes_on, np.maximum(np.minimum(days["death"], censored), duration), duration
    )
    patients["end_days"] = days["end"]


def _add_observed(patients: pd.DataFrame, rng: np.random.Generator) -> None:
    """Blank what a clinic would not have: missing at random given age and LVEF, not outcome."""
    n_patients = len(patients)
    age, lvef = patients["age_years"].to_numpy(), patients["lvef_percent"].to_numpy()
    no_mri = rng.random(n_patients) < expit(-1.6 + 0.03 * (age - 50.0) - 0.03 * (lvef - 28.0))
    no_gene = rng.random(n_patients) < expit(-0.95 + 0.04 * (age - 50.0))
    no_pattern = no_mri | (rng.random(n_patients) < 0.03)  # LGE noted, pattern not described
    no_lvef = rng.random(n_patients) < 0.02
    patients["observed_age_years"] = patients["age_years"]
    patients["observed_sex"] = patients["sex"]
    patients["observed_lvef_percent"] = patients["lvef_percent"].mask(no_lvef)
    patients["observed_lge_present"] = patients["lge_present"].mask(no_mri)
    patients["observed_lge_pattern"] = patients["lge_pattern"].mask(no_pattern)
    patients["observed_pathogenic_variant"] = patients["pathogenic_variant"].mask(no_gene)


def _add_dates(patients: pd.DataFrame, rng: np.random.Generator) -> None:
    """Turn days into dates and draw the number of ECGs; neither knows the outcome."""
    n_patients = len(patients)

    def after_index(days: np.ndarray) -> pd.Series:
        return patients["index_date"] + pd.to_timedelta(days, unit="D")

    patients["index_date"] = STUDY_END - pd.to_timedelta(patients["end_days"], unit="D")
    patients["covariates_date"] = after_index(-rng.integers(0, 91, n_patients))
    event_date = after_index(patients["duration_days"].to_numpy())
    patients["event_date"] = event_date.where(patients["event"] > 0)
    patients["last_contact_date"] = after_index(patients.pop("follow_up_days").to_numpy())
    patients["n_ecgs"] = 1 + rng.choice(6, size=n_patients, p=_N_ECGS_SHARES)
    del patients["end_days"]


def _add_icd(patients: pd.DataFrame, rng: np.random.Generator) -> None:
    """Draw who carries an ICD: whoever had its therapy, and others whatever their risk."""
    n_patients = len(patients)
    shares = [_ICD_SHARES.get(kind, _OTHER_ICD_SHARES) for kind in patients["event_type"]]
    at_index, later = np.array(shares).T
    draw = rng.random(n_patients)
    days_before = rng.integers(1, _ICD_DAYS_BEFORE + 1, n_patients)
    days_after = np.ceil(rng.random(n_patients) * np.minimum(patients["duration_days"], 730))
    days = np.where(draw < at_index, -days_before, np.maximum(days_after, 1))
    icd_date = patients["index_date"] + pd.to_timedelta(days, unit="D")
    patients["icd_date"] = icd_date.where(draw < at_index + later)
