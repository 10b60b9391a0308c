"""One self-contained ``report.html`` from the files of a run: no code, no scripts, no network."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from workflow.artifacts import Artifacts, atomic_path
from workflow.record import Record

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
PAGE_ONE = ("1_auroc", "2_calibration", "3_net_benefit", "4_risk_histogram")


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


def summary_lines(run: Artifacts) -> list[str]:
    """Return the lines the command line ends with: the main table, what was skipped, the claim."""
    rows: list[dict[Any, str]] = headline(run).to_dict("records")
    names = list(rows[0])
    widths = [max(len(name), *(len(row[name]) for row in rows)) for name in names]
    lines = [
        "  ".join(text.ljust(width) for text, width in zip(texts, widths, strict=True))
        for texts in (names, *([row[name] for name in names] for row in rows))
    ]
    dataset = run.read_document("dataset")
    lines += [
        f"{VARIANT_NAMES[variant]}: skipped, {reason}"
        for variant, reason in dataset["skipped_variants"].items()
    ]
    claim = run.read_document("claim")
    lines += ["", f"{dataset['title']}. {claim['intervals']}"]
    return [*lines, claim["sentence"], *claim["warnings"]]


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
}


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


_PATHS = ("run_directory", "data_root")  # a path may hold a name


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


def _table(frame: pd.DataFrame, *, digits: int = 3) -> str:
    """Return a table as HTML, numbers rounded, empty cells blank."""
    return frame.to_html(
        index=False, border=0, na_rep="", float_format=f"{{:.{digits}f}}".format, classes="data"
    )


def write_report(run: Artifacts) -> Path:
    """Write ``report.html`` and return its path.

    Raises
    ------
    MissingArtifactError
        If the evaluation has not been run.
    """
    evaluation = pictures(run, "03_evaluation")
    record = Record(run.directory)
    explained = [
        (VARIANT_NAMES[variant], pictures(run, f"04_explanations/{variant}"))
        for variant in run.trained_variants()
        if run.path("maps", variant).exists()
    ]
    flow = run.read_document("flow")["steps"]
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined
    )
    page = environment.get_template("report.html.j2").render(
        dataset=run.read_document("dataset"),
        claim=run.read_document("claim"),
        run=record.content,
        steps=_steps(record),
        origins=_origins(record),
        headline=_table(headline(run)),
        page_one=[picture for picture in evaluation if picture.name in PAGE_ONE],
        more=[picture for picture in evaluation if picture.name not in PAGE_ONE],
        flow=_table(pd.DataFrame(flow)),
        table_one=_table(run.read_table("table_one")),
        rejected=len(run.read_table("rejected")),
        cohort=pictures(run, "01_data"),
        models=[
            (VARIANT_NAMES[variant], pictures(run, f"02_models/{variant}"))
            for variant in run.trained_variants()
        ],
        comparisons=_table(comparison_table(run)),
        metrics=_table(metric_table(run)),
        sample_size=_table(sample_size_table(run)),
        controls=_table(control_table(run)),
        n_parameters=run.read_table("sample_size")["n_parameters"].iloc[0],
        explained=explained,
        variant_names=VARIANT_NAMES,
    )
    path = run.directory / "report.html"
    with atomic_path(path) as aside:
        aside.write_text(page, encoding="utf-8")
    return path
