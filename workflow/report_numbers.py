"""What the report of a predicted number shows in place of that of an outcome."""

from __future__ import annotations

from typing import Any

import pandas as pd

from workflow.artifacts import Artifacts
from workflow.report_details import estimates
from workflow.report_tables import VARIANT_NAMES

MEAN_NAME = "Mean of training patients"
NAMES = VARIANT_NAMES | {"training_mean": MEAN_NAME}
NUMBER_NAMES = {
    "mean_absolute_error": "Mean absolute error",
    "root_mean_squared_error": "Root mean squared error",
    "r_squared": "R²",
    "mean_difference": "Mean of predicted less measured",
    "agreement_low": "Lower limit of agreement",
    "agreement_high": "Upper limit of agreement",
    "calibration_intercept": "Calibration intercept (0 is ideal)",
    "calibration_slope": "Calibration slope (1 is ideal)",
    "delta_mean_absolute_error": "Mean absolute error",
    "error_reduction": "Relative reduction of it",
}
HEADLINE = ("mean_absolute_error", "r_squared", "calibration_slope")


def number_table(run: Artifacts) -> pd.DataFrame:
    """Return all figures, one row a figure, a column a variant."""
    found = estimates(run.read_table("number_metrics"), NUMBER_NAMES, ["variant"])
    wide = found.pivot(index="Figure", columns="variant", values="Estimate")
    wide = wide.reindex(found["Figure"].drop_duplicates()).fillna("")
    wide = wide[[name for name in NAMES if name in wide]].rename(columns=NAMES)
    return wide.rename_axis(columns=None).reset_index()


def number_headline(run: Artifacts) -> pd.DataFrame:
    """Return the table of the main result: one row a variant, and the mean."""
    metrics, table = run.read_table("number_metrics"), number_table(run)
    unit = metrics["unit"].dropna().iloc[0] if metrics["unit"].notna().any() else ""
    chosen = table.set_index("Figure").loc[[NUMBER_NAMES[name] for name in HEADLINE]].T
    shown = chosen.rename(columns={NUMBER_NAMES[HEADLINE[0]]: f"Mean absolute error ({unit})"})
    n = metrics.drop_duplicates("variant").set_index("variant")["n"].rename(index=NAMES)
    shown = shown.rename_axis(index="Variant", columns=None).reset_index()
    return shown.assign(Patients=shown["Variant"].map(n).astype(str))


def number_comparison_table(run: Artifacts) -> pd.DataFrame:
    """Return the paired differences, one row a pair and figure."""
    table = run.read_table("number_comparisons")
    sides = [table[side].map(NAMES) for side in ("new", "reference")]
    found = estimates(table.assign(pair=sides[0] + " − " + sides[1]), NUMBER_NAMES, ["pair"])
    return found.rename(columns={"pair": "Difference", "Estimate": "Estimate (interval)"})


def number_context(run: Artifacts, html: Any) -> dict[str, Any]:
    """Return what the template of a number needs; `html` turns a table into HTML."""
    name = run.read_table("number_metrics")["target"].iloc[0]
    targets = {item["name"]: item for item in run.read_document("dataset")["targets"]}
    return {
        "target": targets[name],
        "headline": html(number_headline(run)),
        "comparisons": html(number_comparison_table(run)),
        "metrics": html(number_table(run)),
    }
