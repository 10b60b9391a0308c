"""Figures of Shapley values: size of effect, and each patient's values."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from explainability.explained import RISK, Explained
from explainability.figure_style import INK, tidy
from explainability.shap_values import importance, mean_over_records, sum_by_covariate

MISSING = "#999999"


def plot_shap_beeswarm(
    frame: pd.DataFrame,
    *,
    ax: Axes,
    labels: Mapping[str, str] | None = None,
    n_covariates: int = 12,
    explained: Explained = RISK,
) -> Axes:
    """Draw each patient's Shapley values, coloured by the covariate's value.

    Parameters
    ----------
    frame : DataFrame
        From `explain_covariates` or `explain_function`; summed by covariate, averaged by patient.
    ax : Axes
        Where to draw; its figure gets a colour bar.
    labels : mapping of str to str, optional
        Covariate name to label with unit.
    n_covariates : int
        How many to draw, largest first.
    explained : Explained
        What the score is.

    Returns
    -------
    Axes
        One point a patient. Colour runs from a covariate's lowest to its highest rank; grey
        means missing. Points are moved up and down only to be seen.
    """
    by_patient = mean_over_records(sum_by_covariate(frame) if "column" in frame else frame)
    names = importance(frame)["covariate"].head(n_covariates).tolist()
    norm, colours = mpl.colors.Normalize(0, 1), _readable_colours()  # pyright: ignore[reportAttributeAccessIssue]
    for position, name in enumerate(names):
        rows = by_patient[by_patient["covariate"] == name]
        height = position + _spread(rows["shap_logit"].to_numpy())
        missing = rows["value"].isna().to_numpy()
        rank = _rank01(rows["value"].to_numpy())
        for chosen, colour in ((missing, MISSING), (~missing, colours(norm(rank[~missing])))):
            ax.scatter(
                rows["shap_logit"][chosen], height[chosen], s=14, c=colour, linewidths=0, zorder=2
            )
    ax.axvline(0, color=INK, linewidth=0.8, zorder=1)
    ax.set_yticks(range(len(names)), [(labels or {}).get(name, name) for name in names])
    ax.set_ylim(len(names) - 0.4, -0.6)
    ax.set_xlabel(
        f"Shapley value (change of the {explained.score}; right: higher {explained.told})"
    )
    ax.set_title(f"Covariates, one point a patient; {_counts(frame)}", fontsize=10)
    bar = ax.figure.colorbar(mpl.cm.ScalarMappable(norm, colours), ax=ax, aspect=30, pad=0.02)  # pyright: ignore[reportAttributeAccessIssue]
    bar.set_ticks([0, 1], labels=["low", "high"])
    bar.set_label("value of the covariate (grey: missing)", fontsize=9)
    return tidy(ax)


def _spread(values: np.ndarray, *, n_bins: int = 60, height: float = 0.38) -> np.ndarray:
    """Return vertical offsets that part points of nearly equal value, the same at every call."""
    if len(values) == 0 or np.ptp(values) == 0:
        return (
            np.linspace(-height, height, len(values)) if len(values) > 1 else np.zeros(len(values))
        )
    bins = np.floor((values - values.min()) / np.ptp(values) * (n_bins - 1)).astype(int)
    offsets = np.zeros(len(values))
    fullest = np.bincount(bins).max()
    for number in np.unique(bins):
        rows = np.flatnonzero(bins == number)
        order = np.arange(1, len(rows) + 1) // 2 * np.where(np.arange(len(rows)) % 2, 1, -1)
        offsets[rows] = order / max(fullest / 2, 3) * height
    return offsets


def _readable_colours() -> mpl.colors.ListedColormap:  # pyright: ignore[reportAttributeAccessIssue]
    """Return viridis without its yellow end, which fades on white paper."""
    return mpl.colors.ListedColormap(mpl.colormaps["viridis"](np.linspace(0, 0.85, 256)))  # pyright: ignore[reportAttributeAccessIssue]


def _rank01(values: np.ndarray) -> np.ndarray:
    """Return ranks from 0 (lowest) to 1 (highest), ties shared; 0.5 where all are equal."""
    rank = pd.Series(values).rank().to_numpy()
    spread = np.nanmax(rank) - np.nanmin(rank) if np.isfinite(rank).any() else 0.0
    return (rank - np.nanmin(rank)) / spread if spread > 0 else np.full(len(values), 0.5)


def _counts(frame: pd.DataFrame) -> str:
    n_patients, n_records = frame["patient_id"].nunique(), frame["record_id"].nunique()
    sampled = "" if (frame["method"] == "exact").all() else "; sampled, not exact"
    return f"{n_patients} patients, {n_records} records{sampled}"
