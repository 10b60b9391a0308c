"""The figures of the explanation notebook: each with its caption and the table it is drawn from.

Every function returns figure, caption and table, for ``Artifacts.save_figure``.
A map that failed its checks is hatched wherever it is drawn.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from explainability import beat_figures, share_figures
from explainability.beats import group_mean_beats
from explainability.delineation import WaveWindows
from explainability.explained import RISK, Explained
from explainability.figure_style import mark_failed, unit_map
from explainability.median_beats import MedianBeats, median_beats, sentence, window_spans
from explainability.r_peaks import LEADS
from explainability.wave_shares import WaveShares, share_table, wave_shares

Panel = tuple[Figure, str, pd.DataFrame]


@dataclass(frozen=True)
class BeatView:
    """ECGs and maps of one ECG a patient or several, by wave and beat.

    Attributes
    ----------
    ecg : array of shape (n_records, n_samples, 12)
        In mV.
    maps : mapping of str to array of shape (n_records, n_samples[, 12])
        Method to maps.
    records : DataFrame
        ``record_id, patient_id, group``, one row a record.
    windows : WaveWindows
    beats : MedianBeats
        Its `maps` hold the methods and, as shares of beats, the windows.
    failed : mapping of str to str
        Method to the reason why its map is not to be believed.
    explained : Explained
        What the score is.
    """

    ecg: np.ndarray
    maps: Mapping[str, np.ndarray]
    records: pd.DataFrame
    windows: WaveWindows
    beats: MedianBeats
    failed: Mapping[str, str] = field(default_factory=dict)
    explained: Explained = RISK

    @property
    def spans(self) -> dict[str, tuple[float, float]]:
        """Where the waves lie around R in most beats, in seconds."""
        windows = {name: self.beats.maps[name] for name in self.windows.masks}
        return window_spans(windows, self.beats.seconds)

    @property
    def table(self) -> pd.DataFrame:
        """One row a record: beats used, how waves were found, intervals."""
        columns = self.windows.table.drop(columns="n_beats")
        ids = self.records[["record_id", "patient_id"]].reset_index(drop=True)
        return pd.concat([ids, self.beats.table, columns], axis=1)

    def sentence(self) -> str:
        """Return in words which beats were used and how the waves were found."""
        found = self.windows.n_by_method
        words = ", ".join(f"{method} in {n}" for method, n in found.items())
        return f"{sentence(self.beats.table)} Waves by record: {words}."

    def share_tables(self) -> pd.DataFrame:
        """Return the shares of all methods by lead and wave, with the column ``method``."""
        parts = [share_table(self.shares(name)).assign(method=name) for name in self.maps]
        return pd.concat(parts, ignore_index=True)

    def shares(self, name: str) -> WaveShares:
        """Return the shares of a method by lead and wave."""
        ids = self.records["patient_id"].to_numpy()
        return wave_shares(self.maps[name], self.ecg, self.windows.masks, ids)


def look_at_beats(
    ecg: np.ndarray,
    maps: Mapping[str, np.ndarray],
    records: pd.DataFrame,
    windows: WaveWindows,
    rate_hz: float,
    *,
    failed: Mapping[str, str] | None = None,
    explained: Explained = RISK,
) -> BeatView:
    """Line maps up on the beats of ECGs that are alike.

    Parameters
    ----------
    ecg, maps, records, windows, failed, explained
        As in `BeatView`.
    rate_hz : float
        Sampling rate of ECGs and maps.
    """
    together = {**maps, **windows.masks}
    beats = median_beats(ecg, windows.r_peaks, rate_hz, maps=together)
    return BeatView(ecg, maps, records, windows, beats, failed or {}, explained)


def on_paper(view: BeatView, row: int, rate_hz: float) -> dict[str, dict[str, Any]]:
    """Return how each map of an ECG is laid on its paper, as options of ``plot_ecg``.

    A map with leads colours the traces; one without is a band behind all of them.
    """
    found: dict[str, dict[str, Any]] = {}
    for name, maps in view.maps.items():
        if maps.ndim == 3:
            weights = unit_map(maps[row], rate_hz=rate_hz)
            label = f"change of the {view.explained.score} (relative)"
            found[name] = {"trace_weights": weights, "overlay_label": label}
        else:
            found[name] = {"overlay": maps[row] / max(maps[row].max(), 1e-9)}
    return found


def hatched(figure: Figure, view: BeatView, name: str) -> Figure:
    """Hatch a picture of a map that failed its report card, with the reason; return it."""
    return mark_failed(figure, view.failed[name]) if view.failed.get(name) else figure


def paper(figure: Figure, view: BeatView, name: str, row: int) -> Panel:
    """Return the picture of an ECG, hatched where the map failed, with its caption and map."""
    values = view.maps[name][row]
    empty = "" if values.any() else " The map is empty: nothing raises this score."
    columns = LEADS if values.ndim == 2 else [name]
    table = pd.DataFrame(values.reshape(len(values), -1), columns=list(columns))
    return hatched(figure, view, name), f"A held-out ECG with {name}.{empty}", table


def of_beats(view: BeatView) -> dict[str, Panel]:
    """Return the figures of the average beat: all leads, and the two groups by each map."""
    with_leads = [name for name, maps in view.maps.items() if maps.ndim == 3]
    found = {f"2_median_beat_{file_name(name)}": median_beat(view, name) for name in with_leads}
    return found | {f"3_groups_{file_name(name)}": group_leads(view, name) for name in view.maps}


def of_shares(view: BeatView) -> dict[str, Panel]:
    """Return the figure of leads and waves of each map."""
    return {
        f"4_leads_and_waves_{file_name(name)}": leads_and_waves(view, name) for name in view.maps
    }


def file_name(name: str) -> str:
    """Return a method's name as part of a file's: ``grad_cam``."""
    return name.lower().replace(" ", "_").replace("-", "_")


def median_beat(view: BeatView, name: str) -> Panel:
    """Draw the median beat of each lead coloured by a map with leads, with the shares of waves."""
    ids = view.records["patient_id"]
    everyone = np.full(len(ids), "all")
    beat = group_mean_beats(view.beats.ecg, everyone, ids)[0]
    mean = group_mean_beats(view.beats.maps[name], everyone, ids)[0].mean
    shares = view.shares(name)
    figure = beat_figures.plot_median_beats(
        beat.mean,
        mean,
        view.beats.seconds,
        spans=view.spans,
        shares=shares.attribution.mean(axis=0),
        title=f"{name}: mean over {beat.n_patients} patients ({beat.n_records} ECGs)",
        score=view.explained.score,
    )
    caption = f"Median beat of each lead, coloured by {name}. {view.sentence()}"
    return hatched(figure, view, name), caption, view.table


def group_leads(view: BeatView, name: str, *, leads: Sequence[str] = ("II", "V2", "V5")) -> Panel:
    """Draw mean beats and mean maps of the high and low group, with bands over patients."""
    groups = (view.records["group"], view.records["patient_id"])
    means = group_mean_beats(view.beats.maps[name], *groups)
    figure = beat_figures.plot_group_leads(
        group_mean_beats(view.beats.ecg, *groups),
        means,
        view.beats.seconds,
        leads=leads,
        spans=view.spans,
        map_label=f"mean map\n({name})",
    )
    parts = []
    for group in means:
        columns = (
            {f"{part}_{lead}": getattr(group, part)[:, LEADS.index(lead)] for lead in leads
             for part in ("mean", "low", "high")}
            if group.mean.ndim == 2
            else {part: getattr(group, part) for part in ("mean", "low", "high")}
        )  # fmt: skip
        seconds = {"group": group.group, "seconds": view.beats.seconds}
        parts.append(pd.DataFrame({**seconds, **columns}).assign(n_patients=group.n_patients))
    groups = " and ".join(str(group.group) for group in means)
    caption = f"Mean beat and mean {name} of patients of {groups}. {view.sentence()}"
    return hatched(figure, view, name), caption, pd.concat(parts, ignore_index=True)


def leads_and_waves(view: BeatView, name: str) -> Panel:
    """Draw the table of leads and waves, beside what the ECG's amplitude would give."""
    shares = view.shares(name)
    table = share_table(shares)
    has_leads = len(shares.leads) > 1
    figure = Figure(figsize=(8.0, 6.4 if has_leads else 2.6), layout="constrained")
    share_figures.plot_share_table(table, ax=figure.subplots(), title=name)
    caption = (
        f"Share of |{name}| by {'lead and ' * has_leads}wave in %, in brackets the share of the "
        "ECG's own amplitude: where they agree, the map may merely follow the deflections. "
        f"Waves by record: {view.windows.n_by_method}."
    )
    return hatched(figure, view, name), caption, table
