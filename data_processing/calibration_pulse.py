"""The calibration pulse that some devices store with the ECG: found at either end, and cut off."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

SEARCHED_SECONDS = 1.5  # from either end
PULSE_SECONDS = (0.08, 0.5)  # the usual pulse has 0.2 s
LEAST_MV = 0.4  # half a millivolt at half gain is the smallest in use
MOST_SPREAD_MV = 0.1  # between leads
_MARGIN_SECONDS = 0.04
_EDGE_SECONDS = 0.02
_FLAT_MV = 0.005  # no ECG is so alike in all leads, not even between beats


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
    cuts = {
        "start": _cut_samples(leads[:n_searched], rate_hz),
        "end": _cut_samples(leads[::-1][:n_searched], rate_hz),
    }
    texts = [f"{n / rate_hz:.2f} s at the {end}" for end, n in cuts.items() if n]
    note = f"calibration pulse cut off ({' and '.join(texts)})" if texts else ""
    return signal_mv[cuts["start"] : len(signal_mv) - cuts["end"]], note


def _cut_samples(part: np.ndarray, rate_hz: float) -> int:
    """Return how many samples from the outer end a pulse takes, with the flat strip behind it.

    The baseline of each lead is that of the strip before the pulse, or, where the pulse begins at
    once, the lower quartile.
    """
    is_whole = np.asarray(np.isfinite(part).all(axis=1))
    if is_whole.mean() < 0.5:
        return 0
    clean = np.where(is_whole[:, None], part, 0.0)
    n_edge = max(1, round(_EDGE_SECONDS * rate_hz))
    for base in (np.median(clean[:n_edge], axis=0), np.percentile(part[is_whole], 25, axis=0)):
        height = clean - base
        low, high = height.min(axis=1), height.max(axis=1)
        is_one = is_whole & (high - low < MOST_SPREAD_MV)  # all leads show the same
        edges = np.flatnonzero(np.diff(np.r_[0, (is_one & (low > LEAST_MV)).astype(np.int8), 0]))
        for start, stop in zip(edges[::2], edges[1::2], strict=True):
            if PULSE_SECONDS[0] <= (stop - start) / rate_hz <= PULSE_SECONDS[1]:
                after = min(int(stop) + round(_MARGIN_SECONDS * rate_hz), len(part))
                differing = np.flatnonzero(high[after:] - low[after:] > _FLAT_MV)
                return after + (int(differing[0]) if differing.size else len(part) - after)
    return 0
