"""The same figures in women and men, by age, in carriers of a device, at every site.

Few patients make every subgroup look different. So each comes with its events and interval, cells
below a least size are counted but not analysed, and the p-values of the differences are adjusted
for how many were looked at (Benjamini & Hochberg 1995, doi 10.1111/j.2517-6161.1995.tb02031.x).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import norm
from statsmodels.stats.multitest import multipletests

from evaluation.calibration import calibration_line
from evaluation.discrimination import delong_covariance, delong_interval
from evaluation.intervals import Interval, bootstrap_interval
from evaluation.metrics import metrics_frame, row_of
from evaluation.resampling import BootstrapPlan
from evaluation.samples import ScoredRows
from evaluation.weighted import auroc_statistic, observed_expected_statistic

# Where clinicians cut; other numbers are cut at their median.
CUTS = {
    "age_years": ((50, 65), "years"),
    "lvef_percent": ((35,), "%"),
    "qrs_duration_ms": ((120, 150), "ms"),
}
# Known at time zero: a subgroup made from what came later would choose by the outcome.
NAMES = {"has_icd_at_index": "ICD at index", "site": "Site"}
MOST_LEVELS = 8
NAN = float("nan")


def subgroup_labels(
    patients: pd.DataFrame, covariates: Iterable[Mapping[str, Any]] = ()
) -> pd.DataFrame:
    """Return the subgroup of each patient, a column a characteristic.

    Parameters
    ----------
    patients : pandas.DataFrame
        `patient_id` and characteristics; one row a patient.
    covariates : iterable of mapping
        `name, label, kind` and, where the column has another name, `column`, of
        ``dataset.json``.

    Returns
    -------
    pandas.DataFrame
        Indexed by `patient_id`; texts, None where the value is missing: such patients are in no
        subgroup of it. Of covariates, ICD carriage and site; numbers are cut at clinical limits
        (age 50 and 65 years, LVEF 35 %, QRS 120 and 150 ms) or at the median.
    """
    table = patients.set_index("patient_id")
    labels: dict[str, pd.Series] = {}
    for item in covariates:
        column = item.get("column", item["name"])
        if column not in table:
            continue
        if item["kind"] == "number":
            labels[item["label"]] = _cut(table[column], item["name"], item.get("unit", ""))
        else:
            # A text such as female or male belongs under "Sex", not under "Male sex".
            name = (
                item["label"] if column == item["name"] else column.replace("_", " ").capitalize()
            )
            labels[name] = _words(table[column], is_binary=item["kind"] == "binary")
    for column, name in NAMES.items():
        if column in table:
            labels[name] = _words(table[column], is_binary=column.startswith("has_"))
    kept = {
        name: values
        for name, values in labels.items()
        if 2 <= values.dropna().nunique() <= MOST_LEVELS
    }
    return pd.DataFrame(kept, index=table.index)


def _words(values: pd.Series, *, is_binary: bool) -> pd.Series:
    if is_binary and pd.api.types.is_numeric_dtype(values):
        words = values.map({0: "no", 1: "yes"})
    else:
        words = values.astype(str).str.replace("_", " ")
    return words.astype(object).where(values.notna(), None)


def _cut(values: pd.Series, name: str, unit: str) -> pd.Series:
    known = values.dropna()
    if known.empty:
        return pd.Series(None, index=values.index, dtype=object)
    cuts, unit = CUTS.get(name, ((float(f"{known.median():.3g}"),), unit))
    edges = [-np.inf, *cuts, np.inf]
    texts = [f"below {cuts[0]:g}"]
    texts += [f"{low:g} to below {high:g}" for low, high in pairwise(cuts)]
    texts.append(f"{cuts[-1]:g} or more")
    found = pd.cut(values, edges, labels=[f"{text} {unit}".strip() for text in texts], right=False)
    return found.astype(object).where(values.notna(), None)


def subgroup_rows(
    test: pd.DataFrame, labels: pd.DataFrame, plan: BootstrapPlan, *, least_events: int = 10
) -> pd.DataFrame:
    """Return the figures of one variant in each subgroup.

    Parameters
    ----------
    test : pandas.DataFrame
        Test patients of one target and variant: `patient_id, repeat, fold, y_true, y_score`.
    labels : pandas.DataFrame
        From :func:`subgroup_labels`.
    plan : BootstrapPlan
        Of the intervals.
    least_events : int
        Patients with and without the event below which a cell is counted, not analysed.

    Returns
    -------
    pandas.DataFrame
        The columns of `metrics` from `metric` on, and `subgroup` ("Sex: female"),
        `p_value` and `q_value`. Metrics: `auroc_pooled` (folds together: a fold of a subgroup holds
        too few events), `calibration_slope`, `o_e` and `auroc_minus_others`, the difference to all
        other patients with a value, whose p-value is adjusted over all subgroups.
    """
    sample = ScoredRows(test)
    tables, tests = [], []
    for name in labels:
        of_rows = sample.frame["patient_id"].map(labels[name])
        for level in sorted(of_rows.dropna().unique(), key=_order_of):
            rows = sample.frame[of_rows == level]
            others = sample.frame[of_rows.notna() & (of_rows != level)]
            found = _cell(ScoredRows(rows), plan, least_events)
            gap, p_value = _gap(rows, others, plan, least_events)
            part = metrics_frame([*found, row_of("auroc_minus_others", gap, ScoredRows(rows))])
            part["p_value"] = [NAN] * len(found) + [p_value]
            tables.append(part.assign(subgroup=f"{name}: {level}"))
            tests.append(p_value)
    if not tables:
        return metrics_frame([]).assign(p_value=NAN, subgroup="", q_value=NAN)
    result = pd.concat(tables, ignore_index=True)
    return result.assign(q_value=adjusted(result["p_value"]))


def _order_of(level: str) -> tuple[float, str]:
    """Order "below 35 %", "35 or more %" and "120 to below 150 ms" as numbers, words by name."""
    first = level.split()[0]
    if first == "below":
        return (-np.inf, level)
    return (float(first), level) if first.replace(".", "", 1).isdigit() else (0.0, level)


def _cell(sample: ScoredRows, plan: BootstrapPlan, least: int) -> list[dict]:
    names = ("auroc_pooled", "calibration_slope", "o_e")
    if min(sample.n_events, sample.n - sample.n_events) < least:
        text = f"not analysed: fewer than {least} patients with or without the event"
        return [row_of(name, Interval(NAN, NAN, NAN, text), sample) for name in names]
    area = bootstrap_interval(
        sample.statistic(auroc_statistic, sample.mixed(sample.repeats)),
        sample.clusters,
        plan=plan,
        strata=sample.by_outcome,
    )
    first = sample.frame.iloc[sample.repeats[0]]
    line = calibration_line(first["y_true"], first["y_score"], confidence=plan.confidence)
    text = (
        "logistic model, Wald" if not line.slope_reason else f"not estimable: {line.slope_reason}"
    )
    slope = Interval(line.slope, line.slope_low, line.slope_high, text)
    ratio = bootstrap_interval(
        sample.statistic(observed_expected_statistic, sample.repeats), sample.clusters, plan=plan
    )
    return [row_of(*pair, sample) for pair in zip(names, (area, slope, ratio), strict=True)]


def _gap(
    rows: pd.DataFrame, others: pd.DataFrame, plan: BootstrapPlan, least: int
) -> tuple[Interval, float]:
    """Return the AUROC in a subgroup minus that in the others: two independent samples."""
    parts = []
    for part in (rows, others):
        first = part[part["repeat"] == part["repeat"].min()] if len(part) else part
        n_events = int(first["y_true"].sum())
        if min(n_events, len(first) - n_events) < least:
            text = f"not analysed: fewer than {least} patients with or without the event"
            return Interval(NAN, NAN, NAN, text), NAN
        area, variance = delong_covariance(first["y_true"], first["y_score"])
        if not np.isfinite(delong_interval(float(area[0]), float(variance[0, 0]))[0]):
            return Interval(NAN, NAN, NAN, "no interval: no variance"), NAN
        parts.append((float(area[0]), float(variance[0, 0])))
    estimate = parts[0][0] - parts[1][0]
    error = float(np.sqrt(parts[0][1] + parts[1][1]))
    half_width = float(norm.ppf(0.5 + plan.confidence / 2)) * error
    p_value = float(2 * norm.sf(abs(estimate) / error))
    text = "DeLong, independent patients, first repeat"
    return Interval(estimate, estimate - half_width, estimate + half_width, text), p_value


def adjusted(p_values: pd.Series) -> np.ndarray:
    """Return Benjamini-Hochberg adjusted p-values; NaN where there was no test."""
    values = p_values.to_numpy(dtype=np.float64)
    result = np.full(values.size, np.nan)
    is_test = np.isfinite(values)
    if is_test.any():
        result[is_test] = multipletests(values[is_test], method="fdr_bh")[1]
    return result
