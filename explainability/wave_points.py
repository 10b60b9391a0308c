"""Onset, peak and offset of waves: neurokit2 lead by lead, and what the leads say together."""

from __future__ import annotations

import warnings

import numpy as np
from scipy.ndimage import uniform_filter1d

from explainability.r_peaks import NEUROKIT_ERRORS

WAVES = ("P", "QRS", "T")
_SAME_WAVE_SECONDS = 0.05  # a lead agrees if its peak lies so near the median of the leads
# Part of the leads that must agree. In atrial fibrillation single leads have "P waves" at random.
_AGREEING_SHARE = {"P": 0.6, "QRS": 0.5, "T": 0.5}
_QRS_MOVES = 0.1  # of the fastest movement in the beat: less is no QRS
_QRS_SECONDS = (0.12, 0.16)  # searched before and after R
_PAD_SECONDS = 0.8  # held constant at both ends: the first P and the last T may lie near them
# Peak after R and length, in seconds; what lies outside is no such wave. QT and PR limits are wide
# enough for heart rates of 40 and first-degree block.
_PEAK_LIMITS = {"P": (-0.4, -0.04), "QRS": (-0.05, 0.05), "T": (0.1, 0.6)}
# How late QRS and the end of T are found: means of LUDB's records with odd numbers at 100 Hz.
_LATE_SECONDS = {"P": (0.0, 0.0, 0.0), "QRS": (0.006, 0.0, -0.002), "T": (0.0, 0.0, 0.011)}
_LENGTH_LIMITS = {"P": (0.03, 0.25), "QRS": (0.04, 0.25), "T": (0.05, 0.45)}


def neurokit_points(
    lead_mv: np.ndarray, r_peaks: np.ndarray, rate_hz: float, method: str
) -> np.ndarray:
    """Return onset, peak and offset of P, QRS and T in one lead, NaN where neurokit2 has none."""
    import neurokit2 as nk  # three seconds to import: only when waves are asked for

    points = np.full((len(r_peaks), len(WAVES), 3), np.nan)
    pad = round(_PAD_SECONDS * rate_hz)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            _, found = nk.ecg_delineate(
                np.pad(lead_mv, pad, mode="edge"),
                r_peaks + pad,
                sampling_rate=rate_hz,
                method=method,
            )
    except NEUROKIT_ERRORS:
        return points
    for column, letter in enumerate("PRT"):
        for point, name in enumerate(("Onsets", "Peaks", "Offsets")):
            samples = np.asarray(found.get(f"ECG_{letter}_{name}", ()), dtype=float)
            if method == "cwt" and len(samples) == len(r_peaks) - 1:  # one a pair of beats
                samples = np.insert(samples, 0 if letter == "P" else len(samples), np.nan)
            if len(samples) == len(r_peaks):
                points[:, column, point] = (samples - pad) / rate_hz
    points[:, WAVES.index("QRS"), 1] = r_peaks / rate_hz
    return points


def consensus(by_lead: list[np.ndarray]) -> np.ndarray:
    """Return the median over the leads that agree on a wave, NaN where too few do."""
    points = np.stack(by_lead)  # (leads, beats, waves, points)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a wave that no lead has stays NaN
        distance = np.abs(points[..., 1] - np.nanmedian(points[..., 1], axis=0))
        agrees = distance <= _SAME_WAVE_SECONDS
        together = np.nanmedian(np.where(agrees[..., None], points, np.nan), axis=0)
    needed = np.array([_AGREEING_SHARE[name] for name in WAVES])
    return np.where((agrees.mean(axis=0) >= needed)[..., None], together, np.nan)


def qrs_by_velocity(leads_mv: np.ndarray, r_peaks: np.ndarray, rate_hz: float) -> np.ndarray:
    """Return onset, R and offset in seconds: where all leads together move fast."""
    velocity = np.sqrt((np.gradient(leads_mv, axis=0) ** 2).sum(axis=1))
    velocity = uniform_filter1d(velocity, max(1, round(0.01 * rate_hz)))
    before, after = (round(part * rate_hz) for part in _QRS_SECONDS)
    points = np.full((len(r_peaks), 3), np.nan)
    for beat, peak in enumerate(r_peaks):
        around = velocity[max(0, peak - round(0.3 * rate_hz)) : peak + round(0.4 * rate_hz)]
        near = velocity[max(0, peak - round(0.05 * rate_hz)) : peak + round(0.05 * rate_hz) + 1]
        level = np.percentile(around, 20)
        start = max(0, peak - before)
        fast = velocity[start : peak + after] > level + _QRS_MOVES * (near.max() - level)
        inside = start + np.flatnonzero(fast)
        if len(inside):
            points[beat] = np.array([inside[0], peak, inside[-1]]) / rate_hz
    return points


def corrected(points: np.ndarray) -> np.ndarray:
    """Return the points of all beats without the mean delay of each on LUDB."""
    return points - np.array([_LATE_SECONDS[name] for name in WAVES])


def plausible(points: np.ndarray, r_seconds: np.ndarray) -> np.ndarray:
    """Return the points without waves that are out of order, of odd length or far from R."""
    onset, peak, offset = np.moveaxis(points, 2, 0)
    after_r = peak - r_seconds[:, None]
    limits = np.array([_PEAK_LIMITS[name] for name in WAVES])
    lengths = np.array([_LENGTH_LIMITS[name] for name in WAVES])
    with np.errstate(invalid="ignore"):
        is_kept = (after_r >= limits[:, 0]) & (after_r <= limits[:, 1])
        is_kept &= (onset < peak + 1e-9) & (peak < offset + 1e-9)
        is_kept &= (offset - onset >= lengths[:, 0]) & (offset - onset <= lengths[:, 1])
    return np.where(is_kept[:, :, None], points, np.nan)
