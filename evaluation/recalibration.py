"""Recalibration of risks, fitted on training-fold scores only.

Van Calster et al. 2019 (doi 10.1186/s12916-019-1466-7) on updating intercept and slope; Guo et al.
2017 (arXiv 1706.04599) on the temperature. Of each fold the scores of the training patients (roles
"validation" and "inner") decide; the outcomes of its test patients are never looked at.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import statsmodels.api as sm
from sklearn.isotonic import IsotonicRegression

from evaluation.arrays import as_outcome, as_risk, logit_to_risk, require_columns, risk_to_logit
from evaluation.calibration import undefined_reason
from evaluation.scores import TRAINING_ROLES
from evaluation.thresholds import FOLD_KEYS

METHODS = ("intercept", "logistic", "temperature", "isotonic")
# Below this many events the steps of an isotonic curve are noise.
LEAST_EVENTS_ISOTONIC = 200


@dataclass(frozen=True)
class Recalibration:
    """A map from risks to risks, logit(new) = intercept + slope logit(old), or a step curve.

    `reason` says why the scores were left as they were (then intercept 0 and slope 1), `steps` are
    old and new risk of the isotonic curve, shape (n_steps, 2).
    """

    method: str
    n: int
    n_events: int
    intercept: float = 0.0
    slope: float = 1.0
    reason: str = ""
    steps: np.ndarray | None = field(default=None, repr=False)

    def apply(self, y_score) -> np.ndarray:
        """Return recalibrated risks, shape (n,) in [0, 1]; unchanged ones are returned exactly."""
        risk = as_risk(y_score, n_rows=len(y_score))
        if self.reason:
            return risk
        if self.steps is not None:
            return np.interp(risk, self.steps[:, 0], self.steps[:, 1])
        return logit_to_risk(self.intercept + self.slope * risk_to_logit(risk))


def fit_recalibration(y_true, y_score, *, method: str) -> Recalibration:
    """Fit one map on held-out scores of training patients.

    Parameters
    ----------
    y_true, y_score : array-like, shape (n,)
        Outcomes 0 or 1 and risks in [0, 1], one row a patient.
    method : {"intercept", "logistic", "temperature", "isotonic"}
        Intercept alone (the slope stays 1), intercept and slope (Platt scaling), slope alone, or a
        monotone step curve.

    Returns
    -------
    Recalibration
        With a reason, and without effect, for one outcome class, equal or separating scores, or a
        slope that is not above 0 (it would turn the ranking of the patients round).

    Raises
    ------
    ValueError
        If the method is unknown, an array is malformed, or `isotonic` has fewer than 200 events.

    Examples
    --------
    >>> map_ = fit_recalibration([0, 0, 1, 1], [0.1, 0.1, 0.1, 0.1], method="intercept")
    >>> map_.apply([0.1]).round(3).tolist()
    [0.5]
    """
    _check_method(method)
    outcome = as_outcome(y_true)
    risk = as_risk(y_score, n_rows=outcome.size)
    n_events = int(outcome.sum())
    sizes = {"method": method, "n": outcome.size, "n_events": n_events}
    if method == "isotonic":
        return _isotonic(outcome, risk, sizes)
    value = risk_to_logit(risk)
    reason = _undefined(outcome, risk, value, method)
    if reason:
        return Recalibration(**sizes, reason=reason)
    ones = np.ones(outcome.size)
    if method == "intercept":
        (intercept,), slope = _fit(outcome, ones, offset=value), 1.0
    elif method == "temperature":
        intercept, (slope,) = 0.0, _fit(outcome, value)
    else:
        intercept, slope = _fit(outcome, np.column_stack([ones, value]))
    if not slope > 0:
        reason = f"the slope must be above 0, got {slope:.3g}: higher scores had fewer events"
        return Recalibration(**sizes, reason=reason)
    return Recalibration(**sizes, intercept=float(intercept), slope=float(slope))


def _check_method(method: str) -> None:
    if method not in METHODS:
        raise ValueError(f"method must be one of {METHODS}, got {method!r}. Use 'logistic'.")


def _undefined(outcome, risk, value, method: str) -> str:
    if method == "intercept":
        return "one outcome class" if outcome.min() == outcome.max() else ""
    reason = undefined_reason(outcome, risk)
    signed = np.where(outcome == 1, value, -value)
    if not reason and method == "temperature" and ((signed >= 0).all() or (signed <= 0).all()):
        reason = "a risk of 0.5 separates the outcomes"
    return reason


def _fit(outcome, design, *, offset=None) -> np.ndarray:
    model = sm.GLM(outcome, design, family=sm.families.Binomial(), offset=offset)
    return np.asarray(model.fit().params)


def _isotonic(outcome, risk, sizes) -> Recalibration:
    if sizes["n_events"] < LEAST_EVENTS_ISOTONIC:
        raise ValueError(
            f"isotonic recalibration must have at least {LEAST_EVENTS_ISOTONIC} events in the "
            f"training patients of a fold, got {sizes['n_events']}. Use 'logistic'."
        )
    reason = undefined_reason(outcome, risk)
    if reason:
        return Recalibration(**sizes, reason=reason)
    curve = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip").fit(risk, outcome)
    steps = np.column_stack([curve.X_thresholds_, curve.y_thresholds_])
    return Recalibration(**sizes, intercept=np.nan, slope=np.nan, steps=steps)


def recalibrated(patients: pd.DataFrame, method: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Recalibrate every fold by its own training patients.

    Parameters
    ----------
    patients : pandas.DataFrame
        Rows of :func:`evaluation.scores.patient_scores`, of test and of training roles.
    method : str
        As for :func:`fit_recalibration`.

    Returns
    -------
    patients, parameters : pandas.DataFrame
        The same rows with recalibrated `y_score`, those of the training roles too, so that a
        threshold chosen on them fits. Then one row a fold: `target, variant, repeat, fold,
        method, intercept, slope, n, n_events, reason`; n and n_events count the patients it was
        fitted on.

    Raises
    ------
    ValueError
        As :func:`fit_recalibration`.
    """
    _check_method(method)
    require_columns(patients, (*FOLD_KEYS, "role", "y_true", "y_score"), name="patients")
    changed, rows = patients["y_score"].astype(float), []
    for key, group in patients.groupby(FOLD_KEYS, sort=True):
        training = group[group["role"].isin(TRAINING_ROLES)]
        if training.empty:
            found = Recalibration(method, 0, 0, reason="no training-fold scores")
        else:
            found = fit_recalibration(training["y_true"], training["y_score"], method=method)
        changed.loc[group.index] = found.apply(group["y_score"])
        about = (found.intercept, found.slope, found.n, found.n_events, found.reason)
        rows.append((*key, method, *about))
    columns = [*FOLD_KEYS, "method", "intercept", "slope", "n", "n_events", "reason"]
    return patients.assign(y_score=changed), pd.DataFrame(rows, columns=columns)
