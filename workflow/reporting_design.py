"""What the files of a run say about who was used for what, for checklists and model cards."""

from __future__ import annotations

import pandas as pd

from workflow.report_tables import VARIANT_NAMES
from workflow.reporting_facts import Finding, RunFacts


def partition(facts: RunFacts) -> Finding:
    """Return how patients were split, with seed and checksum of the split."""
    dataset, splits = facts.document("dataset"), facts.table("splits")
    n_parts = len(splits[["repeat", "fold"]].drop_duplicates())
    try:
        seed = f"seed {facts.step('01_prepare_data')['parameters']['seed']}"
    except (FileNotFoundError, KeyError):
        seed = "seed not recorded"
    return Finding(
        (
            f"{dataset['protocol_label']} {n_parts} splits of patients, {seed}; checksum of the "
            f"split (sha256) {dataset['splits_sha256']}.",
            "In each, an inner part of the training patients serves early stopping, tuning and "
            "the threshold.",
        )
    )


def analysis_counts(facts: RunFacts) -> Finding:
    """Return patients and events of every part of every split."""
    outcomes = facts.table("patients")[["patient_id", "outcome"]]
    merged = facts.table("splits").merge(outcomes, on="patient_id")
    lines = [
        f"Repeat {repeat}, fold {fold}, {role}: {len(part)} patients, "
        f"{int(part['outcome'].sum())} events"
        for (repeat, fold, role), part in merged.groupby(["repeat", "fold", "role"])
    ]
    if len(lines) > 30:
        lines = [f"{len(lines)} parts of splits: see 01_data/splits.parquet."]
    return Finding(tuple(lines))


def same_cohort(facts: RunFacts) -> Finding:
    """Return that development and evaluation share a cohort; nothing where they do not."""
    title, cohort = facts.document("dataset")["title"], facts.document("dataset")["cohort"]
    trained_on = {facts.model_file(v)["trained_on"]["cohort"] for v in facts.variants}
    if trained_on != {cohort}:
        return Finding(())
    text = f"None by design: both are {title}, with the same criteria, outcome and predictors."
    return Finding((text,))


def same_patients(facts: RunFacts) -> Finding:
    """Return the parts of a hold-out; not applicable in cross-validation within one cohort."""
    if not same_cohort(facts).lines:
        return Finding(())
    if facts.document("dataset")["protocol"] != "cross_validation":
        return analysis_counts(facts)
    text = "Cross-validation: every patient serves development and evaluation in turn."
    return Finding((text,), is_applicable=False)


def separation(facts: RunFacts) -> Finding:
    """Return whether any patient or file was used for training and for evaluation of one model."""
    n_shared = n_tested = 0
    for _, part in facts.table("splits").groupby(["repeat", "fold"]):
        tested = set(part.loc[part["role"] == "test", "patient_id"])
        n_shared += len(tested & set(part.loc[part["role"] != "test", "patient_id"]))
        n_tested += len(tested)
    records = facts.table("records")
    owners = records.groupby("file_sha256")["patient_id"].nunique()
    n_files = int((owners > 1).sum())
    is_clean = not n_shared and not n_files
    return Finding(
        (
            f"{n_shared} of {n_tested} test patients also among the training patients of the same "
            f"split; {n_files} ECG files filed under more than one patient.",
        ),
        answer="yes" if is_clean else "no",
    )


def held_out(facts: RunFacts) -> Finding:
    """Return whether the scores evaluated belong to test patients of the split only."""
    splits = facts.table("splits").query("role == 'test'")
    keys = ["patient_id", "repeat", "fold"]
    allowed = set(splits[keys].itertuples(index=False, name=None))
    lines, is_clean = [], True
    for variant in facts.variants:
        tested = facts.table("predictions", variant).query("role == 'test'")
        used = set(tested[keys].itertuples(index=False, name=None))
        n_strange = len(used - allowed)
        is_clean &= not n_strange
        lines.append(
            f"{VARIANT_NAMES[variant]}: {tested['patient_id'].nunique()} patients scored by models "
            f"that had left them out, {n_strange} scored otherwise"
        )
    return Finding(tuple(lines), answer=("yes" if is_clean else "no") if lines else "")


def replicated_steps(facts: RunFacts) -> Finding:
    """Return which steps were repeated in every split."""
    if facts.document("dataset")["protocol"] != "cross_validation":
        text = "One hold-out of patients; no resampling was used to estimate performance."
        return Finding((text,), answer="not applicable")
    wanted = _folds(facts.table("splits"))
    lines = [
        f"{VARIANT_NAMES[variant]}: fitted anew in "
        f"{len(wanted & _folds(facts.table('history', variant)))} of {len(wanted)} splits"
        for variant in facts.variants
    ]
    is_whole = all(wanted <= _folds(facts.table("history", v)) for v in facts.variants)
    note = (
        "Each fit has its own scaling, imputation, tuning or early stopping, from training "
        "patients only. Whether settings were changed by hand after looking at results, no file "
        "can tell."
    )
    return Finding((*lines, note), answer="probably yes" if lines and is_whole else "")


def _folds(table: pd.DataFrame) -> set[tuple[int, int]]:
    return set(zip(table["repeat"], table["fold"], strict=True))


DESIGN_FACTS = {
    fact.__name__: fact
    for fact in (
        *(partition, analysis_counts, same_cohort, same_patients, separation, held_out),
        replicated_steps,
    )
}
