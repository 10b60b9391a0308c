"""European Data Format, EDF and EDF+ (Kemp et al. 1992 and 2003, https://www.edfplus.info).

Decoding is ``edfio``'s. Checked here: that the file is as long as its header says, that the scale
of each lead is stated, that all leads have one rate, and that the recording has no gaps.
"""

from __future__ import annotations

import hashlib
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from data_processing.errors import ECGError
from data_processing.leads import canonical_lead
from data_processing.readers.arrays import plain_lead
from data_processing.signals import ECG, to_contract

_FORMAT = "EDF"
_AGAIN = "Export the ECG again."
_MOST_CHANNELS = 512
_VERSION = b"0       "


def matches(path: Path) -> bool:
    """Return whether a file begins like EDF: its version, and a header of whole channels."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        start = file.read(256)
    header_bytes, _, n_channels = _sizes(start)
    return start.startswith(_VERSION) and n_channels > 0 and header_bytes == 256 * (n_channels + 1)


def read(path: Path) -> ECG:
    """Read the ECG leads of a recording into the signal contract; other channels are left out.

    Raises
    ------
    ECGError
        If the file is damaged or cut off, has gaps, or leads, rate or scale do not fit.
    """
    _check_length(path)
    return _read(path)


def _read(path: Path) -> ECG:
    import edfio

    file = edfio.read_edf(path, lazy_load_data=True, header_encoding="latin-1")
    if file.reserved.startswith("EDF+D") and not file.is_continuous:
        raise ECGError("EDF recording must have no gaps, it has. Export one piece without a gap.")
    leads = {
        plain_lead(signal.label): signal
        for signal in file.signals
        if canonical_lead(plain_lead(signal.label))
    }
    n_leads = sum(bool(canonical_lead(plain_lead(signal.label))) for signal in file.signals)
    if not leads or n_leads != len(leads):
        found = "one twice" if leads else "none"
        raise ECGError(f"EDF file must hold each ECG lead once, got {found}. {_AGAIN}")
    rates = {signal.samples_per_data_record for signal in leads.values()}
    if len(rates) != 1:
        raise ECGError(f"EDF leads must have one sampling rate, got {len(rates)}. {_AGAIN}")
    steps = [_step(signal) for signal in leads.values()]
    digital = np.stack([signal.digital for signal in leads.values()], axis=1).astype(np.float64)
    lowest = np.array([signal.digital_min for signal in leads.values()])
    offset = np.array([signal.physical_min for signal in leads.values()])
    rate_hz = rates.pop() / file.data_record_duration
    ecg = to_contract(
        (digital - lowest) * steps + offset,
        lead_names=list(leads),
        unit=[signal.physical_dimension for signal in leads.values()],
        # The duration of a data record has at most eight characters: 1/800 s, but not 1/3 s.
        rate_hz=float(round(rate_hz, 2)),
        source_format=_FORMAT,
        step=min(abs(step) for step in steps),
    )
    ecg.recorded_at = _recorded_at(file)
    ecg.file_sha256 = hashlib.sha256(digital.astype("<f8").tobytes()).hexdigest()
    return ecg


def _sizes(start: bytes) -> tuple[int, int, int]:
    """Return bytes of the header, number of data records and of channels; 0 where unreadable."""
    fields = (start[184:192], start[236:244], start[252:256])
    texts = [field.decode("ascii", "replace").strip() for field in fields]
    header_bytes, n_records, n_channels = (int(t) if t.isdecimal() else 0 for t in texts)
    return header_bytes, n_records, n_channels


def _check_length(path: Path) -> None:
    """Refuse a file that is shorter or longer than its header says, before anything is read."""
    n_bytes = path.stat().st_size
    with path.open("rb") as file:
        header_bytes, n_records, n_channels = _sizes(file.read(256))
        if not (0 < n_channels <= _MOST_CHANNELS and n_records > 0):
            raise ECGError(
                f"EDF header must state 1 to {_MOST_CHANNELS} channels and the number of data "
                f"records, it does not. The recording was not closed, or is damaged. {_AGAIN}"
            )
        file.seek(256 + n_channels * 216)
        counts = file.read(8 * n_channels).decode("ascii", "replace")
    texts = [counts[k : k + 8].strip() for k in range(0, len(counts), 8)]
    if len(texts) != n_channels or not all(text.isdecimal() and int(text) for text in texts):
        raise ECGError(f"EDF channels must each hold samples, one does not. {_AGAIN}")
    expected = header_bytes + 2 * n_records * sum(map(int, texts))
    if n_bytes != expected:
        raise ECGError(
            f"EDF file must be as long as its header says, got {n_bytes} bytes instead of "
            f"{expected}. It is cut off or damaged: copy it again."
        )


def _step(signal: Any) -> float:
    """Return the physical size of one digital step; refuse a scale that is none."""
    digital = signal.digital_max - signal.digital_min
    physical = signal.physical_max - signal.physical_min
    if digital <= 0 or physical == 0 or not np.isfinite(physical):
        raise ECGError(
            "EDF lead must state its scale (digital and physical lowest and highest value), got "
            f"one without a range. {_AGAIN}"
        )
    return physical / digital


def _recorded_at(file: Any) -> datetime | None:
    """Return when the recording began, unless the date was taken out."""
    try:
        found = datetime.combine(file.startdate, file.starttime)
    except (ValueError, IndexError):
        return None
    # 1985-01-01 is what stands there when nobody knows (EDF+, 2.1.3.3.2).
    return None if (found.year, found.month, found.day) == (1985, 1, 1) else found
