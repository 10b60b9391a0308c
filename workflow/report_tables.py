"""The tables of the report, as a reader is to see them: names, intervals and counts as text."""

from __future__ import annotations

from typing import Any

import pandas as pd

from workflow.artifacts import Artifacts

HEADLINE = {
    "AUROC": "auroc_mean_within_fold",
    "Sensitivity": "sensitivity",
    "Specificity": "specificity",
}
VARIANT_NAMES = {
    "clinical": "Clinical model (LASSO)",
    "ecg": "ECG",
    "ecg_age": "ECG + age",
    "ecg_covariates": "ECG + covariates",
}
METRIC_NAMES = {
    "auroc_mean_within_fold": "AUROC, mean within folds (primary)",
    "auroc_pooled": "AUROC, all folds pooled",
    "auprc": "Area under precision-recall",
    "prevalence": "Events among patients",
    "sensitivity": "Sensitivity",
    "specificity": "Specificity",
    "ppv": "Positive predictive value",
    "npv": "Negative predictive value",
    "brier": "Brier score",
    "scaled_brier": "Scaled Brier score",
    "calibration_slope": "Calibration slope (1 is ideal)",
    "calibration_intercept": "Calibration intercept (0 is ideal)",
    "o_e": "Observed to expected events",
    "ici": "Integrated calibration index",
    "e50": "Median calibration error (E50)",
    "e90": "90th percentile of it (E90)",
    "delta_auroc_mean_within_fold": "AUROC, mean within folds",
    "delta_auroc_pooled": "AUROC, pooled",
    "delta_brier": "Brier score (below 0 is better)",
    "delta_net_benefit": "Net benefit",
    "auroc_minus_others": "AUROC minus that of all others",
    "odds_ratio_per_sd": "Odds ratio of a standard deviation of its score",
    "idi": "IDI",
    "nri_events": "Net reclassification of events",
    "nri_non_events": "Net reclassification of the others",
}


def headline(run: Artifacts) -> pd.DataFrame:
    """Return the table of the main result: one row a variant, estimates with intervals.

    A variant the cohort cannot serve has its reason instead of numbers.
    """
    metrics = run.read_table("metrics")
    main = metrics.query("level == 'patient' and subgroup == 'all'")
    rows: list[dict[str, str]] = []
    for variant in run.trained_variants():
        mine = main.query("variant == @variant").drop_duplicates("metric").set_index("metric")
        row = {"Variant": VARIANT_NAMES[variant]}
        row |= {label: _with_interval(mine, metric) for label, metric in HEADLINE.items()}
        row["Patients"] = str(mine.loc[HEADLINE["AUROC"], "n"])
        row["Events"] = str(mine.loc[HEADLINE["AUROC"], "n_events"])
        rows.append(row)
    return pd.DataFrame(rows)


def _with_interval(mine: pd.DataFrame, metric: str, *, digits: int = 2) -> str:
    """Return ``0.71 (0.60 to 0.80)``; a figure that could not be computed says so."""
    if metric not in mine.index or pd.isna(mine.loc[metric, "estimate"]):
        return "not computable"
    estimate, low, high = (mine.loc[metric, key] for key in ("estimate", "ci_low", "ci_high"))
    if pd.isna(low):
        return f"{estimate:.{digits}f} (no interval)"
    return f"{estimate:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


def metric_table(run: Artifacts) -> pd.DataFrame:
    """Return all patient-level and record-level figures, one row a metric, a column a variant."""
    metrics = run.read_table("metrics").query("subgroup == 'all'")
    rows: list[dict[str, str]] = []
    keys = metrics[["level", "metric"]].drop_duplicates().itertuples(index=False)
    for level, metric in keys:
        same = metrics[(metrics["level"] == level) & (metrics["metric"] == metric)]
        row = {"Unit": str(level), "Figure": METRIC_NAMES.get(str(metric), str(metric))}
        for variant in run.trained_variants():
            mine = same[same["variant"] == variant].drop_duplicates("metric").set_index("metric")
            row[VARIANT_NAMES[variant]] = _with_interval(mine, str(metric), digits=3)
        rows.append(row)
    return pd.DataFrame(rows)


def comparison_table(run: Artifacts) -> pd.DataFrame:
    """Return the paired differences, one row a pair and metric."""
    rows: list[dict[str, str]] = []
    entries: list[dict[Any, Any]] = run.read_table("comparisons").to_dict("records")
    for entry in entries:
        name = METRIC_NAMES.get(entry["metric"], str(entry["metric"]))
        new, reference = (VARIANT_NAMES[entry[side]] for side in ("new", "reference"))
        if pd.notna(entry["threshold"]):
            name += f" at risk {entry['threshold']:.0%}"
        one = pd.DataFrame([entry]).set_index("metric")
        rows.append(
            {
                "Difference": f"{new} − {reference}",
                "Figure": name + (" (primary)" if entry["is_primary"] else ""),
                "Estimate (interval)": _with_interval(one, entry["metric"], digits=3),
                "Method": entry["method"].split(",")[0],
                "p": "" if pd.isna(entry["p_value"]) else f"{entry['p_value']:.3f}",
            }
        )
    return pd.DataFrame(rows)


def control_table(run: Artifacts) -> pd.DataFrame:
    """Return the negative controls, one row a trait or model."""
    table = run.read_table("controls").replace({"what": VARIANT_NAMES})
    intervals = [
        _with_interval(pd.DataFrame([row]).set_index("what"), str(row["what"]))
        for row in table.to_dict("records")
    ]
    return pd.DataFrame(
        {
            "Predicted from": table["what"],
            "Kind": table["kind"],
            "AUROC, mean within folds": intervals,
            "p (permutation)": table["p_value"].map("{:.3f}".format),
        }
    )


def sample_size_table(run: Artifacts) -> pd.DataFrame:
    """Return what the sample allows, one row an expected AUROC."""
    table = run.read_table("sample_size")
    return pd.DataFrame(
        {
            "If the AUROC is": table["expected_auroc"].map("{:.2f}".format),
            "its interval will be about": table["half_width"].map("±{:.2f}".format),
            "Parameters this sample supports": table["supported_parameters"],
            "Patients the clinical variables need": table["needed_patients"],
            "of them with the event": table["needed_events"],
            "Shrinkage to expect here": table["expected_shrinkage"].map("{:.2f}".format),
        }
    )


def claims_table(run: Artifacts) -> pd.DataFrame:
    """Return the sentences one would like to write, with their verdicts."""
    table = run.read_table("claims")
    return table.rename(columns={str(name): str(name).capitalize() for name in table})


def _spread(row: dict[Any, Any], name: str) -> str:
    """Return ``0.71 (0.60 to 0.80)`` of a figure whose bounds are columns; blank without one."""
    if pd.isna(row[name]):
        return ""
    return f"{row[name]:.2f} ({row[f'{name}_low']:.2f} to {row[f'{name}_high']:.2f})"


def explorer_table(run: Artifacts) -> pd.DataFrame:
    """Return what acting at each declared risk would mean, one row a variant and risk."""
    rows: list[dict[str, str]] = []
    for entry in run.read_table("explorer").to_dict("records"):
        row = {
            "Variant": VARIANT_NAMES[entry["variant"]],
            "Acting from risk": f"{entry['threshold']:.0%}",
            "Acted on": f"{entry['n_positive']:.0f} of {entry['n']}",
            "of them with the event": f"{entry['true_positives']:.0f} of {entry['n_events']}",
        }
        row |= {label: _spread(entry, name) for name, label in _PROPORTIONS.items()}
        needed = entry["number_needed"]
        row["Acted on for one event"] = "" if pd.isna(needed) else f"{needed:.1f}"
        rows.append(row)
    return pd.DataFrame(rows)


_PROPORTIONS = {
    "sensitivity": "Sensitivity",
    "specificity": "Specificity",
    "ppv": "Positive predictive value",
    "npv": "Negative predictive value",
}


def operating_table(run: Artifacts) -> pd.DataFrame:
    """Return test figures at thresholds chosen on training patients, one row a variant and aim."""
    keys = ["variant", "rule", "wanted"]
    rows: list[dict[str, str]] = []
    for (variant, rule, wanted), part in run.read_table("operating_points").groupby(
        keys, sort=False
    ):
        found = part.set_index("metric")
        row = {"Variant": VARIANT_NAMES[str(variant)], "Aim on training patients": ""}
        row["Aim on training patients"] = f"{rule} {wanted:.0%}"
        row |= {
            label: _with_interval(found, name)
            for name, label in _PROPORTIONS.items()
            if name in found.index
        }
        rows.append(row)
    return pd.DataFrame(rows)


def subgroup_table(run: Artifacts) -> pd.DataFrame:
    """Return the figures in subgroups, one row a variant and subgroup."""
    rows: list[dict[str, str]] = []
    table = run.read_table("subgroups")
    for (variant, subgroup), part in table.groupby(["variant", "subgroup"], sort=False):
        found = part.set_index("metric")
        first = found.iloc[0]
        row = {"Variant": VARIANT_NAMES[str(variant)], "Subgroup": str(subgroup)}
        row["Events of patients"] = f"{first['n_events']} of {first['n']}"
        if pd.isna(found.loc["auroc_pooled", "estimate"]):
            row["AUROC, pooled"] = "too few to analyse"
        else:
            names = ("auroc_pooled", "calibration_slope", "o_e", "auroc_minus_others")
            row |= {_SUBGROUP_NAMES[name]: _with_interval(found, name) for name in names}
            q_value = found.loc["auroc_minus_others", "q_value"]
            row["Adjusted p"] = "" if pd.isna(q_value) else f"{q_value:.3f}"
        rows.append(row)
    return pd.DataFrame(rows)


_SUBGROUP_NAMES = {
    "auroc_pooled": "AUROC, pooled",
    "calibration_slope": "Calibration slope",
    "o_e": "Observed to expected",
    "auroc_minus_others": "AUROC minus all others",
}
