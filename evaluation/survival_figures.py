"""Figures of the time to the event, each drawn from one table of :mod:`evaluation.time_to_event`.

As in :mod:`evaluation.figures`: a table and an optional `ax` go in, the `ax` comes out; n and
events stand in the title.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from evaluation.arrays import require_columns
from evaluation.style import add_legend, finish_axes, start_axes, variant_style

# Okabe & Ito; the lines differ as well.
GROUP_STYLES = {
    "low": ("#009E73", "-"),
    "medium": ("#E69F00", "--"),
    "high": ("#D55E00", "-."),
}
CURVE_TEXTS = {
    "event": ("Cumulative incidence of the event", "Patients with the event (%)"),
    "competing event": ("Cumulative incidence of the competing event", "Patients with it (%)"),
    "event-free": (
        "Kaplan-Meier, competing events taken as censored",
        "Without the event (%)",
    ),
}
LINE_HEIGHT = 0.075  # of the table of numbers at risk, in heights of the axes


def plot_risk_group_curves(
    table: pd.DataFrame, *, variant: str, curve: str = "event", ax: Axes | None = None
) -> Axes:
    """Draw one curve a risk group with its pointwise band, and the numbers at risk below.

    With several repeats each has a thin line without a band, and the numbers are those of the
    first.

    Parameters
    ----------
    table : pandas.DataFrame
        `cumulative_incidence` of the time to the event.
    variant : str
        Which one.
    curve : {"event", "competing event", "event-free"}
        Aalen-Johansen for the first two, Kaplan-Meier for the third.
    ax : matplotlib Axes, optional
        Where to draw.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ValueError
        If the variant or the curve is not in the table.
    """
    require_columns(table, ("variant", "curve", "group", "time_days"), name="table")
    part = table[(table["variant"] == variant) & (table["curve"] == curve)]
    if part.empty:
        raise ValueError(
            f"table must hold the curve {curve!r} of variant {variant!r}, got no such rows. "
            f"Variants: {', '.join(table['variant'].astype(str).unique()) or 'none'}; curves: "
            f"{', '.join(CURVE_TEXTS)}."
        )
    ax = start_axes(part, ax, ("repeat", "estimate", "ci_low", "ci_high"), size=(6.4, 5.2))
    is_first = part["repeat"] == part["repeat"].iloc[0]
    has_band = bool(is_first.all())
    for (repeat, group), rows in part.groupby(["repeat", "group"], sort=False):
        color, line = GROUP_STYLES[str(group)]
        is_labelled = repeat == part["repeat"].iloc[0]
        label = f"{group} risk: {rows['n_events'].iloc[0]} of {rows['n'].iloc[0]} patients"
        label += "" if has_band else " (first repeat)"
        style = {"color": color, "linestyle": line, "drawstyle": "steps-post"}
        width = 2.2 if has_band else 1.0
        ax.plot(
            rows["time_days"],
            100 * rows["estimate"],
            **style,
            linewidth=width,
            label=label if is_labelled else None,
        )
        if has_band:
            low, high = 100 * rows["ci_low"], 100 * rows["ci_high"]
            ax.fill_between(rows["time_days"], low, high, step="post", color=color, alpha=0.15)
    first = part[is_first]
    horizon = float(first["horizon_days"].iloc[0])
    ticks = _ticks(horizon)
    highest = np.nanmax(
        100 * part[["estimate", "ci_high"] if has_band else ["estimate"]].to_numpy()
    )
    ax.set(xlim=(0, horizon), ylim=(0, 102 if curve == "event-free" else max(5, 1.05 * highest)))
    ax.set_xticks(ticks)
    add_legend(ax, loc="lower left" if curve == "event-free" else "upper left")
    sizes = first.drop_duplicates("group")[["n", "n_events"]].sum()
    title, y = CURVE_TEXTS[curve]
    name = variant_style(variant)["label"]
    shown = first.assign(**sizes)
    finish_axes(ax, shown, title=f"{title}\n{name}, groups by risk", x="Days since time zero", y=y)
    _numbers_at_risk(ax, first, ticks)
    return ax


def _ticks(horizon_days: float) -> np.ndarray:
    """Return whole years where the horizon has two or more, otherwise quarters of it."""
    if horizon_days >= 730:
        step = 365 * max(1, round(horizon_days / 365 / 5))
        return np.arange(0, horizon_days + 1, step)
    return np.round(np.linspace(0, horizon_days, 5))


def _numbers_at_risk(ax: Axes, rows: pd.DataFrame, ticks: np.ndarray) -> None:
    """Write below the axis how many of each group are under observation just before each tick."""
    below = {"transform": ax.get_xaxis_transform(), "fontsize": 10, "va": "top"}
    top = -0.17
    ax.text(0, top, "Number at risk", ha="left", **below)
    for k, (group, part) in enumerate(rows.groupby("group", sort=False), 1):
        y, color = top - k * LINE_HEIGHT, GROUP_STYLES[str(group)][0]
        ax.text(
            -0.06, y, str(group), ha="right", color=color, **below | {"transform": ax.transAxes}
        )
        times, n_at_risk = part["time_days"].to_numpy(), part["n_at_risk"].to_numpy()
        at = np.searchsorted(times, ticks)  # the first day on or after the tick
        counts = np.r_[n_at_risk, 0][np.minimum(at, len(times))]
        for tick, count in zip(ticks, counts, strict=True):
            ax.text(tick, y, f"{count:,}", ha="center", **below)


def plot_horizon_auroc(metrics: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Draw the AUROC at each horizon with its interval, mean within folds, a colour a variant.

    Parameters
    ----------
    metrics : pandas.DataFrame
        `survival_metrics` of the time to the event.
    ax : matplotlib Axes, optional
        Where to draw.

    Returns
    -------
    matplotlib Axes
    """
    needed = ("metric", "horizon_days", "estimate", "ci_low", "ci_high")
    ax = start_axes(metrics, ax, needed, size=(6.0, 4.6))
    rows = metrics[metrics["metric"] == "horizon_auroc_mean_within_fold"]
    days = np.sort(rows["horizon_days"].unique())
    width = 0.04 * (days[-1] if days.size else 1.0)
    parts = list(rows.groupby("variant", sort=False))
    for k, (variant, part) in enumerate(parts):
        x = part["horizon_days"] + (k - (len(parts) - 1) / 2) * width / 2
        style = variant_style(str(variant))
        style["label"] = style["label"].replace("_", " ")
        ax.plot(x, part["estimate"], marker="o", markersize=6, linewidth=1.6, **style)
        ax.vlines(x, part["ci_low"], part["ci_high"], color=style["color"], linewidth=1.6)
    ax.axhline(0.5, color="#767676", linewidth=1, linestyle=(0, (1, 3)), label="chance")
    ax.set(ylim=(min(0.4, np.nanmin([0.4, *rows["ci_low"]])), 1.01))
    events = rows.drop_duplicates("horizon_days").set_index("horizon_days")["n_events"]
    ax.set_xticks(days, [f"{day:g}\n{events[day]} events" for day in days])
    add_legend(ax, loc="upper right")
    is_last = rows["horizon_days"] == (days[-1] if days.size else 0)
    names = {"x": "Horizon, days since time zero", "y": "AUROC at the horizon (no unit)"}
    title = "Discrimination by horizon, weighted for censoring"
    return finish_axes(ax, rows[is_last], title=title, **names)
