"""Heartbeats: line maps and ECGs up on them, average them by patient.

A map over ten seconds hides where in the *beat* a network looks. Here beats are cut from 250 ms
before to 450 ms after the R peak, and averaged, first in the record, then in the patient.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import t as student_t

# Seconds relative to the R peak for an average beat at rest (PR 160 ms, QRS 100 ms, QT 400 ms).
# They name regions; they do not delineate a record's own waves.
WINDOWS = {"P": (-0.22, -0.06), "QRS": (-0.06, 0.06), "ST": (0.06, 0.16), "T": (0.16, 0.42)}


def cut_beats(
    array: np.ndarray,
    r_peaks: np.ndarray,
    rate_hz: float,
    *,
    before_seconds: float = 0.25,
    after_seconds: float = 0.45,
) -> np.ndarray:
    """Cut the beats that lie wholly inside a record.

    Parameters
    ----------
    array : array of shape (n_samples,) or (n_samples, n_leads)
        ECG in mV or map of one record.
    r_peaks : int array
        Samples of the R peaks.
    rate_hz : float
        Sampling rate of `array`.
    before_seconds, after_seconds : float
        Stretch around R.

    Returns
    -------
    array of shape (n_beats, n_beat_samples) or (n_beats, n_beat_samples, n_leads)

    Raises
    ------
    ValueError
        If `array` has another number of axes or the stretch is empty.
    """
    array = np.asarray(array)
    if array.ndim not in (1, 2):
        raise ValueError(
            f"array must be of shape (n_samples,) or (n_samples, n_leads), got {array.shape}. "
            "Pass one record at a time."
        )
    offsets = _offsets(rate_hz, before_seconds, after_seconds)
    peaks = np.asarray(r_peaks, dtype=int)
    peaks = peaks[(peaks + offsets[0] >= 0) & (peaks + offsets[-1] < len(array))]
    return array[peaks[:, None] + offsets[None, :]]


def align_on_r_peaks(
    array: np.ndarray,
    r_peaks: np.ndarray,
    rate_hz: float,
    *,
    before_seconds: float = 0.25,
    after_seconds: float = 0.45,
) -> np.ndarray:
    """Return a record's mean beat, of an ECG or of a map.

    Parameters
    ----------
    array, r_peaks, rate_hz, before_seconds, after_seconds
        As for `cut_beats`.

    Returns
    -------
    float array of shape (n_beat_samples,) or (n_beat_samples, n_leads)
        NaN where the record has no whole beat. At more than 130 beats a minute the stretch after
        R reaches into the next beat.

    Examples
    --------
    >>> align_on_r_peaks(np.eye(100)[50], np.array([50]), 100).argmax()  # R is 25 samples in
    np.int64(25)
    """
    options = {"before_seconds": before_seconds, "after_seconds": after_seconds}
    beats = cut_beats(array, r_peaks, rate_hz, **options)
    if len(beats) == 0:
        return np.full(beats.shape[1:], np.nan)
    return beats.mean(axis=0, dtype=np.float64)


def beat_seconds(
    rate_hz: float, *, before_seconds: float = 0.25, after_seconds: float = 0.45
) -> np.ndarray:
    """Return the time axis of aligned beats in seconds relative to R."""
    return _offsets(rate_hz, before_seconds, after_seconds) / rate_hz


@dataclass(frozen=True)
class GroupBeat:
    """Mean over patients with its interval; arrays of shape (n_beat_samples[, n_leads])."""

    group: str
    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray
    n_records: int
    n_patients: int


def group_mean_beats(
    beats: np.ndarray,
    groups: Sequence[str] | np.ndarray,
    patient_ids: Sequence[str] | np.ndarray,
    *,
    confidence: float = 0.95,
) -> list[GroupBeat]:
    """Average beats or beat maps by group, with bands over patients.

    Parameters
    ----------
    beats : array of shape (n_records, n_beat_samples) or (n_records, n_beat_samples, n_leads)
        Mean beat of each record; rows of NaN (no beats) are left out.
    groups : sequence of str, shape (n_records,)
        For example the third of risk; order of first appearance is kept.
    patient_ids : sequence of str, shape (n_records,)
        A patient's records are averaged first: the patient is the unit. A patient with records
        in two groups counts once in each.
    confidence : float
        Of the pointwise band.

    Returns
    -------
    list of GroupBeat
        Bands are NaN with a single patient.

    Raises
    ------
    ValueError
        If the lengths differ or `confidence` is outside (0, 1).

    Notes
    -----
    mean ± t(1 - (1 - confidence) / 2, n - 1) s / sqrt(n) over n patients, at each sample; the
    band is pointwise, not simultaneous.
    """
    beats = np.asarray(beats, dtype=np.float64)
    groups, patient_ids = np.asarray(groups), np.asarray(patient_ids)
    if not len(beats) == len(groups) == len(patient_ids):
        raise ValueError(
            f"groups and patient_ids must hold one entry for each of the {len(beats)} beats, "
            f"got {len(groups)} and {len(patient_ids)}. Select the same rows."
        )
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must be between 0 and 1, got {confidence}. Use 0.95.")
    usable = np.isfinite(beats).all(axis=tuple(range(1, beats.ndim)))
    result = []
    for group in pd.unique(groups):
        rows = usable & (groups == group)
        means = _patient_means(beats[rows], patient_ids[rows])
        n_patients = len(means)
        mean = means.mean(axis=0) if n_patients else np.full(beats.shape[1:], np.nan)
        half = np.full(beats.shape[1:], np.nan)
        if n_patients > 1:
            quantile = student_t.ppf(0.5 + confidence / 2, n_patients - 1)
            half = quantile * means.std(axis=0, ddof=1) / np.sqrt(n_patients)
        result.append(
            GroupBeat(str(group), mean, mean - half, mean + half, int(rows.sum()), n_patients)
        )
    return result


def in_window(seconds: np.ndarray, name: str) -> np.ndarray:
    """Return which times relative to R lie in the window `name` (start included, end not).

    Parameters
    ----------
    seconds : array
        Times relative to R.
    name : {"P", "QRS", "ST", "T"}
        Key of `WINDOWS`.

    Examples
    --------
    >>> in_window(np.array([-0.1, 0.0, 0.3]), "QRS").tolist()
    [False, True, False]
    """
    if name not in WINDOWS:
        raise ValueError(f"name must be one of {list(WINDOWS)}, got {name!r}. Choose a window.")
    start, end = WINDOWS[name]
    return (np.asarray(seconds) >= start - 1e-9) & (np.asarray(seconds) < end - 1e-9)


def beat_window_mask(
    r_peaks: np.ndarray, rate_hz: float, n_samples: int, *, name: str
) -> np.ndarray:
    """Return which samples of a record lie in a window of any of its beats.

    Parameters
    ----------
    r_peaks : int array
        Samples of the R peaks.
    rate_hz : float
        Sampling rate.
    n_samples : int
        Length of the record.
    name : {"P", "QRS", "ST", "T"}
        Key of `WINDOWS`.

    Returns
    -------
    bool array of shape (n_samples,)
        For `sanity_checks.window_mass`.
    """
    start, end = WINDOWS.get(name, (0.0, 0.0))
    offsets = np.arange(np.floor(start * rate_hz), np.ceil(end * rate_hz) + 1).astype(int)
    offsets = offsets[in_window(offsets / rate_hz, name)]
    mask = np.zeros(n_samples, dtype=bool)
    samples = (np.asarray(r_peaks, dtype=int)[:, None] + offsets[None, :]).ravel()
    mask[samples[(samples >= 0) & (samples < n_samples)]] = True
    return mask


def _offsets(rate_hz: float, before_seconds: float, after_seconds: float) -> np.ndarray:
    """Return sample offsets from -before to +after, both ends included."""
    before, after = round(before_seconds * rate_hz), round(after_seconds * rate_hz)
    if before < 0 or after < 0 or before + after < 1:
        raise ValueError(
            "before_seconds and after_seconds must span at least one sample, "
            f"got {before_seconds} and {after_seconds}. Use 0.25 and 0.45."
        )
    return np.arange(-before, after + 1)


def _patient_means(values: np.ndarray, patient_ids: np.ndarray) -> np.ndarray:
    """Return one row a patient: the mean of the patient's rows."""
    if len(values) == 0:
        return values
    codes, patients = pd.factorize(patient_ids)
    sums = np.zeros((len(patients), *values.shape[1:]))
    np.add.at(sums, codes, values)
    counts = np.bincount(codes).reshape(-1, *[1] * (values.ndim - 1))
    return sums / counts
