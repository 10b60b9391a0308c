"""One self-contained ``report.html`` from the files of a run: no code, no scripts, no network."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from workflow import report_details as details
from workflow import report_tables as tables
from workflow.artifacts import Artifacts, atomic_path
from workflow.record import Record
from workflow.report_numbers import number_context, number_headline
from workflow.reporting import reporting_sections

PAGE_ONE = (
    *("1_auroc", "2_calibration", "3_net_benefit", "4_risk_histogram"),
    *("1_errors", "2_differences", "3_calibration", "4_agreement"),
)


@dataclass(frozen=True)
class Picture:
    """A figure of the run as the page shows it."""

    name: str
    source: str
    caption: str


def pictures(run: Artifacts, folder: str) -> list[Picture]:
    """Return the figures of one stage in the order of their names, embedded."""
    found: list[Picture] = []
    for path in sorted((run.directory / folder / "figures").glob("*.svg")):
        content = base64.b64encode(path.read_bytes()).decode()
        caption = path.with_suffix(".txt").read_text().strip()
        found.append(Picture(path.stem, f"data:image/svg+xml;base64,{content}", caption))
    return found


def summary_lines(run: Artifacts) -> list[str]:
    """Return the lines the command line ends with: the main table, what was skipped, the claim."""
    table = number_headline(run) if _is_number(run) else tables.headline(run)
    rows: list[dict[Any, str]] = table.to_dict("records")
    names = list(rows[0])
    widths = [max(len(name), *(len(row[name]) for row in rows)) for name in names]
    lines = [
        "  ".join(text.ljust(width) for text, width in zip(texts, widths, strict=True))
        for texts in (names, *([row[name] for name in names] for row in rows))
    ]
    dataset = run.read_document("dataset")
    lines += [
        f"{tables.VARIANT_NAMES[variant]}: skipped, {reason}"
        for variant, reason in dataset["skipped_variants"].items()
    ]
    claim = run.read_document("claim")
    lines += ["", f"{dataset['title']}. {claim['intervals']}"]
    return [*lines, claim["sentence"], *claim["warnings"]]


_PATHS = ("run_directory", "data_root", "model_run")  # a path may hold a name


def _steps(record: Record) -> list[dict[str, Any]]:
    """Return the steps of a run as rows; empty where notebooks were run by hand."""
    rows: list[dict[str, Any]] = []
    for name, entry in sorted(record.steps.items()):
        given = entry.get("parameters", {})
        parameters = {name: value for name, value in given.items() if name not in _PATHS}
        if "cohort" in parameters:
            parameters["cohort"] = Path(parameters["cohort"]).name  # of a mapping
        rows.append(
            {
                "name": name,
                "status": entry["status"],
                "seconds": entry.get("seconds", ""),
                "why": entry.get("reason", ""),
                "parameters": ", ".join(f"{k} = {v}" for k, v in parameters.items()),
            }
        )
    return rows


def _origins(record: Record) -> list[dict[str, Any]]:
    """Return what the steps were made with; one entry where all agree."""
    found: list[dict[str, Any]] = []
    for entry in record.steps.values():
        if "made_with" in entry and entry["made_with"] not in found:
            found.append(entry["made_with"])
    return found


def html_table(frame: pd.DataFrame, *, digits: int = 3) -> str:
    """Return a table as HTML, numbers rounded, empty cells blank."""
    return frame.to_html(
        index=False, border=0, na_rep="", float_format=f"{{:.{digits}f}}".format, classes="data"
    )


def environment() -> Environment:
    """Return the templates of the pages; a name that is not there is an error."""
    return Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined
    )


def _optional(frame: pd.DataFrame) -> str:
    """Return a table as HTML, nothing where it has no rows."""
    return html_table(frame) if len(frame) else ""


def _is_number(run: Artifacts) -> bool:
    """Return whether the run predicts a number."""
    return run.read_document("dataset").get("task", "binary") == "regression"


def write_report(run: Artifacts) -> Path:
    """Write ``report.html`` and return its path.

    Raises
    ------
    MissingArtifactError
        If the evaluation has not been run.
    """
    if _is_number(run):
        name, result = "report_numbers.html.j2", number_context(run, html_table)
    else:
        name, result = "report.html.j2", _outcome_context(run)
    page = environment().get_template(name).render(**_common_context(run), **result)
    path = run.directory / "report.html"
    with atomic_path(path) as aside:
        aside.write_text(page, encoding="utf-8")
    return path


def _common_context(run: Artifacts) -> dict[str, Any]:
    """Return what the page shows of any task: patients, models, figures, how it was made."""
    evaluation = pictures(run, "03_evaluation")
    record = Record(run.directory)
    variants = run.trained_variants()
    return {
        "dataset": run.read_document("dataset"),
        "claim": run.read_document("claim"),
        "run": record.content,
        "steps": _steps(record),
        "origins": _origins(record),
        "page_one": [picture for picture in evaluation if picture.name in PAGE_ONE],
        "more": [picture for picture in evaluation if picture.name not in PAGE_ONE],
        "flow": html_table(pd.DataFrame(run.read_document("flow")["steps"])),
        "table_one": html_table(run.read_table("table_one")),
        "rejected": len(run.read_table("rejected")),
        "cohort": pictures(run, "01_data"),
        "models": [
            (tables.VARIANT_NAMES[variant], pictures(run, f"02_models/{variant}"))
            for variant in variants
        ],
        "explained": [
            (tables.VARIANT_NAMES[variant], pictures(run, f"04_explanations/{variant}"))
            for variant in variants
            if run.path("maps", variant).exists()
        ],
        "variant_names": tables.VARIANT_NAMES,
    }


def _outcome_context(run: Artifacts) -> dict[str, Any]:
    """Return what the page shows of a predicted outcome."""
    return {
        "headline": html_table(tables.headline(run)),
        "comparisons": html_table(tables.comparison_table(run)),
        "metrics": html_table(tables.metric_table(run)),
        "sample_size": html_table(tables.sample_size_table(run)),
        "reporting": reporting_sections(run),
        "survival": _optional(details.survival_table(run)),
        "cox": _optional(details.cox_table(run)),
        "risk_groups": html_table(details.risk_group_table(run)),
        "notes": list(run.read_table("notes")["note"]),
        "stability": _optional(details.stability_table(run)),
        "seeds": _optional(details.seed_table(run)),
        "forms": _optional(details.forms_table(run)),
        "recalibration": html_table(details.recalibration_table(run.read_table("recalibration"))),
        "distrusted": details.distrusted(run),
        "claims": html_table(tables.claims_table(run)),
        "explorer": html_table(tables.explorer_table(run)),
        "operating": html_table(tables.operating_table(run)),
        "subgroups": html_table(tables.subgroup_table(run)),
        "controls": html_table(tables.control_table(run)),
        "n_parameters": run.read_table("sample_size")["n_parameters"].iloc[0],
    }
