"""May this interval be believed? What a simulation with as few patients and events says.

`coverage.csv` holds how often "95 %" intervals held the truth in simulated cohorts
(`python benchmarks/interval_coverage.py` writes it). The simulated models are fixed: these are the
intervals' own errors, and what refitting would add comes on top.
"""

from __future__ import annotations

import math
import re
from functools import cache
from pathlib import Path

import pandas as pd

NOMINAL = 0.95
TOLERANCE = 0.02
TABLE = Path(__file__).with_name("coverage.csv")

# How a method begins or reads in metrics.csv and comparisons.csv -> its name in the study. The
# first that is found counts. Resamples within strata are named by what the metric strata are.
_METHODS = (
    (r"wider of DeLong within folds and Newcombe", "wider of DeLong within folds and Newcombe"),
    (r"wider of DeLong and Newcombe", "wider of DeLong and Newcombe"),
    (r"DeLong within folds, logit scale, t", "DeLong within folds, logit, t"),
    (r"DeLong, logit scale, t", "DeLong, logit, t"),
    (r"DeLong, logit scale", "DeLong, logit"),
    (r"DeLong within folds, t", "DeLong within folds, t"),
    (r"DeLong, t", "DeLong, t"),
    (r"DeLong", "DeLong"),
    (r"Newcombe", "Newcombe"),
    (r"exact", "exact (Clopper-Pearson)"),
    (r"Wilson", "Wilson"),
    (r"Wald", "Wald"),
)
_STRATIFIED = (
    "auroc_pooled",
    "auroc_mean_within_fold",
    "delta_auroc_pooled",
    "delta_auroc_mean_within_fold",
)


@cache
def coverage_table() -> pd.DataFrame:
    """Return the coverage study, one row a metric, method and simulated situation.

    Returns
    -------
    pandas.DataFrame
        `metric, method, n_patients, prevalence, expected_events, n_ecgs, auroc, spread, coverage`
        (share of the intervals that held the truth), `n_simulations, mean_width,
        share_without_interval`.
    """
    return pd.read_csv(TABLE)


def study_method(metric: str, method: str) -> str:
    """Return the study's name of a method in words; nothing where the study has none.

    Examples
    --------
    >>> study_method("auroc_pooled", "bootstrap of patients within strata, bca, 2000 resamples")
    'bootstrap within outcome, bca'
    """
    if "no interval" in method or "not estimable" in method:
        return ""
    found = re.search(r"bootstrap of patients(?: within strata)?, (bca|percentile)", method)
    if found is None:
        return next((name for pattern, name in _METHODS if re.search(pattern, method)), "")
    if metric == "auroc_records":
        return f"bootstrap of patients, {found[1]}"
    if metric in _STRATIFIED:
        return f"bootstrap within outcome, {found[1]}"
    return f"bootstrap, {found[1]}"


def _cells(metric: str, name: str, n_patients: float, n_events: float) -> pd.DataFrame:
    """Return the nearest situations with no more patients and no more events, else the smallest.

    Nearest is half as many events or more; all true AUROCs and spreads among them count.
    """
    table = coverage_table()
    rows = table[(table["metric"] == metric) & (table["method"] == name)]
    rows = rows[rows["coverage"].notna()]
    events = rows["expected_events"]
    # A tenth of tolerance: 314 patients with 53 events are the situation that expects 53.4.
    fits = (rows["n_patients"] <= 1.1 * n_patients) & (events <= 1.1 * n_events)
    if not fits.any():
        return rows[events == events.min()]
    return rows[fits & (events >= events[fits].max() / 2)]


def interval_trust(metric: str, method: str, n_patients: float, n_events: float) -> str:
    """Return nothing where such intervals covered as they say, else a sentence with the coverage.

    Parameters
    ----------
    metric, method : str
        As in metrics.csv or comparisons.csv; record-level AUROC is `auroc_records`.
    n_patients, n_events : float
        Of the sample.

    Returns
    -------
    str
        Empty when intervals in the nearest simulated situations, with no more patients and no
        more events than the sample, covered within two points of 95 % at every true AUROC (a
        standard error of the simulation granted, as the worst of several is looked at). Else
        the worst of them; what covers more than it says is called so once none covers less.

    Examples
    --------
    >>> interval_trust("auroc_pooled", "no such method", 314, 53)
    'The coverage of this interval was not simulated.'
    """
    name = study_method(metric, method)
    if not name:
        is_none = "no interval" in method or "not estimable" in method
        return "" if is_none else "The coverage of this interval was not simulated."
    cells = _cells(metric, name, n_patients, n_events)
    if cells.empty:
        return "The coverage of this interval was not simulated."
    worst = cells.loc[cells["coverage"].idxmin()]
    if _is_beyond(worst, NOMINAL - TOLERANCE, -1):
        return _sentence(worst, "too narrow")
    widest = cells.loc[cells["coverage"].idxmax()]
    if _is_beyond(widest, NOMINAL + TOLERANCE, 1):
        return _sentence(widest, "wider than need be, on the safe side")
    return ""


def _is_beyond(cell: pd.Series, edge: float, side: int) -> bool:
    """Say whether a coverage lies past an edge by more than its own standard error."""
    error = math.sqrt(edge * (1 - edge) / float(cell["n_simulations"]))
    return side * (float(cell["coverage"]) - edge) > error


def _sentence(cell: pd.Series, verdict: str) -> str:
    kind = " with unequal spread of the scores" if cell["spread"] != 1 else ""
    return (
        f"In simulation with {cell['n_patients']:.0f} patients, about "
        f"{cell['expected_events']:.0f} events and a true AUROC of {cell['auroc']:g}{kind}, such "
        f"95 % intervals held the truth in {100 * cell['coverage']:.0f} %: {verdict}."
    )


def trust_table(metrics: pd.DataFrame) -> pd.DataFrame:
    """Return metric rows with what the simulation says of their intervals.

    Parameters
    ----------
    metrics : pandas.DataFrame
        Rows of metrics.csv (`metric, method, n, n_events`, `level` where there is one) or of
        comparisons.csv.

    Returns
    -------
    pandas.DataFrame
        The same rows with `coverage`, the lowest of the situations considered (NaN where not
        simulated), and `trust`, of :func:`interval_trust`.
    """
    coverage, trust = [], []
    for row in _with_patients(metrics).itertuples():
        metric, method = str(row.metric), str(row.method)
        name = study_method(metric, method)
        cells = _cells(metric, name, row.n, row.n_events) if name else coverage_table()[:0]
        coverage.append(cells["coverage"].min())
        trust.append(interval_trust(metric, method, row.n, row.n_events))
    return metrics.assign(coverage=coverage, trust=trust)


def _with_patients(metrics: pd.DataFrame) -> pd.DataFrame:
    """Name record-level AUROC as the study does; its rows count records, the study patients."""
    if "level" not in metrics.columns:
        return metrics
    is_record = metrics["level"] == "record"
    patients = metrics[~is_record]
    return metrics.assign(
        metric=metrics["metric"].mask(is_record, "auroc_records"),
        n=metrics["n"].mask(is_record, patients["n"].max()),
        n_events=metrics["n_events"].mask(is_record, patients["n_events"].max()),
    )
