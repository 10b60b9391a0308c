"""Guess from headings and values which table and column of a folder is what."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from data_processing.definitions import NICM_COVARIATES
from data_processing.ecg_files import ECGFiles
from data_processing.event_words import (
    PACED,
    EventDates,
    divide_event_words,
    guess_event_dates,
)
from data_processing.mapping_folder import (
    Table,
    best_heading,
    ecg_evidence,
    existing_table,
    look_for_ecgs,
    patient_table_of,
    readable_tables,
    table_names,
)
from data_processing.mapping_words import (
    COVARIATES,
    ROLES,
    Column,
    describe_column,
    female_male,
    plain,
    unit_of,
    yes_no,
)

_FOLLOW_UP = ("last_contact", "index_date", "covariates_date")


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
    names = [existing_table(folder, name) for name in dict.fromkeys((patients, ecgs)) if name]
    if len(names) < 2:  # then the other table may be any of the folder's
        names = list(dict.fromkeys([*names, *table_names(folder, is_needed=not names)]))
    tables = readable_tables(folder, names)
    files = ECGFiles(folder)
    for table in tables.values():
        look_for_ecgs(table, files)
    ecg_table = tables[ecgs] if ecgs else max(tables.values(), key=ecg_evidence)
    patient_table = tables[patients] if patients else patient_table_of(tables, ecg_table)
    for table in (patient_table, ecg_table):
        is_bare = table is ecg_table and table is not patient_table
        names_of_patient = ROLES["patient"].removesuffix(" id") if is_bare else ROLES["patient"]
        table.patient = best_heading(table.cells, names_of_patient)
        owner = table.cells[table.patient] if table.patient else pd.Series(table.cells.index)
        owner = owner.set_axis(table.cells.index)
        headings = map(str, table.cells)
        table.columns = {head: describe_column(table.cells[head], owner) for head in headings}
    guess = Guess(patient_table, ecg_table, is_synthetic=(folder / "truth.json").is_file())
    _guess_dates_and_outcome(guess)
    _guess_covariates(guess)
    return guess


def _of_kind(table: Table, role: str, *kinds: str) -> str:
    """Return the column for a role whose values are of some kind (or that has no value)."""
    among = {head for head, column in table.columns.items() if column.kind in (*kinds, "empty")}
    return best_heading(table.cells, ROLES[role], among=among)


def _guess_dates_and_outcome(guess: Guess) -> None:
    table = guess.patients
    guess.ecg_date = _of_kind(guess.ecgs, "ecg_date", "date")
    binary = {head for head, column in guess.ecgs.columns.items() if column.kind == "binary"}
    guess.ecg_paced = best_heading(guess.ecgs.cells, PACED, among=binary)
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
        heading = best_heading(table.cells, f"{name} {names}", among=set(rest))
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
