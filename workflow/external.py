"""``python -m workflow validate``: frozen models of one run on the cohort of another.

How the ECGs are prepared and what the outcome is stands in the models' cards; a flag that says
otherwise is an error before any work.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from workflow.artifacts import PROJECT_ROOT, Artifacts
from workflow.parameter_rules import ParameterError
from workflow.parameters import VARIANTS
from workflow.profiles import from_text, load_profile, resolve, settable
from workflow.stages import EXTERNAL, STAGES

STAGES_OF_VALIDATION = (STAGES[0], EXTERNAL)
_CHAIN = ("rate_hz", "duration_seconds", "low_cut_hz", "high_cut_hz", "notch_hz")
_OUTCOME = ("horizon_days", "landmark_days")
_HEADLINE = (("AUROC", "auroc_pooled"), ("calibration slope", "calibration_slope"))
# Nothing is trained: the folds of 01 are not used, and few events must not stop it.
_UNUSED_SPLIT = {"protocol": "cross_validation", "n_folds": "2", "n_inner_folds": "2"}


def find_model_run(name: str) -> Path:
    """Return the absolute folder of a run with trained models, by its name or path.

    Raises
    ------
    FileNotFoundError
        If there is none.
    """
    for folder in (Path(name).resolve(), PROJECT_ROOT / "runs" / name):
        if any(folder.glob("02_models/*/card.json")):
            return folder
    raise FileNotFoundError(
        f"model run must be a run below runs/ or a folder with 02_models/<variant>/card.json, got "
        f"{Path(name).name!r}. Train models first: python -m workflow run --name {Path(name).name}"
    )


def read_cards(model_run: Path) -> dict[str, dict[str, Any]]:
    """Return the cards of a run's models by variant, in the order of the report."""
    paths = {variant: model_run / "02_models" / variant / "card.json" for variant in VARIANTS}
    order = ("clinical", *(variant for variant in VARIANTS if variant != "clinical"))
    return {
        variant: json.loads(paths[variant].read_text(encoding="utf-8"))
        for variant in order
        if paths[variant].is_file()
    }


def prescribed(cards: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Return the parameters of ``01_prepare_data`` that the models' cards fix.

    Raises
    ------
    ParameterError
        If the models of the run were made from differently prepared ECGs.
    """
    found: list[dict[str, Any]] = []
    for card in cards.values():
        chain = card["signal_chain"]
        values = {name: chain[name] for name in _CHAIN} | {"filter_preset": "corners"}
        values["short_ecgs"] = "pad" if chain["pad_short"] else "refuse"
        values["landmark_days"] = card.get("landmark_days", 0)
        if card["horizon_days"]:  # 0: an outcome without dates
            values["horizon_days"] = card["horizon_days"]
        found.append({**values, "notch_hz": int(chain["notch_hz"])})
    if any(values != found[0] for values in found):
        raise ParameterError(
            "models must come from one preparation, their cards differ. Name a run whose models "
            "were trained together."
        )
    return found[0]


def parameters_of(model_run: Path, given: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """Return the checked parameters of 01 and 05; what contradicts the cards is refused.

    Parameters
    ----------
    model_run
        Of :func:`find_model_run`.
    given
        Words from the command line by parameter name.

    Raises
    ------
    ParameterError
        Listing every flag that contradicts the models' cards, or that is wrong by itself.
    """
    fixed, known = prescribed(read_cards(model_run)), settable(STAGES_OF_VALIDATION)
    if given.get("other_target") == "accept":  # declared: then the outcome may differ
        fixed = {name: value for name, value in fixed.items() if name not in {*_OUTCOME} & {*given}}
    problems = [
        f"{name} must be {value} as the models' cards say, got {given[name]}. Leave it out."
        for name, value in fixed.items()
        if name in given and from_text(known[name][0][1], given[name]) != value
    ]
    if problems:
        raise ParameterError("\n".join(problems))
    words = {**_UNUSED_SPLIT, **given, **{name: str(value) for name, value in fixed.items()}}
    resolved = resolve(load_profile("quickstart"), words, STAGES_OF_VALIDATION)
    resolved[EXTERNAL.notebook]["model_run"] = str(model_run)
    return resolved


def summary_lines(run: Artifacts) -> list[str]:
    """Return the lines the command ends with: what was judged on whom, and the main figures."""
    about = run.read_document("external")
    metrics = run.read_table("external_metrics").query("level == 'patient'")
    lines = [about["title"], *about["notes"]]
    for variant in about["variants"]:
        mine = metrics[(metrics["variant"] == variant) & (metrics["recalibration"] == "none")]
        mine = mine.drop_duplicates("metric").set_index("metric")
        shown = [
            f"{label} {mine.loc[name, 'estimate']:.2f} "
            f"({mine.loc[name, 'ci_low']:.2f} to {mine.loc[name, 'ci_high']:.2f})"
            for label, name in _HEADLINE
        ]
        lines.append(f"{variant}: {', '.join(shown)}, {mine['n'].iloc[0]} patients")
    return lines + [f"{name}: not judged, {why}" for name, why in about["refused"].items()]
