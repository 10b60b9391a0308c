"""What the files of a run say about its data, for the reporting checklists and the model cards.

Every function draws one fact from the run folder. The data files of the checklists name the
functions; what they need and a run lacks (an older run, a skipped variant) is flagged there.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from workflow.reporting_facts import Finding, RunFacts

KNOWN_AT_HORIZON = "status at the horizon known"  # a step of the flow


def subject(facts: RunFacts) -> Finding:
    """Return what is predicted, in whom, and that the evaluation is internal."""
    dataset = facts.document("dataset")
    kind = "prediction" if dataset["horizon_days"] else "recognition"
    return Finding(
        (
            f"Development of a model for the {kind} of {dataset['target_label']}; evaluated on "
            "held-out patients of the same cohort (internal evaluation).",
            f"Cohort: {dataset['title']}.",
        )
    )


def sample(facts: RunFacts) -> Finding:
    """Return the number of patients, events and ECGs analysed."""
    dataset = facts.document("dataset")
    n_patients, n_events = dataset["n_patients"], dataset["n_events"]
    return Finding(
        (
            f"{n_patients} patients: {n_events} with the event, {n_patients - n_events} without; "
            f"{dataset['n_records']} ECGs.",
        )
    )


def data_source(facts: RunFacts) -> Finding:
    """Return the cohort, its citation and its licence."""
    dataset = facts.document("dataset")
    simulated = ("Simulated patients and ECGs: no real person is described.",)
    return Finding(
        (
            f"{dataset['title']}; citation: {dataset['citation']}; licence: {dataset['licence']}.",
            *(simulated if facts.is_synthetic else ()),
        )
    )


def no_real_patients(facts: RunFacts) -> Finding:
    """Return that the point does not concern a simulated cohort; nothing for a real one."""
    if not facts.is_synthetic:
        return Finding(())
    return Finding(("Simulated data: no person took part.",), is_applicable=False)


def dates(facts: RunFacts) -> Finding:
    """Return the months of the first and last ECG, as the files give them."""
    months = facts.table("records")["recorded_at"].dropna().dt.strftime("%Y-%m")
    if months.empty:
        return Finding(())
    text = f"ECGs recorded from {months.min()} to {months.max()}, by the dates in the data."
    return Finding((text,))


def follow_up(facts: RunFacts) -> Finding:
    """Return the time under observation: median and quartiles."""
    patients = facts.table("patients")
    if "duration_days" not in patients:
        return Finding(())
    low, median, high = patients["duration_days"].quantile([0.25, 0.5, 0.75])
    return Finding(
        (
            f"Days until the event or the last contact: median {median:.0f} "
            f"(quartiles {low:.0f} to {high:.0f}), analysed patients only.",
        )
    )


def flow(facts: RunFacts) -> Finding:
    """Return how many patients and ECGs were left after each step."""
    steps = facts.document("flow")["steps"]
    return Finding(
        tuple(f"{s['step']}: {s['n_patients']} patients, {s['n_records']} ECGs" for s in steps)
    )


def left_out(facts: RunFacts) -> Finding:
    """Return the rules by which patients and ECGs were left out, and how many each took."""
    lines: list[str] = []
    idle: list[str] = []
    for before, after in pairwise(facts.document("flow")["steps"]):
        if after["step"] == KNOWN_AT_HORIZON:
            continue  # these patients stay, for the time to the event
        lost = [before[n] - after[n] for n in ("n_patients", "n_records")]
        if any(lost):
            lines.append(f"{after['reason']}: {lost[0]} patients and {lost[1]} ECGs left out")
        else:
            idle.append(after["reason"])
    lines += [f"Rules that left out nobody: {'; '.join(idle)}"] if idle else []
    return Finding((*lines, *facts.document("dataset").get("exclusions", ())))


def unknown_outcome(facts: RunFacts) -> Finding:
    """Return how many patients have no known outcome, and what became of them."""
    fates = {
        "outcome known": "left out, none counted as free of the event.",
        KNOWN_AT_HORIZON: (
            "in no training and in no figure of the outcome at the horizon, none counted as free "
            "of the event; scored out of fold and weighted for in the time to the event."
        ),
    }
    lines: list[str] = []
    for before, after in pairwise(facts.document("flow")["steps"]):
        if after["step"] in fates:
            n_lost = before["n_patients"] - after["n_patients"]
            lines.append(
                f"Outcome not known ({after['reason']}): {n_lost} of {before['n_patients']} "
                f"patients, {fates[after['step']]}"
            )
    return Finding(tuple(lines))


def devices(facts: RunFacts) -> Finding:
    """Return how many patients carried a defibrillator at the index date."""
    patients = facts.table("patients")
    if "has_icd_at_index" not in patients:
        return Finding(())
    known = patients["has_icd_at_index"].dropna()
    n_carriers = int((known == 1).sum())
    return Finding(
        (f"Implanted defibrillator at the index date: {n_carriers} of {len(known)} patients.",)
    )


def signals(facts: RunFacts) -> Finding:
    """Return leads, length, rate and filter of the prepared ECGs."""
    return Finding((facts.document("dataset")["description"],))


def quality(facts: RunFacts) -> Finding:
    """Return how many ECG files were refused, flagged or suspected."""
    records, n_refused = facts.table("records"), len(facts.table("rejected"))
    n_flagged = int(records["quality"].str.startswith("flagged").sum())
    n_suspected = int((records["suspicions"].fillna("") != "").sum())
    return Finding(
        (
            f"{n_refused} ECG files refused; of the {len(records)} kept, {n_flagged} flagged for "
            f"signal quality and {n_suspected} suspected of exchanged leads or a wrong scale.",
        )
    )


def same_preparation(facts: RunFacts) -> Finding:
    """Return whether all ECGs went through one chain, and from which formats and rates."""
    records = facts.table("records")
    rates = ", ".join(f"{rate:g}" for rate in sorted(records["rate_hz"].unique()))
    formats = ", ".join(sorted(records["source_format"].unique()))
    chain = facts.document("dataset")["signal_chain"]
    return Finding(
        (
            f"One chain for every ECG: {chain['rate_hz']:g} Hz, {chain['duration_seconds']:g} s, "
            f"same filter. Recorded at {rates} Hz, file formats: {formats}.",
        )
    )


def outcome(facts: RunFacts) -> Finding:
    """Return the definition of the outcome, its horizon and its components."""
    dataset = facts.document("dataset")
    lines = [f"{dataset['target_label']}."]
    for part in dataset.get("components", ()):
        lines.append(
            f"{part['name'].replace('_', ' ')} ({part['role']}): {part['n_events']} as first "
            f"event, {part['n_within_horizon']} of them within the horizon"
        )
    return Finding(tuple(lines))


def horizon(facts: RunFacts) -> Finding:
    """Return the time between ECG and outcome."""
    dataset = facts.document("dataset")
    if not dataset["horizon_days"]:
        return Finding(("No horizon: the outcome is a diagnosis, not a later event.",))
    landmark = dataset.get("landmark_days", 0)
    return Finding(
        (
            f"Outcome counted up to {dataset['horizon_days']} days after time zero; time zero is "
            f"{landmark} days after the index date.",
        )
    )


def ecg_timing(facts: RunFacts) -> Finding:
    """Return when the ECGs were recorded relative to the index date."""
    records = facts.table("records")
    if "days_from_index" not in records or records["days_from_index"].isna().all():
        return Finding(())
    days = records["days_from_index"]
    landmark = facts.document("dataset").get("landmark_days", 0)
    n_late = int((days > landmark).sum())
    return Finding(
        (
            f"ECGs recorded {days.min():.0f} to {days.max():.0f} days from the index date; "
            f"{n_late} after time zero.",
        )
    )


def covariates(facts: RunFacts) -> Finding:
    """Return every covariate with its unit, range or categories."""
    lines = [_covariate_line(entry) for entry in facts.document("dataset")["covariates"]]
    return Finding(tuple(lines) or ("No clinical covariates in this cohort.",))


def _covariate_line(entry: Mapping[str, Any]) -> str:
    """Return label, unit and range or categories of a covariate."""
    text = entry["label"]
    if entry["kind"] == "number":
        low, high = entry.get("low"), entry.get("high")
        text += f" in {entry['unit']}" if entry.get("unit") else ""
        text += "" if low is None else f", at least {low:g}"
        text += "" if high is None else f", at most {high:g}"
    elif entry.get("categories"):
        text += ": " + ", ".join(str(name).replace("_", " ") for name in entry["categories"])
    return text


def used_covariates(facts: RunFacts) -> Finding:
    """Return the covariates the variants see, with units and ranges."""
    seen = {
        column.split("=")[0]
        for variant in facts.variants
        for column in facts.document("training", variant)["covariate_names"]
    }
    known = facts.document("dataset")["covariates"]
    lines = [_covariate_line(entry) for entry in known if entry["name"] in seen]
    return Finding(tuple(lines) or ("None: this model sees the ECG only.",))


def missing_covariates(facts: RunFacts) -> Finding:
    """Return how many patients lack each covariate."""
    rows = facts.table("table_one").dropna(subset=["missing"])
    names = rows["characteristic"].str.split(",").str[0]
    pairs = zip(names, rows["missing"], strict=True)
    return Finding(tuple(f"{name}: missing in {value} patients" for name, value in pairs))


def table_one(facts: RunFacts) -> Finding:
    """Return the overall column of table one."""
    lines: list[str] = []
    heading = ""
    rows = facts.table("table_one")
    for name, value in zip(rows["characteristic"], rows["overall"].fillna(""), strict=True):
        if not name.startswith(" "):
            heading = name
        label = f"{heading}: {name.strip()}" if name.startswith(" ") else name
        lines += [f"{label}: {value}"] if str(value) else []
    return Finding((*lines, "By outcome: 01_data/table_one.csv."))


DATA_FACTS = {
    fact.__name__: fact
    for fact in (
        *(subject, sample, data_source, no_real_patients, dates, follow_up, flow, left_out),
        *(unknown_outcome, devices, signals, quality, same_preparation, outcome, horizon),
        *(ecg_timing, covariates, used_covariates, missing_covariates, table_one),
    )
}
