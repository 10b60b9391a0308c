"""How many patients a prediction model needs, and what a sample of a given size can show.

The criteria of Riley et al. 2019 (Part II, doi 10.1002/sim.7992) for a binary outcome: shrinkage of
at least 0.9, an optimism of at most 0.05 in Nagelkerke's R squared, and the overall risk known to
0.05. They are about regression with a fixed list of parameters; a network needs more, how much more
nobody can say beforehand.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy.optimize import brentq
from scipy.stats import norm

SHRINKAGE = 0.9
OPTIMISM = 0.05
RISK_MARGIN = 0.05
EXPECTED_AUROCS = (0.65, 0.7, 0.75, 0.8, 0.85)
_NODES, _NODE_WEIGHTS = np.polynomial.hermite_e.hermegauss(200)


def _check(prevalence: float, auroc: float) -> None:
    for name, value, low in (("prevalence", prevalence, 0.0), ("auroc", auroc, 0.5)):
        if not low < value < 1:
            raise ValueError(
                f"{name} must be above {low:g} and below 1, got {value:g}. Take it from an earlier "
                "study or from what would be useful."
            )


def cox_snell_r2(auroc: float, prevalence: float) -> float:
    """Return the Cox-Snell R squared of a model with a given AUROC.

    The linear predictor is taken as normal with one variance in patients with and without the event
    (Riley et al. 2021, doi 10.1002/sim.8806); their simulation is replaced by quadrature.

    Parameters
    ----------
    auroc : float in (0.5, 1)
        Expected AUROC, after correction for optimism.
    prevalence : float in (0, 1)
        Share of patients with the event.

    Returns
    -------
    float in (0, 1)

    Examples
    --------
    >>> round(cox_snell_r2(0.89, 0.174), 2)
    0.29
    """
    _check(prevalence, auroc)
    distance = math.sqrt(2) * norm.ppf(auroc)
    odds = math.log(prevalence / (1 - prevalence))
    weights = _NODE_WEIGHTS / _NODE_WEIGHTS.sum()

    def mean_log_likelihood(x: np.ndarray, sign: float) -> float:
        predictor = odds + distance * x - distance**2 / 2
        return float(weights @ -np.logaddexp(0, -sign * predictor))

    full = prevalence * mean_log_likelihood(_NODES + distance, 1.0)
    full += (1 - prevalence) * mean_log_likelihood(_NODES, -1.0)
    return 1 - math.exp(2 * (_null_log_likelihood(prevalence) - full))


def _null_log_likelihood(prevalence: float) -> float:
    """Return the log likelihood a patient of the model without predictors."""
    return prevalence * math.log(prevalence) + (1 - prevalence) * math.log(1 - prevalence)


def _max_cox_snell_r2(prevalence: float) -> float:
    return 1 - math.exp(2 * _null_log_likelihood(prevalence))


def _patients_for(shrinkage: float, r2: float, n_parameters: int) -> float:
    return n_parameters / ((shrinkage - 1) * math.log(1 - r2 / shrinkage))


def required_patients(n_parameters: int, *, prevalence: float, r2: float) -> pd.DataFrame:
    """Return the patients and events each criterion asks for.

    Parameters
    ----------
    n_parameters : int
        Coefficients that are estimated or chosen among: a category of k levels counts k - 1.
    prevalence : float in (0, 1)
        Share of patients with the event.
    r2 : float
        Expected Cox-Snell R squared; from an AUROC with :func:`cox_snell_r2`.

    Returns
    -------
    pandas.DataFrame
        `criterion, n_patients, n_events`; the largest decides.

    Raises
    ------
    ValueError
        If `n_parameters` is below 1, or `r2` is not possible at this prevalence.

    Examples
    --------
    >>> required_patients(24, prevalence=0.174, r2=0.288)["n_patients"].tolist()
    [623, 662, 221]
    """
    _check(prevalence, 0.75)
    highest = _max_cox_snell_r2(prevalence)
    if n_parameters < 1 or not 0 < r2 < min(highest, SHRINKAGE):
        raise ValueError(
            f"n_parameters must be at least 1 and r2 between 0 and {min(highest, SHRINKAGE):.3f} "
            f"(the highest at this prevalence), got {n_parameters} and {r2:g}. Correct them."
        )
    modest = r2 / (r2 + OPTIMISM * highest)
    needed = {
        f"shrinkage at least {SHRINKAGE:g}": _patients_for(SHRINKAGE, r2, n_parameters),
        f"optimism of R² at most {OPTIMISM:g}": _patients_for(modest, r2, n_parameters),
        f"overall risk known to ±{RISK_MARGIN:g}": (1.96 / RISK_MARGIN) ** 2
        * prevalence
        * (1 - prevalence),
    }
    n_patients = np.ceil(list(needed.values())).astype(int)
    return pd.DataFrame(
        {
            "criterion": list(needed),
            "n_patients": n_patients,
            "n_events": np.ceil(n_patients * prevalence).astype(int),
        }
    )


def supported_parameters(n_patients: int, *, prevalence: float, auroc: float) -> int:
    """Return how many parameters a sample supports by all criteria; 0 if not even one.

    Parameters
    ----------
    n_patients : int
        Patients with known outcome.
    prevalence, auroc : float
        As :func:`cox_snell_r2`.
    """
    r2 = cox_snell_r2(auroc, prevalence)
    for_one = required_patients(1, prevalence=prevalence, r2=r2)["n_patients"].to_numpy()
    if for_one[2] > n_patients:
        return 0
    modest = r2 / (r2 + OPTIMISM * _max_cox_snell_r2(prevalence))
    per_parameter = max(_patients_for(level, r2, 1) for level in (SHRINKAGE, modest))
    return int(n_patients // per_parameter)


def expected_shrinkage(
    n_patients: int, n_parameters: int, *, prevalence: float, auroc: float
) -> float:
    """Return the shrinkage to expect: 0.9 means predictions 10 % too extreme on new patients.

    Solves the first criterion for the shrinkage.

    Parameters
    ----------
    n_patients, n_parameters : int
        Of the sample and of the model.
    prevalence, auroc : float
        As :func:`cox_snell_r2`.

    Returns
    -------
    float in (0, 1)
    """
    r2 = cox_snell_r2(auroc, prevalence)
    margin = 1e-12
    return float(
        brentq(
            lambda level: _patients_for(level, r2, n_parameters) - n_patients,
            r2 * (1 + margin),
            1 - margin,
        )
    )


def auroc_standard_error(auroc: float, *, n_patients: float, prevalence: float) -> float:
    """Return the standard error an AUROC will have in a sample of a given size.

    The formula of Newcombe 2006 (method 4, doi 10.1002/sim.2324), which Riley et al. 2021 (doi
    10.1002/sim.9025) use for the size of validation studies.

    Examples
    --------
    >>> round(auroc_standard_error(0.8, n_patients=500, prevalence=0.1), 4)
    0.033
    """
    _check(prevalence, auroc)
    half = n_patients / 2 - 1
    spread = 1 + half * (1 - auroc) / (2 - auroc) + half * auroc / (1 + auroc)
    variance = auroc * (1 - auroc) * spread / (n_patients**2 * prevalence * (1 - prevalence))
    return math.sqrt(variance)


def events_for_width(
    width: float, *, auroc: float, prevalence: float, confidence: float = 0.95
) -> tuple[int, int]:
    """Return the patients and events at which an AUROC gets an interval of a given width.

    The second criterion of Riley et al. 2021 (doi 10.1002/sim.9025) for external validation.

    Parameters
    ----------
    width : float in (0, 1)
        Upper minus lower bound of the interval.
    auroc, prevalence : float
        Expected in the cohort, as :func:`cox_snell_r2`.
    confidence : float
        Level of the interval.

    Returns
    -------
    n_patients, n_events : int

    Raises
    ------
    ValueError
        If `width`, `auroc` or `prevalence` is out of range.

    Examples
    --------
    >>> events_for_width(0.1, auroc=0.8, prevalence=0.018)
    (4252, 77)
    """
    if not 0 < width < 1:
        raise ValueError(f"width must be above 0 and below 1, got {width:g}. Pass for example 0.1.")
    z = float(norm.ppf(0.5 + confidence / 2))

    def excess(n: float) -> float:
        error = auroc_standard_error(auroc, n_patients=n, prevalence=prevalence)
        return 2 * z * error - width

    highest = 16.0
    while excess(highest) > 0:
        highest *= 2
    n_patients = math.ceil(brentq(excess, 2.0, highest) if excess(2.0) > 0 else 2)
    return n_patients, math.ceil(n_patients * prevalence)


def count_parameters(covariates: Iterable[Mapping[str, Any]]) -> int:
    """Return the coefficients of a linear model: a category of k levels counts k - 1."""
    return sum(
        len(item.get("categories", "")) - 1 if item["kind"] == "category" else 1
        for item in covariates
    )


def sample_size_table(
    n_patients: int,
    n_events: int,
    *,
    n_parameters: int,
    aurocs: Sequence[float] = EXPECTED_AUROCS,
) -> pd.DataFrame:
    """Return what a sample allows, for each AUROC that may be expected.

    Parameters
    ----------
    n_patients, n_events : int
        Of the sample; both outcomes must occur.
    n_parameters : int
        Coefficients of the clinical model; see :func:`count_parameters`.
    aurocs : sequence of float
        Expected AUROCs.

    Returns
    -------
    pandas.DataFrame
        `expected_auroc`, `n_parameters`, `half_width` (of the 95 % interval of an AUROC over all
        patients),
        `supported_parameters`, `needed_patients` and `needed_events` (for `n_parameters`),
        `expected_shrinkage` (of a model of `n_parameters`, without penalty).

    Raises
    ------
    ValueError
        If only one outcome occurs.

    Examples
    --------
    >>> table = sample_size_table(314, 50, n_parameters=8)
    >>> table.loc[table["expected_auroc"] == 0.75, "supported_parameters"].item()
    4
    """
    prevalence = n_events / n_patients
    rows = []
    for auroc in aurocs:
        r2 = cox_snell_r2(auroc, prevalence)
        needed = required_patients(n_parameters, prevalence=prevalence, r2=r2).max()
        error = auroc_standard_error(auroc, n_patients=n_patients, prevalence=prevalence)
        expected = {"prevalence": prevalence, "auroc": auroc}
        rows.append(
            {
                "expected_auroc": auroc,
                "n_parameters": n_parameters,
                "half_width": norm.ppf(0.975) * error,
                "supported_parameters": supported_parameters(n_patients, **expected),
                "needed_patients": int(needed["n_patients"]),
                "needed_events": int(needed["n_events"]),
                "expected_shrinkage": expected_shrinkage(n_patients, n_parameters, **expected),
            }
        )
    return pd.DataFrame(rows)
