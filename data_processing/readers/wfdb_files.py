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
from typing import NamedTuple

import numpy as np
import wfdb

from data_processing.errors import ECGError
from data_processing.lead_gains import SUSPICION, contradicts_limb_leads
from data_processing.signals import ECG, to_contract

_RECORD_LINE = re.compile(rb"^(?:\s*#[^\n]*\n|\s*\n)*[^\s/#]+(/\d+)?[ \t]+\d+")
_GAIN = re.compile(r"^([-+.\deE]+)(?:\([-+\d]+\))?(?:/(\S+))?$")
_SEGMENT_NAME = re.compile(r"^[A-Za-z0-9_-]+$")
_RATE = re.compile(r"(?=[\d.]*[1-9])(\d+\.?\d*|\.\d+)(/[^\s]*)?")
_MOST_SEGMENTS = 1000
_DAMAGED = "Copy or export the record again."
_SEGMENTS = "Export the record as one segment."


def _header_path(path: Path) -> Path:
    return path if path.suffix == ".hea" else path.with_name(path.name + ".hea")


def _find_header(path: Path) -> Path | None:
    """Return the header that belongs to a header, a record's name or a file of samples.

    Another file that happens to lie beside a header of its name (``x.npy`` beside ``x.hea``) is
    none of these.
    """
    if _header_path(path).is_file():
        return _header_path(path)
    beside = path.with_suffix(".hea")
    if not (path.is_file() and beside.is_file()):
        return None
    named = {line.split()[0] for line in _lines(beside)[1:]}
    return beside if path.name in named else None


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
        Where the gains of the header contradict the limb leads and the stored integers do not
        (LUDB), the integers are taken at 1 uV a unit; that is a suspicion of the record.
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
    segments = [_read_segment(found) for found in _segment_headers(header)]
    first = segments[0]
    if any((item.leads, item.units, item.rate_hz) != first[1:4] for item in segments):
        raise ECGError(f"WFDB segments must have one list of leads and one rate. {_SEGMENTS}")
    signal = np.concatenate([item.signal for item in segments])
    is_one_gain = set(first.units) == {"mV"} and contradicts_limb_leads(
        signal, first.gains, first.leads
    )
    ecg = to_contract(
        signal * first.gains if is_one_gain else signal,
        lead_names=first.leads,
        unit="uV" if is_one_gain else first.units,
        rate_hz=first.rate_hz,
        source_format="WFDB",
        step=1.0 if is_one_gain else max(item.step for item in segments),
    )
    if is_one_gain:
        ecg.suspicions = (*ecg.suspicions, SUSPICION)
    ecg.recorded_at = first.recorded_at
    ecg.file_sha256 = hashlib.sha256(b"".join(item.samples for item in segments)).hexdigest()
    return ecg


class _Segment(NamedTuple):
    """What one header and its samples hold; a record has one or several."""

    signal: np.ndarray
    leads: list[str]
    units: list[str]
    rate_hz: float
    gains: list[float]
    step: float
    recorded_at: datetime | None
    samples: bytes


def _segment_headers(header: Path) -> list[Path]:
    """Return the headers of a record's segments: itself, unless it lists others.

    Only segments that follow one another and hold the same leads are read; a segment of length 0
    (the layout of changing leads) or ``~`` (a gap) is a refusal.
    """
    lines = _lines(header)
    if "/" not in lines[0].split()[0]:
        return [header]
    words = [line.split() for line in lines[1:]]
    is_right = all(
        len(item) == 2 and _SEGMENT_NAME.match(item[0]) and item[1].isdecimal() and int(item[1])
        for item in words
    )
    if not is_right or not 0 < len(words) <= _MOST_SEGMENTS:
        raise ECGError(f"WFDB segments must follow one another with the same leads. {_SEGMENTS}")
    found = [header.with_name(f"{name}.hea") for name, _ in words]
    for path, (_, length) in zip(found, words, strict=True):
        if not path.is_file() or path == header or _stated_length(path) != int(length):
            raise ECGError(
                f"WFDB segments must be beside their header, as long as it says. {_SEGMENTS}"
            )
    return found


def _lines(header: Path) -> list[str]:
    """Return the lines of a header without its comments."""
    text = header.read_text(encoding="utf-8", errors="replace")
    lines = [line.strip() for line in text.splitlines()]
    found = [line for line in lines if line and not line.startswith("#")]
    if not found:
        raise ECGError(f"WFDB header must hold a record, got none. {_DAMAGED}")
    return found


def _stated_length(header: Path) -> int:
    words = _lines(header)[0].split()
    is_single = "/" not in words[0]
    return int(words[3]) if is_single and len(words) > 3 and words[3].isdecimal() else -1


def _read_segment(header: Path) -> _Segment:
    _check_rate_is_stated(header)
    gains = _declared_gains(header)
    record = _decode(header)
    _check_checksums(record)
    names = dict.fromkeys(record.file_name)
    return _Segment(
        signal=_without_skew(record.dac(), record.skew),
        leads=list(record.sig_name),
        units=list(record.units),
        rate_hz=float(record.fs),
        gains=gains,
        step=1.0 / min(abs(gain) for gain in gains),
        recorded_at=record.base_datetime,
        samples=b"".join((header.parent / name).read_bytes() for name in names),
    )


def _without_skew(signal: np.ndarray, skews: list[int | None]) -> np.ndarray:
    """Return the signals with the stated delays between them taken out; shorter by the longest."""
    delays = [skew or 0 for skew in skews]
    if not any(delays):
        return signal
    n_samples = len(signal) - max(delays)
    if min(delays) < 0 or n_samples < 1:
        raise ECGError(f"WFDB skew must be 0 or more and shorter than the record. {_DAMAGED}")
    columns = [signal[delay : delay + n_samples, k] for k, delay in enumerate(delays)]
    return np.stack(columns, axis=1)


def _check_rate_is_stated(header: Path) -> None:
    """Refuse a header without a right rate: the format's default, 250 Hz, would be taken."""
    words = _lines(header)[0].split()
    if len(words) < 3 or not _RATE.fullmatch(words[2]):
        found = "another word" if len(words) > 2 else "none"
        raise ECGError(
            f"WFDB header must state the sampling rate as a number above 0, got {found}. {_DAMAGED}"
        )


def _declared_gains(header: Path) -> list[float]:
    """Return units per physical unit of each signal as written; refuse what is not calibrated."""
    gains = []
    for line in _lines(header)[1:]:
        words = line.split()
        match = _GAIN.match(words[2]) if len(words) > 2 else None
        try:
            gain = float(match.group(1)) if match else 0.0
        except ValueError:
            gain = 0.0
        if len(words) > 2 and re.search(r"[/\\]|^~", words[0]):
            raise ECGError(
                f"WFDB samples must lie beside their header, got another place. {_DAMAGED}"
            )
        if gain == 0.0:  # the format's mark for "not calibrated"; wfdb would assume 200
            raise ECGError(
                "WFDB gain must be stated for every lead, got a header without it: the scale is "
                "unknown. Export the ECG with its calibration."
            )
        if re.match(r"\d+x(?!1\b)", words[1]):  # wfdb would average them
            raise ECGError(
                "WFDB leads must have one sample a frame, got several. Export them at one rate."
            )
        gains.append(gain)
    if not gains:
        raise ECGError(f"WFDB header must list the leads, got none. {_DAMAGED}")
    return gains


def _decode(header: Path) -> wfdb.Record:
    """Return the record with its stored integers."""
    try:
        record = wfdb.rdrecord(str(header.with_suffix("")), physical=False, ignore_skew=True)
    except FileNotFoundError:
        raise ECGError(f"WFDB samples must exist, got a header alone. {_DAMAGED}") from None
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
