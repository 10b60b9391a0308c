"""SCP-ECG records (EN 1064:2005+A1:2007, ISO 11073-91064:2009), sections 0 to 6.

Read: samples with and without Huffman codes (default and own tables), amplitudes, first and second
differences, subtracted reference beats, bimodal compression. Of section 1 only date and time of
acquisition are read. Not read: long-term rhythm (section 12 of EN 1064:2020).

The only genuine file at hand has the default table and second differences. All else (no Huffman
codes, own tables, first differences, reference beats, bimodal compression) is tested on files
that the tests write: **untested on genuine files**.
"""

from __future__ import annotations

import binascii
import hashlib
import struct
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import numpy as np

from data_processing.errors import ECGError
from data_processing.leads import LEADS
from data_processing.readers import scp_huffman, scp_rhythm
from data_processing.readers.scp_rhythm import Encoded, Zones
from data_processing.signals import ECG, to_contract

_LEADS = dict(zip((1, 2, 61, 62, 63, 64, 3, 4, 5, 6, 7, 8), LEADS, strict=True))
_MOST_BYTES = 16 << 20  # 12 leads of at most 64 KiB each, twice, and some text
_MOST_SAMPLES = 150_000  # five minutes at 500 Hz
_HEADER, _POINTER = 16, 10
_DATE, _TIME, _LAST = 25, 26, 255
_MOST_FACTOR = 4  # one sample for at most so many outside the protected zones
_AGAIN = "Copy or export the ECG again."


class _Lead(NamedTuple):
    """Number in the file, name, first and last sample (from 1 on)."""

    position: int
    name: str
    first: int
    last: int


def matches(path: Path) -> bool:
    """Return whether the file begins with a pointer section that points to itself."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        head = file.read(32)
    if len(head) < 32:
        return False
    number, length = struct.unpack_from("<HI", head, 8)
    own = struct.pack("<HII", 0, length, 7)
    return number == 0 and length % _POINTER == _HEADER % _POINTER and head[22:32] == own


def read(path: Path) -> ECG:
    """Read the rhythm into the signal contract.

    Raises
    ------
    ECGError
        If a checksum is wrong, sections are missing or cut off, leads were not recorded together,
        or step, interval or zones do not fit the samples.
    """
    if path.stat().st_size > _MOST_BYTES:
        raise ECGError(f"SCP-ECG must be at most {_MOST_BYTES >> 20} MiB, got a larger file.")
    sections = _sections(path.read_bytes())
    for number, what in ((3, "leads"), (6, "rhythm")):
        if number not in sections:
            raise ECGError(
                f"SCP-ECG must have section {number} ({what}), got none. Export the rhythm."
            )
    leads, is_subtracted, n_leads = _leads(sections[3])
    rhythm = scp_rhythm.parse_encoded(sections[6], n_leads)
    tables = scp_huffman.parse_tables(sections[2]) if 2 in sections else []
    if rhythm.is_bimodal or is_subtracted:
        zones, beat = _beats(sections, n_leads)
        nanovolts = _decompress(leads, rhythm, tables, zones, beat, is_subtracted)
        interval_us = beat.interval_us
    else:
        n_samples = leads[0].last - leads[0].first + 1
        contents = [rhythm.leads[lead.position] for lead in leads]
        steps = [scp_rhythm.numbers(c, n_samples, rhythm.order, tables) for c in contents]
        nanovolts = np.stack(steps, axis=1) * float(rhythm.nanovolts)
        interval_us = rhythm.interval_us
    ecg = to_contract(
        nanovolts,
        lead_names=[lead.name for lead in leads],
        unit="nV",
        rate_hz=round(1e6 / interval_us, 3),
        source_format="SCP-ECG",
        step=float(rhythm.nanovolts),
    )
    ecg.recorded_at = _recorded_at(sections.get(1, b""))
    ecg.file_sha256 = hashlib.sha256(nanovolts.astype("<f8").tobytes()).hexdigest()
    return ecg


def _sections(content: bytes) -> dict[int, bytes]:
    """Return the sections 1 to 6 that are there, without their headers, after all checks."""
    crc, size = struct.unpack_from("<HI", content)
    if size > len(content):
        raise ECGError(
            f"SCP-ECG must have the {size} bytes it states, got {len(content)}: it is cut off. "
            f"{_AGAIN}"
        )
    content = content[:size]
    if binascii.crc_hqx(content[2:], 0xFFFF) != crc:
        raise ECGError(f"SCP-ECG must have its checksum, the file differs. {_AGAIN}")
    pointers = _section(content, 0, int.from_bytes(content[10:14], "little"), 7)
    found: dict[int, bytes] = {}
    for number, length, index in struct.iter_unpack("<HII", pointers):
        if not 1 <= number <= 6 or length <= _HEADER:
            continue
        if number in found:
            raise ECGError(f"SCP-ECG must have each section once, got one twice. {_AGAIN}")
        found[number] = _section(content, number, length, index)
    return found


def _section(content: bytes, number: int, length: int, index: int) -> bytes:
    """Return a section without its header; its place counts from 1."""
    section = content[index - 1 : index - 1 + length] if index else b""
    if length < _HEADER or len(section) != length:
        raise ECGError(f"SCP-ECG sections must lie in the file, {number} does not. {_AGAIN}")
    crc, own_number, own_length = struct.unpack_from("<HHI", section)
    if (own_number, own_length) != (number, length):
        raise ECGError(f"SCP-ECG pointers must lead to sections, {number} does not. {_AGAIN}")
    if binascii.crc_hqx(section[2:], 0xFFFF) != crc:
        raise ECGError(f"SCP-ECG must have its checksums, section {number} differs. {_AGAIN}")
    return section[_HEADER:]


def _leads(body: bytes) -> tuple[list[_Lead], bool, int]:
    """Return the twelve leads, whether beats were subtracted, and how many leads are stored."""
    if len(body) < 2 or len(body) < 2 + 9 * body[0]:
        raise ECGError(f"SCP-ECG section 3 must list the leads, it is cut off. {_AGAIN}")
    n_leads, flags = body[0], body[1]
    rows = struct.iter_unpack("<IIB", body[2 : 2 + 9 * n_leads])
    leads = [
        _Lead(position, _LEADS[code], first, last)
        for position, (first, last, code) in enumerate(rows)
        if code in _LEADS
    ]
    if not leads:
        raise ECGError("SCP-ECG must hold leads I, II and V1 to V6, got none. Export all leads.")
    ranges = {(lead.first, lead.last) for lead in leads}
    is_together = bool(flags & 4) or flags >> 3 == n_leads
    if not is_together or len(ranges) != 1:
        raise ECGError(
            "SCP-ECG leads must be recorded at the same time, they are not. Export ten seconds of "
            "all leads."
        )
    first, last = ranges.pop()
    if not 1 <= first <= last:
        raise ECGError(f"SCP-ECG leads must begin at sample 1 or later, they do not. {_AGAIN}")
    if last - first >= _MOST_SAMPLES:
        raise ECGError(
            f"SCP-ECG must have at most {_MOST_SAMPLES} samples a lead, got {last - first + 1}. "
            "Export ten seconds."
        )
    return leads, bool(flags & 1), n_leads


def _beats(sections: dict[int, bytes], n_leads: int) -> tuple[Zones, Encoded]:
    """Return the zones and the reference beat, which compressed rhythms need."""
    if 4 not in sections or 5 not in sections:
        raise ECGError(
            "SCP-ECG must have sections 4 and 5 (reference beat) as its rhythm is compressed with "
            "them, one is missing. Export the ECG without compression."
        )
    return scp_rhythm.parse_zones(sections[4]), scp_rhythm.parse_encoded(sections[5], n_leads)


def _decompress(
    leads: list[_Lead],
    rhythm: Encoded,
    tables: list[scp_huffman.Table],
    zones: Zones,
    beat: Encoded,
    is_subtracted: bool,
) -> np.ndarray:
    """Return (n_samples, n_leads) nanovolts from residuals and reference beats."""
    factor, rest = divmod(rhythm.interval_us, beat.interval_us)
    if rest or not 1 <= factor <= _MOST_FACTOR or (factor > 1 and not rhythm.is_bimodal):
        raise ECGError(
            f"SCP-ECG samples must be 1 to {_MOST_FACTOR} intervals of the reference beat apart, "
            f"got {rhythm.interval_us} and {beat.interval_us} microseconds. {_AGAIN}"
        )
    first, last = leads[0].first, leads[0].last
    n_samples = last - first + 1
    stretches = zones.unprotected(first, last) if factor > 1 else []
    n_stored = scp_rhythm.n_stored(stretches, n_samples, factor)
    n_beat = zones.beat_ms * 1000 // beat.interval_us
    signal = []
    for lead in leads:
        stored = scp_rhythm.numbers(rhythm.leads[lead.position], n_stored, rhythm.order, tables)
        full = stored.astype(np.float64)
        if factor > 1:
            full = scp_rhythm.expand(stored, stretches, n_samples, factor)
            full = scp_rhythm.smooth(full, stretches, zones, first)
        full *= rhythm.nanovolts
        if is_subtracted:
            values = scp_rhythm.numbers(beat.leads[lead.position], n_beat, beat.order, tables)
            scp_rhythm.add_beats(full, values * float(beat.nanovolts), zones, first)
        signal.append(full)
    return np.stack(signal, axis=1)


def _recorded_at(body: bytes) -> datetime | None:
    """Return date and time of acquisition, if section 1 states both."""
    found: dict[int, bytes] = {}
    place = 0
    while place + 3 <= len(body) and body[place] != _LAST:
        size = int.from_bytes(body[place + 1 : place + 3], "little")
        found.setdefault(body[place], body[place + 3 : place + 3 + size])
        place += 3 + size
    date, time = found.get(_DATE, b""), found.get(_TIME, b"")
    if len(date) != 4 or len(time) != 3:
        return None
    try:
        return datetime(*struct.unpack("<HBB", date), *time)
    except ValueError:
        return None
