from __future__ import annotations

import numpy as np
import pytest
import statsmodels.api as sm
from scipy.special import expit, logit
from sklearn.linear_model import LogisticRegression

from evaluation.calibration import (
    brier,
    calibration_error_statistic,
    calibration_errors,
    calibration_line,
    calibration_line_statistic,
    observed_expected,
    scaled_brier,
)
from evaluation.smoothing import calibration_curve_statistic, interpolation_matrix, risk_grid


@pytest.fixture
def calibrated():
    """20000 patients whose outcome is drawn from their risk."""
    rng = np.random.default_rng(0)
    risk = expit(rng.normal(-1.5, 1.0, size=20000))
    return (rng.random(risk.size) < risk).astype(int), risk


def small(seed=0, n=150):
    rng = np.random.default_rng(seed)
    risk = expit(rng.normal(-1, 1.2, size=n))
    return (rng.random(n) < risk).astype(int), risk


class TestKnownTruth:
    def test_calibrated_risks(self, calibrated):
        line = calibration_line(*calibrated)
        assert line.slope_low < 1 < line.slope_high
        assert line.intercept_low < 0 < line.intercept_high
        assert line.slope == pytest.approx(1, abs=0.05)
        assert observed_expected(*calibrated) == pytest.approx(1, abs=0.03)

    @pytest.mark.parametrize(("shift", "stretch"), [(0.7, 1.0), (0.0, 2.0), (-1.0, 0.5)])
    def test_planted_miscalibration_is_found(self, calibrated, shift, stretch):
        y_true, risk = calibrated
        shown = expit(shift + stretch * logit(risk))
        line = calibration_line(y_true, shown)
        assert line.slope == pytest.approx(1 / stretch, rel=0.05)
        if stretch == 1:
            assert line.intercept == pytest.approx(-shift, abs=0.05)

    def test_flexible_curve_follows_the_truth(self, calibrated):
        y_true, risk = (column[:3000] for column in calibrated)
        grid = np.array([0.1, 0.2, 0.4])
        curve = calibration_curve_statistic(y_true, risk, grid, fraction=0.3)
        np.testing.assert_allclose(curve(np.ones((1, 3000)))[0], grid, atol=0.05)
        assert calibration_errors(y_true, risk)["ici"] < 0.02
        assert calibration_errors(y_true, expit(logit(risk) + 1))["ici"] > 0.1


class TestAgainstReferences:
    def test_smoother_equals_lowess_without_robustness_steps(self):
        y_true, risk = small()
        expected = sm.nonparametric.lowess(y_true, risk, frac=0.75, it=0, xvals=np.sort(risk))
        curve = calibration_curve_statistic(y_true, risk, np.sort(risk), fraction=0.75)
        ours = curve(np.ones((1, risk.size)))[0]
        np.testing.assert_allclose(ours, np.clip(expected, 0, 1), atol=1e-8)

    def test_ici_e50_e90_by_their_definition(self):
        y_true, risk = small()
        curve = sm.nonparametric.lowess(y_true, risk, frac=0.75, it=0, xvals=risk)
        error = np.sort(np.abs(np.clip(curve, 0, 1) - risk))
        values = calibration_errors(y_true, risk)
        assert values["ici"] == pytest.approx(error.mean(), abs=1e-8)
        assert values["e50"] == pytest.approx(error[74], abs=1e-8)
        assert values["e90"] == pytest.approx(error[134], abs=1e-8)

    def test_line_under_weights_equals_refitting_the_drawn_rows(self):
        y_true, risk = small()
        rng = np.random.default_rng(1)
        rows = rng.integers(0, risk.size, size=(5, risk.size))
        weights = np.stack([np.bincount(r, minlength=risk.size) for r in rows])
        values = calibration_line_statistic(y_true, risk)(weights)
        for drawn, (intercept, slope) in zip(rows, values, strict=True):
            line = calibration_line(y_true[drawn], risk[drawn])
            assert intercept == pytest.approx(line.intercept, abs=1e-6)
            assert slope == pytest.approx(line.slope, abs=1e-6)

    def test_slope_equals_scikit_learn(self):
        y_true, risk = small()
        model = LogisticRegression(C=np.inf, tol=1e-10).fit(logit(risk)[:, None], y_true)
        assert calibration_line(y_true, risk).slope == pytest.approx(model.coef_[0, 0], abs=1e-4)

    def test_brier_by_hand(self):
        y_true, risk = [0, 0, 0, 1], [0.1, 0.2, 0.4, 0.7]
        assert brier(y_true, risk) == pytest.approx((0.01 + 0.04 + 0.16 + 0.09) / 4)
        assert scaled_brier(y_true, risk) == pytest.approx(1 - 0.075 / (0.25 * 0.75))
        assert observed_expected(y_true, risk) == pytest.approx(1 / 1.4)
        assert scaled_brier(y_true, [0.25] * 4) == pytest.approx(0)


class TestDegenerate:
    @pytest.mark.parametrize(
        ("y_true", "risk", "slope_reason", "intercept_reason"),
        [
            ([0, 0, 1, 1], [0.1, 0.2, 0.3, 0.4], "the score separates the outcomes", ""),
            ([1, 1, 0, 0], [0.1, 0.2, 0.2, 0.4], "the score separates the outcomes", ""),
            ([0, 1, 0, 1], [0.3] * 4, "every patient has the same score", ""),
            ([0, 0, 0], [0.1, 0.2, 0.3], "one outcome class", "one outcome class"),
        ],
    )
    def test_no_number_without_a_maximum(self, y_true, risk, slope_reason, intercept_reason):
        line = calibration_line(y_true, risk)
        assert (line.slope_reason, line.intercept_reason) == (slope_reason, intercept_reason)
        assert np.isnan([line.slope, line.slope_low, line.slope_high]).all()
        assert np.isnan(line.intercept) == bool(intercept_reason)

    def test_separated_resamples_are_undefined(self):
        values = calibration_line_statistic([0, 1, 0, 1], [0.1, 0.2, 0.3, 0.4])
        weights = np.array([[1, 1, 1, 1], [1, 1, 0, 1], [2, 0, 2, 0]])
        slopes = values(weights)[:, 1]
        np.testing.assert_array_equal(np.isnan(slopes), [False, True, True])

    def test_equal_scores_give_a_flat_curve(self):
        y_true = [0, 1, 0, 1, 1]
        curve = calibration_curve_statistic(y_true, [0.3] * 5, [0.3])
        np.testing.assert_allclose(curve(np.ones((1, 5))), [[0.6]])
        assert calibration_errors(y_true, [0.3] * 5)["ici"] == pytest.approx(0.3)

    def test_two_distinct_scores(self):
        y_true, risk = [0, 1, 0, 0, 1, 1], [0.2, 0.2, 0.2, 0.8, 0.8, 0.8]
        values = calibration_error_statistic(y_true, risk)(np.ones((2, 6)))
        assert np.isfinite(values).all()


def test_interpolation_and_grid():
    grid = risk_grid(np.linspace(0, 1, 5000), n_points=101)
    points = np.array([0.0, 0.123, 0.5, 1.0])
    np.testing.assert_allclose(grid**2 @ interpolation_matrix(grid, points), points**2, atol=1e-3)
    assert risk_grid(np.array([0.3, 0.1, 0.3])).tolist() == [0.1, 0.3]
