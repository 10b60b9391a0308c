"""DICOM waveforms: 12-lead, general and ambulatory ECG storage (PS3.3 A.34, C.10.9).

Parsing is ``pydicom``'s. Checked here: which of the groups is the recording, that every channel
states its sensitivity and unit, and which lead it is by its code, not by its position.
"""

from __future__ import annotations

import hashlib
import logging
import re
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from data_processing.errors import ECGError
from data_processing.leads import LEADS, canonical_lead
from data_processing.signals import ECG, to_contract

_AGAIN = "Export the ECG again."
# Last number of the lead's code, the same in SCP-ECG (5.6.3-9-1) and MDC (2:1): EN 1064, table 4.
_CODES = dict(zip((1, 2, 61, 62, 63, 64, 3, 4, 5, 6, 7, 8), LEADS, strict=True))


def matches(path: Path) -> bool:
    """Return whether a file has DICOM's mark behind its preamble."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(132)[128:] == b"DICM"


def read(path: Path) -> ECG:
    """Read the recording (not the averaged beat) of a DICOM ECG into the signal contract.

    Raises
    ------
    ECGError
        If the file is damaged, holds no waveform, or leaves out scale, unit or leads.
    """
    from pydicom import dcmread

    # What pydicom says of odd values quotes them, and they may be a patient's.
    logging.getLogger("pydicom").setLevel(logging.CRITICAL + 1)
    return _read(dcmread(path))


def _read(dataset: Any) -> ECG:
    groups = list(dataset.get("WaveformSequence", []))
    if not groups:
        raise ECGError("DICOM file must hold a waveform, got none. Choose the ECG object.")
    number = _recording(groups)
    group = groups[number]
    samples = np.asarray(dataset.waveform_array(number), dtype=np.float64)
    channels = group.ChannelDefinitionSequence
    ecg = to_contract(
        _without_padding(samples, group),
        lead_names=[_lead(channel) for channel in channels],
        unit=[_unit(channel) for channel in channels],
        rate_hz=float(group.SamplingFrequency),
        source_format="DICOM",
        step=min(abs(float(channel.ChannelSensitivity)) for channel in channels),
    )
    ecg.recorded_at = _recorded_at(dataset)
    ecg.file_sha256 = hashlib.sha256(bytes(group.WaveformData)).hexdigest()
    return ecg


def _recording(groups: list[Any]) -> int:
    """Return which group is the recording: the longest that is not derived (an averaged beat)."""
    found = [
        (int(group.NumberOfWaveformSamples) / float(group.SamplingFrequency), -number)
        for number, group in enumerate(groups)
        if str(group.get("WaveformOriginality", "ORIGINAL")).upper() != "DERIVED"
        and "MEDIAN" not in str(group.get("MultiplexGroupLabel", "")).upper()
    ]
    if not found:
        raise ECGError(
            "DICOM file must hold a recording, got averaged beats only. Export the rhythm strip."
        )
    return -max(found)[1]


def _unit(channel: Any) -> str:
    """Return the unit of a channel; without sensitivity the samples are bare counts."""
    if channel.get("ChannelSensitivity") is None:
        raise ECGError(
            "DICOM channel must state its sensitivity, got none: the scale is unknown. Export the "
            "ECG with its calibration."
        )
    return str(channel.ChannelSensitivityUnitsSequence[0].CodeValue)


def _lead(channel: Any) -> str:
    """Return the lead of a channel by its code; its meaning in words where the code is unknown."""
    source = channel.ChannelSourceSequence[0]
    words = re.sub(r"\(.*\)", "", str(source.get("CodeMeaning", ""))).strip()
    code = re.search(r"(?:5\.6\.3-9-|^2:)(\d+)$", str(source.get("CodeValue", "")))
    by_code = _CODES.get(int(code[1])) if code else None
    by_words = canonical_lead(words)
    if by_code and by_words and by_code != by_words:
        raise ECGError(
            f"DICOM channel must be one lead, got the code of {by_code} and the name of "
            f"{by_words}. {_AGAIN}"
        )
    return by_code or by_words or words


def _without_padding(samples: np.ndarray, group: Any) -> np.ndarray:
    """Return the samples with NaN where the file has padding."""
    padding = group.get("WaveformPaddingValue")
    if padding is None:
        return samples
    raw = np.frombuffer(group.WaveformData, dtype=f"<i{int(group.WaveformBitsAllocated) // 8}")
    mark = padding if isinstance(padding, int) else int.from_bytes(padding, "little", signed=True)
    is_padding = (raw == mark)[: samples.size].reshape(samples.shape)
    return np.where(is_padding, np.nan, samples)


def _recorded_at(dataset: Any) -> datetime | None:
    """Return when the ECG was recorded, if the file says so in a readable way."""
    text = str(dataset.get("AcquisitionDateTime", "") or "")[:14]
    if not text:
        text = str(dataset.get("AcquisitionDate", "") or dataset.get("StudyDate", "") or "")
        text += str(dataset.get("AcquisitionTime", "") or "")[:6]
    for pattern in ("%Y%m%d%H%M%S", "%Y%m%d"):
        try:
            return datetime.strptime(text, pattern)
        except ValueError:
            continue
    return None
