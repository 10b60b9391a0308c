"""Tables of samples as text (CSV, TSV): a row a point in time, a column a lead.

The heading names the leads, with or without a unit (``I (mV)``, ``V1_uV``). A time column with a
unit (``time (s)``, ``time_ms``) gives the rate. A table without a heading is bare numbers. The
separator is a tab, a semicolon or a comma; with the first two, the decimal sign may be a comma.
"""

from __future__ import annotations

import io
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from data_processing.declared import DeclaredSignal
from data_processing.errors import ECGError
from data_processing.leads import canonical_lead
from data_processing.readers.arrays import (
    FEWEST_LEADS,
    MOST_LEADS,
    array_to_ecg,
    one_recording,
    plain_lead,
    settle,
)
from data_processing.signals import ECG

_FORMAT = "CSV"
_START_BYTES = 1 << 16  # heading and comments lie within
_UNITS = {"mv": "mV", "uv": "uV", "µv": "uV", "μv": "uV", "v": "V", "nv": "nV"}
_SECONDS = {"s": 1.0, "sec": 1.0, "seconds": 1.0, "ms": 1e-3, "us": 1e-6}
_WITH_UNIT = re.compile(r"^(.*?)[\s_]*(?:[(\[]\s*([^)\]]+?)\s*[)\]]|[\s_]([A-Za-zµμ]+))$")
_TIME = ("time", "t", "zeit", "timestamp")
_OWNER = re.compile(r"^(patient|pat|pid|subject|person|mrn)([ _-]|$)|[ _-](id|nr|no)$|^id$", re.I)
_NUMBER = re.compile(r"^\s*(?:[-+]?(?:\d+[.,]?\d*|[.,]\d+)(?:[eE][-+]?\d+)?|nan|NaN|)\s*$")
# Written with few digits, times give 499.98 Hz for 500.
_RATE_ROUNDING = 2e-4
_AGAIN = "Export the ECG again."


@dataclass(frozen=True)
class _Layout:
    """How a table is written: where its rows begin and which column is what."""

    separator: str
    n_skipped: int
    n_columns: int
    leads: dict[int, str]
    units: dict[int, str]
    time: tuple[int, float] | None
    headings: tuple[str, ...] = ()


def matches(path: Path) -> bool:
    """Return whether the file is text and its first row names leads or holds enough numbers."""
    return path.is_file() and _layout(_start_of(path)) is not None


def read(path: Path, record: str, declared: DeclaredSignal) -> ECG:
    """Read a table of samples into the signal contract.

    Parameters
    ----------
    path
        The file.
    record
        Empty: a table is one recording.
    declared
        Unit, rate and leads, as far as heading and time column do not state them.

    Raises
    ------
    ECGError
        If rows are incomplete, cells are no numbers, times are not evenly spaced, or unit, rate
        or leads are unknown.
    """
    layout = _layout(_start_of(path))
    if layout is None:
        raise ECGError(f"CSV file must name its leads, it does not. {_AGAIN}")
    numbers = read_numbers(path, layout)
    units = list(layout.units.values())
    if units and len(units) < len(layout.leads):
        raise ECGError(f"CSV heading must give the unit of each lead or none. {_AGAIN}")
    stated = DeclaredSignal(
        unit="" if not units else units[0] if len(set(units)) == 1 else "one a lead",
        rate_hz=_rate_hz(numbers.pop(-1)) if layout.time else 0.0,
        leads=tuple(layout.leads.values()) if any(layout.leads.values()) else (),
    )
    settled = settle(stated, declared)
    samples = one_recording(np.stack(list(numbers.values()), axis=1), record)
    return array_to_ecg(samples, settled, source_format=_FORMAT, units=units)


def _start_of(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_START_BYTES)


def _layout(start: bytes) -> _Layout | None:
    """Return how the table is written; None if it is none of samples."""
    if b"\0" in start:
        return None
    lines = _decode(start).splitlines()
    n_skipped = 0
    while n_skipped < len(lines) and lines[n_skipped].strip()[:1] in ("", "#"):
        n_skipped += 1
    if n_skipped >= len(lines):
        return None
    first = lines[n_skipped]
    for separator in "\t;,":
        cells = [cell.strip().strip("\"'") for cell in first.split(separator)]
        if not FEWEST_LEADS <= len(cells) <= MOST_LEADS + 1:
            continue
        if all(_NUMBER.match(cell) for cell in cells) and any(cells):
            columns = dict.fromkeys(range(len(cells)), "")
            return _Layout(separator, n_skipped, len(cells), columns, {}, None)
        found = _headed(separator, n_skipped + 1, cells)
        if len(found.leads) >= FEWEST_LEADS:
            return found
    return None


def _decode(content: bytes) -> str:
    """Return the text; of an older program's file, each byte as a letter."""
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("latin-1")


def _headed(separator: str, n_skipped: int, cells: list[str]) -> _Layout:
    """Return the layout of a table with a heading."""
    leads, units, time = {}, {}, None
    for column, cell in enumerate(cells):
        name, unit = _split_heading(cell)
        if canonical_lead(plain_lead(name)):
            leads[column] = name
            if unit:
                units[column] = _UNITS.get(unit.lower(), unit[:10])
        elif name.lower() in _TIME and unit.lower() in _SECONDS:
            time = (column, _SECONDS[unit.lower()])
    return _Layout(separator, n_skipped, len(cells), leads, units, time, tuple(cells))


def _split_heading(cell: str) -> tuple[str, str]:
    """Return name and unit of a column."""
    match = _WITH_UNIT.match(cell)
    unit = (match[2] or match[3]) if match else ""
    if match and (match[2] or unit.lower() in {*_UNITS, *_SECONDS}):
        return match[1].strip(), unit
    return cell, ""


def read_numbers(path: Path, layout: _Layout) -> dict[int, np.ndarray]:
    """Return the columns of the leads and, as -1, the times in seconds.

    Raises
    ------
    ECGError
        If a row has too few or too many cells, or a cell is no number.
    """
    text = _decode(path.read_bytes())
    if "\0" in text or '"' in text.split("\n", layout.n_skipped)[-1]:
        raise ECGError(f"CSV cells must be plain numbers, got others. {_AGAIN}")
    rows = [line for line in text.splitlines()[layout.n_skipped :] if line.strip()]
    wanted = layout.n_columns - 1
    if not rows or any(row.count(layout.separator) != wanted for row in rows):
        raise ECGError(
            f"CSV rows must all have {layout.n_columns} cells, some have not. The table is cut off "
            "or damaged: export it again."
        )
    body = "\n".join(rows)
    decimal = "," if layout.separator != "," and "," in body else "."
    if decimal == "," and "." in body:
        raise ECGError(f"CSV numbers must have one decimal sign, got comma and point. {_AGAIN}")
    _check_one_recording(rows, layout)
    columns = [*layout.leads, *([layout.time[0]] if layout.time else [])]
    table = pd.read_csv(
        io.StringIO(body),
        sep=layout.separator,
        decimal=decimal,
        header=None,
        usecols=sorted(columns),
        dtype=np.float64,
        skip_blank_lines=False,
    )
    numbers = {column: table[column].to_numpy() for column in layout.leads}
    if layout.time:
        numbers[-1] = table[layout.time[0]].to_numpy() * layout.time[1]
    return numbers


def _check_one_recording(rows: list[str], layout: _Layout) -> None:
    """Refuse a table whose rows belong to several patients or recordings."""
    for column, heading in enumerate(layout.headings):
        if _OWNER.search(heading) and column not in layout.leads:
            owners = {row.split(layout.separator)[column].strip() for row in rows}
            if 1 < len(owners) < len(rows):  # as many as rows: a counter
                raise ECGError(
                    f"CSV file must hold one recording, got {len(owners)} values in a column that "
                    "says whose or which it is. Write one file a recording."
                )


def _rate_hz(seconds: np.ndarray) -> float:
    """Return the sampling rate of evenly spaced times."""
    span = seconds[-1] - seconds[0] if len(seconds) > 1 else 0.0
    steps = np.diff(seconds)
    spacing = span / max(1, len(steps))
    if not span > 0 or not np.all(np.abs(steps - spacing) <= spacing / 2):
        raise ECGError(
            f"CSV times must grow by the same step from row to row, they do not. {_AGAIN}"
        )
    rate_hz = 1.0 / spacing
    whole = round(rate_hz)
    return float(whole if abs(rate_hz - whole) <= _RATE_ROUNDING * rate_hz else round(rate_hz, 3))
