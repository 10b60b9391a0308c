"""The same recording under two patients: found by file hash and by waveform, then resolved."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import pandas as pd

from data_processing.errors import LeakageError, listed
from data_processing.near_identical import find_near_identical

__all__ = ["POLICIES", "find_identical_files", "find_near_identical", "resolve_duplicates"]

POLICIES = ("stop", "merge", "drop")


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
