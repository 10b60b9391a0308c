"""Forest plots: estimates with intervals, one row each, and the value of no effect."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from evaluation.style import (
    GREY,
    finish_axes,
    interval_text,
    start_axes,
    variant_style,
    with_interval,
)


def draw_intervals(
    ax: Axes, rows: pd.DataFrame, colors: Sequence[str], texts: Sequence[str]
) -> None:
    """Draw `estimate, ci_low, ci_high` of each row, the first on top, and its text beside the axis.

    What is NaN is not drawn. Beside the axis no interval can run through a text.
    """
    place = {"transform": ax.get_yaxis_transform(), "va": "center", "fontsize": 10}
    for k, (value, low, high) in enumerate(rows[["estimate", "ci_low", "ci_high"]].to_numpy(float)):
        ax.text(1.02, k, texts[k], **place)
        if np.isfinite(value):
            ax.plot([low, high], [k, k], color=colors[k], linewidth=2.2)
            ax.plot(value, k, marker="s", markersize=7, color=colors[k])
    ax.set_ylim(len(rows) - 0.5, -0.5)


def plot_auroc_forest(
    table: pd.DataFrame, *, metric: str = "auroc_mean_within_fold", ax: Axes | None = None
) -> Axes:
    """Draw the AUROC of every variant with its interval, and the line of chance.

    Parameters
    ----------
    table : pandas.DataFrame
        `metrics` of the evaluation.
    metric : str
        Which row; the first of several methods is drawn.
    ax : matplotlib Axes, optional
        Where to draw.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ValueError
        If the table has no such metric at patient level.
    """
    columns = ("level", "metric", "estimate", "ci_low", "ci_high")
    ax = start_axes(table, ax, columns, size=(6.0, 3.0))
    rows = table[(table["metric"] == metric) & (table["level"] == "patient")]
    rows = rows.drop_duplicates("variant").reset_index(drop=True)
    if rows.empty:
        raise ValueError(
            f"metric must be one of {sorted(table['metric'].unique())}, got {metric!r}. "
            "Pass the metrics table of the evaluation."
        )
    ax.axvline(0.5, color=GREY, linewidth=1, linestyle=(0, (1, 3)))
    styles = [variant_style(name) for name in rows["variant"]]
    texts = [interval_text(rows, name, metric) or "not estimable" for name in rows["variant"]]
    draw_intervals(ax, rows, [style["color"] for style in styles], texts)
    ax.set_yticks(range(len(rows)), [style["label"] for style in styles])
    lowest = float(np.nanmin(np.r_[0.5, rows["ci_low"], rows["estimate"]]))
    ax.set_xlim(max(0.0, lowest - 0.03), 1.0)
    title = "AUROC " + metric.removeprefix("auroc_").replace("_", " ")
    return finish_axes(ax, rows, title=title, x="AUROC (0.5 = chance)", y="")


def plot_subgroups(
    table: pd.DataFrame, *, variant: str, metric: str = "auroc_pooled", ax: Axes | None = None
) -> Axes:
    """Draw the AUROC of one variant in each subgroup, with patients and events beside it.

    Parameters
    ----------
    table : pandas.DataFrame
        `subgroups` of the evaluation.
    variant : str
        Which one.
    metric : str
        Which row.
    ax : matplotlib Axes, optional
        Where to draw.

    Returns
    -------
    matplotlib Axes
        A subgroup too small to be analysed has its counts and no point.
    """
    columns = ("subgroup", "metric", "estimate", "ci_low", "ci_high")
    rows = table[(table["variant"] == variant) & (table["metric"] == metric)]
    rows = rows.reset_index(drop=True)
    ax = start_axes(rows, ax, columns, size=(7.0, 1.4 + 0.32 * len(rows)))
    color = variant_style(variant)["color"]
    ax.axvline(0.5, color=GREY, linewidth=1, linestyle=(0, (1, 3)))
    texts = []
    for row in rows.to_dict("records"):
        is_known = np.isfinite(row["estimate"])
        found = with_interval(row["estimate"], row["ci_low"], row["ci_high"])
        counts = f"{int(row['n_events'])} / {int(row['n'])}"
        texts.append(f"{counts}   {found if is_known else 'too few to analyse'}")
    draw_intervals(ax, rows, [color] * len(rows), texts)
    ax.set_yticks(range(len(rows)), list(rows["subgroup"]))
    known = rows["ci_low"].dropna()
    ax.set_xlim(max(0.0, min([0.45, *known]) - 0.03), 1.0)
    finish_axes(ax, rows.iloc[:0], title="", x="AUROC, folds pooled (0.5 = chance)", y="")
    ax.set_title(
        f"Subgroups: {variant_style(variant)['label']}\nbeside each: events / patients, AUROC",
        fontsize=12,
    )
    ax.tick_params(axis="y", labelsize=9.5)
    return ax
