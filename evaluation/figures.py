"""Figures of the evaluation, each drawn from one table of :func:`evaluation.summary.evaluate`.

Every function takes a table and an optional `ax`, draws all variants in it, and returns the
`ax`. A variant has the same colour and line in every figure
(:func:`evaluation.style.variant_style`); n and events stand in the title.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from evaluation.style import (
    GREY,
    OUTCOME_COLOURS,
    add_legend,
    estimate_row,
    finish_axes,
    interval_text,
    start_axes,
    variant_style,
)


def _by_variant(table: pd.DataFrame):
    return table.groupby("variant", sort=False)


def _draw_repeats(ax: Axes, part: pd.DataFrame, columns, style: dict, *, steps: str) -> None:
    repeats = list(part.groupby("repeat"))
    for k, (_, curve) in enumerate(repeats):
        shown = style if k == 0 else style | {"label": None}
        width, alpha = (2.2, 1.0) if len(repeats) == 1 else (1.2, 0.6)
        x, y = (curve[name].to_numpy() for name in columns)
        ax.plot(x, y, **shown, linewidth=width, alpha=alpha, drawstyle=steps)


def plot_roc(
    table: pd.DataFrame, *, metrics: pd.DataFrame | None = None, ax: Axes | None = None
) -> Axes:
    """Draw ROC curves, one line a variant and repeat.

    Parameters
    ----------
    table : pandas.DataFrame
        `roc` of the evaluation.
    metrics : pandas.DataFrame, optional
        `metrics` of the evaluation: adds the pooled AUROC and its interval to the legend.
    ax : matplotlib Axes, optional
        Where to draw.

    Returns
    -------
    matplotlib Axes
    """
    ax = start_axes(table, ax, ("repeat", "fpr", "tpr"))
    ax.plot([0, 1], [0, 1], color=GREY, linewidth=1, linestyle=(0, (1, 3)))
    for variant, part in _by_variant(table):
        style = variant_style(variant)
        style["label"] = f"{style['label']} {interval_text(metrics, variant, 'auroc_pooled')}"
        _draw_repeats(ax, part, ("fpr", "tpr"), style, steps="default")
    ax.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), aspect="equal")
    add_legend(ax, loc="lower right")
    names = {"x": "1 - specificity (no unit)", "y": "Sensitivity (no unit)"}
    return finish_axes(ax, table, title="ROC, all test patients", **names)


def plot_precision_recall(
    table: pd.DataFrame, *, metrics: pd.DataFrame | None = None, ax: Axes | None = None
) -> Axes:
    """Draw precision against recall with the prevalence, which chance reaches.

    Parameters are those of :func:`plot_roc`, with the table `precision_recall`.
    """
    ax = start_axes(table, ax, ("repeat", "recall", "precision", "prevalence"))
    for prevalence in table["prevalence"].drop_duplicates():
        label = f"Prevalence {prevalence:.2f}"
        ax.axhline(prevalence, color=GREY, linewidth=1, linestyle=(0, (1, 3)), label=label)
    for variant, part in _by_variant(table):
        style = variant_style(variant)
        style["label"] = f"{style['label']} {interval_text(metrics, variant, 'auprc')}"
        _draw_repeats(ax, part, ("recall", "precision"), style, steps="steps-pre")
    ax.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01))
    add_legend(ax, loc="upper right")
    names = {"x": "Recall = sensitivity (no unit)", "y": "Precision = PPV (no unit)"}
    return finish_axes(ax, table, title="Precision and recall, all test patients", **names)


def plot_calibration(
    table: pd.DataFrame,
    *,
    metrics: pd.DataFrame | None = None,
    patients: pd.DataFrame | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw flexible calibration curves with bands, and a rug of the risks.

    Parameters
    ----------
    table : pandas.DataFrame
        `calibration_curve` of the evaluation.
    metrics : pandas.DataFrame, optional
        Adds slope, intercept and ICI of each variant in its colour.
    patients : pandas.DataFrame, optional
        `patients` of the evaluation: one row of ticks a variant, events at the
        top, others at the bottom.
    ax : matplotlib Axes, optional
        Where to draw.

    Returns
    -------
    matplotlib Axes
    """
    ax = start_axes(table, ax, ("risk", "observed", "ci_low", "ci_high"), size=(5.6, 5.8))
    ax.plot([0, 1], [0, 1], color=GREY, linewidth=1, linestyle=(0, (1, 3)))
    for k, (variant, part) in enumerate(_by_variant(table)):
        style = variant_style(variant) | {"label": _calibration_label(metrics, variant)}
        ax.plot(part["risk"], part["observed"], **style, linewidth=2.2)
        ax.fill_between(
            part["risk"], part["ci_low"], part["ci_high"], color=style["color"], alpha=0.13, lw=0
        )
        if patients is not None:
            _rug(ax, patients[patients["variant"] == variant], style["color"], k)
    highest = float(table[["risk", "observed", "ci_high"]].max().max())
    limit = min(1.0, max(0.2, highest * 1.05)) if np.isfinite(highest) else 1.0
    ax.set(xlim=(-0.02 * limit, limit), ylim=(-0.08 * limit, 1.08 * limit))
    # Below the axes: nothing inside is free of curves for every cohort.
    add_legend(ax, loc="upper center", bbox_to_anchor=(0.45, -0.15), fontsize=9)
    names = {"x": "Predicted risk (probability)", "y": "Observed proportion"}
    return finish_axes(ax, table, title="Calibration, pointwise band", **names)


def _calibration_label(metrics: pd.DataFrame | None, variant: str) -> str:
    label = variant_style(variant)["label"]
    if metrics is None:
        return label
    parts = []
    for name in ("slope", "intercept"):
        # "not estimable" must be seen, not missed.
        value = interval_text(metrics, variant, f"calibration_{name}") or "not estimable"
        parts.append(f"{name} {value}")
    ici = estimate_row(metrics, variant, "ici")
    parts += [] if ici is None else [f"ICI {ici['estimate']:.3f}"]
    return f"{label}\n" + ", ".join(parts)


def _rug(ax: Axes, patients: pd.DataFrame, color: str, row: int) -> None:
    place = {"color": color, "alpha": 0.45, "linewidth": 0.7, "transform": ax.get_xaxis_transform()}
    for outcome, start in ((0, 0.018 * row), (1, 0.982 - 0.018 * row)):
        risks = patients.loc[patients["y_true"] == outcome, "y_score"]
        ax.vlines(risks, start, start + 0.016, **place)


def plot_risk_histogram(
    table: pd.DataFrame, *, variant: str | None = None, ax: Axes | None = None
) -> Axes:
    """Draw the risks of patients with and without the event: bars up and down.

    Parameters
    ----------
    table : pandas.DataFrame
        `risk_histogram` of the evaluation.
    variant : str, optional
        Which one; needed when the table holds several, as bars of several would overlap.
    ax : matplotlib Axes, optional
        Where to draw.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ValueError
        If the table holds several variants and none is named.
    """
    ax = start_axes(table, ax, ("y_true", "bin_low", "bin_high", "count"), size=(5.0, 3.6))
    present = list(table["variant"].unique())
    if variant is None and len(present) == 1:
        variant = present[0]
    if variant not in present:
        raise ValueError(
            f"variant must be one of {present}, got {variant!r}. Draw a panel for each."
        )
    table = table[table["variant"] == variant]
    for outcome, sign, label in ((1, 1, "with the event"), (0, -1, "without")):
        part = table[table["y_true"] == outcome]
        width = part["bin_high"] - part["bin_low"]
        shown = {"color": OUTCOME_COLOURS[outcome], "label": f"Patients {label}"}
        ax.bar(part["bin_low"], sign * part["count"], width, align="edge", **shown, ec="white")
    ax.axhline(0, color="black", linewidth=0.8)
    ax.yaxis.set_major_formatter(lambda value, _: f"{abs(value):g}")
    ax.set_xlim(0, 1)
    add_legend(ax, loc="best")
    title = f"Predicted risks by outcome: {variant_style(variant)['label']}"
    return finish_axes(
        ax, table, title=title, x="Predicted risk (probability)", y="Patients (count)"
    )


def plot_decision_curve(table: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Draw net benefit of each variant with its band, against all, none and the simple rule.

    Parameters
    ----------
    table : pandas.DataFrame
        `decision_curve` of the evaluation.
    ax : matplotlib Axes, optional
        Where to draw.

    Returns
    -------
    matplotlib Axes
    """
    ax = start_axes(table, ax, ("strategy", "threshold", "net_benefit", "ci_low", "ci_high"))
    models = table[table["strategy"] == "model"]
    # Patients of all variants are the same, and so are these lines.
    default = table[(table["variant"] == table["variant"].iloc[0])] if len(table) else table
    lines = {"treat all": (0, (5, 2)), "treat none": "-"}
    for strategy, part in default[default["strategy"] != "model"].groupby("strategy", sort=False):
        name = str(strategy)
        style = {"color": GREY, "linewidth": 1.3, "linestyle": lines.get(name, (0, (1, 1)))}
        label = name[0].upper() + name[1:]
        ax.plot(part["threshold"], part["net_benefit"], **style, label=label)
    for variant, part in _by_variant(models):
        style = variant_style(variant)
        x = part["threshold"]
        ax.plot(x, part["net_benefit"], **style, linewidth=2.2)
        ax.fill_between(x, part["ci_low"], part["ci_high"], color=style["color"], alpha=0.1, lw=0)
    if len(models):
        top = float(np.nanmax(models[["net_benefit", "ci_high"]].to_numpy()))
        ax.set_ylim(-0.35 * max(top, 0.02), 1.1 * max(top, 0.02))
        ax.set_xlim(models["threshold"].min(), models["threshold"].max())
    add_legend(ax, loc="upper right")
    names = {"x": "Risk at which one would act (probability)"}
    names["y"] = "Net benefit (true positives per patient)"
    return finish_axes(ax, table, title="Decision curve, pointwise band", **names)
