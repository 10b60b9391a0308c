"""What the files of a run say about its results, for the reporting checklists and model cards."""

from __future__ import annotations

from typing import Any

import pandas as pd

from workflow.artifacts import MissingArtifactError
from workflow.report_tables import METRIC_NAMES, VARIANT_NAMES, comparison_table, metric_table
from workflow.reporting_facts import Finding, RunFacts

RISKS = (0.1, 0.2, 0.3)  # of the decision curve, in words
_POOLED = METRIC_NAMES["delta_auroc_pooled"]


def sample_size(facts: RunFacts) -> Finding:
    """Return what the sample allows by the criteria of Riley and others."""
    dataset, table = facts.document("dataset"), facts.table("sample_size")
    n_patients = dataset["n_patients"]
    lines = [
        f"If the AUROC is {row['expected_auroc']:.2f}: its interval will be about "
        f"±{row['half_width']:.2f}; {row['supported_parameters']:.0f} parameters supported, "
        f"{row['n_parameters']:.0f} estimated; these would need {row['needed_patients']:.0f} "
        f"patients with {row['needed_events']:.0f} events"
        for row in table.to_dict("records")
    ]
    is_small = bool((table["needed_patients"] > n_patients).all())
    return Finding(
        (f"{n_patients} patients, {dataset['n_events']} events in this run.", *lines),
        answer="probably no" if is_small else "",
    )


def precision(facts: RunFacts) -> Finding:
    """Return how precisely this sample can measure an AUROC."""
    dataset, table = facts.document("dataset"), facts.table("sample_size")
    pairs = zip(table["expected_auroc"], table["half_width"], strict=True)
    widths = "; ".join(f"{auroc:.2f} ± {half:.2f}" for auroc, half in pairs)
    return Finding(
        (
            f"{dataset['n_patients']} patients, {dataset['n_events']} events evaluated.",
            f"About how precisely an AUROC can be known with so many: {widths}.",
        )
    )


def _patient_figures(facts: RunFacts) -> pd.DataFrame:
    """Return the figures with one score a patient, one row a figure, one column a variant."""
    table = metric_table(facts.run)
    return table[table["Unit"] == "patient"]


def measures(facts: RunFacts) -> Finding:
    """Return the measures of performance that were computed."""
    metrics = _patient_figures(facts)
    names = set(facts.table("metrics")["metric"]) | set(facts.table("comparisons")["metric"])
    has_curve = facts.run.path("03_evaluation/figures/3_net_benefit.csv").exists()
    wanted = ("auroc_mean_within_fold", "calibration_slope", "ici")
    is_whole = has_curve and all(name in names for name in wanted)
    plots = sorted(p.stem for p in facts.run.path("03_evaluation/figures").glob("*.svg"))
    return Finding(
        (
            "Measures, one score a patient: " + "; ".join(metrics["Figure"]) + ".",
            "Plots: " + ", ".join(name.split("_", 1)[-1].replace("_", " ") for name in plots) + ".",
        ),
        answer="yes" if is_whole else "",
    )


def performance(facts: RunFacts) -> Finding:
    """Return every figure of every variant with its interval, patients and events."""
    table = _patient_figures(facts)
    counts = facts.table("metrics").query("level == 'patient' and subgroup == 'all'")
    lines: list[str] = []
    for variant in facts.variants:
        mine = counts.drop_duplicates("variant").set_index("variant").loc[variant]
        name = VARIANT_NAMES[variant]
        figures = "; ".join(f"{f} {v}" for f, v in zip(table["Figure"], table[name], strict=True))
        lines.append(f"{name}, {mine['n']} patients, {mine['n_events']} events: {figures}")
    return Finding((*lines, facts.document("claim")["intervals"]))


def net_benefit(facts: RunFacts) -> Finding:
    """Return the net benefit of every variant at a few of the risks of the decision curve."""
    shown = "03_evaluation/figures/3_net_benefit.csv"
    path = facts.run.path(shown)
    if not path.exists():
        raise MissingArtifactError(f"{shown} must exist in the run folder, got nothing.")
    curve = pd.read_csv(path)
    lines = [
        f"{VARIANT_NAMES[row['variant']]}, net benefit at risk {row['threshold']:.0%}: "
        f"{row['net_benefit']:.3f} ({_interval(row, 3)})"
        for row in curve[curve["strategy"] == "model"].to_dict("records")
        if row["variant"] in facts.variants
        and min(abs(row["threshold"] - risk) for risk in RISKS) < 1e-6
    ]
    return Finding((*lines, f"Whole curve, with treating all or none: {shown}."))


def comparisons(facts: RunFacts) -> Finding:
    """Return the paired differences between the variants."""
    names = {VARIANT_NAMES[variant] for variant in facts.variants}
    rows: list[dict[Any, Any]] = comparison_table(facts.run).to_dict("records")
    lines = [
        f"{row['Difference']}, {row['Figure']}: {row['Estimate (interval)']}"
        for row in rows
        if names & set(row["Difference"].split(" − ")) and row["Figure"] != _POOLED
    ]
    more = ("Methods, and differences pooled over folds: 03_evaluation/comparisons.csv.",)
    return Finding((*lines, *(more if lines else ())))


def objective(facts: RunFacts) -> Finding:
    """Return the primary comparison and its margin."""
    table, claim = facts.table("comparisons"), facts.document("claim")
    primary = table[table["is_primary"]] if "is_primary" in table else table.iloc[:0]
    if primary.empty:
        return Finding(("No primary comparison: only one variant, or its reference is missing.",))
    new, reference = (VARIANT_NAMES[primary.iloc[0][side]] for side in ("new", "reference"))
    return Finding(
        (
            f"Primary question: does {new} add to {reference}? Smallest AUROC gain declared "
            f"relevant: {claim['margin']:g}.",
        )
    )


def conclusion(facts: RunFacts) -> Finding:
    """Return the sentence the run's own numbers support."""
    return Finding((facts.document("claim")["sentence"],))


def limitations(facts: RunFacts) -> Finding:
    """Return the warnings of the run."""
    simulated = ("The data are simulated: nothing here says anything about real patients.",)
    internal = "Evaluated within its own cohort: performance elsewhere is not known."
    warnings = tuple(facts.document("claim")["warnings"])
    return Finding((*(simulated if facts.is_synthetic else ()), internal, *warnings))


def skipped(facts: RunFacts) -> Finding:
    """Return the variants a cohort could not serve, with the reason."""
    found = facts.document("dataset")["skipped_variants"]
    return Finding(tuple(f"{VARIANT_NAMES[v]} skipped: {reason}" for v, reason in found.items()))


def subgroups(facts: RunFacts) -> Finding:
    """Return the AUROC of every subgroup that was estimated."""
    table = facts.table("metrics")
    mine = table[
        (table["subgroup"] != "all")
        & (table["metric"] == "auroc_pooled")
        & table["variant"].isin(facts.variants)
    ]
    return Finding(tuple(_subgroup_line(row) for row in mine.to_dict("records")))


def _subgroup_line(row: dict[Any, Any]) -> str:
    text = f"{VARIANT_NAMES[row['variant']]}, {row['subgroup']} ({row['n']} patients, "
    text += f"{row['n_events']} events): AUROC "
    if pd.isna(row["estimate"]):
        return text + "not computable"
    return text + f"{row['estimate']:.2f} ({_interval(row, 2)})"


def _interval(row: dict[Any, Any], digits: int) -> str:
    if pd.isna(row["ci_low"]):
        return "no interval"
    return f"{row['ci_low']:.{digits}f} to {row['ci_high']:.{digits}f}"


RESULT_FACTS = {
    fact.__name__: fact
    for fact in (
        *(sample_size, precision, measures, performance, comparisons, net_benefit, objective),
        *(conclusion, limitations, skipped, subgroups),
    )
}
