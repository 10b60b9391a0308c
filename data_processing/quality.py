"""The quality of one ECG, lead by lead, as recorded; findings flag a record, they never remove it.

The index is that of Orphanidou et al. 2015 (doi 10.1109/JBHI.2014.2338351): the mean correlation of
a lead's beats with their average. Noise, loose electrodes and missed beats lower it; so do many
premature beats. They call a lead unusable below 0.66.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, fields

import numpy as np
from scipy.fft import dct, idct, next_fast_len, rfft
from scipy.signal import butter, find_peaks, sosfiltfilt

from data_processing.heart_beats import (
    beat_correlation,
    block_means,
    find_r_peaks,
    heart_rate,
)
from data_processing.leads import LEADS

_PLATEAU_SAMPLES = 4
_MAINS_HZ = (50.0, 60.0)
_NOISE_FROM_HZ = 20.0
_WANDER_HZ = 0.5
_LEAST_PACED_RATE_HZ = 250.0


@dataclass(frozen=True)
class QualityThresholds:
    """Beyond which a lead is flagged.

    Parameters
    ----------
    flat_mv
        Range below which nothing was recorded.
    stuck_seconds
        The same value for so long: a cable off, or a gap filled with a constant.
    saturated_share
        Of the samples at the very highest or lowest value, in plateaus.
    wander_mv
        Range below 0.5 Hz; beyond it the ST segment cannot be judged.
    noise_mv
        Root mean square from 20 to 50 Hz between QRS complexes: muscle, or a bad contact.
    mains_mv
        Amplitude at 50 or 60 Hz.
    beat_correlation
        Least mean correlation of the beats with their average, 0 to 1.
    spike_mv
        Least height of a pacemaker's spike.

    Raises
    ------
    ValueError
        If one is negative.
    """

    flat_mv: float = 0.02
    stuck_seconds: float = 1.0
    saturated_share: float = 0.005
    wander_mv: float = 1.0
    noise_mv: float = 0.02
    mains_mv: float = 0.05
    beat_correlation: float = 0.66
    spike_mv: float = 0.3

    def __post_init__(self) -> None:
        for item in fields(self):
            value = getattr(self, item.name)
            if not value >= 0:
                raise ValueError(f"{item.name} must be 0 or more, got {value}. Correct it.")


@dataclass(frozen=True)
class Quality:
    """What was found in one ECG.

    Parameters
    ----------
    findings
        Reasons such as ``flat: V2, V3``; empty if nothing was found.
    index
        The mean over leads of the beats' correlation with their average, 0 to 1; a flat lead
        counts as 0.
    by_lead
        Measures by name, each (12,): ``range_mv, stuck_seconds, saturated_share, wander_mv,
        noise_mv, mains_mv, beat_correlation`` (NaN with fewer than two beats).
    heart_rate_bpm
        60 over the median interval between beats; NaN with fewer than three.
    n_spikes
        Narrow spikes as a pacemaker makes; -1: cannot be seen at this rate.
    """

    findings: tuple[str, ...]
    index: float
    by_lead: dict[str, np.ndarray]
    heart_rate_bpm: float
    n_spikes: int


def assess_quality(
    signal_mv: np.ndarray, rate_hz: float, thresholds: QualityThresholds | None = None
) -> Quality:
    """Measure the quality of an ECG as recorded, before any filter.

    Parameters
    ----------
    signal_mv
        (n_samples, 12) millivolts.
    rate_hz
        Sampling rate; the mains are seen from about 102 or 122 Hz on, a pacemaker's spike from
        250 Hz.
    thresholds
        Beyond which a lead is flagged.

    Returns
    -------
    Quality

    Examples
    --------
    >>> time = np.arange(1000) / 100
    >>> signal = np.tile(np.sin(2 * np.pi * time)[:, None], 12)
    >>> signal[:, 7] = 0.0
    >>> assess_quality(signal, 100).findings
    ('flat: V2',)
    """
    limits = thresholds or QualityThresholds()
    signal = np.ascontiguousarray(signal_mv, dtype=np.float32)
    means, mean_rate_hz = block_means(signal, rate_hz)
    peaks = find_r_peaks(means, mean_rate_hz)
    measures = {
        "range_mv": np.ptp(signal, axis=0),
        "stuck_seconds": _longest_stuck(signal, rate_hz, limits.stuck_seconds),
        "saturated_share": _saturated_share(signal, limits.saturated_share),
        "wander_mv": _wander(means, mean_rate_hz),
        "noise_mv": _noise(means, mean_rate_hz),
        "mains_mv": _mains(signal, rate_hz),
        "beat_correlation": beat_correlation(means, peaks, mean_rate_hz),
    }
    n_spikes = _count_spikes(signal, rate_hz, limits.spike_mv)
    correlation = measures["beat_correlation"]
    is_known = np.isfinite(correlation)
    return Quality(
        findings=_findings(measures, n_spikes, limits),
        index=float(np.mean(correlation)) if is_known.all() else 0.0,
        by_lead={name: values.astype(np.float32) for name, values in measures.items()},
        heart_rate_bpm=heart_rate(peaks, mean_rate_hz),
        n_spikes=n_spikes,
    )


def _findings(
    measures: dict[str, np.ndarray], n_spikes: int, limits: QualityThresholds
) -> tuple[str, ...]:
    is_flat = measures["range_mv"] < limits.flat_mv
    correlation = np.nan_to_num(measures["beat_correlation"])
    hits = {
        "flat": is_flat,
        f"stuck for over {limits.stuck_seconds:g} s": (
            measures["stuck_seconds"] > limits.stuck_seconds
        )
        & ~is_flat,
        "saturated": (measures["saturated_share"] > limits.saturated_share) & ~is_flat,
        "baseline wander": measures["wander_mv"] > limits.wander_mv,
        "mains hum": measures["mains_mv"] > limits.mains_mv,
        "noise": measures["noise_mv"] > limits.noise_mv,
    }
    is_odd = (correlation < limits.beat_correlation) & ~is_flat
    if is_odd.all():
        hits["beats unlike one another, or none found"] = is_odd
    else:
        hits["beats cannot be recognised"] = is_odd
    found = [f"{reason}: {_names(are_hit)}" for reason, are_hit in hits.items() if are_hit.any()]
    return (*found, *(["pacemaker spikes"] if n_spikes > 0 else []))


def _names(are_hit: np.ndarray) -> str:
    if are_hit.all():
        return "all leads"
    return ", ".join(lead for lead, is_hit in zip(LEADS, are_hit, strict=True) if is_hit)


def _longest_stuck(signal: np.ndarray, rate_hz: float, least_seconds: float) -> np.ndarray:
    """Return the longest run of equal samples of each lead in seconds, where it may matter."""
    longest = np.zeros(signal.shape[1])
    n_block = max(2, int(least_seconds * rate_hz / 2))  # such a run fills one of these blocks
    n_whole = len(signal) // n_block * n_block
    blocks = signal[:n_whole].reshape(-1, n_block, signal.shape[1])
    is_constant = (blocks == blocks[:, :1]).all(axis=1).any(axis=0) if n_whole else longest == 0
    for column in np.flatnonzero(is_constant):
        changes = np.flatnonzero(np.diff(signal[:, column]))
        runs = np.diff(np.concatenate([[-1], changes, [len(signal) - 1]]))
        longest[column] = runs.max() / rate_hz
    return longest


def _saturated_share(signal: np.ndarray, least_share: float) -> np.ndarray:
    """Return the share of samples at an extreme that is held in plateaus, as an amplifier does."""
    shares = np.zeros(signal.shape[1])
    for extreme in (signal.max(axis=0), signal.min(axis=0)):
        is_extreme = signal == extreme
        share = is_extreme.mean(axis=0)
        for column in np.flatnonzero(share > least_share):
            held = np.convolve(is_extreme[:, column], np.ones(_PLATEAU_SAMPLES), "valid")
            if held.max() >= _PLATEAU_SAMPLES:
                shares[column] = max(shares[column], share[column])
    return shares


@functools.cache
def _wander_filter(rate_hz: float) -> np.ndarray:
    return np.asarray(butter(2, _WANDER_HZ, "lowpass", fs=rate_hz, output="sos"))


def _wander(means: np.ndarray, rate_hz: float) -> np.ndarray:
    """Return the range of the baseline."""
    n_mean = max(1, round(rate_hz / 25.0))
    n_whole = len(means) // n_mean * n_mean
    slow = means[:n_whole].reshape(-1, n_mean, means.shape[1]).mean(axis=1)
    if len(slow) < 4:
        return np.zeros(means.shape[1])
    sos = _wander_filter(round(rate_hz / n_mean, 6))
    return np.ptp(sosfiltfilt(sos, slow, axis=0, padlen=len(slow) - 1), axis=0)


def _mains(signal: np.ndarray, rate_hz: float) -> np.ndarray:
    """Return the amplitude at 50 or 60 Hz, the larger one."""
    n_leads, n = signal.shape[1], len(signal)
    mains = np.zeros(n_leads)
    if n < rate_hz:
        return mains
    n_fft = int(next_fast_len(n, real=True) or n)
    power = np.abs(np.asarray(rfft(signal - signal.mean(axis=0), n_fft, axis=0))) ** 2
    frequency = np.arange(len(power)) * (rate_hz / n_fft)
    for hum_hz in _MAINS_HZ:
        distance = np.abs(frequency - hum_hz)
        is_peak, is_beside = distance < 0.75, (distance >= 1.5) & (distance < 4.0)
        if hum_hz + 0.75 >= rate_hz / 2:
            continue
        # QRS complexes and noise reach here too: what lies beside the peak is not the mains.
        floor = np.median(power[is_beside], axis=0) / np.log(2)
        surplus = np.maximum(power[is_peak].sum(axis=0) - floor * is_peak.sum(), 0.0)
        mains = np.maximum(mains, 2.0 / np.sqrt(float(n) * n_fft) * np.sqrt(surplus))
    return mains


def _noise(means: np.ndarray, rate_hz: float) -> np.ndarray:
    """Return the root mean square from 20 Hz to half of about 100 Hz, between the QRS complexes.

    The gain is smooth (Butterworth, second order, both ways): a sharp edge would let each QRS
    complex ring over the baseline. The cosine transform takes the ends as mirrored.
    """
    if len(means) < 2:
        return np.zeros(means.shape[1])
    ratio = (np.arange(len(means)) * rate_hz / (2 * len(means)) / _NOISE_FROM_HZ) ** 4
    gain = (ratio / (1 + ratio))[:, None]
    fast = np.asarray(
        idct(np.asarray(dct(means, axis=0, norm="ortho")) * gain, axis=0, norm="ortho")
    )
    # The median ignores QRS complexes, which reach above 20 Hz too; 1.4826 makes it an SD.
    return 1.4826 * np.median(np.abs(fast), axis=0)


def _count_spikes(signal: np.ndarray, rate_hz: float, least_mv: float) -> int:
    """Return how many narrow spikes several leads show together; -1 at too low a rate.

    A pacemaker's spike goes out and back within about 6 ms from a quiet baseline; the peak of a QRS
    complex has slopes on either side.
    """
    if rate_hz < _LEAST_PACED_RATE_HZ:
        return -1
    reach, quiet = max(1, round(0.006 * rate_hz)), max(4, round(0.024 * rate_hz))
    if len(signal) <= 2 * (reach + quiet):
        return 0
    middle = signal[reach:-reach]
    before, after = middle - signal[: -2 * reach], middle - signal[2 * reach :]
    height = np.where(before * after > 0, np.minimum(np.abs(before), np.abs(after)), 0.0)
    n_leads = (height > least_mv).sum(axis=1)
    peaks, _ = find_peaks(n_leads, height=3, distance=max(1, round(0.1 * rate_hz)))
    n_spikes = 0
    for peak in peaks[peaks >= quiet]:
        # the sample `peak` of `height` is `peak + reach` of `signal`: what ends before the spike
        is_quiet = np.ptp(signal[peak - quiet : peak + 1], axis=0) < 0.3 * height[peak]
        n_spikes += int((is_quiet & (height[peak] > least_mv)).sum() >= 3)
    return n_spikes
