"""What is predicted: tasks, targets as columns, covariates that are no longer seen, folds."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from data_processing.definitions import brugada_huca_definition, nicm_definition
from data_processing.splits import make_splits
from data_processing.targets import TargetChoice, define_targets, split_labels

NICM = nicm_definition()


def patients(n=40):
    rng = np.random.default_rng(0)
    event = np.tile([1, 0, 0, 2], n // 4)
    outcome = pd.array(np.tile([1, 0, None, 0], n // 4), dtype="Int8")
    return pd.DataFrame(
        {
            "patient_id": [f"P{k:04d}" for k in range(n)],
            "outcome": outcome,
            "event": event.astype("int8"),
            "duration_days": np.tile([100.0, 2000.0, 200.0, 300.0], n // 4),
            "age_years": rng.normal(50, 10, n),
            "sex": rng.choice(["male", "female"], n),
            "lvef_percent": np.where(np.arange(n) % 10, rng.normal(30, 5, n), np.nan),
            "lge_present": np.where(np.arange(n) % 5, rng.integers(0, 2, n), np.nan),
            "AF": np.tile(["0", "1", "", "true"], n // 4),
        }
    )


def test_one_outcome_stays_as_it_is():
    table = patients()
    found, definition, targets = define_targets(table, NICM, TargetChoice())
    assert found is table
    assert definition is NICM
    assert [(t["name"], t["column"], t["kind"], t["horizon_days"]) for t in targets] == [
        ("sva", "outcome", "binary", 1095)
    ]
    pd.testing.assert_frame_equal(split_labels(found, targets), table)


def test_a_predicted_covariate_is_no_longer_seen():
    choice = TargetChoice("regression", columns="lvef_percent")
    found, definition, targets = define_targets(patients(), NICM, choice)
    assert "lvef_percent" not in [item["name"] for item in definition.covariates]
    assert targets[0]["kind"] == "continuous"
    assert targets[0]["unit"] == "%"
    np.testing.assert_array_equal(found["target_lvef_percent"], patients()["lvef_percent"])
    labels = split_labels(found, targets)["outcome"]
    assert labels.isna().sum() == 4  # no LVEF: scored, and nothing is fitted on them
    assert labels.sum() == 18  # above the median


def test_several_outcomes_keep_missing_labels_and_who_has_any():
    choice = TargetChoice("several", columns="lge_present")
    definition = replace(NICM, label_columns=("AF",))
    found, left, targets = define_targets(patients(), definition, choice)
    assert [t["column"] for t in targets] == ["outcome", "target_lge_present", "target_AF"]
    assert [t["horizon_days"] for t in targets] == [1095, 0, 0]
    assert "lge_present" not in [item["name"] for item in left.covariates]
    np.testing.assert_array_equal(found["target_AF"][:4], [0, 1, np.nan, 1])
    labels = split_labels(found, targets)["outcome"]
    is_unknown = found[[t["column"] for t in targets]].isna().all(axis=1)
    assert labels.isna().equals(is_unknown)
    split = make_splits(split_labels(found, targets), n_folds=2, n_inner_folds=2, n_repeats=1)
    assert set(split.query("role == 'train'")["patient_id"]).isdisjoint(
        found.loc[is_unknown, "patient_id"]
    )


def test_horizons_are_targets_of_their_own_and_nobody_censored_is_left_out():
    choice = TargetChoice("time_to_event", horizons_days="90-365-730")
    assert choice.outcome_horizon_days == 730
    found, _, targets = define_targets(patients(), NICM, choice)
    assert [t["name"] for t in targets] == ["sva_90d", "sva_365d", "sva_730d"]
    assert split_labels(found, targets)["outcome"].tolist() == [1, 0, 0, 0] * 10


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"task": "odd"}, "task must be one of binary, several, regression, time_to_event, got"),
        ({"columns": "age_years"}, "target_columns must be empty for the task binary"),
        ({"horizons_days": "90"}, "horizons_days must be given for the task time_to_event and"),
        ({"task": "time_to_event"}, "horizons_days must be given for the task time_to_event and"),
        (
            {"task": "time_to_event", "horizons_days": "90-90"},
            "horizons_days must be rising numbers joined by -, got '90-90'",
        ),
        ({"task": "time_to_event", "horizons_days": "a-b"}, "must be rising numbers joined by -"),
    ],
)
def test_a_choice_that_means_nothing_is_refused(options, match):
    with pytest.raises(ValueError, match=match):
        TargetChoice(**options)


@pytest.mark.parametrize(
    ("choice", "match"),
    [
        (TargetChoice("regression"), "target_columns must name covariates for the task regress"),
        (TargetChoice("regression", columns="weight"), "must be covariates of the cohort, got 'w"),
        (TargetChoice("regression", columns="lge_present"), "must be continuous for the task reg"),
        (TargetChoice("several", columns="lge_pattern"), "must be binary for the task several, g"),
    ],
)
def test_a_target_that_does_not_fit_is_refused(choice, match):
    with pytest.raises(ValueError, match=match):
        define_targets(patients(), NICM, choice)


def test_without_dates_there_is_no_time_to_event():
    choice = TargetChoice("time_to_event", horizons_days="90")
    with pytest.raises(ValueError, match="task time_to_event must have an outcome with dates"):
        define_targets(patients(), brugada_huca_definition(), choice)


def test_a_label_that_is_no_label_is_refused():
    table = patients().assign(AF="perhaps")
    definition = replace(NICM, label_columns=("AF",))
    with pytest.raises(ValueError, match="AF must be 0 or 1, or empty, got 40 other values"):
        define_targets(table, definition, TargetChoice("several"))
