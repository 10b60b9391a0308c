from __future__ import annotations

import re

import numpy as np
import pytest
from scipy.stats import binom, norm
from sklearn import metrics as sklearn_metrics

from evaluation.discrimination import (
    auroc,
    average_precision,
    decision_metrics,
    delong_covariance,
    delong_interval,
    exact_interval,
    precision_recall_curve,
    roc_curve,
    wilson_interval,
)


def data(seed, *, n=80, n_scores=1, decimals=8):
    rng = np.random.default_rng(seed)
    y_true = (rng.random(n) < 0.3).astype(int)
    scores = rng.normal(size=(n, n_scores)) + 0.8 * y_true[:, None]
    return y_true, np.round(scores, decimals)


# One decimal makes many ties, the case where implementations differ.
@pytest.mark.parametrize("decimals", [8, 1, 0])
@pytest.mark.parametrize("seed", range(4))
class TestAgainstReferences:
    def test_auroc_equals_scikit_learn(self, seed, decimals):
        y_true, scores = data(seed, decimals=decimals)
        expected = sklearn_metrics.roc_auc_score(y_true, scores[:, 0])
        assert auroc(y_true, scores[:, 0]) == pytest.approx(expected, abs=1e-12)

    def test_average_precision_equals_scikit_learn(self, seed, decimals):
        y_true, scores = data(seed, decimals=decimals)
        expected = sklearn_metrics.average_precision_score(y_true, scores[:, 0])
        assert average_precision(y_true, scores[:, 0]) == pytest.approx(expected, abs=1e-12)

    def test_roc_curve_equals_scikit_learn(self, seed, decimals):
        y_true, scores = data(seed, decimals=decimals)
        fpr, tpr, thresholds = sklearn_metrics.roc_curve(
            y_true, scores[:, 0], drop_intermediate=False
        )
        curve = roc_curve(y_true, scores[:, 0])
        np.testing.assert_allclose(curve["fpr"], fpr)
        np.testing.assert_allclose(curve["tpr"], tpr)
        np.testing.assert_allclose(curve["threshold"], thresholds)

    def test_delong_equals_the_definition_over_all_pairs(self, seed, decimals, naive_delong):
        y_true, scores = data(seed, n_scores=3, decimals=decimals)
        auc, covariance = delong_covariance(y_true, scores)
        expected_auc, expected = naive_delong(y_true, scores)
        np.testing.assert_allclose(auc, expected_auc, atol=1e-12)
        np.testing.assert_allclose(covariance, expected, atol=1e-12)


def test_auroc_worked_by_hand():
    # Pairs (event, non-event): .4>.1 yes, .4=.4 half, .9>.1 yes, .9>.4 yes: 3.5 of 4.
    assert auroc([0, 0, 1, 1], [0.1, 0.4, 0.4, 0.9]) == 3.5 / 4


def test_delong_variance_worked_by_hand():
    # psi = [[1, 0], [1, 1]]: v10 = (.5, 1), v01 = (1, .5); S10 = S01 = 1/8; (1/8)/2 + (1/8)/2.
    auc, covariance = delong_covariance([1, 1, 0, 0], [2.0, 4.0, 1.0, 3.0])
    assert auc[0] == 0.75
    assert covariance[0, 0] == pytest.approx(0.125)


@pytest.mark.parametrize("seed", range(3))
def test_auroc_properties(seed):
    y_true, scores = data(seed, decimals=1)
    scores = scores[:, 0]
    value = auroc(y_true, scores)
    order = np.random.default_rng(seed).permutation(y_true.size)
    assert auroc(y_true[order], scores[order]) == pytest.approx(value, abs=1e-12)
    assert auroc(y_true, np.exp(3 * scores - 1)) == pytest.approx(value, abs=1e-12)
    assert auroc(1 - y_true, scores) == pytest.approx(1 - value, abs=1e-12)
    assert auroc(y_true, np.zeros(y_true.size)) == 0.5


# DeLong et al. 1988, ovarian cancer with intestinal obstruction, the 43 complete patients as
# printed in SAS/STAT 14.1, example 72.8: albumin, total protein, Krebs-Goplerud score, popind.
OVARIAN = """
3.0 5.8 10 0  3.2 6.3 5 1  3.9 6.8 3 1  2.8 4.8 6 0  3.2 5.8 3 1  0.9 4.0 5 0  2.5 5.7 8 0
1.6 5.6 5 1  3.8 5.7 5 1  3.7 6.7 6 1  3.2 5.4 4 1  3.8 6.6 6 1  4.1 6.6 5 1  3.6 5.7 5 1
4.3 7.0 4 1  3.6 6.7 4 0  2.3 4.4 6 1  4.2 7.6 4 0  4.0 6.6 6 0  3.5 5.8 6 1  3.8 6.8 7 1
3.0 4.7 8 0  4.5 7.4 5 1  3.7 7.4 5 1  3.1 6.6 6 1  4.1 8.2 6 1  4.3 7.0 5 1  4.3 6.5 4 1
3.2 5.1 5 1  2.6 4.7 6 1  3.3 6.8 6 0  1.7 4.0 7 0  3.7 6.1 5 1  3.3 6.3 7 1  4.2 7.7 6 1
3.5 6.2 5 1  2.9 5.7 9 0  2.1 4.8 7 1  2.8 6.2 8 0  4.0 7.0 7 1  3.3 5.7 6 1  3.7 6.9 5 1
3.6 6.6 5 1
"""


def test_delong_equals_the_published_example():
    albumin, protein, total, y_true = np.array(OVARIAN.split(), dtype=float).reshape(-1, 4).T
    auc, covariance = delong_covariance(y_true, np.column_stack([albumin, protein, 10 - total]))
    np.testing.assert_allclose(auc, [0.7366, 0.6478, 0.7258], atol=5e-5)
    np.testing.assert_allclose(np.sqrt(np.diag(covariance)), [0.0927, 0.1000, 0.1028], atol=5e-5)
    contrast = np.array([[1, 0, -1], [0, 1, -1]])
    gap = contrast @ auc
    chi_square = gap @ np.linalg.solve(contrast @ covariance @ contrast.T, gap)
    assert chi_square == pytest.approx(2.5340, abs=5e-5)


def test_delong_of_ratings_equals_the_published_table():
    # Hanley & McNeil 1982: 109 CT images rated 1 to 5; values of Stata's manual, [R] roctab.
    counts = [33, 6, 6, 11, 2, 3, 2, 2, 11, 33]
    y_true, ratings = np.repeat([0] * 5 + [1] * 5, counts), np.repeat([1, 2, 3, 4, 5] * 2, counts)
    auc, covariance = delong_covariance(y_true, ratings)
    error = np.sqrt(covariance[0, 0])
    assert (round(auc[0], 4), round(error, 4)) == (0.8932, 0.0307)
    interval = auc[0] + 1.959964 * error * np.array([-1, 1])
    np.testing.assert_allclose(interval, [0.83295, 0.95339], atol=5e-6)


class TestDelongWithinFolds:
    def test_worked_by_hand(self):
        # Fold 0: one event above one of two controls, 1/2; fold 1: one above one, 1. Mean 3/4.
        # Events deviate by -1/4 and 1/4, over two folds: 2 (1/8)^2 * 2 = 1/16. Controls: 1 and 0
        # of fold 0, weight 1/4: 1/16 and -3/16; 1 of fold 1, weight 1/2: 1/8. Squares sum to
        # 14/256, times 3/2.
        y_true, scores = [1, 0, 0, 1, 0], [2.0, 1.0, 3.0, 1.0, 0.0]
        auc, covariance = delong_covariance(y_true, scores, folds=[0, 0, 0, 1, 1])
        assert auc[0] == 0.75
        assert covariance[0, 0] == pytest.approx(1 / 16 + 14 / 256 * 3 / 2)

    def test_one_fold_is_no_fold(self):
        y_true, scores = data(0, n_scores=2, decimals=1)
        plain = delong_covariance(y_true, scores)
        same = delong_covariance(y_true, scores, folds=np.full(y_true.size, 3))
        np.testing.assert_array_equal(plain[1], same[1])

    def test_a_fold_with_one_class_is_left_out(self):
        y_true, scores = [1, 0, 0, 1, 0, 0, 0], [2.0, 1.0, 3.0, 1.0, 0.0, 9.0, 9.0]
        auc, _ = delong_covariance(y_true, scores, folds=[0, 0, 0, 1, 1, 2, 2])
        assert auc[0] == 0.75

    def test_columns_may_be_split_differently(self):
        y_true, scores = data(1, n_scores=2)
        folds = np.column_stack([np.arange(80) % 4, np.arange(80) % 5])
        both, covariance = delong_covariance(y_true, scores, folds=folds)
        for k in (0, 1):
            auc, variance = delong_covariance(y_true, scores[:, k], folds=folds[:, k])
            assert (auc[0], variance[0, 0]) == pytest.approx((both[k], covariance[k, k]))

    def test_variance_is_that_of_repeated_samples(self):
        rng = np.random.default_rng(0)
        y_true, folds = np.arange(120) % 4 == 0, np.arange(120) // 4 % 5
        found = [
            delong_covariance(y_true, rng.normal(size=120) + y_true, folds=folds)
            for _ in range(400)
        ]
        auc, covariance = (np.array(values).ravel() for values in zip(*found, strict=True))
        assert np.sqrt(covariance.mean()) == pytest.approx(auc.std(), rel=0.15)


def test_average_precision_of_a_constant_score_is_the_prevalence():
    y_true, _ = data(0)
    assert average_precision(y_true, np.ones(y_true.size)) == pytest.approx(y_true.mean())
    curve = precision_recall_curve(y_true, np.ones(y_true.size))
    assert curve["prevalence"].to_list() == [y_true.mean()]


def test_delong_interval_lies_on_the_logit_scale():
    low, high = delong_interval(0.9, 0.04**2)
    error = 1.959963984540054 * 0.04 / (0.9 * 0.1)
    expected = 1 / (1 + np.exp(-(np.log(9) + np.array([-1, 1]) * error)))
    np.testing.assert_allclose((low, high), expected)
    assert 0 < low < 0.9 < high < 1


def test_few_degrees_of_freedom_widen_the_delong_interval():
    low, high = delong_interval(0.9, 0.04**2, degrees_of_freedom=5)
    error = 2.570581835636314 * 0.04 / (0.9 * 0.1)
    expected = 1 / (1 + np.exp(-(np.log(9) + np.array([-1, 1]) * error)))
    np.testing.assert_allclose((low, high), expected)


@pytest.mark.parametrize(("auc", "variance"), [(1.0, 0.0), (0.0, 0.0), (0.5, 0.0), (0.7, np.nan)])
def test_no_variance_means_no_interval(auc, variance):
    assert np.isnan(delong_interval(auc, variance)).all()


def test_one_event_has_no_delong_variance():
    auc, covariance = delong_covariance([0, 0, 1], [0.1, 0.5, 0.3])
    assert auc[0] == 0.5
    assert np.isnan(covariance).all()


def test_delong_coverage_is_near_nominal():
    rng = np.random.default_rng(3)
    y_true = np.r_[np.ones(25, int), np.zeros(75, int)]
    truth, n_covered = 0.75, 0
    for _ in range(400):
        scores = rng.normal(size=100) + norm.ppf(truth) * np.sqrt(2) * y_true
        auc, covariance = delong_covariance(y_true, scores)
        low, high = delong_interval(auc[0], covariance[0, 0])
        n_covered += low <= truth <= high
    assert 0.91 <= n_covered / 400 <= 0.985


@pytest.mark.parametrize(
    ("count", "n", "expected"),
    [
        # (p + z^2/2n +- z sqrt(p(1-p)/n + z^2/4n^2)) / (1 + z^2/n), z = 1.959964, by hand.
        (0, 10, (0.0, 0.2775328)),
        (8, 10, (0.4901625, 0.9433178)),
        (10, 10, (0.7224672, 1.0)),
    ],
)
def test_wilson_by_hand(count, n, expected):
    np.testing.assert_allclose(wilson_interval(count, n), expected, atol=1e-6)


@pytest.mark.parametrize(
    ("count", "n", "expected"),
    [
        (0, 10, (0.0, 1 - 0.025**0.1)),
        (10, 10, (0.025**0.1, 1.0)),
        # P(X >= 8 | 0.4439) = P(X <= 8 | 0.9748) = 0.025 for X of 10.
        (8, 10, (0.4439045, 0.9747893)),
    ],
)
def test_exact_interval_by_hand(count, n, expected):
    np.testing.assert_allclose(exact_interval(count, n), expected, atol=1e-6)


@pytest.mark.parametrize("count", range(13))
def test_exact_bounds_leave_half_of_alpha_on_each_side(count):
    low, high = exact_interval(count, 12, confidence=0.9)
    assert low == 0 or binom.sf(count - 1, 12, low) == pytest.approx(0.05)
    assert high == 1 or binom.cdf(count, 12, high) == pytest.approx(0.05)


def test_proportions_of_nobody_have_no_interval():
    assert np.isnan([*wilson_interval(0, 0), *exact_interval(0, 0)]).all()


def test_decision_metrics_by_hand():
    #           tp  fn  fp  tn  tn
    y_true = [1, 1, 0, 0, 0]
    decision = [1, 0, 1, 0, 0]
    table = decision_metrics(y_true, decision).set_index("metric")
    assert table["estimate"].to_dict() == {
        "sensitivity": 1 / 2,
        "specificity": 2 / 3,
        "ppv": 1 / 2,
        "npv": 2 / 3,
    }
    assert table["n"].to_list() == [2, 3, 2, 3]


def test_nobody_positive_leaves_ppv_undefined():
    table = decision_metrics([1, 0, 0], [0, 0, 0]).set_index("metric")
    assert np.isnan(table.loc["ppv", ["estimate", "ci_low", "ci_high"]].astype(float)).all()
    assert table.loc["sensitivity", "estimate"] == 0


@pytest.mark.parametrize(
    ("function", "arguments", "message"),
    [
        (
            auroc,
            ([1, 1], [0.1, 0.2]),
            "y_true must hold events and non-events, got 2 events in 2 rows. Report this fold as "
            "not evaluable.",
        ),
        (
            auroc,
            ([0, 1], [0.1, np.nan]),
            "y_score must be finite in every row, got 1 missing or infinite of 2. Find out why "
            "these records have no score; never fill them.",
        ),
        (
            roc_curve,
            ([0, 1], [0.1]),
            "y_score must be of shape (2,) as y_true, got (1,). Pass one score a row.",
        ),
        (
            decision_metrics,
            ([0, 1], [1]),
            "decision must be of shape (2,) as y_true, got (1,). Pass one decision a patient.",
        ),
    ],
)
def test_bad_input_is_refused(function, arguments, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        function(*arguments)
