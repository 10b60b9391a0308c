"""What recalibration changes: calibration of the test patients before and after.

What is said of a recalibration must hold for patients it was not fitted on: all figures here are
those of test patients, and before and after are compared on the same resamples.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from evaluation.comparison import CONDITIONAL, pair_patients
from evaluation.curves import calibration_table
from evaluation.intervals import bootstrap_interval
from evaluation.metrics import calibration_rows
from evaluation.recalibration import recalibrated
from evaluation.resampling import BootstrapPlan
from evaluation.samples import ScoredRows
from evaluation.style import GREY, add_legend, finish_axes, start_axes, variant_style
from evaluation.weighted import brier_statistic, difference

NONE = "none"  # the scores as they came
METRICS = ("calibration_slope", "calibration_intercept", "ici", "brier", "o_e", "scaled_brier")
_STYLES = {
    NONE: {"color": "black", "linestyle": "-"},
    "intercept": {"color": "#0072B2", "linestyle": "--"},
    "logistic": {"color": "#D55E00", "linestyle": "-."},
    "temperature": {"color": "#009E73", "linestyle": ":"},
    "isotonic": {"color": "#CC79A7", "linestyle": (0, (3, 1, 1, 1))},
}


def _versions(patients: pd.DataFrame, methods: Sequence[str]):
    """Yield target, variant, and the test rows before and after by name of the method."""
    tables = {NONE: patients} | {name: recalibrated(patients, name)[0] for name in methods}
    tests = {name: table[table["role"] == "test"] for name, table in tables.items()}
    for key, _ in tests[NONE].groupby(["target", "variant"], sort=False):
        of_key = {
            name: test[(test["target"] == key[0]) & (test["variant"] == key[1])]
            for name, test in tests.items()
        }
        yield *key, of_key


def before_after(
    patients: pd.DataFrame, methods: Sequence[str], plan: BootstrapPlan
) -> pd.DataFrame:
    """Return the calibration of the test patients before and after recalibration.

    Parameters
    ----------
    patients : pandas.DataFrame
        As for :func:`evaluation.recalibration.recalibrated`.
    methods : sequence of str
        Which to compare; the scores as they came are the rows with `recalibration` "none".
    plan : BootstrapPlan
        Resamples of patients, level, kind and seed.

    Returns
    -------
    pandas.DataFrame
        `target, variant, recalibration, metric, method, threshold, estimate, ci_low, ci_high, n,
        n_events`; metric in calibration_slope, calibration_intercept, ici, brier, o_e, scaled_brier
        and, after, delta_brier (after - before on the same resamples; below 0 is better). The
        intervals are conditional on the fitted models and recalibrations.
    """
    rows: list[dict] = []
    for target, variant, tests in _versions(patients, methods):
        for name, test in tests.items():
            sample = ScoredRows(test)
            found = [row for row in calibration_rows(sample, plan) if row["metric"] in METRICS]
            found.sort(key=lambda row: METRICS.index(row["metric"]))
            if name != NONE:
                found.append(_delta_brier(test, tests[NONE], plan))
            labels = {"target": target, "variant": variant, "recalibration": name}
            rows += [labels | row for row in found]
    return pd.DataFrame(rows)


def fitted_maps(patients: pd.DataFrame, methods: Sequence[str]) -> pd.DataFrame:
    """Return the parameters of all folds and methods, as `recalibrated`; without any, no row."""
    if not len(methods):
        return recalibrated(patients.iloc[:0], "intercept")[1]
    return pd.concat([recalibrated(patients, name)[1] for name in methods], ignore_index=True)


def with_updates(metrics: pd.DataFrame, calibration: pd.DataFrame) -> pd.DataFrame:
    """Return the `metrics` of the evaluation and, below, the rows of `before_after` that follow.

    The column `recalibration` tells them apart: "none", or the method.
    """
    after = calibration[calibration["recalibration"] != NONE]
    parts = [metrics.assign(recalibration=NONE), after.assign(level="patient", subgroup="all")]
    return pd.concat(parts, ignore_index=True)[[*metrics.columns, "recalibration"]]


def _delta_brier(after: pd.DataFrame, before: pd.DataFrame, plan: BootstrapPlan) -> dict:
    pairs = pair_patients(after, before)
    gain = difference(
        *(pairs.statistic(brier_statistic, pairs.repeats, side) for side in ("new", "reference"))
    )
    interval = bootstrap_interval(gain, pairs.clusters, plan=plan)
    return {
        "metric": "delta_brier",
        "method": f"paired: {interval.method}{pairs.repeats_text()}, {CONDITIONAL}",
        "threshold": np.nan,
        "estimate": interval.estimate,
        "ci_low": interval.ci_low,
        "ci_high": interval.ci_high,
        "n": pairs.n,
        "n_events": pairs.n_events,
    }


def curves_before_after(
    patients: pd.DataFrame, methods: Sequence[str], plan: BootstrapPlan
) -> pd.DataFrame:
    """Return the flexible calibration curves before and after; arguments as `before_after`.

    Returns
    -------
    pandas.DataFrame
        `target, variant, recalibration, risk, observed, ci_low, ci_high, n, n_events`.
    """
    return pd.concat(
        [
            calibration_table(ScoredRows(test), plan).assign(
                target=target, variant=variant, recalibration=name
            )
            for target, variant, tests in _versions(patients, methods)
            for name, test in tests.items()
        ],
        ignore_index=True,
    )


def plot_before_after(
    table: pd.DataFrame,
    *,
    variant: str,
    metrics: pd.DataFrame | None = None,
    title: str = "Calibration before and after",
    ax: Axes | None = None,
) -> Axes:
    """Draw the calibration curves of one variant before and after recalibration.

    Parameters
    ----------
    table : pandas.DataFrame
        From :func:`curves_before_after`.
    variant : str
        Which one; a panel each.
    metrics : pandas.DataFrame, optional
        From :func:`before_after`: slope and Brier score in the legend.
    title : str
        First words of the title.
    ax : matplotlib Axes, optional
        Where to draw.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ValueError
        If the table has no such variant.
    """
    ax = start_axes(table, ax, ("recalibration", "risk", "observed", "ci_low", "ci_high"))
    present = list(table["variant"].unique())
    if variant not in present:
        raise ValueError(
            f"variant must be one of {present}, got {variant!r}. Draw a panel for each."
        )
    table = table[table["variant"] == variant]
    top = float(np.nanmax(table[["risk", "observed", "ci_high"]].to_numpy()))
    ax.plot([0, 1], [0, 1], color=GREY, linewidth=1, linestyle=(0, (1, 3)))
    for name, part in table.groupby("recalibration", sort=False):
        style = _STYLES[str(name)]
        label = _label(str(name), variant, metrics)
        ax.plot(part["risk"], part["observed"], **style, linewidth=2.2, label=label)
        band = {"color": style["color"], "alpha": 0.1, "lw": 0}
        ax.fill_between(part["risk"], part["ci_low"], part["ci_high"], **band)
    ax.set_xlim(0, min(1.0, 1.05 * top))
    ax.set_ylim(0, min(1.0, 1.05 * top))
    add_legend(ax, loc="upper left", fontsize=9.5)
    words = f"{title}: {variant_style(variant)['label']}"
    return finish_axes(ax, table, title=words, x="Predicted risk", y="Observed proportion")


def _label(name: str, variant: str, metrics: pd.DataFrame | None) -> str:
    label = "as it came" if name == NONE else f"after: {name}"
    if metrics is None:
        return label
    mine = metrics[(metrics["variant"] == variant) & (metrics["recalibration"] == name)]
    values = mine.set_index("metric")["estimate"]
    slope, brier = values["calibration_slope"], values["brier"]
    text = f"slope {slope:.2f}" if np.isfinite(slope) else "no slope"
    return f"{label} ({text}, Brier {brier:.3f})"
