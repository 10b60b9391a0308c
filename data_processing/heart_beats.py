"""QRS complexes of a whole ECG, and how much they resemble one another."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import uniform_filter1d
from scipy.signal import find_peaks

_MEANS_HZ = 100.0
_BEAT_SECONDS = 0.25  # to either side of the R peak
_REFRACTORY_SECONDS = 0.3


def block_means(signal_mv: np.ndarray, rate_hz: float) -> tuple[np.ndarray, float]:
    """Return means over about 10 ms: enough for where QRS complexes are and point.

    Parameters
    ----------
    signal_mv
        (n_samples, 12) millivolts.
    rate_hz
        Sampling rate.

    Returns
    -------
    means, rate_hz
        (n_blocks, 12) float64, and their rate: 67 to 150 Hz, or that of a slower signal.
    """
    n_mean = max(1, min(round(rate_hz / _MEANS_HZ), len(signal_mv) // 2))
    n_whole = len(signal_mv) // n_mean * n_mean
    blocks = np.asarray(signal_mv[:n_whole]).reshape(-1, n_mean, signal_mv.shape[1])
    return blocks.mean(axis=1, dtype=np.float64), rate_hz / n_mean


def find_r_peaks(means: np.ndarray, rate_hz: float) -> np.ndarray:
    """Return the samples of QRS complexes: peaks of the velocity of all leads together.

    Parameters
    ----------
    means
        (n_samples, 12) millivolts at about 100 Hz, see ``block_means``.
    rate_hz
        Their rate.

    Returns
    -------
    ndarray
        (n_beats,) samples.
    """
    steps = np.abs(np.diff(means, axis=0))
    scale = np.percentile(steps, 95, axis=0)
    steps = np.minimum(steps / np.maximum(scale, 1e-3), 5.0)  # no single lead decides
    velocity = uniform_filter1d(steps.mean(axis=1), max(1, round(0.08 * rate_hz)))
    if not velocity.size or velocity.max() <= 0:
        return np.zeros(0, dtype=np.int64)
    low, high = np.percentile(velocity, [25, 98])
    peaks, _ = find_peaks(
        velocity,
        height=low + 0.4 * (high - low),
        distance=max(1, round(_REFRACTORY_SECONDS * rate_hz)),
    )
    return peaks


def heart_rate(peaks: np.ndarray, rate_hz: float) -> float:
    """Return 60 over the median interval between peaks; NaN with fewer than three."""
    return 60.0 * rate_hz / float(np.median(np.diff(peaks))) if len(peaks) > 2 else float("nan")


def beat_correlation(means: np.ndarray, peaks: np.ndarray, rate_hz: float) -> np.ndarray:
    """Return the mean correlation of each lead's beats with their average.

    Parameters
    ----------
    means
        (n_samples, 12) millivolts.
    peaks
        Samples of the QRS complexes, see ``find_r_peaks``.
    rate_hz
        Rate of both.

    Returns
    -------
    ndarray
        (12,), 0 to 1; NaN with fewer than two whole beats.
    """
    n_side = round(_BEAT_SECONDS * rate_hz)
    peaks = peaks[(peaks >= n_side) & (peaks < len(means) - n_side)]
    if len(peaks) < 2:
        return np.full(means.shape[1], np.nan)
    beats = means[peaks[:, None] + np.arange(-n_side, n_side)]  # (beats, samples, leads)
    beats = beats - beats.mean(axis=1, keepdims=True)
    average = beats.mean(axis=0)
    norm = np.sqrt((beats**2).sum(axis=1) * (average**2).sum(axis=0))
    product = (beats * average).sum(axis=1)
    correlation = np.divide(product, norm, out=np.zeros_like(product), where=norm > 1e-12)
    return np.maximum(correlation.mean(axis=0), 0.0)
