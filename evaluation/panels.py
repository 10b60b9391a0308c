"""The figures of the evaluation notebook: each with its caption and the table it is drawn from.

Every function takes the tables of :func:`evaluation.summary.evaluate` and returns figure, caption
and table, for :meth:`workflow.artifacts.Artifacts.save_figure`.
"""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from evaluation import before_after, by_fold, figures, forest, survival_figures
from evaluation.seeds import plot_seed_spread, seed_spread

Tables = Mapping[str, pd.DataFrame]
Panel = tuple[Figure, str, pd.DataFrame]


def discrimination(tables: Tables) -> Panel:
    """Draw ROC and precision-recall curves side by side."""
    figure, axes = plt.subplots(1, 2, figsize=(10, 4.6), layout="constrained")
    figures.plot_roc(tables["roc"], metrics=tables["metrics"], ax=axes[0])
    curve = tables["precision_recall"]
    figures.plot_precision_recall(curve, metrics=tables["metrics"], ax=axes[1])
    caption = "ROC and precision-recall curves of held-out patients, one line a variant."
    return figure, caption, tables["roc"]


def auroc(tables: Tables) -> Panel:
    """Draw the AUROC of every variant."""
    figure, ax = plt.subplots(figsize=(6, 4.2), layout="constrained")
    metrics = tables["metrics"]
    metrics = metrics[metrics["subgroup"] == "all"]
    forest.plot_auroc_forest(metrics, ax=ax)
    caption = "AUROC of each variant, mean within folds, with its interval; the line is chance."
    return figure, caption, metrics


def calibration(tables: Tables) -> Panel:
    """Draw the calibration curves."""
    figure, ax = plt.subplots(figsize=(5.6, 5.2), layout="constrained")
    curve, metrics = tables["calibration_curve"], tables["metrics"]
    figures.plot_calibration(curve, metrics=metrics, patients=tables["patients"], ax=ax)
    caption = "Calibration: observed against predicted risk with bands; the diagonal is perfect."
    return figure, caption, curve


def net_benefit(tables: Tables) -> Panel:
    """Draw the decision curves."""
    figure, ax = plt.subplots(figsize=(6, 4.6), layout="constrained")
    figures.plot_decision_curve(tables["decision_curve"], ax=ax)
    caption = "Net benefit over the declared range of risks, against treating all, none or by rule."
    return figure, caption, tables["decision_curve"]


def risks(tables: Tables) -> Panel:
    """Draw the risks of patients with and without the event, one panel a variant."""
    table = tables["risk_histogram"]
    names = list(table["variant"].unique())
    size = (6, 2.6 * len(names))
    figure, axes = plt.subplots(len(names), 1, figsize=size, layout="constrained", squeeze=False)
    for name, ax in zip(names, axes[:, 0], strict=True):
        figures.plot_risk_histogram(table, variant=name, ax=ax)
    caption = "Predicted risks of patients with (up) and without (down) the event."
    return figure, caption, table


def subgroups(tables: Tables, variant: str) -> Panel:
    """Draw the AUROC of one variant in every subgroup."""
    table = tables["subgroups"]
    n_rows = len(table[(table["variant"] == variant) & (table["metric"] == "auroc_pooled")])
    figure, ax = plt.subplots(figsize=(8, 1.4 + 0.32 * n_rows), layout="constrained")
    forest.plot_subgroups(table, variant=variant, ax=ax)
    caption = "AUROC in subgroups with intervals; too small a cell has its counts and no estimate."
    return figure, caption, table


def recalibration(calibration: pd.DataFrame, curves: pd.DataFrame) -> Panel:
    """Draw calibration before and after recalibration, one panel a variant."""
    names = list(curves["variant"].unique())
    size = (4.8 * len(names), 4.8)
    figure, axes = plt.subplots(1, len(names), figsize=size, layout="constrained", squeeze=False)
    for name, ax in zip(names, axes[0], strict=True):
        before_after.plot_before_after(curves, variant=name, metrics=calibration, ax=ax)
    caption = (
        "Calibration of held-out patients as it came and after recalibration inside the folds, "
        "fitted on training patients."
    )
    return figure, caption, curves


def incidence(survival: Tables) -> Panel:
    """Draw the cumulative incidence by risk group, one panel a variant."""
    table = survival["cumulative_incidence"]
    names = list(table["variant"].unique())
    size = (5.6 * len(names), 5.2)
    figure, axes = plt.subplots(1, len(names), figsize=size, layout="constrained", squeeze=False)
    for name, ax in zip(names, axes[0], strict=True):
        survival_figures.plot_risk_group_curves(table, variant=name, ax=ax)
    caption = (
        "Cumulative incidence of the event (Aalen-Johansen) by risk group, numbers at risk below; "
        "the limits of the groups come from training patients."
    )
    return figure, caption, table


def horizons(survival: Tables) -> Panel:
    """Draw the AUROC at several horizons, weighted for censoring."""
    figure, ax = plt.subplots(figsize=(6.2, 4.4), layout="constrained")
    survival_figures.plot_horizon_auroc(survival["survival_metrics"], ax=ax)
    caption = "AUROC at several horizons; patients lost before are weighted for, not left out."
    return figure, caption, survival["survival_metrics"]


def sites(table: pd.DataFrame, pooled: pd.DataFrame, variant: str) -> Panel:
    """Draw the AUROC of every site, and what they say together."""
    n_rows = int((table["variant"] == variant).sum())
    figure, ax = plt.subplots(figsize=(7, 2.0 + 0.42 * n_rows), layout="constrained")
    by_fold.plot_by_fold(table, variant=variant, pooled=pooled, ax=ax)
    caption = "AUROC at each site by a model trained at the others; below, all sites together."
    return figure, caption, table


def seeds(scores: pd.DataFrame) -> Panel:
    """Draw the risk of every held-out patient by each seed, one panel a variant."""
    spread = seed_spread(scores)
    names = list(dict.fromkeys(spread["variant"]))
    size = (6.0 * len(names), 4.4)
    figure, axes = plt.subplots(1, len(names), figsize=size, layout="constrained", squeeze=False)
    for name, ax in zip(names, axes[0], strict=True):
        mine = spread[spread["variant"] == name]
        plot_seed_spread(mine, title=f"Variant {name}: the ensemble and its seeds", ax=ax)
    caption = (
        "Risk of every held-out patient by the ensemble (mean logit over seeds); a line goes from "
        "the lowest to the highest risk by a single network."
    )
    return figure, caption, spread
