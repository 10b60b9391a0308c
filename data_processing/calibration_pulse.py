"""The calibration pulse that some devices store with the ECG: found at either end, and cut off."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

SEARCHED_SECONDS = 1.5  # from either end
PULSE_SECONDS = (0.08, 0.5)  # the usual pulse has 0.2 s
LEAST_MV = 0.4  # half a millivolt at half gain is the smallest in use
MOST_SPREAD_MV = 0.1  # between leads
_MARGIN_SECONDS = 0.04


def cut_calibration_pulse(
    signal_mv: np.ndarray, stored: Sequence[int], rate_hz: float
) -> tuple[np.ndarray, str]:
    """Cut off a rectangular pulse that all stored leads show at the same time with one height.

    No heart does that: leads I, II and III, or the chest leads with them, cannot all be equally
    positive. Only the pulse, and what lies between it and the end of the record, is removed.

    Parameters
    ----------
    signal_mv
        (n_samples, 12) millivolts, NaN in leads that are not stored.
    stored
        Columns of the stored leads.
    rate_hz
        Sampling rate.

    Returns
    -------
    signal_mv, note
        Without the pulse, and what was cut; the same and an empty note where there is none.
    """
    n_searched = min(round(SEARCHED_SECONDS * rate_hz), len(signal_mv) // 4)
    if n_searched < 2:
        return signal_mv, ""
    leads = signal_mv[:, stored]
    margin = round(_MARGIN_SECONDS * rate_hz)
    for end in ("start", "end"):
        part = leads[:n_searched] if end == "start" else leads[::-1][:n_searched]
        pulse = _pulse(part, rate_hz)
        if pulse:
            n_cut = pulse + margin
            kept = signal_mv[n_cut:] if end == "start" else signal_mv[:-n_cut]
            return kept, f"calibration pulse cut off ({n_cut / rate_hz:.2f} s at the {end})"
    return signal_mv, ""


def _pulse(part: np.ndarray, rate_hz: float) -> int:
    """Return where a pulse ends, in samples from the outer end; 0 if there is none."""
    is_whole = np.asarray(np.isfinite(part).all(axis=1))
    if is_whole.mean() < 0.5:
        return 0
    # Heights count from each lead's lower quartile: the pulse is short, and offsets differ.
    height = np.where(is_whole[:, None], part, 0.0) - np.percentile(part[is_whole], 25, axis=0)
    low, high = height.min(axis=1), height.max(axis=1)
    is_pulse = is_whole & (low > LEAST_MV) & (high - low < MOST_SPREAD_MV)
    edges = np.flatnonzero(np.diff(np.concatenate([[0], is_pulse.astype(np.int8), [0]])))
    for start, stop in zip(edges[::2], edges[1::2], strict=True):
        if PULSE_SECONDS[0] <= (stop - start) / rate_hz <= PULSE_SECONDS[1]:
            return int(stop)
    return 0
