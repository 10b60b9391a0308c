"""Beat times of the SYNTHETIC ECGs: sinus rhythm with its variability, AF, premature beats."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr

from data_processing.synthetic_traits import Draws

_SHORTEST_RR_SECONDS = 0.33
_QRS_ONSET_SECONDS = 0.13  # a beat owns the samples from here before its R peak


@dataclass(frozen=True)
class Rhythm:
    """Beats of a batch, all arrays (n, n_beats), surplus beats lie after the record's end."""

    r_peak_seconds: np.ndarray
    is_ectopic: np.ndarray
    is_recorded: np.ndarray
    t_stretch: np.ndarray
    size: np.ndarray

    def beat_indices(self, seconds: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return, per record and sample, the beat it belongs to and the next R peak's beat."""
        n_beats = self.r_peak_seconds.shape[1]
        current = np.stack(
            [
                np.searchsorted(peaks - _QRS_ONSET_SECONDS, seconds, side="right") - 1
                for peaks in self.r_peak_seconds
            ]
        )
        following = np.stack([np.searchsorted(peaks, seconds) for peaks in self.r_peak_seconds])
        return np.clip(current, 0, n_beats - 1), np.clip(following, 0, n_beats - 1)

    def relative_time(self, seconds: np.ndarray, beats: np.ndarray) -> np.ndarray:
        """Return the time after the R peak of the given beats (n, n_samples), float32 seconds."""
        peaks = np.take_along_axis(self.r_peak_seconds, beats, axis=1)
        return (seconds[None, :] - peaks).astype(np.float32)


def draw_rhythm(
    record: Draws,
    generators: list[np.random.Generator],
    *,
    duration_seconds: float,
) -> Rhythm:
    """Draw R peaks: breathing and random variability, irregular in AF, some beats premature.

    A premature beat comes after 0.55 to 0.8 of the cycle and is followed by a full compensatory
    pause: the sinus node keeps its time. Two never follow each other.

    Parameters
    ----------
    record : dict of ndarray (n,)
        Values of ``draw_hearts``.
    generators : list of Generator
        One a record.
    duration_seconds : float
        Length of the record; beats start two cycles before it.

    Returns
    -------
    Rhythm
    """
    mean_rr = record["rr_seconds"][:, None]
    # The number of draws must not depend on the other records of the batch.
    n_beats = int(duration_seconds / _SHORTEST_RR_SECONDS) + 8
    draws = np.stack([generator.standard_normal((3, n_beats)) for generator in generators])
    irregular = np.where(record["is_fibrillating"], 0.19, 0.012)[:, None]
    breathing = 2 * np.pi * breathing_rate_hz(record)[:, None] * np.arange(n_beats) * mean_rr
    breathing = np.sin(breathing + 2 * np.pi * ndtr(record["breathing_phase"])[:, None])
    arrhythmia = 0.018 * np.exp(0.5 * record["sinus_arrhythmia"])[:, None]
    arrhythmia = arrhythmia * ~record["is_fibrillating"][:, None]
    rr = mean_rr * (1.0 + irregular * draws[:, 0] + arrhythmia * breathing)
    rr = np.maximum(rr, np.maximum(_SHORTEST_RR_SECONDS, 0.55 * mean_rr))
    offset = (ndtr(record["start"])[:, None] + 2.0) * mean_rr
    peaks = np.cumsum(rr, axis=1) - offset
    is_ectopic = _single(ndtr(draws[:, 1]) < record["ectopic_probability"][:, None])
    coupling = 0.62 + 0.035 * record["coupling"][:, None] + 0.02 * draws[:, 2]
    # never on the T wave, which ends about 0.4 s after the R peak whatever the rate
    early = np.maximum(np.clip(coupling, 0.55, 0.75), np.minimum(0.43 / mean_rr, 0.8))
    previous = np.concatenate([peaks[:, :1] - rr[:, :1], peaks[:, :-1]], axis=1)
    peaks = np.where(is_ectopic, previous + early * (peaks - previous), peaks)
    cycle = np.diff(peaks, axis=1, prepend=peaks[:, :1] - mean_rr)
    size = (1.0 + 0.03 * breathing + 0.012 * draws[:, 2]).astype(np.float32)
    return Rhythm(
        r_peak_seconds=peaks,
        is_ectopic=is_ectopic,
        is_recorded=(peaks >= 0) & (peaks < duration_seconds),
        t_stretch=np.clip((cycle / mean_rr) ** 0.25, 0.85, 1.12).astype(np.float32),
        size=size,
    )


def breathing_rate_hz(record: Draws) -> np.ndarray:
    """Return breaths a second, median 0.25."""
    return 0.25 * np.exp(0.2 * record["breathing_rate"])


def _single(flags: np.ndarray) -> np.ndarray:
    """Drop each flag whose predecessor stands, and the first, which has no beat before it."""
    flags = flags.copy()
    flags[:, 0] = False
    for beat in range(1, flags.shape[1]):
        flags[:, beat] &= ~flags[:, beat - 1]
    return flags
