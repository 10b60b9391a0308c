"""Which patients an epoch sees: all alike, or more of the rarer outcome, as the original study had.

Off by default: drawing or weighing one outcome up moves all risks up, and the recalibration of
:mod:`models_training.recalibration` has to bring them down again.
"""

from __future__ import annotations

import numpy as np

IMBALANCES = ("none", "class_weights", "oversample", "undersample")


def check_imbalance(imbalance: str) -> None:
    """Refuse a name that is not one of `IMBALANCES`."""
    if imbalance not in IMBALANCES:
        raise ValueError(
            f"imbalance must be one of {', '.join(IMBALANCES)}, got {imbalance!r}. none keeps the "
            "risks as they are."
        )


def drawn_patients(y_true: np.ndarray, *, imbalance: str, rng: np.random.Generator) -> np.ndarray:
    """Return how often an epoch holds each patient.

    Parameters
    ----------
    y_true : ndarray, shape (n_patients,)
        0 or 1.
    imbalance : str
        ``oversample``: the rarer outcome is drawn until both are as frequent, every patient of it
        equally often but for the rest, which is drawn; ``undersample``: of the more frequent
        outcome only so many patients as of the other, others in every epoch; else each once.
    rng : numpy.random.Generator

    Returns
    -------
    ndarray of int, shape (n_patients,)

    Examples
    --------
    >>> y_true = np.array([1, 0, 0, 0])
    >>> drawn_patients(y_true, imbalance="oversample", rng=np.random.default_rng(0)).tolist()
    [3, 1, 1, 1]
    """
    times = np.ones(len(y_true), dtype=int)
    members = [np.flatnonzero(y_true == outcome) for outcome in (0, 1)]
    rare, common = sorted(members, key=len)
    if imbalance not in ("oversample", "undersample") or not len(rare):
        return times
    if imbalance == "undersample":
        times[common] = 0
        times[rng.choice(common, len(rare), replace=False)] = 1
    else:
        whole, rest = divmod(len(common), len(rare))
        times[rare] = whole
        times[rng.choice(rare, rest, replace=False)] += 1
    return times


def class_weights(y_true: np.ndarray, *, imbalance: str) -> np.ndarray:
    """Return the weight of each patient: n / (2 n of its outcome), or 1 without class weights.

    Examples
    --------
    >>> class_weights(np.array([1, 0, 0, 0]), imbalance="class_weights").round(3).tolist()
    [2.0, 0.667, 0.667, 0.667]
    """
    is_event = np.asarray(y_true) == 1
    n, n_events = len(is_event), int(is_event.sum())
    if imbalance != "class_weights" or n_events in (0, n):
        return np.ones(n)
    return np.where(is_event, n / (2 * n_events), n / (2 * (n - n_events)))
