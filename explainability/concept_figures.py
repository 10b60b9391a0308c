"""Figures of the clinical questions: forests of associations, table of replaced waves."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from explainability.explained import RISK, Explained
from explainability.figure_style import COLOURS, INK, tidy
from explainability.r_peaks import LEADS

__all__ = ["plot_associations", "plot_map_associations", "plot_replacements"]

_PLACES = {" ".join(LEADS): "all leads", " ".join(LEADS[:6]): "limb leads"}
_SHARE = "right: the larger the measurement, the more of the map lies in that wave, up or down"
_OUTSIDE_SHARE = 0.1  # of the ECGs: more than that outside the training range is hatched


def plot_associations(
    table: pd.DataFrame, *, ax: Axes, n_rows: int = 15, title: str = "", n_events: int | None = None
) -> Axes:
    """Draw the strongest associations of the score with measurements, alone and adjusted.

    Parameters
    ----------
    table : DataFrame
        Of `concepts.associations`.
    ax : matplotlib Axes
        Where to draw.
    n_rows : int
        Measurements shown, by the size of the adjusted correlation where there is one.
    title : str
        Above the axes.
    n_events : int, optional
        Patients with the event, for the title.

    Returns
    -------
    matplotlib Axes
        Filled points have a false discovery rate of 5 % or less.
    """
    is_adjusted = table["adjusted_for"] != ""
    leading = table[is_adjusted] if is_adjusted.any() else table
    names = _strongest(leading, n_rows)
    series = [("alone", table[~is_adjusted], COLOURS[5], 0.16, "o")]
    if is_adjusted.any():
        given = max(table.loc[is_adjusted, "adjusted_for"], key=len)
        n_given = given.count(",") + 1
        text = f"given {given}" if n_given < 3 else f"given heart rate and {n_given - 1} covariates"
        series.append((text, table[is_adjusted], COLOURS[0], -0.16, "s"))
    by_name = table.drop_duplicates("measurement").set_index("measurement")
    _draw_forest(ax, series, names, list(by_name.loc[names, "label"]))
    ax.set_xlabel("rank correlation with the score (right: higher score where it is larger)")
    heading = title or "What goes together with the network's score"
    ax.set_title(f"{heading}\n{_size(table, names, n_events)}", fontsize=10.5)
    ax.legend(fontsize=9, frameon=False, loc="upper left", bbox_to_anchor=(1.01, 1))
    return tidy(ax)


def plot_map_associations(
    table: pd.DataFrame,
    *,
    ax: Axes,
    n_rows: int = 12,
    n_events: int | None = None,
    explained: Explained = RISK,
) -> Axes:
    """Draw how the map in a wave goes together with what is measured in that wave.

    As `plot_associations`, of `concepts.attribution_associations`: the strongest are those with the
    signed sum of the map, and the axes name what the `explained` score tells.
    """
    raises = f"the more the map in that wave raises the {explained.told}"
    signed, share = (table[table["of"] == kind] for kind in ("signed sum", "share"))
    names = _strongest(signed, n_rows)
    series = [
        (f"right: the larger the measurement, {raises}", signed, COLOURS[1], 0.16, "o"),
        (_SHARE, share, COLOURS[0], -0.16, "s"),
    ]
    rows = signed.set_index("measurement").loc[names]
    labels = [_with_place(*row) for row in rows[["label", "wave", "leads"]].to_numpy()]
    _draw_forest(ax, series, names, labels)
    ax.set_xlabel("rank correlation of the map with the measurement")
    heading = "Does the map follow what is measured in the same wave?"
    ax.set_title(f"{heading}\n{_size(table, names, n_events)}", fontsize=10.5)
    found = ax.get_legend_handles_labels()
    ax.figure.legend(*found, loc="outside lower center", fontsize=9.5, frameon=False)
    return tidy(ax)


def _strongest(table: pd.DataFrame, n_rows: int) -> list[str]:
    """Return the measurements with the largest correlations, strongest first."""
    size = table.dropna(subset="correlation").set_index("measurement")["correlation"].abs()
    return size.sort_values(ascending=False).index[:n_rows].tolist()


def _size(table: pd.DataFrame, names: list[str], n_events: int | None) -> str:
    """Return in words how many measurements and patients a forest shows."""
    n = int(table["n_patients"].max()) if len(table) else 0
    n_all = table.dropna(subset="correlation")["measurement"].nunique()
    events = "" if n_events is None else f", {n_events} events"
    return (
        f"{len(names)} strongest of {n_all} measurements; up to {n} patients{events}\n"
        "95 % intervals; filled: false discovery rate ≤ 5 % over all measurements"
    )


def _with_place(label: str, wave: str, leads: str) -> str:
    """Return a measurement's label with the part of the map it is compared with."""
    if " " not in leads:
        return label  # of one lead, and names it
    return f"{label}\nmap in {wave}, {_PLACES.get(leads, leads.replace(' ', ', '))}"


def _draw_forest(
    ax: Axes,
    series: list[tuple[str, pd.DataFrame, str, float, str]],
    names: list[str],
    labels: list[str],
) -> None:
    """Draw correlations with intervals: label, rows, colour, shift and marker of each series."""
    for label, rows, colour, shift, marker in series:
        shown = rows.set_index("measurement").reindex(names)
        y = np.arange(len(names)) - shift
        ax.hlines(y, shown["ci_low"], shown["ci_high"], color=colour, linewidth=2)
        for is_called, face in ((True, colour), (False, "white")):
            part = ((shown["q_value"] <= 0.05) == is_called).to_numpy()
            ax.plot(
                shown["correlation"].to_numpy()[part], y[part], marker, color=colour, mfc=face,
                ms=6, label=label if is_called else None,
            )  # fmt: skip
    ax.axvline(0.0, color=INK, linewidth=0.8)
    if not names:
        words = "too few patients, or too few measured, for a correlation"
        ax.text(0.5, 0.9, words, transform=ax.transAxes, ha="center", va="bottom")
    ax.set_yticks(range(len(names)), labels, fontsize=9.5)
    ax.set_ylim(len(names) - 0.4, -0.6)
    ax.set_xlim(-1.0, 1.0)
    ax.set_xticks(np.linspace(-1.0, 1.0, 9), minor=True)
    ax.set_xticks(np.linspace(-1.0, 1.0, 5))
    ax.grid(axis="y", color="#E4E4E4", linewidth=0.8)
    ax.set_axisbelow(True)


def plot_replacements(
    table: pd.DataFrame, *, ax: Axes, title: str = "", explained: Explained = RISK
) -> Axes:
    """Draw how much the score changes with every wave replaced in every group of leads.

    Parameters
    ----------
    table : DataFrame
        Of `counterfactual.change_table`.
    ax : matplotlib Axes
        Where to draw.
    title : str
        Above the axes.
    explained : Explained
        What the score is.

    Returns
    -------
    matplotlib Axes
        Colour: mean size of the change. Hatched: in more than a tenth of the ECGs the altered ECG
        is outside the training range.
    """
    waves, leads = list(dict.fromkeys(table["wave"])), list(dict.fromkeys(table["leads"]))
    size = table.pivot(index="wave", columns="leads", values="size_logit").loc[waves, leads]
    size = size.to_numpy(float)
    top = max(float(np.nanmax(np.r_[size.ravel(), 0.0])), 1e-6)
    image = ax.imshow(size, cmap="Blues", vmin=0.0, vmax=1.25 * top, aspect="auto")
    for cell in table.to_dict("records"):
        row, column = waves.index(cell["wave"]), leads.index(cell["leads"])
        words = f"{cell['size_logit']:.2f}\n({cell['size_low']:.2f} to {cell['size_high']:.2f})"
        colour = "white" if cell["size_logit"] > 0.8 * top else INK
        ax.text(column, row, words, ha="center", va="center", fontsize=9, color=colour)
        if cell["n_outside_training_range"] > _OUTSIDE_SHARE * max(cell["n_patients"], 1):
            place = (column - 0.5, row - 0.5)
            ax.add_patch(Rectangle(place, 1, 1, fill=False, hatch="//", edgecolor=INK, lw=0))
    ax.set_xticks(range(len(leads)), leads)
    ax.set_yticks(range(len(waves)), waves)
    ax.set_xlabel("leads replaced (III, aVR, aVL and aVF follow the limb leads)")
    ax.set_ylabel("part of the beat replaced")
    ax.figure.colorbar(image, ax=ax, label=f"mean size of the change ({explained.score})")
    n = int(table["n_patients"].max()) if len(table) else 0
    heading = title or f"The network's score with the mean wave of patients {explained.without}"
    ax.set_title(
        f"{heading}\n{n} held-out patients; 95 % over patients; hatched: unlike the training ECGs",
        fontsize=10.5,
    )
    return ax
