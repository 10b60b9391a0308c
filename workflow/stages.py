"""The stages of a run: which notebook, which parameters, what each reads and writes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from workflow.artifacts import Artifacts
from workflow.parameters import (
    VARIANTS,
    EvaluationParameters,
    ExplanationParameters,
    PreparationParameters,
    TrainingParameters,
)
from workflow.schemas import SIGNALS

_DATA = ("dataset", "patients", "records", "splits", SIGNALS)


@dataclass(frozen=True)
class Stage:
    """One notebook: names as in ``artifacts``; a ``*`` stands for every trained variant."""

    number: str
    notebook: str
    parameters: type[Any]
    requires: tuple[str, ...]
    produces: tuple[str, ...]
    per_variant: bool = False


STAGES = (
    Stage("01", "01_prepare_data", PreparationParameters, (), (*_DATA, "flow", "rejected")),
    Stage(
        "02",
        "02_train_model",
        TrainingParameters,
        _DATA,
        ("training", "history", "predictions", "02_models/{variant}/card.json"),
        per_variant=True,
    ),
    Stage(
        "03",
        "03_evaluate",
        EvaluationParameters,
        ("dataset", "*predictions"),
        ("metrics", "comparisons", "claim"),
    ),
    Stage(
        "04",
        "04_explain",
        ExplanationParameters,
        (*_DATA, "predictions", "02_models/{variant}/card.json"),
        ("maps", "lead_shares"),
        per_variant=True,
    ),
)
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

    def paths(self, names: Iterable[str], run: Artifacts) -> list[str]:
        """Return the files behind artifact names, relative to the run folder."""
        found: list[str] = []
        for name in names:
            variants = run.trained_variants() if name.startswith("*") else [self.variant]
            found += [
                str(run.path(name.lstrip("*"), variant).relative_to(run.directory))
                for variant in variants
            ]
        return found


def plan(variants: Iterable[str], *, first: str = "", only: str = "") -> list[Step]:
    """Return the steps of a run in order, from stage `first` on, or stage `only` alone.

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
            raise ValueError(f"{label} must be one of {', '.join(numbers)}, got {value!r}.")
    steps: list[Step] = []
    for stage in STAGES:
        if stage.number < first or (only and stage.number != only):
            continue
        if not stage.per_variant:
            steps.append(Step(stage))
            continue
        shown = variants if stage.number == "02" else [v for v in variants if v != "clinical"]
        steps += [Step(stage, variant) for variant in shown]
    return steps
