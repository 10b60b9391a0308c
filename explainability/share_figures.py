"""Figures of how the mass of maps divides among leads and waves, and of its mass in windows."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from explainability.figure_style import AREA_COLOURS
from explainability.wave_shares import round_to_hundred


def plot_share_table(table: pd.DataFrame, *, ax: Axes, title: str = "") -> Axes:
    """Draw the shares of leads and waves as a table coloured by their excess over the amplitude.

    Parameters
    ----------
    table : DataFrame
        From `wave_shares.share_table`, by lead and wave.
    ax : Axes
        Where to draw; its figure gets a colour bar.
    title : str
        First line of the title, for example the method.

    Returns
    -------
    Axes
        Each cell shows the share of the map and, in brackets, the share of the ECG's own
        amplitude; what is printed adds to 100.0 each. Bold: the interval of the excess, over
        patients, is on one side of 0.
    """
    leads, waves = list(dict.fromkeys(table["lead"])), list(dict.fromkeys(table["wave"]))
    shape = (len(leads), len(waves))
    excess = table["excess_percent_points"].to_numpy().reshape(shape)
    share = round_to_hundred(table["share_percent"].to_numpy()).reshape(shape)
    height = round_to_hundred(table["expected_by_amplitude_percent"].to_numpy()).reshape(shape)
    is_clear = ((table["excess_low"] > 0) | (table["excess_high"] < 0)).to_numpy().reshape(shape)
    top = max(float(np.abs(excess).max()), 0.1)
    image = ax.imshow(excess, cmap=AREA_COLOURS, vmin=-top, vmax=top, aspect="auto")
    for row, column in np.ndindex(shape):
        is_dark = abs(excess[row, column]) > 0.75 * top
        ax.text(
            column, row, f"{share[row, column]:.1f} ({height[row, column]:.1f})",
            ha="center", va="center", fontsize=8.5, color="white" if is_dark else "black",
            fontweight="bold" if is_clear[row, column] else "normal",
        )  # fmt: skip
    exact = table["share_percent"].to_numpy().reshape(shape)
    by_wave, by_lead = round_to_hundred(exact.sum(axis=0)), round_to_hundred(exact.sum(axis=1))
    ax.set_xticks(
        range(len(waves)), [f"{wave}\n{s:.1f} %" for wave, s in zip(waves, by_wave, strict=True)]
    )
    ax.set_yticks(
        range(len(leads)), [f"{lead}  {s:.1f} %" for lead, s in zip(leads, by_lead, strict=True)]
    )
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    ax.set_xlabel(
        "share of |map| in % (in brackets: of |mV|); bold: they differ, 95 % over patients"
    )
    bar = ax.figure.colorbar(image, ax=ax, aspect=30, pad=0.02)
    bar.set_label("map minus amplitude\n(% points)", fontsize=9)
    counts = f"{table['n_patients'].iloc[0]} patients, {table['n_records'].iloc[0]} records"
    ax.set_title((f"{title}\n" if title else "") + f"Leads and waves; {counts}", fontsize=10)
    return ax
