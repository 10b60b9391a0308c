"""Colours and axes shared by the figures, and how a map that failed its checks is marked."""

from __future__ import annotations

import textwrap
from typing import TypeVar

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from scipy.ndimage import uniform_filter1d

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")  # Okabe-Ito
INK = "#333333"
COLOUR_BAR = "<colorbar>"  # matplotlib's own label of the axes that it makes for colour bars
# Blue lowers the risk, vermilion raises it. Between them ink on a trace and white on an area.
TRACE_COLOURS = LinearSegmentedColormap.from_list(
    "lowers_raises_trace", [COLOURS[0], "#6FA8CC", "#3A3A3A", "#E39A66", COLOURS[1]]
)
AREA_COLOURS = LinearSegmentedColormap.from_list(
    "lowers_raises_area", [COLOURS[0], "#FFFFFF", COLOURS[1]]
)
_FAILED = COLOURS[1]
_CHARACTERS_AN_INCH = 9.0  # of bold text of 10 points
_HATCH_GID = "failed"

Target = TypeVar("Target", Axes, Figure)


def tidy(ax: Axes) -> Axes:
    """Remove the frame's upper and right line; return `ax`."""
    ax.spines[["top", "right"]].set_visible(False)
    return ax


def unit_map(
    map_: np.ndarray, *, rate_hz: float, smooth_seconds: float = 0.05, quantile: float = 0.995
) -> np.ndarray:
    """Return a map of one record smoothed in time and scaled to [-1, 1], to colour a trace by.

    Parameters
    ----------
    map_ : array of shape (n_samples,) or (n_samples, n_leads)
        Signed or not.
    rate_hz : float
        Its sampling rate.
    smooth_seconds : float
        Length of the moving average; single samples of gradients change their sign too often to
        be seen. 0 leaves the map as it is.
    quantile : float
        Of |map|, over all leads: what lies above has the full colour.

    Returns
    -------
    float array, shape of `map_`
        Zeros for an empty map. For pictures only; shares are made from the map itself.

    Examples
    --------
    >>> unit_map(np.array([0.0, 2.0, -1.0]), rate_hz=100, smooth_seconds=0, quantile=1).tolist()
    [0.0, 1.0, -0.5]
    """
    values = np.asarray(map_, dtype=np.float64)
    n_mean = round(smooth_seconds * rate_hz)
    if n_mean > 1:
        values = uniform_filter1d(values, n_mean, axis=0, mode="nearest")
    top = np.quantile(np.abs(values), quantile)
    return np.clip(values / top, -1, 1) if top > 0 else np.zeros_like(values)


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
