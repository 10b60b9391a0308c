"""How the mass of maps divides among leads and waves, beside what the ECG alone would suggest.

A map that only follows the size of the deflections gives the QRS complex a large share, whatever
the network has learnt. Every share therefore stands beside two others: that of a map which is the
same everywhere (the share of the time), and that of the ECG itself, |mV| about each lead's median.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from explainability.r_peaks import LEADS

PARTS = ("P", "QRS", "ST", "T", "rest")
NO_LEADS = ("all leads",)


@dataclass(frozen=True)
class WaveShares:
    """Shares in per cent; each record's sum to 100.

    Attributes
    ----------
    attribution, amplitude, duration : arrays of shape (n_patients, n_leads, 5)
        Of |map|, of |mV| and of the time; the last axis is `PARTS`. One row a patient: the mean
        over the patient's records.
    patient_ids : array of shape (n_patients,)
    leads : tuple of str
        Names of the leads; ``("all leads",)`` for maps without a lead axis.
    n_records : int
        Records used: those with a map that is not zero and an ECG that is not flat.
    n_left_out : int
        The others.
    """

    attribution: np.ndarray
    amplitude: np.ndarray
    duration: np.ndarray
    patient_ids: np.ndarray
    leads: tuple[str, ...]
    n_records: int
    n_left_out: int


def record_shares(mass: np.ndarray, windows: Mapping[str, np.ndarray]) -> np.ndarray:
    """Return how each record's mass divides among leads and waves.

    Parameters
    ----------
    mass : array of shape (n_records, n_samples) or (n_records, n_samples, n_leads)
        Signed values count by absolute value.
    windows : mapping of str to bool array of shape (n_records, n_samples)
        "P", "QRS", "ST" and "T", no sample in two of them; from `delineation.wave_windows`.

    Returns
    -------
    float array of shape (n_records, n_leads, 5)
        Per cent in the order of `PARTS`, which add to 100; NaN where the mass is zero. Without a
        lead axis n_leads is 1.

    Raises
    ------
    ValueError
        If shapes differ, a sample lies in two windows, or the mass is not finite.

    Examples
    --------
    >>> windows = {name: np.zeros((1, 4), dtype=bool) for name in PARTS[:4]}
    >>> windows["T"][0, 2:] = True
    >>> record_shares(np.array([[1.0, 0, 2, -1]]), windows).round(0).tolist()
    [[[0.0, 0.0, 0.0, 75.0, 25.0]]]
    """
    mass = np.abs(np.asarray(mass, dtype=np.float64))
    mass = mass[..., None] if mass.ndim == 2 else mass
    stacked = np.stack([np.asarray(windows[name], dtype=bool) for name in PARTS[:4]], axis=-1)
    if mass.ndim != 3 or stacked.shape[:2] != mass.shape[:2]:
        raise ValueError(
            f"windows must be of shape {mass.shape[:2]} like the maps, got {stacked.shape[:2]}. "
            "Make them from the same records."
        )
    if (stacked.sum(axis=-1) > 1).any():
        raise ValueError(
            "windows must not overlap, got samples in two of them. Use delineation.wave_windows."
        )
    if not np.isfinite(mass).all():
        raise ValueError("mass must be finite, got NaN or infinity. Leave such records out.")
    parts = np.concatenate([stacked, ~stacked.any(axis=-1, keepdims=True)], axis=-1)
    cells = np.einsum("nsl,nsp->nlp", mass, parts.astype(np.float64))
    total = cells.sum(axis=(1, 2), keepdims=True)
    return np.divide(100 * cells, total, out=np.full(cells.shape, np.nan), where=total > 0)


def deflection_size(ecg: np.ndarray, maps: np.ndarray) -> np.ndarray:
    """Return the distance of each sample from its lead's median in mV, in the shape of `maps`."""
    size = np.abs(ecg - np.median(ecg, axis=1, keepdims=True))
    return size if maps.ndim == 3 else size.mean(axis=2)


def wave_shares(
    maps: np.ndarray,
    ecg: np.ndarray,
    windows: Mapping[str, np.ndarray],
    patient_ids: Sequence[str] | np.ndarray,
    *,
    lead_names: Sequence[str] = LEADS,
) -> WaveShares:
    """Return each patient's shares by lead and wave, of the map, of the ECG and of the time.

    Parameters
    ----------
    maps : array of shape (n_records, n_samples) or (n_records, n_samples, n_leads)
        Attribution; without a lead axis the ECG's amplitude is averaged over the leads.
    ecg : array of shape (n_records, n_samples, n_leads)
        In mV.
    windows : mapping of str to bool array of shape (n_records, n_samples)
        As for `record_shares`.
    patient_ids : sequence of str, shape (n_records,)
        Records are averaged by patient.
    lead_names : sequence of str
        One a lead.

    Raises
    ------
    ValueError
        If shapes differ or no record has a map.
    """
    maps, ecg = np.asarray(maps), np.asarray(ecg, dtype=np.float64)
    ids = np.asarray(patient_ids)
    if not len(maps) == len(ecg) == len(ids):
        raise ValueError(
            f"maps, ecg and patient_ids must hold the same records, got {len(maps)}, {len(ecg)} "
            f"and {len(ids)}. Select the same rows."
        )
    height = deflection_size(ecg, maps)
    found = [record_shares(mass, windows) for mass in (maps, height, np.ones(height.shape))]
    is_used = np.isfinite(found[0]).all(axis=(1, 2)) & np.isfinite(found[1]).all(axis=(1, 2))
    if not is_used.any():
        raise ValueError(
            f"maps must hold at least one that is not zero, got 0 of {len(maps)}. "
            "Check the network."
        )
    codes, patients = pd.factorize(ids[is_used])
    weights = np.zeros((len(patients), len(codes)))
    weights[codes, np.arange(len(codes))] = 1.0
    weights /= weights.sum(axis=1, keepdims=True)
    means = [np.einsum("pn,nlw->plw", weights, shares[is_used]) for shares in found]
    leads = tuple(lead_names) if maps.ndim == 3 else NO_LEADS
    n_used = int(is_used.sum())
    return WaveShares(*means, np.asarray(patients), leads, n_used, len(maps) - n_used)


def share_table(
    shares: WaveShares, *, by: str = "lead and wave", n_resamples: int = 2000, seed: int = 0
) -> pd.DataFrame:
    """Return the mean shares over patients with intervals, beside those of time and amplitude.

    Parameters
    ----------
    shares : WaveShares
        From `wave_shares`.
    by : {"lead and wave", "wave", "lead"}
        What a row is; shares are added over the rest, before the intervals are made.
    n_resamples : int
        Bootstrap samples of patients; intervals are percentile, 95 %, for the fixed networks.
    seed : int
        Of the resamples.

    Returns
    -------
    DataFrame
        ``lead, wave, share_percent, ci_low, ci_high, expected_by_duration_percent,
        expected_by_amplitude_percent, excess_percent_points, excess_low, excess_high,
        n_patients, n_records``. `share_percent` and both expectations each add to 100. The excess
        is the share minus that expected by amplitude, paired in the patient; intervals are NaN
        with one patient.

    Raises
    ------
    ValueError
        If `by` is unknown.

    References
    ----------
    Efron & Tibshirani 1993, chapter 13 (percentile intervals).
    """
    axes = {"lead and wave": (), "wave": (1,), "lead": (2,)}
    if by not in axes:
        raise ValueError(f"by must be one of {list(axes)}, got {by!r}. Choose one.")
    parts = [shares.attribution, shares.duration, shares.amplitude]
    mass, time, height = (part.sum(axis=axes[by], keepdims=True) for part in parts)
    mass, time, height = (part.reshape(len(part), -1) for part in (mass, time, height))
    leads = NO_LEADS if by == "wave" else shares.leads
    waves = PARTS if by != "lead" else ("all",)
    index = pd.MultiIndex.from_product([leads, waves], names=["lead", "wave"])
    low, high = _intervals(mass, n_resamples, seed)
    excess_low, excess_high = _intervals(mass - height, n_resamples, seed)
    table = pd.DataFrame(
        {
            "share_percent": mass.mean(axis=0),
            "ci_low": low,
            "ci_high": high,
            "expected_by_duration_percent": time.mean(axis=0),
            "expected_by_amplitude_percent": height.mean(axis=0),
            "excess_percent_points": (mass - height).mean(axis=0),
            "excess_low": excess_low,
            "excess_high": excess_high,
        },
        index=index,
    ).reset_index()
    return table.assign(n_patients=len(mass), n_records=shares.n_records)


def round_to_hundred(percent: np.ndarray, *, decimals: int = 1) -> np.ndarray:
    """Round shares so that what is printed still adds to 100.

    Parameters
    ----------
    percent : array
        Adds to 100.
    decimals : int
        To keep.

    Returns
    -------
    float array, shape of `percent`
        Rounded down, and the largest remainders up, until the sum is 100.

    Raises
    ------
    ValueError
        If `percent` does not add to 100.

    Examples
    --------
    >>> round_to_hundred(np.array([33.333, 33.333, 33.334])).tolist()
    [33.3, 33.3, 33.4]
    """
    percent = np.asarray(percent, dtype=np.float64)
    if not np.isclose(percent.sum(), 100.0, atol=1e-6):
        raise ValueError(f"percent must add to 100, got {percent.sum():g}. Pass all the parts.")
    units = percent.ravel() * 10**decimals
    whole = np.floor(units + 1e-9)
    n_missing = round(100 * 10**decimals - whole.sum())
    whole[np.argsort(whole - units, kind="stable")[:n_missing]] += 1
    return (whole / 10**decimals).reshape(percent.shape)


def _intervals(
    by_patient: np.ndarray, n_resamples: int, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return 95 % percentile intervals of the mean over patients, (n_cells,) each."""
    n_patients = len(by_patient)
    if n_patients < 2:
        empty = np.full(by_patient.shape[1], np.nan)
        return empty, empty
    rng = np.random.default_rng(seed)
    drawn = rng.multinomial(n_patients, np.full(n_patients, 1 / n_patients), size=n_resamples)
    low, high = np.quantile(drawn @ by_patient / n_patients, [0.025, 0.975], axis=0)
    return low, high
