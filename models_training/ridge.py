"""Ridge-penalised logistic regression on many frozen features and a few covariates.

With thousands of features and hundreds of patients the fit needs the patients' dimensions only: the
standardised training rows are rotated onto their principal axes, which leaves the ridge penalty as
it is, and scikit-learn fits as many coefficients as there are patients.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import expit
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss

PENALTIES = tuple(np.logspace(-3.0, 2.0, 11))  # inverse strength C; small = strong
_LEAST_SHARE = 1e-10  # of the largest squared singular value: below it an axis is rounding


@dataclass(frozen=True)
class Ridge:
    """A fitted regression, in units of the raw columns.

    Attributes
    ----------
    intercept : float
        Logit of a patient at the training means.
    slopes, mean : array of shape (n_columns,)
        Logit a unit of each column, and its training mean, which also replaces a missing value.
    penalty_c : float
        Inverse strength of the penalty.
    """

    intercept: float
    slopes: np.ndarray
    mean: np.ndarray
    penalty_c: float

    def logits(self, values: np.ndarray) -> np.ndarray:
        """Return intercept + (values - mean) @ slopes, (n,); NaN counts as the mean."""
        return self.intercept + np.nan_to_num(values - self.mean) @ self.slopes


@dataclass(frozen=True)
class TunedRidge:
    """A regression whose penalty was chosen inside its training patients.

    Attributes
    ----------
    fit : Ridge
        On all training patients.
    losses : array of shape (n_penalties,)
        Mean log loss of the training patients by regressions that left them out.
    inner_logits : array of shape (n,)
        Of training patients by the regression that left their inner fold out; NaN for others.
    """

    fit: Ridge
    losses: np.ndarray
    inner_logits: np.ndarray


def block_gains(n_features: int, n_covariates: int) -> np.ndarray:
    """Return what standardised columns are multiplied by before the penalty, (n_columns,).

    The features together get variance 1, as each covariate has: one strength of the penalty then
    means the same for 512 and for 10,000 features, and a covariate is not drowned by them.
    """
    return np.r_[np.full(n_features, n_features**-0.5), np.ones(n_covariates)]


def fit_ridge_path(
    values: np.ndarray,
    y_true: np.ndarray,
    *,
    gains: np.ndarray,
    penalties_c: Sequence[float] = PENALTIES,
) -> list[Ridge]:
    """Return one regression a penalty; columns are standardised with these rows.

    Minimises C sum_i (log(1 + exp(f_i)) - y_i f_i) + |b|^2 / 2 with f_i = b_0 + z_i b and
    z = gains (x - mean) / SD; the intercept is not penalised.

    Parameters
    ----------
    values : array of shape (n, n_columns)
        Training patients; NaN for missing.
    y_true : array of shape (n,)
        0 or 1, both present.
    gains : array of shape (n_columns,)
        Columns with a larger gain are penalised less.
    penalties_c : sequence of float
        Inverse strengths C.

    Raises
    ------
    ValueError
        If the patients have one outcome only.

    Examples
    --------
    >>> x, y = np.array([[0.0], [1.0], [2.0], [3.0]]), np.array([0, 0, 1, 1])
    >>> fit_ridge_path(x, y, gains=np.ones(1), penalties_c=[1.0])[0].slopes.shape
    (1,)
    """
    n_events = int(np.sum(y_true))
    if not 0 < n_events < len(y_true):
        raise ValueError(
            "y_true must hold patients with and without the event in every training set, got "
            f"{n_events} events among {len(y_true)} patients. Use fewer folds or more patients."
        )
    n_known = np.isfinite(values).sum(axis=0)
    mean = np.nansum(values, axis=0) / np.maximum(n_known, 1)
    centred = np.nan_to_num(values - mean)
    scale = centred.std(axis=0)
    factor = gains / np.where(scale > 1e-12, scale, 1.0) * (scale > 1e-12)
    scores, axes = _principal_scores(centred * factor)
    fits = []
    for penalty_c in penalties_c:
        model = LogisticRegression(C=penalty_c, solver="newton-cholesky", tol=1e-8, max_iter=200)
        model.fit(scores, y_true)
        slopes = (axes @ np.ravel(model.coef_)) * factor
        fits.append(Ridge(float(np.ravel(model.intercept_)[0]), slopes, mean, float(penalty_c)))
    return fits


def _principal_scores(z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return scores (n, r) and orthonormal axes (n_columns, r) with z = scores @ axes.T."""
    n, n_columns = z.shape
    if n_columns <= n:
        return z, np.eye(n_columns)
    squares, vectors = np.linalg.eigh(z @ z.T)
    is_kept = squares > max(squares[-1] * _LEAST_SHARE, 0.0)
    if not is_kept.any():  # no column varies: the intercept is the model
        return np.zeros((n, 1)), np.zeros((n_columns, 1))
    singular, vectors = np.sqrt(squares[is_kept]), vectors[:, is_kept]
    return vectors * singular, z.T @ (vectors / singular)


def tune_ridge(
    values: np.ndarray,
    y_true: np.ndarray,
    inner_fold: np.ndarray,
    *,
    gains: np.ndarray,
    penalties_c: Sequence[float] = PENALTIES,
) -> TunedRidge:
    """Choose the penalty by the inner folds of the training patients, and fit at it.

    Parameters
    ----------
    values : array of shape (n, n_columns)
        All patients; only those with an inner fold are looked at.
    y_true : array of shape (n,)
        Outcomes; may be NaN outside the training patients.
    inner_fold : int array of shape (n,)
        Inner fold of training patients, from 0; -1 for all others.
    gains, penalties_c
        See :func:`fit_ridge_path`.

    Returns
    -------
    TunedRidge
        At the penalty of the lowest loss; scaling is that of each inner training set.
    """
    is_training = inner_fold >= 0
    inner = np.full((len(penalties_c), len(values)), np.nan)
    options = {"gains": gains, "penalties_c": penalties_c}
    for fold in np.unique(inner_fold[is_training]):
        is_left_out = inner_fold == fold
        kept = is_training & ~is_left_out
        for row, one in enumerate(fit_ridge_path(values[kept], y_true[kept], **options)):
            inner[row, is_left_out] = one.logits(values[is_left_out])
    losses = np.array([logit_loss(y_true[is_training], row[is_training]) for row in inner])
    best = int(losses.argmin())
    fit = fit_ridge_path(
        values[is_training], y_true[is_training], gains=gains, penalties_c=penalties_c[best:][:1]
    )
    return TunedRidge(fit[0], losses, inner[best])


def logit_loss(y_true: np.ndarray, logits: np.ndarray) -> float:
    """Return the mean log loss of logits."""
    risk = np.clip(expit(logits), 1e-7, 1 - 1e-7)
    return float(log_loss(y_true, risk, labels=[0, 1]))
