"""Figures of how the mass of maps divides among leads and waves, and of its mass in windows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from explainability.figure_style import AREA_COLOURS, COLOURS, tidy
from explainability.sanity_checks import WindowTest
from explainability.wave_shares import round_to_hundred


def plot_window_mass(tests: Mapping[str, WindowTest], *, ax: Axes) -> Axes:
    """Draw the share of map mass in each window against the same window shifted in time.

    Parameters
    ----------
    tests : mapping of str to WindowTest
        From `shifted_window_null`, one a window.
    ax : Axes
        Where to draw.

    Returns
    -------
    Axes
        A point a window, a bar for the central 95 % under shifted windows, and the p value.

    Raises
    ------
    ValueError
        If `tests` is empty.
    """
    if not tests:
        raise ValueError("tests must hold at least one window, got none. Run shifted_window_null.")
    positions = np.arange(len(tests))
    results = list(tests.values())
    low = np.array([100 * test.null_low for test in results])
    high = np.array([100 * test.null_high for test in results])
    ax.barh(
        positions,
        high - low,
        left=low,
        height=0.5,
        color="#BBBBBB",
        label="95 % of shifted windows",
    )
    ax.plot(
        [100 * test.share for test in results],
        positions,
        "o",
        color=COLOURS[1],
        markersize=8,
        label="window in place",
    )
    for position, test in zip(positions, results, strict=True):
        ax.annotate(
            f"×{test.enrichment:.2f}, p = {test.p_value:.3f}",
            (1.01, position),
            xycoords=("axes fraction", "data"),
            va="center",
            fontsize=9,
        )
    ax.set_yticks(positions, list(tests))
    ax.set_ylim(len(tests) - 0.5, -0.5)
    ax.set_xlim(left=0)
    ax.set_xlabel("share of |map| inside the window (%)")
    ax.set_title(
        f"Map mass and windows; {_span(results, 'n_patients')} patients, "
        f"{_span(results, 'n_records')} records; p one-sided",
        fontsize=10,
    )
    ax.legend(fontsize=9, frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.18), ncols=2)
    return tidy(ax)


def _span(results: Sequence[WindowTest], attribute: str) -> str:
    """Return "12", or "10–12" where the windows were tested on different numbers."""
    counts: list[Any] = sorted({getattr(result, attribute) for result in results})
    return str(counts[0]) if len(counts) == 1 else f"{counts[0]}–{counts[-1]}"


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
