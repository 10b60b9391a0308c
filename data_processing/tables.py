"""Read the CSV tables of a cohort and report everything that is wrong with them at once.

Problems are named by table row, as a spreadsheet numbers it (the heading is row 1), never by what
the cell holds: a shifted column would print names or dates of birth.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from data_processing.errors import CohortTableError, listed

_DATE = r"\d{4}-\d{2}-\d{2}(?:[ T]\d{2}:\d{2}(?::\d{2}(?:\.\d{1,9})?)?)?"
_BINARY = {"1": 1.0, "0": 0.0, "true": 1.0, "false": 0.0, "yes": 1.0, "no": 0.0}
_BINARY |= {"1.0": 1.0, "0.0": 0.0}
_MISSING = {"", "na", "nan", "n/a", "null", "none given", "unknown"}
_MAX_PROBLEMS = 40


class Problems:
    """Collects what is wrong, one line for each table, column and rule."""

    def __init__(self) -> None:
        self._lines: list[str] = []

    def add(self, table: str, is_wrong: Any, rule: str) -> None:
        """Add a rule that the marked rows break.

        Parameters
        ----------
        table
            File name of the table.
        is_wrong
            Boolean, one a row; or True for the table as a whole.
        rule
            What must be, naming the column.
        """
        if is_wrong is True:
            self._lines.append(f"{table}: {rule}")
            return
        rows = np.flatnonzero(np.asarray(is_wrong, dtype=bool)) + 2
        if len(rows):
            word = "row" if len(rows) == 1 else "rows"
            self._lines.append(f"{table} {word} {listed(rows, at_most=8)}: {rule}")

    def raise_if_any(self) -> None:
        """Raise one CohortTableError with every problem found so far."""
        if not self._lines:
            return
        shown = self._lines[:_MAX_PROBLEMS]
        more = len(self._lines) - len(shown)
        lines = [*shown, f"and {more} more"] if more else shown
        raise CohortTableError(
            f"tables must follow the cohort's definition, got {len(self._lines)} "
            f"{'problem' if len(self._lines) == 1 else 'problems'}. Correct these rows (row 1 is "
            "the heading):\n- " + "\n- ".join(lines)
        )


def read_table(
    directory: Path, name: str, columns: Sequence[str], problems: Problems
) -> pd.DataFrame:
    """Return a CSV as stripped text; missing columns are a problem and come back empty.

    Comma or semicolon separated, UTF-8 with or without a byte order mark.
    """
    path = directory / name
    if not path.is_file():
        raise FileNotFoundError(
            f"cohort folder must hold {name}, got no such file. Set data_root to the folder of the "
            "tables; their columns are described in the README."
        )
    with path.open(encoding="utf-8-sig") as file:
        heading = file.readline()
    separator = ";" if heading.count(";") > heading.count(",") else ","
    try:
        table = pd.read_csv(
            path, sep=separator, dtype=str, keep_default_na=False, encoding="utf-8-sig"
        )
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise CohortTableError(
            f"{name} must be a UTF-8 table with the same number of cells in each row, got a file "
            f"that cannot be parsed ({type(error).__name__}). Save it as CSV UTF-8."
        ) from None
    table.columns = [str(column).strip() for column in table.columns]
    table = table.apply(lambda cells: cells.fillna("").str.strip())
    absent = [column for column in columns if column not in table]
    if absent:
        problems.add(name, True, f"must have the columns {', '.join(absent)}")
        table = table.assign(**dict.fromkeys(absent, ""))
    if table.empty:
        problems.add(name, True, "must have at least one row")
    return table


def is_missing(cells: pd.Series) -> pd.Series:
    """Return which cells hold no value: empty, NA, NaN, null or unknown."""
    return cells.str.lower().isin(_MISSING)


def parse_dates(
    cells: pd.Series, table: str, problems: Problems, *, is_required: bool = False
) -> pd.Series:
    """Return dates (NaT where empty); only ISO dates, since 03/04/2020 has two meanings."""
    blank = is_missing(cells)
    text = cells.where(~blank & cells.str.fullmatch(_DATE))
    dates = pd.to_datetime(text, format="ISO8601", errors="coerce").astype("datetime64[ns]")
    rule = f"{cells.name} must be a date YYYY-MM-DD (or with time YYYY-MM-DDTHH:MM:SS)"
    problems.add(table, dates.isna() & ~blank, rule)
    if is_required:
        problems.add(table, blank, f"{cells.name} must not be empty")
    return dates


def parse_covariate(
    cells: pd.Series, covariate: dict[str, Any], table: str, problems: Problems
) -> pd.Series:
    """Return a covariate's column as the spec says: float, 0/1 float, or words; missing as NaN."""
    blank = is_missing(cells)
    words = covariate.get("categories")
    if words:
        # "none" is a category of the LGE pattern, so the words are looked up before "missing".
        lookup = {str(word).lower(): word for word in words}
        values = cells.str.lower().map(lookup).astype(object)
        problems.add(
            table,
            values.isna() & ~blank,
            f"{cells.name} must be one of {', '.join(map(str, words))}, or empty",
        )
        return values.where(values.notna(), None)
    if covariate["kind"] == "binary":
        numbers = cells.str.lower().map(_BINARY)
        problems.add(table, numbers.isna() & ~blank, f"{cells.name} must be 1, 0 or empty")
        return numbers.astype(np.float64)
    text = cells.str.replace(",", ".", regex=False).where(~blank)
    numbers = pd.to_numeric(text, errors="coerce").astype(np.float64)
    problems.add(table, numbers.isna() & ~blank, f"{cells.name} must be a number or empty")
    low, high = covariate.get("low", -np.inf), covariate.get("high", np.inf)
    problems.add(
        table,
        (numbers < low) | (numbers > high),
        f"{cells.name} must be between {low:g} and {high:g} {covariate['unit']}".rstrip(),
    )
    return numbers
