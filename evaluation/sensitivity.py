"""The sensitivity analyses of the clinical model beside the prespecified one."""

from __future__ import annotations

import pandas as pd

from evaluation.arrays import require_columns
from evaluation.calibration import calibration_line_statistic
from evaluation.comparison import compare_variants
from evaluation.intervals import Interval, bootstrap_interval, bootstrap_intervals
from evaluation.resampling import BootstrapPlan
from evaluation.samples import ScoredRows
from evaluation.weighted import auroc_statistic, brier_statistic

PRIMARY = "LASSO (primary)"
COLUMNS = ("patient_id", "repeat", "fold", "role", "model", "y_true", "y_score")
DIFFERENCES = ("delta_auroc_mean_within_fold", "delta_brier")


_ROW = ("metric", "estimate", "ci_low", "ci_high", "method")


def sensitivity_table(
    predictions: pd.DataFrame | None, plan: BootstrapPlan, *, primary: str = PRIMARY
) -> pd.DataFrame:
    """Return the figures of every form of the clinical model, and its difference to the primary.

    Parameters
    ----------
    predictions : pandas.DataFrame, optional
        `patient_id, repeat, fold, role, model, y_true, y_score`, one row a patient, repeat and
        model; role `test`. Without them the table is empty.
    plan : BootstrapPlan
        Resamples of patients; AUROC is stratified by outcome, the others are not.
    primary : str
        The prespecified model; it comes first.

    Returns
    -------
    pandas.DataFrame
        `model, metric, estimate, ci_low, ci_high, method, n, n_events`; metrics are
        `auroc_mean_within_fold`, `calibration_slope`, `brier` and, for all but the primary,
        `delta_auroc_mean_within_fold` and `delta_brier` (model - primary, paired). Intervals are
        conditional on the fitted models. Many forms are tried: the best of them is too good.

    Raises
    ------
    ValueError
        If a column or the primary model is missing, or a row is no test row.
    """
    if predictions is None:
        return pd.DataFrame(columns=["model", *_ROW, "n", "n_events"])
    require_columns(predictions, COLUMNS, name="predictions")
    by_model = dict(tuple(predictions.groupby("model", sort=False)))
    if primary not in by_model:
        raise ValueError(
            f"predictions must hold the model {primary}, got {', '.join(by_model) or 'none'}. "
            "Name the prespecified one."
        )
    if (predictions["role"] != "test").any():
        raise ValueError("role must be test in every row, got others. Keep the test rows only.")
    tables = []
    for model in [primary, *(name for name in by_model if name != primary)]:
        sample = ScoredRows(by_model[model])
        rows = _own_rows(sample, plan)
        if model != primary:
            pairs = compare_variants(by_model[model], by_model[primary], plan=plan)
            pairs = pairs[pairs["metric"].isin(DIFFERENCES)].drop_duplicates("metric")
            rows += pairs[list(rows[0])].to_dict("records")
        table = pd.DataFrame(rows).assign(n=sample.n, n_events=sample.n_events)
        table.insert(0, "model", model)
        tables.append(table)
    return pd.concat(tables, ignore_index=True)


def _own_rows(sample: ScoredRows, plan: BootstrapPlan) -> list[dict]:
    auroc = sample.statistic(auroc_statistic, sample.mixed(sample.folds))
    lines = sample.statistic(calibration_line_statistic, sample.repeats)
    brier = sample.statistic(brier_statistic, sample.repeats)
    found = {
        "auroc_mean_within_fold": bootstrap_interval(
            auroc, sample.clusters, plan=plan, strata=sample.by_outcome
        ),
        "calibration_slope": bootstrap_intervals(lines, sample.clusters, plan=plan)[1],
        "brier": bootstrap_interval(brier, sample.clusters, plan=plan),
    }
    return [_row(metric, interval, sample) for metric, interval in found.items()]


def _row(metric: str, interval: Interval, sample: ScoredRows) -> dict:
    return {
        "metric": metric,
        "estimate": interval.estimate,
        "ci_low": interval.ci_low,
        "ci_high": interval.ci_high,
        "method": f"{interval.method}{sample.repeats_text()}, conditional on the fitted models",
    }
