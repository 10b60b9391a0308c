"""Where P, QRS, ST and T lie in each record: neurokit2's delineation, all leads together.

P and T are looked for in every lead, and count where enough leads agree; QRS begins and ends where
all leads together begin and cease to move. `benchmarks/delineation.py` holds the result against
cardiologists' marks (docs/delineation.md). A record whose QRS complexes or T waves are not found
gets fixed windows around R, and says so.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.signal import resample_poly

from explainability.beat_intervals import intervals_of, measured_beats
from explainability.beats import WINDOWS, beat_window_mask
from explainability.r_peaks import bandpass, detect_r_peaks, heart_rate_bpm
from explainability.wave_points import (
    WAVES,
    consensus,
    corrected,
    neurokit_points,
    plausible,
    qrs_by_velocity,
)

DELINEATED, FIXED, NO_BEATS = "delineated", "fixed windows", "no beats"
_ANALYSIS_HZ = 500.0
_FOUND_SHARE = 0.5  # of the beats, for a wave to count as found in the record


@dataclass(frozen=True)
class Delineation:
    """Waves of one record.

    Attributes
    ----------
    points_seconds : array of shape (n_beats, 3, 3)
        Onset, peak and offset of P, QRS and T (`WAVES`) from the record's start; NaN: not found.
    r_peaks : int array of shape (n_beats,)
        Samples.
    method : str
        "delineated", "fixed windows" or "no beats".
    reason : str
        Why not delineated; for a delineated record, whether P waves are missing; "" otherwise.
    """

    points_seconds: np.ndarray
    r_peaks: np.ndarray
    method: str
    reason: str


@dataclass(frozen=True)
class WaveWindows:
    """Wave windows of records.

    Attributes
    ----------
    masks : dict of str to bool array of shape (n_records, n_samples)
        "P", "QRS", "ST", "T"; no sample lies in two of them.
    r_peaks : list of int arrays
        Samples of each record's R peaks.
    table : DataFrame
        One row a record: ``method, reason, n_beats, n_p, n_qrs, n_t`` (beats with that wave
        found), ``heart_rate_bpm`` and, of the normal beats, ``pr_ms, qrs_ms, qt_ms``
        (`beat_intervals.intervals_of`).
    """

    masks: dict[str, np.ndarray]
    r_peaks: list[np.ndarray]
    table: pd.DataFrame

    @property
    def n_by_method(self) -> dict[str, int]:
        """Records by method, for a caption."""
        return {str(name): int(n) for name, n in self.table["method"].value_counts().items()}


def wave_windows(ecg: np.ndarray, rate_hz: float) -> WaveWindows:
    """Return which samples of each record lie in P, QRS, ST and T.

    Parameters
    ----------
    ecg : array of shape (n_records, n_samples, 12)
        In mV, leads in the order of `r_peaks.LEADS`.
    rate_hz : float
        Sampling rate; 100 Hz is enough.

    Returns
    -------
    WaveWindows
        ST is the stretch from the end of QRS to the start of T. A bad ECG never raises: its
        windows are fixed ones around R, or empty, and the table says why.
    """
    ecg = np.asarray(ecg)
    masks = {name: np.zeros(ecg.shape[:2], dtype=bool) for name in WINDOWS}
    rows, peaks = [], []
    for row, signal in enumerate(ecg):
        found = delineate(signal, rate_hz)
        for name, mask in _record_masks(found, rate_hz, len(signal)).items():
            masks[name][row] = mask
        normal = measured_beats(signal, found.r_peaks, rate_hz).r_peaks
        rows.append(_describe(found, normal, rate_hz))
        peaks.append(found.r_peaks)
    return WaveWindows(masks, peaks, pd.DataFrame(rows))


def delineate(
    signal_mv: np.ndarray,
    rate_hz: float,
    *,
    method: str = "prominence",
    analysis_hz: float = _ANALYSIS_HZ,
    is_qrs_by_velocity: bool = True,
) -> Delineation:
    """Find P, QRS and T in one record, all leads together.

    Parameters
    ----------
    signal_mv : array of shape (n_samples, 12)
        In mV.
    rate_hz : float
        Sampling rate.
    method : {"prominence", "dwt", "cwt"}
        Of neurokit2's ``ecg_delineate``; the first did best on LUDB.
    analysis_hz : float
        A slower signal is first resampled to about this rate.
    is_qrs_by_velocity : bool
        Whether QRS onset and offset come from all leads together; else from neurokit2, whose
        "prominence" looks no further than 50 ms from R and so cuts a bundle branch block short.

    Returns
    -------
    Delineation

    Raises
    ------
    ValueError
        If the shape or the rate is wrong.

    Notes
    -----
    P and T: the median over leads of onset, peak and offset, of the leads whose peak lies within
    50 ms of the median peak; at least 60 % (P) or half (T) of the leads must. QRS: the first and
    the last sample near R at which the length of the 12-lead vector's derivative exceeds a tenth
    of its largest value, counted from its level between the beats. The mean delays of QRS and of
    the end of T on the records of LUDB with odd numbers are then taken off.

    References
    ----------
    Emrich et al. 2024, doi 10.23919/EUSIPCO63174.2024.10715353 (prominence). Makowski et al.
    2021, doi 10.3758/s13428-020-01516-y (neurokit2).
    """
    beats = detect_r_peaks(signal_mv, rate_hz)
    empty = np.full((len(beats.r_peaks), len(WAVES), 3), np.nan)
    if len(beats.r_peaks) == 0:
        return Delineation(empty, beats.r_peaks, NO_BEATS, beats.reason)
    if len(beats.r_peaks) < 2:
        return Delineation(empty, beats.r_peaks, FIXED, "a single beat")
    filtered = bandpass(np.asarray(signal_mv, np.float64), rate_hz)
    n_times = max(1, round(analysis_hz / rate_hz))
    if n_times > 1:
        filtered = resample_poly(filtered, n_times, 1, axis=0)
    peaks, rate_hz = beats.r_peaks * n_times, rate_hz * n_times
    points = consensus([neurokit_points(lead, peaks, rate_hz, method) for lead in filtered.T])
    if is_qrs_by_velocity:
        points[:, WAVES.index("QRS")] = qrs_by_velocity(filtered, peaks, rate_hz)
        points = corrected(points)
    points = plausible(points, peaks / rate_hz)
    found = np.isfinite(points[:, :, 1]).mean(axis=0)
    for wave, share in zip(WAVES, found, strict=True):
        if share < _FOUND_SHARE and wave != "P":
            words = f"{wave} found in {round(share * len(points))} of {len(points)} beats"
            return Delineation(points, beats.r_peaks, FIXED, words)
    reason = "" if found[0] >= _FOUND_SHARE else "no P wave in most beats"
    return Delineation(points, beats.r_peaks, DELINEATED, reason)


def filled_points(found: Delineation, rate_hz: float) -> np.ndarray:
    """Return the points with gaps filled by the record's median distance from R.

    Parameters
    ----------
    found : Delineation
        A delineated record.
    rate_hz : float
        Sampling rate of its R peaks.

    Returns
    -------
    array of shape (n_beats, 3, 3)
        In seconds; a wave found in less than half of the beats stays NaN in all.
    """
    r_seconds = (found.r_peaks / rate_hz)[:, None, None]
    relative = found.points_seconds - r_seconds
    relative[:, np.isfinite(relative[:, :, 1]).mean(axis=0) < _FOUND_SHARE] = np.nan
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a point that no beat has: stays NaN
        usual = np.nanmedian(relative, axis=0)
    return np.where(np.isfinite(relative), relative, usual) + r_seconds


def _record_masks(found: Delineation, rate_hz: float, n_samples: int) -> dict[str, np.ndarray]:
    """Return the windows of one record; where two meet, QRS counts before P, T and ST."""
    if found.method != DELINEATED:
        masks = {
            name: beat_window_mask(found.r_peaks, rate_hz, n_samples, name=name) for name in WINDOWS
        }
    else:
        points = filled_points(found, rate_hz)
        p_wave, qrs, t_wave = np.moveaxis(points, 1, 0)
        st = np.stack([qrs[:, 2], qrs[:, 2], t_wave[:, 0]], axis=1)
        stretches = {"P": p_wave, "QRS": qrs, "ST": st, "T": t_wave}
        masks = {name: _stretch_mask(stretches[name] * rate_hz, n_samples) for name in WINDOWS}
    taken = np.zeros(n_samples, dtype=bool)
    for name in ("QRS", "P", "T", "ST"):
        masks[name] &= ~taken
        taken |= masks[name]
    return masks


def _stretch_mask(points: np.ndarray, n_samples: int) -> np.ndarray:
    """Return the samples from each row's first to its last point, both included."""
    mask = np.zeros(n_samples, dtype=bool)
    for onset, _, offset in points[np.isfinite(points).all(axis=1)]:
        mask[max(0, round(onset)) : max(0, round(offset) + 1)] = True
    return mask


def _describe(found: Delineation, normal_peaks: np.ndarray, rate_hz: float) -> dict[str, object]:
    """Return the row of `WaveWindows.table` of one record."""
    n_found = np.isfinite(found.points_seconds[:, :, 1]).sum(axis=0)
    return {
        "method": found.method,
        "reason": found.reason,
        "n_beats": len(found.r_peaks),
        **dict(zip(("n_p", "n_qrs", "n_t"), map(int, n_found), strict=True)),
        "heart_rate_bpm": heart_rate_bpm(found.r_peaks, rate_hz),
        **intervals_of(found.points_seconds, found.r_peaks, normal_peaks),
    }
