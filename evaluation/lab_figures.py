"""Figures of the lab on single splits, each drawn from one table; all of them show simulations."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator, PercentFormatter

from evaluation.arrays import require_columns
from evaluation.single_split import SPLIT
from evaluation.single_split_tables import ONE_SPLIT
from evaluation.style import GREY, OTHER_COLOURS, add_legend

_BLUE, _ORANGE, _GREEN = "#0072B2", "#D55E00", "#009E73"
TRUTH_COLOURS = ("#56B4E9", _GREEN, _ORANGE, *OTHER_COLOURS[::2])
INTERVAL_NAMES = {
    "ecg_bootstrap": "bootstrap of ECGs",
    "patient_bootstrap": "bootstrap of patients (BCa)",
    "patient_delong": "DeLong, patients (logit)",
}
_MARKERS = ("o", "s", "^", "D", "v")


def _start(table: pd.DataFrame, ax: Axes | None, columns, *, size=(6.4, 4.2)) -> Axes:
    require_columns(table, columns, name="table")
    return plt.subplots(figsize=size, layout="constrained")[1] if ax is None else ax


def _finish(ax: Axes, *, title: str, x: str, y: str) -> Axes:
    ax.set_title(title, fontsize=12)
    ax.set_xlabel(x, fontsize=12)
    ax.set_ylabel(y, fontsize=12)
    ax.tick_params(labelsize=11)
    ax.spines[["top", "right"]].set_visible(False)
    return ax


def _sides(part: pd.DataFrame, name: str) -> np.ndarray:
    """Return the lengths of an interval below and above its estimate, (2, n)."""
    sides = np.array([part[name] - part[f"{name}_low"], part[f"{name}_high"] - part[name]])
    return np.clip(sides, 0, None)  # a share of 1 ends a rounding error above its interval


def _published_line(ax: Axes, published: float, *, is_vertical: bool, label: bool = True) -> None:
    draw = ax.axvline if is_vertical else ax.axhline
    text = f"published {published:g}" if label else None
    draw(published, color="black", linewidth=1.6, linestyle="--", label=text)


def plot_reported(
    reported: pd.DataFrame,
    *,
    truth: float,
    published: float,
    ax: Axes | None = None,
) -> Axes:
    """Draw what one truth is reported as: by one split, and by cross-validation of the same data.

    Parameters
    ----------
    reported : pandas.DataFrame
        From :func:`evaluation.single_split_tables.reported_aurocs`.
    truth : float
        Which truth to draw.
    published : float
        Where the line stands.
    ax : matplotlib Axes, optional
        Where to draw.

    Returns
    -------
    matplotlib Axes
    """
    ax = _start(reported, ax, ("truth", "method", "auroc_patient"))
    part = reported[reported["truth"] == truth]
    bins = np.arange(0.2, 1.0001, 0.02)
    one = part.loc[part["method"] == ONE_SPLIT, "auroc_patient"].to_numpy()
    folds = part.loc[part["method"].str.match(r"\d+-fold"), "auroc_patient"].to_numpy()
    for values, colour, kind, name in (
        (one, _BLUE, "stepfilled", "one 80/20 split"),
        (folds, _ORANGE, "step", "5-fold, grouped"),
    ):
        share = (values >= published).mean()
        style = {"alpha": 0.45} if kind == "stepfilled" else {"linewidth": 2}
        label = f"{name}: {share:.0%} at {published:g} or more"
        clipped = np.clip(values, bins[0], bins[-1])
        weights = np.full(len(values), 1 / len(values))
        ax.hist(clipped, bins, weights=weights, histtype=kind, color=colour, label=label, **style)
    _published_line(ax, published, is_vertical=True, label=False)
    ax.axvline(truth, color=GREY, linewidth=1.6, linestyle=":")
    ax.set_xlim(bins[0], bins[-1])
    ax.set_ylim(top=1.3 * ax.get_ylim()[1])  # room for the legend
    ax.yaxis.set_major_formatter(PercentFormatter(1))
    add_legend(ax, loc="upper left")
    title = f"Truth {truth:g} (dotted), published {published:g} (dashed); {len(one)} cohorts"
    return _finish(ax, title=title, x="Reported AUROC (no unit)", y="Cohorts (%)")


def plot_shares(shares: pd.DataFrame, *, published: float, ax: Axes | None = None) -> Axes:
    """Draw how often each way of reporting reaches the published AUROC, with Wilson intervals.

    Parameters are those of :func:`plot_reported`, with the table of
    :func:`evaluation.single_split_tables.share_table`.
    """
    ax = _start(shares, ax, ("truth", "method", "share", "share_low", "share_high"))
    methods = list(dict.fromkeys(shares["method"]))
    truths = sorted(shares["truth"].unique())
    for number, truth in enumerate(truths):
        part = shares[shares["truth"] == truth].set_index("method").loc[methods]
        y = np.arange(len(methods)) + 0.22 * (number - (len(truths) - 1) / 2)
        ax.errorbar(
            part["share"],
            y,
            xerr=_sides(part, "share"),
            fmt=_MARKERS[number % len(_MARKERS)],
            color=TRUTH_COLOURS[number % len(TRUTH_COLOURS)],
            capsize=3,
            markersize=7,
            label=f"truth {truth:g}",
        )
    n_cohorts = shares.groupby("method", sort=False)["n_cohorts"].max()
    ax.set_yticks(range(len(methods)), [f"{name}\n({n_cohorts[name]} cohorts)" for name in methods])
    ax.invert_yaxis()
    ax.set_xlim(-0.02, 1.02)
    ax.xaxis.set_major_formatter(PercentFormatter(1))
    ax.grid(axis="x", color="0.9")
    add_legend(ax, loc="upper center", bbox_to_anchor=(0.4, -0.13), ncols=len(truths))
    title = f"How often AUROC {published:g} or more is reported"
    return _finish(ax, title=title, x="Share of cohorts (%)", y="")


def plot_best_of(table: pd.DataFrame, *, published: float, ax: Axes | None = None) -> Axes:
    """Draw the AUROC of the best of k splits: median, and 5 % to 95 % of the cohorts.

    Parameters are those of :func:`plot_reported`, with the table of
    :func:`evaluation.single_split_tables.best_of_table`.
    """
    ax = _start(table, ax, ("truth", "n_splits", "median", "low", "high"))
    for number, (truth, part) in enumerate(table.groupby("truth")):
        colour = TRUTH_COLOURS[number % len(TRUTH_COLOURS)]
        marker = _MARKERS[number % len(_MARKERS)]
        label = f"truth {truth:g}"
        ax.plot(part["n_splits"], part["median"], color=colour, marker=marker, label=label)
        ax.fill_between(part["n_splits"], part["low"], part["high"], color=colour, alpha=0.15)
        ax.axhline(truth, color=colour, linewidth=1, linestyle=":")
    _published_line(ax, published, is_vertical=False)
    ax.set_ylim(top=1.005)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    add_legend(ax, loc="lower right", ncols=2)
    return _finish(
        ax,
        title="Best of several splits of one cohort: median, 5 to 95 %",
        x="Splits (seeds) of which the best is reported",
        y="Reported AUROC (no unit)",
    )


def plot_coverage(intervals: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Draw the share of 95 % intervals that hold the model's true AUROC, by truth and kind.

    The table is that of :func:`evaluation.single_split_tables.interval_table`.
    """
    ax = _start(intervals, ax, ("truth", "interval", "coverage", "coverage_low", "coverage_high"))
    truths = sorted(intervals["truth"].unique())
    for number, (name, part) in enumerate(intervals.groupby("interval", sort=False)):
        part = part.sort_values("truth")
        ax.errorbar(
            np.arange(len(part)) + 0.15 * (number - 1),
            part["coverage"],
            yerr=_sides(part, "coverage"),
            fmt=_MARKERS[number % len(_MARKERS)],
            color=(_ORANGE, _BLUE, _GREEN)[number % 3],
            capsize=3,
            markersize=7,
            label=INTERVAL_NAMES.get(str(name), str(name)),
        )
    ax.axhline(0.95, color=GREY, linewidth=1.4, linestyle="--")
    ax.set_xticks(range(len(truths)), [f"{truth:g}" for truth in truths])
    ax.set_xlim(-0.5, len(truths) - 0.5)
    ax.set_ylim(min(0.5, intervals["coverage_low"].min() - 0.02), 1.01)
    ax.yaxis.set_major_formatter(PercentFormatter(1))
    add_legend(ax, loc="upper center", bbox_to_anchor=(0.5, -0.13), ncols=3, fontsize=10)
    title = "95 % intervals of one split that hold the truth (dashed: 95 %)"
    return _finish(ax, title=title, x="True AUROC (no unit)", y="Intervals (%)")


def plot_networks(
    networks: pd.DataFrame, surrogate: pd.DataFrame, spread: pd.DataFrame, *, ax: Axes | None = None
) -> Axes:
    """Draw reported minus true AUROC of every network over the surrogate's distribution.

    Parameters
    ----------
    networks, surrogate : pandas.DataFrame
        As for :func:`evaluation.single_split_tables.spread_table`.
    spread : pandas.DataFrame
        Its result.
    ax : matplotlib Axes, optional
        Where to draw.

    Returns
    -------
    matplotlib Axes
    """
    ax = _start(networks, ax, ("auroc_patient", "true_patient", "n_test", "n_test_events"))
    first = surrogate[(surrogate["design"] == SPLIT) & (surrogate["number"] == 0)]
    found = first["auroc_patient"] - first["true_patient"]
    bins = np.arange(-0.4, 0.4001, 0.025)
    rows = spread.set_index("source")
    label = f"surrogate, SD {rows.loc['surrogate', 'sd_error']:.3f}"
    weights = np.full(len(found), 1 / len(found))
    ax.hist(np.clip(found, -0.4, 0.4), bins, weights=weights, color=_BLUE, alpha=0.4, label=label)
    n_models = int(rows.loc["networks", "n_models"])
    label = (
        f"{n_models} networks, SD {rows.loc['networks', 'sd_error']:.3f} "
        f"({rows.loc['networks', 'sd_low']:.3f} to {rows.loc['networks', 'sd_high']:.3f})"
    )
    error = networks["auroc_patient"] - networks["true_patient"]
    height = np.full(n_models, -0.012)
    ax.plot(error, height, "|", color=_ORANGE, markersize=16, markeredgewidth=2, label=label)
    ax.set_ylim(-0.025, 1.4 * ax.get_ylim()[1])
    ax.set_yticks([tick for tick in ax.get_yticks() if 0 <= tick <= ax.get_ylim()[1]])
    ax.yaxis.set_major_formatter(PercentFormatter(1))
    add_legend(ax, loc="upper left")
    n, n_events = int(networks["n_test"].iloc[0]), int(networks["n_test_events"].iloc[0])
    title = f"One split against the same model's truth\n{n} test patients, {n_events} events"
    return _finish(ax, title=title, x="Reported minus true AUROC (no unit)", y="Cohorts (%)")


def plot_difference(table: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Draw the interval of a published difference against the correlation that is not published.

    The table is that of :func:`evaluation.published.compared_aurocs`.
    """
    columns = ("n_events", "correlation", "difference", "ci_low", "ci_high")
    ax = _start(table, ax, columns)
    events = sorted(table["n_events"].unique())
    for number, n_events in enumerate(events):
        part = table[table["n_events"] == n_events]
        half = part["ci_high"] - part["difference"]
        ax.errorbar(
            part["correlation"] + 0.025 * (number - (len(events) - 1) / 2),
            part["difference"],
            yerr=half,
            fmt=_MARKERS[number % len(_MARKERS)],
            color=TRUTH_COLOURS[number % len(TRUTH_COLOURS)],
            capsize=3,
            markersize=6,
            label=f"{n_events} events",
        )
    ax.axhline(0, color=GREY, linewidth=1.4, linestyle="--")
    add_legend(ax, loc="lower right", ncols=2)
    return _finish(
        ax,
        title="Difference of the two published AUROCs, 95 % interval",
        x="Correlation of the two AUROCs (not published)",
        y="AUROC difference (no unit)",
    )
