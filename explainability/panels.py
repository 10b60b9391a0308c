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

from explainability import beat_figures, patient_figures, shap_figures, share_figures
from explainability.beats import group_mean_beats
from explainability.delineation import WaveWindows
from explainability.figure_style import mark_failed, unit_map
from explainability.input_shares import input_contributions, is_divisible, variance_shares
from explainability.median_beats import BeatRules, MedianBeats, median_beats, sentence, window_spans
from explainability.r_peaks import LEADS
from explainability.shap_values import importance
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
    """

    ecg: np.ndarray
    maps: Mapping[str, np.ndarray]
    records: pd.DataFrame
    windows: WaveWindows
    beats: MedianBeats
    failed: Mapping[str, str] = field(default_factory=dict)

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
    rules: BeatRules | None = None,
) -> BeatView:
    """Line maps up on the beats of ECGs that are alike.

    Parameters
    ----------
    ecg, maps, records, windows, failed
        As in `BeatView`.
    rate_hz : float
        Sampling rate of ECGs and maps.
    rules : BeatRules, optional
        Which beats count.
    """
    together = {**maps, **windows.masks}
    beats = median_beats(ecg, windows.r_peaks, rate_hz, maps=together, rules=rules)
    return BeatView(ecg, maps, records, windows, beats, failed or {})


def on_paper(view: BeatView, row: int, rate_hz: float) -> dict[str, dict[str, Any]]:
    """Return how each map of an ECG is laid on its paper, as options of ``plot_ecg``.

    A map with leads colours the traces; one without is a band behind all of them.
    """
    found: dict[str, dict[str, Any]] = {}
    for name, maps in view.maps.items():
        if maps.ndim == 3:
            weights = unit_map(maps[row], rate_hz=rate_hz)
            label = "change of the logit (relative)"
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
    empty = "" if values.any() else " The map is empty: nothing raises this risk."
    columns = LEADS if values.ndim == 2 else [name]
    table = pd.DataFrame(values.reshape(len(values), -1), columns=list(columns))
    return hatched(figure, view, name), f"A held-out ECG with {name}.{empty}", table


def of_beats(view: BeatView) -> dict[str, Panel]:
    """Return the figures of the average beat: all leads, and the groups of risk by each map."""
    with_leads = [name for name, maps in view.maps.items() if maps.ndim == 3]
    found = {f"2_median_beat_{file_name(name)}": median_beat(view, name) for name in with_leads}
    return found | {f"3_groups_{file_name(name)}": group_leads(view, name) for name in view.maps}


def of_shares(view: BeatView) -> dict[str, Panel]:
    """Return the figure of leads and waves of each map."""
    return {
        f"4_leads_and_waves_{file_name(name)}": leads_and_waves(view, name) for name in view.maps
    }


def of_covariates(
    shap: pd.DataFrame, records: pd.DataFrame, covariates: Sequence[Mapping[str, Any]]
) -> dict[str, Panel]:
    """Return the figures of the covariates' Shapley values.

    ECG against covariates is left out where `is_divisible` says no.

    Parameters
    ----------
    shap : DataFrame
        Of `shap_values.explain_covariates`.
    records : DataFrame
        ``record_id, patient_id, repeat, fold, y_true``, highest risk first.
    covariates : sequence of mappings
        ``name, label, unit`` and, of a category, ``categories``, as in ``dataset.json``.
    """
    first = {item["name"]: item["categories"][0] for item in covariates if item.get("categories")}
    labels = {
        item["name"]: f"{item['label']} ({item['unit']})" if item["unit"] else item["label"]
        for item in covariates
    }
    ends = records["record_id"].iloc[[0, -1]].tolist()
    found = {
        "5_covariates_1": beeswarm(shap, labels),
        "5_covariates_2": waterfalls(shap, ends, labels, first),
        "5_covariates_3": dependence(shap, labels, references=first),
    }
    contributions = input_contributions(shap, records)
    if is_divisible(contributions):
        found["5_covariates_4"] = ecg_against_covariates(contributions, records)
    return found


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
    )
    caption = f"Median beat of each lead, coloured by {name}. {view.sentence()}"
    return hatched(figure, view, name), caption, view.table


def group_leads(view: BeatView, name: str, *, leads: Sequence[str] = ("II", "V2", "V5")) -> Panel:
    """Draw mean beats and mean maps of the groups of risk, with bands over patients."""
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
    caption = f"Mean beat and mean {name} of the groups of risk. {view.sentence()}"
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


def beeswarm(shap: pd.DataFrame, labels: Mapping[str, str]) -> Panel:
    """Draw every patient's Shapley values of the covariates."""
    figure = Figure(figsize=(7.0, 4.4), layout="constrained")
    shap_figures.plot_shap_beeswarm(shap, ax=figure.subplots(), labels=labels)
    return figure, "Shapley values of the covariates of held-out patients, given their ECG.", shap


def waterfalls(
    shap: pd.DataFrame,
    record_ids: Sequence[str],
    labels: Mapping[str, str],
    references: Mapping[str, str] | None = None,
) -> Panel:
    """Draw how the covariates lead to the logit of each of some ECGs."""
    n = len(record_ids)
    figure = Figure(figsize=(7.0, 4.4 * n), layout="constrained")
    for record_id, ax in zip(record_ids, figure.subplots(n, 1, squeeze=False)[:, 0], strict=True):
        patient_figures.plot_shap_waterfall(
            shap, record_id, ax=ax, labels=labels, references=references
        )
    caption = "From the mean of background patients with this ECG to this patient's logit."
    return figure, caption, shap[shap["record_id"].isin(record_ids)]


def dependence(
    shap: pd.DataFrame,
    labels: Mapping[str, str],
    *,
    references: Mapping[str, str] | None = None,
    n_covariates: int = 6,
) -> Panel:
    """Draw value against Shapley value of the covariates with the largest effect."""
    names = importance(shap)["covariate"].head(n_covariates).tolist()
    n_rows = -(-len(names) // 3)
    figure = Figure(figsize=(11.0, 3.4 * n_rows), layout="constrained")
    axes = figure.subplots(n_rows, 3, squeeze=False).ravel()
    for name, ax in zip(names, axes, strict=False):
        patient_figures.plot_shap_dependence(
            shap, name, ax=ax, label=labels.get(name, name), references=references
        )
    for ax in axes[len(names) :]:
        ax.set_axis_off()
    caption = (
        "Value of a covariate against its Shapley value, one point a patient; grey strip: missing."
    )
    return figure, caption, shap[shap["covariate"].isin(names)]


def ecg_against_covariates(contributions: pd.DataFrame, records: pd.DataFrame) -> Panel:
    """Draw what the ECG and what the covariates give to each patient's logit.

    Parameters
    ----------
    contributions : DataFrame
        Of `input_contributions`, divisible.
    records : DataFrame
        ``patient_id, y_true``.
    """
    shares = variance_shares(contributions)
    outcome = records.groupby("patient_id")["y_true"].max().to_dict()
    figure = Figure(figsize=(6.6, 4.8), layout="constrained")
    patient_figures.plot_input_contributions(
        contributions, shares, ax=figure.subplots(), y_true=outcome
    )
    caption = (
        "Logit with the patient's own ECG and the covariates of background patients, against what "
        "the own covariates add (Shapley values), both against the mean patient of the same "
        "network. Shares of the variance of the logit between patients of one network, with 95 % "
        "bootstrap intervals over patients."
    )
    return figure, caption, contributions
