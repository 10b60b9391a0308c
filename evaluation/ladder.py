"""The small-sample ladder: what each way of using a network reaches, costs, and gains."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from evaluation.comparison import compare_variants
from evaluation.forest import draw_intervals
from evaluation.metrics import calibration_rows, discrimination_rows
from evaluation.resampling import BootstrapPlan
from evaluation.samples import ScoredRows
from evaluation.scores import known_at_horizon, patient_scores
from evaluation.style import GREY, finish_axes, start_axes, with_interval

BLUE, ORANGE = "#0072B2", "#D55E00"  # Okabe-Ito
_METRICS = {
    "auroc_mean_within_fold": "auroc",
    "calibration_slope": "slope",
    "brier": "brier",
}


def ladder_table(
    predictions: pd.DataFrame, costs: pd.DataFrame, *, reference: str, plan: BootstrapPlan
) -> pd.DataFrame:
    """Return one row a rung: discrimination, calibration, cost, and the gain over one rung.

    Parameters
    ----------
    predictions : pandas.DataFrame
        Of all rungs, concatenated; the column `variant` names the rung. Rungs may have been
        trained in different numbers of repeats of the same splits.
    costs : pandas.DataFrame
        `rung, seconds_a_fit, n_trained`, in the order of the table; `n_trained` counts the weights
        that learn.
    reference : str
        Rung that the others are compared with.
    plan : BootstrapPlan
        Resamples, level, kind, seed.

    Returns
    -------
    pandas.DataFrame
        `rung, n, n_events, n_repeats, auroc, auroc_low, auroc_high, slope, slope_low, slope_high,
        brier, brier_low, brier_high, seconds_a_fit, n_trained, gain, gain_low, gain_high, gain_on,
        method`. `auroc` is the mean within folds; `gain` is its paired difference to the
        reference on the same patients, folds and repeats (`gain_on` repeats). All intervals are
        conditional on the fitted models. With one repeat the AUROC's is the wider of DeLong's and
        Newcombe's; see `method`.

    Raises
    ------
    ValueError
        If the reference, or a rung of `costs`, has no predictions, or the patients of two rungs
        differ.
    """
    is_known = predictions["y_true"].notna()  # of the others nothing can be said here
    rows = patient_scores(predictions[(predictions["role"] == "test") & is_known])
    rows = known_at_horizon(rows.assign(record_id=rows["patient_id"], seed=0))
    absent = sorted({reference, *costs["rung"]} - set(rows["variant"]))
    if absent:
        raise ValueError(
            f"predictions must hold test rows of every rung, got none of {', '.join(absent)}. Run "
            "these rungs, or leave them out."
        )
    of_rung = dict(list(rows.groupby("variant")))
    found = []
    for cost in costs.to_dict("records"):
        mine = of_rung[cost["rung"]]
        row = {"rung": cost["rung"], **_measured(ScoredRows(mine), plan)}
        row |= {key: cost[key] for key in ("seconds_a_fit", "n_trained")}
        row |= dict.fromkeys(("gain", "gain_low", "gain_high"), np.nan) | {"gain_on": 0}
        if cost["rung"] != reference:
            gain = compare_variants(mine, of_rung[reference], plan=plan).iloc[0]
            shared = set(mine["repeat"]) & set(of_rung[reference]["repeat"])
            row |= {"gain": gain["estimate"], "gain_low": gain["ci_low"]}
            row |= {"gain_high": gain["ci_high"], "gain_on": len(shared)}
        found.append(row)
    return pd.DataFrame(found)


def _measured(sample: ScoredRows, plan: BootstrapPlan) -> dict:
    """Return the first row of each metric of the table, with its interval."""
    table = pd.DataFrame(discrimination_rows(sample, plan) + calibration_rows(sample, plan))
    first = table.drop_duplicates("metric").set_index("metric")
    row = {"n": sample.n, "n_events": sample.n_events, "n_repeats": len(sample.repeats)}
    for metric, name in _METRICS.items():
        row[name] = first.loc[metric, "estimate"]
        row[f"{name}_low"], row[f"{name}_high"] = first.loc[metric, ["ci_low", "ci_high"]]
    return row | {"method": first.loc["auroc_mean_within_fold", "method"]}


def plot_ladder(table: pd.DataFrame, axes: Sequence[Axes], *, reference: str) -> Sequence[Axes]:
    """Draw every rung's AUROC, and its paired difference to the reference, with intervals.

    Parameters
    ----------
    table : pandas.DataFrame
        Of :func:`ladder_table`.
    axes : two matplotlib Axes
        Left for the AUROC, right for the difference.
    reference : str
        As for the table.

    Returns
    -------
    the axes
    """
    left, right = axes
    named = table.assign(variant=table["rung"])
    start_axes(named, left, ("auroc", "auroc_low", "auroc_high", "gain"))
    _forest(left, table, "auroc", BLUE)
    _forest(right, table, "gain", ORANGE)
    left.axvline(0.5, color=GREY, linewidth=1, linestyle=(0, (1, 3)))
    right.axvline(0.0, color=GREY, linewidth=1, linestyle=(0, (1, 3)))
    left.set_yticks(range(len(table)), list(table["rung"]))
    right.set_yticks(range(len(table)), [""] * len(table))
    finish_axes(left, named, title="AUROC within folds", x="AUROC (0.5 = chance)", y="")
    title = f"Difference to {reference}"
    finish_axes(right, named, title=title, x="difference of AUROC (right: better)", y="")
    right.set_title(f"{title}\nsame patients, folds and repeats", fontsize=12)
    return axes


def _forest(ax: Axes, table: pd.DataFrame, name: str, color: str) -> None:
    """Draw one estimate with its interval a row, and its numbers beside the axis."""
    columns = {name: "estimate", f"{name}_low": "ci_low", f"{name}_high": "ci_high"}
    rows = table.rename(columns=columns)
    absent, form = ("reference", "+.3f") if name == "gain" else ("not estimable", ".3f")
    texts = [
        with_interval(*row, form) if np.isfinite(row[0]) else absent
        for row in rows[[*columns.values()]].to_numpy(float)
    ]
    draw_intervals(ax, rows, [color] * len(rows), texts)
