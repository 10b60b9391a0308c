"""Do the risks mean what they say: calibration line, flexible curve, ICI, Brier.

Van Calster et al. 2019 (doi 10.1186/s12916-019-1466-7) on the hierarchy from calibration in the
large to the flexible curve; Austin & Steyerberg 2019 (doi 10.1002/sim.8281) on ICI, E50 and E90.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import statsmodels.api as sm
from scipy.special import expit
from scipy.stats import norm

from evaluation.arrays import as_outcome, as_risk, risk_to_logit
from evaluation.smoothing import calibration_curve_statistic, interpolation_matrix, risk_grid
from evaluation.weighted import (
    Statistic,
    brier_statistic,
    observed_expected_statistic,
    safe_ratio,
    scaled_brier_statistic,
)

# A Newton step beyond this, in standard deviations of the logit, is a separated resample.
DIVERGED = 50.0
CONVERGED = 1e-9


@dataclass(frozen=True)
class CalibrationLine:
    """Intercept (calibration in the large) and slope with intervals; NaN and why if undefined."""

    intercept: float
    intercept_low: float
    intercept_high: float
    slope: float
    slope_low: float
    slope_high: float
    intercept_reason: str = ""
    slope_reason: str = ""


def undefined_reason(y_true, y_score) -> str:
    """Return why a calibration slope cannot be estimated, or an empty string.

    One outcome class, equal scores, or (quasi-)complete separation: then the likelihood has no
    maximum, and software that returns a number returns an arbitrary one.
    """
    outcome = as_outcome(y_true)
    value = risk_to_logit(as_risk(y_score, n_rows=outcome.size))
    events, controls = value[outcome == 1], value[outcome == 0]
    if events.size == 0 or controls.size == 0:
        return "one outcome class"
    if np.ptp(value) < 1e-9:
        return "every patient has the same score"
    if events.min() >= controls.max() or controls.min() >= events.max():
        return "the score separates the outcomes"
    return ""


def calibration_line(y_true, y_score, *, confidence: float = 0.95) -> CalibrationLine:
    """Return calibration intercept and slope with Wald intervals.

    Intercept a: logit P(y) = a + logit(y_score), the slope fixed at 1 (an offset); 0 is ideal,
    below 0 the risks are too high on average. Slope b: logit P(y) = a' + b logit(y_score); 1 is
    ideal, below 1 the risks are too extreme.

    Parameters
    ----------
    y_true, y_score : array-like, shape (n,)
        Outcomes 0 or 1, and risks in [0, 1], one row a patient.
    confidence : float
        Level of the intervals.

    Returns
    -------
    CalibrationLine
        NaN with a reason for one outcome class, equal scores or separation.

    Raises
    ------
    ValueError
        If an array is malformed.
    """
    outcome = as_outcome(y_true)
    value = risk_to_logit(as_risk(y_score, n_rows=outcome.size))
    slope_reason = undefined_reason(outcome, y_score)
    is_one_class = outcome.min() == outcome.max()
    nothing = (float("nan"),) * 3
    intercept = slope = nothing
    if not is_one_class:
        design = np.ones((outcome.size, 1))
        intercept = _fit(outcome, design, column=0, confidence=confidence, offset=value)
    if not slope_reason:
        design = np.column_stack([np.ones(outcome.size), value])
        slope = _fit(outcome, design, column=1, confidence=confidence)
    intercept_reason = "one outcome class" if is_one_class else ""
    return CalibrationLine(*intercept, *slope, intercept_reason, slope_reason)


def _fit(outcome, design, *, column: int, confidence: float, offset=None):
    fit = sm.GLM(outcome, design, family=sm.families.Binomial(), offset=offset).fit()
    half_width = norm.ppf(0.5 + confidence / 2) * fit.bse[column]
    estimate = float(fit.params[column])
    return estimate, float(estimate - half_width), float(estimate + half_width)


def calibration_line_statistic(y_true, y_score, *, n_steps: int = 25) -> Statistic:
    """Return intercept and slope for all resamples at once, statistic (n_resamples, 2).

    Newton's method on every resample together; NaN where a resample is separated or degenerate.
    """
    outcome = as_outcome(y_true).astype(np.float64)
    value = risk_to_logit(as_risk(y_score, n_rows=outcome.size))
    centre, scale = value.mean(), value.std() or 1.0
    standard = (value - centre) / scale

    def intercept_of(weights: np.ndarray) -> np.ndarray:
        a = np.zeros(len(weights))
        for _ in range(n_steps):
            p = expit(np.clip(a, -DIVERGED, DIVERGED)[:, None] + value)
            gradient = weights @ outcome - (weights * p).sum(axis=1)
            step = np.clip(safe_ratio(gradient, (weights * p * (1 - p)).sum(axis=1)), -3, 3)
            a = a + step
            if not (np.abs(step) > CONVERGED).any():
                break
        return np.where(np.abs(a) < DIVERGED, a, np.nan)

    def slope_of(weights: np.ndarray) -> np.ndarray:
        a, b = np.zeros(len(weights)), np.zeros(len(weights))
        for _ in range(n_steps):
            p = expit(np.clip(a[:, None] + b[:, None] * standard, -DIVERGED, DIVERGED))
            gap = weights * (outcome - p)
            curvature = weights * p * (1 - p)
            g0, g1 = gap.sum(axis=1), gap @ standard
            h0, h1, h2 = curvature.sum(axis=1), curvature @ standard, curvature @ standard**2
            determinant = h0 * h2 - h1**2
            determinant = np.where(determinant > 1e-12, determinant, 0.0)
            step = safe_ratio(h0 * g1 - h1 * g0, determinant)
            a = a + safe_ratio(h2 * g0 - h1 * g1, determinant)
            b = b + step
            if not (np.abs(step) > CONVERGED).any():
                break
        return np.where(np.abs(b) < DIVERGED, b, np.nan) / scale

    def statistic(weights: np.ndarray) -> np.ndarray:
        weights = weights.astype(np.float64)
        is_mixed = (weights @ outcome > 0) & (weights @ (1 - outcome) > 0)
        values = np.column_stack([intercept_of(weights), slope_of(weights)])
        return np.where(is_mixed[:, None], values, np.nan)

    return statistic


def calibration_error_statistic(y_true, y_score, *, fraction: float = 0.75) -> Statistic:
    """Return ICI, E50 and E90, statistic of shape (n_resamples, 3).

    Mean, median and 90th percentile over patients of |flexible curve - risk|. They are never
    negative, so sampling noise alone makes them positive, and more so in a resample: their
    bootstrap intervals sit too high in small samples and must not be read as a test.
    """
    outcome = as_outcome(y_true)
    risk = as_risk(y_score, n_rows=outcome.size)
    grid = risk_grid(risk)
    curve = calibration_curve_statistic(outcome, risk, grid, fraction=fraction)
    at_patients = interpolation_matrix(grid, risk)

    def statistic(weights: np.ndarray) -> np.ndarray:
        error = np.abs(np.nan_to_num(curve(weights)) @ at_patients - risk)
        total = weights.sum(axis=1)
        mean = safe_ratio((weights * error).sum(axis=1), total)
        order = np.argsort(error, axis=1)
        ordered = np.take_along_axis(error, order, axis=1)
        reached = np.cumsum(np.take_along_axis(weights, order, axis=1), axis=1)
        columns = [mean]
        for level in (0.5, 0.9):
            first = (reached >= level * total[:, None]).argmax(axis=1)
            columns.append(ordered[np.arange(len(ordered)), first])
        return np.column_stack(columns)

    return statistic


def calibration_errors(y_true, y_score, *, fraction: float = 0.75) -> dict[str, float]:
    """Return `ici`, `e50`, `e90` (all in risk units, 0 is ideal) of one row a patient."""
    values = calibration_error_statistic(y_true, y_score, fraction=fraction)
    return dict(zip(("ici", "e50", "e90"), _once(values, y_true).tolist(), strict=True))


def brier(y_true, y_score) -> float:
    """Return mean (y_score - y_true)^2, in [0, 1]; lower is better."""
    return float(_once(brier_statistic(y_true, y_score), y_true))


def scaled_brier(y_true, y_score) -> float:
    """Return 1 - Brier / Brier of the prevalence; 0 is useless, 1 perfect, below 0 harmful."""
    return float(_once(scaled_brier_statistic(y_true, y_score), y_true))


def observed_expected(y_true, y_score) -> float:
    """Return observed over expected events; 1 is ideal, below 1 the risks are too high."""
    return float(_once(observed_expected_statistic(y_true, y_score), y_true))


def _once(statistic: Statistic, y_true) -> np.ndarray:
    return statistic(np.ones((1, len(y_true))))[0]
