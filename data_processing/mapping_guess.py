"""Guess from headings and values which table and column of a folder is what."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from data_processing.definitions import NICM_COVARIATES
from data_processing.ecg_files import ECGFiles
from data_processing.errors import CohortTableError, MappingError
from data_processing.event_words import (
    COMPETING,
    COMPONENTS,
    DEVICE_DATES,
    PACED,
    EventDates,
    divide_event_words,
    guess_event_dates,
)
from data_processing.mapping_words import (
    COVARIATES,
    ROLES,
    Column,
    describe_column,
    female_male,
    plain,
    rank,
    unit_of,
    yes_no,
)
from data_processing.spreadsheets import lacks_heading, read_cells, sheets_of, split_sheet

N_ROWS = 1000  # of each table that are looked at
_N_FILES = 50  # ECG files that are looked for, a column
_MOST_TABLES = 30
_FOLLOW_UP = ("last_contact", "index_date", "covariates_date")


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


@dataclass
class Guess:
    """What is written into the mapping; an empty text is what could not be guessed."""

    patients: Table
    ecgs: Table
    ecg_date: str = ""
    ecg_paced: str = ""
    dates: EventDates = field(default_factory=EventDates)
    date_format: str = ""
    outcome: dict[str, Any] = field(default_factory=dict)
    covariates: list[dict[str, Any]] = field(default_factory=list)
    others: list[Column] = field(default_factory=list)
    is_synthetic: bool = False

    @property
    def has_one_table(self) -> bool:
        """Whether patients and ECGs are in one table."""
        return self.patients is self.ecgs


def guess_mapping(folder: Path, *, patients: str = "", ecgs: str = "") -> Guess:
    """Return what the tables of a folder seem to mean.

    Parameters
    ----------
    folder
        Of the tables and ECG files.
    patients, ecgs
        Names of the tables, below the folder, where they are known.

    Raises
    ------
    MappingError
        If the folder or a table is not there, or holds no table.
    """
    names = [_existing(folder, name) for name in dict.fromkeys((patients, ecgs)) if name]
    if len(names) < 2:  # then the other table may be any of the folder's
        names = list(dict.fromkeys([*names, *_table_names(folder, is_needed=not names)]))
    tables = _readable(folder, names)
    files = ECGFiles(folder)
    for table in tables.values():
        _look_for_ecgs(table, files)
    ecg_table = tables[ecgs] if ecgs else max(tables.values(), key=_ecg_evidence)
    patient_table = tables[patients] if patients else _patient_table(tables, ecg_table)
    for table in (patient_table, ecg_table):
        is_bare = table is ecg_table and table is not patient_table
        names_of_patient = ROLES["patient"].removesuffix(" id") if is_bare else ROLES["patient"]
        table.patient = _best(table.cells, names_of_patient)
        owner = table.cells[table.patient] if table.patient else pd.Series(table.cells.index)
        owner = owner.set_axis(table.cells.index)
        headings = map(str, table.cells)
        table.columns = {head: describe_column(table.cells[head], owner) for head in headings}
    guess = Guess(patient_table, ecg_table, is_synthetic=(folder / "truth.json").is_file())
    _guess_dates_and_outcome(guess)
    _guess_covariates(guess)
    return guess


def _existing(folder: Path, name: str) -> str:
    file, _ = split_sheet(name)
    if not (folder / file).is_file():
        raise MappingError(
            f"table must be a file of the folder, got {name!r}. Give its name below the folder."
        )
    return name


def _table_names(folder: Path, *, is_needed: bool) -> list[str]:
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


def _readable(folder: Path, names: list[str]) -> dict[str, Table]:
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


def _look_for_ecgs(table: Table, files: ECGFiles) -> None:
    """Find the column whose cells are files of the folder; else the one that is called so."""
    by_name = _best(table.cells, ROLES["ecg_file"])
    table.ecg_column, most = by_name, 0
    for heading in sorted(map(str, table.cells), key=lambda heading: heading != by_name):
        cells = table.cells[heading].head(_N_FILES)
        n_found = sum(bool(files.find(cell)) for cell in cells if cell)
        if n_found > most:
            table.ecg_column, most = heading, n_found
    table.is_by_files = most > 0


def _ecg_evidence(table: Table) -> tuple[bool, bool, int]:
    return table.is_by_files, bool(table.ecg_column), -table.n_recognised


def _patient_table(tables: dict[str, Table], ecg_table: Table) -> Table:
    """Return the other table that says more about patients, else the table of ECGs itself."""
    others = [
        table
        for table in tables.values()
        if table is not ecg_table and _best(table.cells, ROLES["patient"])
    ]
    best = max(others, key=lambda table: table.n_recognised, default=ecg_table)
    return best if best.n_recognised > ecg_table.n_recognised else ecg_table


def _best(cells: pd.DataFrame, names: str, *, among: set[str] | None = None) -> str:
    """Return the heading that comes first in a list of names; empty if none does."""
    places = {
        heading: place
        for heading in map(str, cells)
        if (place := rank(heading, names)) is not None and (among is None or heading in among)
    }
    return min(places, key=lambda heading: places[heading], default="")


def _of_kind(table: Table, role: str, *kinds: str) -> str:
    """Return the column for a role whose values are of some kind (or that has no value)."""
    among = {head for head, column in table.columns.items() if column.kind in (*kinds, "empty")}
    return _best(table.cells, ROLES[role], among=among)


def _guess_dates_and_outcome(guess: Guess) -> None:
    table = guess.patients
    guess.ecg_date = _of_kind(guess.ecgs, "ecg_date", "date")
    binary = {head for head, column in guess.ecgs.columns.items() if column.kind == "binary"}
    guess.ecg_paced = _best(guess.ecgs.cells, PACED, among=binary)
    guess.dates = guess_event_dates(table.columns.values())
    column = _of_kind(table, "outcome", "binary")
    words: list[str] = []
    if not column:
        column = _of_kind(table, "outcome", "category")
        words = yes_no(table.columns[column].words) if column else []
        column = column if words else ""
    dated = {"event_type": _of_kind(table, "event_type", "category")}
    for role in ("event_date", "last_contact", "index_date", "covariates_date"):
        dated[role] = _of_kind(table, role, "date")
    is_dated = bool(dated["event_type"] or dated["event_date"]) and not (
        column and not all(dated[role] for role in ("event_type", "last_contact", "index_date"))
    )
    if is_dated and dated["event_type"] != column:
        kinds = table.columns.get(dated["event_type"])
        guess.outcome = dated | divide_event_words(kinds.words if kinds else ())
        guess.outcome["n_left_out"] = kinds.n_left_out if kinds else 0
    elif guess.dates.components and dated["last_contact"]:
        guess.outcome = {"components": guess.dates.components, "competing": guess.dates.competing}
        guess.outcome |= {key: dated[key] for key in _FOLLOW_UP}
    else:
        guess.outcome = {"column": column, "words": words}
        guess.dates = EventDates()
    used = [guess.ecgs.columns.get(guess.ecg_date)]
    used += [table.columns.get(name) for key, name in guess.outcome.items() if _is_date(key)]
    used += [table.columns.get(name) for name in guess.dates.headings]
    formats = [set(column.formats) for column in used if column and column.formats]
    common = set.intersection(*formats) if formats else {"iso"}
    if "iso" in common or len(common) == 1:
        guess.date_format = "iso" if "iso" in common else common.pop()
    elif common == {"dmy", "mdy"} and _has_points(guess, used):
        guess.date_format = "dmy"  # points are not written between month and day


def _is_date(key: str) -> bool:
    return key.endswith("_date") or key == "last_contact"


def _has_points(guess: Guess, used: list[Column | None]) -> bool:
    """Return whether the dates are written with points."""
    for column in filter(None, used):
        for table in (guess.ecgs, guess.patients):
            if column.heading in table.cells and column.formats:
                return bool(table.cells[column.heading].str.contains(".", regex=False).any())
    return False


def _guess_covariates(guess: Guess) -> None:
    """Fill the covariates with a known name, and the other columns that could be some."""
    table = guess.patients
    taken = {table.patient, guess.ecg_date, *map(str, guess.outcome.values())}
    taken |= guess.dates.headings - {guess.dates.birth_date}
    taken |= {guess.ecg_paced} if guess.has_one_table else set()
    taken |= {guess.ecgs.ecg_column} if guess.has_one_table else set()
    rest = {head: column for head, column in table.columns.items() if head not in taken}
    standard = {item["name"]: item for item in NICM_COVARIATES}
    for name, names in COVARIATES.items():
        heading = _best(table.cells, f"{name} {names}", among=set(rest))
        column = rest.get(heading)
        if column is None or not _fits(column, standard[name]["kind"]):
            continue
        guess.covariates.append(_standard_covariate(standard[name], rest.pop(heading)))
    if "age_years" not in [item["name"] for item in guess.covariates] and guess.dates.birth_date:
        rest.pop(guess.dates.birth_date)
        born = {"column": guess.dates.birth_date, "is_birth_date": True}
        guess.covariates.append(standard["age_years"] | born)
    order = list(table.cells)
    guess.covariates.sort(key=lambda item: order.index(item["column"]))
    guess.others = list(rest.values())


def _fits(column: Column, kind: str) -> bool:
    kinds = {"number": ("number",), "binary": ("binary", "category"), "category": ("category",)}
    return column.kind in kinds[kind]


def _standard_covariate(standard: dict[str, Any], column: Column) -> dict[str, Any]:
    """Return a covariate of the clinical model with the words of this table."""
    item = {**standard, "column": column.heading, "n_left_out": column.n_left_out}
    words = column.words
    if item["name"] == "is_male":
        own = [word for word in item["categories"] if word in map(str.lower, words)]
        is_called_male = plain(column.heading) in ("male", "is_male", "mannlich", "maennlich")
        if column.kind == "binary" and is_called_male:
            del item["categories"]
        else:
            item["categories"] = own if len(own) == 2 else female_male(words)
    elif item["kind"] == "binary" and column.kind == "category":
        item["categories"] = yes_no(words)
    elif item["kind"] == "category":
        is_ours = set(words) <= set(item["categories"])
        item["categories"] = item["categories"] if is_ours else list(words)
    return item


def suggested_covariate(column: Column) -> dict[str, Any]:
    """Return the entry of a column whose heading is unknown, for the user to decide on."""
    name = plain(column.heading)
    item: dict[str, Any] = {
        "name": name if name[:1].isalpha() else f"column_{name}",
        "label": column.heading,
        "unit": unit_of(column.heading),
        "kind": column.kind,
        "column": column.heading,
        "n_left_out": column.n_left_out,
    }
    words = yes_no(column.words)
    if words:
        item |= {"kind": "binary", "categories": words}
    elif column.kind == "category":
        item["categories"] = list(column.words)
    return item
