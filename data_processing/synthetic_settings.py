"""Settings of the SYNTHETIC cohort and the label that everything made of it carries."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np

SYNTHETIC_LABEL = "SYNTHETIC: simulated patients and ECGs, no real person, not for clinical use"

_RANGES: dict[str, tuple[float, float]] = {
    "n_patients": (1, 2_000_000),
    "effect_size": (0.0, 5.0),
    "clinical_effect_size": (0.0, 5.0),
    "horizon_days": (30, 2920),
    "rate_hz": (100, 1000),
    "duration_seconds": (2.0, 60.0),
    "seed": (0, 2**32 - 1),
}
_INTEGERS = ("n_patients", "horizon_days", "rate_hz", "seed")


@dataclass(frozen=True)
class SyntheticSettings:
    """What may be changed about the synthetic cohort.

    Parameters
    ----------
    n_patients : int
        Number of patients; the published cohort has 314.
    effect_size : float
        Multiplies the log-hazard effect of the ECG signature. 1 gives an oracle AUROC of about
        0.75 for the ECG; 0 leaves every ECG as it is but without any bearing on the outcome.
    clinical_effect_size : float
        Multiplies the log-hazard effect of the clinical variables; 1 gives about 0.68.
    horizon_days : int
        Horizon of the true risk and of the oracle AUROC, days after the index date.
    rate_hz : int
        Sampling rate of the ECGs, Hz.
    duration_seconds : float
        Length of an ECG, seconds.
    seed : int
        Everything is a function of the settings and this number.

    Raises
    ------
    TypeError
        If a value is not a number of the right kind.
    ValueError
        If a value lies outside its range.

    Examples
    --------
    >>> SyntheticSettings(effect_size=0.0).effect_size
    0.0
    """

    n_patients: int = 314
    effect_size: float = 1.0
    clinical_effect_size: float = 1.0
    horizon_days: int = 1095
    rate_hz: int = 500
    duration_seconds: float = 10.0
    seed: int = 0

    def __post_init__(self) -> None:
        for field in fields(self):
            _check_number(field.name, getattr(self, field.name))

    @property
    def n_samples(self) -> int:
        """Samples in one ECG."""
        return round(self.rate_hz * self.duration_seconds)

    def to_dict(self) -> dict[str, Any]:
        """Return the settings as plain values, as ``truth.json`` stores them."""
        return asdict(self)


def _check_number(name: str, value: object) -> None:
    """Refuse what is not a finite number of the right kind inside the declared range."""
    low, high = _RANGES[name]
    is_integer = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
    if name in _INTEGERS and not is_integer:
        raise TypeError(f"{name} must be a whole number, got {value!r}. Write it without a point.")
    if not is_integer and not isinstance(value, (float, np.floating)):
        raise TypeError(f"{name} must be a number, got {value!r}. Give it as int or float.")
    if not (math.isfinite(value) and low <= value <= high):  # type: ignore[arg-type]
        raise ValueError(
            f"{name} must be between {low} and {high}, got {value!r}. Choose a value in that range."
        )
