"""NumPy's NPY and NPZ: one recording, or several of one length along the first axis.

Nothing is ever unpickled. NPZ may state more than the samples: arrays named ``signal``,
``rate_hz``, ``unit`` and ``leads`` (or the other names in ``arrays``).
Format: NumPy Enhancement Proposal 1, https://numpy.org/neps/nep-0001-npy-format.html.
"""

from __future__ import annotations

import functools
import math
import zipfile
from pathlib import Path
from typing import IO

import numpy as np
from numpy.lib import format as npy_format

from data_processing.declared import DeclaredSignal
from data_processing.errors import ECGError
from data_processing.readers.arrays import (
    LEAD_NAMES,
    RATE_NAMES,
    SIGNAL_NAMES,
    UNIT_NAMES,
    array_to_ecg,
    one_recording,
    settle,
)
from data_processing.signals import ECG

_FORMAT = "NumPy"
_MAGIC = b"\x93NUMPY"
_MOST_HEADER_BYTES = 10_000
_MOST_ARCHIVE_BYTES = 1 << 28  # of an NPZ unpacked: it is read whole
_MOST_RATIO = 100  # unpacked to packed; ECGs reach 10
_HEADERS = {(1, 0): npy_format.read_array_header_1_0, (2, 0): npy_format.read_array_header_2_0}


def matches(path: Path) -> bool:
    """Return whether a file is NPY, or an archive of NPY files alone."""
    if not path.is_file():
        return False
    start = _start_of(path)
    if start == _MAGIC:
        return True
    if start[:4] != b"PK\x03\x04":
        return False
    try:
        with zipfile.ZipFile(path) as archive:
            return all(name.endswith(".npy") for name in archive.namelist())
    except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError):
        # Cut off behind its beginning: the name of the first member tells what it was.
        with path.open("rb") as file:
            return b".npy" in file.read(300)


def _start_of(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(len(_MAGIC))


def read(path: Path, record: str, declared: DeclaredSignal) -> ECG:
    """Read one recording into the signal contract.

    Parameters
    ----------
    path
        The file.
    record
        Row (from 0) of an array (recordings, samples, leads); else empty.
    declared
        What the file does not state; an NPY file states nothing.

    Raises
    ------
    ECGError
        If the file is damaged, too large when unpacked, or unit, rate or leads are unknown.
    """
    if _start_of(path) == _MAGIC:
        array, stated = _memory_map(path), DeclaredSignal()
    else:
        about = path.stat()
        arrays = _unpacked(str(path), about.st_mtime_ns, about.st_size)
        array, stated = _signal_of(arrays), _stated_by(arrays)
    settled = settle(stated, declared)
    return array_to_ecg(one_recording(array, record), settled, source_format=_FORMAT)


def _header(file: IO[bytes], n_bytes: int) -> tuple[tuple[int, ...], bool, np.dtype]:
    """Return shape, order and type; refuse a header that does not fit the file's size."""
    read_header = _HEADERS.get(npy_format.read_magic(file))
    if read_header is None:
        raise ECGError(
            "NPY file must be of version 1 or 2, got another. Save the array with numpy.save."
        )
    shape, is_fortran, dtype = read_header(file, max_header_size=_MOST_HEADER_BYTES)
    if dtype.kind not in "iufU" or dtype.hasobject:
        raise ECGError("NPY file must hold numbers, got objects or records. Save a plain array.")
    n_expected = math.prod(shape) * dtype.itemsize
    if min(shape, default=1) < 0 or n_expected != n_bytes - file.tell():
        raise ECGError(
            f"NPY file must be as long as its header says, got {n_bytes - file.tell()} bytes of "
            f"samples instead of {min(n_expected, 10**18)}. It is cut off or damaged: copy it "
            "again."
        )
    return shape, is_fortran, dtype


def _memory_map(path: Path) -> np.ndarray:
    with path.open("rb") as file:
        shape, is_fortran, dtype = _header(file, path.stat().st_size)
        offset = file.tell()
    if not math.prod(shape):
        raise ECGError("NPY file must hold samples, got none. Save the array again.")
    order = "F" if is_fortran else "C"
    return np.memmap(path, dtype=dtype, mode="r", offset=offset, shape=shape, order=order)


@functools.lru_cache(maxsize=1)  # a process reads the rows of one archive one after another
def _unpacked(path: str, mtime_ns: int, size: int) -> dict[str, np.ndarray]:
    """Return the arrays of an archive by name, in lower case."""
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        n_bytes = sum(member.file_size for member in members)
        if n_bytes > min(_MOST_ARCHIVE_BYTES, _MOST_RATIO * size):
            raise ECGError(
                f"NPZ file must unpack to at most {_MOST_ARCHIVE_BYTES >> 20} MiB and "
                f"{_MOST_RATIO} times its size, got more. Save large arrays as .npy."
            )
        arrays = {}
        for member in members:
            with archive.open(member) as file:
                shape, is_fortran, dtype = _header(file, member.file_size)
                values = np.frombuffer(file.read(), dtype=dtype)
            order = "F" if is_fortran else "C"
            arrays[member.filename.removesuffix(".npy").lower()] = values.reshape(
                shape, order=order
            )
        return arrays


def _first(arrays: dict[str, np.ndarray], names: tuple[str, ...]) -> np.ndarray | None:
    return next((arrays[name] for name in names if name in arrays), None)


def _signal_of(arrays: dict[str, np.ndarray]) -> np.ndarray:
    found = next(iter(arrays.values())) if len(arrays) == 1 else _first(arrays, SIGNAL_NAMES)
    if found is None:
        raise ECGError(
            f"NPZ file must hold one array, or one named {', '.join(SIGNAL_NAMES)}, got "
            f"{len(arrays)} of other names. Save the samples as 'signal'."
        )
    return found


def _stated_by(arrays: dict[str, np.ndarray]) -> DeclaredSignal:
    """Return what the archive's other arrays say about the samples."""
    rate, unit, leads = (_first(arrays, names) for names in (RATE_NAMES, UNIT_NAMES, LEAD_NAMES))
    is_right = (
        (rate is None or (rate.size == 1 and rate.dtype.kind in "iuf"))
        and (unit is None or (unit.size == 1 and unit.dtype.kind == "U"))
        and (leads is None or (leads.ndim == 1 and leads.dtype.kind == "U"))
    )
    if not is_right:
        raise ECGError(
            "NPZ file must state its rate as one number, its unit as one text and its leads as a "
            "list of texts, got something else. Save them again."
        )
    return DeclaredSignal(
        "" if unit is None else str(unit.item()),
        0.0 if rate is None else float(rate.item()),
        () if leads is None else tuple(str(name) for name in leads),
    )
