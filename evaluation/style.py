"""Style that all evaluation figures share: a colour a variant, sizes in titles, legends."""

from __future__ import annotations

import zlib

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from evaluation.arrays import require_columns

# Okabe & Ito, https://jfly.uni-koeln.de/color/: distinguishable with any colour vision. The line
# style carries the same information for prints in grey.
VARIANT_STYLES = {
    "ecg": ("#0072B2", "-", "ECG"),
    "ecg_covariates": ("#D55E00", "--", "ECG + covariates"),
    "ecg_age": ("#009E73", "-.", "ECG + age"),
    "clinical": ("#000000", ":", "Clinical"),
    "training_mean": ("#767676", ":", "Mean of training patients"),
}
OTHER_COLOURS = ("#CC79A7", "#56B4E9", "#E69F00")
OTHER_LINES = ("-", "--", "-.")
GREY = "#767676"
OUTCOME_COLOURS = {0: "#56B4E9", 1: "#D55E00"}


def variant_style(name: str) -> dict[str, str]:
    """Return `color, linestyle, label` of a variant: the same in every figure and every run.

    A variant that is not in the table gets a colour and line from its name.
    """
    if name in VARIANT_STYLES:
        color, line, label = VARIANT_STYLES[name]
        return {"color": color, "linestyle": line, "label": label}
    code = zlib.crc32(name.encode())
    color = OTHER_COLOURS[code % len(OTHER_COLOURS)]
    line = OTHER_LINES[code // len(OTHER_COLOURS) % len(OTHER_LINES)]
    return {"color": color, "linestyle": line, "label": name}


def start_axes(table: pd.DataFrame, ax: Axes | None, columns, *, size=(5.0, 4.6)) -> Axes:
    """Check the table (columns, one target) and return `ax`, or a new one of `size` inches."""
    require_columns(table, ("variant", "n", "n_events", *columns), name="table")
    if "target" in table.columns and len(table["target"].unique()) > 1:
        raise ValueError(
            f"table must hold one target, got {sorted(table['target'].unique())}. "
            "Select the rows of one target and draw a panel each."
        )
    return plt.subplots(figsize=size, layout="constrained")[1] if ax is None else ax


def finish_axes(ax: Axes, table: pd.DataFrame, *, title: str, x: str, y: str) -> Axes:
    """Set the title with patients and events, the names of the axes, and font sizes."""
    sizes = table[["n", "n_events"]].drop_duplicates()
    if len(sizes) == 1:
        n, n_events = (int(v) for v in sizes.iloc[0])
        size = f"n = {n} patients, {n_events} event" + ("" if n_events == 1 else "s")
    elif sizes.empty:
        size = "nothing to draw: one outcome class"
    else:
        size = "n = " + ", ".join(f"{int(n)} ({int(e)} events)" for n, e in sizes.to_numpy())
    ax.set_title(f"{title}\n{size}", fontsize=12)
    ax.set_xlabel(x, fontsize=12)
    ax.set_ylabel(y, fontsize=12)
    ax.tick_params(labelsize=11)
    ax.spines[["top", "right"]].set_visible(False)
    return ax


def add_legend(ax: Axes, **where) -> None:
    """Add a legend if anything has a label."""
    if ax.get_legend_handles_labels()[0]:
        ax.legend(**{"fontsize": 10.5, "frameon": False} | where)


def estimate_row(metrics: pd.DataFrame | None, variant: str, name: str) -> pd.Series | None:
    """Return the first patient-level row of a metric; None when missing or not estimable."""
    if metrics is None:
        return None
    is_wanted = (metrics["variant"] == variant) & (metrics["metric"] == name)
    found = metrics[is_wanted & (metrics["level"] == "patient")]
    return found.iloc[0] if len(found) and np.isfinite(found["estimate"].iloc[0]) else None


def interval_text(metrics: pd.DataFrame | None, variant: str, name: str) -> str:
    """Return "0.76 (0.69 to 0.82)" of a metric, or an empty string."""
    row = estimate_row(metrics, variant, name)
    if row is None:
        return ""
    return with_interval(row["estimate"], row["ci_low"], row["ci_high"])


def with_interval(value: float, low: float, high: float, form: str = ".2f") -> str:
    """Return "0.76 (0.69 to 0.82)"; without an interval the value alone."""
    return f"{value:{form}}" + (f" ({low:{form}} to {high:{form}})" if np.isfinite(low) else "")
