"""What simulated studies report, summed up: how often at least a published AUROC, and how true.

The input everywhere is the concatenation of :func:`evaluation.single_split.simulate_study` over
cohorts, with the columns `truth` and `cohort`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy.stats import chi2

from evaluation.discrimination import wilson_interval
from evaluation.single_split import FOLD, INTERVALS, LEVELS, SPLIT

ONE_SPLIT = "one split"
_STUDY = ["truth", "cohort"]


def reported_aurocs(simulated: pd.DataFrame, *, best_of: Sequence[int] = (1, 5, 20)):
    """Return what each cohort would report, by way of reporting.

    Parameters
    ----------
    simulated : pandas.DataFrame
        See the module.
    best_of : sequence of int
        Numbers of splits of which the one with the highest patient AUROC is reported; 1 is an
        honest single split.

    Returns
    -------
    pandas.DataFrame
        `truth, cohort, method, auroc_patient, auroc_ecg, true_patient, true_ecg`; the methods are
        `one split`, `best of k splits`, `5-fold` (mean within-fold AUROC of one grouped
        cross-validation) and `10 x 5-fold` (of all repeats, for the cohorts that have several). The
        truth is that of the reported model, or the mean of the models.
    """
    values = [f"{kind}_{level}" for kind in ("auroc", "true") for level in LEVELS]
    splits = simulated[simulated["design"] == SPLIT]
    parts = []
    for k in best_of:
        among = splits[splits["number"] < k]
        best = among.loc[among.groupby(_STUDY)["auroc_patient"].idxmax(), [*_STUDY, *values]]
        parts.append(best.assign(method=ONE_SPLIT if k == 1 else f"best of {k} splits"))
    folds = simulated[simulated["design"] == FOLD]
    n_models = folds.groupby(_STUDY)["number"].transform("size")
    n_folds = n_models.min()
    first = folds[folds["number"] < n_folds].groupby(_STUDY)[values].mean().reset_index()
    parts.append(first.assign(method=f"{n_folds:.0f}-fold"))
    if (is_repeated := n_models > n_folds).any():
        mean = folds[is_repeated].groupby(_STUDY)[values].mean().reset_index()
        n_repeats = n_models.max() / n_folds
        parts.append(mean.assign(method=f"{n_repeats:.0f} x {n_folds:.0f}-fold"))
    return pd.concat(parts, ignore_index=True)


def share_table(reported: pd.DataFrame, *, published: float, level: str = "patient"):
    """Return how often each way of reporting gives at least the published AUROC.

    Parameters
    ----------
    reported : pandas.DataFrame
        From :func:`reported_aurocs`.
    published : float
        The published AUROC.
    level : str
        `patient` or `ecg`.

    Returns
    -------
    pandas.DataFrame
        `truth, method, n_cohorts, mean_true, mean, sd, low, high` (5 % and 95 % of the reported
        AUROCs), `share` at or above `published` with `share_low`, `share_high` (95 % Wilson
        interval: the error of the simulation).
    """
    rows = []
    for (truth, method), part in reported.groupby(["truth", "method"], sort=False):
        values = part[f"auroc_{level}"].to_numpy()
        n_reached = int((values >= published).sum())
        low, high = wilson_interval(n_reached, values.size)
        rows.append(
            {
                "truth": truth,
                "method": method,
                "n_cohorts": values.size,
                "mean_true": part[f"true_{level}"].mean(),
                "mean": values.mean(),
                "sd": values.std(ddof=1),
                "low": np.quantile(values, 0.05),
                "high": np.quantile(values, 0.95),
                "share": n_reached / values.size,
                "share_low": low,
                "share_high": high,
            }
        )
    return pd.DataFrame(rows)


def best_of_table(simulated: pd.DataFrame) -> pd.DataFrame:
    """Return the reported AUROC of the best of k splits, for every k that was simulated.

    Returns
    -------
    pandas.DataFrame
        `truth, n_splits, median, low, high` (5 % and 95 %), of patients.
    """
    splits = simulated[simulated["design"] == SPLIT].sort_values([*_STUDY, "number"])
    splits = splits.assign(best=splits.groupby(_STUDY)["auroc_patient"].cummax())
    found = splits.groupby(["truth", "number"])["best"].quantile([0.05, 0.5, 0.95]).unstack()
    found = found.set_axis(["low", "median", "high"], axis=1).reset_index()
    return found.assign(n_splits=found["number"] + 1).drop(columns="number")


def interval_table(simulated: pd.DataFrame) -> pd.DataFrame:
    """Return how honest the intervals of a single split are.

    The target of an interval is the AUROC that the very model has on all future patients (or ECGs,
    for the interval over ECGs).

    Returns
    -------
    pandas.DataFrame
        `truth, interval, n_cohorts, n_without` (cohorts where there is no interval, such as a
        perfect test set), and among the others `coverage` with `coverage_low`, `coverage_high`
        (Wilson, error of the simulation), `median_width` and `share_with_half`: intervals that
        include 0.5.
    """
    first = simulated[(simulated["design"] == SPLIT) & (simulated["number"] == 0)]
    rows = []
    for truth, part in first.groupby("truth"):
        for name in INTERVALS:
            level = "ecg" if name.startswith("ecg") else "patient"
            ends = part[[f"{name}_low", f"{name}_high", f"true_{level}"]].dropna()
            low, high, true = ends.to_numpy().T
            n_covered = int(((low <= true) & (true <= high)).sum())
            n_with_half = int(((low <= 0.5) & (high >= 0.5)).sum())
            coverage_low, coverage_high = wilson_interval(n_covered, len(ends))
            rows.append(
                {
                    "truth": truth,
                    "interval": name,
                    "n_cohorts": len(part),
                    "n_without": len(part) - len(ends),
                    "coverage": n_covered / len(ends) if len(ends) else np.nan,
                    "coverage_low": coverage_low,
                    "coverage_high": coverage_high,
                    "median_width": float(np.median(high - low)) if len(ends) else np.nan,
                    "share_with_half": n_with_half / len(ends) if len(ends) else np.nan,
                }
            )
    return pd.DataFrame(rows)


def spread_table(networks: pd.DataFrame, surrogate: pd.DataFrame) -> pd.DataFrame:
    """Return the spread of single splits of real networks beside that of the surrogate.

    Parameters
    ----------
    networks : pandas.DataFrame
        From ``benchmarks/single_split_networks.py``.
    surrogate : pandas.DataFrame
        Simulated studies of the same numbers of test patients and events at the networks' mean
        truth.

    Returns
    -------
    pandas.DataFrame
        `source, n_models, mean_true, sd_true, mean_error, sd_error, sd_low, sd_high`: the error is
        reported minus true AUROC of patients; the last two are the 95 % interval of its SD (of a
        normal error, chi squared). The truth of a network is estimated from a pool: its own
        standard error is in `sd_error`.
    """
    first = surrogate[(surrogate["design"] == SPLIT) & (surrogate["number"] == 0)]
    rows = []
    for source, part in (("networks", networks), ("surrogate", first)):
        error = part["auroc_patient"] - part["true_patient"]
        n, sd = len(error), float(error.std())
        low, high = sd * np.sqrt((n - 1) / chi2.ppf([0.975, 0.025], n - 1))
        rows.append(
            {
                "source": source,
                "n_models": n,
                "mean_true": part["true_patient"].mean(),
                "sd_true": part["true_patient"].std(),
                "mean_error": error.mean(),
                "sd_error": sd,
                "sd_low": low,
                "sd_high": high,
            }
        )
    return pd.DataFrame(rows)
