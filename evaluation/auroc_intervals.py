"""Intervals of an AUROC for few events and for values near 1, where DeLong's variance fails.

DeLong's variance is estimated from the events themselves: six events give a poor estimate, and
six events that all rank above the others give none. Newcombe's interval takes the variance from
the AUROC instead; it exists at 1, but assumes that scores of events and of non-events spread
alike. Each fails where the other holds, hence the wider of the two.
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import brentq
from scipy.special import ndtri

from evaluation.discrimination import delong_interval


def newcombe_interval(auc: float, n_events: int, n_controls: int, *, confidence: float = 0.95):
    """Return the score-type interval of an AUROC, of Newcombe 2006 (method 5).

    All theta with (A - theta)^2 <= z^2 V(theta), where V(theta) = theta (1 - theta) / (m n)
    * (1 + k (1 - theta) / (2 - theta) + k theta / (1 + theta)) and k = (m + n) / 2 - 1: the
    variance of Hanley & McNeil 1982 for exponential scores, made symmetric (doi
    10.1002/sim.2324).

    Parameters
    ----------
    auc : float
        In [0, 1]; 0 and 1 are accepted.
    n_events, n_controls : int
        Patients with and without the event, at least one of each.
    confidence : float
        Level of the interval.

    Returns
    -------
    tuple of float
        (nan, nan) when the AUROC is missing or a class is empty.

    Examples
    --------
    >>> low, high = newcombe_interval(1.0, 6, 57)
    >>> round(low, 2), high
    (0.82, 1.0)
    """
    if not np.isfinite(auc) or min(n_events, n_controls) < 1:
        return float("nan"), float("nan")
    z2 = ndtri(0.5 + confidence / 2) ** 2
    k = (n_events + n_controls) / 2 - 1

    def excess(theta: float) -> float:
        clustering = 1 + k * (1 - theta) / (2 - theta) + k * theta / (1 + theta)
        variance = theta * (1 - theta) * clustering / (n_events * n_controls)
        return (auc - theta) ** 2 - z2 * variance

    # Just inside 0 and 1 the variance is positive whatever A is, so that the signs differ.
    edge = 1e-12
    low = 0.0 if auc < edge else brentq(excess, 0.0, min(auc, 1 - edge))
    high = 1.0 if auc > 1 - edge else brentq(excess, max(auc, edge), 1.0)
    return float(low), float(high)  # pyright: ignore[reportArgumentType]


def auroc_interval(
    auc: float, variance: float, n_events: int, n_controls: int, *, confidence: float = 0.95
):
    """Return the wider of DeLong's interval (logit scale, t quantile) and Newcombe's.

    Parameters
    ----------
    auc, variance : float
        From :func:`evaluation.discrimination.delong_covariance`, with or without folds.
    n_events, n_controls : int
        Patients with and without the event.
    confidence : float
        Level of the interval.

    Returns
    -------
    tuple of float
        Newcombe's alone where DeLong has no variance (AUROC 0 or 1, one event).
    """
    newcombe = newcombe_interval(auc, n_events, n_controls, confidence=confidence)
    delong = delong_interval(
        auc,
        variance,
        confidence=confidence,
        degrees_of_freedom=max(min(n_events, n_controls) - 1, 1),
    )
    return float(np.fmin(newcombe[0], delong[0])), float(np.fmax(newcombe[1], delong[1]))
