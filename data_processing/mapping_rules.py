"""The exclusions and devices of a mapping."""

from __future__ import annotations

import datetime
from collections.abc import Collection
from typing import Any

from data_processing.cohort_definition import DEVICES, PACED
from data_processing.exclusions import INDEX_DATE, OPERATORS, TABLES, ExclusionRule
from data_processing.mapping_checks import MappingCheck


def read_exclusions(
    content: Any, outcome_columns: Collection[str], *, has_dates: bool, check: MappingCheck
) -> tuple[ExclusionRule, ...]:
    """Return the rules that are right; what is wrong with the others is added to the check.

    Parameters
    ----------
    content
        The list under ``exclusions``.
    outcome_columns
        Columns no rule may use.
    has_dates
        Whether there is an index date.
    check
        Where what is wrong is added.
    """
    if content is None:
        return ()
    if not isinstance(content, list):
        check.problems.append("exclusions must be a list, each entry starting with `- label:`")
        return ()
    rules = []
    for number, entry in enumerate(content, 1):
        n_before = len(check.problems)
        rule = _read_rule(entry, f"exclusions[{number}]", check)
        if rule is None or len(check.problems) > n_before:
            continue
        reason = rule.looks_ahead(outcome_columns)
        if not has_dates and rule.value == INDEX_DATE:
            reason = "needs an index date, and the outcome has no dates"
        if reason:
            check.problems.append(f"exclusions[{number}]: column {rule.column!r} {reason}")
        else:
            rules.append(rule)
    labels = [rule.label for rule in rules]
    for label in sorted({label for label in labels if labels.count(label) > 1}):
        check.problems.append(f"exclusions: label {label!r} must occur once, it repeats")
    return tuple(rules)


def _read_rule(entry: Any, where: str, check: MappingCheck) -> ExclusionRule | None:
    block = check.section(entry, "exclusions", where)
    label = check.text(block, "label", where, needed="the reason as the flow should say it")
    column = check.text(block, "column", where, needed="the column it looks at")
    table = check.choice(block, "table", where, TABLES, "patients")
    operators = [key for key in OPERATORS if block.get(key) is not None]
    if len(operators) != 1:
        got = " and ".join(operators) or "none"
        check.problems.append(f"{where} must have one of {', '.join(OPERATORS)}, got {got}")
        return None
    operator = operators[0]
    value: Any = None
    if operator in ("is", "is_not"):
        value = check.words(block, operator, where)
        if not value:
            check.problems.append(f"{where}.{operator} must be one word or more")
    elif operator in ("above", "below"):
        value = check.limit(block, operator, where)
    elif operator == "is_missing":
        value = block[operator]
        if not isinstance(value, bool):
            check.problems.append(f"{where}.is_missing must be true or false")
    else:
        value = _read_date(block[operator], f"{where}.{operator}", check)
    return ExclusionRule(label, column, operator, value, table)


def _read_date(value: Any, name: str, check: MappingCheck) -> str:
    """Return an ISO date or the word for the index date; YAML reads dates by itself."""
    text = value.isoformat() if isinstance(value, datetime.date) else str(value).strip()
    if text != INDEX_DATE:
        try:
            return datetime.date.fromisoformat(text).isoformat()
        except ValueError:
            check.problems.append(f"{name} must be {INDEX_DATE} or a date YYYY-MM-DD")
    return text


def read_devices(
    content: dict[str, Any], *, has_dates: bool, check: MappingCheck
) -> dict[str, Any]:
    """Return the devices and which of their ECGs are dropped, as fields of the definition.

    Parameters
    ----------
    content
        The whole mapping.
    has_dates
        Whether the outcome has dates; without them nothing can be said before or after a device.
    check
        Where what is wrong is added.
    """
    block = check.section(content.get("devices"), "devices", "devices")
    devices = check.columns({"devices": block}, "devices", "")
    if devices and not has_dates:
        check.problems.append("devices must be left out where the outcome has no dates")
    choices = check.section(content.get("ecgs_with_device"), "ecgs_with_device", "ecgs_with_device")
    columns = content.get("columns")
    is_marked = isinstance(columns, dict) and bool(columns.get("ecg_paced"))
    declared = [name for name in DEVICES if name in dict(devices)] + [PACED] * is_marked
    dropped = []
    for name in choices:
        what = check.choice(choices, name, "ecgs_with_device", ("keep", "drop"), "keep")
        if name not in declared:
            where = "columns.ecg_paced" if name == PACED else f"devices.{name}"
            check.problems.append(f"ecgs_with_device.{name} must come with {where}, its column")
        elif what == "drop":
            dropped.append(name)
    return {"device_columns": devices, "dropped_devices": tuple(dropped)}
