"""The ECG on paper, to scale."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import Colormap, LinearSegmentedColormap, Normalize
from matplotlib.figure import Figure

from data_processing.leads import LEADS

__all__ = ["LAYOUTS", "plot_ecg"]

# Millimetres of paper: 25 mm are a second, 10 mm are a millivolt.
MM_PER_SECOND, MM_PER_MV = 25.0, 10.0
LAYOUTS: dict[str, tuple[tuple[str, ...], ...]] = {
    "3x4": (("I", "aVR", "V1", "V4"), ("II", "aVL", "V2", "V5"), ("III", "aVF", "V3", "V6")),
    "6x2": tuple(zip(LEADS[:6], LEADS[6:], strict=True)),
}
_ROW_MM = {"3x4": 30.0, "6x2": 25.0}
_MINOR, _MAJOR, _TRACE = "#F6D9D5", "#E9AFA8", "#101010"
_PULSE_MM, _PULSE_BLANK_MM = 5.0, 5.0
_INCHES_PER_MM = 1 / 25.4
_OVERLAY_ALPHA = 0.8
# Cividis without its darkest third: the black trace stays readable on it.
_OVERLAY_COLOURS = LinearSegmentedColormap.from_list(
    "cividis_light", np.vstack([[1, 1, 1, 1], colormaps["cividis"](np.linspace(1.0, 0.45, 8))])
)
# Blue lowers, vermilion raises, nearly black is zero (Okabe & Ito).
_TRACE_COLOURS = LinearSegmentedColormap.from_list(
    "lowers_raises", ["#0072B2", "#6FA8CC", "#303030", "#E39A66", "#D55E00"]
)


def plot_ecg(
    signal_mv: np.ndarray,
    *,
    rate_hz: float,
    layout: str = "3x4",
    title: str = "",
    overlay: np.ndarray | None = None,
    trace_weights: np.ndarray | None = None,
    overlay_label: str = "relative importance",
    r_peaks: Sequence[int] | None = None,
    footnote: str | None = None,
    scale: float = 1.0,
) -> Figure:
    """Draw a 12-lead ECG on paper, to scale: 25 mm/s, 10 mm/mV, calibration pulse.

    Parameters
    ----------
    signal_mv
        (n_samples, 12) millivolts; ``3x4`` shows 2.5 s of each lead one after another and the
        whole of lead II below, ``6x2`` shows 5 s of each. Offsets are removed by the median.
    rate_hz
        Sampling rate.
    layout
        ``3x4`` or ``6x2``.
    title
        Above the paper; may hold a record number, never a name.
    overlay
        (n_samples,) or (n_samples, 12) in [0, 1]: coloured behind the trace, white = 0.
    trace_weights
        (n_samples, 12) in [-1, 1]: colours the trace itself and makes it thicker, blue below 0,
        black at 0, vermilion above; instead of an overlay.
    overlay_label
        Names the colour bar.
    r_peaks
        Samples of R peaks, ticked above the lowest row.
    footnote
        Below the paper, after the speed and gain.
    scale
        Size of the figure against real paper, 1 = to scale when printed.

    Returns
    -------
    Figure

    Raises
    ------
    ValueError
        If the shapes, the layout or the range of the overlay or the weights do not fit.

    Examples
    --------
    >>> figure = plot_ecg(np.zeros((1000, 12)), rate_hz=100, layout="6x2")
    >>> plt.close(figure)
    """
    signal, weights, colours = _checked(signal_mv, overlay, trace_weights, layout)
    grid = LAYOUTS[layout]
    n_shown = min(len(signal), round(10 * rate_hz))
    signal = signal[:n_shown] - np.median(signal, axis=0)
    n_columns = len(grid[0])
    n_rows = len(grid) + (layout == "3x4")
    row_mm = _ROW_MM[layout]
    rest_mm = _PULSE_BLANK_MM + _PULSE_MM + 2.0
    width_mm = np.ceil((rest_mm + n_shown / rate_hz * MM_PER_SECOND + 3) / 5) * 5
    height_mm = np.ceil((n_rows * row_mm + 10) / 5) * 5
    has_bar = weights is not None or colours is not None
    figure, ax = _paper(width_mm, height_mm, scale, has_bar=has_bar)
    baselines = height_mm - 8 - row_mm * (np.arange(n_rows) + 0.5)
    for row, baseline in enumerate(baselines):
        names = grid[row] if row < len(grid) else ("II",)
        _draw_pulse(ax, baseline)
        for position, lead in enumerate(names):
            n_part = n_shown // (n_columns if row < len(grid) else 1)
            part = slice(position * n_part, (position + 1) * n_part)
            x_mm = rest_mm + np.arange(part.start, part.stop) / rate_hz * MM_PER_SECOND
            column = LEADS.index(lead)
            if weights is not None:
                _draw_overlay(ax, x_mm, weights[part, column], baseline, row_mm)
            y_mm = baseline + MM_PER_MV * signal[part, column]
            if colours is None:
                ax.plot(x_mm, y_mm, color=_TRACE, linewidth=0.75 * scale, solid_joinstyle="round")
            else:
                _draw_trace(ax, x_mm, y_mm, colours[part, column], scale)
            _draw_name(ax, lead, x_mm[0], baseline + row_mm / 2 - 1, is_first=position == 0)
    if r_peaks is not None:
        shown = [peak for peak in r_peaks if 0 <= peak < n_shown]
        x_mm = rest_mm + np.asarray(shown, dtype=float) / rate_hz * MM_PER_SECOND
        ax.plot(x_mm, np.full(len(shown), 2.5), "v", color="#0072B2", markersize=4, clip_on=False)
    _draw_texts(figure, ax, title, footnote, n_shown / rate_hz)
    if colours is not None:
        _draw_colour_bar(figure, ax, overlay_label, Normalize(-1, 1), _TRACE_COLOURS, 1.0)
    elif weights is not None:
        _draw_colour_bar(
            figure, ax, overlay_label, Normalize(0, 1), _OVERLAY_COLOURS, _OVERLAY_ALPHA
        )
    return figure


def _checked(
    signal_mv: np.ndarray,
    overlay: np.ndarray | None,
    trace_weights: np.ndarray | None,
    layout: str,
) -> tuple[np.ndarray, np.ndarray | None, np.ndarray | None]:
    """Return signal, overlay for all leads, and weights of the trace."""
    if layout not in LAYOUTS:
        raise ValueError(f"layout must be {' or '.join(LAYOUTS)}, got {layout!r}. Choose one.")
    signal = np.asarray(signal_mv, dtype=np.float64)
    if signal.ndim != 2 or signal.shape[1] != len(LEADS):
        raise ValueError(
            f"signal_mv must be (samples, 12), got shape {signal.shape}. Pass one ECG, leads last."
        )
    if trace_weights is not None:
        if overlay is not None:
            raise ValueError(
                "trace_weights must be given without overlay, got both. Draw two figures."
            )
        shapes = (signal.shape,)
        colours = _checked_weights("trace_weights", trace_weights, shapes, low=-1)
        return signal, None, colours
    if overlay is None:
        return signal, None, None
    weights = _checked_weights("overlay", overlay, (signal.shape, signal.shape[:1]), low=0)
    return signal, np.broadcast_to(weights.reshape(len(signal), -1), signal.shape), None


def _checked_weights(
    name: str, given: np.ndarray, shapes: Sequence[tuple[int, ...]], *, low: int
) -> np.ndarray:
    """Return weights of one of the shapes, in [low, 1]."""
    weights = np.asarray(given, dtype=np.float64)
    if weights.shape not in shapes:
        allowed = "(samples,) or (samples, 12)" if len(shapes) > 1 else "(samples, 12)"
        raise ValueError(
            f"{name} must be {allowed} like the signal, got shape "
            f"{weights.shape} for {shapes[0]}. Interpolate the map to the signal's samples."
        )
    if not (np.isfinite(weights).all() and weights.min() >= low and weights.max() <= 1):
        raise ValueError(
            f"{name} must lie in [{low}, 1], got {weights.min():g} to {weights.max():g}. "
            "Divide by its maximum."
        )
    return weights


def _paper(
    width_mm: float, height_mm: float, scale: float, *, has_bar: bool
) -> tuple[Figure, Axes]:
    """Return a figure whose axes are millimetres of ECG paper."""
    margin_mm = {"left": 4.0, "right": 4.0 + 20.0 * has_bar, "top": 9.0, "bottom": 8.0}
    total = (
        width_mm + margin_mm["left"] + margin_mm["right"],
        height_mm + margin_mm["top"] + margin_mm["bottom"],
    )
    figure = plt.figure(figsize=tuple(side * _INCHES_PER_MM * scale for side in total))
    ax = figure.add_axes(
        (
            margin_mm["left"] / total[0],
            margin_mm["bottom"] / total[1],
            width_mm / total[0],
            height_mm / total[1],
        )
    )
    ax.set(xlim=(0, width_mm), ylim=(0, height_mm), xticks=[], yticks=[])
    for step_mm, colour, width in ((1, _MINOR, 0.35), (5, _MAJOR, 0.6)):
        columns = [[(x, 0), (x, height_mm)] for x in np.arange(0, width_mm + 0.5, step_mm)]
        rows = [[(0, y), (width_mm, y)] for y in np.arange(0, height_mm + 0.5, step_mm)]
        lines = LineCollection(columns + rows, colors=colour, linewidths=width * scale, zorder=1)
        ax.add_collection(lines)
    for spine in ax.spines.values():
        spine.set(color=_MAJOR, linewidth=0.8 * scale)
    return figure, ax


def _draw_pulse(ax: Axes, baseline: float) -> None:
    """Draw 1 mV for 0.2 s at the start of a row."""
    start, end = _PULSE_BLANK_MM - 2, _PULSE_BLANK_MM - 2 + _PULSE_MM
    x = [start - 2, start, start, end, end, end + 2]
    y = baseline + MM_PER_MV * np.array([0, 0, 1, 1, 0, 0])
    ax.plot(x, y, color=_TRACE, linewidth=0.75)


def _draw_name(ax: Axes, lead: str, x: float, y: float, *, is_first: bool) -> None:
    text = ax.text(x + 1, y, lead, va="top", ha="left", fontsize=9, fontweight="bold", zorder=5)
    text.set_bbox({"facecolor": "white", "alpha": 0.75, "edgecolor": "none", "pad": 0.8})
    if not is_first:
        ax.plot([x, x], [y - 8, y - 3], color=_TRACE, linewidth=0.6)


def _draw_overlay(
    ax: Axes, x_mm: np.ndarray, weights: np.ndarray, baseline: float, row_mm: float
) -> None:
    """Colour the stretch of paper behind one lead."""
    step = x_mm[1] - x_mm[0]
    bottom, top = baseline - row_mm / 2 + 0.5, baseline + row_mm / 2 - 0.5
    edges = (x_mm[0] - step / 2, x_mm[-1] + step / 2)
    ax.imshow(
        weights[None],
        extent=(*edges, bottom, top),
        aspect="auto",
        cmap=_OVERLAY_COLOURS,
        norm=Normalize(0, 1),
        interpolation="nearest",
        alpha=_OVERLAY_ALPHA,
        zorder=0.5,
    )


def _draw_trace(
    ax: Axes, x_mm: np.ndarray, y_mm: np.ndarray, weights: np.ndarray, scale: float
) -> None:
    """Draw one lead whose pieces have the colour, and are as thick, as the weights say."""
    points = np.column_stack([x_mm, y_mm])
    middle = (weights[1:] + weights[:-1]) / 2
    lines = LineCollection(
        list(np.stack([points[:-1], points[1:]], axis=1)),
        array=middle,
        cmap=_TRACE_COLOURS,
        norm=Normalize(-1, 1),
        linewidths=scale * (0.75 + 1.75 * np.abs(middle)),
        capstyle="round",
        zorder=2,
    )
    ax.add_collection(lines)


def _draw_colour_bar(
    figure: Figure, ax: Axes, label: str, norm: Normalize, cmap: Colormap, alpha: float
) -> None:
    box = ax.get_position()
    width = 4 * _INCHES_PER_MM / figure.get_figwidth()
    bar_ax = figure.add_axes((box.x1 + width / 2, box.y0, width, box.height), label="<colorbar>")
    bar = figure.colorbar(plt.cm.ScalarMappable(norm=norm, cmap=cmap), cax=bar_ax, alpha=alpha)
    bar.set_label(label, fontsize=9)
    bar.ax.tick_params(labelsize=8)


def _draw_texts(figure: Figure, ax: Axes, title: str, footnote: str | None, seconds: float) -> None:
    ax.set_title(title, loc="left", fontsize=10, pad=4)
    words = f"25 mm/s · 10 mm/mV · {seconds:g} s"
    words += f" · {footnote}" if footnote else ""
    ax.text(0, -1.5, words, transform=ax.transData, va="top", ha="left", fontsize=8, color="#333")
