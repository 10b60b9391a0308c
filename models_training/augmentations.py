"""Changes of a training ECG that leave its diagnosis as it is; whole batches at once.

All functions take and return ECGs of shape (batch, samples, 12) in millivolts (lead order I II III
aVR aVL aVF V1 to V6) and draw from the generator they are given: one state, one result. An ECG is
never changed in place. Validation and test ECGs are not changed.

Amplitude, shift, crop and cutout treat all leads alike, and noise is drawn at the nine electrodes
and turned into leads as an electrocardiograph does: III = II - I and aVR + aVL + aVF = 0 stay true.
Lead dropout alone breaks them on purpose: it is a regulariser (the network may not rest on one
lead), not a picture of a lost electrode, which would change several leads at once.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np

N_LEADS = 12
MAINS_HZ = (50.0, 60.0)
_WANDER_HZ = (0.15, 0.7)  # breathing and slow movement; slower drift falls to any high-pass
_N_WANDER = 3  # sinusoids a record
_ELECTRODES = ("RA", "LA", "LL", "V1", "V2", "V3", "V4", "V5", "V6")


def _lead_matrix() -> np.ndarray:
    """Return the leads as sums of electrode potentials, shape (9 electrodes, 12 leads)."""
    right, left, foot, *chest = np.eye(len(_ELECTRODES))
    limbs = [left - right, foot - right, foot - left]
    augmented = [right - (left + foot) / 2, left - (right + foot) / 2, foot - (right + left) / 2]
    terminal = (right + left + foot) / 3
    return np.stack([*limbs, *augmented, *(one - terminal for one in chest)], axis=1)


LEADS_OF_ELECTRODES = _lead_matrix()


@dataclass(frozen=True)
class AugmentationSettings:
    """How strongly training ECGs are changed; 0 switches a change off, and all are off by default.

    Parameters
    ----------
    probability : float
        Share of the records a change is made to, drawn anew for every change.
    lead_dropout : float
        Probability that a lead is set to 0 mV; one lead is always kept.
    shift_seconds : float
        Largest shift in time, to both sides; the gap is filled with the value at the edge.
    amplitude_sd : float
        SD of the logarithm of one factor a record, whose mean is 1.
    wander_mv : float
        Largest amplitude of baseline wander at an electrode: sinusoids of 0.15 to 0.7 Hz.
    mains_mv : float
        Largest amplitude of mains hum at an electrode, 50 or 60 Hz with a slow drift in frequency.
    cutout_seconds : float
        Longest stretch of all leads that is set to 0 mV.
    is_relative : bool
        Whether the two amplitudes are multiples of the record's SD instead of millivolts, for
        ECGs that were scaled before.
    mixup_alpha : float
        Of the Beta distribution of :func:`mixup_shares`; used by the caller.
    """

    probability: float = 0.5
    lead_dropout: float = 0.0
    shift_seconds: float = 0.0
    amplitude_sd: float = 0.0
    wander_mv: float = 0.0
    mains_mv: float = 0.0
    cutout_seconds: float = 0.0
    is_relative: bool = False
    mixup_alpha: float = 0.0

    def __post_init__(self) -> None:
        """Refuse what no ECG can be changed by."""
        for item in fields(self):
            value = getattr(self, item.name)
            if item.name in ("probability", "lead_dropout") and not 0 <= value <= 1:
                raise ValueError(f"{item.name} must be between 0 and 1, got {value}.")
            if value < 0:
                raise ValueError(f"{item.name} must be at least 0, got {value}. 0 is off.")

    @property
    def is_off(self) -> bool:
        """Whether :func:`augment` returns what it is given."""
        names = ("lead_dropout", "shift_seconds", "amplitude_sd", "wander_mv", "mains_mv")
        return not any(getattr(self, name) for name in (*names, "cutout_seconds"))


def settings_for(
    strength: float, *, rate_hz: float, mixup_alpha: float = 0.0
) -> AugmentationSettings:
    """Return settings that grow with one number: 0 is off, 1 usual, 2 strong.

    Mains hum is left out where the sampling rate cannot hold it (120 Hz and less): the low-pass
    before it has taken it away. At strength 1: leads dropped with 10 %, shifts up to 1 s, factor
    with SD 0.2, wander up to 0.1 mV, hum up to 0.02 mV, cutout up to 1 s.

    Examples
    --------
    >>> settings_for(1.0, rate_hz=100).mains_mv, settings_for(1.0, rate_hz=500).mains_mv
    (0.0, 0.02)
    """
    holds_mains = 2 * max(MAINS_HZ) < rate_hz
    return AugmentationSettings(
        lead_dropout=min(0.1 * strength, 1.0),
        shift_seconds=1.0 * strength,
        amplitude_sd=0.2 * strength,
        wander_mv=0.1 * strength,
        mains_mv=0.02 * strength if holds_mains else 0.0,
        cutout_seconds=1.0 * strength,
        mixup_alpha=mixup_alpha,
    )


def augment(
    ecg: Any, *, rate_hz: float, settings: AugmentationSettings, rng: np.random.Generator
) -> np.ndarray:
    """Return a batch of training ECGs, changed at random.

    Parameters
    ----------
    ecg : array of shape (batch, samples, 12)
        Millivolts.
    rate_hz : float
        Sampling rate.
    settings : AugmentationSettings
        What is changed, and how strongly.
    rng : numpy.random.Generator
        The only source of chance.

    Returns
    -------
    ndarray of float32, shape (batch, samples, 12)

    Raises
    ------
    ValueError
        If the shape is another, or the sampling rate cannot hold the mains hum that is asked for.
    """
    ecg = np.asarray(ecg, dtype="float32")
    if ecg.ndim != 3 or ecg.shape[2] != N_LEADS:
        raise ValueError(
            f"ecg must be of shape (batch, samples, {N_LEADS}), got {ecg.shape}. Pass a batch."
        )
    changed = shifted(ecg, rate_hz=rate_hz, settings=settings, rng=rng)
    if settings.amplitude_sd:
        sd = settings.amplitude_sd
        factor = np.exp(sd * rng.standard_normal(len(ecg)) - sd**2 / 2)
        changed = changed * _where(factor, 1.0, len(ecg), settings, rng).astype("float32")
    if settings.wander_mv or settings.mains_mv:
        changed = changed + noise(ecg, rate_hz=rate_hz, settings=settings, rng=rng)
    if settings.cutout_seconds:
        changed = changed * _outside_cutout(ecg.shape, rate_hz, settings, rng)
    if settings.lead_dropout:
        changed = changed * _kept_leads(len(ecg), settings, rng)[:, None, :]
    return changed


def _where(
    value: np.ndarray, otherwise: float, n: int, settings: AugmentationSettings, rng: Any
) -> np.ndarray:
    """Return the value for records drawn with `probability`, shape (n, 1, 1)."""
    is_drawn = rng.random(n) < settings.probability
    return np.where(is_drawn, value, otherwise)[:, None, None]


def shifted(
    ecg: np.ndarray, *, rate_hz: float, settings: AugmentationSettings, rng: np.random.Generator
) -> np.ndarray:
    """Return the ECGs shifted in time by up to `shift_seconds`, the gap at the edge held level."""
    if not settings.shift_seconds:
        return ecg
    n, n_samples, _ = ecg.shape
    most = min(round(settings.shift_seconds * rate_hz), n_samples - 1)
    by = _where(rng.integers(-most, most + 1, n), 0, n, settings, rng)[:, :, 0]
    position = np.clip(np.arange(n_samples) + by, 0, n_samples - 1)
    return np.take_along_axis(ecg, position[:, :, None], axis=1)


def noise(
    ecg: np.ndarray, *, rate_hz: float, settings: AugmentationSettings, rng: np.random.Generator
) -> np.ndarray:
    """Return baseline wander and mains hum for a batch, float32 of its shape.

    Every record has its own frequencies; every electrode its own amplitude and sign.
    """
    n, n_samples, _ = ecg.shape
    found = np.zeros(ecg.shape, "float32")
    seconds = np.arange(n_samples) / rate_hz
    if settings.wander_mv:
        hertz = rng.uniform(*_WANDER_HZ, (n, _N_WANDER))
        waves = _waves(hertz, seconds, rng)
        found += _at_leads(waves, settings.wander_mv / _N_WANDER, ecg, settings, rng)
    if settings.mains_mv:
        if 2 * max(MAINS_HZ) >= rate_hz:
            raise ValueError(
                f"rate_hz must be above {2 * max(MAINS_HZ):g} for mains hum, got {rate_hz:g}. "
                "Set mains_mv to 0: at this rate the low-pass has taken it away."
            )
        hertz = rng.choice(MAINS_HZ, (n, 1)) + rng.normal(0, 0.05, (n, 1))
        found += _at_leads(_waves(hertz, seconds, rng), settings.mains_mv, ecg, settings, rng)
    return found


def _waves(hertz: np.ndarray, seconds: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return sinusoids with random phases, shape (batch, samples, n_frequencies)."""
    phase = rng.uniform(0, 2 * np.pi, hertz.shape).astype("float32")[:, None, :]
    angular = (2 * np.pi * hertz).astype("float32")[:, None, :]
    return np.sin(seconds.astype("float32")[:, None] * angular + phase)


def _at_leads(
    waves: np.ndarray, most_mv: float, ecg: np.ndarray, settings: AugmentationSettings, rng: Any
) -> np.ndarray:
    """Give each electrode its share of the waves; return the leads, (batch, samples, 12)."""
    n, n_waves = len(waves), waves.shape[2]
    unit = ecg.std(axis=(1, 2)) if settings.is_relative else 1.0
    size = _where(most_mv * unit * rng.random(n), 0.0, n, settings, rng)
    at_electrodes = size * rng.uniform(-1, 1, (n, n_waves, len(_ELECTRODES)))
    return waves @ (at_electrodes @ LEADS_OF_ELECTRODES).astype("float32")


def _outside_cutout(
    shape: tuple[int, ...], rate_hz: float, settings: AugmentationSettings, rng: Any
) -> np.ndarray:
    """Return 0 inside one random stretch of each drawn record, else 1; (batch, samples, 1)."""
    n, n_samples, _ = shape
    most = min(settings.cutout_seconds * rate_hz, n_samples)
    length = _where(rng.uniform(0, most, n), 0.0, n, settings, rng)[:, :, 0]
    first = rng.random((n, 1)) * (n_samples - length)
    position = np.arange(n_samples)[None, :]
    is_out = (position >= first) & (position < first + length)
    return np.where(is_out, 0.0, 1.0)[:, :, None].astype("float32")


def _kept_leads(n: int, settings: AugmentationSettings, rng: np.random.Generator) -> np.ndarray:
    """Return 1 for each lead that stays and 0 for a dropped one, float32 (batch, 12)."""
    is_kept = rng.random((n, N_LEADS)) >= settings.lead_dropout
    is_kept |= rng.random((n, 1)) >= settings.probability
    is_kept[np.arange(n), rng.integers(0, N_LEADS, n)] = True
    return is_kept.astype("float32")
