"""PR, QRS and QT of a record: one definition for every table that shows them.

An interval is measured in each normal beat and the record's is the median over those beats: extra
beats have intervals of their own. `benchmarks/ecg_measurements.py` holds it against cardiologists'
marks, beside two other definitions (docs/ecg_measurements.md).
"""

from __future__ import annotations

import numpy as np

from explainability.median_beats import BeatChoice, BeatRules, choose_beats
from explainability.wave_points import WAVES

__all__ = [
    "INTERVALS",
    "RULES",
    "intervals_of",
    "measured_beats",
    "median_where_found",
    "told_apart",
]

INTERVALS = ("pr_ms", "qrs_ms", "qt_ms")
_FOUND_SHARE = 0.5  # of the normal beats, for a mark or an interval to hold for the record
# Long enough for a PR interval of 300 ms and a QT interval of 600 ms.
RULES = BeatRules(before_seconds=0.35, after_seconds=0.65)
_LIMITS_MS = np.array([(60, 400), (40, 260), (200, 700)])  # of `INTERVALS`; beyond: not believed


def measured_beats(signal_mv: np.ndarray, r_peaks: np.ndarray, rate_hz: float) -> BeatChoice:
    """Return the normal beats of one record (n_samples, n_leads): those that are measured."""
    return choose_beats(signal_mv, r_peaks, rate_hz, rules=RULES)


def told_apart(points_seconds: np.ndarray) -> np.ndarray:
    """Return points (n_beats, 3, 3) without the QRS onsets that lie within the P wave."""
    points = np.array(points_seconds, dtype=np.float64)
    p_wave, qrs = points[:, WAVES.index("P")], points[:, WAVES.index("QRS")]
    qrs[qrs[:, 0] < p_wave[:, 2], 0] = np.nan
    return points


def intervals_of(
    points_seconds: np.ndarray, r_peaks: np.ndarray, normal_peaks: np.ndarray
) -> dict[str, float]:
    """Return PR, QRS and QT of one record, medians over its normal beats.

    Parameters
    ----------
    points_seconds : array of shape (n_beats, 3, 3)
        Onset, peak and offset of P, QRS and T of every beat, from `delineation.delineate`.
    r_peaks : int array of shape (n_beats,)
        Samples of the R peaks of every beat.
    normal_peaks : int array
        Those of the normal beats, from `measured_beats`.

    Returns
    -------
    dict of str to float
        ``pr_ms`` P onset to QRS onset, ``qrs_ms`` QRS onset to offset, ``qt_ms`` QRS onset to the
        end of T. NaN where fewer than half of the normal beats have it, or where it lies outside
        60-400, 40-260 or 200-700 ms.

    Examples
    --------
    >>> marks = np.array([[[0.30, 0.35, 0.40], [0.46, 0.50, 0.55], [0.70, 0.80, 0.86]]])
    >>> {name: round(value) for name, value in intervals_of(marks, [250], [250]).items()}
    {'pr_ms': 160, 'qrs_ms': 90, 'qt_ms': 400}
    """
    points = told_apart(points_seconds)[np.isin(r_peaks, normal_peaks)]
    if not len(points):
        return dict.fromkeys(INTERVALS, float("nan"))
    (p_onset, qrs_onset, _), (_, qrs_offset, t_offset) = points[:, :, 0].T, points[:, :, 2].T
    lengths = [qrs_onset - p_onset, qrs_offset - qrs_onset, t_offset - qrs_onset]
    medians = median_where_found(1000.0 * np.column_stack(lengths))
    is_believed = (medians >= _LIMITS_MS[:, 0]) & (medians <= _LIMITS_MS[:, 1])
    return dict(zip(INTERVALS, np.where(is_believed, medians, np.nan).tolist(), strict=True))


def median_where_found(values: np.ndarray) -> np.ndarray:
    """Return the medians over beats (n_beats, n), NaN where fewer than half have a value."""
    is_found = np.isfinite(values).mean(axis=0) >= _FOUND_SHARE
    return np.where(is_found, np.nanmedian(np.where(is_found, values, 0.0), axis=0), np.nan)
