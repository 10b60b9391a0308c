"""Net benefit of acting on the risk, at the ratio of harm to benefit that one accepts.

At a risk threshold t a false positive costs t / (1 - t) of a true positive (Vickers & Elkin 2006,
doi 10.1177/0272989X06295361). The reported curve comes from `dcurves`; its bootstrap band from
the closed formula, which the tests hold equal to it.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from dcurves import dca

from evaluation.arrays import as_outcome, as_risk
from evaluation.weighted import Statistic, safe_ratio


def as_risk_thresholds(thresholds) -> np.ndarray:
    """Return risk thresholds, shape (n_thresholds,); raises ValueError outside (0, 1)."""
    values = np.round(np.atleast_1d(np.asarray(thresholds, dtype=np.float64)), 10)
    if values.size == 0 or not ((values > 0) & (values < 1)).all():
        raise ValueError(
            f"thresholds must be risks between 0 and 1 (exclusive), got {values.tolist()}. "
            "Declare the range in which the decision is open."
        )
    return values


def net_benefit_statistic(y_true, y_score, thresholds) -> Statistic:
    """Return net benefit at each threshold, statistic of shape (n_resamples, n_thresholds).

    NB(t) = TP(t) / n - FP(t) / n * t / (1 - t), where positive is y_score >= t.
    """
    outcome = as_outcome(y_true)
    risk = as_risk(y_score, n_rows=outcome.size)
    levels = as_risk_thresholds(thresholds)
    value = np.where(outcome[:, None] == 1, 1.0, -levels / (1 - levels))
    value = np.where(risk[:, None] >= levels, value, 0.0)

    def statistic(weights: np.ndarray) -> np.ndarray:
        return safe_ratio(weights @ value, weights.sum(axis=1, keepdims=True))

    return statistic


def treat_all_statistic(y_true, thresholds) -> Statistic:
    """Return the net benefit of treating everybody, statistic (n_resamples, n_thresholds)."""
    return net_benefit_statistic(y_true, np.ones(len(y_true)), thresholds)


def net_benefit(y_true, y_score, thresholds) -> np.ndarray:
    """Return the net benefit at each threshold, in true positives per patient.

    Parameters
    ----------
    y_true, y_score : array-like, shape (n,)
        Outcomes 0 or 1, and risks in [0, 1], one row a patient.
    thresholds : array-like, shape (n_thresholds,)
        Risks in (0, 1) at which one would act.

    Returns
    -------
    numpy.ndarray, shape (n_thresholds,)
        At most the prevalence; treating nobody has 0.

    Raises
    ------
    ValueError
        If an array is malformed or a threshold is outside (0, 1).
    """
    return net_benefit_statistic(y_true, y_score, thresholds)(np.ones((1, len(y_true))))[0]


def decision_curve(y_true, y_scores: Mapping[str, np.ndarray], thresholds) -> pd.DataFrame:
    """Return the decision curves of several variants on the same patients, by `dcurves`.

    Parameters
    ----------
    y_true : array-like, shape (n,)
        0 or 1, both present.
    y_scores : mapping of variant name -> array-like, shape (n,)
        Risks in [0, 1].
    thresholds : array-like, shape (n_thresholds,)
        Risks in (0, 1).

    Returns
    -------
    pandas.DataFrame
        `variant, threshold, net_benefit`; variants "treat all" and "treat none" come last.

    Raises
    ------
    ValueError
        If an array is malformed or only one outcome class is present.
    """
    outcome = as_outcome(y_true)
    if outcome.min() == outcome.max():
        raise ValueError(
            f"y_true must hold events and non-events, got {int(outcome.sum())} events in "
            f"{outcome.size} rows. A decision curve needs both."
        )
    levels = as_risk_thresholds(thresholds)
    # Own column names: dcurves reserves "all" and "none", and reads names as formulas.
    names = {f"model_{k}": variant for k, variant in enumerate(y_scores)}
    data = pd.DataFrame(
        {
            column: as_risk(y_scores[variant], n_rows=outcome.size)
            for column, variant in names.items()
        }
    ).assign(outcome=outcome.astype(np.int64))
    curves = dca(data=data, outcome="outcome", modelnames=list(names), thresholds=levels.tolist())
    names |= {"all": "treat all", "none": "treat none"}
    curves["variant"] = curves["model"].map(names)
    return curves[["variant", "threshold", "net_benefit"]]


def limit_rule(patients: pd.DataFrame, column: str, limit: float, label: str):
    """Return a simple clinical rule, "at or below a limit", as a name and a decision a patient.

    Parameters
    ----------
    patients : pandas.DataFrame
        `patient_id` and the column; one row a patient.
    column : str
        A number, for example ``lvef_percent``.
    limit : float
        Patients at or below it are acted on.
    label : str
        Name of the rule in figures, for example ``"LVEF ≤ 35 %"``.

    Returns
    -------
    tuple of str and Series, or None
        None where the cohort has no such column. Where the value is missing the rule cannot act;
        the name then says in how many patients.
    """
    if column not in patients:
        return None
    values = patients.set_index("patient_id")[column]
    n_missing = int(values.isna().sum())
    name = label + (f" (unknown in {n_missing}: not acted on)" if n_missing else "")
    return name, (values <= limit).astype(float)
