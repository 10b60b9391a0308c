"""The whole process behind the clinical model, repeated on many samples of the patients at once.

A process is: impute and scale by the training patients, choose the penalty by their inner folds,
fit at that penalty. Folds, bootstrap samples, permutations and training sets of any size differ
only in how often each patient counts and in which inner fold it lies.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields

import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from models_training.penalised_logistic import fit_paths

PENALTIES = tuple(np.logspace(-2.0, 1.0, 13))  # inverse strength C; small = strong
_MOST_ENTRIES = 4_000_000  # numbers of all designs of a block
_SETS_A_BLOCK = 250

# From covariates (n, p) and weights (n_sets, n) to standardised columns (n_sets, n, q).
Design = Callable[[np.ndarray, np.ndarray], np.ndarray]


@dataclass(frozen=True)
class PatientSamples:
    """Which patients train a model in each of many processes.

    Attributes
    ----------
    y_true : int array of shape (n_samples, n)
        The outcome of each patient.
    weights : float array of shape (n_samples, n)
        How often each counts in training; 0: left out.
    inner_fold : int array of shape (n_samples, n)
        Inner fold of the training patients, from 0.
    """

    y_true: np.ndarray
    weights: np.ndarray
    inner_fold: np.ndarray

    def part(self, rows: slice) -> PatientSamples:
        """Return some of the samples."""
        return PatientSamples(self.y_true[rows], self.weights[rows], self.inner_fold[rows])


@dataclass(frozen=True)
class Fitted:
    """What the processes found, one row a sample.

    Attributes
    ----------
    losses : array of shape (n_samples, n_l1_ratios, n_penalties)
        Mean log loss of the training patients by models that left them out.
    best : int array of shape (n_samples, 2)
        Position of the lowest loss: share of the LASSO, penalty.
    coefficients : array of shape (n_samples, q + 1)
        Of standardised columns, the intercept first.
    logits : array of shape (n_samples, n)
        Of all patients, by the model fitted on the sample.
    inner_logits : array of shape (n_samples, n)
        Of training patients, by the model that left their inner fold out; NaN for others.
    """

    losses: np.ndarray
    best: np.ndarray
    coefficients: np.ndarray
    logits: np.ndarray
    inner_logits: np.ndarray


def moments(values: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and SD of each column by the training patients, two arrays (n_sets, p).

    The SD is that after mean imputation, as the regression will see it; 1 where nothing varies.
    """
    is_known = np.isfinite(values)
    filled = np.where(is_known, values, 0.0)
    n_known = weights @ is_known
    mean = (weights @ filled) / np.where(n_known > 0, n_known, 1.0)
    centre = filled.mean(axis=0)  # close to the mean: squares stay accurate
    shifted = np.where(is_known, values - centre, 0.0)
    known_squares = weights @ shifted**2 - n_known * (mean - centre) ** 2
    scale = np.sqrt(np.clip(known_squares, 0, None) / weights.sum(axis=1, keepdims=True))
    return mean, np.where(scale > 1e-12, scale, 1.0)


def mean_imputed(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the columns scaled by the training patients, a missing value as their mean."""
    mean, scale = moments(values, weights)
    return np.nan_to_num((values - mean[:, None]) / scale[:, None])


def fit_processes(
    values: np.ndarray,
    samples: PatientSamples,
    *,
    design: Design = mean_imputed,
    l1_ratios: Sequence[float] = (1.0,),
    progress: str = "",
) -> Fitted:
    """Tune and fit a model on every sample.

    Parameters
    ----------
    values : array of shape (n, p)
        Covariates of the patients, NaN for missing.
    samples : PatientSamples
        Who trains, and in which inner fold.
    design : callable
        Imputes and scales by the training patients alone, never by the outcome.
    l1_ratios : sequence of float
        Shares of the LASSO in the penalty, tuned with its strength; (1.0,) is the LASSO itself.
    progress : str
        Title of the progress bar; empty: none.

    Raises
    ------
    ValueError
        If a training set holds one outcome only.
    """
    n_inner = int(samples.inner_fold.max()) + 1
    size = max(1, min(_SETS_A_BLOCK, _MOST_ENTRIES // values.size) // (n_inner + 1))
    found = []
    n_samples = len(samples.weights)
    with tqdm(total=n_samples, desc=progress, unit="fit", disable=not progress) as bar:
        for start in range(0, n_samples, size):
            part = samples.part(slice(start, start + size))
            found.append(_fit_block(values, part, n_inner, design, tuple(l1_ratios)))
            bar.update(len(part.weights))
    names = [item.name for item in fields(Fitted)]
    return Fitted(*(np.concatenate([getattr(one, name) for one in found]) for name in names))


def _fit_block(
    values: np.ndarray,
    samples: PatientSamples,
    n_inner: int,
    design: Design,
    l1_ratios: tuple[float, ...],
) -> Fitted:
    n_samples, n = samples.weights.shape
    left_out = samples.inner_fold[:, None] == np.arange(n_inner)[None, :, None]
    # The last set of a sample holds all of its training patients.
    left_out = np.concatenate([left_out, np.zeros((n_samples, 1, n), bool)], axis=1)
    weights = (samples.weights[:, None] * ~left_out).reshape(-1, n)
    columns = design(values, weights)
    y_sets = np.repeat(samples.y_true, n_inner + 1, axis=0)
    coefficients = np.stack(
        [
            fit_paths(columns, y_sets, weights, penalties_c=PENALTIES, l1_ratio=ratio)
            for ratio in l1_ratios
        ],
        axis=1,
    ).reshape(n_samples, n_inner + 1, len(l1_ratios), len(PENALTIES), -1)
    columns = columns.reshape(n_samples, n_inner + 1, n, -1)
    slopes, intercepts = coefficients[..., 1:], coefficients[..., 0]
    inner = np.full((n_samples, len(l1_ratios), len(PENALTIES), n), np.nan)
    for fold in range(n_inner):
        logits = np.einsum("knq,krcq->krcn", columns[:, fold], slopes[:, fold], optimize=True)
        logits += intercepts[:, fold][..., None]
        inner = np.where(left_out[:, fold][:, None, None], logits, inner)
    losses = _log_loss(inner, samples)
    best = np.stack(
        np.unravel_index(losses.reshape(n_samples, -1).argmin(axis=1), losses.shape[1:])
    )
    rows = np.arange(n_samples)
    chosen = coefficients[rows, n_inner, best[0], best[1]]
    everyone = np.einsum("knq,kq->kn", columns[:, n_inner], chosen[:, 1:]) + chosen[:, :1]
    return Fitted(losses, best.T, chosen, everyone, inner[rows, best[0], best[1]])


def _log_loss(logits: np.ndarray, samples: PatientSamples) -> np.ndarray:
    y_true, weights = samples.y_true[:, None, None], samples.weights[:, None, None]
    logits = np.where(weights > 0, logits, 0.0)  # those outside the training set have none
    losses = np.logaddexp(0.0, logits) - y_true * logits
    return (weights * losses).sum(axis=-1) / weights.sum(axis=-1)


def fold_samples(
    splits: pd.DataFrame, patients: pd.DataFrame
) -> tuple[list[tuple[int, int]], PatientSamples]:
    """Return (repeat, fold) of every split and its training patients.

    Parameters
    ----------
    splits : DataFrame
        ``patient_id, repeat, fold, inner_fold, role``.
    patients : DataFrame
        ``patient_id, outcome`` (0/1), the rows of the arrays; one the splits do not name, or whose
        outcome is missing, has weight 0.
    """
    inner = splits.pivot(index=["repeat", "fold"], columns="patient_id", values="inner_fold")
    inner = inner.sort_index().reindex(columns=patients["patient_id"]).fillna(-1).astype(int)
    folds, is_known = inner.to_numpy(), patients["outcome"].notna().to_numpy()
    outcome = patients["outcome"].fillna(0).to_numpy(int)  # of weight 0 where it is missing
    y_true = np.broadcast_to(outcome, folds.shape)
    keys = [(int(repeat), int(fold)) for repeat, fold in inner.index]
    return keys, PatientSamples(y_true, ((folds >= 0) & is_known).astype(float), folds)


def stratified_folds(y_true: np.ndarray, n_folds: int, rng: np.random.Generator) -> np.ndarray:
    """Return a random fold of each patient, (n,); the outcomes are spread evenly over the folds."""
    order = rng.permutation(len(y_true))
    order = order[np.argsort(np.asarray(y_true)[order], kind="stable")]
    fold = np.empty(len(y_true), dtype=int)
    fold[order] = np.arange(len(y_true)) % n_folds
    return fold
