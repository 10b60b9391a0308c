"""Find the R peaks of a 12-lead ECG, at 100 Hz too, and say why where there are none."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.signal import butter, sosfiltfilt

LEADS = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")

_SEARCH_LEADS = ("II", "I", "V2", "V5", "V4", "aVR")
_SHORTEST_SECONDS = 2.0  # two beats at 60/min
_FEWEST_BEATS = 3  # for a heart rate: two RR intervals
_FLAT_MV = 0.05  # a lead that stays within 50 microvolts holds no QRS
_SAME_BEAT_SECONDS = 0.1  # tolerance between leads, and for the reference marks in the tests
_REFINE_SECONDS = 0.08
# neurokit2 fails in many ways on signals without beats; all of these mean "no beats found".
NEUROKIT_ERRORS = (ValueError, IndexError, TypeError, KeyError, ZeroDivisionError)


@dataclass(frozen=True)
class BeatDetection:
    """R peaks of one record.

    Attributes
    ----------
    r_peaks : int array
        Samples; empty where no beats were found.
    lead : str
        Lead whose detections the others agreed with most; "" where none was usable.
    agreement : float
        Mean agreement (F1, 0 to 1) of the other leads with it; NaN with a single lead.
    reason : str
        Why there are no beats; "" otherwise.
    """

    r_peaks: np.ndarray
    lead: str
    agreement: float
    reason: str


def heart_rate_bpm(r_peaks: np.ndarray, rate_hz: float) -> float:
    """Return 60 / median RR interval of all beats, NaN with fewer than three beats."""
    if len(r_peaks) < _FEWEST_BEATS:
        return float("nan")
    return float(60.0 * rate_hz / np.median(np.diff(r_peaks)))


def detect_r_peaks(
    signal_mv: np.ndarray, rate_hz: float, *, lead_names: Sequence[str] = LEADS
) -> BeatDetection:
    """Find the R peaks of one record on the lead with which the others agree most.

    Parameters
    ----------
    signal_mv : array of shape (n_samples, n_leads)
        ECG in millivolts.
    rate_hz : float
        Sampling rate; 100 Hz is enough.
    lead_names : sequence of str
        One name a column.

    Returns
    -------
    BeatDetection
        Flat, short or unreadable signals give no beats and a reason, never an exception.

    Raises
    ------
    ValueError
        If the arguments do not fit each other.

    Notes
    -----
    Detections come from neurokit2 (method "neurokit") on band-passed leads; each is then moved
    to the maximum of the root mean square over leads within 80 ms, a fiducial point that does
    not depend on the lead chosen.

    References
    ----------
    Makowski et al. 2021, doi 10.3758/s13428-020-01516-y.
    """
    signal_mv = np.asarray(signal_mv, dtype=np.float64)
    if signal_mv.ndim != 2 or signal_mv.shape[1] != len(lead_names):
        raise ValueError(
            f"signal_mv must be of shape (n_samples, {len(lead_names)}), got {signal_mv.shape}. "
            "Pass one column for each name in lead_names."
        )
    if not rate_hz > 0:
        raise ValueError(f"rate_hz must be positive, got {rate_hz}. Read it from dataset.json.")
    if len(signal_mv) < _SHORTEST_SECONDS * rate_hz:
        return _no_beats(f"shorter than {_SHORTEST_SECONDS:g} s")
    if not np.isfinite(signal_mv).all():
        return _no_beats("not finite")
    filtered = bandpass(signal_mv, rate_hz)
    live = [name for name in lead_names if np.ptp(filtered[:, lead_names.index(name)]) > _FLAT_MV]
    if not live:
        return _no_beats("flat in every lead")
    search = [name for name in _SEARCH_LEADS if name in live] or live[:4]
    found = {name: _detect_one(filtered[:, lead_names.index(name)], rate_hz) for name in search}
    found = {name: peaks for name, peaks in found.items() if len(peaks)}
    if not found:
        return _no_beats("no R peaks found")
    lead, agreement = _most_agreed(found, rate_hz)
    rms = np.sqrt((filtered**2).mean(axis=1))
    return BeatDetection(_refine(found[lead], rms, rate_hz), lead, agreement, "")


def _no_beats(reason: str) -> BeatDetection:
    return BeatDetection(np.zeros(0, dtype=int), "", float("nan"), reason)


def bandpass(signal_mv: np.ndarray, rate_hz: float) -> np.ndarray:
    """Keep 0.5 Hz to 40 Hz (or 90 % of half the rate), without delay."""
    high = min(40.0, 0.45 * rate_hz)
    sections = butter(2, (0.5, high), btype="bandpass", fs=rate_hz, output="sos")
    return sosfiltfilt(sections, signal_mv, axis=0)


def _detect_one(lead_mv: np.ndarray, rate_hz: float) -> np.ndarray:
    """Return the peaks neurokit2 finds on one lead, none where it fails."""
    import neurokit2 as nk  # three seconds to import: only when beats are asked for

    if abs(lead_mv.min()) > abs(lead_mv.max()):
        lead_mv = -lead_mv  # neurokit looks for maxima; aVR and V1 point down
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            _, info = nk.ecg_peaks(lead_mv, sampling_rate=rate_hz, method="neurokit")
    except NEUROKIT_ERRORS:
        return np.zeros(0, dtype=int)
    peaks = np.asarray(info["ECG_R_Peaks"], dtype=float)
    return peaks[np.isfinite(peaks)].astype(int)


def _agreement(peaks: np.ndarray, others: np.ndarray, tolerance: float) -> float:
    """Return F1 of two lists of peaks: 2 matches / (n1 + n2)."""
    distance = np.abs(peaks[:, None] - others[None, :])
    matches = min(
        (distance.min(axis=1) <= tolerance).sum(), (distance.min(axis=0) <= tolerance).sum()
    )
    return float(2 * matches / (len(peaks) + len(others)))


def _most_agreed(found: dict[str, np.ndarray], rate_hz: float) -> tuple[str, float]:
    """Return the lead with the highest mean agreement with the others (first wins ties)."""
    if len(found) == 1:
        return next(iter(found)), float("nan")
    tolerance = _SAME_BEAT_SECONDS * rate_hz
    scores = {
        name: float(
            np.mean([_agreement(p, q, tolerance) for other, q in found.items() if other != name])
        )
        for name, p in found.items()
    }
    best = max(scores, key=lambda name: scores[name])
    return best, scores[best]


def _refine(peaks: np.ndarray, rms: np.ndarray, rate_hz: float) -> np.ndarray:
    """Move each peak to the maximum of `rms` nearby; two that meet become one."""
    reach = round(_REFINE_SECONDS * rate_hz)
    starts = np.maximum(peaks - reach, 0)
    moved = [
        start + int(np.argmax(rms[start : p + reach + 1]))
        for start, p in zip(starts, peaks, strict=True)
    ]
    return np.unique(np.asarray(moved, dtype=int))
