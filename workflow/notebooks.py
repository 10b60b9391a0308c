"""The rules every notebook keeps, checked by ``python -m workflow check``, and their upkeep."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from workflow.artifacts import PROJECT_ROOT
from workflow.parameter_rules import cell_source
from workflow.schemas import DOCUMENTS, SIGNALS, TABLES
from workflow.stages import ALL_STAGES, Stage

MOST_LINES_A_CELL, MOST_LINES = 12, 95
FORBIDDEN = {
    r"^\s*(def|class)\s": "defines a function or class; put it in a package",
    r"\bsys\.path\b": "changes sys.path; the packages are installed",
    r"^\s*[!%]pip\b": "installs a package; add it to requirements.txt",
    r"\bos\.chdir\b": "changes the folder; use the run's paths",
}


def notebook_path(stage: Stage) -> Path:
    """Return the path of a stage's notebook in the repository."""
    return PROJECT_ROOT / "notebooks" / f"{stage.notebook}.ipynb"


def _text(cell: dict[str, Any]) -> str:
    return "".join(cell["source"])


def _is_parameters(cell: dict[str, Any]) -> bool:
    return "parameters" in cell.get("metadata", {}).get("tags", [])


def problems_of(stage: Stage) -> list[str]:
    """Return what is wrong with a stage's notebook, one sentence each."""
    content = json.loads(notebook_path(stage).read_text())
    cells: list[dict[str, Any]] = content["cells"]
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    tagged = [cell for cell in code if _is_parameters(cell)]
    kernel = content["metadata"].get("kernelspec", {})
    found: list[str] = []
    if (kernel.get("name"), kernel.get("language")) != ("python3", "python"):
        found.append("its kernelspec must be python3 with language python")
    if not _text(cells[0]).startswith("# "):
        found.append("its first cell must begin with a heading of level one")
    if len(tagged) != 1 or _text(tagged[0]) != cell_source(stage.parameters):
        found.append("its parameters cell differs from the dataclass; run python -m workflow sync")
    if len({cell.get("id") for cell in cells}) != len(cells):
        found.append("its cell ids must be unique")
    found += _problems_of_code([cell for cell in code if not _is_parameters(cell)])
    found += _undeclared(stage, "\n".join(_text(cell) for cell in code))
    if any(cell["outputs"] or cell["execution_count"] for cell in code):
        found.append("it has outputs; strip them (they may hold patient data)")
    return [f"{stage.notebook}: {problem}" for problem in found]


def _problems_of_code(cells: list[dict[str, Any]]) -> list[str]:
    """Return the problems of length and content of the code cells."""
    found: list[str] = []
    lengths = [sum(1 for line in _text(cell).splitlines() if line.strip()) for cell in cells]
    for cell, length in zip(cells, lengths, strict=True):
        if length > MOST_LINES_A_CELL:
            first = _text(cell).splitlines()[0]
            found.append(f"the cell {first!r} has {length} lines, at most {MOST_LINES_A_CELL}")
        for pattern, reason in FORBIDDEN.items():
            if re.search(pattern, _text(cell), flags=re.MULTILINE):
                found.append(f"a cell {reason}")
    if sum(lengths) > MOST_LINES:
        found.append(f"it has {sum(lengths)} lines of code, at most {MOST_LINES}")
    return found


def _undeclared(stage: Stage, code: str) -> list[str]:
    """Return what a notebook reads or writes without the stage or the schema saying so."""
    found: list[str] = []
    written_by = {name: table.written_by for name, table in TABLES.items()}
    written_by |= {name: writer for name, (_, writer) in DOCUMENTS.items()}
    for action, name in re.findall(r"\brun\.(read|write)_(?:table|document)\(\"(\w+)\"", code):
        if name not in written_by:
            found.append(f"it uses the artifact {name!r}, which workflow/schemas.py does not have")
        elif action == "write" and stage.notebook not in written_by[name].split(" or "):
            found.append(f"it writes {name!r}, which workflow/schemas.py has for another notebook")
        elif action == "read" and name not in _declared(stage):
            found.append(f"it reads {name!r}, which workflow/stages.py does not list as required")
    if "run.signals()" in code and SIGNALS not in _declared(stage):
        found.append("it reads the signals, which workflow/stages.py does not list as required")
    return found + [
        f"it never writes {name!r}, which workflow/stages.py lists as produced"
        for name in stage.produces
        if name in written_by and f'"{name}"' not in code
    ]


def _declared(stage: Stage) -> set[str]:
    """Return the artifacts a stage's notebook may read."""
    return {name.lstrip("*?") for name in (*stage.requires, *stage.produces)}


def check() -> list[str]:
    """Return the problems of all notebooks; empty when they keep the rules."""
    return [problem for stage in ALL_STAGES for problem in problems_of(stage)]


def sync() -> list[str]:
    """Write the parameters cells from the dataclasses; return the notebooks that changed."""
    changed: list[str] = []
    for stage in ALL_STAGES:
        path = notebook_path(stage)
        content = json.loads(path.read_text())
        for cell in content["cells"]:
            if cell["cell_type"] == "code" and _is_parameters(cell):
                cell["source"] = cell_source(stage.parameters).splitlines(keepends=True)
        text = json.dumps(content, indent=1, ensure_ascii=False) + "\n"
        if text != path.read_text():
            path.write_text(text)
            changed.append(stage.notebook)
    return changed
