"""What a published AUROC with its interval allows: events, standard errors, and comparisons.

Only arithmetic on printed numbers; nothing here knows the study's data. Where the paper does not
say how its interval was made or how many events it had, all readings are shown side by side.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy.optimize import brentq
from scipy.special import logit
from scipy.stats import norm

from evaluation.claims import Difference, judge
from evaluation.sample_size import auroc_standard_error


def hanley_mcneil_error(auroc: float, *, n_patients: int, prevalence: float) -> float:
    """Return the standard error of Hanley & McNeil 1982 (doi 10.1148/radiology.143.1.7063747).

    For exponential scores; with few events among many it is larger than that of
    :func:`evaluation.sample_size.auroc_standard_error`.

    Examples
    --------
    >>> round(hanley_mcneil_error(0.86, n_patients=63, prevalence=3 / 63), 3)
    0.138
    """
    n_events = n_patients * prevalence
    n_others = n_patients - n_events
    two_events, two_others = auroc / (2 - auroc), 2 * auroc**2 / (1 + auroc)
    variance = auroc * (1 - auroc)
    variance += (n_events - 1) * (two_events - auroc**2) + (n_others - 1) * (two_others - auroc**2)
    return math.sqrt(variance / (n_events * n_others))


FORMULAS = {"Newcombe": auroc_standard_error, "Hanley-McNeil": hanley_mcneil_error}


def implied_events(
    auroc: float, ci_low: float, ci_high: float, n_patients: int, *, confidence: float = 0.95
) -> pd.DataFrame:
    """Return how many events a test set must have had to give a published interval.

    Parameters
    ----------
    auroc, ci_low, ci_high : float
        As published; the upper end may be 1.
    n_patients : int
        Patients of the test set.
    confidence : float
        Level of the interval.

    Returns
    -------
    pandas.DataFrame
        `reading, formula, standard_error, n_events`, a row a reading of the interval and a formula:
        `lower half` (symmetric, cut at 1), `whole width` (width over 2 z), and, where the upper end
        is below 1, `logit` (symmetric on the logit scale). `n_events` is no whole number, and NaN
        where no number of events up to half of the patients gives so narrow an interval.

    Raises
    ------
    ValueError
        If the numbers are no AUROC above 0.5 inside its interval.
    """
    if not (0 <= ci_low < auroc <= ci_high <= 1 and 0.5 < auroc < 1):
        raise ValueError(
            "auroc must be above 0.5, below 1 and inside its interval, got "
            f"{auroc:g} ({ci_low:g} to {ci_high:g}). Copy the three numbers as published."
        )
    z = norm.ppf(0.5 + confidence / 2)
    errors = {"lower half": (auroc - ci_low) / z, "whole width": (ci_high - ci_low) / (2 * z)}
    if ci_high < 1 and ci_low > 0:
        errors["logit"] = (logit(ci_high) - logit(ci_low)) / (2 * z) * auroc * (1 - auroc)
    rows = [
        (reading, name, error, _events_for(error, auroc, n_patients, formula))
        for reading, error in errors.items()
        for name, formula in FORMULAS.items()
    ]
    return pd.DataFrame(rows, columns=["reading", "formula", "standard_error", "n_events"])


def _events_for(error: float, auroc: float, n_patients: int, formula) -> float:
    """Return the number of events with this standard error, the smaller of the two solutions."""

    def excess(n_events: float) -> float:
        return formula(auroc, n_patients=n_patients, prevalence=n_events / n_patients) - error

    low, high = 0.5, n_patients / 2
    return float(brentq(excess, low, high)) if excess(low) > 0 > excess(high) else math.nan


def compared_aurocs(
    new: float,
    reference: float,
    *,
    n_patients: int,
    n_events: Sequence[int],
    correlations: Sequence[float] = (0.0, 0.3, 0.5, 0.7, 0.9),
    margin: float = 0.05,
) -> pd.DataFrame:
    """Return what can be said of the difference of two AUROCs on the same test patients.

    The variance is s1^2 + s2^2 - 2 rho s1 s2 with the standard errors of
    :func:`evaluation.sample_size.auroc_standard_error`; the correlation rho of the two AUROCs is
    seldom published, hence a range of it.

    Parameters
    ----------
    new, reference : float in (0.5, 1)
        The two AUROCs.
    n_patients : int
        Test patients.
    n_events : sequence of int
        Numbers of events to try.
    correlations : sequence of float in [0, 1)
        Correlations to try.
    margin : float
        Of the rule, see :func:`evaluation.claims.judge`.

    Returns
    -------
    pandas.DataFrame
        `n_events, correlation, difference, standard_error, ci_low, ci_high` (95 %, normal),
        `p_value` (two-sided), `power` (to find a true difference of this size at 5 %), `verdict` of
        the project's rule.
    """
    rows = []
    z = norm.ppf(0.975)
    for events in n_events:
        size = {"n_patients": n_patients, "prevalence": events / n_patients}
        errors = [auroc_standard_error(value, **size) for value in (new, reference)]
        for rho in correlations:
            error = _error_of_difference(*errors, rho)
            gain = new - reference
            ends = gain - z * error, gain + z * error
            seen = Difference("new", "reference", gain, *ends, n=n_patients, n_events=events)
            rows.append(
                {
                    "n_events": events,
                    "correlation": rho,
                    "difference": gain,
                    "standard_error": error,
                    "ci_low": ends[0],
                    "ci_high": ends[1],
                    "p_value": 2 * norm.sf(abs(gain) / error),
                    "power": norm.cdf(gain / error - z) + norm.cdf(-gain / error - z),
                    "verdict": judge(seen, margin=margin).verdict,
                }
            )
    return pd.DataFrame(rows)


def _error_of_difference(first: float, second: float, rho: float) -> float:
    return math.sqrt(first**2 + second**2 - 2 * rho * first * second)


def smallest_detectable_gain(
    reference: float,
    *,
    n_patients: int,
    n_events: Sequence[int],
    correlations: Sequence[float] = (0.0, 0.5, 0.9),
    power: float = 0.8,
) -> pd.DataFrame:
    """Return the smallest true gain in AUROC a study would find with the stated power.

    Parameters
    ----------
    reference : float in (0.5, 1)
        AUROC of the model that covariates are added to.
    n_patients, n_events, correlations
        As :func:`compared_aurocs`.
    power : float in (0.5, 1)
        Chance to find the gain at 5 %, two-sided.

    Returns
    -------
    pandas.DataFrame
        `n_events, correlation, power, largest_possible` (1 - reference) and `smallest_detectable`:
        NaN where even an AUROC just below 1 would be missed too often.
    """
    needed, largest = norm.ppf(0.975) + norm.ppf(power), 1 - reference
    rows = []
    for events in n_events:
        size = {"n_patients": n_patients, "prevalence": events / n_patients}
        first = auroc_standard_error(reference, **size)
        for rho in correlations:
            gains = np.linspace(0, largest, 1001)[1:-1]
            reached = [
                gain
                / _error_of_difference(auroc_standard_error(reference + gain, **size), first, rho)
                >= needed
                for gain in gains
            ]
            found = gains[int(np.argmax(reached))] if any(reached) else math.nan
            rows.append((events, rho, power, largest, found))
    names = ["n_events", "correlation", "power", "largest_possible", "smallest_detectable"]
    return pd.DataFrame(rows, columns=names)


def least_correlation(new: float, reference: float, *, n_patients: int, n_events: int) -> float:
    """Return the correlation of two AUROCs above which their difference has p < 0.05.

    The variance of :func:`compared_aurocs` solved for rho; 0 or less: any correlation does, above
    1: none.
    """
    size = {"n_patients": n_patients, "prevalence": n_events / n_patients}
    first, second = (auroc_standard_error(value, **size) for value in (new, reference))
    largest = (new - reference) / norm.ppf(0.975)
    return float((first**2 + second**2 - largest**2) / (2 * first * second))


def allowed_sentences(
    auroc: float, ci_low: float, ci_high: float, reference: float, *, n_patients: int
) -> list[str]:
    """Return in words what a published AUROC, its interval and its comparator allow.

    Parameters
    ----------
    auroc, ci_low, ci_high, n_patients
        As for :func:`implied_events`.
    reference : float in (0.5, 1)
        Published AUROC of the comparator on the same patients.

    Returns
    -------
    list of str
        On the events, on "exceeds the comparator", and on "nothing added improved it".

    Raises
    ------
    ValueError
        As :func:`implied_events`, and where no number of events gives the interval.
    """
    found = implied_events(auroc, ci_low, ci_high, n_patients)["n_events"].dropna()
    if found.empty:
        raise ValueError(
            f"ci_low and ci_high must be an interval that {n_patients} patients can give, got "
            f"{ci_low:g} to {ci_high:g}. Check the number of test patients."
        )
    events = sorted({max(2, round(found.min())), max(2, round(found.max()))})
    lines = [
        f"AUROC {auroc:g} ({ci_low:g} to {ci_high:g}) is compatible with about "
        f"{' to '.join(map(str, events))} events among {n_patients} test patients."
    ]
    for n in events:
        size = {"n_patients": n_patients, "n_events": n}
        ends = compared_aurocs(
            auroc, reference, n_patients=n_patients, n_events=[n], correlations=(0.0, 0.9)
        )
        apart, together = (ends.iloc[k] for k in (0, 1))
        lines.append(
            f"With {n} events, {auroc:g} against {reference:g} on the same patients is a "
            f"difference of {apart['difference']:+.2f} with a 95 % interval of "
            f"{apart['ci_low']:+.2f} to {apart['ci_high']:+.2f} (p = {apart['p_value']:.2g}) if "
            f"the two AUROCs do not correlate, and of {together['ci_low']:+.2f} to "
            f"{together['ci_high']:+.2f} (p = {together['p_value']:.2g}) if they correlate at 0.9. "
            f"{_needed_correlation(least_correlation(auroc, reference, **size))} "
            f"By the rule of this project: {apart['verdict']}."
        )
    gains = smallest_detectable_gain(auroc, n_patients=n_patients, n_events=events)
    if gains["smallest_detectable"].isna().all():
        lines.append(
            f"With so few events no gain over {auroc:g}, not even to a perfect 1, would be found "
            "with 80 % power: that none was found is compatible with covariates that help and with "
            "covariates that do not."
        )
    else:
        lines.append(
            f"The smallest gain over {auroc:g} that would be found with 80 % power is "
            f"{gains['smallest_detectable'].min():.2f}: smaller ones are not excluded."
        )
    return lines


def _needed_correlation(correlation: float) -> str:
    if correlation <= 0:
        return "p is below 0.05 whatever the correlation."
    if correlation >= 1:
        return "p is above 0.05 whatever the correlation."
    return f"p is below 0.05 if they correlate at more than {correlation:.2f}."
