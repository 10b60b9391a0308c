"""The figures of the covariates in the explanation notebook, each with caption and table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from explainability import patient_figures, shap_figures
from explainability.explained import RISK, Explained
from explainability.input_shares import input_contributions, variance_shares
from explainability.shap_values import importance

Panel = tuple[Figure, str, pd.DataFrame]


def of_covariates(
    shap: pd.DataFrame,
    records: pd.DataFrame,
    covariates: Sequence[Mapping[str, Any]],
    explained: Explained = RISK,
) -> dict[str, Panel]:
    """Return the figures of the covariates' Shapley values.

    Parameters
    ----------
    shap : DataFrame
        Of `shap_values.explain_covariates`.
    records : DataFrame
        ``record_id, patient_id, y_true``, highest risk first.
    covariates : sequence of mappings
        ``name, label, unit``, as in ``dataset.json``.
    explained : Explained
        What the score is.
    """
    labels = {
        item["name"]: f"{item['label']} ({item['unit']})" if item["unit"] else item["label"]
        for item in covariates
    }
    ends = records["record_id"].iloc[[0, -1]].tolist()
    return {
        "5_covariates_1": beeswarm(shap, labels, explained),
        "5_covariates_2": waterfalls(shap, ends, labels, explained),
        "5_covariates_3": dependence(shap, labels, explained=explained),
        "5_covariates_4": ecg_against_covariates(shap, records, explained),
    }


def beeswarm(shap: pd.DataFrame, labels: Mapping[str, str], explained: Explained = RISK) -> Panel:
    """Draw every patient's Shapley values of the covariates."""
    figure = Figure(figsize=(7.0, 4.4), layout="constrained")
    words = {"labels": labels, "explained": explained}
    shap_figures.plot_shap_beeswarm(shap, ax=figure.subplots(), **words)
    return figure, "Shapley values of the covariates of held-out patients, given their ECG.", shap


def waterfalls(
    shap: pd.DataFrame,
    record_ids: Sequence[str],
    labels: Mapping[str, str],
    explained: Explained = RISK,
) -> Panel:
    """Draw how the covariates lead to the score of each of some ECGs."""
    n = len(record_ids)
    figure = Figure(figsize=(7.0, 4.4 * n), layout="constrained")
    for record_id, ax in zip(record_ids, figure.subplots(n, 1, squeeze=False)[:, 0], strict=True):
        words = {"labels": labels, "explained": explained}
        patient_figures.plot_shap_waterfall(shap, record_id, ax=ax, **words)
    caption = (
        f"From the mean of background patients with this ECG to this patient's {explained.score}."
    )
    return figure, caption, shap[shap["record_id"].isin(record_ids)]


def dependence(
    shap: pd.DataFrame,
    labels: Mapping[str, str],
    *,
    n_covariates: int = 6,
    explained: Explained = RISK,
) -> Panel:
    """Draw value against Shapley value of the covariates with the largest effect."""
    names = importance(shap)["covariate"].head(n_covariates).tolist()
    n_rows = -(-len(names) // 3)
    figure = Figure(figsize=(11.0, 3.4 * n_rows), layout="constrained")
    axes = figure.subplots(n_rows, 3, squeeze=False).ravel()
    for name, ax in zip(names, axes, strict=False):
        words = {"label": labels.get(name, name), "explained": explained}
        patient_figures.plot_shap_dependence(shap, name, ax=ax, **words)
    for ax in axes[len(names) :]:
        ax.set_axis_off()
    caption = (
        "Value of a covariate against its Shapley value, one point a patient; grey strip: missing."
    )
    return figure, caption, shap[shap["covariate"].isin(names)]


def ecg_against_covariates(
    shap: pd.DataFrame, records: pd.DataFrame, explained: Explained = RISK
) -> Panel:
    """Draw what the ECG and what the covariates give to each patient's score.

    Parameters
    ----------
    shap : DataFrame
        Of `shap_values.explain_covariates`.
    records : DataFrame
        ``patient_id, y_true``.
    explained : Explained
        What the score is.
    """
    contributions = input_contributions(shap)
    shares = variance_shares(contributions)
    outcome = records.groupby("patient_id")["y_true"].max().to_dict()
    figure = Figure(figsize=(6.6, 4.8), layout="constrained")
    patient_figures.plot_input_contributions(
        contributions, shares, ax=figure.subplots(), y_true=outcome, explained=explained
    )
    caption = (
        f"The {explained.score} with the patient's own ECG and the covariates of background "
        "patients, against what the own covariates add (Shapley values), both against the mean "
        "patient. Shares of its variance between patients, with 95 % bootstrap intervals over "
        "patients."
    )
    return figure, caption, contributions
