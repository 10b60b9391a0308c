"""How far the clinical model hangs on the patients it happened to see: the process, run again.

Every refit repeats the whole process (imputation, scaling, choice of the penalty, fit). Bootstrap
samples show the instability of each patient's risk and the optimism of the apparent performance;
permuted outcomes what the process reaches by chance; smaller training sets what more patients may
bring.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy.special import expit
from sklearn.metrics import roc_auc_score

from models_training.clinical_process import (
    PatientSamples,
    fit_processes,
    fold_samples,
    stratified_folds,
)

SHARES = (0.2, 0.35, 0.5, 0.65, 0.8)  # of the patients, for the learning curve
N_INNER_FOLDS = 5
_MOST_DRAWS = 1000


def bootstrap_refits(
    covariates: pd.DataFrame, y_true: np.ndarray, *, n_refits: int = 200, seed: int = 0
) -> pd.DataFrame:
    """Return every patient's risk by models refitted on bootstrap samples of the patients.

    Parameters
    ----------
    covariates : DataFrame of shape (n_patients, n_columns)
        Encoded, indexed by patient, NaN for missing.
    y_true : int array of shape (n_patients,)
        The outcomes, all known.
    n_refits : int
        Bootstrap samples; 200 or more for a report.
    seed : int
        Of samples and inner folds.

    Returns
    -------
    DataFrame
        ``patient_id, refit, n_drawn, y_true, y_score``. Refit 0 is the process on the patients as
        they are (``n_drawn`` 1); ``n_drawn`` says how often a sample holds the patient.

    References
    ----------
    Riley & Collins 2023, doi 10.1002/bimj.202200302.
    """
    y_true, n = np.asarray(y_true, int), len(y_true)
    rng = np.random.default_rng([seed, 1])
    n_inner = _n_inner(y_true)
    weights, inner = [np.ones(n)], [stratified_folds(y_true, n_inner, rng)]
    for _ in range(n_refits):
        drawn, folds = _bootstrap_sample(y_true, n_inner, rng)
        weights.append(drawn)
        inner.append(folds)
    samples = _samples(y_true, weights, inner)
    found = fit_processes(covariates.to_numpy(float), samples, progress="bootstrap refits")
    return pd.DataFrame(
        {
            "patient_id": np.tile(covariates.index.to_numpy(), n_refits + 1),
            "refit": np.repeat(np.arange(n_refits + 1), n),
            "n_drawn": samples.weights.astype(int).ravel(),
            "y_true": samples.y_true.ravel(),
            "y_score": expit(found.logits).ravel(),
        }
    )


def permuted_refits(
    covariates: pd.DataFrame,
    y_true: np.ndarray,
    splits: pd.DataFrame,
    *,
    n_permutations: int = 200,
    seed: int = 0,
) -> pd.DataFrame:
    """Return the out-of-fold AUROC of the process with the outcomes dealt out at random.

    Outcomes are dealt to other patients together with their folds, so that every fold keeps its
    number of events; then everything is fitted again. The first repeat of the split is used.

    Parameters
    ----------
    covariates, y_true, seed
        As for `bootstrap_refits`.
    splits : DataFrame
        ``patient_id, repeat, fold, inner_fold``.
    n_permutations : int
        Deals; 200 or more for a report.

    Returns
    -------
    DataFrame
        ``permutation, auroc`` (mean within the test folds); permutation 0 is the observed outcome.

    References
    ----------
    Ojala & Garriga 2010, Journal of Machine Learning Research 11, 1833-1863.
    """
    patients = pd.DataFrame({"patient_id": covariates.index, "outcome": np.asarray(y_true, int)})
    first = splits[splits["repeat"] == splits["repeat"].min()]
    _, samples = fold_samples(first, patients)
    rng = np.random.default_rng([seed, 2])
    everyone = np.arange(len(patients))
    deals = [everyone, *(rng.permutation(everyone) for _ in range(n_permutations))]
    parts = (samples.y_true, samples.weights, samples.inner_fold)
    dealt = PatientSamples(*(np.concatenate([part[:, deal] for deal in deals]) for part in parts))
    found = fit_processes(covariates.to_numpy(float), dealt, progress="permuted refits")
    aurocs = [
        _auroc(y[weight == 0], logits[weight == 0])
        for y, weight, logits in zip(dealt.y_true, dealt.weights, found.logits, strict=True)
    ]
    means = np.reshape(aurocs, (len(deals), -1)).mean(axis=1)
    return pd.DataFrame({"permutation": np.arange(len(deals)), "auroc": means})


def learning_curve(
    covariates: pd.DataFrame,
    y_true: np.ndarray,
    *,
    shares: Sequence[float] = SHARES,
    n_draws: int = 20,
    seed: int = 0,
) -> pd.DataFrame:
    """Return the AUROC of left-out patients against the number of training patients.

    Parameters
    ----------
    covariates, y_true, seed
        As for `bootstrap_refits`.
    shares : sequence of float
        Shares of the patients to train on, with the cohort's event rate; sizes that leave fewer
        than five patients of an outcome on either side are left out.
    n_draws : int
        Random training sets a size.

    Returns
    -------
    DataFrame
        ``n_patients, n_events, draw, auroc`` (patients left out), ``auroc_training`` (patients
        trained on); draws of a size overlap and are not independent.
    """
    y_true = np.asarray(y_true, int)
    rng = np.random.default_rng([seed, 3])
    n_events, n = int(y_true.sum()), len(y_true)
    sizes = [(round(share * n_events), round(share * (n - n_events))) for share in shares]
    sizes = [(a, b) for a, b in sizes if min(a, b, n_events - a, n - n_events - b) >= N_INNER_FOLDS]
    names = ["n_patients", "n_events", "draw", "auroc", "auroc_training"]
    weights, inner, rows = [], [], []
    for with_event, without in sizes:
        for draw in range(n_draws):
            chosen = [
                rng.permutation(np.flatnonzero(y_true == outcome))[:size]
                for outcome, size in ((1, with_event), (0, without))
            ]
            weight = np.zeros(n)
            weight[np.concatenate(chosen)] = 1.0
            folds = np.full(n, -1)
            is_in = weight > 0
            folds[is_in] = stratified_folds(y_true[is_in], N_INNER_FOLDS, rng)
            weights.append(weight)
            inner.append(folds)
            rows.append((with_event + without, with_event, draw))
    if not rows:
        return pd.DataFrame(columns=names)
    samples = _samples(y_true, weights, inner)
    found = fit_processes(covariates.to_numpy(float), samples, progress="learning curve")
    aurocs = [
        (
            _auroc(y_true[weight == 0], logits[weight == 0]),
            _auroc(y_true[weight > 0], logits[weight > 0]),
        )
        for weight, logits in zip(samples.weights, found.logits, strict=True)
    ]
    return pd.DataFrame(
        [(*row, *pair) for row, pair in zip(rows, aurocs, strict=True)], columns=names
    )


def _auroc(y_true: np.ndarray, logits: np.ndarray) -> float:
    return float(roc_auc_score(y_true, logits))


def _samples(y_true, weights, inner) -> PatientSamples:
    stacked = np.stack(weights)
    return PatientSamples(np.broadcast_to(y_true, stacked.shape), stacked, np.stack(inner))


def _n_inner(y_true: np.ndarray) -> int:
    return max(2, min(N_INNER_FOLDS, int(np.bincount(y_true, minlength=2).min()) // 2))


def _bootstrap_sample(
    y_true: np.ndarray, n_inner: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Return how often each patient is drawn, and new inner folds.

    A patient drawn twice lies in one inner fold. A sample that leaves an inner training set
    without an outcome cannot be fitted and is drawn again.
    """
    n = len(y_true)
    for _ in range(_MOST_DRAWS):
        drawn = np.bincount(rng.integers(0, n, n), minlength=n).astype(float)
        inner = stratified_folds(y_true, n_inner, rng)
        parts = [drawn[inner != fold] @ np.eye(2)[y_true[inner != fold]] for fold in range(n_inner)]
        if np.min(parts) > 0:
            return drawn, inner
    raise ValueError(
        "y_true must hold enough patients of both outcomes to be resampled, got "
        f"{int(y_true.sum())} events in {n}. Set n_refits to 0."
    )
