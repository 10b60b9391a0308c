"""A predicted number against the measured one: error, agreement and calibration of patients."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from evaluation.arrays import require_columns
from evaluation.comparison import CONDITIONAL
from evaluation.intervals import bootstrap_intervals
from evaluation.resampling import BootstrapPlan, cluster_codes
from evaluation.style import variant_style
from evaluation.weighted import Statistic, mean_over_parts, safe_ratio

MEASURES = (
    "mean_absolute_error",
    "root_mean_squared_error",
    "r_squared",
    "mean_difference",
    "agreement_low",
    "agreement_high",
    "calibration_intercept",
    "calibration_slope",
)
_KEYS = ["target", "variant", "repeat", "fold", "role", "patient_id"]
_Z = 1.96  # of the limits of agreement: 95 % of patients, whatever the level of the intervals


def patient_values(predictions: pd.DataFrame) -> pd.DataFrame:
    """Return one value a patient: the mean of the patient's records.

    Parameters
    ----------
    predictions : pandas.DataFrame
        One row a record: `target, variant, repeat, fold, role, patient_id, y_true, y_score`.

    Returns
    -------
    pandas.DataFrame
        These keys with `y_true, y_score, n_records`; patients without a measured value left out.

    Raises
    ------
    ValueError
        If columns are missing, a value is not finite, or nobody has a measured one.
    """
    require_columns(predictions, (*_KEYS, "y_true", "y_score"), name="predictions")
    known = predictions[predictions["y_true"].notna()]
    n_bad = int((~np.isfinite(known["y_score"].to_numpy(float))).sum())
    if n_bad or known.empty:
        raise ValueError(
            f"y_score must be a number for patients with a measured value, got {n_bad} others "
            f"among {len(known)} rows. Run stage 02 again."
        )
    grouped = known.groupby(_KEYS, observed=True)
    table = grouped.agg(
        y_true=("y_true", "first"), y_score=("y_score", "mean"), n_records=("y_score", "size")
    )
    return table.reset_index().astype({"y_true": float})


def agreement_statistic(y_true, y_score) -> Statistic:
    r"""Return the eight measures of `MEASURES` under weights, shape (n_resamples, 8).

    With the difference d = predicted - measured: mean of \|d\|, root of the mean of d², R² = 1 -
    Σd² / Σ(y - ȳ)², mean of d and its limits of agreement (mean ± 1.96 SD; Bland and Altman 1986,
    doi 10.1016/S0140-6736(86)90837-8), and intercept and slope of the measured on the predicted
    (0 and 1 where the mean at every prediction is right).
    """
    y, x = np.asarray(y_true, float), np.asarray(y_score, float)
    centre = y.mean()  # moments about it stay accurate
    y, x = y - centre, x - centre
    d = x - y
    columns = np.column_stack([np.ones_like(y), np.abs(d), d, d**2, y, y**2, x, x**2, x * y])

    def statistic(weights: np.ndarray) -> np.ndarray:
        sums = np.asarray(weights, float) @ columns
        n = sums[:, 0]
        size, mean, square, my, myy, mx, mxx, mxy = (safe_ratio(s, n) for s in sums[:, 1:].T)
        spread = np.sqrt(safe_ratio(n * np.clip(square - mean**2, 0, None), n - 1))
        slope = safe_ratio(mxy - mx * my, mxx - mx**2)
        intercept = my - slope * mx + centre * (1 - slope)
        r_squared = 1 - safe_ratio(square, myy - my**2)
        limits = (mean - _Z * spread, mean + _Z * spread)
        found = (size, np.sqrt(square), r_squared, mean, *limits, intercept, slope)
        return np.column_stack(found)

    return statistic


def regression_table(predictions: pd.DataFrame, plan: BootstrapPlan) -> pd.DataFrame:
    """Return every measure of every target and variant, with patient-bootstrap intervals.

    Parameters
    ----------
    predictions : pandas.DataFrame
        See :func:`patient_values`; the role "test" is judged.
    plan : BootstrapPlan
        Of the intervals: they hold for the fitted models.

    Returns
    -------
    pandas.DataFrame
        `target, variant, metric, method, estimate, ci_low, ci_high, n`, in the target's unit.
        Several repeats are averaged; a patient is drawn with all its rows.
    """
    values = patient_values(predictions[predictions["role"] == "test"])
    rows = []
    for (target, variant), part in values.groupby(["target", "variant"], sort=False):
        y_true, y_score = part["y_true"].to_numpy(), part["y_score"].to_numpy()
        repeats = part.reset_index(drop=True).groupby("repeat").indices.values()
        statistic = mean_over_parts(
            [(np.asarray(r), agreement_statistic(y_true[r], y_score[r])) for r in repeats]
        )
        clusters = cluster_codes(part["patient_id"].astype(str))
        intervals = bootstrap_intervals(statistic, clusters, plan=plan)
        for metric, found in zip(MEASURES, intervals, strict=True):
            rows.append(
                {
                    "target": target,
                    "variant": variant,
                    "metric": metric,
                    "method": f"{found.method}, {CONDITIONAL}",
                    "estimate": found.estimate,
                    "ci_low": found.ci_low,
                    "ci_high": found.ci_high,
                    "n": int(clusters.max()) + 1,
                }
            )
    return pd.DataFrame(rows)


def plot_agreement(
    values: pd.DataFrame, metrics: pd.DataFrame, *, label: str, unit: str = ""
) -> Figure:
    """Draw measured against predicted values, and their difference (Bland and Altman).

    Parameters
    ----------
    values : pandas.DataFrame
        :func:`patient_values` of one target, variant and role "test"; the first repeat is drawn.
    metrics : pandas.DataFrame
        :func:`regression_table` of the same.
    label, unit : str
        Of the number, for the axes.
    """
    shown = values[values["repeat"] == values["repeat"].min()]
    variant = str(shown["variant"].iloc[0])
    found = metrics[metrics["variant"] == variant].set_index("metric")["estimate"]
    x, y = shown["y_score"].to_numpy(), shown["y_true"].to_numpy()
    style, unit = variant_style(variant), f" ({unit})" if unit else ""
    figure, axes = plt.subplots(1, 2, figsize=(10, 4.6), layout="constrained")
    ends = np.array([min(x.min(), y.min()), max(x.max(), y.max())])
    axes[0].plot(ends, ends, color="#777777", ls=":", label="predicted = measured")
    line = found["calibration_intercept"] + found["calibration_slope"] * np.sort(x)
    slope_text = f"measured on predicted: slope {found['calibration_slope']:.2f}"
    axes[0].plot(np.sort(x), line, color=style["color"], label=slope_text)
    axes[0].scatter(x, y, s=14, alpha=0.5, color=style["color"])
    axes[0].set(xlabel=f"predicted {label}{unit}", ylabel=f"measured {label}{unit}")
    axes[1].scatter((x + y) / 2, x - y, s=14, alpha=0.5, color=style["color"])
    names = {"mean_difference": "-", "agreement_low": "--", "agreement_high": "--"}
    for name, dash in names.items():
        axes[1].axhline(found[name], color="#D55E00", ls=dash, lw=1.4)
        text = f"{found[name]:+.1f}"
        axes[1].annotate(text, (1.0, found[name]), xycoords=("axes fraction", "data"), fontsize=10)
    axes[1].set(xlabel=f"mean of both{unit}", ylabel=f"predicted - measured{unit}")
    axes[0].set_title("Calibration", fontsize=12)
    axes[1].set_title("Agreement: 95 % of patients within", fontsize=12)
    axes[0].legend(frameon=False, fontsize=10)
    for ax in axes:
        ax.spines[["top", "right"]].set_visible(False)
    error = f"mean absolute error {found['mean_absolute_error']:.2f}"
    figure.suptitle(f"{style['label']}: n = {len(shown)} patients, {error}{unit}")
    return figure
