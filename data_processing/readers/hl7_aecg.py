"""HL7 annotated ECG (aECG, ANSI/HL7 V3 ECG R1-2004): XML with the samples as decimal text.

The rhythm series is read, never the representative beat derived from it. Each lead is an
``SLIST_PQ``: sample = origin + scale x digit, both with a unit; the time sequence states the
increment. Reference: Brown and Badilini, HL7 aECG Implementation Guide, 2005.
"""

from __future__ import annotations

import hashlib
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np

from data_processing.errors import ECGError
from data_processing.readers.xml_files import children, descendants, parse_xml, root_name
from data_processing.signals import ECG, to_contract

_LEAD = "MDC_ECG_LEAD_"
_SECONDS = {"s": 1.0, "ms": 1e-3, "us": 1e-6}
_AGAIN = "Export the ECG again."


def matches(path: Path) -> bool:
    """Return whether the file is XML with the root ``AnnotatedECG``."""
    return root_name(path) == "AnnotatedECG"


def read(path: Path) -> ECG:
    """Read the rhythm series into the signal contract.

    Raises
    ------
    ECGError
        If the XML is damaged, there is not one rhythm series, or time, scale or leads do not fit.
    """
    series = [
        found
        for found in descendants(parse_xml(path), "component", "series")
        if _code(found) == "RHYTHM"
    ]
    if len(series) != 1:
        raise ECGError(
            f"aECG file must hold one rhythm series, got {len(series)}. Export one ECG a file."
        )
    sets = descendants(series[0], "component", "sequenceSet")
    if len(sets) != 1:
        raise ECGError(
            f"aECG rhythm must be one piece of all leads, got {len(sets)}. Export it whole."
        )
    sequences = descendants(sets[0], "component", "sequence")
    leads = [found for found in sequences if _code(found).startswith(_LEAD)]
    if not leads:
        raise ECGError(f"aECG rhythm must hold leads, got none. {_AGAIN}")
    digits = [_digits(lead) for lead in leads]
    if len({len(column) for column in digits}) != 1:
        raise ECGError(f"aECG leads must have one length, they differ. {_AGAIN}")
    origins = [_quantity(lead, "origin") for lead in leads]
    scales = [_quantity(lead, "scale") for lead in leads]
    if any(origin[1] != scale[1] for origin, scale in zip(origins, scales, strict=True)):
        raise ECGError(f"aECG origin and scale must have one unit, they differ. {_AGAIN}")
    counts = np.stack(digits, axis=1)
    size = np.array([scale[0] for scale in scales])
    ecg = to_contract(
        counts * size + [origin[0] for origin in origins],
        lead_names=[_code(lead).removeprefix(_LEAD) for lead in leads],
        unit=[scale[1] for scale in scales],
        rate_hz=_rate_hz(sequences),
        source_format="HL7 aECG",
        step=float(np.abs(size).min()),
    )
    ecg.recorded_at = _recorded_at(series[0])
    ecg.file_sha256 = hashlib.sha256(counts.astype("<f8").tobytes()).hexdigest()
    return ecg


def _code(element: Any) -> str:
    """Return the code of an element; empty where it has none."""
    found = children(element, "code")
    return found[0].get("code", "") if found else ""


def _value(sequence: Any) -> Any:
    found = children(sequence, "value")
    if len(found) != 1:
        raise ECGError(f"aECG sequence must have one value, got {len(found)}. {_AGAIN}")
    return found[0]


def _quantity(sequence: Any, name: str) -> tuple[float, str]:
    """Return number and unit of the origin, scale or increment of a sequence."""
    found = children(_value(sequence), name)
    try:
        number, unit = float(found[0].get("value")), str(found[0].get("unit"))
    except (IndexError, TypeError, ValueError):
        raise ECGError(f"aECG sequence must state its {name}, one does not. {_AGAIN}") from None
    if not np.isfinite(number) or (name != "origin" and number <= 0):
        raise ECGError(f"aECG {name} must be a number above 0, one is not. {_AGAIN}")
    return number, unit


def _digits(lead: Any) -> np.ndarray:
    """Return the samples as written."""
    found = children(_value(lead), "digits")
    text = (found[0].text or "").split() if found else []
    try:
        return np.array(text, dtype=np.float64)
    except ValueError:
        raise ECGError(f"aECG digits must be numbers, one is not. {_AGAIN}") from None


def _rate_hz(sequences: list[Any]) -> float:
    """Return the sampling rate from the increment of the time sequence."""
    times = [found for found in sequences if _code(found).startswith("TIME_")]
    if len(times) != 1:
        raise ECGError(f"aECG rhythm must have one time sequence, got {len(times)}. {_AGAIN}")
    increment, unit = _quantity(times[0], "increment")
    if unit not in _SECONDS:
        raise ECGError(f"aECG increment must be in {', '.join(_SECONDS)}, it is not. {_AGAIN}")
    # An increment is written with few digits: 0.002 s is 500 Hz, and 0.004167 s is 240 Hz.
    written = descendants(_value(times[0]), "increment")[0].get("value", "")
    exponent = Decimal(written).as_tuple().exponent
    half_digit = 0.5 * 10.0 ** (exponent if isinstance(exponent, int) else 0)
    slowest, rate_hz = (1.0 / ((increment + more) * _SECONDS[unit]) for more in (half_digit, 0.0))
    whole = round(rate_hz)
    is_meant = rate_hz - slowest >= abs(whole - rate_hz)
    return float(whole) if is_meant and whole else round(rate_hz, 3)


def _recorded_at(series: Any) -> datetime | None:
    """Return the beginning of the series, if it is stated to the day at least."""
    low = descendants(series, "effectiveTime", "low")
    text = str(low[0].get("value", "")) if low else ""
    for length, pattern in ((14, "%Y%m%d%H%M%S"), (12, "%Y%m%d%H%M"), (8, "%Y%m%d")):
        try:
            return datetime.strptime(text[:length], pattern)
        except ValueError:
            continue
    return None
