"""Plain-word findings about the quality of one ECG; they flag a record, they never remove it."""

from __future__ import annotations

import numpy as np
from scipy.signal import butter, sosfiltfilt

from data_processing.leads import LEADS

FLAT_MV = 0.02  # range of a lead below which nothing was recorded
STUCK_SECONDS = 1.0  # the same value for so long: cable off, or a gap filled with a constant
SATURATED_SHARE = 0.005  # of the samples at the very highest or lowest value, in plateaus
WANDER_MV = 1.0  # range below 0.5 Hz; beyond it the ST segment cannot be judged
NOISE_MV = 0.05  # root mean square above 40 Hz: mains or muscle
_PLATEAU_SAMPLES = 4


def assess_quality(signal_mv: np.ndarray, rate_hz: float) -> list[str]:
    """List what is wrong with an ECG as recorded, before any filter.

    Parameters
    ----------
    signal_mv
        (n_samples, 12) millivolts.
    rate_hz
        Sampling rate; noise above 40 Hz can be seen from 100 Hz on only roughly.

    Returns
    -------
    list of str
        Reasons such as ``"flat: V2, V3"``; empty if nothing was found.

    Examples
    --------
    >>> time = np.arange(1000) / 100
    >>> signal = np.tile(np.sin(2 * np.pi * time)[:, None], 12)
    >>> signal[:, 7] = 0.0
    >>> assess_quality(signal, 100)
    ['flat: V2']
    """
    signal = np.asarray(signal_mv, dtype=np.float64)
    is_flat = np.ptp(signal, axis=0) < FLAT_MV
    findings = {
        "flat": is_flat,
        "stuck for over 1 s": (_longest_run(signal) > STUCK_SECONDS * rate_hz) & ~is_flat,
        "saturated": _is_saturated(signal) & ~is_flat,
        "baseline wander": _band_range(signal, rate_hz) > WANDER_MV,
        "noise": _noise_rms(signal, rate_hz) > NOISE_MV,
    }
    return [
        f"{reason}: {', '.join(lead for lead, is_hit in zip(LEADS, hits, strict=True) if is_hit)}"
        for reason, hits in findings.items()
        if hits.any()
    ]


def _longest_run(signal: np.ndarray) -> np.ndarray:
    """Return the longest run of equal samples of each lead."""
    longest = np.ones(signal.shape[1], dtype=np.int64)
    for column in range(signal.shape[1]):
        changes = np.flatnonzero(np.diff(signal[:, column]))
        longest[column] = np.diff(np.concatenate([[-1], changes, [len(signal) - 1]])).max()
    return longest


def _is_saturated(signal: np.ndarray) -> np.ndarray:
    """Return where an extreme value is held in plateaus, as an amplifier at its limit does."""
    saturated = np.zeros(signal.shape[1], dtype=bool)
    for extreme in (signal.max(axis=0), signal.min(axis=0)):
        is_extreme = (signal == extreme).astype(np.float64)
        sums = np.cumsum(np.pad(is_extreme, ((1, 0), (0, 0))), axis=0)
        n_in_plateau = (sums[_PLATEAU_SAMPLES:] - sums[:-_PLATEAU_SAMPLES]) == _PLATEAU_SAMPLES
        is_often = is_extreme.mean(axis=0) > SATURATED_SHARE
        saturated |= is_often & n_in_plateau.any(axis=0)
    return saturated


def _band_range(signal: np.ndarray, rate_hz: float) -> np.ndarray:
    sos = butter(2, 0.5, "lowpass", fs=rate_hz, output="sos")
    return np.ptp(sosfiltfilt(sos, signal, axis=0, padlen=len(signal) - 1), axis=0)


def _noise_rms(signal: np.ndarray, rate_hz: float) -> np.ndarray:
    if rate_hz <= 80:
        return np.zeros(signal.shape[1])
    sos = butter(2, 40.0, "highpass", fs=rate_hz, output="sos")
    fast = sosfiltfilt(sos, signal, axis=0, padlen=min(len(signal) - 1, round(rate_hz)))
    # The median ignores QRS complexes, which reach above 40 Hz too; 1.4826 makes it an SD.
    return 1.4826 * np.median(np.abs(fast), axis=0)
