"""HDF5: one recording, or several of one length along the first axis of one dataset.

CODE-15 % and SaMi-Trop (Ribeiro et al. 2021, doi:10.5281/zenodo.4916206 and 4905618) are such
files: ``tracings`` (exams, 4096, 12), and in CODE-15 % ``exam_id`` for its rows. Shorter exams are
centred between zeros; rows in which all leads are exactly zero are cut off at both ends. MATLAB
files of version 7.3 are HDF5 too.

One row is read at a time. Links and datasets that lead out of the file are refused.
"""

from __future__ import annotations

import functools
import math
from pathlib import Path
from typing import Any

import numpy as np

from data_processing.declared import DeclaredSignal, merged
from data_processing.errors import ECGError
from data_processing.readers.arrays import (
    FEWEST_LEADS,
    MOST_LEADS,
    RATE_NAMES,
    SIGNAL_NAMES,
    UNIT_NAMES,
    array_to_ecg,
    one_recording,
    row_number,
    settle,
)
from data_processing.signals import ECG

_FORMAT = "HDF5"
_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_ID_NAMES = ("exam_id", "record_id", "id")
_MOST_BYTES = 1 << 28  # of a recording, a chunk or the identifiers
_MOST_RATIO = 1100  # unpacked to packed, of what is read at once; DEFLATE reaches 1032


def matches(path: Path) -> bool:
    """Return whether a file has HDF5's signature, at its start or behind MATLAB's header."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        start = file.read(520)
    return start[:8] == _SIGNATURE or start[512:] == _SIGNATURE


def read(path: Path, record: str, declared: DeclaredSignal) -> ECG:
    """Read one recording into the signal contract.

    Parameters
    ----------
    path
        The file.
    record
        Of a file of several: its number in ``exam_id``; without that, its row (from 0).
    declared
        What the file does not state, in general all.

    Raises
    ------
    ECGError
        If the file is damaged, holds no such dataset or recording, or unit, rate or leads are
        unknown.
    """
    import h5py

    with h5py.File(path, "r") as file:
        datasets = _own_datasets(file)
        signal = _signal_of(datasets)
        stated = merged(_stated_by(datasets), merged(_attributes(signal), _attributes(file)))
        settled = settle(stated, declared)
        identifiers = next((name for name in _ID_NAMES if name in datasets), "")
        if signal.ndim == 3 and identifiers:
            about = path.stat()
            rows = _rows_of(str(path), identifiers, about.st_mtime_ns, about.st_size)
            array = _read_row(signal, _row_named(rows, record))
        elif signal.ndim == 3:
            array = _read_row(signal, row_number(record, len(signal)))
        else:
            _check_size(signal, math.prod(signal.shape))
            array = one_recording(signal[()], record)
        array, notes = _without_zeros(array, len(settled.leads))
        return array_to_ecg(array, settled, source_format=_FORMAT, notes=notes)


def _own_datasets(file: Any) -> dict[str, Any]:
    """Return the datasets that lie in the file itself, at its top, by name in lower case."""
    import h5py

    found = {}
    for name in list(file):
        if not isinstance(file.get(name, getlink=True), h5py.HardLink):
            continue
        item = file[name]
        if isinstance(item, h5py.Dataset) and not (item.is_virtual or item.external):
            found[str(name).lower()] = item
    return found


def _signal_of(datasets: dict[str, Any]) -> Any:
    """Return the dataset of a usual name, or the only one of a fitting shape."""
    fitting = {name: item for name, item in datasets.items() if _may_be_ecg(item)}
    named = [fitting[name] for name in SIGNAL_NAMES if name in fitting]
    if not named and len(fitting) != 1:
        raise ECGError(
            f"HDF5 file must hold one dataset with {FEWEST_LEADS} or more leads at its top, or one "
            f"named {', '.join(SIGNAL_NAMES)}, got {len(fitting)} of other names. Save it as "
            "'signal'."
        )
    return named[0] if named else next(iter(fitting.values()))


def _may_be_ecg(item: Any) -> bool:
    return (
        item.ndim in (2, 3)
        and item.dtype.kind in "iuf"
        and FEWEST_LEADS <= min(item.shape[-2:]) <= MOST_LEADS
    )


def _check_size(item: Any, n_values: int) -> None:
    """Refuse what would unpack to far more than is stored: a bomb, or a size that is damaged."""
    largest = max(n_values, math.prod(item.chunks or ())) * item.dtype.itemsize
    if largest > min(_MOST_BYTES, _MOST_RATIO * item.id.get_storage_size()):
        raise ECGError(
            f"HDF5 recording must be at most {_MOST_BYTES >> 20} MiB and be stored in full, got "
            "another size. The file is damaged, or empty there: copy it again."
        )


def _read_row(signal: Any, row: int) -> np.ndarray:
    _check_size(signal, math.prod(signal.shape[1:]))
    return np.asarray(signal[row])


@functools.lru_cache(maxsize=4)  # per process; a part of CODE-15 % has 20,000 exams
def _rows_of(path: str, name: str, mtime_ns: int, size: int) -> dict[int, int]:
    """Return the row of each identifier; -1 where it occurs several times."""
    import h5py

    with h5py.File(path, "r") as file:
        item = _own_datasets(file)[name]
        if item.ndim != 1 or item.dtype.kind not in "iu":
            raise ECGError(
                "HDF5 exam_id must be one whole number a row, got something else. Save the file "
                "again."
            )
        _check_size(item, len(item))
        rows: dict[int, int] = {}
        for row, identifier in enumerate(item[()].tolist()):
            rows[identifier] = -1 if identifier in rows else row
        return rows


def _row_named(rows: dict[int, int], record: str) -> int:
    is_number = record.isascii() and record.isdigit() and len(record) <= 18
    row = rows.get(int(record)) if is_number else None
    if row is None or row < 0:
        found = "one that is not there" if row is None else "one that is there twice"
        raise ECGError(
            f"record must be the number of one exam in the HDF5 file, got {found}. Check it in the "
            "table of ECGs."
        )
    return row


def _without_zeros(array: np.ndarray, n_leads: int) -> tuple[np.ndarray, tuple[str, ...]]:
    """Cut off the samples at both ends in which all leads are exactly zero; note it."""
    lead_axis = 0 if array.shape[0] == n_leads else 1
    is_empty = (array == 0).all(axis=lead_axis)
    inside = np.flatnonzero(~is_empty)
    if not len(inside):
        raise ECGError("HDF5 recording must hold samples, got zeros only. Leave it out.")
    if not is_empty[0] and not is_empty[-1]:
        return array, ()
    kept = slice(int(inside[0]), int(inside[-1]) + 1)
    n_cut = len(is_empty) - (kept.stop - kept.start)
    note = f"{n_cut} samples of padding cut off"
    return (array[kept] if lead_axis == 1 else array[:, kept]), (note,)


def _stated_by(datasets: dict[str, Any]) -> DeclaredSignal:
    """Return the rate and unit that stand beside the samples as datasets of one value."""
    rate, unit = (
        next((datasets[name] for name in names if name in datasets), None)
        for names in (RATE_NAMES, UNIT_NAMES)
    )
    return DeclaredSignal("" if unit is None else _text(unit), 0.0 if rate is None else _rate(rate))


def _attributes(owner: Any) -> DeclaredSignal:
    """Return the rate and unit among the attributes of the samples or of the file."""
    rate, unit = (
        next((owner.attrs[name] for name in names if name in owner.attrs), None)
        for names in (RATE_NAMES, UNIT_NAMES)
    )
    text = unit.decode("utf-8") if isinstance(unit, bytes) else str(unit or "")
    return DeclaredSignal(text, 0.0 if rate is None else float(np.asarray(rate).item()))


def _rate(item: Any) -> float:
    if math.prod(item.shape) != 1 or item.dtype.kind not in "iuf":
        raise ECGError("HDF5 rate must be one number, got something else. Save the file again.")
    return float(np.asarray(item[()]).item())


def _text(item: Any) -> str:
    """Return a short text: one string, or MATLAB's numbers of its characters."""
    if item.dtype.kind == "u" and math.prod(item.shape) <= 20:
        return "".join(map(chr, np.asarray(item[()]).ravel().tolist()))
    if math.prod(item.shape) != 1 or item.dtype.kind not in "OS":
        raise ECGError("HDF5 unit must be one text, got something else. Save the file again.")
    value = np.asarray(item[()]).item()
    return value.decode("utf-8") if isinstance(value, bytes) else str(value)
