"""A surrogate of a network on few patients: embeddings of ECGs and a penalised regression.

A network's embedding of an ECG is a point in `n_dimensions`; for patient i, ECG j::

    x_ij = separation * y_i * u + sqrt(r) * b_i + sqrt(1 - r) * e_ij

with standard normal b_i (the patient) and e_ij (the recording), r the correlation of two ECGs of
one patient, and u a fixed direction. A penalised logistic regression learns u from the TRAINING
ECGs after up-sampling events and down-sampling the others. A linear score of Gaussian points has a
known AUROC on all future patients, so every fitted model's truth is exact and not estimated.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import expit
from scipy.stats import norm, poisson

_MOST_STEPS = 50
_STEP_TOLERANCE = 1e-8


@dataclass(frozen=True)
class Protocol:
    """Shape of the study that is simulated.

    Parameters
    ----------
    n_patients : int
        Patients of the cohort.
    event_rate : float in (0, 1)
        Share of patients with the event; their number is fixed, not drawn.
    mean_ecgs : float
        Mean ECGs of a patient; the number is 1 + Poisson(mean_ecgs - 1).
    correlation : float in [0, 1)
        Of two ECGs of one patient, in every dimension, given the outcome.
    n_dimensions : int
        Dimensions of the embedding; one of them carries the outcome.
    test_share : float in (0, 1)
        Share of the patients in a test set.
    penalty : float
        Weight of half the squared coefficients beside the summed log loss of the training ECGs.
    n_resamples : int
        Bootstrap resamples of an interval.

    Raises
    ------
    ValueError
        If a test set would hold fewer than two events or non-events.
    """

    n_patients: int = 314
    event_rate: float = 0.05
    mean_ecgs: float = 3.25
    correlation: float = 0.8
    n_dimensions: int = 16
    test_share: float = 0.2
    penalty: float = 10.0
    n_resamples: int = 1000

    def __post_init__(self) -> None:
        n_fewer = min(self.n_events, self.n_patients - self.n_events)
        if round(self.test_share * n_fewer) < 2:
            raise ValueError(
                "event_rate must leave two patients with and two without the event in the test "
                f"set, got {self.event_rate:g} of {self.n_patients} patients. Use more of either."
            )

    @property
    def n_events(self) -> int:
        """Patients with the event."""
        return round(self.n_patients * self.event_rate)

    @property
    def outcome(self) -> np.ndarray:
        """Outcome of each patient, (n_patients,); the order means nothing."""
        return (np.arange(self.n_patients) < self.n_events).astype(int)

    @property
    def n_test_events(self) -> int:
        """Patients with the event in a test set."""
        return round(self.test_share * self.n_events)


@dataclass(frozen=True)
class Cohort:
    """Embeddings (n_ecgs, n_dimensions), the patient of each ECG, and the patients' outcome."""

    embedding: np.ndarray
    patient: np.ndarray
    outcome: np.ndarray

    def scores(self, coefficients: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the logits of patients (mean of their ECGs) and of ECGs, a row a model."""
        by_ecg = coefficients[:, 1:] @ self.embedding.T + coefficients[:, :1]
        first = np.flatnonzero(np.r_[True, np.diff(self.patient) != 0])
        return np.add.reduceat(by_ecg, first, axis=1) / np.bincount(self.patient), by_ecg


def draw_cohort(protocol: Protocol, separation: float, rng: np.random.Generator) -> Cohort:
    """Draw a cohort whose events lie `separation` (in SD of an ECG) from the others."""
    outcome = protocol.outcome
    n_ecgs = 1 + rng.poisson(protocol.mean_ecgs - 1, protocol.n_patients)
    patient = np.repeat(np.arange(protocol.n_patients), n_ecgs)
    between = rng.standard_normal((protocol.n_patients, protocol.n_dimensions))
    within = rng.standard_normal((patient.size, protocol.n_dimensions))
    r = protocol.correlation
    embedding = np.sqrt(r) * between[patient] + np.sqrt(1 - r) * within
    embedding[:, 0] += separation * outcome[patient]
    return Cohort(embedding, patient, outcome)


def balanced_counts(y_true, rng: np.random.Generator) -> np.ndarray:
    """Return how often each training ECG is used: both classes are brought to half of all.

    The rarer class is drawn with replacement (up-sampling), the commoner without
    (down-sampling); the number of ECGs stays as it was.

    Parameters
    ----------
    y_true : numpy.ndarray, shape (n_ecgs,)
        Outcome of the patient of each ECG, 0 or 1, both present.
    rng : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    numpy.ndarray of int, shape (n_ecgs,)
    """
    counts = np.zeros(len(y_true), dtype=int)
    for label in (0, 1):
        members = np.flatnonzero(y_true == label)
        n_drawn = len(y_true) // 2
        drawn = rng.choice(members, n_drawn, replace=n_drawn > members.size)
        counts += np.bincount(drawn, minlength=counts.size)
    return counts


def fit_logistic(embedding, y_true, counts, *, penalty: float) -> np.ndarray:
    """Return penalised logistic regressions of several sets of counts on the same ECGs.

    Newton's method for all models at once: the Hessians are one matrix product. The minimum is that
    of scikit-learn's `LogisticRegression(C=1 / penalty)` with `counts` as weights; the intercept is
    not penalised.

    Parameters
    ----------
    embedding : numpy.ndarray, shape (n_ecgs, n_dimensions)
        Points.
    y_true : numpy.ndarray, shape (n_ecgs,)
        0 or 1.
    counts : numpy.ndarray, shape (n_models, n_ecgs)
        How often each model sees each ECG.
    penalty : float
        Above 0.

    Returns
    -------
    numpy.ndarray, shape (n_models, 1 + n_dimensions)
        Intercept first.

    Raises
    ------
    RuntimeError
        If a model has not converged.
    """
    points = np.column_stack([np.ones(len(embedding)), embedding])
    upper = np.triu_indices(points.shape[1])
    products = points[:, upper[0]] * points[:, upper[1]]
    shrink = np.r_[0.0, np.full(embedding.shape[1], penalty)]
    found = np.zeros((len(counts), points.shape[1]))
    hessian = np.empty((len(counts), *2 * found.shape[1:]))
    for _ in range(_MOST_STEPS):
        risk = expit(found @ points.T)
        gradient = (counts * (risk - y_true)) @ points + shrink * found
        half = (counts * risk * (1 - risk)) @ products
        hessian[:, upper[0], upper[1]] = half
        hessian[:, upper[1], upper[0]] = half
        step = np.linalg.solve(hessian + np.diag(shrink), gradient[:, :, None])[:, :, 0]
        found -= step
        if np.abs(step).max() < _STEP_TOLERANCE:
            return found
    raise RuntimeError(
        f"penalty must let the fit converge within {_MOST_STEPS} steps, got {penalty:g}. Use more."
    )


def true_auroc(coefficients, separation: float, protocol: Protocol) -> dict[str, np.ndarray]:
    """Return the AUROC that fitted models have on infinitely many new patients, by level.

    With a = separation * w_1 / |w| an ECG's score has AUROC Phi(a / sqrt(2)). The mean of m ECGs
    has the variance v(m) = r + (1 - r) / m, so that of patients is the mean of
    Phi(a / sqrt(v(m) + v(k))) over the numbers m, k of two patients' ECGs.

    Parameters
    ----------
    coefficients : numpy.ndarray, shape (n_models, 1 + n_dimensions)
        From :func:`fit_logistic`.
    separation : float
        Of the cohort.
    protocol : Protocol
        Its distribution of ECGs.

    Returns
    -------
    dict
        `patient` and `ecg`, each (n_models,) in [0, 1].
    """
    weights = coefficients[:, 1:]
    shift = separation * weights[:, 0] / np.linalg.norm(weights, axis=1)
    extra = np.arange(int(poisson.ppf(1 - 1e-9, protocol.mean_ecgs - 1)) + 1)
    share = poisson.pmf(extra, protocol.mean_ecgs - 1)
    r = protocol.correlation
    variance = r + (1 - r) / (1 + extra)
    spread = np.sqrt(variance[:, None] + variance)
    both = share[:, None] * share / share.sum() ** 2
    by_patient = (both * norm.cdf(shift[:, None, None] / spread)).sum(axis=(1, 2))
    return {"patient": by_patient, "ecg": norm.cdf(shift / np.sqrt(2))}


def fit_all(cohort: Cohort, is_test: np.ndarray, *, penalty: float, rng) -> np.ndarray:
    """Return one model a test set, fitted on the resampled ECGs of all other patients."""
    y_true = cohort.outcome[cohort.patient]
    counts = np.zeros((len(is_test), y_true.size))
    for row, held_out in zip(counts, is_test, strict=True):
        train = np.flatnonzero(~held_out[cohort.patient])
        row[train] = balanced_counts(y_true[train], rng)
    return fit_logistic(cohort.embedding, y_true, counts, penalty=penalty)
