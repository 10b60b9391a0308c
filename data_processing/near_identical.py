"""Find the same recording under two patients by its waveform.

Never with all pairs in memory:

1. *Anchors*: peaks of the spatial velocity (QRS complexes, as a rule) at least 2 s from both ends.
2. *Candidates*: the 4 s around the two anchors nearest the middle of each record are compared with
   the 4 s around every anchor of every other patient; smooth, scaled to unit length and reduced by
   principal components, as blocks of a matrix product. A shift or crop of up to 2 s leaves such a
   window complete, and neither gain nor little noise changes it much.
3. *Proof*: both records are aligned to 2.5 ms and correlated second by second over all the time
   they share, all leads together; the inner seconds must agree, of six or more all but one.

Two ECGs of one person, or of persons with the same morphology and rate, differ in the exact time
of some beat and stay below the threshold.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pandas as pd
from scipy.ndimage import gaussian_filter1d, maximum_filter1d
from scipy.signal import resample_poly

# Correlation over the inner seconds in common, the second-lowest of six or more: copies reach 0.975
# and more; other ECGs stay below 0.83 (Brugada-HUCA, PTB-XL) or 0.96 (synthetic: more alike).
MIN_CORRELATION = 0.97
_RATE_HZ = 50  # enough for QRS complexes up to 20 Hz, and half the work
_LEADS = [0, 1, 6, 7, 8, 9, 10, 11]  # the eight independent ones
_WINDOW_SECONDS = 2.0  # on either side of an anchor
_ANCHOR_SD, _WINDOW_SD = 3.0, 2.0  # samples at 50 Hz: 60 and 40 ms
_CANDIDATE_COSINE = 0.94
_N_COMPONENTS = 48
_N_PROBES = 2
_BLOCK = 4096
_READ_BLOCK = 256
_COARSE_CORRELATION = 0.9  # of the smoothed whole, before alignment
_COARSE_SECOND = 0.93  # of each inner second but one
_NO_POWER = 1e-9
_ALIGNED_CORRELATION = 0.8
_FINER = 8
_BASELINE_SD = 12  # samples at 50 Hz
_LEAST_SECONDS = 4  # in common, the outer two included
_SECONDS_WITH_ARTEFACT = 6  # inner seconds; 10 s shifted or cropped by 2 s have them


def find_near_identical(
    signals: np.ndarray,
    records: pd.DataFrame,
    *,
    rate_hz: float,
    min_correlation: float = MIN_CORRELATION,
) -> list[tuple[str, str]]:
    """Return pairs of records of different patients that are the same recording.

    Parameters
    ----------
    signals
        (n, n_samples, 12) millivolts, filtered; may be a memory map.
    records
        ``record_id, patient_id, signal_row``.
    rate_hz
        Rate of the signals.
    min_correlation
        Correlation that the inner seconds in common must reach, all but one of six or more.

    Returns
    -------
    list of (record_id, record_id)
        Sorted, each pair once. Copies with small noise, another gain, or shifted or cropped by up
        to 2 s are found; a copy inverted or with other filters is not.
    """
    if len(records) < 2 or signals.shape[1] / rate_hz <= 2 * _WINDOW_SECONDS:
        return []
    rows = records["signal_row"].to_numpy()
    patients = pd.factorize(records["patient_id"])[0]
    windows = _collect_windows(signals, rows, rate_hz)

    @lru_cache(maxsize=256)
    def fine(position: int) -> np.ndarray:
        signal = _reduced(signals[rows[position]][None], rate_hz)[0]
        # Half a sample at 50 Hz is 10 ms, enough to tear two steep QRS complexes apart.
        return resample_poly(signal, _FINER, 1, axis=0)

    pairs: set[tuple[int, int]] = set()
    tried: set[tuple[int, int, int]] = set()
    for a, b, shift in _candidates(windows, patients):
        key = (a, b, shift // 3)  # two anchors often point to the same shift
        if (a, b) in pairs or key in tried:
            continue
        tried.add(key)
        if _is_same_recording(fine(a), fine(b), shift, min_correlation):
            pairs.add((a, b))
    names = records["record_id"].to_numpy()
    return sorted(tuple(sorted((str(names[a]), str(names[b])))) for a, b in pairs)  # type: ignore


@dataclass
class _Windows:
    """Unit vectors of the windows around anchors: which record, when, and whether it probes."""

    vectors: np.ndarray  # (n_windows, n_components) float32
    record: np.ndarray  # (n_windows,) position of the record
    sample: np.ndarray  # (n_windows,) sample of the anchor at 50 Hz
    is_probe: np.ndarray
    smooth: np.ndarray  # (n_records, samples at 50 Hz, 8 leads) float16, for the first look


def _reduced(block: np.ndarray, rate_hz: float) -> np.ndarray:
    """Return (n, samples at 50 Hz, 8 leads) without baseline; padding stays exactly zero."""
    signal = np.asarray(block[:, :, _LEADS], dtype=np.float32)
    is_padding: np.ndarray = np.max(np.abs(signal), axis=2) == 0
    if rate_hz != _RATE_HZ:
        signal = resample_poly(signal, _RATE_HZ, round(rate_hz), axis=1, padtype="line")
        positions = np.arange(signal.shape[1]) * round(rate_hz) // _RATE_HZ
        is_padding = is_padding[:, positions]
    # Filters leave other transients at other ends: what is slow is not compared.
    signal = signal - gaussian_filter1d(signal, _BASELINE_SD, axis=1)
    if is_padding.any():
        signal[maximum_filter1d(is_padding, 4 * _BASELINE_SD + 1, axis=1)] = 0.0
    return signal


def _anchors(reduced: np.ndarray, n_margin: int) -> np.ndarray:
    """Return the samples of the peaks of one record's spatial velocity, margins left out."""
    speed = np.sqrt((np.diff(reduced, axis=0) ** 2).sum(axis=1))
    speed = gaussian_filter1d(speed, _ANCHOR_SD)  # one hump a QRS: narrower ones swap places
    is_peak = np.equal(speed, maximum_filter1d(speed, round(0.3 * _RATE_HZ)))
    peaks = np.flatnonzero(is_peak & (speed > 0.3 * np.percentile(speed, 98)))
    return peaks[(peaks >= n_margin) & (peaks < len(reduced) - n_margin)]


def _collect_windows(signals: np.ndarray, rows: np.ndarray, rate_hz: float) -> _Windows:
    """Read the store once and return the reduced windows of all records."""
    n_margin = round(_WINDOW_SECONDS * _RATE_HZ)
    parts: list[np.ndarray] = []
    record: list[int] = []
    sample: list[int] = []
    is_probe: list[bool] = []
    smoothed: list[np.ndarray] = []
    basis = None
    for start in range(0, len(rows), _READ_BLOCK):
        block = _reduced(signals[rows[start : start + _READ_BLOCK]], rate_hz)
        smooth = gaussian_filter1d(block, _WINDOW_SD, axis=1)
        smoothed.append(_unit_power(smooth).astype(np.float16))
        raw = []
        for k, one in enumerate(block):
            anchors = _anchors(one, n_margin)
            nearest = np.argsort(np.abs(anchors - len(one) / 2))[:_N_PROBES]
            for number, anchor in enumerate(anchors):
                raw.append(smooth[k, anchor - n_margin : anchor + n_margin : 3].ravel())
                record.append(start + k)
                sample.append(int(anchor))
                is_probe.append(number in nearest)
        if raw:
            matrix = np.stack(raw)
            if basis is None:
                basis = _principal_axes(matrix)
            # Divided by the length of the whole window, so the product is a cosine from below.
            length = np.linalg.norm(matrix, axis=1, keepdims=True)
            parts.append((matrix / np.maximum(length, 1e-9)) @ basis)
    vectors = np.concatenate(parts) if parts else np.zeros((0, 1), np.float32)
    return _Windows(
        vectors=vectors,
        record=np.array(record, dtype=np.int64),
        sample=np.array(sample, dtype=np.int64),
        is_probe=np.array(is_probe, dtype=bool),
        smooth=np.concatenate(smoothed),
    )


def _unit_power(block: np.ndarray) -> np.ndarray:
    """Scale each record to a root mean square of 1, for half precision."""
    power = np.sqrt((block**2).mean(axis=(1, 2), keepdims=True))
    return block / np.maximum(power, 1e-9)


def _principal_axes(matrix: np.ndarray) -> np.ndarray:
    """Return the main axes of the first windows; they only have to hold most of the energy."""
    covariance = matrix.T @ matrix
    _, axes = np.linalg.eigh(covariance)
    return np.ascontiguousarray(axes[:, ::-1][:, :_N_COMPONENTS], dtype=np.float32)


def _candidates(windows: _Windows, patients: np.ndarray) -> Iterator[tuple[int, int, int]]:
    """Yield (record, other record, shift in samples) that agree at first look."""
    probes = np.flatnonzero(windows.is_probe)
    length = np.linalg.norm(windows.vectors, axis=1)
    for p in range(0, len(probes), _BLOCK):
        mine = probes[p : p + _BLOCK]
        for w in range(0, len(windows.vectors), _BLOCK):
            theirs = slice(w, w + _BLOCK)
            if windows.record[theirs][-1] <= windows.record[mine[0]]:
                continue  # each pair once: the probe belongs to the earlier record
            product = windows.vectors[mine] @ windows.vectors[theirs].T
            product /= np.maximum(length[theirs], 1e-9)
            row, column = np.nonzero(product > _CANDIDATE_COSINE * length[mine][:, None])
            a, b = windows.record[mine[row]], windows.record[w + column]
            shift = windows.sample[w + column] - windows.sample[mine[row]]
            is_other = (a < b) & (patients[a] != patients[b])
            found = np.unique(np.stack([shift, a, b], axis=1)[is_other], axis=0)
            yield from _agreeing(windows.smooth, found)


def _agreeing(smooth: np.ndarray, found: np.ndarray) -> Iterator[tuple[int, int, int]]:
    """Yield those of the candidates (shift, a, b) whose smoothed records correlate throughout."""
    n = smooth.shape[1]
    starts = np.flatnonzero(np.diff(found[:, 0], prepend=np.inf)) if len(found) else []
    for group in np.split(found, starts[1:]) if len(found) else []:
        shift = int(group[0, 0])
        agrees = np.zeros(len(group), dtype=bool)
        for lag in (shift - 1, shift, shift + 1):
            mine = slice(max(0, -lag), n - max(0, lag))
            theirs = slice(max(0, lag), n - max(0, -lag))
            for k in range(0, len(group), _READ_BLOCK):
                part = group[k : k + _READ_BLOCK]
                a = smooth[part[:, 1], mine].astype(np.float32)
                b = smooth[part[:, 2], theirs].astype(np.float32)
                agrees[k : k + _READ_BLOCK] |= _agree_each_second(a, b)
        for _, a, b in group[agrees]:
            yield int(a), int(b), shift


def _agree_each_second(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return which pairs (n, samples, leads) correlate, and do in all inner seconds but one.

    Persons whose beats look alike have them at other times in some second. Here the records lie
    up to 10 ms beside each other: what is asked of a second is less than in the proof.
    """
    inside = a.any(axis=2) & b.any(axis=2)  # padding is no recording
    products = [np.einsum("nsl,nsl->ns", x, y) * inside for x, y in ((a, b), (a, a), (b, b))]

    def cosine(sums: list[np.ndarray]) -> np.ndarray:
        power = sums[1] * sums[2]
        return np.where(power > _NO_POWER, sums[0] / np.sqrt(np.maximum(power, _NO_POWER)), 1.0)

    whole = cosine([product.sum(axis=1) for product in products])
    starts = np.arange(0, a.shape[1] - _RATE_HZ + 1, _RATE_HZ)
    ends = len(starts) * _RATE_HZ
    by_second = [np.add.reduceat(product[:, :ends], starts, axis=1) for product in products]
    inner = np.sort(cosine(by_second)[:, 1:-1], axis=1)
    steady = inner[:, min(1, inner.shape[1] - 1)] if inner.shape[1] else np.ones(len(a))
    return (whole > _COARSE_CORRELATION) & (steady > _COARSE_SECOND)


def _common(one: np.ndarray, other: np.ndarray, lag: int) -> tuple[np.ndarray, np.ndarray]:
    """Return what both recorded at the same time, if the other is late by `lag` samples."""
    a, b = one[max(0, -lag) :], other[max(0, lag) :]
    n_common = min(len(a), len(b))
    inside = a[:n_common].any(axis=1) & b[:n_common].any(axis=1)  # padding is no recording
    return a[:n_common][inside], b[:n_common][inside]


def _correlation(a: np.ndarray, b: np.ndarray) -> float:
    power = float(np.vdot(a, a)) * float(np.vdot(b, b))
    return float(np.vdot(a, b)) / power**0.5 if power > 0 else 0.0


def _is_same_recording(a: np.ndarray, b: np.ndarray, shift: int, min_correlation: float) -> bool:
    """Align two records at 400 Hz near a shift (at 50 Hz) and compare them second by second."""
    fine: dict[int, float] = {}
    centre = _FINER * shift
    for reach, step in ((2 * _FINER, _FINER // 2), (_FINER // 2 - 1, 1)):  # to 10 ms, to 2.5 ms
        for lag in range(centre - reach, centre + reach + 1, step):
            fine[lag] = _correlation(*_common(a, b, lag))
        centre = max(fine, key=fine.__getitem__)
        if fine[centre] < _ALIGNED_CORRELATION:
            return False
    one, other = _common(a, b, centre)
    n_second = _FINER * _RATE_HZ
    starts = range(0, len(one) - n_second + 1, n_second)
    seconds = [_correlation(one[k : k + n_second], other[k : k + n_second]) for k in starts]
    if len(seconds) < max(len(a) // (2 * n_second), _LEAST_SECONDS):
        return False
    # A QRS complex cut at the end of one export leaves its filters' echo in the outer seconds, and
    # one more may differ by an artefact, if enough are left: regular hearts of one shape fit for
    # a few seconds wherever one of them may be left out.
    inner = sorted(seconds[1:-1])
    return inner[int(len(inner) >= _SECONDS_WITH_ARTEFACT)] >= min_correlation
