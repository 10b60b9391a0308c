"""Which target is evaluated, and what came true of it."""

import pandas as pd
import pytest

from evaluation.targets import chosen_number, chosen_target, outcomes_of


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
