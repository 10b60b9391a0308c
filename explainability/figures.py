"""Figures of explanations: mean beats with maps, leads, windows, Shapley values.

Colours are those of Okabe & Ito, told apart by colour-blind readers; every group also has its own
line style. Functions draw into a given ``ax`` and return it, or make and return a figure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from explainability.beats import WINDOWS, GroupBeat
from explainability.figure_style import COLOURS, INK, tidy
from explainability.sanity_checks import WindowTest
from explainability.shap_figures import plot_shap_bar, plot_shap_beeswarm

__all__ = [
    "COLOURS",
    "plot_lead_attribution",
    "plot_mean_beat_attribution",
    "plot_shap_bar",
    "plot_shap_beeswarm",
    "plot_window_mass",
    "plot_window_shares",
]


_LINES = ("-", "--", "-.", ":")
_MAX_GROUPS = len(COLOURS)


def plot_mean_beat_attribution(
    beats: Sequence[GroupBeat],
    maps: Sequence[GroupBeat],
    seconds: np.ndarray,
    *,
    lead: int | None = None,
    lead_name: str = "II",
    note: str = "",
    map_label: str = "mean map\n(logit)",
) -> Figure:
    """Draw the mean beat of each group above its mean map.

    Parameters
    ----------
    beats : sequence of GroupBeat
        From `group_mean_beats` on ECGs in mV, (n_beat_samples,) or (n_beat_samples, n_leads).
    maps : sequence of GroupBeat
        The same for maps, in the same groups.
    seconds : array of shape (n_beat_samples,)
        From `beat_seconds`.
    lead : int, optional
        Column to draw where beats or maps have leads.
    lead_name : str
        Name of that lead.
    note : str
        Added below, for example what a value of the map stands for, or "synthetic data".
    map_label : str
        Label of the map's axis, with unit.

    Returns
    -------
    Figure
        Two panels over seconds relative to R, the windows P, QRS, ST and T named; the
        legend gives patients and records of each group, bands are 95 % over patients.

    Raises
    ------
    ValueError
        If groups differ, or there are leads and none is chosen.
    """
    names = [group.group for group in beats]
    if names != [group.group for group in maps] or not 1 <= len(names) <= _MAX_GROUPS:
        raise ValueError(
            f"maps must hold the same 1 to {_MAX_GROUPS} groups as beats, got "
            f"{[group.group for group in maps]} for {names}. Make both with the same groups."
        )
    figure = Figure(figsize=(7.0, 5.6), layout="constrained")
    top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=[3, 2])
    for axis, groups in ((top, beats), (bottom, maps)):
        _draw_windows(axis, seconds, named=axis is top)
        for number, group in enumerate(groups):
            _draw_group(axis, group, seconds, number, lead)
    top.margins(y=0.14)  # room for the names of the windows above the R peak
    top.set_ylabel(f"lead {lead_name} (mV)")
    bottom.set_ylabel(map_label)
    bottom.set_xlabel("time from R peak (s)")
    bottom.axhline(0, color=INK, linewidth=0.6)
    handles, labels = top.get_legend_handles_labels()
    figure.legend(handles, labels, fontsize=9, frameon=False, loc="outside lower center")
    figure.suptitle(
        "Mean beat and where the score comes from; bands: 95 % over patients, pointwise"
        + (f"\n{note}" if note else ""),
        fontsize=10,
    )
    return figure


def plot_lead_attribution(
    attribution: np.ndarray,
    patient_ids: Sequence[str] | np.ndarray,
    *,
    lead_names: Sequence[str],
    ax: Axes,
) -> Axes:
    """Draw how the mass of signed maps divides among leads.

    Parameters
    ----------
    attribution : array of shape (n_records, n_samples, n_leads)
        From integrated gradients, or (n_records, n_leads) already summed over time.
    patient_ids : sequence of str, shape (n_records,)
        Records are averaged by patient first.
    lead_names : sequence of str
        One a lead.
    ax : Axes
        Where to draw.

    Returns
    -------
    Axes
        Bars in per cent that sum to 100, with the middle half of the patients as a line, and an
        even split as reference.

    Raises
    ------
    ValueError
        If shapes do not fit or all maps are zero.
    """
    mass = np.abs(np.asarray(attribution, dtype=np.float64))
    mass = mass.sum(axis=1) if mass.ndim == 3 else mass
    if mass.ndim != 2 or mass.shape != (len(patient_ids), len(lead_names)):
        raise ValueError(
            f"attribution must be of shape ({len(patient_ids)}, n_samples, {len(lead_names)}), "
            f"got {np.shape(attribution)}. Pass one row a record and one column a lead."
        )
    total = mass.sum(axis=1)
    if not (total > 0).any():
        raise ValueError("attribution must not be zero everywhere, got zeros. Check the network.")
    shares = pd.DataFrame(100 * mass[total > 0] / total[total > 0, None], columns=list(lead_names))
    by_patient = shares.groupby(np.asarray(patient_ids)[total > 0]).mean()
    low, high = by_patient.quantile(0.25), by_patient.quantile(0.75)
    positions = np.arange(len(lead_names))
    ax.bar(positions, by_patient.mean(), color=COLOURS[0], width=0.75)
    ax.vlines(positions, low, high, color=INK, linewidth=1.5)
    even = 100 / len(lead_names)
    ax.axhline(even, color=INK, linestyle="--", linewidth=1, label=f"even split {even:.1f} %")
    ax.set_xticks(positions, list(lead_names))
    ax.set_xlabel("lead (line: middle half of patients)")
    ax.set_ylabel("share of |attribution| (%)")
    ax.set_title(
        f"Leads; {len(by_patient)} patients, {int((total > 0).sum())} records; bars sum to 100 %",
        fontsize=10,
    )
    ax.legend(fontsize=9, frameon=False)
    return tidy(ax)


def plot_window_shares(
    shares: pd.DataFrame, patient_ids: Sequence[str] | np.ndarray, *, ax: Axes
) -> Axes:
    """Draw the shares of P, QRS, ST and T beside those of a map without preference.

    Parameters
    ----------
    shares : DataFrame of shape (n_records, 5)
        From `window_shares`.
    patient_ids : sequence of str, shape (n_records,)
        Records are averaged by patient first.
    ax : Axes
        Where to draw.

    Returns
    -------
    Axes
        Bars of the mean over patients; diamonds: the window's share of the time.
    """
    by_patient = (100 * shares).groupby(np.asarray(patient_ids)).mean().dropna()
    positions = np.arange(shares.shape[1])
    ax.bar(positions, by_patient.mean(), color=COLOURS[0], width=0.7, label="map")
    ax.vlines(
        positions, by_patient.quantile(0.25), by_patient.quantile(0.75), color=INK, linewidth=1.5
    )
    uniform = [100 * shares.attrs["uniform"][name] for name in shares.columns]
    ax.plot(positions, uniform, "D", color=COLOURS[1], markersize=7, label="share of the time")
    ax.set_xticks(positions, list(shares.columns))
    ax.set_xlabel("part of the beat (line: middle half of patients)")
    ax.set_ylabel("share of |map| (%)")
    ax.set_title(f"Parts of the beat; {len(by_patient)} patients", fontsize=10)
    ax.legend(fontsize=9, frameon=False)
    return tidy(ax)


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


def _draw_windows(ax: Axes, seconds: np.ndarray, *, named: bool) -> None:
    """Shade every other window and name them at the upper edge."""
    for number, (name, (start, end)) in enumerate(WINDOWS.items()):
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


def _draw_group(
    ax: Axes, group: GroupBeat, seconds: np.ndarray, number: int, lead: int | None
) -> None:
    """Draw one group's mean as a line and its interval as a band."""
    mean, low, high = (_choose_lead(part, lead) for part in (group.mean, group.low, group.high))
    colour, line = COLOURS[number], _LINES[number % len(_LINES)]
    label = f"{group.group}: {group.n_patients} patients, {group.n_records} records"
    ax.plot(seconds, mean, color=colour, linestyle=line, linewidth=1.8, label=label)
    ax.fill_between(seconds, low, high, color=colour, alpha=0.2, linewidth=0)


def _choose_lead(values: np.ndarray, lead: int | None) -> np.ndarray:
    if values.ndim == 1:
        return values
    if lead is None or not 0 <= lead < values.shape[1]:
        raise ValueError(
            f"lead must be a column from 0 to {values.shape[1] - 1}, got {lead}. "
            "Choose the lead to draw."
        )
    return values[:, lead]


def _span(results: Sequence[WindowTest], attribute: str) -> str:
    """Return "12", or "10–12" where the windows were tested on different numbers."""
    counts: list[Any] = sorted({getattr(result, attribute) for result in results})
    return str(counts[0]) if len(counts) == 1 else f"{counts[0]}–{counts[-1]}"
