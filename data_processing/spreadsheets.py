"""Tables as text, from CSV or Excel; rows have a spreadsheet's numbers, the heading is row 1."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable
from datetime import date, datetime, time
from itertools import islice
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import pandas as pd

from data_processing.errors import CohortTableError


def split_sheet(name: str) -> tuple[str, str]:
    """Return file and sheet of a table's name.

    Examples
    --------
    >>> split_sheet("study.xlsx:ECGs"), split_sheet("patients.csv")
    (('study.xlsx', 'ECGs'), ('patients.csv', ''))
    """
    stem, mark, sheet = name.partition(".xlsx:")
    return (f"{stem}.xlsx", sheet) if mark else (name, "")


def read_cells(directory: Path, name: str, *, n_rows: int | None = None) -> pd.DataFrame:
    """Return the first rows of a table, or all, as ``read_table`` does, whatever its columns."""
    file, sheet = split_sheet(name)
    path = directory / file
    if not path.is_file():
        raise FileNotFoundError(
            f"cohort folder must hold {name}, got no such file. Set data_root to the folder of the "
            "tables; their columns are described in the README."
        )
    if path.suffix.lower() == ".xlsx":
        table = _read_excel(path, name, sheet, n_rows)
    else:
        table = _read_csv(path, name, n_rows)
    table.columns = [str(column).strip() for column in table.columns]
    if table.columns.duplicated().any():
        raise CohortTableError(
            f"{name} must have headings that differ, got one twice. Rename the columns."
        )
    table = table.apply(lambda cells: cells.fillna("").str.strip())
    table.index = pd.RangeIndex(2, len(table) + 2)
    return table[(table != "").any(axis=1)]


def lacks_heading(headings: Iterable[object]) -> bool:
    """Return whether the first row seems to hold values: then it must not be shown to anyone."""
    texts = [str(heading).strip() for heading in headings]
    n_numbers = sum(re.fullmatch(r"[-+]?\d+([.,]\d+)*", text) is not None for text in texts)
    return n_numbers > 1 or any(
        re.match(r"\d{1,4}[-./]\d{1,2}[-./]\d{1,4}", text) for text in texts
    )


def _read_csv(path: Path, name: str, n_rows: int | None) -> pd.DataFrame:
    try:
        with path.open(encoding="utf-8-sig") as file:
            heading = file.readline()
        table = pd.read_csv(
            path,
            sep=";" if heading.count(";") > heading.count(",") else ",",
            dtype=str,
            keep_default_na=False,
            skip_blank_lines=False,  # they count in the spreadsheet's numbering
            encoding="utf-8-sig",
            nrows=n_rows,
        )
        if not isinstance(table.index, pd.RangeIndex):  # more cells than headings
            raise pd.errors.ParserError
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise CohortTableError(
            f"{name} must be a UTF-8 table with the same number of cells in each row, got a file "
            f"that cannot be parsed ({type(error).__name__}). Save it as CSV UTF-8."
        ) from None
    return table


def _read_excel(path: Path, name: str, sheet: str, n_rows: int | None) -> pd.DataFrame:
    from openpyxl import load_workbook  # only where it is needed: half the tables are CSV

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about styles and validations that are not read
            book = load_workbook(path, read_only=True, data_only=True)
            try:
                found = book[sheet] if sheet else book.worksheets[0]
                stop = None if n_rows is None else n_rows + 1
                rows = list(islice(found.iter_rows(values_only=True), stop))
            finally:
                book.close()
    except (BadZipFile, KeyError, ValueError, IndexError) as error:
        raise CohortTableError(
            f"{name} must be an Excel workbook (.xlsx) with that sheet, got one that cannot be "
            f"read ({type(error).__name__}). Save it anew as .xlsx, or as CSV UTF-8."
        ) from None
    texts = [[_cell_text(value) for value in row] for row in rows]
    heading = texts[0] if texts else []
    kept = [number for number, text in enumerate(heading) if text.strip()]
    body = [[row[number] for number in kept] for row in texts[1:]]
    return pd.DataFrame(body, columns=[heading[number] for number in kept], dtype=object)


def sheets_of(path: Path) -> list[str]:
    """Return the sheets of an Excel workbook; none if it cannot be read."""
    from openpyxl import load_workbook

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            book = load_workbook(path, read_only=True)
            names = [sheet.title for sheet in book.worksheets]
            book.close()
    except (BadZipFile, KeyError, ValueError):
        return []
    return names


def _cell_text(value: Any) -> str:
    """Return an Excel cell as the text a CSV would hold; dates as ISO."""
    if value is None:
        return ""
    if isinstance(value, datetime):
        return (value.date() if value.time() == time() else value).isoformat()
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)
