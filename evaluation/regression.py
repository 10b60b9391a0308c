"""A predicted number against the measured one: error, agreement and calibration of patients."""

from __future__ import annotations

from functools import partial

import numpy as np
import pandas as pd

from evaluation.arrays import require_columns
from evaluation.comparison import CONDITIONAL
from evaluation.intervals import bootstrap_intervals, percentile_interval
from evaluation.resampling import BootstrapPlan, bootstrap_draws
from evaluation.samples import ScoredRows
from evaluation.smoothing import local_line_statistic
from evaluation.weighted import Statistic, safe_ratio

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

    Of several seeds a record has the mean of its networks' values; nothing is a logit here.

    Parameters
    ----------
    predictions : pandas.DataFrame
        One row a record and seed: `target, variant, repeat, fold, role, patient_id, record_id,
        y_true, y_score`.

    Returns
    -------
    pandas.DataFrame
        These keys with `y_true, y_score, n_records`; patients without a measured value left out.

    Raises
    ------
    ValueError
        If columns are missing, a value is not finite, or nobody has a measured one.
    """
    require_columns(predictions, (*_KEYS, "record_id", "y_true", "y_score"), name="predictions")
    known = predictions[predictions["y_true"].notna()]
    n_bad = int((~np.isfinite(known["y_score"].to_numpy(float))).sum())
    if n_bad or known.empty:
        raise ValueError(
            f"y_score must be a number for patients with a measured value, got {n_bad} others "
            f"among {len(known)} rows. Run stage 02 again."
        )
    of_record = known.groupby([*_KEYS, "record_id"], observed=True)[["y_true", "y_score"]].mean()
    table = of_record.groupby(_KEYS, observed=True).agg(
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


def regression_table(values: pd.DataFrame, plan: BootstrapPlan) -> pd.DataFrame:
    """Return every measure of every target and variant, with patient-bootstrap intervals.

    Parameters
    ----------
    values : pandas.DataFrame
        :func:`patient_values`; the role "test" is judged.
    plan : BootstrapPlan
        Of the intervals: they hold for the fitted models.

    Returns
    -------
    pandas.DataFrame
        `target, variant, metric, method, estimate, ci_low, ci_high, n`, in the target's unit.
        Several repeats are averaged; a patient is drawn with all its rows.
    """
    rows = []
    tested = values[values["role"] == "test"]
    for (target, variant), part in tested.groupby(["target", "variant"], sort=False):
        sample = ScoredRows(part)
        statistic = sample.statistic(agreement_statistic, sample.repeats)
        intervals = bootstrap_intervals(statistic, sample.clusters, plan=plan)
        for metric, found in zip(MEASURES, intervals, strict=True):
            rows.append(
                {
                    "target": target,
                    "variant": variant,
                    "metric": metric,
                    "method": f"{found.method}{sample.repeats_text()}, {CONDITIONAL}",
                    "estimate": found.estimate,
                    "ci_low": found.ci_low,
                    "ci_high": found.ci_high,
                    "n": sample.n,
                }
            )
    return pd.DataFrame(rows)


def calibration_lines(
    values: pd.DataFrame, plan: BootstrapPlan, *, n_points: int = 60
) -> pd.DataFrame:
    """Return the mean measured value at each predicted one, by variant, with a bootstrap band.

    Parameters
    ----------
    values : pandas.DataFrame
        :func:`patient_values` of one target; the role "test" is judged.
    plan : BootstrapPlan
        Of the pointwise percentile band over patients.
    n_points : int
        Between the lowest and the highest predicted value.

    Returns
    -------
    pandas.DataFrame
        `variant, predicted, measured, ci_low, ci_high, n`: a local linear fit, mean over repeats.
    """
    parts = []
    tested = values[values["role"] == "test"]
    for variant, part in tested.groupby("variant", sort=False):
        sample = ScoredRows(part)
        ends = part["y_score"].min(), part["y_score"].max()
        grid = np.unique(np.linspace(*ends, n_points))
        statistic = sample.statistic(partial(local_line_statistic, grid=grid), sample.repeats)
        draws = bootstrap_draws(statistic, sample.clusters, plan=plan)
        low, high = percentile_interval(draws, confidence=plan.confidence)
        found = {
            "variant": variant,
            "predicted": grid,
            "measured": statistic(np.ones((1, len(part))))[0],
            "ci_low": low,
            "ci_high": high,
            "n": sample.n,
        }
        parts.append(pd.DataFrame(found))
    return pd.concat(parts, ignore_index=True)
