"""The same recording under two patients: found by file hash and by waveform, then resolved.

Search by waveform, for 20 000 records in under a minute and never with all pairs in memory:

1. *Anchors*: peaks of the spatial velocity (QRS complexes, as a rule) at least 2 s from both ends.
2. *Candidates*: the 4 s around the two anchors nearest the middle of each record are compared with
   the 4 s around every anchor of every other patient; smooth, scaled to unit length and reduced by
   principal components, as blocks of a matrix product. A shift or crop of up to 2 s leaves such a
   window complete, and neither gain nor little noise changes it much.
3. *Proof*: normalised correlation of both records over all the time they share at the candidate's
   shift (+- 40 ms), all leads together.

Two ECGs of one person, or of persons with the same morphology and rate, differ in the exact time
of some beat and stay below the threshold.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.ndimage import gaussian_filter1d, maximum_filter1d
from scipy.signal import resample_poly

from data_processing.errors import LeakageError, listed

POLICIES = ("stop", "merge", "drop")
MIN_CORRELATION = 0.95  # see tests: copies reach 0.97 and more, other ECGs stay below 0.90
MAX_SHIFT_SECONDS = 2.0
_RATE_HZ = 50  # enough for QRS complexes up to 20 Hz, and half the work
_LEADS = [0, 1, 6, 7, 8, 9, 10, 11]  # the eight independent ones
_WINDOW_SECONDS = 2.0  # on either side of an anchor
_CANDIDATE_COSINE = 0.80
_N_COMPONENTS = 48
_N_PROBES = 2
_BLOCK = 4096
_READ_BLOCK = 256
_FINE_SHIFTS = range(-2, 3)


def find_identical_files(records: pd.DataFrame) -> list[tuple[str, str]]:
    """Return pairs of records of different patients whose files hold the same bytes.

    Parameters
    ----------
    records
        ``record_id, patient_id, file_sha256``.

    Returns
    -------
    list of (record_id, record_id)
        The first record of a hash with each later one of another patient.
    """
    pairs = []
    for _, group in records[records["file_sha256"] != ""].groupby("file_sha256", sort=False):
        first = group.iloc[0]
        others = group.loc[group["patient_id"] != first["patient_id"], "record_id"]
        pairs += [(first["record_id"], other) for other in others]
    return sorted(pairs)


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
        Normalised correlation over the common time from which two are the same.

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
    pairs = set()
    for a, b, shift in _candidates(windows, patients):
        if (a, b) not in pairs:
            one, other = (_reduced(signals[rows[k]][None], rate_hz)[0] for k in (a, b))
            if _correlation(one, other, shift) >= min_correlation:
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


def _reduced(block: np.ndarray, rate_hz: float) -> np.ndarray:
    """Return (n, samples at 50 Hz, 8 leads) without offset."""
    signal = np.asarray(block[:, :, _LEADS], dtype=np.float32)
    if rate_hz != _RATE_HZ:
        signal = resample_poly(signal, _RATE_HZ, round(rate_hz), axis=1, padtype="line")
    return signal - signal.mean(axis=1, keepdims=True)


def _anchors(reduced: np.ndarray, n_margin: int) -> np.ndarray:
    """Return the samples of the peaks of one record's spatial velocity, margins left out."""
    speed = gaussian_filter1d(np.sqrt((np.diff(reduced, axis=0) ** 2).sum(axis=1)), 1.5)
    is_peak = speed == maximum_filter1d(speed, round(0.3 * _RATE_HZ))
    is_peak &= speed > 0.3 * np.percentile(speed, 98)
    peaks = np.flatnonzero(is_peak)
    return peaks[(peaks >= n_margin) & (peaks < len(reduced) - n_margin)]


def _collect_windows(signals: np.ndarray, rows: np.ndarray, rate_hz: float) -> _Windows:
    """Read the store once and return the reduced windows of all records."""
    n_margin = round(_WINDOW_SECONDS * _RATE_HZ)
    parts: list[np.ndarray] = []
    record: list[int] = []
    sample: list[int] = []
    is_probe: list[bool] = []
    basis = None
    for start in range(0, len(rows), _READ_BLOCK):
        block = _reduced(signals[rows[start : start + _READ_BLOCK]], rate_hz)
        smooth = gaussian_filter1d(block, 1.5, axis=1)[:, ::2]  # up to about 8 Hz, at 25 Hz
        raw = []
        for k, one in enumerate(block):
            anchors = _anchors(one, n_margin)
            nearest = np.argsort(np.abs(anchors - len(one) / 2))[:_N_PROBES]
            for number, anchor in enumerate(anchors):
                first = (anchor - n_margin) // 2
                raw.append(smooth[k, first : first + n_margin].ravel())
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
    return _Windows(vectors, np.array(record, int), np.array(sample, int), np.array(is_probe, bool))


def _principal_axes(matrix: np.ndarray) -> np.ndarray:
    """Return the main axes of the first windows; they only have to hold most of the energy."""
    covariance = matrix.T @ matrix
    _, axes = np.linalg.eigh(covariance)
    return np.ascontiguousarray(axes[:, ::-1][:, :_N_COMPONENTS], dtype=np.float32)


def _candidates(windows: _Windows, patients: np.ndarray) -> Iterator[tuple[int, int, int]]:
    """Yield (record, other record, shift in samples), the earlier record first."""
    probes = np.flatnonzero(windows.is_probe)
    length = np.linalg.norm(windows.vectors, axis=1)
    for p in range(0, len(probes), _BLOCK):
        mine = probes[p : p + _BLOCK]
        for w in range(0, len(windows.vectors), _BLOCK):
            theirs = slice(w, w + _BLOCK)
            if windows.record[theirs][-1] <= windows.record[mine[0]]:
                continue  # each pair once: the probe belongs to the earlier record
            product = windows.vectors[mine] @ windows.vectors[theirs].T
            near = product > _CANDIDATE_COSINE * length[mine][:, None] * length[theirs]
            for row, column in zip(*np.nonzero(near), strict=True):
                a, b = windows.record[mine[row]], windows.record[w + column]
                if a < b and patients[a] != patients[b]:
                    shift = windows.sample[w + column] - windows.sample[mine[row]]
                    yield int(a), int(b), int(shift)


def _correlation(one: np.ndarray, other: np.ndarray, shift: int) -> float:
    """Return the best normalised correlation over the common time near a shift."""
    best = -1.0
    for fine in _FINE_SHIFTS:
        lag = shift + fine
        if abs(lag) > MAX_SHIFT_SECONDS * _RATE_HZ + _FINE_SHIFTS[-1]:
            continue
        a = one[max(0, -lag) : len(one) - max(0, lag)]
        b = other[max(0, lag) : len(other) - max(0, -lag)]
        a, b = a - a.mean(axis=0), b - b.mean(axis=0)
        power = float((a * a).sum()) * float((b * b).sum())
        if power > 0:
            best = max(best, float((a * b).sum()) / power**0.5)
    return best


def resolve_duplicates(
    patients: pd.DataFrame,
    records: pd.DataFrame,
    signals: np.ndarray,
    *,
    rate_hz: float,
    policy: str = "stop",
) -> tuple[pd.DataFrame, pd.DataFrame, str]:
    """Find the same recording under different patients and stop, merge or drop.

    Parameters
    ----------
    patients, records
        The cohort after reading; ``records`` with ``file_sha256`` and ``signal_row``.
    signals
        The signal store.
    rate_hz
        Its rate.
    policy
        ``stop``: an error that lists the pairs. ``merge``: the patients of a pair become one (the
        earlier number; its missing values are filled from the other) and the recording is kept
        once. ``drop``: every record involved is removed.

    Returns
    -------
    patients, records, reason
        ``reason`` says for the flow what was done.

    Raises
    ------
    LeakageError
        As said, and if patients to be merged have different outcomes.
    """
    if policy not in POLICIES:
        raise ValueError(
            f"duplicates must be one of {', '.join(POLICIES)}, got {policy!r}. Choose one."
        )
    pairs = sorted(
        {
            *find_identical_files(records),
            *find_near_identical(signals, records, rate_hz=rate_hz),
        }
    )
    if not pairs:
        return patients, records, ""
    shown = listed([f"{a} = {b}" for a, b in pairs], at_most=20)
    if policy == "stop":
        raise LeakageError(
            f"a recording must belong to one patient, got {len(pairs)} filed under two: {shown}. "
            "Correct the table, or set duplicates = merge or drop."
        )
    if policy == "drop":
        involved = {name for pair in pairs for name in pair}
        kept = records[~records["record_id"].isin(involved)].reset_index(drop=True)
        return patients, kept, "recording filed under two patients, all copies dropped"
    return *_merged(patients, records, pairs), "recording filed under two patients, merged"


def _merged(
    patients: pd.DataFrame, records: pd.DataFrame, pairs: list[tuple[str, str]]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Make one patient of those that share a recording; keep the earlier record of each pair."""
    owner = records.set_index("record_id")["patient_id"]
    parent = {patient: patient for patient in patients["patient_id"]}

    def root(patient: str) -> str:
        while parent[patient] != patient:
            patient = parent[patient]
        return patient

    for pair in pairs:
        low, high = sorted(root(owner[name]) for name in pair)
        parent[high] = low
    final = patients["patient_id"].map(root)
    _check_outcomes_agree(patients, final, pairs, owner)
    copies = {later for _, later in pairs}
    kept = records[~records["record_id"].isin(copies)]
    kept = kept.assign(patient_id=kept["patient_id"].map(root)).reset_index(drop=True)
    ordered = patients.assign(_final=final).sort_values("patient_id")
    filled = ordered.groupby("_final").bfill()  # what the first lacks comes from the next
    first = filled[~ordered["_final"].duplicated()]
    return first.astype(patients.dtypes).reset_index(drop=True), kept


def _check_outcomes_agree(
    patients: pd.DataFrame, final: pd.Series, pairs: list[tuple[str, str]], owner: pd.Series
) -> None:
    columns = [name for name in ("outcome", "event") if name in patients]
    n_values = patients.groupby(final)[columns].nunique().max(axis=1)
    conflicting = set(n_values[n_values > 1].index)
    if not conflicting:
        return
    root = dict(zip(patients["patient_id"], final, strict=True))
    groups = defaultdict(list)
    for a, b in pairs:
        if root[owner[a]] in conflicting:
            groups[root[owner[a]]].append(f"{a} = {b}")
    shown = listed([pair for group in groups.values() for pair in group])
    raise LeakageError(
        f"patients that share a recording must have one outcome, got {len(conflicting)} with two: "
        f"{shown}. Correct the table, or set duplicates = drop."
    )
