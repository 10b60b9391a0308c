"""WFDB records (PhysioNet): a text header ``.hea`` and a binary file of samples.

Format: https://physionet.org/physiotools/wag/header-5.htm. Decoding is the ``wfdb`` package's;
what it passes over silently is checked here: a missing gain (it assumes 200 units/mV), and the
checksum of the samples.
"""

from __future__ import annotations

import hashlib
import re
from datetime import datetime
from pathlib import Path

import numpy as np
import wfdb

from data_processing.errors import ECGError
from data_processing.signals import ECG, to_contract

_RECORD_LINE = re.compile(rb"^(?:\s*#[^\n]*\n|\s*\n)*[^\s/#]+(/\d+)?[ \t]+\d+")
_GAIN = re.compile(r"^([-+.\deE]+)(?:\([-+\d]+\))?(?:/(\S+))?$")
_DAMAGED = "Copy or export the record again."


def _header_path(path: Path) -> Path:
    return path if path.suffix == ".hea" else path.with_name(path.name + ".hea")


def _find_header(path: Path) -> Path | None:
    """Return the header that belongs to a header, a record name or a file of samples."""
    for candidate in (_header_path(path), path.with_suffix(".hea")):
        if candidate.is_file():
            return candidate
    return None


def matches(path: Path) -> bool:
    """Return whether a WFDB header lies at, or belongs to, this path."""
    header = _find_header(Path(path))
    if header is None:
        return False
    with header.open("rb") as file:
        return _RECORD_LINE.match(file.read(4096)) is not None


def read(path: Path) -> ECG:
    """Read a WFDB record into the signal contract.

    Parameters
    ----------
    path
        Header, samples, or both without extension.

    Returns
    -------
    ECG
        ``file_sha256`` is the hash of the samples' file alone: the header repeats the record's
        name, so two copies under two names would differ.

    Raises
    ------
    ECGError
        If header or samples are missing, damaged, uncalibrated or not a 12-lead ECG.
    """
    header = _find_header(Path(path))
    if header is None:
        raise ECGError(f"WFDB header must exist, got no .hea file. {_DAMAGED}")
    gains = _declared_gains(header)
    record = _decode(header)
    _check_checksums(record)
    return _with_origin(
        to_contract(
            record.dac(),
            lead_names=record.sig_name,
            unit=record.units,
            rate_hz=float(record.fs),
            source_format="WFDB",
            step=1.0 / min(abs(gain) for gain in gains),
        ),
        recorded_at=record.base_datetime,
        file_sha256=_hash_samples(header, record),
    )


def _with_origin(ecg: ECG, *, recorded_at: datetime | None, file_sha256: str) -> ECG:
    ecg.recorded_at = recorded_at
    ecg.file_sha256 = file_sha256
    return ecg


def _declared_gains(header: Path) -> list[float]:
    """Return units per physical unit of each signal as written; refuse what is not calibrated."""
    lines = [
        line.strip()
        for line in header.read_text(encoding="utf-8", errors="replace").splitlines()
        if line.strip() and not line.lstrip().startswith("#")
    ]
    if "/" in lines[0].split()[0]:
        raise ECGError(
            "WFDB record must have one segment, got a multi-segment header. Export one segment."
        )
    gains = []
    for line in lines[1:]:
        words = line.split()
        match = _GAIN.match(words[2]) if len(words) > 2 else None
        try:
            gain = float(match.group(1)) if match else 0.0
        except ValueError:
            gain = 0.0
        if gain == 0.0:  # the format's mark for "not calibrated"; wfdb would assume 200
            raise ECGError(
                "WFDB gain must be stated for every lead, got a header without it: the scale is "
                "unknown. Export the ECG with its calibration."
            )
        gains.append(gain)
    if not gains:
        raise ECGError(f"WFDB header must list the leads, got none. {_DAMAGED}")
    return gains


def _decode(header: Path) -> wfdb.Record:
    """Return the record with its stored integers."""
    try:
        record = wfdb.rdrecord(str(header.with_suffix("")), physical=False)
    except FileNotFoundError:
        raise ECGError(f"WFDB samples must exist, got a header alone. {_DAMAGED}") from None
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, OSError) as error:
        # The original text may quote the path: its kind alone is passed on.
        raise ECGError(
            f"WFDB record must be readable, got {type(error).__name__} while decoding: header and "
            f"samples do not fit together. {_DAMAGED}"
        ) from None
    if not isinstance(record, wfdb.Record) or record.d_signal is None or not record.sig_len:
        raise ECGError(f"WFDB record must hold samples, got none. {_DAMAGED}")
    return record


def _check_checksums(record: wfdb.Record) -> None:
    """Compare the 16-bit sums of the samples with those in the header, where it has them."""
    computed = np.asarray(record.calc_checksum())
    for position, stated in enumerate(record.checksum or []):
        if stated is not None and (int(stated) - int(computed[position])) % 65536:
            raise ECGError(
                f"WFDB samples must have the checksum of the header, they differ in channel "
                f"{position + 1}. {_DAMAGED}"
            )


def _hash_samples(header: Path, record: wfdb.Record) -> str:
    digest = hashlib.sha256()
    for name in dict.fromkeys(record.file_name):
        digest.update((header.parent / name).read_bytes())
    return digest.hexdigest()
