"""What the readers of bare numbers share: which axis is which, and what has to be declared.

A file that holds only numbers states neither unit nor rate nor leads. Nothing of it is guessed:
what neither the file nor the user states is a refusal that says how to declare it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence

import numpy as np

from data_processing.declared import DeclaredSignal
from data_processing.errors import ECGError
from data_processing.leads import canonical_lead
from data_processing.signals import ECG, millivolts_per, to_contract

SIGNAL_NAMES = ("signal", "signals", "ecg", "data", "val", "tracings", "feats")
RATE_NAMES = ("rate_hz", "fs", "sampling_rate", "sampling_frequency", "curr_sample_rate")
UNIT_NAMES = ("unit", "units")
LEAD_NAMES = ("leads", "lead_names", "sig_name")
FEWEST_LEADS, MOST_LEADS = 8, 64  # 8 are enough for all twelve
_LARGEST = 1e9  # beyond it a sample is no measurement in any unit
_HOW = (
    "Declare it for the cohort, or in a file of the same name that ends in .json beside the ECG: "
    '{"unit": "mV", "rate_hz": 500, "leads": ["I", "II", ...]}.'
)
_AGAIN = "Export the ECG again."


def settle(stated: DeclaredSignal, declared: DeclaredSignal) -> DeclaredSignal:
    """Return what holds for a file: what it states, else what is declared.

    Raises
    ------
    ECGError
        If the two contradict one another, or neither says anything.
    """
    if stated.unit and declared.unit and _differ(stated.unit, declared.unit):
        raise _contradiction("unit")
    if stated.rate_hz and declared.rate_hz and stated.rate_hz != declared.rate_hz:
        raise _contradiction("rate_hz")
    names = [[canonical_lead(name) for name in what.leads] for what in (stated, declared)]
    if all(names) and names[0] != names[1]:
        raise _contradiction("leads")
    settled = DeclaredSignal(
        stated.unit or declared.unit,
        stated.rate_hz or declared.rate_hz,
        stated.leads or declared.leads,
    )
    absent = [name for name in ("unit", "rate_hz", "leads") if not getattr(settled, name)]
    if absent:
        raise ECGError(
            f"file must state {', '.join(absent)}, got numbers without "
            f"{'it' if len(absent) == 1 else 'them'}. {_HOW}"
        )
    return settled


def _differ(one: str, other: str) -> bool:
    """Return whether two units differ; uV and µV do not."""
    try:
        return millivolts_per(one) != millivolts_per(other)
    except ECGError:  # "one a lead", or an unknown one: that is said later
        return one.lower() != other.lower()


def _contradiction(name: str) -> ECGError:
    return ECGError(
        f"{name} must be the same in the file and in what is declared, they differ. Correct the "
        "declaration."
    )


def plain_lead(name: str) -> str:
    """Return a channel's name without what devices put around it.

    Examples
    --------
    >>> plain_lead("ECG I"), plain_lead("EKG aVR-Ref"), plain_lead("V1")
    ('I', 'aVR', 'V1')
    """
    name = re.sub(r"^\s*(?:ECG|EKG)[\s_-]+", "", name, flags=re.IGNORECASE)
    return re.sub(r"[\s_]*-[\s_]*ref\s*$", "", name, flags=re.IGNORECASE).strip()


def row_number(record: str, n_records: int) -> int:
    """Return which row of a file of several recordings is meant; the first is 0.

    Raises
    ------
    ECGError
        If it is no number of a row; a lone recording needs none.
    """
    if not record and n_records == 1:
        return 0
    if not (record.isascii() and record.isdigit()) or len(record) > 18:
        found = "a text" if record else "nothing"
        raise ECGError(
            f"record must be the row of the recording, 0 to {n_records - 1}, got {found}. Name the "
            "column with the row's number in the table of ECGs."
        )
    if int(record) >= n_records:
        raise ECGError(
            f"record must be the row of the recording, 0 to {n_records - 1}, got {int(record)}. "
            "Rows are counted from 0."
        )
    return int(record)


def one_recording(array: np.ndarray, record: str) -> np.ndarray:
    """Return the recording that is meant of an array of one or of several."""
    if array.ndim == 3:
        return array[row_number(record, len(array))]
    if record not in ("", "0"):
        raise ECGError(
            "record must be empty for a file of one recording, got a text. Check the file in the "
            "table of ECGs."
        )
    return array


def orient(array: np.ndarray, n_leads: int) -> np.ndarray:
    """Return the array as (samples, leads); which axis is which is decided by the lead count.

    Raises
    ------
    ECGError
        If no axis or both have as many entries as there are leads.
    """
    is_lead_axis = [size == n_leads for size in array.shape]
    if array.ndim != 2 or is_lead_axis.count(True) != 1:
        raise ECGError(
            f"array must have one axis of {n_leads} leads and one of samples, got shape "
            f"{tuple(int(size) for size in array.shape)}. Declare as many leads as the file has."
        )
    return array if is_lead_axis[1] else array.T


def array_to_ecg(
    array: np.ndarray,
    settled: DeclaredSignal,
    *,
    source_format: str,
    units: Sequence[str] = (),
    notes: tuple[str, ...] = (),
) -> ECG:
    """Convert one recording of bare numbers to the signal contract.

    Parameters
    ----------
    array
        (samples, leads) or (leads, samples), whole or real numbers.
    settled
        Of ``settle``.
    source_format
        Kept in the record.
    units
        One a lead, where they differ.
    notes
        Added to the record's.

    Returns
    -------
    ECG
        With the hash of its samples: one recording has the same one in every format.

    Raises
    ------
    ECGError
        If the array is not of numbers, holds impossible ones, or ``to_contract`` refuses it.
    """
    if array.dtype.kind not in "iuf":
        raise ECGError(f"array must hold numbers, got another kind of value. {_AGAIN}")
    samples = np.ascontiguousarray(orient(array, len(settled.leads)), dtype="<f8")
    if (np.abs(samples) > _LARGEST).any():
        raise ECGError(
            f"samples must be below {_LARGEST:g} in size, got larger ones: the file is damaged or "
            f"of another kind. {_AGAIN}"
        )
    with np.errstate(all="ignore"):
        ecg = to_contract(
            samples,
            lead_names=[plain_lead(name) for name in settled.leads],
            unit=list(units) or settled.unit,
            rate_hz=settled.rate_hz,
            source_format=source_format,
            step=float(array.dtype.kind != "f"),
        )
    ecg.notes = (*notes, *ecg.notes)
    ecg.file_sha256 = hashlib.sha256(samples.tobytes()).hexdigest()
    return ecg
