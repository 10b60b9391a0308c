from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit, logit

from evaluation.scores import check_predictions, patient_scores


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
    table = patient_scores(predictions.assign(event=predictions["y_true"], duration_days=100.0))
    assert (table["event"] == table["y_true"]).all()
    assert (table["duration_days"] == 100).all()


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
            "y_true must be 0 or 1, got nan in 1 of {n} rows (first: record {r}). Exclude and "
            "count patients whose status at the horizon is unknown.",
        ),
        (
            "role",
            "role must be one of ('validation', 'inner', 'test'), got 'train' in 1 of {n} rows "
            "(first: record {r}). Write predictions for validation and test rows only.",
        ),
        (
            "double",
            "predictions must hold one row a record, variant, target, repeat, fold and role, got "
            "repeated rows in 1 of {n} rows (first: record {r}). Average several seeds before.",
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
