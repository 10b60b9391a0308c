"""How much the risk of a patient depends on the seed of the network that gives it.

Networks of one fold that differ in their seed alone (first weights, order, dropout) are one more
source of doubt that no bootstrap of patients shows: intervals hold for the fitted models.
"""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from evaluation.scores import known_at_horizon, patient_scores
from evaluation.stability import instability_summary, patient_instability
from evaluation.style import GREY, OUTCOME_COLOURS, add_legend, finish_axes
from evaluation.weighted import auroc_statistic

_KEYS = ["target", "variant", "repeat", "fold", "patient_id"]
SUMMARY_COLUMNS = ["target", "variant", "measure", "value", "low", "high", "n", "n_seeds"]


def seed_scores(predictions: pd.DataFrame) -> pd.DataFrame:
    """Return the risk of every held-out patient by each seed's network, and by the ensemble.

    Parameters
    ----------
    predictions : pandas.DataFrame
        As for :func:`evaluation.scores.check_predictions`; variants with one seed are left out.

    Returns
    -------
    pandas.DataFrame
        One row a patient x repeat x seed of the role test: `target, variant, repeat, fold,
        patient_id, y_true, seed, y_score, ensemble` (mean logit over seeds). Only patients whose
        status at the horizon is known. Empty where no variant has several seeds.
    """
    test = predictions[(predictions["role"] == "test") & predictions["y_true"].notna()]
    n_seeds = test.groupby(["target", "variant"])["seed"].transform("nunique")
    test = test[n_seeds > 1]
    columns = [*_KEYS, "y_true", "seed", "y_score", "ensemble"]
    if test.empty:
        return pd.DataFrame(columns=columns)
    ensemble = patient_scores(known_at_horizon(test))[[*_KEYS, "y_score"]]
    by_seed = [patient_scores(rows).assign(seed=seed) for seed, rows in test.groupby("seed")]
    found = pd.concat(by_seed, ignore_index=True)
    found = found.merge(ensemble.rename(columns={"y_score": "ensemble"}), on=_KEYS)
    return found[columns].sort_values([*_KEYS, "seed"], ignore_index=True)


def seed_spread(scores: pd.DataFrame, *, threshold: float | None = None) -> pd.DataFrame:
    """Return the spread over seeds of each patient's risk.

    Parameters
    ----------
    scores : pandas.DataFrame
        Of :func:`seed_scores`.
    threshold : float, optional
        Risk from which a patient is treated.

    Returns
    -------
    pandas.DataFrame
        One row a patient x repeat: `target, variant, repeat, fold, patient_id, y_true, original`
        (the ensemble's risk), `low, high` (lowest and highest of the seeds), `mape` and, with a
        threshold, `changed`, as :func:`evaluation.stability.patient_instability`.
    """
    parts = []
    for _, rows in scores.groupby(["target", "variant"], sort=False):
        wide = rows.pivot(index=_KEYS, columns="seed", values="y_score")
        first = rows.drop_duplicates(_KEYS).set_index(_KEYS).loc[wide.index].reset_index()
        spread = patient_instability(
            first["ensemble"], wide.to_numpy(), threshold=threshold, confidence=1.0
        )
        parts.append(first[[*_KEYS, "y_true"]].join(spread))
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=_KEYS)


def seed_summary(scores: pd.DataFrame, *, threshold: float | None = None) -> pd.DataFrame:
    """Return what the seeds change, in a few numbers a variant.

    Parameters
    ----------
    scores, threshold
        As for :func:`seed_spread`.

    Returns
    -------
    pandas.DataFrame
        `target, variant, measure, value, low, high, n, n_seeds`: the measures of
        :func:`evaluation.stability.instability_summary`, and the AUROC (mean within folds) of a
        single network, with the lowest and highest of the seeds, and of the ensemble. Ranges, not
        confidence intervals. Empty where no variant has several seeds.
    """
    parts = []
    for (target, variant), rows in scores.groupby(["target", "variant"], sort=False):
        wide = rows.pivot(index=_KEYS, columns="seed", values="y_score")
        first = rows.drop_duplicates(_KEYS).set_index(_KEYS).loc[wide.index]
        found = instability_summary(
            first["ensemble"], wide.to_numpy(), first["y_true"], threshold=threshold
        ).rename(columns={"n_refits": "n_seeds"})
        single = [_within_folds(part, "y_score") for _, part in rows.groupby("seed")]
        aurocs = {
            "measure": ["AUROC of a single network", "AUROC of the ensemble"],
            "value": [float(np.median(single)), _within_folds(first.reset_index(), "ensemble")],
            "low": [min(single), np.nan],
            "high": [max(single), np.nan],
        }
        sizes = {"n": len(wide), "n_seeds": wide.shape[1]}
        found = pd.concat([found, pd.DataFrame(aurocs).assign(**sizes)])
        found["measure"] = found["measure"].str.replace("a refit", "a single network")
        parts.append(found.assign(target=target, variant=variant)[SUMMARY_COLUMNS])
    if not parts:
        return pd.DataFrame(columns=SUMMARY_COLUMNS)
    return pd.concat(parts, ignore_index=True)


def _within_folds(patients: pd.DataFrame, name: str) -> float:
    """Return the mean AUROC within folds, of folds with both outcomes."""
    found = [
        float(auroc_statistic(rows["y_true"], rows[name])(np.ones((1, len(rows))))[0])
        for _, rows in patients.groupby(["repeat", "fold"])
        if rows["y_true"].nunique() == 2
    ]
    return float(np.mean(found)) if found else float("nan")


def plot_seed_spread(spread: pd.DataFrame, *, title: str = "", ax: Axes | None = None) -> Axes:
    """Draw every held-out patient's risk: a line from the lowest to the highest of the seeds.

    Parameters
    ----------
    spread : pandas.DataFrame
        Rows of :func:`seed_spread` of one variant; of several repeats the first is drawn.
    title : str
        Of the axes.
    ax : Axes, optional
        Where to draw.
    """
    if ax is None:
        ax = plt.subplots(figsize=(6.4, 4.6), layout="constrained")[1]
    first = spread[spread["repeat"] == spread["repeat"].min()].sort_values("original")
    rank = np.arange(1, len(first) + 1)
    ax.vlines(rank, first["low"], first["high"], color=GREY, lw=1, alpha=0.7, label="all seeds")
    for outcome, label in ((0, "without the event"), (1, "with the event")):
        is_here = (first["y_true"] == outcome).to_numpy()
        style = {"marker": "o^"[outcome], "color": OUTCOME_COLOURS[outcome], "label": label}
        ax.plot(rank[is_here], first.loc[is_here, "original"], ls="", ms=4, **style)
    ax.set_ylim(bottom=0)
    add_legend(ax, loc="upper left", fontsize=9)
    size = pd.DataFrame({"n": [len(first)], "n_events": [int(first["y_true"].sum())]})
    x, y = "held-out patients, from the lowest to the highest risk", "risk"
    return finish_axes(ax, size, title=title or "Risk by seed", x=x, y=y)
