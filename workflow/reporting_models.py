"""What the files of a run say about its models, for the reporting checklists and model cards."""

from __future__ import annotations

from typing import Any

from workflow.report_tables import VARIANT_NAMES
from workflow.reporting_facts import Finding, RunFacts

IMBALANCE_NAMES = {
    "class_weights": "class weights",
    "oversample": "patients with the rarer outcome drawn more often",
    "undersample": "only some patients with the more frequent outcome drawn in each epoch",
}


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
    architecture = settings["architecture"]
    name = architecture.get("name", "resnet50")  # the only one before it had a name
    blocks = "-".join(str(n) for n in architecture["stage_blocks"]) or "none"
    return (
        f"{VARIANT_NAMES[variant]}: one-dimensional network {name}, blocks {blocks}, "
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


def predictor_handling(facts: RunFacts) -> Finding:
    """Return form and scaling of what the models see."""
    lines: list[str] = []
    if _with_covariates(facts):
        lines.append(
            "Covariates are standardised with mean and spread of the training patients; numbers "
            "are not cut into classes, categories become indicator columns."
        )
    if "clinical" in facts.variants:
        lines.append("Numbers enter the clinical model linearly, on the log-odds scale.")
    if set(facts.variants) - {"clinical"}:
        lines.append("ECGs enter the networks as filtered signals in millivolts.")
    return Finding(tuple(lines))


def imputation(facts: RunFacts) -> Finding:
    """Return what stands for a missing covariate."""
    if not _with_covariates(facts):
        return Finding(())
    text = (
        "A missing covariate counts as its mean among the training patients of the fold, found "
        "without the outcome."
    )
    return Finding((text,))


def _with_covariates(facts: RunFacts) -> list[str]:
    """Return the variants that see covariates."""
    return [v for v in facts.variants if facts.document("training", v)["covariate_names"]]


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
        kind = facts.model_file(variant)["settings"].get("imbalance", "none")
        if kind != "none" and variant != "clinical":  # settings of the networks alone
            text = f"{VARIANT_NAMES[variant]}: {IMBALANCE_NAMES[kind]}; the risks were recalibrated"
            used.append(f"{text} on training patients.")
    if used or not facts.variants:
        return Finding(tuple(used))
    text = "Neither class weights nor resampling were used: they would spoil the calibration."
    return Finding((text,), answer="not applicable")


def updating(facts: RunFacts) -> Finding:
    """Return whether models were recalibrated or otherwise updated."""
    kinds = {v: facts.model_file(v)["recalibration"] for v in facts.variants}
    changed = {variant: kind for variant, kind in kinds.items() if kind != "none"}
    if changed or not kinds:
        return Finding(tuple(_recalibrated(v, found) for v, found in changed.items()))
    return Finding(("No model was updated or recalibrated after its evaluation.",))


def _recalibrated(variant: str, found: Any) -> str:
    if isinstance(found, str):
        return f"{VARIANT_NAMES[variant]}: recalibration {found}"
    return (
        f"{VARIANT_NAMES[variant]}: the risks were recalibrated ({found['method']}: intercept "
        f"{found['intercept']:.2f}, slope {found['slope']:.2f} on the logit for new patients, from "
        f"out-of-fold scores of {found['n']} patients with {found['n_events']} events; in each "
        "fold from its training patients alone)."
    )


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
        *(model_types, inputs, predictor_handling, imputation, overfitting, signal_contract),
        *(imbalance, updating, updating_results, threshold, formula, files, software),
    )
}
