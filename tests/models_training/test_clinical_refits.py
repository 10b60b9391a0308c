"""Refits repeat the whole process; sensitivity analyses never look at test patients."""

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit
from sklearn.metrics import roc_auc_score

from data_processing.splits import make_splits
from models_training.clinical_analyses import clinical_analyses
from models_training.clinical_coefficients import coefficient_table
from models_training.clinical_model import fit_clinical
from models_training.clinical_process import PENALTIES, fit_processes, fold_samples
from models_training.clinical_refits import bootstrap_refits, learning_curve, permuted_refits
from models_training.clinical_sensitivity import (
    PRIMARY,
    ecg_rule_columns,
    sensitivity_predictions,
    spline_bend,
)
from models_training.inputs import TrainingData

N = 120


@pytest.fixture(scope="module")
def cohort():
    rng = np.random.default_rng(0)
    x = pd.DataFrame(
        {
            "age_years": rng.normal(50, 10, N),
            "lvef_percent": rng.normal(30, 7, N),
            "lge_present": rng.integers(0, 2, N).astype(float),
            "pathogenic_variant": rng.integers(0, 2, N).astype(float),
            "qrs_duration_ms": rng.normal(110, 15, N),
        },
        index=pd.Index([f"P{k:03d}" for k in range(N)], name="patient_id"),
    )
    y = (rng.random(N) < expit(-1 - 0.3 * (x["lvef_percent"] - 30))).to_numpy(int)
    x.iloc[::7, 3] = np.nan
    return x, y


@pytest.fixture(scope="module")
def splits(cohort):
    x, y = cohort
    patients = pd.DataFrame({"patient_id": x.index, "outcome": y})
    return make_splits(patients, n_folds=3, n_repeats=2, n_inner_folds=3)


def test_bootstrap_refits(cohort):
    x, y = cohort
    table = bootstrap_refits(x, y, n_refits=4, seed=1)
    assert len(table) == 5 * N
    counts = table.groupby("refit")["n_drawn"]
    assert (counts.sum() == N).all()
    assert counts.min()[0] == counts.max()[0] == 1
    assert counts.max()[1] > 1
    first = table[table["refit"] == 0]
    # The original is the LASSO of all patients at one of the penalties.
    gaps = [
        np.abs(expit(fit_clinical(x, y, penalty_c=c).logits(x)) - first["y_score"]).max()
        for c in PENALTIES
    ]
    assert min(gaps) < 1e-4
    pd.testing.assert_frame_equal(table, bootstrap_refits(x, y, n_refits=4, seed=1))


def test_the_observed_deal_is_that_of_the_folds_and_chance_is_half(cohort, splits):
    x, y = cohort
    table = permuted_refits(x, y, splits, n_permutations=30)
    patients = pd.DataFrame({"patient_id": x.index, "outcome": y})
    _, samples = fold_samples(splits[splits["repeat"] == 0], patients)
    found = fit_processes(x.to_numpy(), samples)
    aurocs = [
        roc_auc_score(y[weight == 0], logits[weight == 0])
        for weight, logits in zip(samples.weights, found.logits, strict=True)
    ]
    assert table["auroc"][0] == pytest.approx(np.mean(aurocs))
    assert table["auroc"][0] > table["auroc"][1:].max()
    assert abs(table["auroc"][1:].mean() - 0.5) < 0.05


def test_the_learning_curve_leaves_its_test_patients_out(cohort):
    x, y = cohort
    table = learning_curve(x, y, shares=(0.3, 0.7, 0.999), n_draws=6)
    sizes = table["n_patients"].unique()
    assert len(sizes) == 2  # the last share leaves too few patients to test
    np.testing.assert_allclose(sizes / N, [0.3, 0.7], atol=0.01)
    medians = table.groupby("n_patients")[["auroc", "auroc_training"]].median()
    assert medians["auroc"].iloc[1] > 0.7
    assert learning_curve(x[:12], np.arange(12) % 2).empty


def test_sensitivity_models_score_each_test_patient_once_a_repeat(cohort, splits):
    x, y = cohort
    table = sensitivity_predictions(x, y, splits)
    assert table["model"].unique().tolist() == [
        PRIMARY,
        "elastic net",
        "splines and interaction",
        "missing indicators",
        "regression imputation",
        "ECG rules",
    ]
    assert (table.groupby(["model", "repeat"]).size() == N).all()
    assert not table.duplicated(["model", "repeat", "patient_id"]).any()
    # The outcome of a test patient cannot move his own risk.
    one = splits[(splits["repeat"] == 0) & (splits["fold"] == 0)]
    is_test = np.isin(x.index, one.loc[one["role"] == "test", "patient_id"])
    before, after = (sensitivity_predictions(x, z, one) for z in (y, np.where(is_test, 1 - y, y)))
    np.testing.assert_array_equal(before["y_score"], after["y_score"])


def test_the_bend_is_zero_below_and_linear_above_the_knots():
    x = np.arange(0.0, 101.0)
    bend = spline_bend(x, np.ones(101, bool))
    assert (bend[x <= 10] == 0).all()
    np.testing.assert_allclose(np.diff(bend[x >= 90], 2), 0, atol=1e-9)
    # By hand at x = 50, knots 10, 50, 90: 40^3 / 80^2.
    assert bend[50] == pytest.approx(10.0)
    assert (spline_bend(np.ones(5), np.ones(5, bool)) == 0).all()


def test_names_of_ecg_rules():
    assert ecg_rule_columns(["age_years", "qrs_duration_ms", "QTc_ms", "low_voltage=yes"]) == [
        "qrs_duration_ms",
        "QTc_ms",
        "low_voltage=yes",
    ]


def test_coefficients_in_clinical_units(cohort, splits):
    x, y = cohort
    _, samples = fold_samples(splits, pd.DataFrame({"patient_id": x.index, "outcome": y}))
    found = fit_processes(x.to_numpy(), samples)
    model = fit_clinical(x, y, penalty_c=1.0)
    table = coefficient_table(model, found, x.to_numpy(), samples.weights).set_index("covariate")
    row = table.loc["lvef_percent"]
    assert row["step"] == "5 %"
    lower = x.assign(lvef_percent=x["lvef_percent"] + 5)
    moved = model.logits(lower) - model.logits(x)
    np.testing.assert_allclose(np.log(row["odds_ratio_per_step"]), moved)
    assert row["share_selected"] == 1.0
    assert row["fold_low"] <= row["fold_high"] < 0
    assert table.loc["lge_present", "step"] == "yes against no"
    assert table["n_folds"].unique().tolist() == [6]


def test_all_analyses_leave_patients_of_unknown_outcome_out(cohort, splits):
    x, y = cohort
    patients = pd.DataFrame({"patient_id": x.index, "outcome": y})
    records = pd.DataFrame({"record_id": x.index, "patient_id": x.index, "signal_row": 0})
    data = TrainingData(np.zeros((1, 4, 12)), records, patients, x)
    tables = clinical_analyses(data, splits[splits["repeat"] == 0], n_refits=2, seed=0)
    assert sorted(tables) == ["learning_curve", "permutations", "refits", "sensitivity"]
    data.patients.loc[0, "outcome"] = np.nan
    known = splits[(splits["repeat"] == 0) & (splits["patient_id"] != x.index[0])]
    fewer = clinical_analyses(data, known, n_refits=0, seed=0)
    assert list(fewer) == ["sensitivity"]
    assert fewer["sensitivity"]["patient_id"].nunique() == N - 1
