"""Colours and axes shared by the figures, and how a map that failed its checks is marked."""

from __future__ import annotations

import textwrap
from typing import TypeVar

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")  # Okabe-Ito
INK = "#333333"
COLOUR_BAR = "<colorbar>"  # matplotlib's own label of the axes that it makes for colour bars
_FAILED = COLOURS[1]
_CHARACTERS_AN_INCH = 9.0  # of bold text of 10 points
_HATCH_GID = "failed"

Target = TypeVar("Target", Axes, Figure)


def tidy(ax: Axes) -> Axes:
    """Remove the frame's upper and right line; return `ax`."""
    ax.spines[["top", "right"]].set_visible(False)
    return ax


def mark_failed(target: Target, reason: str) -> Target:
    """Hatch a map that failed its checks, and write the reason across it.

    Parameters
    ----------
    target : Axes or Figure
        What was drawn; of a figure all axes are hatched but its colour bars.
    reason : str
        In plain words, for example "nearly the same with random weights (similarity 0.93)".

    Returns
    -------
    Axes or Figure
        `target`, as given.

    Raises
    ------
    ValueError
        If `reason` is empty: a reader must learn why.

    Examples
    --------
    >>> figure = Figure()
    >>> mark_failed(figure.subplots(), "seeds disagree (0.31)").texts[-1].get_text()
    'FAILED ITS CHECKS: seeds disagree (0.31)'
    """
    if not reason.strip():
        raise ValueError("reason must be a sentence, got nothing. Say which check failed.")
    figure = target if isinstance(target, Figure) else target.get_figure(root=True)
    assert figure is not None  # axes belong to a figure until they are removed
    axes = target.axes if isinstance(target, Figure) else [target]
    for ax in axes:
        if ax.get_label() != COLOUR_BAR and ax.axison:
            ax.add_patch(
                Rectangle(
                    (0, 0), 1, 1, transform=ax.transAxes, facecolor="white", alpha=0.45,
                    linewidth=0, zorder=8, gid=_HATCH_GID,
                )
            )  # fmt: skip
            ax.add_patch(
                Rectangle(
                    (0, 0), 1, 1, transform=ax.transAxes, facecolor="none", edgecolor=INK,
                    hatch="//", linewidth=0, alpha=0.55, zorder=9, gid=_HATCH_GID,
                )
            )  # fmt: skip
    share = 1.0 if isinstance(target, Figure) else target.get_position().width
    width = max(18, int(_CHARACTERS_AN_INCH * 0.9 * share * figure.get_figwidth()))
    text = target.text(
        0.5, 0.5, textwrap.fill(f"FAILED ITS CHECKS: {reason}", width),
        transform=figure.transFigure if isinstance(target, Figure) else target.transAxes,
        ha="center", va="center", fontsize=10, fontweight="bold", color=INK, zorder=20,
    )  # fmt: skip
    text.set_bbox({"facecolor": "white", "edgecolor": _FAILED, "linewidth": 2, "pad": 6})
    text.set_in_layout(False)
    return target
