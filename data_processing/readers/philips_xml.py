"""Philips Sierra XML 1.03 and 1.04 (root ``restingecgdata``): XLI-compressed samples.

There is no public specification of the compression; it is known from the MIT-licensed
sierra-ecg-tools (https://github.com/sixlettervariables/sierra-ecg-tools), whose Python package
agrees sample by sample on the genuine files. It is not used, because it sets no bound to what
damaged data unpack to (a file of 36 KB took 13 s and 0.4 GB) and takes the calibration pulse for
ECG.

The samples are one block a lead: 8 bytes (length of the data, 1, a start value) and LZW codes of
10 bits. They give the high bytes of all samples, then the low ones: two amplitudes, then second
differences, each offset by 64 and used one sample later. III, aVR, aVL and aVF are stored as what
remains after their value from I and II, so their identities hold by construction: ``proof`` says
*derived*.

Many files end with a calibration pulse of 1 mV in all leads; what is the same in all leads at the
end of the file is left out.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import struct
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from data_processing.errors import ECGError
from data_processing.leads import LEADS, canonical_lead
from data_processing.readers.xml_files import (
    children,
    descendants,
    number_above_0,
    parse_xml,
    root_name,
    text_of,
)
from data_processing.signals import ECG, to_contract

_VERSIONS = ("1.03", "1.04", "1.04.01", "1.04.02")
_MOST_SAMPLES = 60_000  # two minutes at 500 Hz
_MOST_LEADS = 16
_CODE_BITS = 10
_MOST_CODE = (1 << _CODE_BITS) - 2  # the last one ends the data
_STANDARD = ("STD-12", "10-WIRE")
_AGAIN = "Export the ECG again."


def matches(path: Path) -> bool:
    """Return whether the file is XML with the root ``restingecgdata``."""
    return root_name(path) == "restingecgdata"


def read(path: Path) -> ECG:
    """Read the rhythm (not the representative beats) into the signal contract.

    Raises
    ------
    ECGError
        If the XML is damaged, its version or compression is another one, or leads, scale or
        length do not fit.
    """
    root = parse_xml(path)
    versions = [text_of(found, "documentversion") for found in children(root, "documentinfo")]
    if len(versions) != 1 or versions[0] not in _VERSIONS:
        raise ECGError(
            f"Philips XML must have version {', '.join(_VERSIONS)}, it has not. Export it as 1.04."
        )
    waves = descendants(root, "waveforms", "parsedwaveforms")
    traits = descendants(root, "dataacquisition", "signalcharacteristics")
    if len(waves) != 1 or len(traits) != 1:
        raise ECGError(
            f"Philips XML must hold one rhythm and its traits, got {len(waves)} and "
            f"{len(traits)}. Export one ECG a file."
        )
    stated = {name: text_of(traits[0], name) for name in _names(traits[0])} | waves[0].attrib
    _check_encoding(stated)
    rate_hz = number_above_0(stated.get("samplingrate"), "Philips sampling rate")
    step_uv = number_above_0(
        stated.get("resolution") or stated.get("signalresolution"), "Philips resolution"
    )
    duration_ms = number_above_0(stated.get("durationperchannel"), "Philips duration")
    names = _lead_names(stated)
    counts = _counts(waves[0], names, min(duration_ms * rate_hz / 1000, 2.0 * _MOST_SAMPLES))
    ecg = to_contract(
        counts * step_uv,
        lead_names=names,
        unit="uV",
        rate_hz=rate_hz,
        source_format="Philips Sierra XML",
        step=step_uv,
    )
    ecg.proof["leads"] = "derived"
    ecg.recorded_at = _recorded_at(root)
    ecg.file_sha256 = hashlib.sha256(counts.astype("<i2").tobytes()).hexdigest()
    return ecg


def _names(element: Any) -> set[str]:
    return {str(child.tag).rpartition("}")[2] for child in element}


def _check_encoding(stated: dict[str, str]) -> None:
    """Refuse samples that are stored otherwise than in the genuine files."""
    method = stated.get("compressmethod", stated.get("compression"))
    if stated.get("dataencoding") != "Base64" or method != "XLI":
        raise ECGError(
            "Philips samples must be Base64 with XLI compression, they are not. Export the ECG "
            "with compression."
        )
    expected = {"signaloffset": "0", "signalsigned": "true", "bitspersample": "16"}
    expected |= {"nbitspersample": "16"}
    if any(stated.get(name, value).lower() != value for name, value in expected.items()):
        raise ECGError(f"Philips samples must be signed, of 16 bits, without offset. {_AGAIN}")
    if stated.get("samplespersecond", "") not in ("", stated.get("samplingrate")):
        raise ECGError(f"Philips XML must state one sampling rate, got two. {_AGAIN}")


def _lead_names(stated: dict[str, str]) -> list[str]:
    """Return the names of the blocks; version 1.03 has none and the standard order."""
    names = stated.get("leadlabels", "").split()
    if not names and stated.get("acquisitiontype") in _STANDARD:
        names = [*LEADS]
    if [canonical_lead(name) for name in names[:6]] != [*LEADS[:6]] or len(names) > _MOST_LEADS:
        raise ECGError(
            f"Philips leads must begin with {', '.join(LEADS[:6])}, they do not. Export a standard "
            "12-lead ECG."
        )
    return names


def _counts(waves: Any, names: list[str], n_samples: float) -> np.ndarray:
    """Return (n_samples, n_leads) steps, limb leads complete, without the end all leads share."""
    if n_samples != int(n_samples) or not 3 <= n_samples <= _MOST_SAMPLES:
        raise ECGError(f"Philips rhythm must have 3 to {_MOST_SAMPLES} samples a lead. {_AGAIN}")
    try:
        content = base64.b64decode("".join((waves.text or "").split()), validate=True)
    except (binascii.Error, ValueError):
        raise ECGError(f"Philips samples must be Base64, they are not. {_AGAIN}") from None
    columns: list[np.ndarray] = []
    place = 0
    for _ in names:
        size, _, start = struct.unpack("<IHh", content[place : place + 8].ljust(8, b"\0"))
        block = content[place + 8 : place + 8 + size]
        if not size or len(block) < size:
            raise ECGError(f"Philips samples must hold a block a lead, one is cut off. {_AGAIN}")
        columns.append(_amplitudes(_unpack(block, 2 * int(n_samples)), start))
        place += 8 + size
    counts = np.stack(columns, axis=1)
    _complete_limb_leads(counts)
    if np.abs(counts).max() > 1 << 15:
        raise ECGError(f"Philips samples must fit into 16 bits, one does not. {_AGAIN}")
    differs = np.flatnonzero((counts != counts[:, :1]).any(axis=1))
    if not len(differs):
        raise ECGError(f"Philips leads must differ, all are the same. {_AGAIN}")
    return counts[: differs[-1] + 1]


def _unpack(block: bytes, n_bytes: int) -> bytes:
    """Return what the LZW codes of one lead stand for."""
    most = (n_bytes + 2) * _CODE_BITS // 8 + 1  # each code stands for a byte or more
    bits = "".join(f"{byte:08b}" for byte in block[:most])
    strings = [bytes([value]) for value in range(256)]
    parts: list[bytes] = []
    n_done, before = 0, b""
    for place in range(0, len(bits) - _CODE_BITS + 1, _CODE_BITS):
        code = int(bits[place : place + _CODE_BITS], 2)
        if code > _MOST_CODE or n_done > n_bytes:
            break
        if before and len(strings) <= _MOST_CODE:
            # The code being defined may be used at once: then it begins like the one before.
            known = strings[code] if code < len(strings) else before
            strings.append(before + known[:1])
        if code >= len(strings):
            raise ECGError(f"Philips samples must be XLI, a code is not. {_AGAIN}")
        before = strings[code]
        parts.append(before)
        n_done += len(before)
    if n_done != n_bytes:
        raise ECGError(f"Philips leads must hold the samples they count, one does not. {_AGAIN}")
    return b"".join(parts)


def _amplitudes(content: bytes, start: int) -> np.ndarray:
    """Return the samples of one lead: second differences summed twice."""
    high, low = np.frombuffer(content, np.uint8).reshape(2, -1).astype(np.int64)
    stored = ((high << 8 | low) ^ 0x8000) - 0x8000
    bends = np.concatenate([[-start], 64 - stored[2:-1]])
    slopes = np.cumsum(np.concatenate([[stored[1] - stored[0]], bends]))
    return np.concatenate([stored[:1], stored[0] + np.cumsum(slopes)])


def _complete_limb_leads(counts: np.ndarray) -> None:
    """Turn what is stored of III, aVR, aVL and aVF into the leads, in place."""
    one, two, three, right, left, foot = counts.T[:6]
    three[:] = two - one - three
    right[:] = -right - (one + two) // 2
    left[:] = (one - three) // 2 - left
    foot[:] = (two + three) // 2 - foot


def _recorded_at(root: Any) -> datetime | None:
    """Return when the ECG was acquired, if the file says so."""
    for found in children(root, "dataacquisition"):
        try:
            found_at = datetime.fromisoformat(f"{found.get('date')}T{found.get('time')}")
            return found_at.replace(tzinfo=None)
        except ValueError:
            continue
    return None
