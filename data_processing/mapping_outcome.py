"""The outcome block of a mapping: a 0/1 column, a type with one date, or a date a component."""

from __future__ import annotations

from typing import Any

from data_processing.mapping_checks import MappingCheck

_TYPE_KEYS = ("event_type", "event_date")
_DATE_KEYS = ("last_contact", "index_date")
_ONLY_DATED = (*_TYPE_KEYS, *_DATE_KEYS, "events", "competing", "no_event", "covariates_date")
_ONLY_DATED = (*_ONLY_DATED, "components", "prior_event")
_ONLY_COLUMN = ("words", "uncertain", "missing")
_ONLY_TYPES = (*_TYPE_KEYS, "events", "no_event")


def read_outcome(content: dict[str, Any], check: MappingCheck) -> dict[str, Any]:
    """Return how the outcome is known, as fields of the definition.

    Parameters
    ----------
    content
        The whole mapping.
    check
        Where what is wrong is added.
    """
    block = check.section(content.get("outcome"), "outcome", "outcome")
    given = [key for key, value in block.items() if value not in (None, "", [])]
    column = check.text(block, "column", "outcome")
    dated = [key for key in _ONLY_DATED if key in given]
    if column and dated:
        check.problems.append(
            f"outcome must have either column or events with dates, got column and {dated[0]}"
        )
    if column or not dated:
        return _read_column(block, column, check)
    for key in _ONLY_COLUMN:
        if key in given:
            check.problems.append(f"outcome.{key} must be left out where the outcome has dates")
    names = {key: check.text(block, key, "outcome", needed="a column") for key in _DATE_KEYS}
    fields: dict[str, Any] = {
        "last_contact_column": names["last_contact"],
        "index_date_column": names["index_date"],
        "covariates_date_column": check.text(block, "covariates_date", "outcome"),
        "prior_event_column": check.text(block, "prior_event", "outcome"),
    }
    if "components" in given:
        return fields | _read_components(block, given, check)
    return fields | _read_types(block, check)


def _read_column(block: dict[str, Any], column: str, check: MappingCheck) -> dict[str, Any]:
    """Return the fields of an outcome of 0/1."""
    needed = "0/1, or instead event_type and its dates, or components"
    check.text(block, "column", "outcome", needed=needed)
    words = check.words(block, "words", "outcome")
    if words and len(words) != 2:
        check.problems.append('outcome.words must be the words for 0 and 1: ["no", "yes"]')
    return {
        "outcome_column": column,
        "outcome_words": words,
        "uncertain_value": check.text(block, "uncertain", "outcome"),
        "missing_outcome": check.choice(block, "missing", "outcome", ("stop", "exclude"), "stop"),
    }


def _read_types(block: dict[str, Any], check: MappingCheck) -> dict[str, Any]:
    """Return the fields of events told by a type and one date."""
    names = {key: check.text(block, key, "outcome", needed="a column") for key in _TYPE_KEYS}
    kinds = {
        key: tuple(word.lower() for word in check.words(block, key, "outcome"))
        for key in ("events", "competing", "no_event")
    }
    if not kinds["events"]:
        check.problems.append("outcome.events must be given: the words that count as the event")
    every = [word for words in kinds.values() for word in words]
    if len(set(every)) < len(every):
        check.problems.append("outcome: a word must be in one of events, competing and no_event")
    return {
        "event_types": kinds["events"],
        "competing_types": kinds["competing"],
        "no_event_types": kinds["no_event"],
        "event_type_column": names["event_type"],
        "event_date_column": names["event_date"],
    }


def _read_components(
    block: dict[str, Any], given: list[str], check: MappingCheck
) -> dict[str, Any]:
    """Return the fields of events told by one date column each."""
    for key in _ONLY_TYPES:
        if key in given:
            check.problems.append(
                f"outcome.{key} must be left out where components have their own dates"
            )
    components = check.columns(block, "components", "outcome")
    competing = check.columns(block, "competing", "outcome")
    for label, place in (("name", 0), ("column", 1)):
        values = [pair[place] for pair in (*components, *competing)]
        for value in sorted({value for value in values if values.count(value) > 1}):
            check.problems.append(f"outcome: {label} {value!r} must occur once, it repeats")
    return {
        "event_types": tuple(name for name, _ in components),
        "competing_types": tuple(name for name, _ in competing),
        "component_columns": components,
        "competing_columns": competing,
        "event_type_column": "",
        "event_date_column": "",
    }
