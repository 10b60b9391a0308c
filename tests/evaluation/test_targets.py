"""Which target is evaluated, and what came true of it."""

import pandas as pd
import pytest

from evaluation.targets import (
    any_target,
    chosen_number,
    chosen_target,
    held_out_rows,
    outcomes_of,
)


def target(name, kind, *, column="", horizon_days=0):
    return {"name": name, "kind": kind, "column": column, "horizon_days": horizon_days}


HORIZONS = [target(f"sva_{days}d", "time_to_event", horizon_days=days) for days in (365, 1095)]
SEVERAL = [target("lvef", "continuous"), target("mi", "binary"), target("sttc", "binary")]


@pytest.mark.parametrize(
    ("targets", "name", "expected"),
    [
        (HORIZONS, "", "sva_1095d"),
        (HORIZONS, "sva_365d", "sva_365d"),
        (SEVERAL, "", "mi"),
        (SEVERAL, "sttc", "sttc"),
    ],
)
def test_the_first_outcome_or_the_longest_horizon_is_evaluated(targets, name, expected):
    assert chosen_target(targets, name)["name"] == expected


def test_numbers_and_unknown_names_are_refused():
    with pytest.raises(ValueError, match="task must be one of outcomes for this evaluation, got"):
        chosen_target(SEVERAL[:1])
    with pytest.raises(ValueError, match="target must be one of mi, sttc, got 'lvef'"):
        chosen_target(SEVERAL, "lvef")


def test_of_a_regression_the_first_number_is_evaluated_unless_one_is_named():
    numbers = [target("lvef", "continuous"), target("age", "continuous")]
    assert chosen_number(numbers)["name"] == "lvef"
    assert chosen_number(numbers, "age")["name"] == "age"
    with pytest.raises(ValueError, match="target must be one of lvef, age, got 'mi'"):
        chosen_number(numbers, "mi")
    with pytest.raises(ValueError, match="task must be regression for this evaluation, got outco"):
        chosen_number(HORIZONS)


def test_any_target_is_the_number_of_a_regression_and_else_an_outcome():
    assert any_target(SEVERAL)["name"] == "mi"
    assert any_target(SEVERAL[:1])["name"] == "lvef"
    assert any_target(HORIZONS, "sva_365d")["horizon_days"] == 365


def test_rows_of_a_number_tell_patients_apart_at_the_median():
    patients = pd.DataFrame({"patient_id": list("abcd"), "lvef": [20.0, 30.0, 41.0, None]})
    number = target("lvef", "continuous", column="lvef")
    outcomes = outcomes_of(patients, number)
    assert outcomes.to_dict() == {"a": 0, "b": 0, "c": 1}
    rows = pd.DataFrame(
        {
            "patient_id": [*"abcd", "a", "b"],
            "target": ["lvef"] * 5 + ["age"],
            "role": ["test"] * 4 + ["validation", "test"],
            "y_true": 30.0,
        }
    )
    found = held_out_rows(rows, number, outcomes)
    assert found[["patient_id", "y_true"]].to_numpy().tolist() == [["a", 0], ["b", 0], ["c", 1]]


def test_outcomes_are_the_column_or_the_status_at_the_horizon():
    patients = pd.DataFrame(
        {
            "patient_id": list("abcd"),
            "target_mi": [1.0, 0.0, None, 1.0],
            "event": [1, 0, 2, 1],
            "duration_days": [200, 300, 100, 900],
        }
    )
    known = outcomes_of(patients, target("mi", "binary", column="target_mi"))
    assert known.to_dict() == {"a": 1, "b": 0, "d": 1}
    # b was lost before a year; c died of something else before; the event of d came later
    assert outcomes_of(patients, HORIZONS[0]).to_dict() == {"a": 1, "c": 0, "d": 0}
    assert outcomes_of(patients, HORIZONS[1]).to_dict() == {"a": 1, "c": 0, "d": 1}
