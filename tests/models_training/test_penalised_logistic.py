"""The optima are those of scikit-learn, for every set of weights at once."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from models_training.penalised_logistic import fit_paths

PENALTIES = (0.03, 0.3, 1.0)


@pytest.fixture(scope="module")
def cohort():
    """Standardised columns; the last is nearly the sum of two others, as LGE is of its patterns."""
    rng = np.random.default_rng(1)
    x = rng.normal(size=(200, 5))
    x[:, 4] = x[:, 2] + x[:, 3] + 0.1 * rng.normal(size=200)
    y = (rng.random(200) < 1 / (1 + np.exp(1.5 - x[:, 0] - 0.5 * x[:, 4]))).astype(int)
    return x, y


def objective(beta, x, y, w, penalty_c, l1_ratio):
    linear = beta[0] + x @ beta[1:]
    size = l1_ratio * np.abs(beta[1:]).sum() + (1 - l1_ratio) / 2 * (beta[1:] ** 2).sum()
    return penalty_c * (w * (np.logaddexp(0, linear) - y * linear)).sum() + size


@pytest.mark.parametrize("l1_ratio", [1.0, 0.5])
def test_the_optimum_of_scikit_learn(cohort, l1_ratio):
    x, y = cohort
    rng = np.random.default_rng(2)
    weights = np.stack([np.ones(200), rng.integers(0, 3, 200)]).astype(float)
    columns = np.broadcast_to(x, (2, *x.shape))
    paths = fit_paths(columns, y, weights, penalties_c=PENALTIES, l1_ratio=l1_ratio)
    for w, path in zip(weights, paths, strict=True):
        for penalty_c, ours in zip(PENALTIES, path, strict=True):
            model = LogisticRegression(
                C=penalty_c, l1_ratio=l1_ratio, solver="saga", tol=1e-6, max_iter=20_000
            ).fit(x, y, sample_weight=w)
            theirs = np.r_[model.intercept_, model.coef_[0]]
            args = (x, y, w, penalty_c, l1_ratio)
            assert objective(ours, *args) <= objective(theirs, *args) + 1e-6
            np.testing.assert_allclose(ours, theirs, atol=0.01)


def test_a_coefficient_is_zero_exactly_where_its_gradient_is_below_the_penalty(cohort):
    x, y = cohort
    path = fit_paths(x[None], y, np.ones((1, 200)), penalties_c=PENALTIES)[0]
    assert (path == 0).any()
    for penalty_c, beta in zip(PENALTIES, path, strict=True):
        risk = 1 / (1 + np.exp(-beta[0] - x @ beta[1:]))
        gradient = penalty_c * x.T @ (y - risk)
        np.testing.assert_allclose(np.sum(y - risk), 0, atol=1e-4)
        is_kept = beta[1:] != 0
        np.testing.assert_allclose(gradient[is_kept], np.sign(beta[1:])[is_kept], atol=1e-3)
        assert (np.abs(gradient[~is_kept]) <= 1 + 1e-3).all()


def test_a_set_does_not_depend_on_the_others(cohort):
    x, y = cohort
    weights = np.random.default_rng(3).integers(0, 3, (6, 200)).astype(float)
    columns = np.broadcast_to(x, (6, *x.shape))
    together = fit_paths(columns, y, weights, penalties_c=PENALTIES)
    alone = fit_paths(columns[:1], y, weights[:1], penalties_c=PENALTIES)
    np.testing.assert_allclose(together[:1], alone, atol=1e-6)


def test_separated_outcomes_and_constant_columns_have_a_finite_optimum():
    x = np.column_stack([np.linspace(-1, 1, 20), np.zeros(20)])
    path = fit_paths(x[None], x[:, 0] > 0, np.ones((1, 20)), penalties_c=[0.1, 100.0])[0]
    assert np.isfinite(path).all()
    assert path[1, 1] > path[0, 1] >= 0
    assert (path[:, 2] == 0).all()


def test_one_outcome_is_refused(cohort):
    x, y = cohort
    message = (
        "y_true must hold patients with and without the event in every training set, got 1 sets "
        "of one outcome. Use fewer folds or more patients."
    )
    weights = np.stack([np.ones(200), y == 0]).astype(float)
    with pytest.raises(ValueError, match=f"^{message}$"):
        fit_paths(np.broadcast_to(x, (2, *x.shape)), y, weights, penalties_c=[1.0])
