"""Time to the event: discrimination and error that use the censored patients too.

Status is 0 (censored), 1 (event) or 2 (competing death or transplant), time in days. Patients whose
status at the horizon is unknown are neither negatives nor left out: they speak through the others,
weighted by the inverse probability of not being censored (IPCW), estimated without covariates. That
holds where censoring does not depend on the risk.

A competing event before the horizon counts as "did not come", as in the binary outcome (the
cumulative-incidence definition; Blanche et al. 2013, doi 10.1002/sim.5958, definition 2).

Every statistic is a function of resampling weights, like those of :mod:`evaluation.weighted`; the
censoring distribution is estimated anew in each resample.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from evaluation.arrays import as_risk, as_scores
from evaluation.weighted import Statistic, safe_ratio

CENSORED, EVENT, COMPETING = 0, 1, 2
MAX_PAIRWISE_ROWS = 5000  # concordance holds (n_events, n) pairs in memory


@dataclass(frozen=True)
class FollowUp:
    """Time and status of each patient.

    Parameters
    ----------
    duration_days : array-like, shape (n,)
        From time zero to the event, the competing event, or the last contact; above 0.
    status : array-like, shape (n,)
        0 censored, 1 event, 2 competing event.

    Raises
    ------
    ValueError
        If a time is missing or not above 0, a status is another, or the shapes differ.
    """

    duration_days: np.ndarray
    status: np.ndarray

    def __post_init__(self):
        duration = np.asarray(self.duration_days, dtype=np.float64)
        status = np.asarray(self.status)
        if duration.ndim != 1 or not duration.size or status.shape != duration.shape:
            raise ValueError(
                "duration_days and status must be of one shape (n,), got "
                f"{duration.shape} and {status.shape}. Pass one row a patient."
            )
        bad = ~(np.isfinite(duration) & (duration > 0))
        if bad.any():
            raise ValueError(
                f"duration_days must be above 0 in every row, got {int(bad.sum())} others. "
                "Leave out and count patients without follow-up."
            )
        known = np.isin(status, (CENSORED, EVENT, COMPETING))
        if not known.all():
            raise ValueError(
                "status must be 0 (censored), 1 (event) or 2 (competing event), got "
                f"{int((~known).sum())} others. Correct the table."
            )
        object.__setattr__(self, "duration_days", duration)
        object.__setattr__(self, "status", status.astype(np.int8))

    @property
    def n(self) -> int:
        """Number of patients."""
        return self.duration_days.size

    def n_unknown(self, horizon_days: float) -> int:
        """Return how many were censored before the horizon."""
        is_early = self.duration_days < horizon_days
        return int((is_early & (self.status == CENSORED)).sum())


def uncensored_probability(
    follow_up: FollowUp, weights: np.ndarray, horizon_days: float = np.inf
) -> tuple[np.ndarray, np.ndarray]:
    """Return the Kaplan-Meier probability of not being censored, under resampling weights.

    At equal times events come before censorings, so a patient's own censoring, and that of others
    on the same day, does not count.

    Parameters
    ----------
    follow_up : FollowUp
        n patients.
    weights : numpy.ndarray, shape (n_resamples, n)
        How often each patient was drawn.
    horizon_days : float
        Where the second value is taken.

    Returns
    -------
    before : numpy.ndarray, shape (n_resamples, n)
        G(T-): just before each patient's time.
    at_horizon : numpy.ndarray, shape (n_resamples,)
        G(h-).
    """
    times, position = np.unique(follow_up.duration_days, return_inverse=True)
    starts = np.arange(times.size)
    order = np.argsort(position, kind="stable")
    first = np.searchsorted(position[order], starts)
    ordered = weights[:, order].astype(np.float64)
    is_censored = (follow_up.status[order] == CENSORED).astype(np.float64)
    at_time = np.add.reduceat(ordered, first, axis=1)
    censored = np.add.reduceat(ordered * is_censored, first, axis=1)
    at_risk = np.cumsum(at_time[:, ::-1], axis=1)[:, ::-1]
    # Events of the same day have left before the censorings.
    left = at_risk - (at_time - censored)
    kept = np.where(left > 0, 1 - censored / np.where(left > 0, left, 1), 1.0)
    after = np.cumprod(kept, axis=1)
    before = np.concatenate([np.ones((len(weights), 1)), after], axis=1)
    return before[:, position], before[:, np.searchsorted(times, horizon_days)]


def _horizon_weights(
    follow_up: FollowUp, weights: np.ndarray, horizon_days: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return IPCW weights of cases and of controls at the horizon, both (n_resamples, n)."""
    before, at_horizon = uncensored_probability(follow_up, weights, horizon_days)
    has_ended = follow_up.duration_days <= horizon_days
    is_case = has_ended & (follow_up.status == EVENT)
    is_competing = has_ended & (follow_up.status == COMPETING)
    is_free = follow_up.duration_days >= horizon_days
    is_free &= ~(is_case | is_competing)
    inverse = safe_ratio(weights.astype(np.float64), before)
    at_end = safe_ratio(weights.astype(np.float64), at_horizon[:, None])
    # Nobody followed to the horizon, and some lost before it: nothing is known about those.
    is_lost = (follow_up.status == CENSORED) & ~is_free
    is_blind = ((weights @ is_free) == 0) & ((weights @ is_lost) > 0)
    inverse[is_blind] = np.nan
    cases = np.where(is_case, inverse, 0.0)
    controls = np.where(is_competing, inverse, np.where(is_free, at_end, 0.0))
    return cases, controls


def horizon_auroc_statistic(follow_up: FollowUp, y_score, *, horizon_days: float) -> Statistic:
    """Return the cumulative/dynamic AUROC at a horizon, weighted for censoring.

    Cases had the event by the horizon; controls are free of it then, or had the competing event
    before (Blanche et al. 2013, doi 10.1002/sim.5958; Uno et al. 2007, doi
    10.1198/016214507000000149). Ties of the score count half. NaN where a resample holds no case or
    no control, or where nobody is followed to the horizon.

    Parameters
    ----------
    follow_up : FollowUp
        n patients, also those censored before the horizon.
    y_score : array-like, shape (n,)
        Higher meaning a higher risk.
    horizon_days : float
        The horizon.
    """
    scores = as_scores(y_score, n_rows=follow_up.n)
    order = np.argsort(scores, kind="stable")
    starts = np.flatnonzero(np.r_[True, np.diff(scores[order]) != 0])

    def statistic(weights: np.ndarray) -> np.ndarray:
        parts = _horizon_weights(follow_up, weights, horizon_days)
        cases, controls = (np.add.reduceat(part[:, order], starts, axis=1) for part in parts)
        below = np.cumsum(controls, axis=1)
        concordant = np.einsum("ij,ij->i", cases, below - controls / 2)
        return safe_ratio(concordant, cases.sum(axis=1) * below[:, -1])

    return statistic


def horizon_brier_statistic(follow_up: FollowUp, y_risk, *, horizon_days: float) -> Statistic:
    """Return the Brier score at a horizon, weighted for censoring (Graf et al. 1999).

    mean of w (1 - risk)^2 over those with the event and w risk^2 over those free of it or with the
    competing event, w = 1 / G. PubMed 10474158.

    Parameters
    ----------
    follow_up : FollowUp
        n patients, also those censored before the horizon.
    y_risk : array-like, shape (n,)
        Predicted risk of the event by the horizon, in [0, 1].
    horizon_days : float
        The horizon.
    """
    risk = as_risk(y_risk, n_rows=follow_up.n, name="y_risk")

    def statistic(weights: np.ndarray) -> np.ndarray:
        cases, controls = _horizon_weights(follow_up, weights, horizon_days)
        return safe_ratio(cases @ (1 - risk) ** 2 + controls @ risk**2, weights.sum(axis=1))

    return statistic


def observed_risk_statistic(follow_up: FollowUp, *, horizon_days: float) -> Statistic:
    """Return the Aalen-Johansen cumulative incidence of the event at the horizon.

    Written as the mean of 1 / G over those with the event by the horizon, which is the same number.
    """

    def statistic(weights: np.ndarray) -> np.ndarray:
        cases, _ = _horizon_weights(follow_up, weights, horizon_days)
        return safe_ratio(cases.sum(axis=1), weights.sum(axis=1))

    return statistic


def concordance_statistic(
    follow_up: FollowUp, y_score, *, horizon_days: float = np.inf, is_weighted: bool = True
) -> Statistic:
    """Return Uno's C (weighted for censoring) or Harrell's C (not).

    The share of pairs, one with the event before the other's time, in which the one with the event
    has the higher score; ties of the score count half. Uno's C weights a pair by 1 / G(T-)^2 of the
    event's time and does not depend on the censoring (Uno et al. 2011, doi 10.1002/sim.4154);
    Harrell's C does (Harrell et al. 1982, doi 10.1001/jama.1982.03320430047030). A patient with the
    competing event is not at risk any more but can never have the event: the pair with a later
    event counts for the one with the event (Wolbers et al. 2014, doi 10.1093/biostatistics/kxt059).

    Parameters
    ----------
    follow_up : FollowUp
        n patients, at most 5,000.
    y_score : array-like, shape (n,)
        Higher meaning a higher risk.
    horizon_days : float
        Events before it count; choose it below the last times, where G is unstable.
    is_weighted : bool
        True: Uno's, False: Harrell's.

    Raises
    ------
    ValueError
        If there are more patients than pairs fit into memory.
    """
    if follow_up.n > MAX_PAIRWISE_ROWS:
        raise ValueError(
            f"follow_up must hold at most {MAX_PAIRWISE_ROWS} patients, got {follow_up.n}. Use the "
            "AUROC at a horizon."
        )
    scores = as_scores(y_score, n_rows=follow_up.n)
    time, status = follow_up.duration_days, follow_up.status
    cases = np.flatnonzero((status == EVENT) & (time < horizon_days))
    of_case = time[cases, None]
    later = time[None, :] > of_case
    later |= (time[None, :] == of_case) & (status[None, :] == CENSORED)
    competed = (status == COMPETING)[None, :] & ~later
    agreement = (scores[cases, None] > scores) + 0.5 * (scores[cases, None] == scores)
    pairs = [(later * value, competed * value) for value in (agreement, np.ones_like(agreement))]

    def statistic(weights: np.ndarray) -> np.ndarray:
        drawn = weights.astype(np.float64)
        inverse = np.ones_like(drawn)
        if is_weighted:
            inverse = safe_ratio(inverse, uncensored_probability(follow_up, weights)[0])
            inverse[drawn == 0] = 0.0  # who was not drawn may have no probability
        first = drawn[:, cases] * inverse[:, cases]  # the one with the event
        sums = []
        for of_later, of_competed in pairs:
            total = (first * inverse[:, cases] * (drawn @ of_later.T)).sum(axis=1)
            if of_competed.any():
                total += (first * ((drawn * inverse) @ of_competed.T)).sum(axis=1)
            sums.append(total)
        return safe_ratio(*sums)

    return statistic
