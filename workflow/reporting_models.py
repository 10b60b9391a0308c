"""What the files of a run say about its models, for the reporting checklists and model cards."""

from __future__ import annotations

import pandas as pd

from workflow.report import VARIANT_NAMES
from workflow.reporting_facts import Finding, RunFacts

_IMBALANCE = ("class_weight", "resampl", "oversampl", "undersampl")


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


def model_types(facts: RunFacts) -> Finding:
    """Return type, size and training of every model."""
    return Finding(tuple(_model_line(facts, variant) for variant in facts.variants))


def _model_line(facts: RunFacts, variant: str) -> str:
    card = facts.model_file(variant)
    if variant == "clinical":
        return (
            f"{VARIANT_NAMES[variant]}: logistic regression with LASSO penalty on "
            f"{len(card['covariate_names'])} columns, linear on the log-odds scale; penalty tuned "
            f"on inner folds, C = {card['penalty_c']:.4g} in the model for new patients."
        )
    settings = card["settings"]
    blocks = "-".join(str(n) for n in settings["architecture"]["stage_blocks"])
    return (
        f"{VARIANT_NAMES[variant]}: one-dimensional residual network, blocks {blocks}, "
        f"{card['n_weights']:,} weights; optimiser AdamW, learning rate "
        f"{settings['learning_rate']:g}, weight decay {settings['weight_decay']:g}, batches of "
        f"{settings['batch_size']} ECGs, at most {settings['n_epochs']} epochs, stopped after "
        f"{settings['patience']} epochs without a better loss on inner validation patients; model "
        f"for new patients: epochs {card['n_epochs']}; {card['precision']}, seed "
        f"{settings['seed']}."
    )


def inputs(facts: RunFacts) -> Finding:
    """Return what every model sees."""
    labels = {entry["name"]: entry["label"] for entry in facts.document("dataset")["covariates"]}
    lines: list[str] = []
    for variant in facts.variants:
        columns = [c.split("=")[0] for c in facts.document("training", variant)["covariate_names"]]
        seen = [] if variant == "clinical" else ["the 12-lead ECG"]
        seen += [labels.get(column, column) for column in dict.fromkeys(columns)]
        lines.append(f"{VARIANT_NAMES[variant]} sees: {', '.join(seen)}")
    return Finding(tuple(lines))


def overfitting(facts: RunFacts) -> Finding:
    """Return what was done against overfitting."""
    lines: list[str] = []
    for variant in facts.variants:
        settings = facts.model_file(variant)["settings"]
        done = "LASSO penalty chosen on inner folds"
        if variant != "clinical":
            done = (
                f"early stopping on inner validation patients, dropout "
                f"{settings['architecture']['dropout']:g}, weight decay "
                f"{settings['weight_decay']:g}"
            )
        lines.append(f"{VARIANT_NAMES[variant]}: {done}")
    return Finding(tuple(lines), answer="yes" if lines else "")


def signal_contract(facts: RunFacts) -> Finding:
    """Return what an ECG must be to be scored."""
    networks = [variant for variant in facts.variants if variant != "clinical"]
    lines: list[str] = []
    for variant in networks:
        card = facts.model_file(variant)
        chain = card["signal_chain"]
        short = "padded" if chain["pad_short"] else "refused"
        lines.append(
            f"{VARIANT_NAMES[variant]} expects {chain['duration_seconds']:g} s of the leads "
            f"{', '.join(card['leads'])} in millivolts; resampled to {card['rate_hz']:g} Hz, "
            f"high-pass {chain['low_cut_hz']:g} Hz, low-pass {chain['high_cut_hz']:g} Hz (0: "
            f"off); shorter ECGs are {short}."
        )
    return Finding(tuple(lines) or ("Sees no ECG.",))


def imbalance(facts: RunFacts) -> Finding:
    """Return whether class weights or resampling were on."""
    used: list[str] = []
    for variant in facts.variants:
        settings = facts.model_file(variant)["settings"]
        used += [
            f"{VARIANT_NAMES[variant]}: {name} = {value}"
            for name, value in settings.items()
            if value and any(word in name for word in _IMBALANCE)
        ]
    if used or not facts.variants:
        return Finding(tuple(used))
    text = "Neither class weights nor resampling were used: they would spoil the calibration."
    return Finding((text,), answer="not applicable")


def updating(facts: RunFacts) -> Finding:
    """Return whether models were recalibrated or otherwise updated."""
    kinds = {v: facts.model_file(v)["recalibration"] for v in facts.variants}
    changed = {variant: kind for variant, kind in kinds.items() if kind != "none"}
    if changed or not kinds:
        return Finding(tuple(f"{VARIANT_NAMES[v]}: recalibration {k}" for v, k in changed.items()))
    return Finding(("No model was updated or recalibrated after its evaluation.",))


def updating_results(facts: RunFacts) -> Finding:
    """Return what updating did; not applicable where nothing was updated."""
    found = updating(facts)
    text = "No model was updated or recalibrated after its evaluation."
    return Finding(found.lines, is_applicable=found.lines != (text,))


def threshold(facts: RunFacts) -> Finding:
    """Return the threshold of every model, its rule and where it was chosen."""
    lines: list[str] = []
    for variant in facts.variants:
        chosen = facts.model_file(variant)["threshold"]
        lines.append(
            f"{VARIANT_NAMES[variant]}: risk {chosen['value']:.3f}, rule {chosen['rule']}, chosen "
            f"on {chosen['chosen_on']}"
        )
    return Finding(("Output: a risk between 0 and 1.", *lines))


def formula(facts: RunFacts) -> Finding:
    """Return the clinical model as a formula."""
    if "clinical" not in facts.variants:
        return Finding(())
    model = facts.model_file("clinical", "clinical_model.json")
    columns = zip(*(model[key] for key in ("names", "coefficients", "mean", "scale")), strict=True)
    terms = [f"{b:+.4f} × ({name} − {m:.4g}) / {s:.4g}" for name, b, m, s in columns]
    return Finding(
        (f"Clinical model, log odds of the event = {model['intercept']:.4f} {' '.join(terms)}",)
    )


def files(facts: RunFacts) -> Finding:
    """Return where the models for new patients lie, their checksums and licences."""
    lines: list[str] = []
    for variant in facts.variants:
        card = facts.model_file(variant)
        lines.append(
            f"{VARIANT_NAMES[variant]}: 02_models/{variant}/{card['model_file']} with card.json, "
            f"sha256 {card['sha256']}; licence of the data: {card['licence']}"
        )
    return Finding(tuple(lines))


def software(facts: RunFacts) -> Finding:
    """Return commit, Python and package versions of the evaluation."""
    made = facts.step("03_evaluate")["made_with"]
    changed = " with uncommitted changes" if made.get("uncommitted_changes") else ""
    packages = ", ".join(f"{name} {version}" for name, version in made["packages"].items())
    return Finding(
        (f"Commit {made['commit'] or 'unknown'}{changed}; Python {made['python']}; {packages}.",)
    )


MODEL_FACTS = {
    fact.__name__: fact
    for fact in (
        *(partition, analysis_counts, separation, held_out, replicated_steps, model_types),
        *(inputs, overfitting, imbalance, updating, updating_results, threshold),
        *(formula, files, software, same_cohort, same_patients, signal_contract),
    )
}
