from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit, logit

from evaluation.scores import (
    check_predictions,
    known_at_horizon,
    patient_scores,
    status_at_horizon,
)


@pytest.fixture
def predictions(make_predictions):
    return make_predictions(n=30, noises={"ecg": 1.0})


def test_score_is_the_mean_logit(predictions):
    table = patient_scores(predictions)
    key = ["patient_id", "fold", "role"]
    first = table.iloc[0]
    rows = predictions.merge(first[key].to_frame().T, on=key)
    assert first["y_score"] == pytest.approx(expit(logit(rows["y_score"]).mean()))
    assert first["n_records"] == len(rows)
    assert first["y_true"] == rows["y_true"].iloc[0]


def test_one_row_a_patient_fold_and_role(predictions):
    table = patient_scores(predictions)
    key = ["target", "variant", "repeat", "fold", "role", "patient_id"]
    assert not table.duplicated(key).any()
    assert len(table) == len(predictions.drop_duplicates(key))


def test_order_of_rows_does_not_matter(predictions):
    shuffled = predictions.sample(frac=1, random_state=1)
    pd.testing.assert_frame_equal(patient_scores(predictions), patient_scores(shuffled))


def test_saturated_scores_stay_finite(predictions):
    predictions["y_score"] = np.where(predictions["y_true"] == 1, 1.0, 0.0)
    assert patient_scores(predictions)["y_score"].between(0, 1).all()


def test_follow_up_is_kept(predictions):
    duration = predictions["y_true"].map({1: 100.0, 0: 2000.0})
    table = patient_scores(predictions.assign(event=predictions["y_true"], duration_days=duration))
    assert (table["event"] == table["y_true"]).all()
    assert (table["duration_days"] == table["y_true"].map({1: 100, 0: 2000})).all()
    assert table["y_true"].dtype == "int8"


@pytest.fixture
def with_unknown(predictions):
    """Return predictions with follow-up; the test rows of two patients are censored early."""
    table = predictions.assign(
        event=predictions["y_true"],
        duration_days=predictions["y_true"].map({1: 100.0, 0: 2000.0}),
        y_true=predictions["y_true"].astype("Int8"),
    )
    lost = table.loc[table["y_true"] == 0, "patient_id"].unique()[:2]
    is_lost = table["patient_id"].isin(lost)
    table = table[~is_lost | (table["role"] == "test")]
    table.loc[is_lost, "duration_days"] = 1825.0
    table.loc[is_lost, "y_true"] = pd.NA
    return table


def test_patients_censored_before_the_horizon_are_kept_without_an_outcome(with_unknown):
    table = patient_scores(with_unknown)
    assert table["y_true"].dtype == "Int8"
    lost = table[table["y_true"].isna()]
    assert lost["patient_id"].nunique() == 2
    assert set(lost["role"]) == {"test"}
    known = known_at_horizon(with_unknown)
    assert known["y_true"].dtype == "int8"
    assert not set(known["patient_id"]) & set(lost["patient_id"])


def test_the_status_at_the_horizon_by_hand():
    rows = [(1, 99, 1), (1, 100, 1), (1, 101, 0), (2, 50, 0), (0, 100, 0), (2, 100, 0)]
    table = pd.DataFrame([*rows, (0, 99, pd.NA)], columns=["event", "duration_days", "expected"])
    found = status_at_horizon(table.assign(horizon_days=100))
    assert found.tolist()[:-1] == table["expected"].tolist()[:-1]
    assert found.iloc[-1] is pd.NA


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"y_true": 0}, "got 0 with event 0 at 1825 of 1826 days .* is unknown, never a negative"),
        ({"duration_days": 1826.0}, "got <NA> with event 0 at 1826 of 1826 days"),
        ({"event": 1}, "got <NA> with event 1 at 1825 of 1826 days"),
        ({"event": 2}, "got <NA> with event 2 at 1825 of 1826 days"),
        ({"role": "validation"}, "y_true must be 0 or 1, got <NA> .* may be missing only in test"),
    ],
)  # fmt: skip
def test_a_missing_outcome_that_does_not_follow_from_the_follow_up_is_refused(
    with_unknown, change, message
):
    is_lost = with_unknown["y_true"].isna()
    for name, value in change.items():
        with_unknown.loc[is_lost, name] = value
    with pytest.raises(ValueError, match=message):
        check_predictions(with_unknown)


def plant(predictions, what):
    table = predictions.copy()
    is_test = table["role"] == "test"
    patient = table.loc[is_test, "patient_id"].iloc[0]
    own = is_test & (table["patient_id"] == patient)
    fold = table.loc[own, "fold"].iloc[0]
    if what == "missing":
        table.loc[table.index[3], "y_score"] = np.nan
    elif what == "outside":
        table.loc[table.index[3], "y_score"] = -1.5
    elif what == "outcome":
        table["y_true"] = table["y_true"].astype(float)
        table.loc[table.index[3], "y_true"] = np.nan
    elif what == "role":
        table.loc[table.index[3], "role"] = "train"
    elif what == "double":
        table = pd.concat([table, table.iloc[[3]]])
    elif what == "outcome differs":
        table.loc[table.index[own][0], "y_true"] = 1 - table.loc[own, "y_true"].iloc[0]
        extra = table[own].assign(record_id="R9", y_true=table.loc[own, "y_true"].iloc[0])
        extra["y_true"] = 1 - extra["y_true"]
        table = pd.concat([table, extra.iloc[[0]]])
    elif what == "two test folds":
        table = pd.concat([table, table[own].assign(fold=fold + 10)])
    elif what == "both sides":
        table = pd.concat([table, table[own].assign(role="validation", record_id="R9").iloc[[0]]])
    elif what == "horizon":
        table.loc[table.index[3], "horizon_days"] = 365.0
    return table


@pytest.mark.parametrize(
    ("what", "message"),
    [
        (
            "missing",
            "y_score must be between 0 and 1, got a missing value in 1 of {n} rows (first: record "
            "{r}). Find out why the model gave none; never fill it.",
        ),
        (
            "outside",
            "y_score must be between 0 and 1, got -1.5 in 1 of {n} rows (first: record {r}). "
            "Write the probability, not the logit.",
        ),
        (
            "outcome",
            "y_true must be 0 or 1, got nan in 1 of {n} rows (first: record {r}). It may "
            "be missing only in test rows of patients censored before the horizon.",
        ),
        (
            "role",
            "role must be one of ('validation', 'inner', 'test'), got 'train' in 1 of {n} rows "
            "(first: record {r}). Write predictions for validation and test rows only.",
        ),
        (
            "double",
            "predictions must hold one row a record, variant, target, repeat, fold, role and seed, "
            "got repeated rows in 1 of {n} rows (first: record {r}). Write each of them once.",
        ),
        (
            "outcome differs",
            "y_true must be the same in all rows of a patient, got both 0 and 1 in 1 patients "
            "(first: {p}). Define the outcome per patient.",
        ),
        (
            "two test folds",
            "patient_id must be in one test fold of a repeat, got 1 patients in several (first: "
            "{p}). Split by patient, not by record.",
        ),
        (
            "both sides",
            "patient_id must be on one side of a fold, got 1 patients in training and test rows "
            "(first: {p}). Split by patient, not by record.",
        ),
        (
            "horizon",
            "horizon_days must be the same in all rows of a target, got 2 values for 'sva'. Name "
            "the target after its horizon.",
        ),
    ],
)
def test_bad_predictions_are_refused(predictions, what, message):
    bad = plant(predictions, what)
    patient = predictions.loc[predictions["role"] == "test", "patient_id"].iloc[0]
    expected = message.format(n=len(bad), r=predictions["record_id"].iloc[3], p=patient)
    with pytest.raises(ValueError, match=f"^{re.escape(expected)}$"):
        patient_scores(bad)


def test_missing_columns_and_no_rows_are_refused(predictions):
    with pytest.raises(
        ValueError, match=r"^predictions must have the columns \['fold', 'y_score'\], got"
    ):
        check_predictions(predictions.drop(columns=["y_score", "fold"]))
    with pytest.raises(ValueError, match=r"^predictions must hold at least one row, got none\."):
        check_predictions(predictions.iloc[:0])
