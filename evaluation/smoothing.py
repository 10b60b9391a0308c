"""Local linear smoothing of outcomes on risks, for thousands of resamples at once."""

from __future__ import annotations

import numpy as np

from evaluation.arrays import as_outcome, as_risk
from evaluation.weighted import Statistic, safe_ratio


def tricube_weights(risk: np.ndarray, grid: np.ndarray, *, fraction: float) -> np.ndarray:
    """Return tricube weights of each row at each grid point, shape (n_grid, n).

    The bandwidth is the distance to the nearest `fraction` of the rows, as in lowess. Where it
    is zero (many equal risks) the rows at distance zero share the weight.
    """
    n_near = min(max(int(fraction * risk.size + 1e-10), 2), risk.size)
    distance = np.abs(grid[:, None] - risk[None, :])
    width = np.partition(distance, n_near - 1, axis=1)[:, n_near - 1 : n_near]
    relative = np.divide(distance, width, out=np.full_like(distance, np.inf), where=width > 0)
    weights = np.clip(1 - relative**3, 0, None) ** 3
    return np.where(width > 0, weights, distance == 0)


def local_line_statistic(y_true, y_score, grid, *, fraction: float = 0.75) -> Statistic:
    """Return a local linear fit of y_true on y_score on a grid, of shape (n_resamples, n_grid).

    Tricube weights; with weights of one it is lowess without its robustness iterations, which would
    discard the events of a rare outcome as outliers. Bandwidths stay those of the full sample, so
    that a resample costs matrix products only.

    Parameters
    ----------
    y_true, y_score : array-like of float, shape (n,)
        What was observed, and what was predicted.
    grid : array-like, shape (n_grid,)
        Predictions at which the mean observed value is estimated.
    fraction : float
        Share of the rows that each fit looks at (Austin & Steyerberg 2019 use 0.75).

    Returns
    -------
    Statistic
        NaN where a resample has no row in reach.
    """
    observed, predicted = np.asarray(y_true, np.float64), np.asarray(y_score, np.float64)
    grid = np.asarray(grid, dtype=np.float64)
    kernel = tricube_weights(predicted, grid, fraction=fraction)
    # Centred at each grid point the fitted value is the local intercept, and sums stay accurate.
    offset = predicted[None, :] - grid[:, None]
    moments = [kernel, kernel * offset, kernel * offset**2]
    moments += [kernel * observed, kernel * offset * observed]
    # A spread this small against the bandwidth is rounding: use the local mean instead.
    floor = 1e-10 * np.maximum(np.abs(offset * (kernel > 0)).max(axis=1), 1e-12) ** 2

    def statistic(weights: np.ndarray) -> np.ndarray:
        s0, s1, s2, t0, t1 = (weights @ moment.T for moment in moments)
        spread = s0 * s2 - s1**2
        is_line = spread > floor * s0**2
        line = safe_ratio(np.where(is_line, s2 * t0 - s1 * t1, 0.0), np.where(is_line, spread, 0.0))
        return np.where(is_line, line, safe_ratio(t0, s0))

    return statistic


def calibration_curve_statistic(y_true, y_score, grid, *, fraction: float = 0.75) -> Statistic:
    """Return the flexible calibration curve of risks: :func:`local_line_statistic` within [0, 1].

    Parameters
    ----------
    y_true, y_score : array-like, shape (n,)
        Outcomes 0 or 1, and risks in [0, 1].
    grid, fraction
        Risks at which the observed proportion is estimated, and the share of rows of each fit.
    """
    outcome = as_outcome(y_true)
    risk = as_risk(y_score, n_rows=outcome.size)
    line = local_line_statistic(outcome, risk, grid, fraction=fraction)
    return lambda weights: np.clip(line(weights), 0.0, 1.0)


def interpolation_matrix(grid: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Return the (n_grid, n_points) matrix that interpolates linearly between grid values."""
    matrix = np.zeros((grid.size, points.size))
    columns = np.arange(points.size)
    if grid.size == 1:
        matrix[0] = 1.0
        return matrix
    right = np.clip(np.searchsorted(grid, points), 1, grid.size - 1)
    share = np.clip((points - grid[right - 1]) / (grid[right] - grid[right - 1]), 0, 1)
    matrix[right - 1, columns] = 1 - share
    matrix[right, columns] = share
    return matrix


def risk_grid(y_score: np.ndarray, *, n_points: int = 200) -> np.ndarray:
    """Return the distinct risks, or `n_points` quantiles of them when there are more."""
    distinct = np.unique(y_score)
    if distinct.size <= n_points:
        return distinct
    return np.unique(np.quantile(y_score, np.linspace(0, 1, n_points)))
