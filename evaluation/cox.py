"""Hazard ratios of the out-of-fold scores, cause-specific, up to the horizon.

A Cox model describes how strongly a score goes with the hazard; its coefficient is fitted on the
test patients, so it is no prediction. The hazard ratio is for one standard deviation of the logit.
In a cause-specific model the other kind of event censors: read the hazard of the event and that of
the competing event together (Lau et al. 2009, doi 10.1093/aje/kwp107).
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
import pandas as pd
from lifelines import CoxPHFitter
from lifelines.exceptions import ConvergenceError, ConvergenceWarning
from lifelines.statistics import proportional_hazard_test

from evaluation.arrays import risk_to_logit
from evaluation.claims import MIN_EVENTS
from evaluation.survival import COMPETING, EVENT

MIN_EVENTS_PER_COEFFICIENT = 5
KINDS = {"event": EVENT, "competing event": COMPETING}
COX_COLUMNS = [
    "target",
    "model",
    "term",
    "hazard_of",
    "hazard_ratio",
    "ci_low",
    "ci_high",
    "p_value",
    "proportional_hazards_p",
    "method",
    "n",
    "n_events",
]
PROPORTIONAL = "p of proportional hazards: scaled Schoenfeld residuals against ranked time"


@dataclass(frozen=True)
class CoxModel:
    """Which scores enter a model of which hazard."""

    terms: tuple[str, ...]  # variants
    hazard_of: str  # "event" or "competing event"

    @property
    def name(self) -> str:
        """The terms in words."""
        return " + ".join(self.terms)


def cox_table(
    wide: pd.DataFrame,
    *,
    target: str,
    horizon_days: float,
    pair: tuple[str, str] = ("", ""),
    confidence: float = 0.95,
) -> pd.DataFrame:
    """Return hazard ratios per standard deviation of every score, alone and adjusted.

    Parameters
    ----------
    wide : pandas.DataFrame
        `patient_id, repeat, event` (0 censored, 1 event, 2 competing), `duration_days`, and a
        column of risks (0 to 1) for each variant, NaN in repeats it was not trained in. One row a
        patient and repeat; with several
        repeats the model is stratified by repeat and its variance clusters by patient.
    target : str
        Name of the outcome.
    horizon_days : float
        Follow-up ends here.
    pair : (str, str)
        New and reference variant: their common model says what the new score tells beside the
        reference.
    confidence : float
        Of the Wald intervals.

    Returns
    -------
    pandas.DataFrame
        Columns :data:`COX_COLUMNS`; the ratio is NaN and `method` says why where there are fewer
        than 10 events (5 for each coefficient of a common model) or the fit does not converge.
    """
    kept = ("patient_id", "repeat", "event", "duration_days")
    variants = [name for name in wide.columns if name not in kept]
    models = [(name,) for name in variants]
    if set(pair) <= set(variants):
        models.append(pair[::-1])
    data = wide[list(kept)].copy()
    for name in variants:
        logit = pd.Series(risk_to_logit(wide[name]), wide.index)
        spread = logit.std() if len(logit) > 1 else 0.0
        data[name] = (logit - logit.mean()) / spread if spread > 0 else 0.0
    # Beyond the horizon the risk was not meant to say anything.
    is_later = data["duration_days"] > horizon_days
    data.loc[is_later, "event"] = 0
    data["duration_days"] = data["duration_days"].clip(upper=horizon_days)
    rows = []
    for hazard_of in KINDS:
        for terms in models:
            rows += _rows(data, CoxModel(terms, hazard_of), confidence)
    table = pd.DataFrame(rows).assign(target=target)
    return table[COX_COLUMNS]


def _rows(data: pd.DataFrame, model: CoxModel, confidence: float) -> list[dict]:
    data = data.dropna(subset=list(model.terms))  # repeats that a variant was not trained in
    is_event = data["event"] == KINDS[model.hazard_of]
    n_events = data.loc[is_event, "patient_id"].nunique()
    about = {
        "model": model.name,
        "hazard_of": model.hazard_of,
        "n": data["patient_id"].nunique(),
        "n_events": n_events,
    }
    needed = max(MIN_EVENTS, MIN_EVENTS_PER_COEFFICIENT * len(model.terms))
    reason = ""
    if n_events < needed:
        reason = f"{n_events} events, {needed} needed"
    elif any(data[name].std() == 0 for name in model.terms):
        reason = "a score is the same in all patients"
    if not reason:
        try:
            return [
                about | row for row in _fitted(data.assign(is_event=is_event), model, confidence)
            ]
        except (ConvergenceError, ConvergenceWarning):
            reason = "the fit does not converge"
    missing = dict.fromkeys(COX_COLUMNS[4:9], float("nan"))
    none = about | missing | {"method": f"not estimated: {reason}"}
    return [none | {"term": name} for name in model.terms]


def _fitted(data: pd.DataFrame, model: CoxModel, confidence: float) -> list[dict]:
    columns = ["duration_days", "is_event", *model.terms]
    fitter = CoxPHFitter(alpha=1 - confidence)
    options: dict = {}
    text = "Cox, cause-specific, Wald"
    n_repeats = data["repeat"].nunique()
    if n_repeats > 1:
        columns += ["patient_id", "repeat"]
        options = {"cluster_col": "patient_id", "strata": ["repeat"]}
        text += f", {n_repeats} repeats as strata, variance by patient"
    with warnings.catch_warnings():
        warnings.simplefilter("error", ConvergenceWarning)
        fitter.fit(data[columns], "duration_days", "is_event", **options)
    test = None
    if n_repeats == 1:
        test = proportional_hazard_test(fitter, data[columns], time_transform="rank")
        text += f"; {PROPORTIONAL}"
    found = fitter.summary
    low, high = (np.exp(fitter.confidence_intervals_.iloc[:, k]) for k in (0, 1))
    return [
        {
            "term": name,
            "hazard_ratio": found.loc[name, "exp(coef)"],
            "ci_low": low[name],
            "ci_high": high[name],
            "p_value": found.loc[name, "p"],
            "proportional_hazards_p": np.nan if test is None else test.summary["p"].loc[name],
            "method": text,
        }
        for name in model.terms
    ]
