"""Check the tables of a cohort and report everything that is wrong with them at once.

Problems are named by table row, as a spreadsheet numbers it (the heading is row 1), never by what
the cell holds: a shifted column would print names or dates of birth.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from data_processing.errors import CohortTableError, listed
from data_processing.spreadsheets import lacks_heading, read_cells

_TIME = r"(?P<time>[ T]\d{2}:\d{2}(?::\d{2}(?:\.\d{1,9})?)?)?"
_DATES = {
    "iso": rf"(?P<year>\d{{4}})-(?P<month>\d{{2}})-(?P<day>\d{{2}}){_TIME}",
    "dmy": rf"(?P<day>\d{{1,2}})[./-](?P<month>\d{{1,2}})[./-](?P<year>\d{{4}}){_TIME}",
    "mdy": rf"(?P<month>\d{{1,2}})[./-](?P<day>\d{{1,2}})[./-](?P<year>\d{{4}}){_TIME}",
}
DATE_FORMATS = {
    "iso": "YYYY-MM-DD (or with time YYYY-MM-DDTHH:MM:SS)",
    "dmy": "DD.MM.YYYY or YYYY-MM-DD, with or without time",
    "mdy": "MM/DD/YYYY or YYYY-MM-DD, with or without time",
}
BINARY = {"1": 1.0, "0": 0.0, "true": 1.0, "false": 0.0, "yes": 1.0, "no": 0.0}
BINARY |= {"1.0": 1.0, "0.0": 0.0}
_MISSING = {"", "na", "nan", "n/a", "null", "none given", "unknown"}
_MAX_PROBLEMS = 40


class Problems:
    """Collects what is wrong, one line for each table, column and rule."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._notes: list[str] = []
        self._absent: list[tuple[str, str]] = []

    def add(self, table: str, is_wrong: Any, rule: str) -> None:
        """Add a rule that the marked rows break.

        Parameters
        ----------
        table
            File name of the table.
        is_wrong
            Boolean, one a row, with the numbers of the rows as index; or True for the table as a
            whole.
        rule
            What must be; it starts with the column's name. Rules about a column that is not there
            are passed over: its absence is a problem already.
        """
        self._append(self._lines, table, is_wrong, rule)

    def note(self, table: str, is_so: Any, text: str) -> None:
        """Add what does not stop the reading, but is told along with problems that do."""
        self._append(self._notes, table, is_so, text)

    def add_absent(self, table: str, columns: Sequence[str], headings: Sequence[str]) -> None:
        """Add columns that are not there, each with the heading most like it."""
        self._absent += [(table, column) for column in columns]
        shown: list[str] = []
        if lacks_heading(headings):
            self._lines.append(f"{table}: must have a heading, its first row seems to hold values")
            headings = ()
        for column in columns:
            near = difflib.get_close_matches(column, headings, n=1)
            shown.append(f"{column} (did you mean {near[0]!r}?)" if near else column)
        self._lines.append(f"{table}: must have the columns {', '.join(shown)}")

    def is_absent(self, table: str, column: str) -> bool:
        """Return whether a column is not there."""
        return (table, column) in self._absent

    def _append(self, lines: list[str], table: str, is_wrong: Any, rule: str) -> None:
        if is_wrong is True:
            line = f"{table}: {rule}"
        else:
            is_wrong = pd.Series(is_wrong)
            rows = is_wrong.index[is_wrong.astype(bool)]
            if not len(rows):
                return
            word = "row" if len(rows) == 1 else "rows"
            line = f"{table} {word} {listed(rows, at_most=8)}: {rule}"
        is_absent = any(
            name == table and rule.startswith(f"{column} ") for name, column in self._absent
        )
        if line not in lines and not is_absent:
            lines.append(line)

    def raise_if_any(self) -> None:
        """Raise one CohortTableError with every problem found so far."""
        if not self._lines:
            return
        shown = self._lines[:_MAX_PROBLEMS]
        more = len(self._lines) - len(shown)
        lines = [*shown, f"and {more} more"] if more else shown
        text = (
            f"tables must follow the cohort's definition, got {len(self._lines)} "
            f"{'problem' if len(self._lines) == 1 else 'problems'}. Correct these rows (row 1 is "
            "the heading):\n- " + "\n- ".join(lines)
        )
        if self._notes:
            text += "\nNoticed besides:\n- " + "\n- ".join(self._notes)
        raise CohortTableError(text)


def read_table(
    directory: Path, name: str, columns: Sequence[str], problems: Problems
) -> pd.DataFrame:
    """Return a table as stripped text, indexed by row number (the heading is row 1).

    Missing columns are a problem and come back empty; rows without any value are left out.

    Parameters
    ----------
    directory
        Folder of the table.
    name
        CSV (comma or semicolon, UTF-8 with or without a byte order mark) or Excel (``.xlsx``; the
        first sheet, or ``study.xlsx:sheet``).
    columns
        That must be there.
    problems
        Where what is wrong is added.
    """
    table = read_cells(directory, name)
    absent = [column for column in columns if column not in table]
    if absent:
        problems.add_absent(name, absent, list(table))
        table = table.assign(**dict.fromkeys(absent, ""))
    if table.empty:
        problems.add(name, True, "must have at least one row")
    return table


def is_missing(cells: pd.Series) -> pd.Series:
    """Return which cells hold no value: empty, NA, NaN, null or unknown."""
    return cells.str.lower().isin(_MISSING)


def iso_dates(cells: pd.Series, date_format: str = "iso") -> pd.Series:
    """Return dates, NaT where a cell is none; ISO is understood whatever the format."""
    text = pd.Series(None, index=cells.index, dtype=object)
    for pattern in (_DATES["iso"], _DATES[date_format]):
        parts = cells.str.extract(f"^{pattern}$")
        day, month = (parts[name].str.zfill(2) for name in ("day", "month"))
        iso = parts["year"] + "-" + month + "-" + day + parts["time"].fillna("")
        text = text.where(text.notna(), iso)
    return pd.to_datetime(text, format="ISO8601", errors="coerce").astype("datetime64[ns]")


def parse_dates(
    cells: pd.Series,
    table: str,
    problems: Problems,
    *,
    is_required: bool = False,
    date_format: str = "iso",
) -> pd.Series:
    """Return dates (NaT where empty) of the declared format: 03/04/2020 has two meanings."""
    blank = is_missing(cells)
    dates = iso_dates(cells.where(~blank), date_format)
    rule = f"{cells.name} must be a date {DATE_FORMATS[date_format]}"
    problems.add(table, dates.isna() & ~blank, rule)
    if is_required:
        problems.add(table, blank, f"{cells.name} must not be empty")
    return dates


def parse_numbers(cells: pd.Series, table: str, problems: Problems) -> pd.Series:
    """Return numbers (NaN where empty), with a decimal point or comma."""
    blank = is_missing(cells)
    text = cells.str.replace(",", ".", regex=False).where(~blank)
    numbers = pd.to_numeric(text, errors="coerce").astype(np.float64)
    numbers = numbers.where(np.isfinite(numbers))
    problems.add(table, numbers.isna() & ~blank, f"{cells.name} must be a number or empty")
    return numbers
