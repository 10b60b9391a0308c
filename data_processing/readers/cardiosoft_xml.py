"""GE CardioSoft and CASE XML (root ``CardiologyXML``): the resting rhythm as text.

There is no public specification. The layout was taken from public readers of such files (among
them BRAVEHEART, ml4h and biosig), which agree: ``StripData`` holds ``SampleRate`` (Hz),
``Resolution`` (``uVperLsb``), ``ChannelSampleCountTotal`` and a ``WaveformData`` of
comma-separated numbers for each lead; the median beat lies in ``MedianSamples``.

**Untested on genuine files**: none was at hand.
"""

from __future__ import annotations

import hashlib
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from data_processing.errors import ECGError
from data_processing.readers.xml_files import (
    children,
    descendants,
    number_above_0,
    parse_xml,
    root_name,
    samples_16_bit,
    text_of,
)
from data_processing.signals import ECG, to_contract

_AGAIN = "Export the ECG again."
_TIME = ("Year", "Month", "Day", "Hour", "Minute", "Second")


def matches(path: Path) -> bool:
    """Return whether the file is XML with the root ``CardiologyXML``."""
    return root_name(path) == "CardiologyXML"


def read(path: Path) -> ECG:
    """Read the resting rhythm (not the median beat) into the signal contract.

    Not accepted: stress tests, which hold many short strips or full disclosure.

    Raises
    ------
    ECGError
        If the XML is damaged, there is not one strip, or leads, scale or length do not fit.
    """
    root = parse_xml(path)
    strips = [
        strip
        for strip in [*children(root, "StripData"), *descendants(root, "Strip", "StripData")]
        if children(strip, "WaveformData")
    ]
    if len(strips) != 1:
        raise ECGError(
            f"CardioSoft file must hold one strip of leads, got {len(strips)}. Export a resting "
            "ECG."
        )
    strip = strips[0]
    step_uv = _number(strip, "Resolution", "uVperLsb")
    leads = children(strip, "WaveformData")
    columns = [_samples(lead) for lead in leads]
    stated = {text_of(strip, "ChannelSampleCountTotal")} - {""}
    if {str(len(column)) for column in columns} | stated != {str(len(columns[0]))}:
        raise ECGError(f"CardioSoft leads must hold as many samples as the strip counts. {_AGAIN}")
    counts = np.stack(columns, axis=1)
    ecg = to_contract(
        counts * step_uv,
        lead_names=[lead.get("lead", "") for lead in leads],
        unit="uV",
        rate_hz=_number(strip, "SampleRate", "Hz"),
        source_format="GE CardioSoft XML",
        step=step_uv,
    )
    ecg.recorded_at = _recorded_at(root)
    ecg.file_sha256 = hashlib.sha256(counts.astype("<i2").tobytes()).hexdigest()
    return ecg


def _number(strip: Any, name: str, unit: str) -> float:
    found = children(strip, name)
    if len(found) != 1 or found[0].get("units") != unit:
        raise ECGError(f"CardioSoft {name} must be stated once, in {unit}, it is not. {_AGAIN}")
    return number_above_0(found[0].text, f"CardioSoft {name}")


def _samples(lead: Any) -> np.ndarray:
    """Return the numbers of one lead; a comma may follow the last."""
    words = [word.strip() for word in (lead.text or "").split(",")]
    return samples_16_bit(words[:-1] if not words[-1] else words, "CardioSoft samples")


def _recorded_at(root: Any) -> datetime | None:
    """Return when the ECG was recorded, if the file says so to the second."""
    for found in children(root, "ObservationDateTime"):
        try:
            return datetime(*(int(text_of(found, name)) for name in _TIME))
        except (ValueError, OverflowError):
            continue
    return None
