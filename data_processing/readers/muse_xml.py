"""GE MUSE: the ``RestingECG`` XML export with base64 samples of eight stored leads.

There is no public specification; the layout is that of genuine exports of versions 7 to 9. Samples
are 16-bit little-endian counts, ``LeadAmplitudeUnitsPerBit`` scales each lead, and
``LeadDataCRC32`` (where present) is checked.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import zlib
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from data_processing.errors import ECGError
from data_processing.readers.xml_files import children, parse_xml, root_name, text_of
from data_processing.signals import ECG, to_contract

_UNITS = {"MICROVOLTS": "uV", "MILLIVOLTS": "mV"}
_AGAIN = "Export the ECG again."


def matches(path: Path) -> bool:
    """Return whether the file is XML with the root ``RestingECG``."""
    return root_name(path) == "RestingECG"


def read(path: Path) -> ECG:
    """Read the rhythm waveform (not the median beat) into the signal contract.

    Raises
    ------
    ECGError
        If the XML is damaged, there is no rhythm waveform, or leads, scale or length do not fit.
    """
    root = parse_xml(path)
    rhythm = [
        waveform
        for waveform in children(root, "Waveform")
        if text_of(waveform, "WaveformType").lower() == "rhythm"
    ]
    if len(rhythm) != 1:
        raise ECGError(
            f"MUSE file must hold one rhythm waveform, got {len(rhythm)}. Export the ECG with its "
            "rhythm data."
        )
    rate_hz = _number(rhythm[0], "SampleBase") * 10.0 ** _number(rhythm[0], "SampleExponent")
    leads = children(rhythm[0], "LeadData")
    if not leads:
        raise ECGError(f"MUSE waveform must hold leads, got none. {_AGAIN}")
    columns = [_samples(lead) for lead in leads]
    if len({len(column) for column in columns}) != 1:
        raise ECGError(f"MUSE leads must have one length, they differ. {_AGAIN}")
    scale = np.array([_number(lead, "LeadAmplitudeUnitsPerBit") for lead in leads])
    if not (np.isfinite(scale).all() and (scale > 0).all()):
        raise ECGError("MUSE leads must state units per bit above 0: the scale is unknown.")
    units = [text_of(lead, "LeadAmplitudeUnits").upper() for lead in leads]
    if not set(units) <= set(_UNITS):
        raise ECGError(f"MUSE leads must be in {' or '.join(_UNITS)}, got another unit. {_AGAIN}")
    counts = np.stack(columns, axis=1)
    ecg = to_contract(
        counts * scale,
        lead_names=[text_of(lead, "LeadID") for lead in leads],
        unit=[_UNITS[unit] for unit in units],
        rate_hz=rate_hz,
        source_format="GE MUSE XML",
        step=float(scale[0]),
    )
    ecg.recorded_at = _recorded_at(root)
    ecg.file_sha256 = hashlib.sha256(counts.astype("<i2").tobytes()).hexdigest()
    return ecg


def _number(element: Any, name: str) -> float:
    try:
        return float(text_of(element, name))
    except ValueError:
        raise ECGError(f"MUSE file must state {name} as a number. {_AGAIN}") from None


def _samples(lead: Any) -> np.ndarray:
    """Return the counts of one lead after checking their number and checksum."""
    if _number(lead, "LeadSampleSize") != 2:
        raise ECGError("MUSE samples must have 2 bytes, got another size. Export the ECG again.")
    if text_of(lead, "LeadOffsetFirstSample") not in ("", "0"):
        raise ECGError("MUSE leads must begin together, one has an offset. Export the ECG again.")
    try:
        content = base64.b64decode("".join(text_of(lead, "WaveFormData").split()), validate=True)
    except (binascii.Error, ValueError):
        raise ECGError(f"MUSE samples must be base64, got something else. {_AGAIN}") from None
    if len(content) != 2 * _number(lead, "LeadSampleCountTotal") or not content:
        raise ECGError(f"MUSE leads must hold the samples they count, one does not. {_AGAIN}")
    stated = text_of(lead, "LeadDataCRC32")
    if stated.isdigit() and int(stated) and int(stated) != zlib.crc32(content):
        raise ECGError(f"MUSE samples must have their checksum, one lead differs. {_AGAIN}")
    return np.frombuffer(content, dtype="<i2").astype(np.float64)


def _recorded_at(root: Any) -> datetime | None:
    """Return when the ECG was recorded: month-day-year, as MUSE writes it."""
    found = children(root, "TestDemographics")
    date = text_of(found[0], "AcquisitionDate") if found else ""
    time = text_of(found[0], "AcquisitionTime") if found else ""
    for text, pattern in ((f"{date} {time}", "%m-%d-%Y %H:%M:%S"), (date, "%m-%d-%Y")):
        try:
            return datetime.strptime(text.strip(), pattern)
        except ValueError:
            continue
    return None
