"""Learning curves of networks, and the penalty path and coefficients of the clinical model."""

from __future__ import annotations

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from models_training.clinical_model import ClinicalModel

BLUE, ORANGE, GREY = "#0072B2", "#D55E00", "#777777"  # Okabe-Ito
# Metric of a head: its name, that of a model which knows nothing, and the lowest value shown.
_METRICS = {"val_auroc": ("AUROC", 0.5, 0.0), "val_r2": ("R²", 0.0, -0.5)}


def plot_history(history: pd.DataFrame, *, title: str) -> Figure:
    """Draw how a variant was fitted: loss by epoch, or log loss by penalty.

    Parameters
    ----------
    history : DataFrame
        ``repeat, fold`` (and ``seed``) with ``epoch, loss, val_loss, val_auroc, is_kept``;
        ``penalty_c, val_loss``; or ``rung, val_loss, is_chosen``.
    title : str
        Above the figure.
    """
    if "rung" in history:
        return _choices(history, title)
    return _epochs(history, title) if "epoch" in history else _penalties(history, title)


def _choices(history: pd.DataFrame, title: str) -> Figure:
    figure, ax = plt.subplots(figsize=(7, 3.8), layout="constrained")
    rungs = list(dict.fromkeys(history["rung"]))
    place = {rung: number for number, rung in enumerate(rungs)}
    for _, fold in history.groupby(["repeat", "fold"]):
        ax.plot(fold["rung"].map(place), fold["val_loss"], "o-", color=BLUE, lw=0.8, alpha=0.6)
    chosen = history[history["is_chosen"]]
    ax.plot(chosen["rung"].map(place), chosen["val_loss"], "o", color=ORANGE, ms=9, label="chosen")
    ax.set_xticks(range(len(rungs)), rungs)
    ax.set(xlabel="rung of the ladder", ylabel="log loss of inner validation patients")
    ax.set_title(f"{title}: rung chosen inside the training patients, one line a fold")
    ax.legend(frameon=False)
    ax.spines[["top", "right"]].set_visible(False)
    return figure


def _epochs(history: pd.DataFrame, title: str) -> Figure:
    figure, axes = plt.subplots(1, 2, figsize=(9.5, 3.8), layout="constrained")
    keys = [name for name in ("repeat", "fold", "seed") if name in history]
    metric = next(name for name in _METRICS if name in history)
    for number, (_, fold) in enumerate(history.groupby(keys)):
        label = ("training", "validation") if number == 0 else (None, None)
        axes[0].plot(fold["epoch"], fold["loss"], color=GREY, lw=1, alpha=0.8, label=label[0])
        axes[0].plot(fold["epoch"], fold["val_loss"], color=BLUE, lw=1.6, alpha=0.8, label=label[1])
        best = fold[fold["is_kept"]].iloc[0]
        axes[0].plot(best["epoch"], best["val_loss"], "o", color=ORANGE, ms=6)
        axes[1].plot(fold["epoch"], fold[metric], color=BLUE, lw=1.4, alpha=0.7)
        axes[1].plot(best["epoch"], best[metric], "o", color=ORANGE, ms=6)
    axes[1].plot([], [], "o", color=ORANGE, label="kept")
    name, chance, lowest = _METRICS[metric]
    axes[1].axhline(chance, color=GREY, ls=":", lw=1)
    axes[0].set(xlabel="epoch", ylabel="loss", title="Loss")
    axes[1].set(xlabel="epoch", ylabel=f"{name} of validation patients", title=f"Validation {name}")
    axes[1].set_ylim(min(lowest, history[metric].min()), 1)
    n_folds = history.groupby(["repeat", "fold"]).ngroups
    figure.suptitle(f"{title}, {n_folds} fold{'s' if n_folds > 1 else ''}")
    for ax in axes:
        ax.legend(frameon=False, fontsize=9)
        ax.spines[["top", "right"]].set_visible(False)
    return figure


def _penalties(history: pd.DataFrame, title: str) -> Figure:
    figure, ax = plt.subplots(figsize=(6, 3.8), layout="constrained")
    for number, (_, fold) in enumerate(
        history.groupby([name for name in ("repeat", "fold", "target") if name in history])
    ):
        ax.plot(fold["penalty_c"], fold["val_loss"], color=BLUE, lw=1.4, alpha=0.7)
        best = fold.loc[fold["val_loss"].idxmin()]
        label = "chosen" if number == 0 else None
        ax.plot(best["penalty_c"], best["val_loss"], "o", color=ORANGE, ms=6, label=label)
    ax.set_xscale("log")
    ax.set(xlabel="inverse penalty C (left: all coefficients 0)", ylabel="inner-fold log loss")
    ax.set_title(f"{title}: penalty chosen inside the training patients")
    ax.legend(frameon=False)
    ax.spines[["top", "right"]].set_visible(False)
    return figure


def plot_coefficients(model: ClinicalModel, *, title: str) -> Figure:
    """Draw the coefficients of the clinical model, per standard deviation of the covariate.

    Parameters
    ----------
    model : ClinicalModel
        As fitted.
    title : str
        Above the figure.
    """
    table = pd.Series(model.coefficients, index=model.names)[::-1]
    figure, ax = plt.subplots(figsize=(6.5, 0.42 * len(table) + 1.4), layout="constrained")
    ax.barh(table.index, table.to_numpy(), color=BLUE)
    ax.axvline(0, color=GREY, lw=1)
    ax.set(xlabel="log odds ratio for one standard deviation (0 = left out by the LASSO)")
    ax.set_title(title)
    ax.spines[["top", "right"]].set_visible(False)
    return figure
