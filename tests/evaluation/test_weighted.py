from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics as sklearn_metrics

from evaluation.weighted import (
    auroc_statistic,
    average_precision_statistic,
    brier_statistic,
    mean_over_parts,
    observed_expected_statistic,
    ratio_statistic,
    scaled_brier_statistic,
)


@pytest.fixture(params=[8, 1])
def sample(request):
    """Outcome, risk with or without ties, and weights of 20 resamples."""
    rng = np.random.default_rng(4)
    y_true = (rng.random(60) < 0.3).astype(int)
    y_score = np.round(np.clip(0.25 * rng.random(60) + 0.4 * rng.random(60) * y_true, 0, 1), 8)
    y_score = np.round(y_score, request.param)
    rows = rng.integers(0, 60, size=(20, 60))
    return y_true, y_score, rows, np.stack([np.bincount(r, minlength=60) for r in rows])


@pytest.mark.parametrize(
    ("factory", "reference"),
    [
        (auroc_statistic, sklearn_metrics.roc_auc_score),
        (average_precision_statistic, sklearn_metrics.average_precision_score),
        (brier_statistic, sklearn_metrics.brier_score_loss),
        (observed_expected_statistic, lambda y, s: y.sum() / s.sum()),
        (
            scaled_brier_statistic,
            lambda y, s: 1 - np.mean((y - s) ** 2) / (y.mean() * (1 - y.mean())),
        ),
    ],
)
def test_weights_equal_repeating_the_rows(sample, factory, reference):
    y_true, y_score, rows, weights = sample
    expected = [reference(y_true[drawn], y_score[drawn]) for drawn in rows]
    np.testing.assert_allclose(factory(y_true, y_score)(weights), expected, atol=1e-12)


def test_a_resample_with_one_class_is_undefined():
    statistic = auroc_statistic([0, 0, 1], [0.1, 0.2, 0.3])
    values = statistic(np.array([[1, 2, 0], [1, 1, 1], [0, 0, 3]]))
    np.testing.assert_array_equal(values, [np.nan, 1.0, np.nan])


def test_mean_leaves_undefined_parts_out():
    first = ratio_statistic([1, 0], [1, 1])
    second = ratio_statistic([1], [1])
    mean = mean_over_parts([(np.array([0, 1]), first), (np.array([2]), second)])
    values = mean(np.array([[1, 1, 1], [1, 1, 0], [0, 0, 0]]))
    np.testing.assert_array_equal(values, [0.75, 0.5, np.nan])
    with pytest.raises(ValueError, match="parts must hold at least one statistic, got none"):
        mean_over_parts([])
