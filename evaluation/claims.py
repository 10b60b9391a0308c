"""The sentence the data support, by a rule that was fixed before they were seen (DESIGN 8.8)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

MIN_EVENTS = 10
# Van Calster et al. 2019 (doi 10.1186/s12916-019-1466-7) ask for 200 events and 200 non-events
# before a flexible calibration curve is trusted.
FEW_EVENTS_CURVE = 200
ADDS = "adds"
DOES_NOT_ADD = "does not add"
INCONCLUSIVE = "inconclusive"


@dataclass(frozen=True)
class Difference:
    """A paired difference new - reference of a metric where higher is better.

    estimate, ci_low and ci_high are in units of the metric; n patients, n_events with the event.
    """

    new: str
    reference: str
    estimate: float
    ci_low: float
    ci_high: float
    n: int
    n_events: int
    metric: str = "AUROC"


@dataclass(frozen=True)
class Claim:
    """Verdict of the rule, the sentence with its numbers, and the warning on events."""

    verdict: str
    sentence: str
    warning: str


def events_warning(n_events: int, n: int | None = None) -> str:
    """Return what the number of events does not allow, or an empty string.

    Parameters
    ----------
    n_events : int
        Patients with the event.
    n : int, optional
        Patients; when given, fewer than ten patients without the event are told as well.
    """
    n_controls = None if n is None else n - n_events
    if n_events == 0 or n_controls == 0:
        return (
            f"{_count(n_events, 'event')}: no discrimination, calibration slope, threshold or "
            "comparison can be estimated."
        )
    if n_events < MIN_EVENTS:
        return (
            f"Only {_count(n_events, 'event')}: it cannot be concluded whether the risks "
            "discriminate or are calibrated, which threshold suits, or whether one variant is "
            f"better than another. Intervals below {MIN_EVENTS} events are themselves unreliable."
        )
    if n_controls is not None and n_controls < MIN_EVENTS:
        return (
            f"Only {n_controls} patients without the event: specificity, AUROC and comparisons "
            "cannot be concluded."
        )
    if n_events < FEW_EVENTS_CURVE:
        return (
            f"{n_events} events: too few (under {FEW_EVENTS_CURVE}) for the shape of the "
            "calibration curve; read slope and intercept with their intervals."
        )
    return ""


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def judge(difference: Difference, *, margin: float, confidence: float = 0.95) -> Claim:
    """Apply the rule to the one primary comparison.

    *adds*: the interval lies above zero. *does not add*: its upper bound is below the margin.
    Otherwise, and with fewer than ten events or non-events, *inconclusive*.

    Parameters
    ----------
    difference : Difference
        The paired difference of the primary metric.
    margin : float
        Smallest difference worth having, above 0, declared beforehand.
    confidence : float
        Level of the interval, for the sentence.

    Returns
    -------
    Claim
        An interval that covers zero is never called "no difference".

    Raises
    ------
    ValueError
        If the margin is not positive.

    Examples
    --------
    >>> seen = Difference("ecg_covariates", "clinical", 0.06, 0.01, 0.11, n=314, n_events=55)
    >>> judge(seen, margin=0.05).verdict
    'adds'
    """
    if not margin > 0:
        raise ValueError(
            f"margin must be above 0, got {margin:g}. Declare the smallest difference that would "
            "change practice, for example 0.05."
        )
    d = difference
    warning = events_warning(d.n_events, d.n)
    n_fewer = min(d.n_events, d.n - d.n_events)
    if not np.isfinite([d.estimate, d.ci_low, d.ci_high]).all():
        sentence = (
            f"Inconclusive: the {d.metric} difference of {d.new} over {d.reference} has no "
            f"interval ({_size(d)}), so nothing can be said."
        )
        return Claim(INCONCLUSIVE, sentence, warning)
    numbers = (
        f"{d.metric} difference {d.estimate:+.3f}, {confidence:.0%} interval {d.ci_low:+.3f} to "
        f"{d.ci_high:+.3f}; {_size(d)}"
    )
    if n_fewer < MIN_EVENTS:
        sentence = (
            f"Inconclusive: fewer than {MIN_EVENTS} patients with or without the event; whether "
            f"{d.new} adds to {d.reference} cannot be concluded ({numbers})."
        )
        return Claim(INCONCLUSIVE, sentence, warning)
    return _apply_rule(d, margin=margin, numbers=numbers, warning=warning)


def _apply_rule(d: Difference, *, margin: float, numbers: str, warning: str) -> Claim:
    if d.ci_low > 0:
        sentence = f"{d.new} adds to {d.reference} ({numbers})."
        if d.ci_high < margin:
            sentence += f" The gain is smaller than the declared margin of {margin:g}."
        return Claim(ADDS, sentence, warning)
    if d.ci_high < margin:
        sentence = (
            f"{d.new} does not add {margin:g} or more to {d.reference} ({numbers}; declared margin "
            f"{margin:g})."
        )
        if d.ci_high < 0:
            sentence += f" It is worse than {d.reference}."
        else:
            sentence += " A smaller gain or loss is not excluded."
        return Claim(DOES_NOT_ADD, sentence, warning)
    sentence = (
        f"Inconclusive whether {d.new} adds to {d.reference} ({numbers}; declared margin "
        f"{margin:g}). The interval covers zero and reaches the margin: this is not evidence of "
        "no difference."
    )
    return Claim(INCONCLUSIVE, sentence, warning)


def _size(d: Difference) -> str:
    return f"n = {d.n} patients, {_count(d.n_events, 'event')}"
