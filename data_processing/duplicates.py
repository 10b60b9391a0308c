"""The same recording under two patients: found by file hash and by waveform, then resolved."""

from __future__ import annotations

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
        names, patients = group["record_id"].tolist(), group["patient_id"].tolist()
        pairs += [
            (names[0], name)
            for name, patient in zip(names, patients, strict=True)
            if patient != patients[0]
        ]
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
        once; a pair whose outcomes contradict is left out. ``drop``: every record involved is
        removed.

    Returns
    -------
    patients, records, reason
        ``reason`` says for the flow what was done.

    Raises
    ------
    LeakageError
        If the policy is ``stop`` and there are pairs.
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
        kept = _without(records, pairs)
        return patients, kept, "recording filed under two patients, all copies dropped"
    agreeing, contradicting = _by_agreement(patients, records, pairs)
    records = _without(records, contradicting)
    reason = f"recording filed under two patients: {len(agreeing)} merged"
    if contradicting:
        reason += f", {len(contradicting)} left out because the two outcomes contradict"
    return *_merged(patients, records, agreeing), reason


def _without(records: pd.DataFrame, pairs: list[tuple[str, str]]) -> pd.DataFrame:
    """Return the records that are in none of the pairs."""
    involved = {name for pair in pairs for name in pair}
    return records[~records["record_id"].isin(involved)].reset_index(drop=True)


def _by_agreement(
    patients: pd.DataFrame, records: pd.DataFrame, pairs: list[tuple[str, str]]
) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """Divide the pairs into those whose patients have one outcome and those with two.

    Nobody can say which of two contradicting outcomes is right, so such a pair is not merged; an
    outcome at the horizon that is known in one and unknown in the other contradicts, too.
    A pair that shares a patient with a contradicting one counts with it.
    """
    owner = records.set_index("record_id")["patient_id"]
    columns = [name for name in ("outcome", "event") if name in patients]
    values = patients.set_index("patient_id")[columns]
    is_bad = {
        pair for pair in pairs if not values.loc[owner[pair[0]]].equals(values.loc[owner[pair[1]]])
    }
    doubtful = {owner[name] for pair in is_bad for name in pair}
    for _ in pairs:  # to the end of every chain of shared patients
        is_bad |= {pair for pair in pairs if {owner[name] for name in pair} & doubtful}
        doubtful |= {owner[name] for pair in is_bad for name in pair}
    return [pair for pair in pairs if pair not in is_bad], sorted(is_bad)


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
    copies = {later for _, later in pairs}
    kept = records[~records["record_id"].isin(copies)]
    kept = kept.assign(patient_id=kept["patient_id"].map(root)).reset_index(drop=True)
    ordered = patients.assign(_final=final).sort_values("patient_id")
    filled = ordered.groupby("_final").bfill()  # what the first lacks comes from the next
    first = filled[~ordered["_final"].duplicated()]
    return first.astype(patients.dtypes).reset_index(drop=True), kept
