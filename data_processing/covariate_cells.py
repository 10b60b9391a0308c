"""Cells of a covariate's column as numbers in its unit, 0/1, or words."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pandas as pd

from data_processing.mapping_words import unit_of
from data_processing.tables import BINARY, Problems, is_missing, parse_numbers

DAYS_A_YEAR = 365.25
_LEAST_VALUES = 3  # from which "all of them" says something about the column
# One line a dimension: each unit with its size in the first one.
_DIMENSIONS = (
    {"%": 1.0, "fraction": 100.0},
    {"years": 1.0, "months": 1 / 12, "days": 1 / DAYS_A_YEAR},
    {"ms": 1.0, "s": 1000.0},
    {"mm": 1.0, "cm": 10.0, "m": 1000.0},
    {"kg": 1.0, "g": 0.001, "lb": 0.45359237},
    {"ml": 1.0, "l": 1000.0},
    {"mmHg": 1.0, "kPa": 7.500617},
)


def convertible(unit: str) -> tuple[str, ...]:
    """Return the units that can be converted into one, for ``unit_in_table``.

    Examples
    --------
    >>> convertible("%"), convertible("cm")
    (('fraction',), ('mm', 'm'))
    """
    units = next((units for units in _DIMENSIONS if unit in units), {})
    return tuple(name for name in units if name != unit)


def conversion_factor(unit_in_table: str, unit: str) -> float:
    """Return what a number in the table's unit is multiplied by.

    Raises
    ------
    ValueError
        If the units do not measure the same thing.
    """
    for units in _DIMENSIONS:
        if unit in units and unit_in_table in units:
            return units[unit_in_table] / units[unit]
    raise ValueError(
        f"unit_in_table must be one of {', '.join(convertible(unit)) or 'none'} for {unit!r}, got "
        f"{unit_in_table!r}. Convert the column in the table."
    )


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
        numbers = cells.str.lower().map(BINARY)
        problems.add(table, numbers.isna() & ~blank, f"{cells.name} must be 1, 0 or empty")
        return numbers.astype(np.float64)
    return _numbers_in_unit(cells, covariate, table, problems)


def _numbers_in_unit(
    cells: pd.Series, covariate: dict[str, Any], table: str, problems: Problems
) -> pd.Series:
    """Return numbers in the covariate's unit; a cell may repeat the table's unit (``35 %``)."""
    unit = covariate["unit"]
    in_table = covariate.get("unit_in_table") or unit
    stated, known = unit_of(str(cells.name)), unit_of(f"x ({unit})") or unit
    if stated and known and stated != known and "unit_in_table" not in covariate:
        rule = f"{cells.name} must be in {known}, its heading says {stated}"
        rule += f"; declare unit_in_table: {stated}" if stated in convertible(unit) else ""
        problems.add(table, True, rule)
        return parse_numbers(cells, table, problems)
    if in_table:
        cells = cells.str.replace(rf"\s*{re.escape(in_table)}$", "", regex=True, case=False)
    numbers = parse_numbers(cells, table, problems)
    if in_table == "%" and numbers.notna().sum() >= _LEAST_VALUES and numbers.max() <= 1:
        rule = (
            f"{cells.name} must be in %, all values are 1 or less. If they are fractions (Excel "
            "stores 35 % as 0.35), declare unit_in_table: fraction"
        )
        problems.add(table, True, rule)
        return numbers
    if in_table != unit:
        numbers = numbers * conversion_factor(in_table, unit)
    check_range(numbers, covariate, str(cells.name), table, problems)
    return numbers


def check_range(
    numbers: pd.Series, covariate: dict[str, Any], heading: str, table: str, problems: Problems
) -> None:
    """Check that numbers lie between the covariate's ``low`` and ``high``."""
    low, high = covariate.get("low", -np.inf), covariate.get("high", np.inf)
    is_outside = (numbers < low) | (numbers > high)
    rule = f"{heading} must be between {low:g} and {high:g} {covariate['unit']}".rstrip()
    if covariate.get("unit_in_table"):
        rule += f" (from {covariate['unit_in_table']})"
    problems.add(table, is_outside, rule)


def age_at(
    index_date: pd.Series,
    birth_date: pd.Series,
    covariate: dict[str, Any],
    table: str,
    problems: Problems,
) -> pd.Series:
    """Return ages in years with one decimal; the date of birth itself goes no further.

    Parameters
    ----------
    index_date, birth_date
        Dates; a missing birth date gives a missing age.
    covariate
        With ``birth_date`` (the heading), ``low`` and ``high``.
    table
        Name of the table, for problems.
    problems
        Where births after the index date and impossible ages are added.
    """
    days = (index_date.dt.normalize() - birth_date.dt.normalize()).dt.days
    heading = covariate["birth_date"]
    problems.add(table, days < 0, f"{heading} must not be after the index date")
    age = (days / DAYS_A_YEAR).round(1).astype(np.float64)
    check_range(age.where(days >= 0), covariate, f"{heading}: age", table, problems)
    return age
