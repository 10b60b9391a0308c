"""The two tables of a cohort with every column checked and typed; ``cohort`` puts them together."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from data_processing.cohort_definition import CohortDefinition
from data_processing.covariate_cells import age_at, parse_covariate
from data_processing.ecg_files import ECGFiles, record_of
from data_processing.event_dates import check_prior_event, read_components
from data_processing.tables import BINARY, Problems, is_missing, parse_dates


def read_patients(
    table: pd.DataFrame, definition: CohortDefinition, problems: Problems
) -> pd.DataFrame:
    """Return the typed table of patients with ``original_patient_id`` and ``table_row``."""
    name = definition.patients_file
    identifier = table[definition.patient_column]
    problems.add(name, identifier == "", f"{definition.patient_column} must not be empty")
    if not definition.has_one_table:
        is_repeated = identifier.duplicated(keep="first") & (identifier != "")
        problems.add(name, is_repeated, f"{definition.patient_column} must occur once, it repeats")
    columns = {"original_patient_id": identifier, "table_row": table.index}
    if definition.has_dates:
        outcome = _read_dates_of_patients(table, definition, problems)
    else:
        outcome = {"outcome": _read_outcome_column(table, definition, problems)}
    for item in definition.covariates:
        column = item.get("column", item["name"])
        if "birth_date" in item:
            born = _dates(table, item["birth_date"], name, definition, problems)
            columns[column] = age_at(outcome["index_date"], born, item, name, problems)
        else:
            columns[column] = parse_covariate(table[column], item, name, problems)
    as_text = (*definition.descriptive_columns, *definition.label_columns)
    columns |= {column: table[column] for column in as_text}
    if definition.site_column:
        columns["site"] = table[definition.site_column].where(lambda cells: cells != "")
    return pd.DataFrame({**columns, **outcome})


def _read_outcome_column(
    table: pd.DataFrame, definition: CohortDefinition, problems: Problems
) -> pd.Series:
    """Return 0/1, NA where the case is uncertain and to be excluded."""
    cells = table[definition.outcome_column]
    words = definition.outcome_words or ("0", "1")
    lookup = {word.lower(): value for value, word in enumerate(words)}
    values = cells.str.lower().map(lookup if definition.outcome_words else BINARY).astype("Int8")
    is_accepted = values.notna()
    if definition.uncertain_value:
        words = (*words, definition.uncertain_value)
        is_uncertain = cells == definition.uncertain_value
        meaning = {"positive": 1, "negative": 0}
        values = values.mask(is_uncertain, meaning.get(definition.uncertain_as, pd.NA))
        is_accepted |= is_uncertain
    rule = f"{definition.outcome_column} must be one of {', '.join(words)}"
    if definition.missing_outcome == "exclude":
        is_accepted |= cells == ""
        rule += ", or empty"
    problems.add(definition.patients_file, ~is_accepted, rule)
    return values


def _read_dates_of_patients(
    table: pd.DataFrame, definition: CohortDefinition, problems: Problems
) -> dict[str, pd.Series]:
    """Return the dates of index, covariates, follow-up, events and devices."""
    name = definition.patients_file

    def dates(column: str, *, is_required: bool = False) -> pd.Series:
        return _dates(table, column, name, definition, problems, is_required=is_required)

    columns = {
        "index_date": dates(definition.index_date_column, is_required=True),
        "covariates_date": dates(definition.covariates_date_column),
        "last_contact_date": dates(definition.last_contact_column, is_required=True),
    }
    index, last = columns["index_date"], columns["last_contact_date"]
    contact, first = definition.last_contact_column, definition.index_date_column
    problems.add(name, last < index, f"{contact} must not be before {first}")
    columns |= read_components(table, definition, dates)
    if definition.prior_event_column:
        check_prior_event(table[definition.prior_event_column], index, definition, problems)
    if not definition.dated_events:
        event_date = dates(definition.event_date_column)
        columns |= {"event_date": event_date}
        columns["event_type"] = _read_event_type(table, columns, definition, problems)
    return columns


def _read_event_type(
    table: pd.DataFrame,
    dates: dict[str, pd.Series],
    definition: CohortDefinition,
    problems: Problems,
) -> pd.Series:
    """Return the type of the event, None without one; checked with its date."""
    name = definition.patients_file
    types = (*definition.event_types, *definition.competing_types)
    cells = table[definition.event_type_column].str.lower()
    is_blank = cells.isin(("", *definition.no_event_types))
    kind, date = definition.event_type_column, definition.event_date_column
    known = ", ".join((*types, *definition.no_event_types))
    problems.add(name, ~is_blank & ~cells.isin(types), f"{kind} must be one of {known}")
    if not any(problems.is_absent(name, column) for column in (kind, date)):
        has_date = table[date] != ""
        problems.add(name, ~is_blank & ~has_date, f"{kind} must come with {date}, which is empty")
        none = "which says no event" if definition.no_event_types else "which is empty"
        problems.add(name, is_blank & has_date, f"{date} must come with {kind}, {none}")
    index, last, event = (dates[key] for key in ("index_date", "last_contact_date", "event_date"))
    contact, first = definition.last_contact_column, definition.index_date_column
    problems.add(name, last.dt.normalize() < event.dt.normalize(), f"{contact} before {date}")
    is_competing = cells.isin(definition.competing_types)
    problems.add(
        name, is_competing & (event < index), f"{date} of a competing event before {first}"
    )
    return cells.where(~is_blank, None).astype(object)


def _dates(
    table: pd.DataFrame,
    column: str,
    name: str,
    definition: CohortDefinition,
    problems: Problems,
    *,
    is_required: bool = False,
) -> pd.Series:
    """Return a column's dates; none where the cohort has no such column."""
    if not column:
        return pd.Series(pd.NaT, index=table.index, dtype="datetime64[ns]")
    form = definition.date_format
    return parse_dates(table[column], name, problems, is_required=is_required, date_format=form)


def read_ecgs(
    table: pd.DataFrame, directory: Path, definition: CohortDefinition, problems: Problems
) -> pd.DataFrame:
    """Return the typed table of ECGs with the full path of each file; empty where none is named."""
    name, column = definition.ecgs_file, definition.ecg_file_column
    file = table[column]
    if not definition.has_one_table:  # else a patient without an ECG
        problems.add(name, file == "", f"{column} must not be empty")
    path, n_found = _find_files(file, directory, definition)
    if definition.missing_files == "stop":
        problems.add(
            name, (file != "") & (n_found == 0), f"{column} must name an ECG file, it is not there"
        )
    problems.add(
        name, n_found > 1, f"{column} must name one file, the folder holds several so named"
    )
    file_record = path.map(lambda text: record_of(Path(text)))
    record = pd.Series("", index=table.index, dtype=object)
    if definition.ecg_record_column:
        record = table[definition.ecg_record_column]
        text = f"{definition.ecg_record_column} must not be empty"
        problems.add(name, (record == "") & (file != ""), text)
    keys = pd.DataFrame({"file": file_record, "record": record})
    is_repeated = keys.duplicated(keep="first") & (file != "")
    problems.add(name, is_repeated, f"{column} must occur once, it repeats")
    patient = table[definition.ecg_patient_column or definition.patient_column]
    problems.add(name, patient == "", f"{patient.name} must not be empty")
    columns = {
        "original_patient_id": patient,
        "path": path,
        "record": record,
        "recorded_at": _dates(table, definition.recorded_at_column, name, definition, problems),
        "table_row": table.index,
    }
    if definition.ecg_paced_column:
        columns["is_paced"] = _read_paced(table[definition.ecg_paced_column], name, problems)
    return pd.DataFrame(columns)


def _read_paced(cells: pd.Series, name: str, problems: Problems) -> pd.Series:
    """Return 0/1, NA where nothing is said."""
    paced = cells.str.lower().map(BINARY)
    is_wrong = paced.isna() & ~is_missing(cells)
    problems.add(name, is_wrong, f"{cells.name} must be 1, 0 or empty")
    return paced.astype("Int8")


def _find_files(
    cells: pd.Series, directory: Path, definition: CohortDefinition
) -> tuple[pd.Series, pd.Series]:
    """Return the path of each ECG (empty for an empty cell) and how many files are so named."""
    files = ECGFiles(directory)
    paths, counts = [], []
    for cell in cells:
        name = definition.ecg_path.replace("{}", cell) if cell else ""
        found = files.find(name) if name else []
        counts.append(len(found))
        paths.append(str(found[0] if len(found) == 1 else directory / name) if name else "")
    index = cells.index
    return pd.Series(paths, index=index, dtype=object), pd.Series(counts, index=index, dtype=int)
