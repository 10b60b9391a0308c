"""How many had the event by each day: Aalen-Johansen, and Kaplan-Meier beside it.

With a competing event (death of another cause) the cumulative incidence is that of Aalen and
Johansen: who died can no longer have the event. One minus Kaplan-Meier, which treats these as
censored, is then too high; without any competing event the two are equal. Patients of one day
count together: events before censorings, no random order among ties (lifelines jitters them, so
the Aalen-Johansen estimate is that of statsmodels).
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from lifelines import KaplanMeierFitter
from scipy.stats import norm
from statsmodels.duration.survfunc import CumIncidenceRight

from evaluation.survival import COMPETING, EVENT, FollowUp

CURVES = ("event", "competing event", "event-free")
CURVE_COLUMNS = ["curve", "time_days", "estimate", "ci_low", "ci_high", "n_at_risk"]


def incidence_at(
    follow_up: FollowUp, horizon_days: float, *, confidence: float = 0.95
) -> tuple[float, float, float]:
    """Return the cumulative incidence of the event at the horizon, and its interval.

    Parameters
    ----------
    follow_up : FollowUp
        n patients, also those lost before the horizon.
    horizon_days : float
        Above 0.
    confidence : float
        Of the interval.

    Returns
    -------
    estimate, ci_low, ci_high : float
        NaN where nobody is followed up to the horizon, though some were lost before; the interval
        is NaN without an event, or where the last ones under observation all had one.
    """
    reaches = (follow_up.duration_days >= horizon_days).any()
    if not reaches and follow_up.n_unknown(horizon_days):
        return float("nan"), float("nan"), float("nan")
    last = _incidence(follow_up, EVENT, np.array([horizon_days]), confidence)
    return tuple(float(values[0]) for values in last)  # pyright: ignore[reportReturnType]


def _incidence(follow_up: FollowUp, status: int, times: np.ndarray, confidence: float):
    """Return Aalen-Johansen estimate and interval of one kind of event at each of some times.

    Standard error of Marubini and Valsecchi; interval on the scale of log(-log), which stays
    between 0 and 1.
    """
    n_kinds = int(follow_up.status.max())
    if n_kinds < status:
        none = np.full(times.size, np.nan)
        return np.zeros(times.size), none, none
    with np.errstate(divide="ignore", invalid="ignore"):
        fitted = CumIncidenceRight(follow_up.duration_days, follow_up.status.astype(int))
        value = np.r_[0.0, fitted.cinc[status - 1]]
        assert fitted.cinc_se is not None  # there are no frequency weights
        error = np.r_[np.nan, fitted.cinc_se[status - 1]]
        at = np.searchsorted(fitted.times, times, side="right")
        value, error = value[at], error[at]
        spread = norm.ppf(0.5 + confidence / 2) * error / (value * np.abs(np.log(value)))
        low, high = value ** np.exp(spread), value ** np.exp(-spread)
    has_none = ~np.isfinite(spread)
    return value, np.where(has_none, np.nan, low), np.where(has_none, np.nan, high)


def incidence_curves(
    follow_up: FollowUp, *, horizon_days: float, confidence: float = 0.95
) -> pd.DataFrame:
    """Return the curves of one group of patients from day 0 to the horizon.

    Parameters
    ----------
    follow_up : FollowUp
        The group.
    horizon_days : float
        Where the curves end.
    confidence : float
        Of the pointwise bands.

    Returns
    -------
    pandas.DataFrame
        `curve, time_days, estimate, ci_low, ci_high, n_at_risk`; curve is `event` and `competing
        event` (Aalen-Johansen cumulative incidence) or `event-free` (Kaplan-Meier with competing
        events censored). `n_at_risk` counts who is under observation just before the day. A row
        for each day on which somebody's follow-up ends, and for the horizon; none after the last
        day of follow-up.
    """
    duration = follow_up.duration_days
    end = min(horizon_days, duration.max())
    times = np.unique(np.r_[0.0, duration[duration <= end], end])
    n_at_risk = (duration[None, :] >= times[:, None]).sum(axis=1)
    kaplan_meier = KaplanMeierFitter(alpha=1 - confidence)
    kaplan_meier.fit(duration, follow_up.status == EVENT)
    bounds = kaplan_meier.confidence_interval_
    at = np.searchsorted(bounds.index.to_numpy(), times, side="right") - 1
    low, high = bounds.to_numpy()[at].T
    free = kaplan_meier.survival_function_at_times(times).to_numpy()
    found = [_incidence(follow_up, kind, times, confidence) for kind in (EVENT, COMPETING)]
    parts = []
    for curve, values in zip(CURVES, [*found, (free, low, high)], strict=True):
        rows = (curve, times, *values, n_at_risk)
        parts.append(pd.DataFrame(dict(zip(CURVE_COLUMNS, rows, strict=True))))
    return pd.concat(parts, ignore_index=True)
