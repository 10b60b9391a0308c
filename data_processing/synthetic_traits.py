"""How SYNTHETIC patients differ from each other, and the recordings of one patient.

Every trait is a standard normal drawn from a generator of its own patient or record, so an ECG
does not depend on which others are simulated with it.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.special import ndtr

from data_processing.synthetic_truth import SIGNATURES

Draws = dict[str, np.ndarray]

PATIENT_TRAITS = (
    *("rate", "pr", "qrs", "qt", "gain", "frontal", "horizontal", "p_gain", "st"),
    *("t_gain", "t_frontal", "t_horizontal", "t_lateral", "septal", "posterior", "terminal"),
    *("v1", "v2", "v3", "v4", "v5", "v6", "notch_x", "notch_y", "notch_z", "notch_time"),
    *("slur", "conduction", "rhythm", "ectopic_frontal", "ectopic_horizontal", "noise"),
)
RECORD_TRAITS = (
    *("rate", "pr", "gain", "frontal", "horizontal", "t_gain", "t_lateral"),
    *("v1", "v2", "v3", "v4", "v5", "v6", "slur", "fragments", "fragment_time", "burden"),
    *("breathing_rate", "breathing_phase", "breathing_size", "sinus_arrhythmia", "wander"),
    *("noise", "mains", "mains_phase", "start", "flutter_rate", "flutter_size", "coupling"),
)
_LEFT_BUNDLE_SHARE, _FIBRILLATION_SHARE = 0.15, 0.07


def draw_traits(rows: pd.DataFrame, seed: int) -> tuple[Draws, Draws, Draws]:
    """Draw the traits of every record and turn them into physical values.

    Parameters
    ----------
    rows : DataFrame, n rows
        One row a record: ``patient_number``, ``ecg_number`` and the ``z_`` latents.
    seed : int
        With the two numbers it fixes every draw.

    Returns
    -------
    patient, record : dict of ndarray, shape (n,)
        Standard normal traits; those of a patient are the same in all their records.
    values : dict of ndarray, shape (n,)
        ``record`` and physical values: intervals in seconds, size of the planted signs in mV.
    """
    numbers = rows["patient_number"].to_numpy()
    patient = _normal_traits(PATIENT_TRAITS, [(seed, 2, number) for number in numbers])
    keys = zip(numbers, rows["ecg_number"].to_numpy(), strict=True)
    record = _normal_traits(RECORD_TRAITS, [(seed, 3, *key) for key in keys])
    latent = {sign.name: rows[f"z_{sign.name}"].to_numpy() for sign in SIGNATURES}
    return patient, record, _record_values(patient, record, latent)


def _normal_traits(names: tuple[str, ...], keys: list[tuple[int, ...]]) -> Draws:
    """Return standard normal draws by name; a generator a key, hence independent of batching."""
    cache: dict[tuple[int, ...], np.ndarray] = {}
    for key in keys:
        if key not in cache:
            generator = np.random.default_rng([int(part) for part in key])
            cache[key] = generator.standard_normal(len(names))
    table = np.stack([cache[key] for key in keys])
    return {name: table[:, column] for column, name in enumerate(names)}


def _record_values(patient: Draws, record: Draws, latent: Draws) -> Draws:
    """Return physical values of every record, among them the size of the planted signs."""
    is_fibrillating = ndtr(patient["rhythm"]) < _FIBRILLATION_SHARE
    has_left_bundle = ndtr(patient["conduction"]) < _LEFT_BUNDLE_SHARE
    rate = 70.0 * np.exp(0.15 * patient["rate"] + 0.07 * record["rate"]) + 10.0 * is_fibrillating
    rr = 60.0 / rate
    qt = (0.405 + 0.018 * patient["qt"] + 0.03 * has_left_bundle) * np.cbrt(rr)
    # Signs: a mean, the latent, and variation between recordings that carries no risk.
    lateral = 0.06 + 0.085 * latent["lateral_t"] + 0.03 * patient["t_lateral"]
    slur = 0.05 + 0.045 * latent["terminal_slur"] + 0.02 * patient["slur"]
    fragment = 0.5 * np.logaddexp(0.0, 1.2 * latent["qrs_fragmentation"]) / np.log(2.0)
    burden = np.exp(-3.7 + 1.2 * latent["ventricular_ectopy"] + 0.4 * record["burden"])
    return record | {
        "is_fibrillating": is_fibrillating,
        "has_left_bundle": has_left_bundle,
        "rr_seconds": rr,
        "qt_seconds": qt,
        "pr_shift_seconds": 0.022 * patient["pr"] + 0.004 * record["pr"],
        "lateral_t_mv": lateral + 0.025 * record["t_lateral"],
        "slur_mv": slur + 0.015 * record["slur"],
        "fragment_mv": 0.18 * fragment * np.exp(0.2 * record["fragments"]),
        "ectopic_probability": np.minimum(burden, 0.4),
        "noise_level": np.exp(0.4 * patient["noise"] + 0.4 * record["noise"]),
    }
