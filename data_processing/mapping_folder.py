"""The tables of a folder, and which of them seems to hold the patients and which the ECGs."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from data_processing.ecg_files import ECGFiles
from data_processing.errors import CohortTableError, MappingError
from data_processing.event_words import COMPETING, COMPONENTS, DEVICE_DATES
from data_processing.mapping_words import COVARIATES, ROLES, Column, rank
from data_processing.spreadsheets import lacks_heading, read_cells, sheets_of, split_sheet

N_ROWS = 1000  # of each table that are looked at
_N_FILES = 50  # ECG files that are looked for, a column
_MOST_TABLES = 30


@dataclass
class Table:
    """The first rows of a table and what its columns hold."""

    name: str
    cells: pd.DataFrame
    columns: dict[str, Column] = field(default_factory=dict)
    ecg_column: str = ""
    is_by_files: bool = False
    patient: str = ""

    @property
    def n_recognised(self) -> int:
        """How many of its columns have a clinical meaning by their heading."""
        names = [*COVARIATES.values(), *(ROLES[key] for key in ("outcome", "event_type"))]
        names += [ROLES[key] for key in ("event_date", "index_date", "last_contact")]
        names += [*COMPONENTS.values(), *COMPETING.values(), *DEVICE_DATES.values()]
        return sum(any(rank(head, text) is not None for text in names) for head in self.cells)


def existing_table(folder: Path, name: str) -> str:
    """Return the name of a table that was given, after looking that its file is there."""
    file, _ = split_sheet(name)
    if not (folder / file).is_file():
        raise MappingError(
            f"table must be a file of the folder, got {name!r}. Give its name below the folder."
        )
    return name


def table_names(folder: Path, *, is_needed: bool) -> list[str]:
    """Return the CSV tables and Excel sheets of a folder (not of the folders in it)."""
    if not folder.is_dir():
        raise MappingError(
            f"folder must be an existing folder, got {folder.name!r}. Name the folder of the "
            "tables and ECG files."
        )
    found: list[str] = []
    for path in sorted(folder.iterdir()):
        if path.name.startswith((".", "~")) or path.suffix.lower() not in (".csv", ".xlsx"):
            continue
        sheets = sheets_of(path) if path.suffix.lower() == ".xlsx" else []
        found += [f"{path.name}:{sheet}" for sheet in sheets] if len(sheets) > 1 else [path.name]
    if is_needed and not 0 < len(found) <= _MOST_TABLES:
        raise MappingError(
            f"folder must hold 1 to {_MOST_TABLES} tables (.csv, .xlsx), got {len(found)}. Name "
            "yours with --patients and --ecgs."
        )
    return found[:_MOST_TABLES]


def readable_tables(folder: Path, names: list[str]) -> dict[str, Table]:
    """Return the tables by name."""
    tables: dict[str, Table] = {}
    advice = "If it is none of the cohort's tables, name those with --patients and --ecgs."
    for name in names:
        try:
            cells = read_cells(folder, name, n_rows=N_ROWS)
        except CohortTableError as error:
            raise MappingError(f"{error} {advice}") from None
        if cells.empty or lacks_heading(cells):
            raise MappingError(
                f"{name} must have a heading and rows below it, got a table without. Add a first "
                f"row with the names of the columns. {advice}"
            )
        tables[name] = Table(name, cells)
    return tables


def look_for_ecgs(table: Table, files: ECGFiles) -> None:
    """Find the column whose cells are files of the folder; else the one that is called so."""
    by_name = best_heading(table.cells, ROLES["ecg_file"])
    table.ecg_column, most = by_name, 0
    for heading in sorted(map(str, table.cells), key=lambda heading: heading != by_name):
        cells = table.cells[heading].head(_N_FILES)
        n_found = sum(bool(files.find(cell)) for cell in cells if cell)
        if n_found > most:
            table.ecg_column, most = heading, n_found
    table.is_by_files = most > 0


def ecg_evidence(table: Table) -> tuple[bool, bool, int]:
    """Return how much speaks for a table of ECGs: larger is more."""
    return table.is_by_files, bool(table.ecg_column), -table.n_recognised


def patient_table_of(tables: dict[str, Table], ecg_table: Table) -> Table:
    """Return the other table that says more about patients, else the table of ECGs itself."""
    others = [
        table
        for table in tables.values()
        if table is not ecg_table and best_heading(table.cells, ROLES["patient"])
    ]
    best = max(others, key=lambda table: table.n_recognised, default=ecg_table)
    return best if best.n_recognised > ecg_table.n_recognised else ecg_table


def best_heading(cells: pd.DataFrame, names: str, *, among: set[str] | None = None) -> str:
    """Return the heading that comes first in a list of names; empty if none does."""
    places = {
        heading: place
        for heading in map(str, cells)
        if (place := rank(heading, names)) is not None and (among is None or heading in among)
    }
    return min(places, key=lambda heading: places[heading], default="")
