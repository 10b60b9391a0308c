"""The figures of the covariates in the explanation notebook, each with caption and table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from explainability import patient_figures, shap_figures
from explainability.explained import RISK, Explained
from explainability.input_shares import input_contributions, is_divisible, variance_shares
from explainability.shap_values import importance

Panel = tuple[Figure, str, pd.DataFrame]


def of_covariates(
    shap: pd.DataFrame,
    records: pd.DataFrame,
    covariates: Sequence[Mapping[str, Any]],
    explained: Explained = RISK,
) -> dict[str, Panel]:
    """Return the figures of the covariates' Shapley values.

    ECG against covariates is left out where `is_divisible` says no.

    Parameters
    ----------
    shap : DataFrame
        Of `shap_values.explain_covariates`.
    records : DataFrame
        ``record_id, patient_id, repeat, fold, y_true``, highest score first.
    covariates : sequence of mappings
        ``name, label, unit`` and, of a category, ``categories``, as in ``dataset.json``.
    explained : Explained
        What the score is.
    """
    first = {item["name"]: item["categories"][0] for item in covariates if item.get("categories")}
    labels = {
        item["name"]: f"{item['label']} ({item['unit']})" if item["unit"] else item["label"]
        for item in covariates
    }
    ends = records["record_id"].iloc[[0, -1]].tolist()
    words = {"references": first, "explained": explained}
    found = {
        "5_covariates_1": beeswarm(shap, labels, explained),
        "5_covariates_2": waterfalls(shap, ends, labels, **words),
        "5_covariates_3": dependence(shap, labels, **words),
    }
    contributions = input_contributions(shap, records)
    if is_divisible(contributions):
        found["5_covariates_4"] = ecg_against_covariates(contributions, records, explained)
    return found


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
    *,
    references: Mapping[str, str] | None = None,
    explained: Explained = RISK,
) -> Panel:
    """Draw how the covariates lead to the score of each of some ECGs."""
    n = len(record_ids)
    figure = Figure(figsize=(7.0, 4.4 * n), layout="constrained")
    for record_id, ax in zip(record_ids, figure.subplots(n, 1, squeeze=False)[:, 0], strict=True):
        words = {"labels": labels, "references": references, "explained": explained}
        patient_figures.plot_shap_waterfall(shap, record_id, ax=ax, **words)
    caption = (
        f"From the mean of background patients with this ECG to this patient's {explained.score}."
    )
    return figure, caption, shap[shap["record_id"].isin(record_ids)]


def dependence(
    shap: pd.DataFrame,
    labels: Mapping[str, str],
    *,
    references: Mapping[str, str] | None = None,
    n_covariates: int = 6,
    explained: Explained = RISK,
) -> Panel:
    """Draw value against Shapley value of the covariates with the largest effect."""
    names = importance(shap)["covariate"].head(n_covariates).tolist()
    n_rows = -(-len(names) // 3)
    figure = Figure(figsize=(11.0, 3.4 * n_rows), layout="constrained")
    axes = figure.subplots(n_rows, 3, squeeze=False).ravel()
    for name, ax in zip(names, axes, strict=False):
        words = {"label": labels.get(name, name), "references": references, "explained": explained}
        patient_figures.plot_shap_dependence(shap, name, ax=ax, **words)
    for ax in axes[len(names) :]:
        ax.set_axis_off()
    caption = (
        "Value of a covariate against its Shapley value, one point a patient; grey strip: missing."
    )
    return figure, caption, shap[shap["covariate"].isin(names)]


def ecg_against_covariates(
    contributions: pd.DataFrame, records: pd.DataFrame, explained: Explained = RISK
) -> Panel:
    """Draw what the ECG and what the covariates give to each patient's score.

    Parameters
    ----------
    contributions : DataFrame
        Of `input_contributions`, divisible.
    records : DataFrame
        ``patient_id, y_true``.
    explained : Explained
        What the score is.
    """
    shares = variance_shares(contributions)
    outcome = records.groupby("patient_id")["y_true"].max().to_dict()
    figure = Figure(figsize=(6.6, 4.8), layout="constrained")
    patient_figures.plot_input_contributions(
        contributions, shares, ax=figure.subplots(), y_true=outcome, explained=explained
    )
    caption = (
        f"The {explained.score} with the patient's own ECG and the covariates of background "
        "patients, against what the own covariates add (Shapley values), both against the mean "
        "patient of the same network. Shares of its variance between patients of one network, "
        "with 95 % bootstrap intervals over patients."
    )
    return figure, caption, contributions
