"""What a new score adds to a reference score on the same patients.

The likelihood-ratio test asks whether the new out-of-fold score carries information that the
reference score has not; it says nothing of how much it helps. IDI and net reclassification are
known to call useless markers useful (Hilden & Gerds 2014, doi 10.1002/sim.5804; Pepe et al. 2015,
doi 10.1007/s12561-014-9118-0): they are made on request only, and with that warning.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import statsmodels.api as sm
from scipy.stats import chi2, norm

from evaluation.arrays import risk_to_logit
from evaluation.calibration import undefined_reason
from evaluation.claims import MIN_EVENTS
from evaluation.comparison import CONDITIONAL, pair_patients
from evaluation.intervals import Interval, bootstrap_interval
from evaluation.resampling import BootstrapPlan
from evaluation.samples import ScoredRows
from evaluation.weighted import Statistic, difference, ratio_statistic

NAN = float("nan")
RECLASSIFICATION_WARNING = (
    "IDI and net reclassification can be positive for markers without value; decide by calibration "
    "and net benefit."
)
COLUMNS = ("metric", "method", "threshold", "estimate", "ci_low", "ci_high", "p_value")


def likelihood_ratio_test(y_true, y_new, y_reference, *, confidence: float = 0.95) -> dict:
    """Test whether a new score adds to a reference score, by nested logistic models.

    logit P(y) = a + b logit(reference) against a + b logit(reference) + c z, where z is logit(new)
    in standard deviations; twice the difference in log likelihood is chi-squared with one degree of
    freedom. Both scores must be out of fold: scores of patients a model was fitted on make any
    model look as if it added.

    Parameters
    ----------
    y_true : array-like, shape (n,)
        0 or 1, one row a patient.
    y_new, y_reference : array-like, shape (n,)
        Out-of-fold risks in [0, 1].
    confidence : float
        Level of the Wald interval of the odds ratio.

    Returns
    -------
    dict
        `odds_ratio` of one standard deviation of the new score, `ci_low, ci_high, chi2, p_value,
        reason`; NaN with a reason where it cannot be estimated.
    """
    outcome = np.asarray(y_true, dtype=np.float64)
    nothing = dict.fromkeys(("odds_ratio", "ci_low", "ci_high", "chi2", "p_value"), NAN)
    reasons = [undefined_reason(outcome, score) for score in (y_reference, y_new)]
    if outcome.sum() < MIN_EVENTS or outcome.size - outcome.sum() < MIN_EVENTS:
        reasons.insert(0, f"fewer than {MIN_EVENTS} patients with or without the event")
    reason = next(filter(None, reasons), "")
    if reason:
        return nothing | {"reason": reason}
    reference, new = (risk_to_logit(score) for score in (y_reference, y_new))
    new = (new - new.mean()) / new.std()
    base = np.column_stack([np.ones_like(new), reference])
    small = sm.GLM(outcome, base, family=sm.families.Binomial()).fit()
    large = sm.GLM(outcome, np.column_stack([base, new]), family=sm.families.Binomial()).fit()
    statistic = max(0.0, 2 * (large.llf - small.llf))
    half_width = norm.ppf(0.5 + confidence / 2) * large.bse[2]
    low, estimate, high = np.exp(large.params[2] + half_width * np.array([-1, 0, 1]))
    return {
        "odds_ratio": float(estimate),
        "ci_low": float(low),
        "ci_high": float(high),
        "chi2": float(statistic),
        "p_value": float(chi2.sf(statistic, 1)),
        "reason": "",
    }


def idi_statistic(y_true, y_score) -> Statistic:
    """Return the discrimination slope: mean risk of events minus mean risk of the others.

    Its paired difference between two scores is the integrated discrimination improvement (Pencina
    et al. 2008, doi 10.1002/sim.2929).
    """
    is_event = np.asarray(y_true) == 1
    risk = np.asarray(y_score, dtype=np.float64)
    events = ratio_statistic(risk * is_event, is_event)
    others = ratio_statistic(risk * ~is_event, ~is_event)
    return difference(events, others)


def added_value(
    new: pd.DataFrame,
    reference: pd.DataFrame,
    *,
    plan: BootstrapPlan,
    reclassification_risk: float | None = None,
) -> pd.DataFrame:
    """Return the likelihood-ratio test and, on request, IDI and two-category reclassification.

    Parameters
    ----------
    new, reference : pandas.DataFrame
        Test rows, one a patient and repeat: `patient_id, repeat, fold, y_true, y_score`. With
        several common repeats the test is that of the first.
    plan : BootstrapPlan
        Of the intervals.
    reclassification_risk : float, optional
        Risk in (0, 1) between the two categories; without it no IDI and no reclassification.

    Returns
    -------
    pandas.DataFrame
        `metric, method, threshold, estimate, ci_low, ci_high, p_value, n, n_events`; metric in
        `odds_ratio_per_sd` and, on request, `idi`, `nri_events`, `nri_non_events`: above zero
        favours the new score in all three.

    Raises
    ------
    ValueError
        If the patients or their outcomes are not identical.
    """
    pairs = pair_patients(new, reference)
    first = pairs.frame.iloc[pairs.repeats[0]]
    test = likelihood_ratio_test(
        first["y_true"], first["new"], first["reference"], confidence=plan.confidence
    )
    text = "likelihood-ratio test of the out-of-fold score beside the reference"
    text += f"; not estimable: {test['reason']}" if test["reason"] else f", chi² {test['chi2']:.2f}"
    odds = Interval(test["odds_ratio"], test["ci_low"], test["ci_high"], text)
    rows = [_row("odds_ratio_per_sd", odds, p_value=test["p_value"])]
    if reclassification_risk is not None:
        rows += _reclassification_rows(pairs, plan, reclassification_risk)
    return pd.DataFrame(rows, columns=list(COLUMNS)).assign(n=pairs.n, n_events=pairs.n_events)


def _reclassification_rows(pairs: ScoredRows, plan: BootstrapPlan, level: float) -> list[dict]:
    def gain(factory) -> Statistic:
        new, reference = (
            pairs.statistic(factory, pairs.repeats, side) for side in ("new", "reference")
        )
        return difference(new, reference)

    def above(wanted: int):
        def factory(outcome, risk):
            is_right = (risk >= level) == (wanted == 1)
            return ratio_statistic((outcome == wanted) & is_right, outcome == wanted)

        return factory

    statistics = {
        "idi": gain(idi_statistic),
        "nri_events": gain(above(1)),
        "nri_non_events": gain(above(0)),
    }
    rows = []
    for metric, statistic in statistics.items():
        found = bootstrap_interval(statistic, pairs.clusters, plan=plan, strata=pairs.by_outcome)
        text = f"{found.method}, {CONDITIONAL}; {RECLASSIFICATION_WARNING}"
        found = Interval(found.estimate, found.ci_low, found.ci_high, text)
        rows.append(_row(metric, found, threshold=NAN if metric == "idi" else level))
    return rows


def _row(metric: str, found: Interval, *, threshold: float = NAN, p_value: float = NAN) -> dict:
    values = (found.estimate, found.ci_low, found.ci_high)
    return dict(zip(COLUMNS, (metric, found.method, threshold, *values, p_value), strict=True))
