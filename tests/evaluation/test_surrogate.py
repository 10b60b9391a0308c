"""The surrogate: its fit against scikit-learn, its truth against a large sample, its resampling."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from evaluation.discrimination import auroc
from evaluation.surrogate import (
    Protocol,
    balanced_counts,
    draw_cohort,
    fit_all,
    fit_logistic,
    true_auroc,
)


def rng():
    return np.random.default_rng(7)


def test_the_fit_is_that_of_scikit_learn():
    cohort = draw_cohort(Protocol(), 1.0, rng())
    y_true = cohort.outcome[cohort.patient]
    counts = rng().integers(0, 3, (2, y_true.size))
    found = fit_logistic(cohort.embedding, y_true, counts, penalty=2.0)
    for row, model in zip(counts, found, strict=True):
        expected = LogisticRegression(C=0.5, tol=1e-10, max_iter=5000)
        expected.fit(cohort.embedding, y_true, sample_weight=row)
        np.testing.assert_allclose(model[1:], expected.coef_[0], atol=1e-4)
        np.testing.assert_allclose(model[0], expected.intercept_[0], atol=1e-4)


def test_a_fit_converges_where_the_classes_are_apart():
    cohort = draw_cohort(Protocol(), 20.0, rng())
    y_true = cohort.outcome[cohort.patient]
    found = fit_logistic(cohort.embedding, y_true, np.ones((1, y_true.size)), penalty=0.01)
    assert np.isfinite(found).all()


@pytest.mark.parametrize("mean_ecgs", [1.0, 3.25])
def test_the_true_auroc_is_that_of_a_large_sample_of_new_patients(mean_ecgs):
    many = Protocol(n_patients=40_000, event_rate=0.5, mean_ecgs=mean_ecgs, n_dimensions=4)
    models = np.array([[0.3, 1.0, -0.5, 0.2, 0.0], [0.0, 0.1, 1.0, 0.0, 1.0]])
    truth = true_auroc(models, 1.3, many)
    cohort = draw_cohort(many, 1.3, rng())
    by_patient, by_ecg = cohort.scores(models)
    for k in range(2):
        assert auroc(cohort.outcome, by_patient[k]) == pytest.approx(truth["patient"][k], abs=0.01)
        seen = auroc(cohort.outcome[cohort.patient], by_ecg[k])
        assert seen == pytest.approx(truth["ecg"][k], abs=0.01)


def test_one_ecg_a_patient_makes_both_levels_one():
    truth = true_auroc(np.array([[0.0, 2.0, 1.0]]), 1.0, Protocol(mean_ecgs=1.0))
    assert truth["patient"] == pytest.approx(truth["ecg"])


def test_resampling_brings_both_classes_to_half_and_keeps_the_number():
    y_true = np.r_[np.ones(10, int), np.zeros(90, int)]
    counts = balanced_counts(y_true, rng())
    assert counts[y_true == 1].sum() == counts[y_true == 0].sum() == 50
    assert counts[y_true == 0].max() == 1  # without replacement


def test_a_model_is_fitted_on_training_patients_only():
    cohort = draw_cohort(Protocol(), 1.0, rng())
    is_test = np.zeros((1, cohort.outcome.size), bool)
    is_test[0, ::5] = True
    before = fit_all(cohort, is_test, penalty=1.0, rng=rng())
    cohort.embedding[is_test[0][cohort.patient]] += 100.0
    np.testing.assert_array_equal(fit_all(cohort, is_test, penalty=1.0, rng=rng()), before)


def test_ecgs_of_one_patient_correlate_as_declared():
    many = Protocol(n_patients=20_000, correlation=0.8, n_dimensions=1)
    cohort = draw_cohort(many, 0.0, rng())
    first = np.flatnonzero(np.diff(cohort.patient) == 0)
    pairs = cohort.embedding[first, 0], cohort.embedding[first + 1, 0]
    assert np.corrcoef(*pairs)[0, 1] == pytest.approx(0.8, abs=0.01)


def test_too_few_events_for_a_test_set_are_refused():
    message = r"event_rate must leave two patients .* got 0.01 of 314 patients. Use more of either."
    with pytest.raises(ValueError, match=message):
        Protocol(event_rate=0.01)
