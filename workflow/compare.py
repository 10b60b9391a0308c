"""What two runs were made of, and how far their figures moved: ``python -m workflow compare``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from workflow.artifacts import Artifacts, MissingArtifactError
from workflow.record import Record

_METRIC = ("variant", "target", "level", "subgroup", "metric")
_OF_NUMBERS = ("variant", "target", "metric")


def compare_runs(first: Artifacts, second: Artifacts) -> list[str]:
    """Return lines: what the steps of two runs were made of, then the figures that moved.

    Raises
    ------
    MissingArtifactError
        If one of them is no run.
    """
    records = [Record(run.directory) for run in (first, second)]
    for record in records:
        if not record.path.exists():
            raise MissingArtifactError(
                f"run.json must exist in the run folder {record.directory.name}, got nothing. "
                "Name an existing run."
            )
    before, after = (record.steps for record in records)
    lines: list[str] = []
    for name in sorted(before | after):
        if name not in before or name not in after:
            where = first if name in before else second
            lines.append(f"{name}: in {where.directory.name} alone")
            continue
        lines += [f"{name}: {text}" for text in _differences(before[name], after[name])]
    lines = lines or ["Made of the same code, parameters, data and packages."]
    for name, keys in (("metrics", _METRIC), ("number_metrics", _OF_NUMBERS)):
        if first.path(name).exists() and second.path(name).exists():
            lines += ["", *_moved([first, second], name, list(keys))]
    return lines


def _differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """Return what differs between two entries of one step."""
    found: list[str] = []
    if before["status"] != after["status"]:
        found.append(f"{before['status']} and {after['status']}")
    old, new = before.get("made_of", {}), after.get("made_of", {})
    for part in sorted(old.keys() | new.keys()):
        one, other = old.get(part), new.get(part)
        if one == other:
            continue
        if not (isinstance(one, dict) and isinstance(other, dict)):
            found.append(f"{part} differs")
            continue
        names = sorted(name for name in one | other if one.get(name) != other.get(name))
        shows = part in ("parameters", "packages")
        found += [
            f"{part}: {name} {one.get(name, 'none')} and {other.get(name, 'none')}"
            if shows and name != "data_root"
            else f"{part}: {name} differs"
            for name in names
        ]
    commits = [entry.get("made_with", {}).get("commit", "")[:10] for entry in (before, after)]
    if commits[0] != commits[1]:
        found.append(f"commit {commits[0]} and {commits[1]}")
    return found


def _moved(runs: list[Artifacts], name: str, keys: list[str]) -> list[str]:
    """Return the figures that are not equal, as a table with their difference."""
    first, second = runs
    columns = ["estimate", "ci_low", "ci_high"]
    tables = [run.read_table(name).drop_duplicates(keys).set_index(keys)[columns] for run in runs]
    both = tables[0].join(tables[1], how="outer", lsuffix="_1", rsuffix="_2")
    same = (both["estimate_1"] == both["estimate_2"]) | (
        both["estimate_1"].isna() & both["estimate_2"].isna()
    )
    moved = both[~same].reset_index()
    if moved.empty:
        return [f"All {len(both)} figures are equal."]
    shown = pd.DataFrame(
        {
            **{key: moved[key] for key in ("variant", "level", "metric") if key in moved},
            first.directory.name: moved["estimate_1"],
            second.directory.name: moved["estimate_2"],
            "difference": moved["estimate_2"] - moved["estimate_1"],
            "interval": [_interval(row) for _, row in moved.iterrows()],
        }
    )
    text = shown.to_string(index=False, float_format="{:.4f}".format, na_rep="none")
    note = (
        "interval: where the second estimate lies to the interval of the first. Runs on the same "
        "patients are paired, so that is no test of a difference."
    )
    return [f"{len(moved)} of {len(both)} figures differ:", *text.splitlines(), note]


def _interval(row: pd.Series) -> str:
    """Return whether the second estimate lies within the interval of the first."""
    low, value, high = row["ci_low_1"], row["estimate_2"], row["ci_high_1"]
    if pd.isna([low, value, high]).any():
        return ""
    return "within" if low <= value <= high else "outside"
