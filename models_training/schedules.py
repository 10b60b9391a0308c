"""The step size over a training: constant, a cosine, or one cycle; with or without a warm-up."""

from __future__ import annotations

import math

SCHEDULES = ("cosine", "one_cycle", "constant")
LEAST_SHARE = 0.01  # of a cosine: the last epoch still moves the weights
_RISE, _FALL = 0.45, 0.9  # of the cycle: where its top is reached, and where it has come down
_CYCLE_START, _CYCLE_END = 0.1, 0.001


def rate_share(schedule: str, progress: float, *, warm_up: float = 0.0) -> float:
    """Return the step size as a share of the highest.

    ``cosine``: max(0.01, (1 + cos(pi p)) / 2). ``one_cycle``: straight from 0.1 up to 1 in 45 % of
    the training, down again in as much, and down to 0.001 in the rest; its momentum stays as it is.
    ``constant``: 1. With a warm-up the share rises from 0 to 1 in a straight line first, and p
    counts what follows; a cycle warms up by itself and takes none.

    Parameters
    ----------
    schedule : str
        One of `SCHEDULES`.
    progress : float
        Share of the training that is done, from 0.
    warm_up : float
        Share of the training the warm-up takes.

    Raises
    ------
    ValueError
        If the schedule is unknown, or a cycle is to warm up.

    References
    ----------
    Smith 2018, A disciplined approach to neural network hyper-parameters. arXiv:1803.09820.

    Examples
    --------
    >>> [round(rate_share("one_cycle", p), 3) for p in (0.0, 0.45, 0.9, 1.0)]
    [0.1, 1.0, 0.1, 0.001]
    """
    if schedule not in SCHEDULES:
        raise ValueError(
            f"schedule must be one of {', '.join(SCHEDULES)}, got {schedule!r}. Use cosine."
        )
    if schedule == "one_cycle":
        if warm_up:
            raise ValueError(
                f"warmup_epochs must be 0 with one_cycle, got {warm_up:.3g} of the training. The "
                "cycle begins with a low rate itself."
            )
        return _cycle(progress)
    if progress < warm_up:
        return progress / warm_up
    if schedule == "constant":
        return 1.0
    rest = (progress - warm_up) / (1 - warm_up)
    return max(0.5 * (1 + math.cos(math.pi * rest)), LEAST_SHARE)


def _cycle(progress: float) -> float:
    if progress < _RISE:
        return _CYCLE_START + (1 - _CYCLE_START) * progress / _RISE
    if progress < _FALL:
        return 1 - (1 - _CYCLE_START) * (progress - _RISE) / (_FALL - _RISE)
    share = min((progress - _FALL) / (1 - _FALL), 1.0)
    return _CYCLE_START + (_CYCLE_END - _CYCLE_START) * share
