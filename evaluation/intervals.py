"""Patient-cluster bootstrap: whole patients are drawn, with all their rows.

Drawing records instead of patients treats five ECGs of one patient as five patients; with an
intra-patient correlation of 0.8 such a "95 %" interval covers about 60 %. Outcome-stratified
drawing keeps the number of events fixed: right for AUROC, sensitivity and specificity, which are
conditional on the outcome, and wrong for PPV, net benefit, Brier and calibration, whose
uncertainty includes that of the prevalence. All intervals are conditional on the fitted models.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr, ndtri

from evaluation.resampling import BootstrapPlan, bootstrap_draws, jackknife_values
from evaluation.weighted import Statistic

# An interval from the resamples that happened to be defined would be conditional on luck.
MIN_DEFINED_FRACTION = 0.9
# Leaving out each patient in turn costs n squared. Above this many the acceleration, of the order
# of 1 / (6 sqrt(n)), is near 0.005 and taken as zero (bias correction only); coverage.csv has
# cells on both sides.
MAX_JACKKNIFE_PATIENTS = 1000


@dataclass(frozen=True)
class Interval:
    """A point estimate from the full sample, its interval, and how that was made."""

    estimate: float
    ci_low: float
    ci_high: float
    method: str


def percentile_interval(draws: np.ndarray, *, confidence: float = 0.95):
    """Return the percentile interval along the first axis; NaN where too few are defined.

    Parameters
    ----------
    draws : numpy.ndarray, shape (n_resamples,) or (n_resamples, k)
        NaN marks an undefined resample; above a tenth of them there is no interval.
    confidence : float
        Level of the interval.

    Returns
    -------
    tuple of numpy.ndarray, shape () or (k,)
    """
    tail = (1 - confidence) / 2
    is_defined = np.isfinite(draws)
    is_enough = is_defined.mean(axis=0) >= MIN_DEFINED_FRACTION
    # Columns without an interval are filled so that nanquantile has nothing to warn about.
    filled = np.where(is_enough, np.where(is_defined, draws, np.nan), 0.0)
    low, high = np.nanquantile(filled, [tail, 1 - tail], axis=0)
    return np.where(is_enough, low, np.nan), np.where(is_enough, high, np.nan)


def bca_interval(draws, estimate: float, jackknife, *, strata=None, confidence: float = 0.95):
    """Return the bias-corrected and accelerated interval (Efron 1987, doi 10.2307/2289144).

    Parameters
    ----------
    draws : numpy.ndarray, shape (n_resamples,)
        Bootstrap values.
    estimate : float
        The statistic of the full sample.
    jackknife : numpy.ndarray, shape (n_patients,)
        Leave-one-patient-out values.
    strata : array-like, shape (n_patients,), optional
        As in the drawing; the acceleration is summed over strata.
    confidence : float
        Level of the interval.

    Returns
    -------
    tuple of float
        (nan, nan) when the draws are constant, mostly undefined, or all on one side of the
        estimate: then the correction does not exist.
    """
    is_defined = np.isfinite(draws)
    if is_defined.mean() < MIN_DEFINED_FRACTION or not np.isfinite(estimate):
        return float("nan"), float("nan")
    draws = draws[is_defined]
    # Half of the ties count as below, otherwise a discrete statistic looks biased.
    share_below = ((draws < estimate).mean() + (draws <= estimate).mean()) / 2
    if not 0 < share_below < 1 or np.ptp(draws) == 0:
        return float("nan"), float("nan")
    bias = ndtri(share_below)
    acceleration = _acceleration(np.asarray(jackknife), strata)
    z = ndtri(np.array([1 - confidence, 1 + confidence]) / 2)
    levels = ndtr(bias + (bias + z) / (1 - acceleration * (bias + z)))
    low, high = np.quantile(draws, levels)
    return float(low), float(high)


def _acceleration(jackknife: np.ndarray, strata) -> float:
    labels = np.zeros(jackknife.size) if strata is None else np.asarray(strata)
    cubes = squares = 0.0
    for label in np.unique(labels):
        values = jackknife[labels == label]
        values = values[np.isfinite(values)]
        if values.size > 1:
            influence = (values.size - 1) / values.size * (values.mean() - values)
            cubes += (influence**3).sum()
            squares += (influence**2).sum()
    return cubes / (6 * squares**1.5) if squares > 0 else 0.0


def bootstrap_interval(
    statistic: Statistic, clusters, *, plan: BootstrapPlan, strata=None
) -> Interval:
    """Return the full-sample estimate of a scalar statistic with its patient-cluster interval.

    Parameters
    ----------
    statistic : Statistic
        Scalar statistic of weights over rows.
    clusters : array-like of int, shape (n_rows,)
        Patient code of every row.
    plan : BootstrapPlan
        Resamples, level, percentile or BCa, seed.
    strata : array-like, shape (n_patients,), optional
        For AUROC, sensitivity and specificity: the outcome (and fold) of each patient.

    Returns
    -------
    Interval
        The estimate is that of the sample, never the mean of the resamples.

    Examples
    --------
    >>> from evaluation.weighted import auroc_statistic
    >>> y_true, y_score = [0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8]
    >>> statistic = auroc_statistic(y_true, y_score)
    >>> bootstrap_interval(statistic, range(4), plan=BootstrapPlan(), strata=y_true).estimate
    0.75
    """

    def as_column(weights: np.ndarray) -> np.ndarray:
        return statistic(weights)[:, None]

    return bootstrap_intervals(as_column, clusters, plan=plan, strata=strata)[0]


def bootstrap_intervals(
    statistic: Statistic, clusters, *, plan: BootstrapPlan, strata=None
) -> list[Interval]:
    """Return one interval a column of a statistic of shape (n_resamples, k).

    As :func:`bootstrap_interval`; all columns share the resamples, and the work.
    """
    clusters = np.asarray(clusters)
    estimates = statistic(np.ones((1, clusters.size)))[0]
    draws = bootstrap_draws(statistic, clusters, plan=plan, strata=strata)
    left_out = plan.method == "bca"
    jackknife = patient_jackknife(statistic, clusters, estimates.size) if left_out else None
    drawn = "patients" if strata is None else "patients within strata"
    intervals = []
    for k, estimate in enumerate(estimates):
        of_patients = None if jackknife is None else jackknife[:, k]
        low, high, method = _one_interval(draws[:, k], estimate, of_patients, strata, plan)
        text = f"bootstrap of {drawn}, {method}, {plan.n_resamples} resamples"
        reason = why_withheld(draws[:, k], estimate, low, high)
        if reason:
            low = high = float("nan")
            text += f"; no interval: {reason}"
        intervals.append(Interval(float(estimate), low, high, text))
    return intervals


def why_withheld(draws: np.ndarray, estimate: float, low: float, high: float) -> str:
    """Return why a bootstrap interval must not be shown; nothing when it may."""
    defined = draws[np.isfinite(draws)]
    if defined.size and np.ptp(defined) == 0:
        # AUROC 1 in 6 of 6 events is no proof of AUROC 1: the bootstrap cannot see the rest.
        return "every resample gives the same value"
    if low > estimate or high < estimate:
        # Seen for ICI and its quantiles: resampling adds noise to a mean of absolute values.
        return "the bias of the bootstrap exceeds its width"
    return "" if np.isfinite(low) else f"defined in {defined.size} of {draws.size}"


def patient_jackknife(statistic: Statistic, clusters, n_columns: int) -> np.ndarray:
    """Return leave-one-patient-out values, shape (n_patients, n_columns), 0 where spared."""
    n_patients = int(np.max(clusters)) + 1
    if n_patients > MAX_JACKKNIFE_PATIENTS:
        return np.zeros((n_patients, n_columns))
    return jackknife_values(statistic, clusters)


def _one_interval(draws, estimate, jackknife, strata, plan: BootstrapPlan):
    if jackknife is not None:
        low, high = bca_interval(
            draws, estimate, jackknife, strata=strata, confidence=plan.confidence
        )
        if np.isfinite(low):
            return low, high, "bca"
    low, high = percentile_interval(draws, confidence=plan.confidence)
    return float(low), float(high), "percentile"
