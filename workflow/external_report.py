"""The page of an external validation: frozen models on other patients."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from workflow.artifacts import Artifacts, atomic_path
from workflow.report import environment, html_table, pictures
from workflow.report_details import estimates, recalibration_table
from workflow.report_tables import METRIC_NAMES, VARIANT_NAMES


def write_external_report(run: Artifacts) -> Path:
    """Write ``report.html`` of a run of ``validate`` and return its path.

    Raises
    ------
    MissingArtifactError
        If notebook 05 has not been run.
    """
    case_mix = run.read_table("external_case_mix").replace({"variant": VARIANT_NAMES})
    page = (
        environment()
        .get_template("external.html.j2")
        .render(
            about=run.read_document("external"),
            dataset=run.read_document("dataset"),
            variant_names=VARIANT_NAMES,
            metrics=html_table(_frozen(run)),
            calibration=html_table(recalibration_table(run.read_table("external_calibration"))),
            case_mix=html_table(_in_words(case_mix), digits=2),
            precision=html_table(_in_words(run.read_table("external_precision")), digits=2),
            imputed=html_table(
                _in_words(run.read_table("external_imputed").replace({"variant": VARIANT_NAMES}))
            ),
            pictures=pictures(run, "05_external"),
        )
    )
    path = run.directory / "report.html"
    with atomic_path(path) as aside:
        aside.write_text(page, encoding="utf-8")
    return path


def _frozen(run: Artifacts) -> pd.DataFrame:
    """Return the figures of the frozen models, one row a metric, a column a variant."""
    metrics = run.read_table("external_metrics")
    is_frozen = (metrics["recalibration"] == "none") & (metrics["level"] == "patient")
    found = estimates(metrics[is_frozen], METRIC_NAMES, ["variant"])
    wide = found.pivot(index="Figure", columns="variant", values="Estimate")
    wide = wide.reindex(found["Figure"].drop_duplicates()).fillna("")
    wide = wide[[name for name in VARIANT_NAMES if name in wide]]
    return wide.rename(columns=VARIANT_NAMES).rename_axis(columns=None).reset_index()


def _in_words(table: pd.DataFrame) -> pd.DataFrame:
    """Return the table with headings that can be read."""
    return table.rename(columns={name: str(name).replace("_", " ") for name in table})
