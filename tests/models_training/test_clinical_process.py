"""The whole process on many samples equals the process on each, and sees training patients only."""

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit
from sklearn.metrics import log_loss

from data_processing.splits import make_splits
from models_training.clinical_model import fit_clinical
from models_training.clinical_process import (
    PENALTIES,
    PatientSamples,
    fit_processes,
    fold_samples,
    moments,
    stratified_folds,
)


@pytest.fixture(scope="module")
def cohort():
    rng = np.random.default_rng(0)
    x = pd.DataFrame(
        {"age_years": rng.normal(50, 10, 150), "lvef_percent": rng.normal(30, 7, 150)},
        index=[f"P{k:03d}" for k in range(150)],
    )
    y = (rng.random(150) < expit(-1 - 0.15 * (x["lvef_percent"] - 30))).to_numpy(int)
    x.iloc[::9, 1] = np.nan
    return x, y


@pytest.fixture(scope="module")
def split(cohort):
    x, y = cohort
    patients = pd.DataFrame({"patient_id": x.index, "outcome": y})
    splits = make_splits(patients, n_folds=3, n_repeats=2, n_inner_folds=3)
    return fold_samples(splits.sample(frac=1, random_state=0), patients)


def test_the_process_worked_step_by_step(cohort, split):
    x, y = cohort
    keys, samples = split
    assert keys == [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2)]
    found = fit_processes(x.to_numpy(), samples)
    seen, inner = samples.weights[4] > 0, samples.inner_fold[4]
    logits = np.zeros((len(PENALTIES), 150))
    for row, penalty_c in enumerate(PENALTIES):
        for fold in range(3):
            rest, out = seen & (inner != fold), inner == fold
            model = fit_clinical(x[rest], y[rest], penalty_c=penalty_c)
            logits[row, out] = model.logits(x[out])
    losses = [log_loss(y[seen], expit(row[seen])) for row in logits]
    np.testing.assert_allclose(found.losses[4, 0], losses, atol=1e-5)
    best = int(np.argmin(losses))
    assert found.best[4].tolist() == [0, best]
    final = fit_clinical(x[seen], y[seen], penalty_c=PENALTIES[best])
    np.testing.assert_allclose(found.logits[4], final.logits(x), atol=1e-4)
    np.testing.assert_allclose(found.inner_logits[4, seen], logits[best, seen], atol=1e-4)
    assert np.isnan(found.inner_logits[4, ~seen]).all()


def test_the_outcomes_of_tested_patients_change_nothing(cohort, split):
    x, _ = cohort
    _, samples = split
    flipped = np.where(samples.weights > 0, samples.y_true, 1 - samples.y_true)
    other = PatientSamples(flipped, samples.weights, samples.inner_fold)
    one, two = (fit_processes(x.to_numpy(), each) for each in (samples, other))
    np.testing.assert_array_equal(one.logits, two.logits)


def test_a_patient_counted_twice_is_two_patients(cohort):
    x, y = cohort
    rng = np.random.default_rng(1)
    weights, inner = rng.integers(0, 3, (1, 150)), stratified_folds(y, 3, rng)[None]
    once = fit_processes(x.to_numpy(), PatientSamples(y[None], weights.astype(float), inner))
    rows = np.repeat(np.arange(150), weights[0])
    doubled = PatientSamples(y[None, rows], np.ones((1, len(rows))), inner[:, rows])
    twice = fit_processes(x.to_numpy()[rows], doubled)
    np.testing.assert_allclose(once.losses, twice.losses, atol=1e-6)
    np.testing.assert_allclose(once.logits[0, rows], twice.logits[0], atol=1e-5)


def test_moments_are_those_after_mean_imputation(cohort):
    x, _ = cohort
    mean, scale = moments(x.to_numpy(), np.ones((1, 150)))
    np.testing.assert_allclose(mean[0], x.mean())
    np.testing.assert_allclose(scale[0], x.fillna(x.mean()).std(ddof=0))


def test_folds_spread_the_outcomes(cohort):
    _, y = cohort
    fold = stratified_folds(y, 5, np.random.default_rng(0))
    counts = pd.crosstab(fold, y)
    assert (counts.max() - counts.min() <= 1).all()
