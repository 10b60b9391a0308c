"""MATLAB files of versions 4 to 7 (``.mat``); version 7.3 is HDF5 and read by ``hdf5``.

The samples are the one matrix with as many rows or columns as there are leads. Rate, unit and
leads may stand beside it as variables or as fields of one structure (``fs``, ``unit``, ``leads``).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

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
    one_recording,
    settle,
)
from data_processing.readers.matlab_elements import (
    HEADER_BYTES,
    decode_version_5,
    order_of_version_5,
    version_4,
)
from data_processing.signals import ECG

_FORMAT = "MATLAB"


def matches(path: Path) -> bool:
    """Return whether a file has the header of version 5, or is one matrix of version 4."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        start = file.read(HEADER_BYTES)
    is_4 = version_4(start, path.stat().st_size) is not None
    return is_4 or order_of_version_5(start) != ""


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
    content = path.read_bytes()
    order = order_of_version_5(content)
    variables = _flat(decode_version_5(content, order) if order else _matrix_of(content))
    stated = _stated_by(variables)
    if not order and not (stated.unit or declared.unit):
        raise ECGError(
            "MATLAB file of this kind must have its WFDB header, got no .hea file of its name. "
            "Copy the .hea file beside it, or declare unit, rate_hz and leads."
        )
    settled = settle(stated, declared)
    array = one_recording(_signal_of(variables), record)
    return array_to_ecg(array, settled, source_format=_FORMAT)


def _matrix_of(content: bytes) -> dict[str, Any]:
    """Return the matrix of a file of version 4."""
    found = version_4(content[:HEADER_BYTES], len(content))
    if found is None:
        raise ECGError("MATLAB file must be one whole matrix, it is not. Copy it again.")
    dtype, shape, position = found
    values = np.frombuffer(content, dtype, offset=position)
    return {"val": values.reshape(shape, order="F")}


def _flat(variables: dict[str, Any]) -> dict[str, Any]:
    """Return variables and the fields of structures by name, in lower case."""
    found: dict[str, Any] = {}
    for name, value in variables.items():
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
    rate_hz = float(rate.item()) if isinstance(rate, np.ndarray) and rate.size == 1 else 0.0
    names = leads if isinstance(leads, list) else []
    return DeclaredSignal(
        unit if isinstance(unit, str) else "",
        rate_hz if np.isfinite(rate_hz) and rate_hz > 0 else 0.0,
        tuple(name.strip() for name in names if isinstance(name, str)),
    )
