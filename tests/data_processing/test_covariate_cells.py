"""Numbers of a table in the unit they are declared in, and in no other."""

import numpy as np
import pandas as pd
import pytest

from data_processing.covariate_cells import (
    age_at,
    conversion_factor,
    convertible,
    parse_covariate,
)
from data_processing.errors import CohortTableError
from data_processing.tables import Problems

LVEF = {"name": "lvef_percent", "kind": "number", "unit": "%", "low": 5.0, "high": 85.0}


def parsed(cells, heading="LVEF", **changes):
    problems = Problems()
    cells = pd.Series(cells, index=range(2, 2 + len(cells)), name=heading, dtype=object)
    values = parse_covariate(cells, LVEF | changes, "t.csv", problems)
    problems.raise_if_any()
    return values.tolist()


@pytest.mark.parametrize(
    ("unit_in_table", "unit", "factor"),
    [
        ("fraction", "%", 100),
        ("%", "fraction", 0.01),
        ("months", "years", 1 / 12),
        ("days", "years", 1 / 365.25),
        ("s", "ms", 1000),
        ("m", "cm", 100),
        ("lb", "kg", 0.45359237),
        ("kPa", "mmHg", 7.500617),  # 1 mmHg = 133.322387415 Pa
    ],
)
def test_conversions_by_hand(unit_in_table, unit, factor):
    assert conversion_factor(unit_in_table, unit) == pytest.approx(factor, rel=1e-6)
    assert unit_in_table in convertible(unit)


def test_units_that_measure_something_else_are_refused():
    with pytest.raises(ValueError, match="unit_in_table must be one of fraction for '%', got 'kg'"):
        conversion_factor("kg", "%")
    with pytest.raises(ValueError, match="must be one of none for 'NYHA'"):
        conversion_factor("kg", "NYHA")


def test_numbers_are_read_with_commas_units_and_gaps():
    found = parsed(["35 %", "30,5", "", "41%", "NA"])
    np.testing.assert_array_equal(found, [35, 30.5, np.nan, 41, np.nan])
    assert parsed(["0,35", "0.4", "0.5"], unit_in_table="fraction") == pytest.approx([35, 40, 50])
    # Excel shows 35 % and stores 0.35: the heading is right and what is declared counts.
    assert parsed(["0.35"], "EF (%)", unit_in_table="fraction") == pytest.approx([35])
    assert parsed(["60"], "Alter (Jahre)", unit="years") == [60]


@pytest.mark.parametrize(
    ("cells", "heading", "changes", "message"),
    [
        (["0.35", "0.4", "0.5"], "EF", {}, "EF must be in %, all values are 1 or less."),
        (["0.35", "40", "50"], "EF", {}, "t.csv row 2: EF must be between 5 and 85 %"),
        (
            ["35", "0.4", "0.5"],
            "EF",
            {"unit_in_table": "fraction"},
            "t.csv row 2: EF must be between 5 and 85 % (from fraction)",
        ),
        (["35 mm"], "EF", {}, "t.csv row 2: EF must be a number or empty"),
        (["inf"], "EF", {}, "t.csv row 2: EF must be a number or empty"),
        (
            ["35"],
            "EF [%]",
            {"unit": "mm"},
            "t.csv: EF [%] must be in mm, its heading says %",
        ),
        (
            ["120"],
            "QRS (ms)",
            {"unit": "s", "low": 0.05, "high": 0.3},
            "t.csv: QRS (ms) must be in s, its heading says ms; declare unit_in_table: ms",
        ),
    ],
)
def test_a_unit_that_does_not_fit_is_a_problem(cells, heading, changes, message):
    with pytest.raises(CohortTableError) as error:
        parsed(cells, heading, **changes)
    assert message in str(error.value)
    assert "got 1 problem." in str(error.value)


def test_age_is_counted_from_birth_to_the_index_date_and_rounded():
    problems = Problems()
    index = pd.Series(pd.to_datetime(["2015-01-10"] * 4), index=range(2, 6))
    born = pd.to_datetime(["1960-01-10", None, "2016-01-01", "1860-01-01"])
    spec = {"birth_date": "DOB", "unit": "years", "low": 0.0, "high": 120.0}
    ages = age_at(index, pd.Series(born, index=range(2, 6)), spec, "t.csv", problems)
    assert ages.tolist()[0] == 55.0
    assert np.isnan(ages.tolist()[1])
    with pytest.raises(CohortTableError) as error:
        problems.raise_if_any()
    assert "t.csv row 4: DOB must not be after the index date" in str(error.value)
    assert "t.csv row 5: DOB: age must be between 0 and 120 years" in str(error.value)
