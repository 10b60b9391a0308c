"""Figures of stability: instability plot, error by risk, learning curve, permutation histogram."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from evaluation.stability import patient_instability, permutation_p_value, refit_arrays
from evaluation.style import GREY, OUTCOME_COLOURS, add_legend, finish_axes

BLUE, ORANGE = "#0072B2", "#D55E00"


def plot_instability(refits: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Draw each patient's refitted risks against the original risk, with 2.5 and 97.5 % lines.

    Parameters
    ----------
    refits : pandas.DataFrame
        `patient_id, refit, n_drawn, y_true, y_score`; refit 0 is the original.
    ax : Axes, optional
        Where to draw.
    """
    ax = _axes(ax)
    arrays = refit_arrays(refits)
    order = np.argsort(arrays["original"])
    risk, drawn = arrays["original"][order], arrays["refits"][order]
    x = np.repeat(risk, drawn.shape[1])
    ax.plot(x, drawn.ravel(), ".", color="#56B4E9", ms=2, alpha=0.15, rasterized=True)
    table = patient_instability(risk, drawn)
    for name, label in (("low", "2.5 and 97.5 % of the refits (running median)"), ("high", None)):
        # One patient's quantile is ragged: a running median shows the course.
        smooth = table[name].rolling(max(5, len(table) // 15), center=True, min_periods=1).median()
        ax.plot(risk, smooth, color=ORANGE, lw=2, label=label)
    top = max(0.05, float(max(drawn.max(), risk.max())))
    ax.plot([0, top], [0, top], color="black", lw=1, ls=":", label="no instability")
    add_legend(ax, loc="upper left", fontsize=9)
    title = f"Instability over {drawn.shape[1]} bootstrap refits"
    return _finish(ax, arrays, title, "risk by the model fitted on all patients", "risk by a refit")


def plot_error_by_risk(refits: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Draw each patient's mean absolute difference of refitted to original risk.

    Parameters
    ----------
    refits, ax
        As for :func:`plot_instability`.
    """
    ax = _axes(ax)
    arrays = refit_arrays(refits)
    table = patient_instability(arrays["original"], arrays["refits"])
    for outcome, label in ((0, "without the event"), (1, "with the event")):
        is_here = arrays["y_true"] == outcome
        rows = table[is_here]
        style = {"marker": "o^"[outcome], "color": OUTCOME_COLOURS[outcome], "label": label}
        ax.plot(rows["original"], rows["mape"], ls="", ms=4, alpha=0.7, **style)
    mean = table["mape"].mean()
    ax.axhline(mean, color=GREY, ls="--", lw=1.2, label=f"mean of all patients: {mean:.3f}")
    ax.set_ylim(bottom=0)
    add_legend(ax, loc="upper left", fontsize=9)
    y = "mean absolute difference of risk"
    return _finish(ax, arrays, "Instability by risk", "risk by the model fitted on all patients", y)


def plot_learning_curve(
    table: pd.DataFrame, *, n: int, n_events: int, ax: Axes | None = None
) -> Axes:
    """Draw the AUROC of left-out and of training patients against the number of training patients.

    Parameters
    ----------
    table : pandas.DataFrame
        `n_patients, n_events, draw, auroc, auroc_training`.
    n, n_events : int
        Patients and events of the cohort.
    ax : Axes, optional
        Where to draw.
    """
    ax = _axes(ax)
    lines = (
        ("auroc", BLUE, "-", "patients left out"),
        ("auroc_training", GREY, "--", "patients trained on"),
    )
    for name, colour, line, label in lines:
        quantiles = table.groupby("n_patients")[name].quantile([0.1, 0.5, 0.9]).unstack()
        x = quantiles.index.to_numpy()
        ax.plot(x, quantiles[0.5], marker="o", color=colour, ls=line, label=f"{label}: median")
        ax.fill_between(x, quantiles[0.1], quantiles[0.9], color=colour, alpha=0.18, lw=0)
    ax.axhline(0.5, color=GREY, ls=":", lw=1)
    ax.set_ylim(min(0.4, table["auroc"].min()), 1.0)
    add_legend(ax, loc="upper right", fontsize=9)
    size = pd.DataFrame({"n": [n], "n_events": [n_events]})
    title = "Learning curve (band: 10 to 90 % of draws)"
    return finish_axes(ax, size, title=title, x="training patients", y="AUROC")


def plot_permutations(
    table: pd.DataFrame, *, n: int, n_events: int, ax: Axes | None = None
) -> Axes:
    """Draw what the whole process reaches with outcomes dealt at random, and what it did reach.

    Parameters
    ----------
    table : pandas.DataFrame
        `permutation, auroc`; permutation 0 is the observed outcome.
    n, n_events, ax
        As for :func:`plot_learning_curve`.
    """
    ax = _axes(ax)
    is_observed = table["permutation"] == 0
    observed, permuted = float(table.loc[is_observed, "auroc"].iloc[0]), table[~is_observed]
    ax.hist(permuted["auroc"], bins=25, color="#56B4E9", edgecolor="white", lw=0.5)
    p_value = permutation_p_value(observed, permuted["auroc"])
    ax.axvline(observed, color=ORANGE, lw=2.5, label=f"observed {observed:.3f} (p = {p_value:.3f})")
    ax.set_ylim(top=ax.get_ylim()[1] * 1.25)
    add_legend(ax, loc="upper left", fontsize=9)
    size = pd.DataFrame({"n": [n], "n_events": [n_events]})
    title = f"{len(permuted)} permutations, everything refitted"
    return finish_axes(ax, size, title=title, x="mean AUROC within folds", y="permutations")


def plot_stability(tables: Mapping[str, pd.DataFrame], axes: np.ndarray) -> np.ndarray:
    """Draw the four figures of the clinical model's refits.

    Parameters
    ----------
    tables : mapping of str to DataFrame
        `refits, permutations, learning_curve`; an empty learning curve (too few patients) leaves
        its axes blank.
    axes : array of Axes, shape (2, 2)
        Where to draw.
    """
    refits = tables["refits"]
    patients = refits[refits["refit"] == 0]
    size = {"n": len(patients), "n_events": int(patients["y_true"].sum())}
    plot_instability(refits, ax=axes[0, 0])
    plot_error_by_risk(refits, ax=axes[0, 1])
    if len(tables["learning_curve"]):
        plot_learning_curve(tables["learning_curve"], **size, ax=axes[1, 0])
    else:
        axes[1, 0].set_axis_off()
    plot_permutations(tables["permutations"], **size, ax=axes[1, 1])
    return axes


def _axes(ax: Axes | None) -> Axes:
    return plt.subplots(figsize=(5.4, 4.6), layout="constrained")[1] if ax is None else ax


def _finish(ax: Axes, arrays: dict[str, np.ndarray], title: str, x: str, y: str) -> Axes:
    outcome = arrays["y_true"]
    size = pd.DataFrame({"n": [outcome.size], "n_events": [int(outcome.sum())]})
    return finish_axes(ax, size, title=title, x=x, y=y)
