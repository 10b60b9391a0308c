"""Ridge regression on frozen features: against scikit-learn, and what it may look at."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, PredefinedSplit
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from models_training.ridge import PENALTIES, block_gains, fit_ridge_path, tune_ridge


@pytest.fixture
def patients():
    """Return 60 patients with 150 features, 2 covariates and an outcome two features tell."""
    rng = np.random.default_rng(1)
    features = rng.normal(3, 2, (60, 150)) @ np.diag(rng.uniform(0.1, 5, 150))
    covariates = rng.normal(50, 10, (60, 2))
    signal = features[:, 0] / features[:, 0].std() + covariates[:, 0] / 10
    y_true = (signal + rng.normal(size=60) > np.median(signal)).astype(int)
    return np.hstack([features, covariates]), y_true


def pipeline(gains, penalty_c=1.0):
    """Return scikit-learn's own of the same model, in all dimensions."""
    return make_pipeline(
        StandardScaler(),
        FunctionTransformer(lambda z: z * gains),
        LogisticRegression(C=penalty_c, solver="lbfgs", tol=1e-10, max_iter=20_000),
    )


@pytest.mark.parametrize("n_columns", [5, 152])
def test_it_is_scikit_learns_regression_with_fewer_and_more_columns_than_patients(
    patients, n_columns
):
    values, y_true = patients
    values, gains = values[:, -n_columns:], block_gains(n_columns - 2, 2)
    train = np.arange(45)
    for fit in fit_ridge_path(values[train], y_true[train], gains=gains):
        reference = pipeline(gains, fit.penalty_c).fit(values[train], y_true[train])
        expected = reference.decision_function(values)
        np.testing.assert_allclose(fit.logits(values), expected, atol=2e-4, rtol=1e-4)


def test_the_penalty_is_that_of_scikit_learns_search_in_the_same_inner_folds(patients):
    values, y_true = patients
    gains, inner_fold = block_gains(150, 2), np.where(np.arange(60) < 48, np.arange(60) % 4, -1)
    tuned = tune_ridge(values, y_true, inner_fold, gains=gains)
    train = inner_fold >= 0
    search = GridSearchCV(
        pipeline(gains),
        {"logisticregression__C": list(PENALTIES)},
        scoring="neg_log_loss",
        cv=PredefinedSplit(inner_fold[train]),
    ).fit(values[train], y_true[train])
    assert tuned.fit.penalty_c == search.best_params_["logisticregression__C"]
    np.testing.assert_allclose(tuned.losses, -search.cv_results_["mean_test_score"], rtol=1e-4)
    np.testing.assert_allclose(
        tuned.fit.logits(values), search.decision_function(values), atol=2e-4, rtol=1e-4
    )


def test_nothing_outside_the_training_patients_moves_it(patients):
    values, y_true = patients
    inner_fold = np.where(np.arange(60) < 48, np.arange(60) % 4, -1)
    planted, outcome = values.copy(), y_true.astype(float)
    planted[48:] = 1e6
    outcome[48:] = np.nan
    gains = block_gains(150, 2)
    one = tune_ridge(values, y_true, inner_fold, gains=gains)
    other = tune_ridge(planted, outcome, inner_fold, gains=gains)
    np.testing.assert_array_equal(one.fit.slopes, other.fit.slopes)
    np.testing.assert_array_equal(one.inner_logits, other.inner_logits)
    assert np.isnan(one.inner_logits[48:]).all()
    assert np.isfinite(one.inner_logits[:48]).all()


def test_training_risks_have_the_training_prevalence(patients):
    values, y_true = patients
    for fit in fit_ridge_path(values, y_true, gains=block_gains(150, 2)):
        risk = 1 / (1 + np.exp(-fit.logits(values)))
        assert risk.mean() == pytest.approx(y_true.mean(), abs=1e-5)


def test_features_doubled_are_the_same_model(patients):
    values, y_true = patients
    features = values[:, :150]
    one = fit_ridge_path(features, y_true, gains=block_gains(150, 0))
    twice = fit_ridge_path(np.hstack([features] * 2), y_true, gains=block_gains(300, 0))
    for a, b in zip(one, twice, strict=True):
        np.testing.assert_allclose(
            a.logits(features), b.logits(np.hstack([features] * 2)), atol=1e-5
        )


def test_a_missing_value_counts_as_the_training_mean_and_a_constant_column_as_nothing(patients):
    values, y_true = patients
    values = np.hstack([values, np.full((60, 1), 7.0)])
    values[5, 151] = np.nan
    fit = fit_ridge_path(values, y_true, gains=block_gains(150, 3), penalties_c=[1.0])[0]
    filled = values.copy()
    filled[5, 151] = np.nanmean(values[:, 151])
    np.testing.assert_allclose(fit.logits(values), fit.logits(filled), atol=1e-9)
    assert fit.slopes[152] == 0.0


def test_features_that_do_not_vary_leave_the_prevalence():
    fit = fit_ridge_path(np.ones((8, 20)), np.arange(8) % 4 == 0, gains=block_gains(20, 0))[0]
    np.testing.assert_allclose(fit.logits(np.ones((2, 20))), np.log(0.25 / 0.75), atol=1e-5)


def test_one_outcome_is_refused(patients):
    with pytest.raises(ValueError, match="got 0 events among 60 patients"):
        fit_ridge_path(patients[0], np.zeros(60), gains=block_gains(150, 2))
