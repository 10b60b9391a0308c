"""The median normal beat of each record with the marks of its waves, and the rhythm around it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from explainability.beat_intervals import (
    INTERVALS,
    RULES,
    intervals_of,
    measured_beats,
    median_where_found,
    told_apart,
)
from explainability.beats import beat_seconds, cut_beats
from explainability.delineation import WAVES, Delineation, delineate
from explainability.median_beats import BeatChoice
from explainability.r_peaks import heart_rate_bpm

__all__ = ["MARKS", "RecordBeats", "find_beats"]

MARKS = ("p_start", "p_stop", "qrs_start", "qrs_stop", "t_start", "t_stop")

_LEVEL_SECONDS = (-0.03, 0.0)  # before QRS: the isoelectric level


@dataclass(frozen=True)
class RecordBeats:
    """The beats of n records.

    Attributes
    ----------
    seconds : array of shape (n_beat_samples,)
        Relative to R.
    beats_mv : array of shape (n_records, n_beat_samples, 12)
        Median of the normal beats, zero at the isoelectric level (median of the 30 ms before QRS);
        NaN where there is none.
    marks_seconds : DataFrame of shape (n_records, 6)
        `MARKS` relative to R, medians over the normal beats; NaN where the wave was not found in
        half of them.
    intervals_ms : DataFrame of shape (n_records, 3)
        ``pr_ms, qrs_ms, qt_ms`` of `beat_intervals.intervals_of`.
    rhythm : DataFrame of shape (n_records, 4)
        ``heart_rate_bpm, rmssd_ms, n_premature_beats, n_beats``.
    normal_peaks : list of int arrays
        Samples of the R peaks of the normal beats, one array a record; those that the record's ends
        cut into, which the median beat leaves out, are among them.
    rate_hz : float
        Sampling rate.
    """

    seconds: np.ndarray
    beats_mv: np.ndarray
    marks_seconds: pd.DataFrame
    intervals_ms: pd.DataFrame
    rhythm: pd.DataFrame
    normal_peaks: list[np.ndarray]
    rate_hz: float

    def take(self, rows: Sequence[int] | np.ndarray) -> RecordBeats:
        """Return some of the records, by position."""
        rows = np.asarray(rows, dtype=int)
        return RecordBeats(
            self.seconds,
            self.beats_mv[rows],
            self.marks_seconds.iloc[rows].reset_index(drop=True),
            self.intervals_ms.iloc[rows].reset_index(drop=True),
            self.rhythm.iloc[rows].reset_index(drop=True),
            [self.normal_peaks[row] for row in rows],
            self.rate_hz,
        )

    def inside(self, start: pd.Series, stop: pd.Series) -> np.ndarray:
        """Return which samples of the beats lie in [start, stop], (n_records, n_beat_samples)."""
        first, last = start.to_numpy(float)[:, None], stop.to_numpy(float)[:, None]
        return (self.seconds >= first - 1e-9) & (self.seconds <= last + 1e-9)


def find_beats(ecg: np.ndarray, rate_hz: float) -> RecordBeats:
    """Find, delineate and average the beats of every record.

    Parameters
    ----------
    ecg : array of shape (n_records, n_samples, 12)
        In mV; a memory map is read record by record.
    rate_hz : float
        Sampling rate.

    Returns
    -------
    RecordBeats
        A record without beats has NaN, never an exception.
    """
    seconds = beat_seconds(rate_hz, **RULES.stretch)
    beats = np.full((len(ecg), len(seconds), ecg.shape[2]), np.nan)
    marks, intervals, rhythm, peaks = [], [], [], []
    for row, signal in enumerate(ecg):
        found = delineate(signal, rate_hz)
        choice = measured_beats(signal, found.r_peaks, rate_hz)
        is_normal = _is_normal(found.r_peaks, choice, len(signal), rate_hz)
        marks.append(_marks(found, choice, rate_hz))
        intervals.append(intervals_of(found.points_seconds, found.r_peaks, choice.r_peaks))
        rhythm.append(_rhythm(found.r_peaks, choice, is_normal, rate_hz))
        peaks.append(found.r_peaks[is_normal])
        if len(choice.r_peaks):
            beats[row] = np.median(
                cut_beats(signal, choice.r_peaks, rate_hz, **RULES.stretch), axis=0
            )
    table = pd.DataFrame(marks, columns=list(MARKS), dtype=float)
    result = RecordBeats(
        seconds,
        beats,
        table,
        pd.DataFrame(intervals, columns=list(INTERVALS), dtype=float),
        pd.DataFrame(rhythm),
        peaks,
        float(rate_hz),
    )
    onset = table["qrs_start"]
    before = result.inside(onset + _LEVEL_SECONDS[0], onset + _LEVEL_SECONDS[1])
    for row, is_level in enumerate(before):
        if is_level.any():
            beats[row] -= np.median(beats[row, is_level], axis=0)
    return result


def _marks(found: Delineation, choice: BeatChoice, rate_hz: float) -> np.ndarray:
    """Return onset and offset of P, QRS and T relative to R, (6,), NaN where not found."""
    used = np.isin(found.r_peaks, choice.r_peaks)
    if not used.any():
        return np.full(len(MARKS), np.nan)
    r_seconds = (found.r_peaks[used] / rate_hz)[:, None, None]
    edges = told_apart(found.points_seconds[used])[:, :, [0, 2]] - r_seconds
    return median_where_found(edges.reshape(-1, 2 * len(WAVES)))


def _is_normal(peaks: np.ndarray, choice: BeatChoice, n_samples: int, rate_hz: float) -> np.ndarray:
    """Return which beats are normal: those chosen, and those at the ends, which no rule judged."""
    before, after = (round(part * rate_hz) for part in RULES.stretch.values())
    return np.isin(peaks, choice.r_peaks) | (peaks < before) | (peaks + after >= n_samples)


def _rhythm(
    peaks: np.ndarray, choice: BeatChoice, is_normal: np.ndarray, rate_hz: float
) -> dict[str, float]:
    """Return rate, variability and counts of one record; NaN with fewer than three beats."""
    nan = float("nan")
    result = {"heart_rate_bpm": heart_rate_bpm(peaks, rate_hz), "n_beats": float(len(peaks))}
    if len(peaks) < 3:
        return result | {"rmssd_ms": nan, "n_premature_beats": nan}
    rr_ms = np.diff(peaks) / rate_hz * 1000.0
    # A difference counts where three beats in a row are normal: ectopy is no sinus variability.
    steps = np.diff(rr_ms)[is_normal[:-2] & is_normal[1:-1] & is_normal[2:]]
    return result | {
        "rmssd_ms": float(np.sqrt((steps**2).mean())) if len(steps) > 1 else nan,
        "n_premature_beats": nan if "irregular" in choice.note else float(choice.n_early),
    }
