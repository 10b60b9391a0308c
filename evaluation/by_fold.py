"""Discrimination and level of risk fold by fold, and over sites.

With leave-one-site-out a fold is a site: the mean over folds is the mean over sites, and what a
*new* site may expect is the prediction interval of a random-effects model on the logit of the AUROC
(Debray et al. 2019, doi 10.1177/0962280218785504; Higgins et al. 2009, doi
10.1111/j.1467-985X.2008.00552.x).
"""

from __future__ import annotations

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from scipy.special import expit, logit
from scipy.stats import t
from statsmodels.stats.meta_analysis import combine_effects

from evaluation.arrays import require_columns
from evaluation.discrimination import delong_covariance, delong_interval
from evaluation.style import GREY, variant_style
from evaluation.thresholds import FOLD_KEYS
from evaluation.weighted import observed_expected_statistic

FEW_EVENTS = 10  # below this many the page says that one fold cannot be read
LEAST_SITES = 3  # fewer leave nothing to estimate a spread between sites from


def by_fold_table(
    patients: pd.DataFrame, *, labels: pd.Series | None = None, confidence: float = 0.95
) -> pd.DataFrame:
    """Return AUROC and observed to expected events of every test fold.

    Parameters
    ----------
    patients : pandas.DataFrame
        Rows of :func:`evaluation.scores.patient_scores`; those with role "test" count.
    labels : pandas.Series, optional
        Site (or other group) by `patient_id`; a fold must hold one of them.
    confidence : float
        Level of the intervals.

    Returns
    -------
    pandas.DataFrame
        `target, variant, repeat, fold, label, n, n_events, auroc, ci_low, ci_high, se_logit, o_e,
        note`. DeLong intervals on the logit scale, conditional on the fitted models; NaN with a
        note where a fold has one outcome class or separates, and a note under ten events: such a
        fold is still tested and still counts in the mean.

    Raises
    ------
    ValueError
        If a fold holds patients of several labels, or a patient has none.
    """
    require_columns(
        patients, (*FOLD_KEYS, "role", "patient_id", "y_true", "y_score"), name="patients"
    )
    rows = []
    test = patients[patients["role"] == "test"]
    for key, group in test.groupby(FOLD_KEYS, sort=False):
        label = (
            f"fold {int(group['fold'].iloc[0]) + 1}" if labels is None else _label(group, labels)
        )
        n_events = int(group["y_true"].sum())
        found = _auroc(group, n_events, confidence)
        o_e = observed_expected_statistic(group["y_true"], group["y_score"])
        ratio = float(o_e(np.ones((1, len(group))))[0])
        rows.append((*key, label, len(group), n_events, *found[:4], ratio, found[4]))
    names = ["label", "n", "n_events", "auroc", "ci_low", "ci_high", "se_logit", "o_e", "note"]
    return pd.DataFrame(rows, columns=[*FOLD_KEYS, *names])


def _label(group: pd.DataFrame, labels: pd.Series) -> str:
    found = group["patient_id"].map(labels)
    if found.isna().any() or len(found.unique()) > 1:
        raise ValueError(
            f"labels must be one for all patients of a fold, got {found.nunique()} and "
            f"{int(found.isna().sum())} patients without. Use the column the folds were made of."
        )
    return str(found.iloc[0])


def _auroc(group: pd.DataFrame, n_events: int, confidence: float):
    nan = float("nan")
    if n_events in (0, len(group)):
        return nan, nan, nan, nan, "one outcome class"
    auc, covariance = delong_covariance(group["y_true"], group["y_score"].to_numpy())
    value, variance = float(auc[0]), float(covariance[0, 0])
    low, high = delong_interval(value, variance, confidence=confidence)
    if not np.isfinite(low):
        return value, nan, nan, nan, "no interval: no variance"
    error = float(np.sqrt(variance) / (value * (1 - value)))
    note = f"fewer than {FEW_EVENTS} events" if n_events < FEW_EVENTS else ""
    return value, low, high, error, note


def pooled_over_sites(table: pd.DataFrame, *, confidence: float = 0.95) -> pd.DataFrame:
    """Return the random-effects mean of the sites' AUROCs and what a new site may expect.

    logit AUROC of site i ~ normal(mu, tau^2 + se_i^2); tau^2 by Paule and Mandel, the interval of
    mu by Hartung, Knapp, Sidik and Jonkman, the prediction interval
    mu +- t(k - 2) sqrt(tau^2 + se(mu)^2).

    Parameters
    ----------
    table : pandas.DataFrame
        From :func:`by_fold_table`, one repeat, folds of different patients.
    confidence : float
        Level of both intervals.

    Returns
    -------
    pandas.DataFrame
        `target, variant, n_sites, n_left_out, auroc, ci_low, ci_high, prediction_low,
        prediction_high, tau, reason`: one row a target and variant; sites without an interval are
        left out and counted, and fewer than three leave NaN and a reason. The models of the sites
        share most of their training patients, which no such interval accounts for.
    """
    rows = []
    for key, group in table.groupby(["target", "variant"], sort=False):
        usable = group[np.isfinite(group["se_logit"])]
        n_lost, k = len(group) - len(usable), len(usable)
        if k < LEAST_SITES:
            reason = f"{k} sites with an interval, at least {LEAST_SITES} are needed"
            rows.append((*key, k, n_lost, *[np.nan] * 6, reason))
            continue
        effect, error = logit(usable["auroc"].to_numpy()), usable["se_logit"].to_numpy()
        found: Any = combine_effects(
            effect, error**2, method_re="pm", use_t=True, alpha=1 - confidence
        )
        mean, tau2 = float(found.mean_effect_re), max(float(found.tau2), 0.0)
        low, high = found.conf_int(alpha=1 - confidence)[3]
        half = t.ppf(0.5 + confidence / 2, k - 2) * np.sqrt(tau2 + float(found.sd_eff_w_re) ** 2)
        values = expit([mean, low, high, mean - half, mean + half])
        rows.append((*key, k, n_lost, *values.tolist(), float(np.sqrt(tau2)), ""))
    names = ["auroc", "ci_low", "ci_high", "prediction_low", "prediction_high", "tau", "reason"]
    return pd.DataFrame(rows, columns=["target", "variant", "n_sites", "n_left_out", *names])


def plot_by_fold(
    table: pd.DataFrame, *, variant: str, pooled: pd.DataFrame | None = None, ax: Axes | None = None
) -> Axes:
    """Draw the AUROC of every site (fold) of one variant, and below what they say together.

    Parameters
    ----------
    table, pooled : pandas.DataFrame
        From :func:`by_fold_table` and :func:`pooled_over_sites`; one target.
    variant : str
        Which one; a panel each.
    ax : matplotlib Axes, optional
        Where to draw.

    Returns
    -------
    matplotlib Axes
    """
    rows = table[table["variant"] == variant].reset_index(drop=True)
    if ax is None:
        ax = plt.subplots(figsize=(6.4, 0.42 * len(rows) + 2.0), layout="constrained")[1]
    style = variant_style(variant)
    ax.axvline(0.5, color=GREY, linewidth=1, linestyle=(0, (1, 3)))
    labels = [f"{row.label} ({row.n}, {row.n_events} events)" for row in rows.itertuples()]
    for place, row in enumerate(rows.itertuples()):
        ax.plot([row.ci_low, row.ci_high], [place, place], color=style["color"], linewidth=2)
        ax.plot(row.auroc, place, "s", color=style["color"], markersize=6)
        _beside(ax, place, row.auroc, row.ci_low, row.ci_high)
    for row in (
        pooled[pooled["variant"] == variant] if pooled is not None else rows[:0]
    ).itertuples():
        if row.reason:
            continue
        place = len(labels)
        labels.append("mean of sites, random effects")
        ax.plot([row.ci_low, row.ci_high], [place, place], color="black", linewidth=3)
        ax.plot(row.auroc, place, "D", color="black", markersize=7)
        _beside(ax, place, row.auroc, row.ci_low, row.ci_high)
        labels.append("a new site, prediction interval")
        span = [row.prediction_low, row.prediction_high]
        ax.plot(span, [place + 1] * 2, color="black", linewidth=1.5, linestyle="--")
        _beside(ax, place + 1, row.auroc, *span)
    ax.set_yticks(range(len(labels)), labels)
    ax.set_ylim(len(labels) - 0.5, -0.5)
    ax.set_xlim(0, 1)
    sizes = f"n = {rows['n'].sum()} patients, {rows['n_events'].sum()} events"
    ax.set_title(f"AUROC by site: {style['label']}\n{sizes}", fontsize=12)
    ax.set_xlabel("AUROC (0.5 = chance)", fontsize=12)
    ax.spines[["top", "right"]].set_visible(False)
    return ax


def _beside(ax: Axes, place: int, value: float, low: float, high: float) -> None:
    """Write an estimate with its interval beside the axes."""
    text = "not estimable" if np.isnan(value) else f"{value:.2f}"
    text += f" ({low:.2f} to {high:.2f})" if np.isfinite(low) else ""
    ax.text(1.02, place, text, transform=ax.get_yaxis_transform(), va="center", fontsize=10)
