"""MATLAB files of versions 4 to 7 (``.mat``); version 7.3 is HDF5 and read by ``hdf5``.

The samples are the one matrix with as many rows or columns as there are leads. Rate, unit and
leads may stand beside it as variables or as fields of one structure (``fs``, ``unit``, ``leads``).
Decoding is SciPy's; what could make it take memory by a number in the file is checked before.
Format: MathWorks, MAT-File Level 5 File Format.
"""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from scipy.io import loadmat

from data_processing.declared import DeclaredSignal
from data_processing.errors import ECGError
from data_processing.readers.arrays import (
    FEWEST_LEADS,
    LEAD_NAMES,
    MOST_LEADS,
    RATE_NAMES,
    SIGNAL_NAMES,
    UNIT_NAMES,
    array_to_ecg,
    decoding,
    one_recording,
    settle,
)
from data_processing.signals import ECG

_FORMAT = "MATLAB"
_HEADER_BYTES = 128
_COMPRESSED, _MATRIX = 15, 14  # types of a data element
_MOST_BYTES = 1 << 28  # of a variable unpacked
_MOST_RATIO = 100  # unpacked to packed; ECGs reach 10
_V4_BYTES = {0: 8, 1: 4, 2: 4, 3: 2, 4: 2, 5: 1}  # of a number, by the tens digit of its type


def matches(path: Path) -> bool:
    """Return whether a file has the header of version 5, or is one matrix of version 4."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        start = file.read(_HEADER_BYTES)
    return _order_of_version_5(start) != "" or _is_version_4(start, path.stat().st_size)


def read(path: Path, record: str, declared: DeclaredSignal) -> ECG:
    """Read one recording into the signal contract.

    Parameters
    ----------
    path
        The file.
    record
        Row (from 0) of an array (recordings, samples, leads); else empty.
    declared
        What the file does not state.

    Raises
    ------
    ECGError
        If the file is damaged, holds no such matrix, or unit, rate or leads are unknown. A file of
        the PhysioNet Challenges without its header is one of these.
    """
    with decoding(_FORMAT):
        content = path.read_bytes()
        order = _order_of_version_5(content)
        if order:
            _check_elements(content, order)
        variables = _flat(loadmat(path, simplify_cells=True))
        stated = _stated_by(variables)
        if not order and not (stated.unit or declared.unit):
            raise ECGError(
                "MATLAB file of this kind must have its WFDB header, got no .hea file of its name. "
                "Copy the .hea file beside it, or declare unit, rate_hz and leads."
            )
        settled = settle(stated, declared)
        array = one_recording(_signal_of(variables), record)
        return array_to_ecg(array, settled, source_format=_FORMAT)


def _order_of_version_5(start: bytes) -> str:
    """Return ``<`` or ``>``, the order of the bytes; empty if it is no file of version 5."""
    order = {b"IM": "<", b"MI": ">"}.get(start[126:128], "")
    if not order or not start.startswith(b"MATLAB"):
        return ""
    return order if struct.unpack(f"{order}H", start[124:126])[0] == 0x0100 else ""


def _is_version_4(start: bytes, n_bytes: int) -> bool:
    """Return whether the file is exactly one matrix of version 4, as the Challenges have it."""
    if len(start) < 20:
        return False
    kind, n_rows, n_columns, is_complex, n_name = struct.unpack("<5i", start[:20])
    width = _V4_BYTES.get(kind // 10 % 10, 0)
    is_sane = 0 <= kind < 60 and kind % 10 == 0 and min(n_rows, n_columns) > 0
    if not (is_sane and is_complex == 0 and 1 < n_name <= 64 and width):
        return False
    return 20 + n_name + n_rows * n_columns * width == n_bytes


def _check_elements(content: bytes, order: str) -> None:
    """Check that every variable ends within the file, and what it unpacks to."""
    position = _HEADER_BYTES
    while position < len(content):
        if position + 8 > len(content):
            raise _cut_off()
        kind, n_bytes = struct.unpack_from(f"{order}2I", content, position)
        position += 8
        if n_bytes > len(content) - position:
            raise _cut_off()
        if kind == _COMPRESSED:
            start = zlib.decompressobj().decompress(content[position : position + n_bytes], 8)
            kind, n_unpacked = struct.unpack(f"{order}2I", start)
            if n_unpacked > min(_MOST_BYTES, _MOST_RATIO * n_bytes + 1000):
                raise ECGError(
                    f"MATLAB variable must unpack to at most {_MOST_BYTES >> 20} MiB and "
                    f"{_MOST_RATIO} times its size, got more. Save one recording a file."
                )
        if kind != _MATRIX:
            raise ECGError("MATLAB file must hold variables, got something else. Save it again.")
        position += n_bytes


def _cut_off() -> ECGError:
    return ECGError(
        "MATLAB file must hold all of each variable, it ends before. It is cut off: copy it again."
    )


def _flat(variables: dict[str, Any]) -> dict[str, Any]:
    """Return variables and the fields of structures by name, in lower case."""
    found: dict[str, Any] = {}
    for name, value in variables.items():
        if name.startswith("__"):
            continue
        inner = value if isinstance(value, dict) else {name: value}
        found |= {str(key).lower(): item for key, item in inner.items()}
    return found


def _signal_of(variables: dict[str, Any]) -> np.ndarray:
    """Return the samples: the variable of a usual name, or the only one of a fitting shape."""
    fitting = {name: value for name, value in variables.items() if _may_be_ecg(value)}
    named = [fitting[name] for name in SIGNAL_NAMES if name in fitting]
    if not named and len(fitting) != 1:
        raise ECGError(
            f"MATLAB file must hold one matrix with {FEWEST_LEADS} or more leads, or one named "
            f"{', '.join(SIGNAL_NAMES)}, got {len(fitting)} of other names. Save it as 'signal'."
        )
    return named[0] if named else next(iter(fitting.values()))


def _may_be_ecg(value: Any) -> bool:
    return (
        isinstance(value, np.ndarray)
        and value.ndim in (2, 3)
        and value.dtype.kind in "iuf"
        and FEWEST_LEADS <= min(value.shape[-2:]) <= MOST_LEADS
    )


def _stated_by(variables: dict[str, Any]) -> DeclaredSignal:
    """Return what the variables say about the samples; what is of another kind says nothing."""
    rate, unit, leads = (
        next((variables[name] for name in names if name in variables), None)
        for names in (RATE_NAMES, UNIT_NAMES, LEAD_NAMES)
    )
    is_number = isinstance(rate, int | float | np.integer | np.floating)
    names = list(leads) if isinstance(leads, list | np.ndarray) else []
    return DeclaredSignal(
        unit if isinstance(unit, str) else "",
        float(rate) if is_number and np.isfinite(rate) and rate > 0 else 0.0,
        tuple(str(name).strip() for name in names if isinstance(name, str)),
    )
