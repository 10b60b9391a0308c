"""The signal chain: from an ECG at any rate to the network's input.

It is stored as plain numbers (``dataset.json``, ``card.json``), so that a prediction replays it
exactly.
"""

from __future__ import annotations

import functools
import math
from dataclasses import asdict, dataclass, fields
from fractions import Fraction
from typing import Any

import numpy as np
from scipy.signal import butter, iirnotch, resample_poly, sosfiltfilt, tf2sos

from data_processing.errors import ECGError
from data_processing.leads import LEADS

_PAD_SECONDS = 3.0  # mirrored at both ends before filtering, against transients; at least
_PAD_PERIODS = 1.5  # of the high-pass corner
_NOTCH_QUALITY = 30.0  # 50 Hz: 1.7 Hz wide
# High-pass and low-pass corners in Hz. Diagnostic: AHA/ACC/HRS 2007, doi
# 10.1161/CIRCULATIONAHA.106.180200.
FILTERS = {"off": (0.0, 0.0), "standard": (0.5, 40.0), "diagnostic": (0.05, 150.0)}
_SOURCE_RATES_HZ = (50.0, 10_000.0)


def check_rate(rate_hz: float) -> None:
    """Refuse a sampling rate no 12-lead ECG has."""
    low, high = _SOURCE_RATES_HZ
    if isinstance(rate_hz, bool) or not isinstance(rate_hz, int | float | np.number):
        raise ECGError(f"rate_hz must be a number, got {type(rate_hz).__name__}. Convert it.")
    if not (math.isfinite(rate_hz) and low <= rate_hz <= high):
        raise ECGError(
            f"rate_hz must be between {low:g} and {high:g} Hz, got {rate_hz:g}. "
            "Correct the sampling rate in the file."
        )


@functools.cache  # a third of the time of an ECG, and a cohort has few rates
def _butterworth(order: int, cut_hz: float, kind: str, rate_hz: float) -> np.ndarray:
    return np.asarray(butter(order, cut_hz, kind, fs=rate_hz, output="sos"))


@functools.cache
def _notch(notch_hz: float, rate_hz: float) -> np.ndarray:
    coefficients: Any = iirnotch(notch_hz, _NOTCH_QUALITY, rate_hz)
    return np.asarray(tf2sos(*coefficients))


@dataclass(frozen=True)
class SignalChain:
    """From an ECG at any rate to the network's input: filter, resample, cut to length.

    1. Notch against the mains, Butterworth high-pass and low-pass, each of ``filter_order``,
       forward and backward (no delay; the slope doubles), at the source rate.
    2. Polyphase resampling with its own anti-alias filter (``scipy.signal.resample_poly``), which
       halves a tone at half of the new rate: without a low-pass, what lies within some 5 % beyond
       folds back (of 52 Hz, resampled to 100 Hz, 30 %).
    3. The central ``duration_seconds``. A shorter ECG is refused, or centred between zeros (the
       baseline after the high-pass) if ``pad_short``; see ``valid_samples``.

    Parameters
    ----------
    rate_hz
        Rate of the prepared ECG.
    duration_seconds
        Its length.
    low_cut_hz
        High-pass corner (-6 dB after both passes), 0 = off.
    high_cut_hz
        Low-pass corner, 0 = off; below half of both rates.
    notch_hz
        50 or 60 against the mains, 0 = off; below half of the source rate.
    filter_order
        Order of one pass of each filter.
    pad_short
        Whether an ECG that is too short is padded.

    Raises
    ------
    ValueError
        If the numbers contradict one another.
    """

    rate_hz: int = 100
    duration_seconds: float = 10.0
    low_cut_hz: float = 0.5
    high_cut_hz: float = 40.0
    notch_hz: float = 0.0
    filter_order: int = 2
    pad_short: bool = False

    def __post_init__(self) -> None:
        rules = (
            ("rate_hz", 0 < self.rate_hz < 1e5 and self.rate_hz % 1 == 0, "a whole number"),
            ("duration_seconds", 0 < self.duration_seconds < 1e6, "above 0"),
            ("pad_short", isinstance(self.pad_short, bool), "True or False"),
            ("low_cut_hz", self.low_cut_hz >= 0, "0 (off) or more"),
            ("filter_order", 1 <= self.filter_order <= 8, "1 to 8"),
            (
                "high_cut_hz",
                self.high_cut_hz == 0 or self.low_cut_hz < self.high_cut_hz < self.rate_hz / 2,
                f"0 (off), or above low_cut_hz and below half of rate_hz ({self.rate_hz / 2:g})",
            ),
            ("notch_hz", self.notch_hz in (0, 50, 60), "0 (off), 50 or 60"),
        )
        for name, is_met, rule in rules:
            if not is_met:
                raise ValueError(
                    f"{name} must be {rule}, got {getattr(self, name)}. Change the signal chain."
                )

    @property
    def n_samples(self) -> int:
        """Samples of a prepared ECG."""
        return round(self.rate_hz * self.duration_seconds)

    def apply(self, signal_mv: np.ndarray, rate_hz: float) -> np.ndarray:
        """Prepare one ECG.

        Parameters
        ----------
        signal_mv
            (n, 12) millivolts at ``rate_hz``.
        rate_hz
            Source rate; the ratio to the chain's rate must be a fraction of whole numbers up to
            1000 (100, 240, 250, 257, 400, 500, 512, 1000 Hz all are).

        Returns
        -------
        ndarray
            (n_samples, 12) float32 millivolts.

        Raises
        ------
        ECGError
            If the ECG is too short, not finite, or sampled too slowly for the filter.
        """
        signal = np.asarray(signal_mv, dtype=np.float64)
        if signal.ndim != 2 or signal.shape[1] != len(LEADS) or not np.isfinite(signal).all():
            raise ECGError(
                f"signal must be finite (samples, 12), got shape {signal.shape}"
                f"{'' if np.isfinite(signal).all() else ' with missing values'}. "
                "Convert it with to_contract first."
            )
        check_rate(rate_hz)
        n_expected = math.ceil(round(len(signal) * self.rate_hz / rate_hz, 6))
        if n_expected < self.n_samples and not self.pad_short:
            raise ECGError(
                f"ECG must be at least {self.duration_seconds:g} s long, got "
                f"{len(signal) / rate_hz:.2f} s. Leave it out, or allow padding (pad_short)."
            )
        resampled = self._resample(self._filter(signal, rate_hz), rate_hz)
        return np.ascontiguousarray(self._fit_length(resampled), dtype=np.float32)

    def valid_samples(self, n_samples: int, rate_hz: float) -> tuple[int, int]:
        """Return where the prepared ECG holds signal and not padding.

        Parameters
        ----------
        n_samples, rate_hz
            Of the ECG before the chain.

        Returns
        -------
        start, stop
            First sample of the signal, and the first after it; 0 and ``n_samples`` of the chain
            where nothing was padded.
        """
        n_kept = min(math.ceil(round(n_samples * self.rate_hz / rate_hz, 6)), self.n_samples)
        start = (self.n_samples - n_kept) // 2
        return start, start + n_kept

    def _filter(self, signal: np.ndarray, rate_hz: float) -> np.ndarray:
        if self.high_cut_hz >= rate_hz / 2:
            raise ECGError(
                f"rate_hz must be above twice high_cut_hz ({2 * self.high_cut_hz:g} Hz), got "
                f"{rate_hz:g} Hz. Lower high_cut_hz or leave this ECG out."
            )
        if self.notch_hz >= rate_hz / 2:
            raise ECGError(
                f"rate_hz must be above twice notch_hz ({2 * self.notch_hz:g} Hz), got "
                f"{rate_hz:g} Hz. Set notch_hz to 0 or leave this ECG out."
            )
        pad_seconds = max(_PAD_SECONDS, _PAD_PERIODS / self.low_cut_hz if self.low_cut_hz else 0.0)
        n_pad = min(len(signal) - 1, round(pad_seconds * rate_hz))
        for cut_hz, kind in (
            (self.notch_hz, "notch"),
            (self.low_cut_hz, "highpass"),
            (self.high_cut_hz, "lowpass"),
        ):
            if cut_hz:
                sos = (
                    _notch(cut_hz, rate_hz)
                    if kind == "notch"
                    else _butterworth(self.filter_order, cut_hz, kind, rate_hz)
                )
                # "even": the default, odd, makes a step of the baseline, and with it an error of
                # the size of the R wave, where a recording ends in a QRS complex
                signal = sosfiltfilt(sos, signal, axis=0, padtype="even", padlen=n_pad)
        return signal

    def _resample(self, signal: np.ndarray, rate_hz: float) -> np.ndarray:
        ratio = Fraction(self.rate_hz / rate_hz).limit_denominator(1000)
        if ratio.numerator > 1000 or abs(float(ratio) * rate_hz / self.rate_hz - 1) > 1e-6:
            raise ECGError(
                f"rate_hz must relate to {self.rate_hz} Hz as two whole numbers up to 1000, got "
                f"{rate_hz!r} Hz. State the exact sampling rate."
            )
        if ratio == 1:
            return signal
        # "line": zeros beyond the ends would bend the first and last samples towards zero
        return resample_poly(signal, ratio.numerator, ratio.denominator, axis=0, padtype="line")

    def _fit_length(self, signal: np.ndarray) -> np.ndarray:
        surplus = len(signal) - self.n_samples
        if surplus >= 0:
            start = surplus // 2
            return signal[start : start + self.n_samples]
        before = -surplus // 2  # as valid_samples says
        return np.pad(signal, ((before, -surplus - before), (0, 0)))

    def to_dict(self) -> dict[str, Any]:
        """Return the chain as plain values for ``dataset.json`` and ``card.json``."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> SignalChain:
        """Return the chain of ``to_dict``; an unknown key is an error, not ignored."""
        unknown = sorted(set(values) - {item.name for item in fields(cls)})
        if unknown:
            raise ValueError(
                f"signal chain must hold {', '.join(item.name for item in fields(cls))}, got "
                f"{', '.join(unknown)}. It was written by a newer version: update this one."
            )
        return cls(**values)
