"""Recalibration: the fitted numbers, what it may look at, and what it must leave alone."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from scipy.special import expit, logit
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from evaluation.before_after import before_after, curves_before_after, plot_before_after
from evaluation.recalibration import METHODS, fit_recalibration, recalibrated
from evaluation.resampling import BootstrapPlan
from evaluation.scores import patient_scores

LINES = [method for method in METHODS if method != "isotonic"]


def scored(n=400, *, shift=1.0, slope=2.0, seed=0):
    """Outcomes, and risks whose logit is shift + slope times the true one."""
    rng = np.random.default_rng(seed)
    true = rng.normal(-0.5, 1.2, n)
    return (rng.random(n) < expit(true)).astype(int), expit(shift + slope * true)


@pytest.fixture
def patients(make_predictions):
    return patient_scores(make_predictions(n=120, n_folds=3))


def test_intercept_solves_the_score_equation():
    y_true, y_score = scored()
    found = fit_recalibration(y_true, y_score, method="intercept")
    # the maximum likelihood offset makes the expected events equal to the observed ones
    assert found.apply(y_score).sum() == pytest.approx(y_true.sum())
    assert found.slope == 1


def test_logistic_agrees_with_scikit_learn():
    y_true, y_score = scored()
    found = fit_recalibration(y_true, y_score, method="logistic")
    peer = LogisticRegression(C=np.inf, tol=1e-10, max_iter=1000)
    peer.fit(logit(y_score)[:, None], y_true)
    assert (found.intercept, found.slope) == pytest.approx(
        (peer.intercept_[0], peer.coef_[0, 0]), rel=1e-4
    )


def test_logistic_undoes_a_known_distortion():
    y_true, y_score = scored(20_000)
    found = fit_recalibration(y_true, y_score, method="logistic")
    assert (found.intercept, found.slope) == pytest.approx((-0.5, 0.5), abs=0.06)


def test_temperature_is_the_best_slope_on_a_grid():
    y_true, y_score = scored(shift=0.0)
    found = fit_recalibration(y_true, y_score, method="temperature")
    slopes = np.linspace(0.1, 2, 1901)
    signed = np.where(y_true == 1, 1, -1) * logit(y_score)
    loss = np.logaddexp(0, -slopes[:, None] * signed).sum(axis=1)
    assert found.intercept == 0
    assert found.slope == pytest.approx(slopes[loss.argmin()], abs=1e-3)


def test_isotonic_is_that_of_scikit_learn():
    y_true, y_score = scored(1500)
    new = np.linspace(0, 1, 50)
    peer = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip").fit(y_score, y_true)
    found = fit_recalibration(y_true, y_score, method="isotonic")
    assert found.apply(new) == pytest.approx(peer.predict(new))


def test_isotonic_is_refused_under_200_events():
    y_true, y_score = np.r_[np.ones(199), np.zeros(300)], np.linspace(0, 1, 499)
    message = "isotonic recalibration must have at least 200 events .* got 199. Use 'logistic'"
    with pytest.raises(ValueError, match=message):
        fit_recalibration(y_true, y_score, method="isotonic")


def test_an_unknown_method_is_refused(patients):
    with pytest.raises(ValueError, match=r"method must be one of .* got 'platt'. Use 'logistic'"):
        recalibrated(patients, "platt")


@pytest.mark.parametrize(
    ("y_true", "y_score", "method", "reason"),
    [
        ([0, 0, 0], [0.1, 0.2, 0.3], "intercept", "one outcome class"),
        ([0, 0, 0], [0.1, 0.2, 0.3], "logistic", "one outcome class"),
        ([0, 1, 0, 1], [0.1, 0.6, 0.2, 0.7], "logistic", "the score separates the outcomes"),
        ([0, 1, 0, 1], [0.2] * 4, "logistic", "every patient has the same score"),
        ([0, 1, 0, 1], [0.2] * 4, "temperature", "every patient has the same score"),
        ([0, 0, 1, 0], [0.5, 0.2, 0.5, 0.3], "temperature", "the score separates"),
        ([0, 1, 1, 0, 0], [0.3, 0.1, 0.35, 0.4, 0.2], "logistic", "slope must be above 0, got -"),
        ([0, 1, 1, 0], [0.6, 0.55, 0.1, 0.4], "temperature", "slope must be above 0, got -"),
    ],
)
def test_what_has_no_answer_leaves_the_scores_alone(y_true, y_score, method, reason):
    found = fit_recalibration(y_true, y_score, method=method)
    assert reason in found.reason
    assert found.apply(y_score).tolist() == y_score


@pytest.mark.parametrize("method", LINES)
def test_every_fold_has_the_map_of_its_own_training_rows(patients, method):
    new, parameters = recalibrated(patients, method)
    assert len(parameters) == 3 * 3
    assert (parameters["reason"] == "").all()
    for row in parameters.itertuples():
        is_fold = (patients["variant"] == row.variant) & (patients["fold"] == row.fold)
        training = patients[is_fold & (patients["role"] == "validation")]
        assert (row.n, row.n_events) == (len(training), training["y_true"].sum())
        value = logit(patients.loc[is_fold, "y_score"])
        expected = expit(row.intercept + row.slope * value)
        assert new.loc[is_fold, "y_score"].to_numpy() == pytest.approx(expected.to_numpy())
    if method == "logistic":
        row, y = parameters.iloc[0], patients
        y = y[(y["variant"] == row["variant"]) & (y["fold"] == 0) & (y["role"] == "validation")]
        design = sm.add_constant(logit(y["y_score"].to_numpy()))
        peer = sm.Logit(y["y_true"].to_numpy(), design).fit(disp=0)
        assert (row["intercept"], row["slope"]) == pytest.approx(tuple(peer.params), rel=1e-5)


@pytest.mark.parametrize("method", LINES)
def test_outcomes_of_test_patients_change_nothing(patients, method):
    flipped = patients.copy()
    is_test = flipped["role"] == "test"
    flipped.loc[is_test, "y_true"] = 1 - flipped.loc[is_test, "y_true"]
    before, after = recalibrated(patients, method), recalibrated(flipped, method)
    pd.testing.assert_frame_equal(before[1], after[1])
    assert before[0]["y_score"].equals(after[0]["y_score"])


@pytest.mark.parametrize("method", LINES)
def test_the_auroc_within_a_fold_stays(patients, method):
    new, _ = recalibrated(patients, method)
    for rows in patients[patients["role"] == "test"].groupby(["variant", "fold"]).groups.values():
        y_true = patients.loc[rows, "y_true"]
        before = roc_auc_score(y_true, patients.loc[rows, "y_score"])
        assert roc_auc_score(y_true, new.loc[rows, "y_score"]) == before
        assert not np.allclose(new.loc[rows, "y_score"], patients.loc[rows, "y_score"])


def test_a_fold_without_training_scores_is_left_alone(patients):
    is_gone = (patients["fold"] == 1) & (patients["role"] != "test")
    new, parameters = recalibrated(patients[~is_gone], "logistic")
    left = parameters[parameters["fold"] == 1]
    assert (left["reason"] == "no training-fold scores").all()
    assert new.loc[new["fold"] == 1, "y_score"].equals(
        patients.loc[~is_gone & (patients["fold"] == 1), "y_score"]
    )


def test_before_after_sees_a_distortion_undone(patients):
    bad = patients.assign(y_score=expit(2.5 + 2.0 * logit(patients["y_score"])))
    table = before_after(bad, ["intercept", "logistic"], BootstrapPlan(200, method="percentile"))
    mine = table[table["variant"] == "ecg_covariates"].set_index(["recalibration", "metric"])
    estimate = mine["estimate"]
    assert list(estimate.loc["none"].index) == [
        "calibration_slope", "calibration_intercept", "ici", "brier", "o_e", "scaled_brier",
    ]  # fmt: skip
    assert abs(estimate["logistic", "o_e"] - 1) < abs(estimate["none", "o_e"] - 1)
    assert abs(estimate["logistic", "ici"]) < estimate["none", "ici"]
    for name in ("intercept", "logistic"):
        delta = mine.loc[(name, "delta_brier")]
        expected = estimate[name, "brier"] - estimate["none", "brier"]
        assert delta["estimate"] == pytest.approx(expected)
        assert delta["ci_low"] < delta["estimate"] < delta["ci_high"]
        assert delta["method"].startswith("paired: bootstrap of patients")
    assert mine.loc[("logistic", "delta_brier"), "ci_high"] < 0
    assert (table["n"] == 120).all()


def test_the_figure_draws_each_version_of_one_variant(patients):
    plan = BootstrapPlan(100, method="percentile")
    curves = curves_before_after(patients, ["logistic"], plan)
    metrics = before_after(patients, ["logistic"], plan)
    ax = plot_before_after(curves, variant="ecg", metrics=metrics)
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert [label.split(" (")[0] for label in labels] == ["as it came", "after: logistic"]
    assert "n = 120 patients" in ax.get_title()
    with pytest.raises(ValueError, match=r"variant must be one of .* got 'none'"):
        plot_before_after(curves, variant="none", ax=plt.gca())
