"""A predicted number against the mean of the training patients, and its figures."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from evaluation import number_panels as panels
from evaluation.number_comparison import number_claim, with_training_mean
from evaluation.numbers import NumberSettings, evaluate_number
from evaluation.regression import patient_values

TARGET = {"name": "lvef", "column": "target_lvef", "label": "LVEF", "unit": "%"}
SETTINGS = NumberSettings(n_resamples=200)


def cohort(n=80, seed=0):
    """Return predictions of a good and of an empty model, patients and splits of two folds."""
    rng = np.random.default_rng(seed)
    ids = [f"P{k}" for k in range(n)]
    patients = pd.DataFrame({"patient_id": ids, "target_lvef": rng.normal(30, 8, n)})
    folds = pd.DataFrame({"patient_id": ids, "repeat": 0, "fold": np.arange(n) % 2})
    others = folds.assign(fold=1 - folds["fold"])
    roles = np.where(np.arange(n) % 3, "train", "validation")
    splits = pd.concat([folds.assign(role="test"), others.assign(role=roles)])
    y_true = patients["target_lvef"]
    keys = {"target": "lvef", "role": "test", "record_id": [f"R{k}" for k in range(n)]}
    base = folds.assign(y_true=y_true, **keys)
    good = base.assign(variant="ecg_covariates", y_score=y_true + rng.normal(0, 4, n))
    empty = base.assign(variant="ecg", y_score=30 + rng.normal(0, 0.5, n))
    return pd.concat([empty, good], ignore_index=True), patients, splits


@pytest.fixture(scope="module")
def found():
    predictions, patients, splits = cohort()
    settings = NumberSettings("ecg_covariates", n_resamples=200)
    return evaluate_number(predictions, patients, splits, TARGET, settings)


def test_the_training_mean_is_that_of_everybody_who_is_not_tested():
    predictions, patients, splits = cohort(n=6)
    patients.loc[0, "target_lvef"] = np.nan  # not measured: neither a training patient nor tested
    predictions = predictions[predictions["patient_id"] != "P0"]
    values = with_training_mean(
        patient_values(predictions), patients.set_index("patient_id")["target_lvef"], splits
    )
    mean = values[values["variant"] == "training_mean"].set_index("patient_id")["y_score"]
    number = patients["target_lvef"]
    assert mean["P1"] == pytest.approx(number[[2, 4]].mean())
    assert mean["P2"] == pytest.approx(number[[1, 3, 5]].mean())
    assert "P0" not in mean


def test_differences_in_error_are_those_worked_out_by_hand(found):
    values = found.by_patient.pivot(index="patient_id", columns="variant", values="y_score")
    truth = found.by_patient.drop_duplicates("patient_id").set_index("patient_id")["y_true"]
    error = values.sub(truth, axis=0).abs().mean()
    table = found.comparisons.set_index(["new", "reference", "metric"])["estimate"]
    difference = error["ecg_covariates"] - error["training_mean"]
    key = ("ecg_covariates", "training_mean")
    assert table[(*key, "delta_mean_absolute_error")] == pytest.approx(difference)
    reduction = 1 - error["ecg_covariates"] / error["training_mean"]
    assert table[(*key, "error_reduction")] == pytest.approx(reduction)
    pair = table[("ecg_covariates", "ecg", "delta_mean_absolute_error")]
    assert pair == pytest.approx(error["ecg_covariates"] - error["ecg"])


def test_a_model_that_knows_adds_and_an_empty_one_is_named(found):
    assert found.claim["verdict"] == "adds"
    assert "ECG + covariates is closer to LVEF than the mean" in found.claim["sentence"]
    assert any("this run: ECG." in text for text in found.claim["warnings"])
    primary = found.comparisons.query("is_primary")
    assert set(primary["new"]) == {"ecg_covariates"}
    assert set(primary["reference"]) == {"training_mean"}


@pytest.mark.parametrize(
    ("low", "high", "verdict", "words"),
    [
        (0.02, 0.3, "adds", "is closer to LVEF"),
        (0.02, 0.05, "adds", "smaller than the declared margin of 10 %"),
        (-0.2, 0.09, "does not add", "is not 10 % or more closer"),
        (-0.2, 0.2, "inconclusive", "not evidence of no difference"),
    ],
)
def test_the_rule_reads_the_interval_alone(found, low, high, verdict, words):
    ends = {"ci_low": low, "ci_high": high}
    table = found.comparisons.assign(**ends)
    claim = number_claim(table, found.metrics, TARGET, margin=0.1, confidence=0.95)
    assert claim["verdict"] == verdict
    assert words in claim["sentence"]


def test_without_a_name_the_first_variant_is_primary_and_an_untrained_one_is_refused():
    predictions, patients, splits = cohort(n=40)
    found = evaluate_number(predictions, patients, splits, TARGET, SETTINGS)
    assert set(found.comparisons.query("is_primary")["new"]) == {"ecg"}
    assert any(text.startswith("40 patients: too few") for text in found.claim["warnings"])
    with pytest.raises(ValueError, match="primary_variant must be one of ecg, ecg_covariates, got"):
        evaluate_number(predictions, patients, splits, TARGET, NumberSettings("ecg_age"))


def test_the_mean_has_an_error_and_nothing_else(found):
    mine = found.metrics[found.metrics["variant"] == "training_mean"]
    assert mine["metric"].tolist() == ["mean_absolute_error", "root_mean_squared_error"]
    assert "training_mean" not in set(found.lines["variant"])


def test_the_figures_name_number_unit_and_patients(found):
    drawn = [
        panels.errors(found.metrics, TARGET),
        panels.differences(found.comparisons, TARGET),
        panels.calibration(found.of_models, found.lines, found.metrics, TARGET),
        panels.agreement(found.of_models, found.metrics, TARGET),
    ]
    labels = [figure.axes[0].get_xlabel() for figure, _, _ in drawn]
    assert labels == [
        "mean absolute error (%)",
        "difference in mean absolute error (%)",
        "predicted LVEF (%)",
        "mean of predicted and measured (%)",
    ]
    assert all("n = 80" in figure.axes[0].get_title() for figure, _, _ in drawn)
    points = drawn[3][2]
    np.testing.assert_allclose(points["difference"], points["y_score"] - points["y_true"])
    assert [len(figure.axes) for figure, _, _ in drawn] == [1, 1, 2, 2]
    plt.close("all")
