"""Read a mapping: the YAML file that says which table and column of a folder is what.

``mapping_template`` writes one from the headings it finds; people correct it. Every key is checked,
and all that is wrong is reported at once.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from data_processing.covariate_cells import convertible
from data_processing.definitions import NICM_COVARIATES, CohortDefinition
from data_processing.mapping_checks import MappingCheck
from data_processing.mapping_outcome import read_outcome
from data_processing.mapping_rules import read_devices, read_exclusions
from data_processing.mapping_signals import read_key_path, read_signals
from data_processing.tables import DATE_FORMATS

SUFFIXES = (".yaml", ".yml")
KINDS = ("number", "binary", "category")
# Columns of the typed table of patients, which a covariate's column would overwrite.
_RESERVED = {
    *("patient_id", "original_patient_id", "table_row", "outcome", "event", "duration_days"),
    *("index_date", "covariates_date", "event_type", "event_date", "last_contact_date"),
    *("time_zero", "event_component", "prior_event", "has_icd_at_index", "icd_during_follow_up"),
}
_RESERVED_PREFIXES = ("date_of_", "days_to_", "device_", "rule_", "target_")
_STANDARD_KINDS = {item["name"]: item["kind"] for item in NICM_COVARIATES}


def is_mapping(cohort: str) -> bool:
    """Return whether a cohort's name is that of a mapping file."""
    return cohort.lower().endswith(SUFFIXES)


def read_mapping(path: str | Path) -> tuple[CohortDefinition, Path]:
    """Return the cohort's definition and folder from a mapping file.

    Parameters
    ----------
    path
        A YAML file as ``mapping_template`` writes it.

    Returns
    -------
    definition, folder
        The folder is taken relative to the file.

    Raises
    ------
    MappingError
        A ValueError that lists unknown keys (with the nearest valid one), wrong values and what is
        still empty.
    """
    path = Path(path)
    check = MappingCheck()
    content = check.parsed(path)
    folder = path.parent / check.text(content, "folder", "")
    definition = _definition(path, content, check)
    check.raise_if_any(path)
    return definition, folder


def _definition(path: Path, content: dict[str, Any], check: MappingCheck) -> CohortDefinition:
    """Return the definition; placeholders stand where something is wrong."""
    tables = check.section(content.get("tables"), "tables", "tables")
    columns = check.section(content.get("columns"), "columns", "columns")
    patients = check.text(tables, "patients", "tables", needed="the table of patients")
    is_synthetic = content.get("is_synthetic") or False
    if not isinstance(is_synthetic, bool):
        check.problems.append("is_synthetic must be true or false")
    outcome = read_outcome(content, check)
    values: dict[str, Any] = {
        "name": path.stem,
        "title": check.text(content, "title", "", needed="the heading of figures and report"),
        "target": check.name(content, "target", "", "a short name of the outcome"),
        "target_label": check.text(content, "target_label", ""),
        "is_synthetic": is_synthetic is True,
        "licence": check.text(content, "licence", ""),
        "citation": check.text(content, "citation", ""),
        "date_format": check.choice(content, "date_format", "", DATE_FORMATS, "iso"),
        "missing_files": check.choice(content, "missing_files", "", ("stop", "reject"), "stop"),
        "least_events": 2,
        "patients_file": patients,
        "ecgs_file": check.text(tables, "ecgs", "tables") or patients,
        "patient_column": check.text(columns, "patient", "columns", needed="the patient's number"),
        "ecg_patient_column": check.text(columns, "ecg_patient", "columns"),
        "ecg_file_column": check.text(columns, "ecg_file", "columns", needed="the ECG's file"),
        "ecg_record_column": check.text(columns, "ecg_record", "columns"),
        "recorded_at_column": check.text(columns, "ecg_date", "columns"),
        "ecg_paced_column": check.text(columns, "ecg_paced", "columns"),
        "site_column": check.text(columns, "site", "columns"),
        "label_columns": check.words(content, "labels", ""),
        "signals": read_signals(content, check),
        "pseudonym_key": read_key_path(content, path, check),
        **outcome,
        **read_devices(content, has_dates="event_types" in outcome, check=check),
    }
    if "event_types" in outcome and not values["recorded_at_column"]:
        check.problems.append("columns.ecg_date must be given where the outcome has dates")
    if check.problems and not (values.get("event_types") or values.get("outcome_column")):
        values["outcome_column"] = "outcome"  # reported already; the rest can be checked
    definition = CohortDefinition(**values)
    known = {definition.index_date_column, definition.covariates_date_column}
    known |= {definition.prior_event_column, *(column for _, column in definition.device_columns)}
    taken = {definition.patient_column, *definition.outcome_columns}
    taken |= known if "event_types" in outcome else set()
    taken |= {"site"} if definition.site_column else set()  # the name of the label
    taken |= set(definition.label_columns)  # known only after the index date
    has_dates = "event_types" in outcome
    covariates = _covariates(content.get("covariates"), taken - {""}, has_dates, check)
    rules = read_exclusions(
        content.get("exclusions"), definition.outcome_columns, has_dates=has_dates, check=check
    )
    return replace(definition, covariates=covariates, exclusions=rules)


def _covariates(
    content: Any, taken: set[str], has_dates: bool, check: MappingCheck
) -> tuple[dict[str, Any], ...]:
    """Return the covariates as specs."""
    if content is None:
        return ()
    if not isinstance(content, list):
        check.problems.append("covariates must be a list, each entry starting with `- name:`")
        return ()
    items = [_covariate(entry, number, check) for number, entry in enumerate(content, 1)]
    names = [item["name"] for item in items]
    columns = [item.get("column", item["name"]) for item in items]
    if not has_dates and any("birth_date" in item for item in items):
        check.problems.append(
            "covariates: birth_date needs an index date, the outcome has no dates"
        )
    for label, values in (("name", names), ("column", columns)):
        for value in sorted({value for value in values if value and values.count(value) > 1}):
            check.problems.append(f"covariates: {label} {value!r} must occur once, it repeats")
    for number, column in enumerate(columns, 1):
        if column in taken:
            check.problems.append(
                f"covariates[{number}].column must not be the patient's, the outcome's or its dates"
            )
        elif column in _RESERVED or column.startswith(_RESERVED_PREFIXES):
            check.problems.append(
                f"covariates[{number}].column must not be called {column!r} (a name of this "
                "project); rename that column of the table"
            )
    return tuple(items)


def _covariate(entry: Any, number: int, check: MappingCheck) -> dict[str, Any]:
    where = f"covariates[{number}]"
    block = check.section(entry, "covariates", where)
    name = check.name(block, "name", where, "a short name")
    kind = check.choice(block, "kind", where, KINDS, "")
    column = check.text(block, "column", where) or name
    spec = {
        "name": name,
        "label": check.text(block, "label", where) or name,
        "unit": check.text(block, "unit", where),
        "kind": kind,
    }
    if column != name:
        spec["column"] = column
    _add_birth_date_or_unit(spec, block, where, check)
    expected = _STANDARD_KINDS.get(name, kind)
    if kind != expected:
        check.problems.append(f"{where}.kind must be {expected} for {name}, got {kind!r}")
    limits = {key: check.limit(block, key, where) for key in ("low", "high")}
    limits = {key: value for key, value in limits.items() if value is not None}
    words = check.words(block, "categories", where)
    if kind == "number":
        if len(limits) == 2 and limits["low"] >= limits["high"]:
            check.problems.append(f"{where}.low must be below high")
        if words:
            check.problems.append(f"{where}.categories must be left out for a number")
        return spec | limits
    if limits:
        check.problems.append(f"{where}.low and high must be left out for a {kind}")
    if kind == "category" and len(words) < 2:
        check.problems.append(f"{where}.categories must be two words or more, the reference first")
    if kind == "binary" and block.get("categories") is not None and len(words) != 2:
        check.problems.append(f'{where}.categories must be the words for 0 and 1: ["no", "yes"]')
    return spec | ({"categories": list(words)} if words else {})


def _add_birth_date_or_unit(
    spec: dict[str, Any], block: dict[str, Any], where: str, check: MappingCheck
) -> None:
    """Add where an age comes from, or the unit of the table, to a covariate's spec."""
    born = check.text(block, "birth_date", where)
    in_table = check.text(block, "unit_in_table", where)
    if born:
        spec["birth_date"] = born
        if spec["name"] != "age_years" or "column" in spec or in_table:
            check.problems.append(
                f"{where}.birth_date must stand with the name age_years, without column and "
                "unit_in_table"
            )
    if not in_table:
        return
    spec["unit_in_table"] = in_table
    if spec["kind"] != "number":
        check.problems.append(f"{where}.unit_in_table must be left out for a {spec['kind']}")
    elif in_table not in convertible(spec["unit"]):
        known = ", ".join(convertible(spec["unit"])) or "none"
        check.problems.append(
            f"{where}.unit_in_table must be one of {known} for the unit {spec['unit']!r}, got "
            f"{in_table!r}; convert the column in the table"
        )
