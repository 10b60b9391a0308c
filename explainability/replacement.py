"""Replace parts of an ECG by straight lines, in the order of a map, and watch the logit.

What takes the place of a part is neutral and in the range the network knows: in each lead the line
between the samples before and after it, and the lead's median where all of the lead is replaced.
Zeros would be a step of up to millivolts, which a network answers for its own sake.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

SHARES = (0.05, 0.1, 0.2, 0.3, 0.5)


def replace_by_lines(ecg: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Return ECGs whose masked samples lie on straight lines between their neighbours.

    Parameters
    ----------
    ecg : array of shape (n_records, n_samples, n_leads)
        In mV.
    mask : bool array of shape (n_records, n_samples, n_leads or 1)
        What to replace.

    Returns
    -------
    float32 array of the shape of `ecg`
        At either end of a record the nearest sample is held; a lead without any sample left
        becomes its median.

    Examples
    --------
    >>> ecg = np.array([0.0, 5.0, 2.0]).reshape(1, 3, 1)
    >>> replace_by_lines(ecg, np.array([False, True, False]).reshape(1, 3, 1)).ravel().tolist()
    [0.0, 1.0, 2.0]
    """
    ecg = np.asarray(ecg, dtype=np.float32)
    n_samples = ecg.shape[1]
    place = np.arange(n_samples)[None, :, None]
    left = np.maximum.accumulate(np.where(mask, -1, place), axis=1)
    right = np.minimum.accumulate(np.where(mask, n_samples, place)[:, ::-1], axis=1)[:, ::-1]
    is_gone = left[:, -1:] < 0
    left, right = np.where(left < 0, right, left), np.where(right == n_samples, left, right)
    left, right = (np.clip(side, 0, n_samples - 1) for side in (left, right))
    before, after = (np.take_along_axis(ecg, side, axis=1) for side in (left, right))
    weight = (place - left) / np.maximum(right - left, 1)
    lines = before + (after - before) * weight
    if is_gone.any():
        lines = np.where(is_gone, np.median(ecg, axis=1, keepdims=True), lines)
    return lines.astype(np.float32)


def segment_means(values: np.ndarray, n_segment_samples: int) -> np.ndarray:
    """Return the mean of each segment, (n_records, n_segments, n_leads or 1).

    Parameters
    ----------
    values : array of shape (n_records, n_samples[, n_leads])
        A map; the last segment may be shorter.
    n_segment_samples : int
        Length of a segment.
    """
    values = np.asarray(values, dtype=np.float64)
    values = values.reshape(*values.shape[:2], -1)
    starts = np.arange(0, values.shape[1], n_segment_samples)
    counts = np.diff([*starts, values.shape[1]])
    return np.add.reduceat(values, starts, axis=1) / counts[None, :, None]


def ranks_from_top(scores: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return the place of each segment in its record, 0 the highest; ties in random order."""
    flat = scores.reshape(len(scores), -1)
    order = np.lexsort((rng.random(flat.shape), -flat), axis=1)
    ranks = np.empty_like(order)
    np.put_along_axis(ranks, order, np.arange(flat.shape[1])[None, :], axis=1)
    return ranks.reshape(scores.shape)


def top_mask(ranks: np.ndarray, share: float, n_segment_samples: int, n_samples: int) -> np.ndarray:
    """Return the samples of the highest segments, bool (n_records, n_samples, n_leads or 1).

    Parameters
    ----------
    ranks : int array of shape (n_records, n_segments, n_leads or 1)
        From `ranks_from_top`.
    share : float
        Of all segments, 0 to 1; at least one.
    n_segment_samples, n_samples : int
        Length of a segment and of the record.
    """
    n_chosen = max(1, round(share * ranks[0].size))
    return np.repeat(ranks < n_chosen, n_segment_samples, axis=1)[:, :n_samples]


def replacement_curves(
    logits_of: Callable[[np.ndarray, np.ndarray], np.ndarray],
    ecg: np.ndarray,
    rankings: Mapping[str, np.ndarray],
    *,
    n_segment_samples: int,
    shares: tuple[float, ...] = SHARES,
) -> dict[str, dict[str, np.ndarray]]:
    """Return how far the logit falls by deletion, and rises by insertion, in each order.

    Parameters
    ----------
    logits_of : callable
        From ECGs (n, n_samples, n_leads) and the record of each (n,) to logits (n,).
    ecg : array of shape (n_records, n_samples, n_leads)
        In mV.
    rankings : mapping of str to int array
        Name to `ranks_from_top`.
    n_segment_samples : int
        Length of a segment.
    shares : tuple of float
        Of the segments that are replaced, or kept.

    Returns
    -------
    dict of dict of arrays of shape (n_records, n_shares)
        ``deletion`` (logit of the ECG less that without the highest segments) and ``insertion``
        (logit of the highest segments alone less that of a flat line), by ranking; more is better.
    """
    n_records, n_samples = ecg.shape[:2]
    rows = np.arange(n_records)
    whole = logits_of(ecg, rows)
    nothing = logits_of(replace_by_lines(ecg, np.ones((1, 1, 1), bool)), rows)
    curves = {kind: {name: [] for name in rankings} for kind in ("deletion", "insertion")}
    for share in shares:
        changed = []
        for ranks in rankings.values():
            mask = top_mask(ranks, share, n_segment_samples, n_samples)
            changed += [replace_by_lines(ecg, mask), replace_by_lines(ecg, ~mask)]
        found = logits_of(np.concatenate(changed), np.tile(rows, len(changed)))
        for name, (deleted, kept) in zip(
            rankings, found.reshape(len(rankings), 2, n_records), strict=True
        ):
            curves["deletion"][name].append(whole - deleted)
            curves["insertion"][name].append(kept - nothing)
    return {
        kind: {name: np.stack(parts, axis=1) for name, parts in by_name.items()}
        for kind, by_name in curves.items()
    }


def mean_height(curve: np.ndarray, shares: tuple[float, ...] = SHARES) -> np.ndarray:
    """Return the area under curves that begin at 0, divided by their width: (n_records,).

    Examples
    --------
    >>> mean_height(np.array([[1.0, 1.0]]), (0.5, 1.0)).tolist()
    [0.75]
    """
    place = np.array([0.0, *shares])
    heights = np.concatenate([np.zeros((len(curve), 1)), curve], axis=1)
    return np.trapezoid(heights, place, axis=1) / place[-1]
