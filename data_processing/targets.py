"""What a model is to predict: one outcome, several, a number, or the time to the event.

The cohort's own outcome stays in the column ``outcome``. Every target is a column of the patients,
named in ``dataset.json``::

    {"name": "sva", "column": "outcome", "kind": "binary", "horizon_days": 1095, ...}
    {"name": "lvef_percent", "column": "target_lvef_percent", "kind": "continuous", ...}
    {"name": "sva_365d", "column": "", "kind": "time_to_event", "horizon_days": 365, ...}

A covariate that becomes a target is taken from the covariates: no model may see it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from data_processing.cohort_definition import CohortDefinition
from data_processing.covariates import encode_covariates

TASKS = ("binary", "several", "regression", "time_to_event")
_KINDS = {"number": "continuous", "binary": "binary"}
_NEEDED = {"several": ("binary",), "regression": ("continuous",)}
_WORDS = {"0": 0.0, "false": 0.0, "1": 1.0, "true": 1.0, "": np.nan}


@dataclass(frozen=True)
class TargetChoice:
    """What is to be predicted, as the parameters say it.

    Parameters
    ----------
    task : str
        One of ``TASKS``.
    columns : str
        Covariates to predict instead of to see, joined by commas (several, regression).
    horizons_days : str
        Rising numbers joined by ``-`` (time to event).
    horizon_days : int
        Of the cohort's outcome in the other tasks.
    """

    task: str = "binary"
    columns: str = ""
    horizons_days: str = ""
    horizon_days: int = 1095

    def __post_init__(self) -> None:
        if self.task not in TASKS:
            raise ValueError(f"task must be one of {', '.join(TASKS)}, got {self.task!r}.")
        if self.columns and self.task not in _NEEDED:
            raise ValueError(
                f"target_columns must be empty for the task {self.task}, got {self.columns!r}. "
                "Choose the task several or regression."
            )
        if bool(self.horizons_days) != (self.task == "time_to_event"):
            raise ValueError(
                "horizons_days must be given for the task time_to_event and for no other, got "
                f"{self.horizons_days!r} with the task {self.task}. Example: 90-180-365."
            )
        parts = self.horizons_days.split("-")
        if self.horizons_days and not (
            all(part.isdigit() for part in parts)
            and all(a < b for a, b in zip([0, *self.horizons], self.horizons, strict=False))
        ):
            raise ValueError(
                "horizons_days must be rising numbers joined by -, got "
                f"{self.horizons_days!r}. Example: 90-180-365."
            )

    @classmethod
    def of(cls, parameters: Any) -> TargetChoice:
        """Return the choice of the parameters of notebook 01."""
        names = ("task", "horizons_days", "horizon_days")
        given = {name: getattr(parameters, name) for name in names}
        return cls(columns=parameters.target_columns, **given)

    def facts(self, targets: list[dict[str, Any]], parameters: Any) -> dict[str, Any]:
        """Return what ``describe_dataset`` is told of task and protocol."""
        names = ("landmark_days", "protocol", "n_folds")
        found = {name: getattr(parameters, name) for name in names}
        found["horizon_days"] = self.outcome_horizon_days
        return found | {"task": self.task, "targets": targets}

    @property
    def horizons(self) -> list[int]:
        """Horizons of the time to the event in days; none for other tasks."""
        return [int(part) for part in self.horizons_days.split("-") if part]

    @property
    def outcome_horizon_days(self) -> int:
        """Horizon of the cohort's outcome: the longest one of the time to the event."""
        return max(self.horizons, default=self.horizon_days)

    @property
    def names(self) -> list[str]:
        """Names of the chosen columns."""
        return [name.strip() for name in self.columns.split(",") if name.strip()]


def define_targets(
    patients: pd.DataFrame, definition: CohortDefinition, choice: TargetChoice
) -> tuple[pd.DataFrame, CohortDefinition, list[dict[str, Any]]]:
    """Return the patients with their targets, the covariates left, and the targets' facts.

    Parameters
    ----------
    patients
        With ``outcome`` and the raw covariates.
    definition
        Its covariates may be chosen; its ``label_columns`` are targets of the task ``several``.
    choice
        What is to be predicted.

    Returns
    -------
    patients
        With a column ``target_<name>`` (float, NaN where unknown) for each chosen one.
    definition
        Without the covariates that became targets.
    targets : list of dict
        ``name, column, kind`` (binary, continuous or time_to_event), ``label, unit, horizon_days``.

    Raises
    ------
    ValueError
        If a name is no covariate, its kind does not fit the task, or the cohort has no dates.
    """
    horizon = choice.outcome_horizon_days if definition.has_dates else 0
    main = {
        "name": definition.target,
        "column": "outcome",
        "kind": "binary",
        "label": definition.target_label or definition.target,
        "unit": "",
        "horizon_days": horizon,
    }
    if choice.task == "time_to_event":
        if not definition.has_dates:
            raise ValueError(
                "task time_to_event must have an outcome with dates, got an outcome of 0/1. Add "
                "event and last contact dates to the cohort, or choose the task binary."
            )
        kind = {"column": "", "kind": "time_to_event"}
        return (
            patients,
            definition,
            [
                {**main, **kind, "name": f"{definition.target}_{days}d", "horizon_days": days}
                for days in choice.horizons
            ],
        )
    if choice.task == "binary":
        return patients, definition, [main]
    found = [_of_covariate(patients, definition, name, choice.task) for name in choice.names]
    if choice.task == "several":
        found += [_of_label(patients, name) for name in definition.label_columns]
    if not found:
        raise ValueError(
            f"target_columns must name covariates for the task {choice.task}, got none. Known: "
            f"{', '.join(item['name'] for item in definition.covariates) or 'none'}."
        )
    values = {facts["column"]: column for facts, column in found}
    taken = {facts["name"] for facts, _ in found}
    left = tuple(item for item in definition.covariates if item["name"] not in taken)
    facts = [facts for facts, _ in found]
    targets = [main, *facts] if choice.task == "several" else facts
    return patients.assign(**values), replace(definition, covariates=left), targets


def _of_covariate(
    patients: pd.DataFrame, definition: CohortDefinition, name: str, task: str
) -> tuple[dict[str, Any], np.ndarray]:
    known = {item["name"]: item for item in definition.covariates}
    if name not in known:
        raise ValueError(
            f"target_columns must be covariates of the cohort, got {name!r}. Known: "
            f"{', '.join(known) or 'none'}."
        )
    item = known[name]
    kind = _KINDS.get(item["kind"], item["kind"])
    if kind not in _NEEDED[task]:
        raise ValueError(
            f"target_columns must be {_NEEDED[task][0]} for the task {task}, got {name}, a "
            f"{item['kind']}. Choose another column or task."
        )
    values = encode_covariates(patients, [item])[name].to_numpy()
    return _facts(name, kind, item["label"], item["unit"]), values


def _of_label(patients: pd.DataFrame, name: str) -> tuple[dict[str, Any], np.ndarray]:
    words = patients[name].astype(str).str.strip().str.lower()
    is_wrong = ~words.isin(list(_WORDS))
    if is_wrong.any():
        raise ValueError(
            f"{name} must be 0 or 1, or empty, got {int(is_wrong.sum())} other values. Choose "
            "another label."
        )
    return _facts(name, "binary", f"{name} in the report", ""), words.map(_WORDS).to_numpy(float)


def _facts(name: str, kind: str, label: str, unit: str) -> dict[str, Any]:
    column = f"target_{name}"
    return {
        "name": name,
        "column": column,
        "kind": kind,
        "label": label,
        "unit": unit,
        "horizon_days": 0,
    }


def split_labels(patients: pd.DataFrame, targets: list[dict[str, Any]]) -> pd.DataFrame:
    """Return the patients with the ``outcome`` by which they are split and told apart.

    Who has any known target belongs to the training roles. Folds are balanced by the outcome
    (unknown ones counted as without), by the event where the time to it is predicted, and by the
    median of the first number.
    """
    kinds = {item["kind"] for item in targets}
    if kinds == {"time_to_event"}:
        longest = max(item["horizon_days"] for item in targets)
        is_event = (patients["event"] == 1) & (patients["duration_days"] <= longest)
        return patients.assign(outcome=is_event.astype("Int8").where(patients["duration_days"] > 0))
    columns = patients[[item["column"] for item in targets]]
    is_known = columns.notna().any(axis=1)
    if "continuous" in kinds:
        first = columns.iloc[:, 0]
        labels = (first > first.median()).astype("Int8")
    else:
        labels = patients["outcome"].astype("Int8")
        labels = labels.fillna(0) if len(targets) > 1 else labels
    return patients.assign(outcome=labels.where(is_known))
