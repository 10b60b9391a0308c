"""The stages of a run: which notebook, which parameters, what each reads and writes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from workflow.artifacts import Artifacts
from workflow.lab_parameters import LabParameters, LadderParameters, PretrainingParameters
from workflow.number_parameters import NumberParameters
from workflow.parameters import (
    VARIANTS,
    EvaluationParameters,
    ExplanationParameters,
    ExternalParameters,
    PreparationParameters,
    TrainingParameters,
)
from workflow.schemas import SIGNALS

_DATA = ("dataset", "patients", "records", "lead_quality", "splits", SIGNALS)


@dataclass(frozen=True)
class Stage:
    """One notebook, the folder it writes, and what it must find there and leave.

    Names as in ``artifacts``; a ``*`` stands for every trained variant, a ``?`` for each of them
    that has it.
    """

    number: str
    notebook: str
    folder: str
    parameters: type[Any]
    requires: tuple[str, ...]
    produces: tuple[str, ...]
    per_variant: bool = False
    tasks: tuple[str, ...] = ()  # that it is made for; none: all
    needs_gradient: bool = False  # of the network


TIME_TO_EVENT = (
    "survival_metrics",
    "survival_comparisons",
    "cox",
    "cumulative_incidence",
    "risk_groups",
    "notes",
)
STAGES = (
    Stage(
        "01",
        "01_prepare_data",
        "01_data",
        PreparationParameters,
        (),
        (*_DATA, "flow", "rejected", "lead_quality"),
    ),
    Stage(
        "02",
        "02_train_model",
        "02_models/{variant}",
        TrainingParameters,
        _DATA,
        ("training", "history", "predictions", "02_models/{variant}/card.json"),
        per_variant=True,
    ),
    Stage(
        "03",
        "03_evaluate",
        "03_evaluation",
        EvaluationParameters,
        (
            "dataset",
            "patients",
            "records",
            "*predictions",
            "?refits",
            "?permutations",
            "?sensitivity",
        ),
        (
            "metrics",
            "comparisons",
            "subgroups",
            "explorer",
            "operating_points",
            "recalibration",
            "folds",
            "stability",
            "seeds",
            "clinical_forms",
            *TIME_TO_EVENT,
            "sample_size",
            "controls",
            "claims",
            "claim",
        ),
        tasks=("binary", "several", "time_to_event"),
    ),
    Stage(
        "03",
        "03_evaluate_numbers",
        "03_evaluation",
        NumberParameters,
        ("dataset", "patients", "splits", "*predictions"),
        ("number_metrics", "number_comparisons", "claim"),
        tasks=("regression",),
    ),
    Stage(
        "04",
        "04_explain",
        "04_explanations/{variant}",
        ExplanationParameters,
        (*_DATA, "training", "predictions", "02_models/{variant}/card.json"),
        (
            "maps",
            "map_cards",
            "beats",
            "wave_shares",
            "concepts",
            "map_concepts",
            "neighbours",
            "replaced_waves",
        ),
        per_variant=True,
        needs_gradient=True,
    ),
)
# Not a stage of `run`: `validate` judges the models of one run on the cohort of another.
EXTERNAL = Stage(
    "05",
    "05_validate_external",
    "05_external",
    ExternalParameters,
    _DATA,
    (
        "external",
        "external_metrics",
        "external_comparisons",
        "external_calibration",
        "external_case_mix",
        "external_precision",
        "external_imputed",
    ),
)
# Notebooks beside the chain: they read no run, and write one folder of their own.
LABS = (
    Stage(
        "",
        "labs/reproduce_086",
        "simulation",
        LabParameters,
        (),
        ("simulation/figures/2_shares.csv", "simulation/figures/4_intervals.csv"),
    ),
    Stage(
        "",
        "labs/pretrain_encoder",
        "encoder",
        PretrainingParameters,
        (),
        ("encoder/auroc.csv", "encoder/history.csv"),
    ),
    Stage("", "labs/ladder", "ladder", LadderParameters, _DATA, ("ladder",)),
)
ALL_STAGES = (*STAGES, EXTERNAL, *LABS)
NETWORK_VARIANTS = tuple(variant for variant in VARIANTS if variant != "clinical")


@dataclass(frozen=True)
class Step:
    """One execution of a stage's notebook; ``variant`` is empty where a stage has none."""

    stage: Stage
    variant: str = ""

    @property
    def name(self) -> str:
        """Stem of the executed notebook, ``02_train_model.ecg``."""
        return ".".join(filter(None, (self.stage.notebook, self.variant)))

    @property
    def outputs(self) -> tuple[str, str]:
        """The step's folder and its executed notebook, relative to the run folder."""
        folder = self.stage.folder.format(variant=self.variant)
        return folder, f"notebooks/{self.name}.ipynb"

    def paths(self, names: Iterable[str], run: Artifacts) -> list[str]:
        """Return the files behind artifact names, relative to the run folder."""
        found: list[str] = []
        for name in names:
            is_of_each = name.startswith(("*", "?"))
            variants = run.trained_variants() if is_of_each else [self.variant]
            paths = [run.path(name.lstrip("*?"), variant) for variant in variants]
            kept = [path for path in paths if path.exists() or not name.startswith("?")]
            found += [str(path.relative_to(run.directory)) for path in kept]
        return found


def step_named(name: str) -> Step:
    """Return the step of a name such as ``02_train_model.ecg``."""
    notebook, _, variant = name.partition(".")
    return Step(next(stage for stage in ALL_STAGES if stage.notebook == notebook), variant)


def plan(
    variants: Iterable[str], *, first: str = "", only: str = "", task: str = "binary"
) -> list[Step]:
    """Return the steps of a run in order, from stage `first` on, or stage `only` alone.

    Of stages with one number, which stand in for one another, the one made for `task` is planned;
    a stage that has no such stand-in is planned for every task, and skipped with its reason.

    Raises
    ------
    ValueError
        If `first` or `only` is not the number of a stage, or a variant is unknown.
    """
    variants = list(variants)
    unknown = [variant for variant in variants if variant not in VARIANTS]
    if unknown or not variants:
        raise ValueError(
            f"variants must be among {', '.join(VARIANTS)}, got {', '.join(unknown) or 'none'}."
        )
    numbers = [stage.number for stage in STAGES]
    for label, value in (("--from", first), ("--only", only)):
        if value and value not in numbers:
            known = ", ".join(dict.fromkeys(numbers))
            raise ValueError(f"{label} must be one of {known}, got {value!r}.")
    steps: list[Step] = []
    for stage in STAGES:
        if stage.number < first or (only and stage.number != only):
            continue
        if stage.tasks and task not in stage.tasks and numbers.count(stage.number) > 1:
            continue
        if not stage.per_variant:
            steps.append(Step(stage))
            continue
        shown = variants if stage.number == "02" else [v for v in variants if v != "clinical"]
        steps += [Step(stage, variant) for variant in shown]
    return steps
