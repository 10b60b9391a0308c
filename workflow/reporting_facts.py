"""The files of a run as the reporting checklists and the model cards read them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pandas as pd

from workflow.artifacts import Artifacts, MissingArtifactError
from workflow.record import Record


@dataclass(frozen=True)
class Finding:
    """What a run says about one point.

    Parameters
    ----------
    lines
        Sentences; empty where the run holds nothing about it.
    answer
        Answer to a signalling question that these facts decide; empty: a reader must judge.
    is_applicable
        Whether the point concerns this run at all; if not, `lines` says why.
    """

    lines: tuple[str, ...]
    answer: str = ""
    is_applicable: bool = True


class RunFacts:
    """The files of a run, each read once.

    Parameters
    ----------
    run
        The run folder.
    variants
        Variants to speak of; all trained ones if None.
    """

    def __init__(self, run: Artifacts, variants: list[str] | None = None) -> None:
        self.run = run
        self.variants = run.trained_variants() if variants is None else variants
        self._kept: dict[tuple[str, str], Any] = {}

    def _once(self, name: str, variant: str, read: Callable[[], Any]) -> Any:
        if (name, variant) not in self._kept:
            self._kept[name, variant] = read()
        return self._kept[name, variant]

    def table(self, name: str, variant: str = "") -> pd.DataFrame:
        """Return a table of the run; see `Artifacts.read_table`."""
        return self._once(name, variant, lambda: self.run.read_table(name, variant))

    def document(self, name: str, variant: str = "") -> dict[str, Any]:
        """Return a document of the run; see `Artifacts.read_document`."""
        return self._once(name, variant, lambda: self.run.read_document(name, variant))

    def model_file(self, variant: str, name: str = "card.json") -> dict[str, Any]:
        """Return a JSON file from the folder of a trained model."""
        shown = f"02_models/{variant}/{name}"
        path = self.run.path(shown)
        if not path.exists():
            raise MissingArtifactError(f"{shown} must exist in the run folder, got nothing.")
        return self._once(shown, variant, lambda: json.loads(path.read_text(encoding="utf-8")))

    def step(self, name: str) -> dict[str, Any]:
        """Return what ``run.json`` says of a step; notebooks run by hand leave nothing there."""
        steps = self._once("run.json", "", lambda: Record(self.run.directory).steps)
        if name not in steps:
            raise MissingArtifactError(f"run.json must hold the step {name}, got nothing.")
        return steps[name]

    @property
    def is_synthetic(self) -> bool:
        """Whether patients and ECGs are simulated."""
        return bool(self.document("dataset")["is_synthetic"])
