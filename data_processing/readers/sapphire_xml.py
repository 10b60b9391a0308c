"""GE Sapphire XML (``urn:ge:sapphire:dcar_1``), as the MAC 800 exports it.

There is no public specification; the layout is that of genuine exports (version 1.2). The rhythm
lies below ``wav``, the median beat below ``var``. ``ecgWaveformMXG`` states unit, size of a step
and the number that marks an invalid sample; each lead is an attribute of whole numbers. The date
is blank in the genuine files at hand (anonymised): that it is ISO 8601 is assumed.
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
)
from data_processing.signals import ECG, to_contract

_UNITS = ("uV", "mV")
_ORDER = ("dcarRecord", "patientInfo", "visit", "order")
_RHYTHM = ("ecgResting", "params", "ecg", "wav", "ecgWaveformMXG")
_AGAIN = "Export the ECG again."


def matches(path: Path) -> bool:
    """Return whether the file is XML with the root ``sapphire``."""
    return root_name(path) == "sapphire"


def read(path: Path) -> ECG:
    """Read the rhythm (not the median beat) into the signal contract.

    Raises
    ------
    ECGError
        If the XML is damaged, there is not one rhythm, or leads, scale or length do not fit.
    """
    orders = descendants(parse_xml(path), *_ORDER)
    rhythms = [found for order in orders for found in descendants(order, *_RHYTHM)]
    if len(rhythms) != 1:
        raise ECGError(
            f"Sapphire file must hold one rhythm, got {len(rhythms)}. Export one ECG a file."
        )
    rhythm = rhythms[0]
    if rhythm.get("U") not in _UNITS:
        raise ECGError(f"Sapphire unit must be {' or '.join(_UNITS)}, it is not. {_AGAIN}")
    step = number_above_0(rhythm.get("S"), "Sapphire step")
    leads = children(rhythm, "ecgWaveform")
    if not leads:
        raise ECGError(f"Sapphire rhythm must hold leads, got none. {_AGAIN}")
    columns = [_samples(lead) for lead in leads]
    if len({len(column) for column in columns}) != 1:
        raise ECGError(f"Sapphire leads must have one length, they differ. {_AGAIN}")
    counts = np.stack(columns, axis=1)
    is_invalid = np.isin(counts, samples_16_bit(rhythm.get("INV", "").split(), "Sapphire INV"))
    ecg = to_contract(
        np.where(is_invalid, np.nan, counts * step),
        lead_names=[lead.get("lead", "") for lead in leads],
        unit=str(rhythm.get("U")),
        rate_hz=_rate_hz(rhythm),
        source_format="GE Sapphire XML",
        step=step,
    )
    ecg.recorded_at = _recorded_at(orders)
    ecg.file_sha256 = hashlib.sha256(counts.astype("<i2").tobytes()).hexdigest()
    return ecg


def _samples(lead: Any) -> np.ndarray:
    """Return the numbers of one lead after counting them."""
    samples = samples_16_bit(lead.get("V", "").split(), "Sapphire samples")
    if not len(samples) or lead.get("asizeVT", str(len(samples))) != str(len(samples)):
        raise ECGError(f"Sapphire leads must hold the samples they count, one does not. {_AGAIN}")
    return samples


def _rate_hz(rhythm: Any) -> float:
    rates = children(rhythm, "sampleRate")
    if len(rates) != 1 or rates[0].get("U") != "Hz":
        raise ECGError(f"Sapphire rhythm must state one sampling rate in Hz. {_AGAIN}")
    return number_above_0(rates[0].get("V"), "Sapphire sampling rate")


def _recorded_at(orders: list[Any]) -> datetime | None:
    """Return when the ECG was recorded, in the time of the place, if the file says so."""
    for order in orders:
        for found in descendants(order, "testInfo", "acquisitionDateTime"):
            try:
                return datetime.fromisoformat(found.get("V", "")).replace(tzinfo=None)
            except ValueError:
                continue
    return None
