"""Declared truth of the SYNTHETIC ECGs: which part of the recording carries the risk.

The table of :func:`planted_windows` is the answer key of the explanation tests. Every row is a
signature, the leads it was put into, its time window around the R peak, its share of the
variance of the log hazard that the ECG explains, and the sampling rate it needs.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from data_processing.leads import LEADS


@dataclass(frozen=True)
class Signature:
    """One planted sign: where it is, how much of the ECG effect it carries, what it needs.

    ``leads_mv`` is the pattern over the eight independent leads, 1 in the strongest. The other
    four limb leads follow from Einthoven and Goldberger and cannot be chosen. ``sigma_seconds``
    is the width of the narrowest Gaussian the sign is built of.
    """

    name: str
    label: str
    share: float
    leads: tuple[str, ...]
    start_seconds: float
    stop_seconds: float
    beats: str
    sigma_seconds: float
    leads_mv: tuple[float, ...]
    reason: str

    @property
    def bandwidth_hz(self) -> float:
        """Frequency where 1 % of the amplitude is left: three SD, 3 / (2 pi sigma)."""
        return 3.0 / (2.0 * math.pi * self.sigma_seconds)

    @property
    def minimum_rate_hz(self) -> int:
        """Smallest usual rate (100, 250, 500 Hz) of at least twice the bandwidth."""
        return next(rate for rate in (100, 250, 500) if rate >= 2.0 * self.bandwidth_hz)

    @property
    def visible_leads(self) -> tuple[str, ...]:
        """Every lead with at least 5 % of the sign, mirror images (Einthoven) included."""
        if self.leads == LEADS:
            return LEADS
        pattern = np.abs(LEADS_FROM_INDEPENDENT @ np.array(self.leads_mv))
        return tuple(lead for lead, size in zip(LEADS, pattern, strict=True) if size >= 0.05)


# Einthoven: III = II - I. Goldberger: aVR = -(I + II) / 2, aVL = I - II / 2, aVF = II - I / 2.
LEADS_FROM_INDEPENDENT = np.zeros((12, 8))
LEADS_FROM_INDEPENDENT[:6, :2] = [
    [1, 0],
    [0, 1],
    [-1, 1],
    [-0.5, -0.5],
    [1, -0.5],
    [-0.5, 1],
]
LEADS_FROM_INDEPENDENT[6:, 2:] = np.eye(6)

SIGNATURES = (
    Signature(
        name="lateral_t",
        label="flat or inverted T wave in the lateral leads",
        share=0.55,
        leads=("I", "aVL", "V5", "V6"),
        start_seconds=0.12,
        stop_seconds=0.40,
        beats="conducted",
        sigma_seconds=0.030,
        leads_mv=(0.7, 0.2, 0, 0, 0, 0.3, 1.0, 0.9),
        reason="a T wave is slow: nothing of it lies above 16 Hz",
    ),
    Signature(
        name="terminal_slur",
        label="slurred terminal R wave in aVL and I",
        share=0.15,
        leads=("I", "aVL"),
        start_seconds=0.02,
        stop_seconds=0.08,
        beats="conducted",
        sigma_seconds=0.010,
        leads_mv=(1.0, 0.3, 0, 0, 0, 0, 0, 0),
        reason="a slur of 10 ms SD ends at 48 Hz: just within 100 Hz",
    ),
    Signature(
        name="qrs_fragmentation",
        label="notches within the QRS complex in the inferior leads",
        share=0.15,
        leads=("II", "III", "aVF"),
        start_seconds=-0.01,
        stop_seconds=0.05,
        beats="conducted",
        sigma_seconds=0.004,
        leads_mv=(0, 1.0, 0, 0, 0, 0, 0, 0),
        reason="notches of 4 ms SD reach 119 Hz; a chain that ends at 40 Hz keeps 61 % of them",
    ),
    Signature(
        name="ventricular_ectopy",
        label="premature ventricular beats",
        share=0.15,
        leads=LEADS,
        start_seconds=-0.12,
        stop_seconds=0.45,
        beats="ectopic",
        sigma_seconds=0.020,
        leads_mv=(1.0,) * 8,
        reason="wide beats and their timing hold nothing above 24 Hz",
    ),
)


def planted_windows() -> pd.DataFrame:
    """Return the declared truth as a table, one row a signature.

    Returns
    -------
    DataFrame
        ``signature``, ``label``, ``leads``, ``visible_leads`` (tuples; the second with the
        mirror images that Einthoven's law forces), ``start_seconds`` and ``stop_seconds`` after
        the R peak, ``beats`` ("conducted" or "ectopic": whose R peaks), ``share`` of the ECG
        effect (sums to 1), ``bandwidth_hz``, ``minimum_rate_hz`` and ``reason``.
    """
    rows = [
        {
            "signature": sign.name,
            "label": sign.label,
            "leads": sign.leads,
            "visible_leads": sign.visible_leads,
            "start_seconds": sign.start_seconds,
            "stop_seconds": sign.stop_seconds,
            "beats": sign.beats,
            "share": sign.share,
            "bandwidth_hz": round(sign.bandwidth_hz, 1),
            "minimum_rate_hz": sign.minimum_rate_hz,
            "reason": sign.reason,
        }
        for sign in SIGNATURES
    ]
    return pd.DataFrame(rows)


def planted_mask(
    r_peak_seconds: np.ndarray,
    *,
    rate_hz: float,
    n_samples: int,
    is_ectopic: np.ndarray | None = None,
    signatures: tuple[str, ...] | None = None,
    with_mirror_leads: bool = False,
) -> np.ndarray:
    """Mark the samples and leads of one record that carry the planted risk.

    Parameters
    ----------
    r_peak_seconds : ndarray, shape (n_beats,)
        R peaks, seconds after the first sample; peaks outside the record are allowed.
    rate_hz : float
        Sampling rate of the mask, Hz.
    n_samples : int
        Length of the mask.
    is_ectopic : ndarray of bool, shape (n_beats,), optional
        Ventricular premature beats; none by default.
    signatures : tuple of str, optional
        Names to mark; all by default.
    with_mirror_leads : bool
        Also mark the leads that show the sign only because Einthoven's law makes them.

    Returns
    -------
    ndarray of bool, shape (n_samples, 12)

    Raises
    ------
    ValueError
        If a signature is unknown.
    """
    peaks = np.asarray(r_peak_seconds, dtype=float)
    ectopic = np.zeros(peaks.shape, bool) if is_ectopic is None else np.asarray(is_ectopic, bool)
    chosen = [sign.name for sign in SIGNATURES] if signatures is None else list(signatures)
    known = {sign.name: sign for sign in SIGNATURES}
    mask = np.zeros((n_samples, len(LEADS)), dtype=bool)
    seconds = np.arange(n_samples) / rate_hz
    for name in chosen:
        if name not in known:
            raise ValueError(
                f"signatures must be among {sorted(known)}, got {name!r}. Correct the name."
            )
        sign = known[name]
        beats = peaks[ectopic if sign.beats == "ectopic" else ~ectopic]
        relative = np.round(seconds[:, None] - beats[None, :], 9)  # both ends belong to the window
        inside = ((relative >= sign.start_seconds) & (relative <= sign.stop_seconds)).any(axis=1)
        leads = sign.visible_leads if with_mirror_leads else sign.leads
        mask[np.ix_(inside, [LEADS.index(lead) for lead in leads])] = True
    return mask


def planted_in(
    truth: Mapping[str, Any] | None,
    r_peaks: Sequence[np.ndarray],
    rate_hz: float,
    n_samples: int,
) -> np.ndarray | None:
    """Mark what was planted in some ECGs and can be seen at their rate; None where nothing was.

    Parameters
    ----------
    truth : mapping or None
        ``truth`` of ``dataset.json``; None in real cohorts.
    r_peaks : sequence of int arrays, one a record
        Samples of the R peaks that were found; premature beats are taken for conducted ones.
    rate_hz, n_samples
        Of the ECGs.

    Returns
    -------
    ndarray of bool, shape (n_records, n_samples, 12), or None
        With the mirror images in other limb leads. None also where the planted effect is 0.
    """
    if not truth or not truth["settings"]["effect_size"]:
        return None
    seen = [w for w in truth["planted_windows"] if w["minimum_rate_hz"] <= rate_hz]
    names = tuple(window["signature"] for window in seen if window["beats"] == "conducted")
    options = {"rate_hz": rate_hz, "n_samples": n_samples, "with_mirror_leads": True}
    masks = [planted_mask(peaks / rate_hz, signatures=names, **options) for peaks in r_peaks]
    return np.stack(masks)
