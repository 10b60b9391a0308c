"""The figures of a predicted number, each with its caption and the table it is drawn from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from evaluation.forest import draw_intervals
from evaluation.number_comparison import ERROR_DIFFERENCE
from evaluation.style import GREY, variant_style, with_interval

Panel = tuple[Figure, str, pd.DataFrame]
_LIMITS = {"mean_difference": "-", "agreement_low": "--", "agreement_high": "--"}


def errors(metrics: pd.DataFrame, target: Mapping[str, Any]) -> Panel:
    """Draw the mean absolute error of every variant and of the mean, with intervals.

    Parameters
    ----------
    metrics : pandas.DataFrame
        Of :func:`evaluation.regression.regression_table`, the training mean among the variants.
    target : mapping
        `label, unit` of the number.
    """
    rows = metrics[metrics["metric"] == "mean_absolute_error"].reset_index(drop=True)
    labels = [variant_style(name)["label"] for name in rows["variant"]]
    figure, ax = _forest(rows, labels, list(rows["variant"]))
    ax.set_xlim(left=0)
    ax.set_xlabel(_named("mean absolute error", target), fontsize=12)
    ax.set_title(f"{target['label']}: error of prediction\n{_size(rows)}", fontsize=12)
    caption = (
        "Mean absolute error of held-out patients with intervals over patients. The last line "
        "predicts the mean of the training patients for everybody."
    )
    return figure, caption, rows


def differences(comparisons: pd.DataFrame, target: Mapping[str, Any]) -> Panel:
    """Draw the paired differences in error; left of the line the first named is better.

    Parameters
    ----------
    comparisons : pandas.DataFrame
        Of :func:`evaluation.number_comparison.number_comparisons`.
    target : mapping
        `label, unit` of the number.
    """
    rows = comparisons[comparisons["metric"] == ERROR_DIFFERENCE].reset_index(drop=True)
    named = [[variant_style(row[side])["label"] for side in ("new", "reference")]
             for _, row in rows.iterrows()]  # fmt: skip
    figure, ax = _forest(rows, [f"{new}\nagainst {old}" for new, old in named], list(rows["new"]))
    ax.axvline(0, color=GREY, linewidth=1, linestyle=(0, (1, 3)))
    ax.set_xlabel(_named("difference in mean absolute error", target), fontsize=12)
    ax.set_title(f"{target['label']}: left of 0 the first is closer\n{_size(rows)}", fontsize=12)
    caption = (
        "Paired differences in mean absolute error on the same held-out patients. An interval that "
        "reaches 0 against the mean of the training patients: the model may say nothing."
    )
    return figure, caption, rows


def calibration(
    values: pd.DataFrame, lines: pd.DataFrame, metrics: pd.DataFrame, target: Mapping[str, Any]
) -> Panel:
    """Draw measured against predicted values with the calibration curve, one panel a variant.

    Parameters
    ----------
    values : pandas.DataFrame
        :func:`evaluation.regression.patient_values` of one target.
    lines : pandas.DataFrame
        Of :func:`evaluation.regression.calibration_lines`.
    metrics : pandas.DataFrame
        For slope and intercept.
    target : mapping
        `label, unit` of the number.
    """
    shown = _first_repeat(values)
    figure, axes = _row_of_axes(list(lines["variant"].unique()))
    for (variant, line), ax in zip(lines.groupby("variant", sort=False), axes, strict=True):
        style, points = variant_style(str(variant)), shown[shown["variant"] == variant]
        ax.scatter(points["y_score"], points["y_true"], s=12, alpha=0.35, color=style["color"])
        ends = [line["predicted"].min(), line["predicted"].max()]
        ax.plot(ends, ends, color=GREY, linestyle=":", label="predicted = measured")
        band = {"color": style["color"], "alpha": 0.2, "linewidth": 0}
        ax.fill_between(line["predicted"], line["ci_low"], line["ci_high"], **band)
        ax.plot(
            line["predicted"], line["measured"], color=style["color"], lw=2, label="mean measured"
        )
        found = _of(metrics, str(variant))
        slope = _interval(found.loc["calibration_slope"])
        ax.set_title(f"{style['label']}, n = {line['n'].iloc[0]}\nslope {slope}", fontsize=11)
        ax.set_xlabel(_named(f"predicted {target['label']}", target), fontsize=11)
        ax.legend(frameon=False, fontsize=9)
    axes[0].set_ylabel(_named(f"measured {target['label']}", target), fontsize=11)
    caption = (
        f"Calibration of {target['label']}: mean measured value at each predicted one with its "
        "band over patients; the dotted line is perfect, points are patients."
    )
    return figure, caption, lines


def agreement(values: pd.DataFrame, metrics: pd.DataFrame, target: Mapping[str, Any]) -> Panel:
    """Draw predicted less measured against their mean with the limits of agreement.

    After Bland and Altman 1986, doi 10.1016/S0140-6736(86)90837-8; bands are the intervals of the
    mean difference and of its limits.

    Parameters
    ----------
    values, metrics, target
        As for :func:`calibration`.
    """
    shown = _first_repeat(values)
    names = list(shown["variant"].unique())
    figure, axes = _row_of_axes(names)
    for variant, ax in zip(names, axes, strict=True):
        style, points = variant_style(variant), shown[shown["variant"] == variant]
        x, y = points["y_score"].to_numpy(), points["y_true"].to_numpy()
        ax.scatter((x + y) / 2, x - y, s=12, alpha=0.35, color=style["color"])
        for name, dash in _LIMITS.items():
            row = _of(metrics, variant).loc[name]
            ax.axhline(row["estimate"], color="#000000", linestyle=dash, linewidth=1.4)
            if np.isfinite(row["ci_low"]):
                ax.axhspan(row["ci_low"], row["ci_high"], color=GREY, alpha=0.2, linewidth=0)
            place = {"xycoords": ("axes fraction", "data"), "va": "center", "fontsize": 10}
            ax.annotate(f"{row['estimate']:+.1f}", (1.01, row["estimate"]), **place)
        ax.set_title(f"{style['label']}, n = {len(points)}", fontsize=11)
        ax.set_xlabel(_named("mean of predicted and measured", target), fontsize=11)
    axes[0].set_ylabel(_named(f"{target['label']}: predicted - measured", target), fontsize=11)
    caption = (
        f"Agreement of predicted and measured {target['label']}: 95 % of patients lie between the "
        "dashed lines; grey bands are the intervals of the lines. A slope of the points is usual "
        "for predictions that vary less than what is measured."
    )
    table = shown[["variant", "patient_id", "y_true", "y_score"]]
    return figure, caption, table.assign(difference=table["y_score"] - table["y_true"])


def _forest(
    rows: pd.DataFrame, labels: Sequence[str], variants: Sequence[str]
) -> tuple[Figure, Axes]:
    """Draw one estimate with its interval a row, the numbers beside it."""
    size = (6.4, 1.5 + 0.55 * len(rows))
    figure, ax = plt.subplots(figsize=size, layout="constrained")
    colors = [variant_style(name)["color"] for name in variants]
    draw_intervals(ax, rows, colors, [_interval(row) for _, row in rows.iterrows()])
    ax.set_yticks(range(len(rows)), labels)
    ax.spines[["top", "right"]].set_visible(False)
    return figure, ax


def _row_of_axes(names: Sequence[str]) -> tuple[Figure, list[Axes]]:
    size = (max(4.6 * len(names), 5.2), 4.4)
    options = {"sharey": True, "squeeze": False, "layout": "constrained"}
    figure, axes = plt.subplots(1, len(names), figsize=size, **options)
    for ax in axes[0]:
        ax.spines[["top", "right"]].set_visible(False)
    return figure, list(axes[0])


def _first_repeat(values: pd.DataFrame) -> pd.DataFrame:
    tested = values[values["role"] == "test"]
    return tested[tested["repeat"] == tested["repeat"].min()]


def _of(metrics: pd.DataFrame, variant: str) -> pd.DataFrame:
    return metrics[metrics["variant"] == variant].set_index("metric")


def _named(what: str, target: Mapping[str, Any]) -> str:
    return f"{what} ({target['unit']})" if target["unit"] else what


def _interval(row: pd.Series) -> str:
    return with_interval(row["estimate"], row["ci_low"], row["ci_high"])


def _size(rows: pd.DataFrame) -> str:
    sizes = rows["n"].unique()
    return "n = " + ", ".join(str(int(n)) for n in sizes) + " patients"
