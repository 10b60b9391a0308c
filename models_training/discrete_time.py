"""Follow-up in intervals that end at the horizons: who was seen where, and what came by when."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def encode_intervals(
    duration_days: np.ndarray, event: np.ndarray, horizons_days: Sequence[float]
) -> np.ndarray:
    """Return for each interval 0 (passed), the cause that ended it, or NaN (not seen).

    Whoever was lost in the second half of an interval counts as having passed it, in the first
    half as not having entered it (Gensheimer and Narasimhan 2019, doi 10.7717/peerj.6257).

    Parameters
    ----------
    duration_days, event : array of shape (n,)
        Event 0 is censored; others are causes. Who was not followed (0 days) was seen in none.
    horizons_days : sequence of float
        Rising ends of the intervals; the first begins at 0.

    Returns
    -------
    float32 array of shape (n, n_intervals)

    Examples
    --------
    >>> encode_intervals(np.array([100, 60, 400]), np.array([1, 0, 0]), [90, 365]).tolist()
    [[0.0, 1.0], [0.0, nan], [0.0, 0.0]]
    """
    duration, event = np.asarray(duration_days, "float64")[:, None], np.asarray(event)[:, None]
    end = np.asarray(horizons_days, "float64")
    start = np.append(0.0, end[:-1])
    is_seen = np.where(event > 0, duration > start, duration >= (start + end) / 2)
    is_seen &= np.isfinite(event) & (duration > 0)
    cause = np.where((event > 0) & (duration <= end), event, 0.0)
    return np.where(is_seen, cause, np.nan).astype("float32")


def status_at(
    duration_days: np.ndarray, event: np.ndarray, horizons_days: Sequence[float]
) -> np.ndarray:
    """Return the status at each horizon: 1 the event by then, 0 not, NaN unknown; (n, n_horizons).

    After a competing event (2) the event can no longer come: 0. Whoever was lost before the horizon
    is unknown.
    """
    duration, event = np.asarray(duration_days, "float64")[:, None], np.asarray(event)[:, None]
    horizons = np.asarray(horizons_days, "float64")
    is_known = (duration > 0) & ((event > 0) | (duration >= horizons))
    return np.where(is_known, (event == 1) & (duration <= horizons), np.nan)
