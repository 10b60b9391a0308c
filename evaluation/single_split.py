"""One 80/20 split of a small cohort, simulated: what it reports when the truth is known.

Cohorts and models are those of :mod:`evaluation.surrogate`; each cohort is scored by independent
single splits, as a study of one split would, and by grouped cross-validation.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd
from scipy.optimize import brentq

from evaluation.discrimination import delong_covariance, delong_interval
from evaluation.intervals import bootstrap_interval, percentile_interval
from evaluation.resampling import BootstrapPlan, bootstrap_draws
from evaluation.surrogate import Protocol, draw_cohort, fit_all, true_auroc
from evaluation.weighted import auroc_statistic

LEVELS = ("patient", "ecg")
INTERVALS = ("ecg_bootstrap", "patient_bootstrap", "patient_delong")
SPLIT, FOLD = "split", "fold"
_LARGEST_SEPARATION = 6.0


def random_splits(outcome, *, n_splits: int, test_share: float, rng) -> np.ndarray:
    """Return independent test sets of patients, (n_splits, n_patients) bool, by outcome."""
    is_test = np.zeros((n_splits, len(outcome)), dtype=bool)
    for label in (0, 1):
        members = np.flatnonzero(outcome == label)
        n_test = round(test_share * members.size)
        for row in is_test:
            row[rng.permutation(members)[:n_test]] = True
    return is_test


def random_folds(outcome, *, n_folds: int, rng) -> np.ndarray:
    """Return test sets that part the patients, (n_folds, n_patients) bool, by outcome."""
    fold = np.empty(len(outcome), dtype=int)
    for label in (0, 1):
        members = rng.permutation(np.flatnonzero(outcome == label))
        fold[members] = np.arange(members.size) % n_folds
    return fold == np.arange(n_folds)[:, None]


def calibrate(protocol: Protocol, truth: float, *, n_cohorts: int = 200, seed: int = 0) -> float:
    """Return the separation at which trained models have the mean true AUROC `truth`.

    The mean is over two models each of `n_cohorts` cohorts, drawn once for all separations, and
    over patients to come.

    Raises
    ------
    ValueError
        If no separation gives this truth.
    """

    def excess(separation: float) -> float:
        found = []
        for number in range(n_cohorts):
            rng = np.random.default_rng([seed, 0, number])
            cohort = draw_cohort(protocol, separation, rng)
            is_test = random_splits(
                cohort.outcome, n_splits=2, test_share=protocol.test_share, rng=rng
            )
            models = fit_all(cohort, is_test, penalty=protocol.penalty, rng=rng)
            found.append(true_auroc(models, separation, protocol)["patient"])
        return float(np.mean(found)) - truth

    low, high = excess(0.0), excess(_LARGEST_SEPARATION)
    if not low < 0 < high:
        raise ValueError(
            f"truth must be above {truth + low:.2f} and below {truth + high:.2f}, got {truth:g}. "
            "Choose one a model of this cohort can have."
        )
    return float(brentq(excess, 0.0, _LARGEST_SEPARATION, xtol=2e-3))


def simulate_study(
    protocol: Protocol, separation: float, *, seed: Sequence[int], n_splits: int, n_repeats: int
) -> pd.DataFrame:
    """Simulate one cohort; score it by independent single splits and by repeated 5-fold CV.

    Parameters
    ----------
    protocol : Protocol
        Shape of the study.
    separation : float
        From :func:`calibrate`.
    seed : sequence of int
        Everything is a function of it.
    n_splits : int
        Single 80/20 splits, each with its own resampling and fit.
    n_repeats : int
        Repeats of the cross-validation.

    Returns
    -------
    pandas.DataFrame
        One row a fitted model: `design` (`split` or `fold`), `number` (of the split; 5 * repeat +
        fold), `auroc_patient`, `auroc_ecg` (reported), `true_patient`, `true_ecg`, and for the
        first split `<interval>_low`, `<interval>_high` of each of `INTERVALS`.
    """
    rng = np.random.default_rng(list(seed))
    cohort = draw_cohort(protocol, separation, rng)
    n_folds = round(1 / protocol.test_share)
    share = protocol.test_share
    sets = [random_splits(cohort.outcome, n_splits=n_splits, test_share=share, rng=rng)]
    sets += [random_folds(cohort.outcome, n_folds=n_folds, rng=rng) for _ in range(n_repeats)]
    is_test = np.concatenate(sets)
    models = fit_all(cohort, is_test, penalty=protocol.penalty, rng=rng)
    by_patient, by_ecg = cohort.scores(models)
    y_ecg = cohort.outcome[cohort.patient]
    columns = {
        "design": np.where(np.arange(len(is_test)) < n_splits, SPLIT, FOLD),
        "number": np.r_[:n_splits, : n_folds * n_repeats],
        "auroc_patient": _aurocs(cohort.outcome, by_patient, is_test),
        "auroc_ecg": _aurocs(y_ecg, by_ecg, is_test[:, cohort.patient]),
    }
    for level, values in true_auroc(models, separation, protocol).items():
        columns[f"true_{level}"] = values
    patients, ecgs = is_test[0], is_test[0][cohort.patient]
    found = _intervals(
        (cohort.outcome[patients], by_patient[0, patients]),
        (y_ecg[ecgs], by_ecg[0, ecgs]),
        BootstrapPlan(protocol.n_resamples, seed=int(rng.integers(2**31))),
    )
    nothing = np.full(len(is_test) - 1, np.nan)
    for name, (low, high) in found.items():
        columns |= {f"{name}_low": np.r_[low, nothing], f"{name}_high": np.r_[high, nothing]}
    return pd.DataFrame(columns)


def simulate_block(
    protocol: Protocol,
    separation: float,
    *,
    truth: float,
    cohorts: Iterable[int],
    n_splits: int,
    n_repeated: int = 0,
    seed: int = 0,
) -> pd.DataFrame:
    """Simulate some cohorts of one truth; the numbers of the others change nothing in them.

    Parameters
    ----------
    protocol, separation, n_splits
        As for :func:`simulate_study`.
    truth : float
        What `separation` was calibrated for; it is written into the table.
    cohorts : iterable of int
        Their numbers; the first `n_repeated` get 10 repeats of the cross-validation, the others 1.
    n_repeated : int
        See `cohorts`.
    seed : int
        Of all cohorts.

    Returns
    -------
    pandas.DataFrame
        `truth, cohort` and the columns of :func:`simulate_study`.
    """
    parts = [
        simulate_study(
            protocol,
            separation,
            seed=(seed, round(1e6 * truth), number),
            n_splits=n_splits,
            n_repeats=10 if number < n_repeated else 1,
        ).assign(truth=truth, cohort=number)
        for number in cohorts
    ]
    return pd.concat(parts, ignore_index=True)


def _aurocs(outcome, scores: np.ndarray, is_test: np.ndarray) -> list[float]:
    """Return the AUROC of each row of scores in its test set; continuous scores have no ties.

    Every pair is compared: with few events that is many times faster than ranking and checking.
    """
    return [
        float((score[held & (outcome == 1)][:, None] > score[held & (outcome == 0)]).mean())
        for score, held in zip(scores, is_test, strict=True)
    ]


def _intervals(patients, ecgs, plan: BootstrapPlan) -> dict[str, tuple[float, float]]:
    """Return the three 95 % intervals of one split from (outcome, score) of patients and ECGs."""
    draws = bootstrap_draws(auroc_statistic(*ecgs), np.arange(len(ecgs[0])), plan=plan)
    low, high = percentile_interval(draws)
    outcome = patients[0]
    cluster = bootstrap_interval(
        auroc_statistic(*patients), np.arange(outcome.size), plan=plan, strata=outcome
    )
    estimate, covariance = delong_covariance(*patients)
    ends = (
        (float(low), float(high)),
        (cluster.ci_low, cluster.ci_high),
        delong_interval(float(estimate[0]), float(covariance[0, 0])),
    )
    return dict(zip(INTERVALS, ends, strict=True))
