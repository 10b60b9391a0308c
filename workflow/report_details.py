"""Tables of the report beyond the main result: time to the event, stability, recalibration."""

from __future__ import annotations

from typing import Any

import pandas as pd

from workflow.artifacts import Artifacts
from workflow.report_tables import METRIC_NAMES, VARIANT_NAMES

SURVIVAL_NAMES = {
    "uno_c_mean_within_fold": "Uno's C, mean within folds (primary)",
    "uno_c_pooled": "Uno's C, pooled",
    "harrell_c_mean_within_fold": "Harrell's C, mean within folds",
    "harrell_c_pooled": "Harrell's C, pooled",
    "horizon_auroc_mean_within_fold": "AUROC at the horizon, mean within folds",
    "horizon_auroc_pooled": "AUROC at the horizon, pooled",
    "horizon_brier": "Brier score at the horizon",
    "cumulative_incidence": "Cumulative incidence (Aalen-Johansen)",
    "mean_predicted_risk": "Mean predicted risk",
    "o_e_horizon": "Observed to expected events",
    "delta_uno_c_mean_within_fold": "Uno's C, mean within folds",
    "delta_uno_c_pooled": "Uno's C, pooled",
    "delta_horizon_auroc_mean_within_fold": "AUROC at the horizon, mean within folds",
    "delta_horizon_auroc_pooled": "AUROC at the horizon, pooled",
}
FORM_NAMES = METRIC_NAMES | {
    "delta_auroc_mean_within_fold": "AUROC minus that of the prespecified model",
    "delta_brier": "Brier score minus that of the prespecified model",
}


def _spread(row: dict[Any, Any], names: tuple[str, str, str], digits: int = 2) -> str:
    """Return ``0.71 (0.60 to 0.80)`` from three columns; what is not there is not shown."""
    estimate, low, high = (row[name] for name in names)
    if pd.isna(estimate):
        return "not computable"
    if pd.isna(low):
        return f"{estimate:.{digits}f}"
    return f"{estimate:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


def estimates(table: pd.DataFrame, names: dict[str, str], keys: list[str]) -> pd.DataFrame:
    """Return one row a key and metric: its name and its estimate with interval."""
    rows: list[dict[str, str]] = []
    entries: list[dict[Any, Any]] = table.drop_duplicates([*keys, "metric"]).to_dict("records")
    for entry in entries:
        name = names.get(entry["metric"], str(entry["metric"]))
        if "horizon_days" in entry and pd.notna(entry["horizon_days"]):
            name += f", {entry['horizon_days']:.0f} days"
        value = _spread(entry, ("estimate", "ci_low", "ci_high"), 3)
        rows.append({key: str(entry[key]) for key in keys} | {"Figure": name, "Estimate": value})
    return pd.DataFrame(rows)


def survival_table(run: Artifacts) -> pd.DataFrame:
    """Return the figures of the time to the event, a column a variant."""
    table = run.read_table("survival_metrics")
    if table.empty:
        return pd.DataFrame()
    found = estimates(table, SURVIVAL_NAMES, ["variant", "horizon_days"])
    order = found["Figure"].drop_duplicates()
    wide = found.pivot(index="Figure", columns="variant", values="Estimate").reindex(order)
    wide = wide[[name for name in VARIANT_NAMES if name in wide]].fillna("")
    return wide.rename(columns=VARIANT_NAMES).rename_axis(columns=None).reset_index()


def cox_table(run: Artifacts) -> pd.DataFrame:
    """Return the hazard ratios, one row a model and term."""
    rows: list[dict[str, str]] = []
    entries: list[dict[Any, Any]] = run.read_table("cox").to_dict("records")
    for entry in entries:
        model = " + ".join(VARIANT_NAMES.get(m, m) for m in str(entry["model"]).split(" + "))
        p_value = entry["p_value"]
        rows.append(
            {
                "Model": model,
                "Score of": VARIANT_NAMES.get(entry["term"], str(entry["term"])),
                "Hazard of": str(entry["hazard_of"]),
                "Hazard ratio": _spread(entry, ("hazard_ratio", "ci_low", "ci_high")),
                "p": "" if pd.isna(p_value) else f"{p_value:.3f}",
                "Events": str(entry["n_events"]),
            }
        )
    return pd.DataFrame(rows)


def risk_group_table(run: Artifacts) -> pd.DataFrame:
    """Return patients, events and incidence of each risk group in the first repeat."""
    rows: list[dict[str, str]] = []
    table = run.read_table("risk_groups")
    entries: list[dict[Any, Any]] = table[table["repeat"] == 0].to_dict("records")
    for entry in entries:
        row = {
            "Variant": VARIANT_NAMES[entry["variant"]],
            "Risk group": str(entry["group"]),
            "Patients": f"{entry['n']}",
            "Events of known": f"{entry['n_events']} of {entry['n_known']}",
            "Event rate": _spread(entry, ("event_rate", "ci_low", "ci_high")),
            "Mean predicted": f"{entry['mean_risk']:.2f}",
        }
        if "incidence" in entry:
            names = ("incidence", "incidence_low", "incidence_high")
            row["Cumulative incidence"] = _spread(entry, names)
        rows.append(row)
    return pd.DataFrame(rows)


def stability_table(run: Artifacts) -> pd.DataFrame:
    """Return what refitting the clinical model tells."""
    rows = [
        {
            "Measure": str(entry["measure"]),
            "Value (range)": _spread(entry, ("value", "low", "high"), 3),
            "Refits": f"{entry['n_refits']:.0f}",
        }
        for entry in run.read_table("stability").to_dict("records")
    ]
    return pd.DataFrame(rows)


def seed_table(run: Artifacts) -> pd.DataFrame:
    """Return what the seeds of a network change; empty where each fold has one network."""
    rows = [
        {
            "Variant": VARIANT_NAMES[entry["variant"]],
            "Measure": str(entry["measure"]),
            "Value (range)": _spread(entry, ("value", "low", "high"), 3),
            "Seeds": f"{entry['n_seeds']:.0f}",
        }
        for entry in run.read_table("seeds").to_dict("records")
    ]
    return pd.DataFrame(rows)


def forms_table(run: Artifacts) -> pd.DataFrame:
    """Return the forms of the clinical model, a column a figure."""
    table = run.read_table("clinical_forms")
    if table.empty:
        return pd.DataFrame()
    found = estimates(table, FORM_NAMES, ["model"])
    models, figures = (found[name].drop_duplicates() for name in ("model", "Figure"))
    wide = found.pivot(index="model", columns="Figure", values="Estimate")
    wide = wide.reindex(index=models, columns=figures).fillna("")
    return wide.rename_axis(index="Form", columns=None).reset_index()


def recalibration_table(table: pd.DataFrame) -> pd.DataFrame:
    """Return calibration before and after, a column a figure."""
    found = estimates(table, METRIC_NAMES, ["variant", "recalibration"])
    found["variant"] = found["variant"].map(VARIANT_NAMES)
    found["recalibration"] = found["recalibration"].replace({"none": "as it came"})
    keys, figures = ["variant", "recalibration"], found["Figure"].drop_duplicates()
    order = found[keys].drop_duplicates()
    wide = found.pivot(index=keys, columns="Figure", values="Estimate")[list(figures)]
    wide = wide.reindex(pd.MultiIndex.from_frame(order)).fillna("").rename_axis(columns=None)
    return wide.reset_index().rename(columns={"variant": "Variant", "recalibration": "Risks"})


def distrusted(run: Artifacts) -> list[str]:
    """Return a line for each interval of the main tables that a simulation found too narrow."""
    lines: list[str] = []
    metrics = run.read_table("metrics")
    for table, names in (
        (metrics.query("level == 'patient' and subgroup == 'all'"), METRIC_NAMES),
        (run.read_table("comparisons"), METRIC_NAMES),
    ):
        if "trust" not in table:
            continue
        found = table[table["trust"].fillna("").str.contains("too narrow")]
        for metric, part in found.groupby("metric", sort=False):
            method = str(part["method"].iloc[0]).split(", conditional")[0]
            name = names.get(str(metric), str(metric))
            lines.append(f"{name} ({method}). {part['trust'].iloc[0]}")
    return list(dict.fromkeys(lines))
