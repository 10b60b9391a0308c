"""Two cohorts side by side, drawn."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from evaluation.arrays import require_columns
from evaluation.style import GREY, VARIANT_STYLES

LARGE = 0.2  # a standardised difference worth a look (Austin 2009, doi 10.1002/sim.3697)


def plot_case_mix(table: pd.DataFrame, *, n_events: int, ax: Axes | None = None) -> Axes:
    """Draw how far the external patients lie from those the model was trained on.

    Parameters
    ----------
    table : pandas.DataFrame
        From :func:`evaluation.external.case_mix_table`.
    n_events : int
        Of the external cohort, for the title.
    ax : matplotlib Axes, optional
        Where to draw.

    Returns
    -------
    matplotlib Axes
    """
    needed = ("what", "variant", "standardised_difference", "sd_ratio", "n_external")
    require_columns(table, needed, name="table")
    if ax is None:
        ax = plt.subplots(figsize=(6.4, 0.42 * len(table) + 1.6), layout="constrained")[1]
    ax.axvspan(-LARGE, LARGE, color=GREY, alpha=0.15, lw=0)
    ax.axvline(0, color=GREY, linewidth=1)
    places = np.arange(len(table))
    ax.plot(table["standardised_difference"], places, "o", color="#0072B2", markersize=7)
    for place, ratio in zip(places, table["sd_ratio"], strict=True):
        text = f"SD ratio {ratio:.2f}" if np.isfinite(ratio) else "not known"
        where = {"transform": ax.get_yaxis_transform(), "va": "center", "fontsize": 9.5}
        ax.text(1.02, place, text, **where)
    labels = [
        f"{row.what}: {VARIANT_STYLES.get(row.variant, ('', '', row.variant))[2]}"
        if row.variant
        else str(row.what)
        for row in table.itertuples()
    ]
    ax.set_yticks(places, [label.replace("_", " ") for label in labels])
    ax.set_ylim(len(table) - 0.5, -0.5)
    widest = float(np.nan_to_num(table["standardised_difference"].abs().max(), nan=0.0))
    ax.set_xlim(-1.1 * max(widest, 0.4), 1.1 * max(widest, 0.4))
    n = int(table["n_external"].max())
    ax.set_title(f"Are the patients alike?\nn = {n} external patients, {n_events} events", size=12)
    ax.set_xlabel("Standardised difference, external − training", fontsize=12)
    ax.spines[["top", "right"]].set_visible(False)
    return ax
