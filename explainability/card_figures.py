"""Pictures of a report card: verdicts by shape and word, and the curves of deletion, insertion."""

from __future__ import annotations

import textwrap

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from explainability.card_rules import FAIL, NOT_MADE, PASS, REPORTED
from explainability.figure_style import COLOURS, INK, tidy
from explainability.report_card import map_verdict

_SHAPES = {
    PASS: ("o", COLOURS[0], "PASS"),
    FAIL: ("X", COLOURS[1], "FAIL"),
    NOT_MADE: ("s", "white", "not made"),
}
_RANKINGS = {
    "map": (COLOURS[0], "-", "what the map ranks highest"),
    "random": ("#767676", "--", "random places"),
    "qrs": (COLOURS[1], ":", "QRS complexes first"),
}
_WORDS = {
    "deletion": ("replaced by straight lines", "fall of the score"),
    "insertion": ("kept, the rest straight lines", "rise of the score above a flat line"),
}
_GOOD = "#009E7322"


def plot_report_card(card: pd.DataFrame, *, title: str, ax: Axes | None = None) -> Axes:
    """Draw a card: a row a check, its interval beside the limit, its verdict in words.

    Parameters
    ----------
    card : DataFrame
        From `report_card.report_card`.
    title : str
        Method, variant and cohort.
    ax : Axes, optional
        Where to draw; about 11 by 7 inches.

    Returns
    -------
    Axes
        Right of the middle line is the side where a check passes; each row has a scale of its
        own, so lengths are not compared between rows. The numbers stand beside.
    """
    if ax is None:
        _, ax = plt.subplots(figsize=(14, 1.8 + 0.42 * len(card)), layout="constrained")
    ax.axvspan(0, 1.15, color=_GOOD, linewidth=0)
    ax.axvline(0, color=INK, linewidth=1.2)
    for place, row in enumerate(card.itertuples()):
        _draw_row(ax, place, row)
    names = [f"{row.question}\n({_role(row.role)})" for row in card.itertuples()]
    ax.set_yticks(range(len(card)), names, fontsize=9)
    ax.set_ylim(len(card) - 0.4, -0.6)
    ax.set_xlim(-1.15, 1.15)
    ax.set_xticks([-0.6, 0, 0.6], ["fails", "limit", "passes"], fontsize=10)
    sentence = textwrap.fill(map_verdict(card).sentence, 110)
    ax.set_title(f"{title}\n{sentence}", fontsize=11)
    ax.tick_params(length=0)
    return tidy(ax)


def plot_replacement(values: pd.DataFrame, *, kind: str, ax: Axes) -> Axes:
    """Draw the mean score by share of the ECG that is replaced (deletion) or kept (insertion).

    Parameters
    ----------
    values : DataFrame
        From `card_measures.measure_maps`.
    kind : {"deletion", "insertion"}
        Which of the two.
    ax : Axes
        Where to draw.
    """
    action, effect = _WORDS[kind]
    curves = values[values["measure"].str.startswith(f"{kind}_curve_")]
    for name, (colour, line, label) in _RANKINGS.items():
        one = curves[curves["measure"] == f"{kind}_curve_{name}"]
        by_patient = one.groupby(["at", "patient_id"])["value"].mean()
        mean = by_patient.groupby("at").mean()
        ax.plot([0, *100 * mean.index], [0, *mean], line, color=colour, label=label, marker="o")
    n_patients, n_records = curves["patient_id"].nunique(), curves["record_id"].nunique()
    ax.set_xlabel(f"share of the ECG {action} (%)")
    ax.set_ylabel(effect)
    ax.set_title(f"{kind.capitalize()}; {n_patients} patients, {n_records} ECGs", fontsize=10)
    ax.legend(fontsize=9, frameon=False)
    return tidy(ax)


def card_panel(
    card: pd.DataFrame, values: pd.DataFrame, *, title: str
) -> tuple[Figure, str, pd.DataFrame]:
    """Draw card and curves in one figure; return figure, caption and the card."""
    height = 1.4 + 0.42 * len(card)
    figure = plt.figure(figsize=(14, height + 3.6), layout="constrained")
    parts = np.ravel(figure.subfigures(2, 1, height_ratios=[height, 3.6]))
    plot_report_card(card, title=title, ax=parts[0].subplots())
    for kind, ax in zip(("deletion", "insertion"), parts[1].subplots(1, 2), strict=True):
        plot_replacement(values, kind=kind, ax=ax)
    caption = (
        f"{map_verdict(card).sentence} Intervals: 95 %, bootstrap of patients, conditional on the "
        "networks and on the random weights drawn. A circle passes, a cross fails, an empty square "
        "was not made; each row has its own scale."
    )
    return figure, caption, card


def _draw_row(ax: Axes, place: int, row) -> None:
    shape, colour, word = _SHAPES[row.verdict]
    sign = 1.0 if row.side == "above" else -1.0
    ends = [sign * (value - row.limit) for value in (row.ci_low, row.estimate, row.ci_high)]
    text = f"{word}: {_numbers(row)}"
    if np.isfinite(ends).all():
        scale = max(np.abs(ends).max(), 1e-12)
        low, middle, high = (end / scale for end in ends)
        ax.plot([low, high], [place, place], color=INK, linewidth=2)
    else:
        middle = 0.0
    ax.plot(middle, place, shape, color=colour, markeredgecolor=INK, markersize=9)
    where = {"transform": ax.get_yaxis_transform(), "va": "center", "fontsize": 9}
    weight = "bold" if row.verdict == FAIL and row.role != REPORTED else "normal"
    ax.text(1.02, place, text, fontweight=weight, **where)


def _numbers(row) -> str:
    """Return "0.63 (0.55 to 0.71) similarity; limit above 0.5; 40 patients"."""
    if row.verdict == NOT_MADE:
        return row.reason.removeprefix("Not made: ").split(".")[0]
    interval = f"{row.estimate:.2f} ({row.ci_low:.2f} to {row.ci_high:.2f}) {row.unit}"
    return f"{interval}; to be {row.side} {row.limit:g}; {row.n} patients"


def _role(role: str) -> str:
    return {REPORTED: "reported, decides nothing"}.get(role, role)
