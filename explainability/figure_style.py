"""Colours and axes shared by the figures: Okabe & Ito, told apart by colour-blind readers."""

from __future__ import annotations

from matplotlib.axes import Axes

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")  # Okabe-Ito
INK = "#333333"


def tidy(ax: Axes) -> Axes:
    """Remove the frame's upper and right line; return `ax`."""
    ax.spines[["top", "right"]].set_visible(False)
    return ax
