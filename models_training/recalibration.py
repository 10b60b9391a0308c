"""Risks brought back to the share of events, where a training has moved them on purpose.

Drawing or weighing the rarer outcome up (:mod:`models_training.sampling`) makes risks too high. An
intercept and a slope on the logit, fitted on patients whom the network had not been trained on,
undo it: logit(new) = intercept + slope logit(old). Van Calster et al. 2019 (doi
10.1186/s12916-019-1466-7).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import keras
import numpy as np
import statsmodels.api as sm

# Of the rarer outcome, for a slope to be fitted: ten for each coefficient (Peduzzi et al. 1996, doi
# 10.1016/S0895-4356(96)00236-3); of a small sample the intercept alone is updated (Steyerberg et
# al. 2004, doi 10.1002/sim.1844). One event in seven patients gave a slope of 100.
LEAST_EVENTS = 10


@dataclass(frozen=True)
class LogitLine:
    """The map logit(new) = intercept + slope logit(old), and on whom it was fitted."""

    method: str
    intercept: float
    slope: float
    n: int
    n_events: int

    def apply(self, logits: np.ndarray) -> np.ndarray:
        """Return the logits after recalibration."""
        return self.intercept + self.slope * np.asarray(logits)

    def about(self) -> dict[str, Any]:
        """Return what the model's card says of it."""
        return asdict(self)


def fit_line(logits: np.ndarray, y_true: np.ndarray) -> LogitLine:
    """Fit intercept and slope by maximum likelihood, one row a patient.

    Parameters
    ----------
    logits : ndarray, shape (n_patients,)
        Of patients the network was not trained on.
    y_true : ndarray, shape (n_patients,)
        0 or 1.

    Returns
    -------
    LogitLine
        ``logistic``; with fewer than 10 patients of the rarer outcome, where the slope is not above
        0 or the outcomes are separated, ``intercept`` (slope 1): the mean risk is then right and
        the order of patients stays.

    Raises
    ------
    ValueError
        If the outcomes are all alike.

    Examples
    --------
    >>> line = fit_line(np.zeros(4), np.array([1, 0, 0, 0]))
    >>> line.method, round(line.intercept, 3)
    ('intercept', -1.099)
    """
    logits, outcome = np.asarray(logits, "float64"), np.asarray(y_true, "float64")
    sizes = {"n": len(outcome), "n_events": int(outcome.sum())}
    if len(set(outcome)) < 2:
        raise ValueError(
            f"recalibration must see patients with and without the event, got {sizes['n_events']} "
            f"events in {sizes['n']} patients. Set imbalance to none, or use fewer inner folds."
        )
    n_rarer = min(sizes["n_events"], sizes["n"] - sizes["n_events"])
    if n_rarer >= LEAST_EVENTS and not _are_separated(logits, outcome == 1):
        intercept, slope = _fitted(outcome, np.column_stack([np.ones_like(logits), logits]))
        if slope > 0:
            return LogitLine("logistic", intercept, slope, **sizes)
    (intercept,) = _fitted(outcome, np.ones((len(logits), 1)), offset=logits)
    return LogitLine("intercept", intercept, 1.0, **sizes)


def _are_separated(logits: np.ndarray, is_event: np.ndarray) -> bool:
    """Return whether one cut divides the outcomes, or all logits are alike: no slope fits then."""
    events, others = logits[is_event], logits[~is_event]
    return bool(events.min() >= others.max() or others.min() >= events.max())


def _fitted(outcome: np.ndarray, design: np.ndarray, **options: Any) -> list[float]:
    model = sm.GLM(outcome, design, family=sm.families.Binomial(), **options)
    return [float(value) for value in model.fit().params]


def write_into_network(network: keras.Model, line: LogitLine) -> None:
    """Put the line into the last layer: the network's own output is then the recalibrated risk.

    The layer ``logit`` is z = W x + b; it becomes (slope W) x + (intercept + slope b), so nothing
    that reads the bundle needs to know of it.
    """
    layer: Any = network.get_layer("logit")
    kernel, bias = layer.get_weights()
    layer.set_weights([line.slope * kernel, line.intercept + line.slope * bias])
