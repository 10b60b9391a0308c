"""Figures of mean and median beats with their maps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.collections import LineCollection
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from explainability.beats import WINDOWS, GroupBeat
from explainability.figure_style import COLOURS, INK, TRACE_COLOURS, tidy
from explainability.r_peaks import LEADS
from explainability.wave_shares import PARTS

Spans = Mapping[str, tuple[float, float]]
_LINES = ("-", "--", "-.", ":")
_MAX_GROUPS = len(COLOURS)


def plot_group_leads(
    beats: Sequence[GroupBeat],
    maps: Sequence[GroupBeat],
    seconds: np.ndarray,
    *,
    leads: Sequence[str] = ("II", "V2", "V5"),
    spans: Spans = WINDOWS,
    map_label: str = "mean map (logit)",
    note: str = "",
) -> Figure:
    """Draw the mean beat of each group above its mean map, one column a lead.

    Parameters
    ----------
    beats, maps : sequence of GroupBeat
        From `group_mean_beats`, in the same groups; arrays (n_beat_samples, 12), a map without a
        lead axis is drawn in every column.
    seconds : array of shape (n_beat_samples,)
        Relative to R.
    leads : sequence of str
        Which, of `r_peaks.LEADS`.
    spans : mapping of str to (start, end) in seconds
        Where the waves lie, from `window_spans`.
    map_label : str
        Label of the map's axis, with unit.
    note : str
        Second line of the title.

    Returns
    -------
    Figure
        Bands are 95 % over patients, pointwise; the legend tells patients and records.

    Raises
    ------
    ValueError
        If groups differ or a lead is unknown.
    """
    _check_groups(beats, maps)
    for lead in leads:
        if lead not in LEADS:
            raise ValueError(f"leads must be among {', '.join(LEADS)}, got {lead!r}. Correct it.")
    figure = Figure(figsize=(3.3 * len(leads) + 0.6, 5.6), layout="constrained")
    grid = figure.subplots(
        2, len(leads), sharex=True, sharey="row", height_ratios=[3, 2], squeeze=False
    )
    for column, lead in enumerate(leads):
        for row, groups in enumerate((beats, maps)):
            axis = grid[row, column]
            _draw_windows(axis, seconds, named=row == 0, spans=spans)
            for number, group in enumerate(groups):
                _draw_group(axis, group, seconds, number, LEADS.index(lead))
        grid[0, column].set_title(lead, fontsize=10, fontweight="bold")
        grid[0, column].margins(y=0.14)  # room for the names of the windows
        grid[1, column].axhline(0, color=INK, linewidth=0.6)
        grid[1, column].set_xlabel("time from R peak (s)")
    grid[0, 0].set_ylabel("mean beat (mV)")
    grid[1, 0].set_ylabel(map_label)
    handles, labels = grid[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, fontsize=9, frameon=False, loc="outside lower center", ncols=2)
    title = "Mean beat and mean map by group; bands: 95 % over patients, pointwise"
    figure.suptitle(title + (f"\n{note}" if note else ""), fontsize=10)
    return figure


def plot_median_beats(
    ecg_mv: np.ndarray,
    map_: np.ndarray,
    seconds: np.ndarray,
    *,
    spans: Spans = WINDOWS,
    shares: np.ndarray | None = None,
    title: str = "",
    score: str = "logit",
) -> Figure:
    """Draw the median beat of each lead, coloured by the map, with the shares of its waves.

    Parameters
    ----------
    ecg_mv : array of shape (n_beat_samples, 12)
        Of a record, or a mean over patients, leads in the order of `r_peaks.LEADS`.
    map_ : array of shape (n_beat_samples, 12)
        Signed map on the same beats; the colour scale ends at its largest absolute value.
    seconds : array of shape (n_beat_samples,)
        Relative to R.
    spans : mapping of str to (start, end) in seconds
        Where the waves lie, from `window_spans`; a wave that was not found is left out.
    shares : array of shape (12, 5), optional
        Per cent of the whole map in the order of `wave_shares.PARTS`, printed below the waves.
    title : str
        Says whose beat it is, with counts.
    score : str
        What the map is made of, for its colour bar.

    Returns
    -------
    Figure
        Twelve panels in the order of the paper, all to one scale.

    Raises
    ------
    ValueError
        If shapes differ.
    """
    shape = (len(seconds), len(LEADS))
    if np.shape(ecg_mv) != shape or np.shape(map_) != shape:
        raise ValueError(
            f"ecg_mv and map_ must be of shape {shape}, got {np.shape(ecg_mv)} and "
            f"{np.shape(map_)}. Pass one beat with its map."
        )
    figure = Figure(figsize=(10.0, 7.0), layout="constrained")
    grid = figure.subplots(3, 4, sharex=True, sharey=True)
    top = float(np.nanmax(np.abs(map_))) or 1.0
    norm = Normalize(-top, top)
    for number, (lead, axis) in enumerate(zip(LEADS, grid.T.ravel(), strict=True)):
        _draw_windows(axis, seconds, named=number % 3 == 0, spans=spans)
        _draw_coloured(axis, seconds, ecg_mv[:, number], map_[:, number], norm)
        total = "" if shares is None else f": {shares[number].sum():.1f} %"
        axis.set_title(f"{lead}{total}", fontsize=10, fontweight="bold", loc="left")
        if shares is not None:
            _write_shares(axis, shares[number], spans)
    low, high = np.nanmin(ecg_mv), np.nanmax(ecg_mv)
    height = (high - low) or 1.0
    grid[0, 0].set_ylim(low - 0.3 * height, high + 0.18 * height)
    figure.supxlabel("time from R peak (s)", fontsize=10)
    figure.supylabel("mV", fontsize=10)
    bar = figure.colorbar(ScalarMappable(norm, TRACE_COLOURS), ax=grid, aspect=40, pad=0.01)
    text = f"map (change of the {score} a sample): below 0 lowers, above 0 raises"
    bar.set_label(text, fontsize=9)
    below = "" if shares is None else "; per cent of the whole map below each wave"
    figure.suptitle(title + below, fontsize=10)
    return figure


def _draw_coloured(
    ax: Axes, seconds: np.ndarray, values: np.ndarray, weights: np.ndarray, norm: Normalize
) -> None:
    """Draw a line whose pieces have the colour, and are as thick, as the weights say."""
    points = np.column_stack([seconds, values])
    middle = (weights[1:] + weights[:-1]) / 2
    widths = 1.0 + 2.5 * np.abs(middle) / float(norm.vmax or 1.0)
    pieces = np.stack([points[:-1], points[1:]], axis=1)
    lines = LineCollection(
        list(pieces), array=middle, cmap=TRACE_COLOURS, norm=norm, linewidths=widths
    )
    lines.set_capstyle("round")
    ax.add_collection(lines)
    ax.autoscale_view()


def _write_shares(ax: Axes, shares: np.ndarray, spans: Spans) -> None:
    """Print the share of each wave below it."""
    for name, share in zip(PARTS, shares, strict=True):
        if name in spans:
            middle = float(np.mean(spans[name]))
            ax.text(
                middle, 0.03, f"{share:.1f}", transform=ax.get_xaxis_transform(),
                ha="center", va="bottom", fontsize=8, color=INK,
            )  # fmt: skip


def _check_groups(beats: Sequence[GroupBeat], maps: Sequence[GroupBeat]) -> None:
    names = [group.group for group in beats]
    if names != [group.group for group in maps] or not 1 <= len(names) <= _MAX_GROUPS:
        raise ValueError(
            f"maps must hold the same 1 to {_MAX_GROUPS} groups as beats, got "
            f"{[group.group for group in maps]} for {names}. Make both with the same groups."
        )


def _draw_windows(ax: Axes, seconds: np.ndarray, *, named: bool, spans: Spans = WINDOWS) -> None:
    """Shade every other window and name them at the upper edge."""
    for number, (name, (start, end)) in enumerate(spans.items()):
        start, end = max(start, seconds[0]), min(end, seconds[-1])
        ax.axvspan(start, end, color="#000000", alpha=0.07 if number % 2 else 0.02, linewidth=0)
        if named:
            ax.text(
                (start + end) / 2, 0.98, name, transform=ax.get_xaxis_transform(),
                ha="center", va="top", fontsize=9, color=INK,
            )  # fmt: skip
    ax.axvline(0, color=INK, linewidth=0.6, linestyle=":")
    ax.set_xlim(seconds[0], seconds[-1])
    tidy(ax)


def _draw_group(ax: Axes, group: GroupBeat, seconds: np.ndarray, number: int, lead: int) -> None:
    """Draw one group's mean as a line and its interval as a band."""
    parts = (group.mean, group.low, group.high)
    mean, low, high = (part if part.ndim == 1 else part[:, lead] for part in parts)
    colour, line = COLOURS[number], _LINES[number % len(_LINES)]
    label = f"{group.group}: {group.n_patients} patients, {group.n_records} records"
    ax.plot(seconds, mean, color=colour, linestyle=line, linewidth=1.8, label=label)
    ax.fill_between(seconds, low, high, color=colour, alpha=0.2, linewidth=0)
