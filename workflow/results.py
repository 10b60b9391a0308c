"""Results found again: what a step is made of, its key, and what is kept under that key.

A step that is made of the same notebook code, project modules, parameters, input files, package
versions and source data gives the same result, so it is not run twice. Results lie as hard links
(copies where the file system has none) in ``.results`` beside the run folders, written aside and
renamed, with a ``done.json`` that names the sha256 of every file. Deleting the folder is safe: what
is missing is computed again.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any
from uuid import uuid4

from workflow.artifacts import PROJECT_ROOT, write_json
from workflow.schemas import SCHEMA_VERSION

DONE = "done.json"
PRIVATE = "private"
DOWNLOADS = "public"  # below private: large, never kept twice
# Not `workflow`: it carries files and parameters, which are in the key themselves.
_PACKAGES = ("data_processing", "evaluation", "explainability", "models_training")
_IMPORT = re.compile(
    r"^[ \t]*(?:from[ \t]+([\w.]+)[ \t]+import[ \t]+(\([^)]*\)|[^\n]+)|import[ \t]+([\w.]+))", re.M
)


def key_of(parts: Mapping[str, Any]) -> str:
    """Return the key of what a step is made of."""
    text = json.dumps(parts, sort_keys=True, ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def difference(before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    """Return in words what of a step's parts has changed; empty when nothing has."""
    found: list[str] = []
    for part in after:
        old, new = before.get(part), after[part]
        if old == new:
            continue
        if isinstance(old, dict) and isinstance(new, dict):
            names = sorted(name for name in old | new if old.get(name) != new.get(name))
            shown = ", ".join(names[:4]) + (f" and {len(names) - 4} more" if names[4:] else "")
            found.append(f"{part}: {shown}")
        else:
            found.append(part)
    return "; ".join(found)


def notebook_parts(path: Path) -> dict[str, Any]:
    """Return the hash of a notebook's code and of every project module it can reach.

    Markdown, outputs and the parameters cell (its values are in the key) do not count.
    """
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    sources = [
        "".join(cell["source"])
        for cell in cells
        if cell["cell_type"] == "code" and "parameters" not in cell["metadata"].get("tags", [])
    ]
    code = "\n".join(sources)
    modules: dict[str, str] = {}
    waiting = sorted(_imported(code))
    while waiting:
        module = waiting.pop()
        if module not in modules:
            modules[module], imported = _module(module)
            waiting += sorted(imported)
    return {
        "schema": SCHEMA_VERSION,
        "notebook": hashlib.sha256(code.encode()).hexdigest(),
        "code": dict(sorted(modules.items())),
    }


@functools.cache
def _module(name: str) -> tuple[str, set[str]]:
    """Return the hash of a project module and the project modules it imports."""
    content = _module_path(name).read_bytes()
    return hashlib.sha256(content).hexdigest()[:16], _imported(content.decode())


def _module_path(name: str) -> Path:
    path = PROJECT_ROOT / name.replace(".", "/")
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def _imported(code: str) -> set[str]:
    """Return the project modules that a text imports, their packages included."""
    found: set[str] = set()
    for source, names, plain in _IMPORT.findall(code):
        module = source or plain
        if module.split(".")[0] not in _PACKAGES:
            continue
        words = re.split(r"[,()\s]+", re.sub(r"#.*|\bas\s+\w+", "", names))
        candidates = [module, *(f"{module}.{word}" for word in words if word)]
        found |= {name for name in candidates if _module_path(name).is_file()}
        parts = module.split(".")
        found |= {".".join(parts[:end]) for end in range(1, len(parts))}
    return found


def fingerprint(paths: Iterable[Path]) -> str:
    """Return a hash of the names, sizes and times of the files in some folders; nothing is read.

    Files given by themselves count by their content.
    """
    digest = hashlib.sha256()
    for path in paths:
        if path.is_file():
            digest.update(path.read_bytes())
        for file in _files(path) if path.is_dir() else ():
            about = file.stat()
            name = file.relative_to(path).as_posix()
            digest.update(f"{name}\0{about.st_size}\0{about.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def _files(folder: Path, *, downloads: bool = True) -> Iterator[Path]:
    """Return the files below a folder in the order of their names, without hidden ones."""
    for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
        path = Path(entry.path)
        if entry.name.startswith("."):
            continue
        if entry.is_dir():
            if downloads or path.parts[-2:] != (PRIVATE, DOWNLOADS):
                yield from _files(path, downloads=downloads)
        else:
            yield path


def files_below(folder: Path) -> list[Path]:
    """Return what a step has written in its folder, but nothing of the private folder."""
    if not folder.is_dir():
        return []
    return [file for file in _files(folder) if PRIVATE not in file.relative_to(folder).parts]


def clear(path: Path) -> None:
    """Delete a file, or empty a step's folder but for downloads."""
    if not path.is_dir():
        path.unlink(missing_ok=True)
        return
    for found in sorted(path.rglob("*"), reverse=True):
        if found.relative_to(path).parts[:2] == (PRIVATE, DOWNLOADS):
            continue
        if not found.is_dir():
            found.unlink()
        elif not any(found.iterdir()):
            found.rmdir()


class Results:
    """Finished results of all runs in one folder, by key.

    Parameters
    ----------
    directory
        ``.results`` beside the run folders.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def _place(self, step: str, key: str) -> Path:
        return self.directory / step / key[:24]

    def find(self, step: str, key: str) -> dict[str, Any] | None:
        """Return what was recorded with a result, or None where there is none under this key."""
        path = self._place(step, key) / DONE
        if not path.exists():
            return None
        entry: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return entry if entry["key"] == key else None

    def keep(self, step: str, entry: Mapping[str, Any], run: Path, paths: Iterable[str]) -> None:
        """Keep the files of a finished step: all or, after a kill, nothing.

        Parameters
        ----------
        step
            Name of the step.
        entry
            What ``run.json`` says about it, with ``key`` and ``written``.
        run
            The run folder.
        paths
            Files and folders of the step, relative to the run folder.
        """
        place = self._place(step, entry["key"])
        aside = place.with_name(f".{uuid4().hex[:8]}")
        try:
            for path in paths:
                _link(run / path, aside / path)
            write_json(aside / DONE, entry)
            shutil.rmtree(place, ignore_errors=True)
            aside.rename(place)
        finally:
            shutil.rmtree(aside, ignore_errors=True)

    def restore(self, step: str, key: str, run: Path, paths: Iterable[str]) -> None:
        """Put the files of a kept result into a run folder in place of what is there."""
        place = self._place(step, key)
        for path in paths:
            clear(run / path)
            _link(place / path, run / path)

    def discard(self, step: str, key: str) -> None:
        """Delete a kept result."""
        shutil.rmtree(self._place(step, key), ignore_errors=True)


def _link(source: Path, target: Path) -> None:
    """Link a file or all files of a folder; copy where linking is impossible."""
    if not source.exists():
        return
    files = _files(source, downloads=False) if source.is_dir() else [source]
    for file in files:
        place = target / file.relative_to(source) if source.is_dir() else target
        place.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(file, place)
        except OSError:
            shutil.copy2(file, place)
