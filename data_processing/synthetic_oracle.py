"""How well the truth of the SYNTHETIC cohort ranks its patients: the ceiling for models."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from data_processing.synthetic_patients import simulate_patients
from data_processing.synthetic_settings import SyntheticSettings


def oracle_auroc(
    settings: SyntheticSettings, *, n_patients: int = 200_000, seed: int = 1
) -> dict[str, float]:
    """Measure how well the truth itself ranks patients, by simulation.

    Parameters
    ----------
    settings : SyntheticSettings
        Effect sizes and horizon to be measured.
    n_patients : int
        Patients simulated for the purpose (those of unknown status at the horizon are left out).
    seed : int
        Seed of this simulation.

    Returns
    -------
    dict
        ``clinical`` (complete covariates, true coefficients), ``ecg`` (latent signature) and
        ``both`` (true risk): AUROC in [0, 1]. No model can be expected to do better.
    """
    patients = simulate_patients(replace(settings, n_patients=n_patients, seed=seed))
    status = status_at_horizon(patients, settings.horizon_days)
    known = status >= 0
    scores = {"clinical": "clinical_latent", "ecg": "ecg_latent", "both": "true_risk"}
    return {
        name: _auroc(status[known] == 1, patients[column].to_numpy()[known])
        for name, column in scores.items()
    }


def status_at_horizon(patients: pd.DataFrame, horizon_days: float) -> np.ndarray:
    """Return 1 (event by the horizon), 0 (none, or died before of another cause), -1 (unknown)."""
    event = patients["event"].to_numpy()
    duration = patients["duration_days"].to_numpy()
    status = np.where((event == 0) & (duration < horizon_days), -1, 0)
    return np.where((event == 1) & (duration <= horizon_days), 1, status)


def _auroc(is_event: np.ndarray, score: np.ndarray) -> float:
    """Mann-Whitney estimate with ties counted half."""
    n_events, n_others = int(is_event.sum()), int((~is_event).sum())
    if not n_events or not n_others:
        return float("nan")
    ranks = rankdata(score)
    return float((ranks[is_event].sum() - n_events * (n_events + 1) / 2) / (n_events * n_others))
