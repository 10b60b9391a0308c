"""``run.json``: what every step of a run was made of, when and with what result."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from workflow import provenance
from workflow.artifacts import ArtifactError, MissingArtifactError, write_json

SCHEMA_VERSION = 2


class RunInUseError(RuntimeError):
    """Another process works in the run folder."""


class Record:
    """The record of one run folder.

    Checksums are remembered with size and time of their file, so that a file is read once.

    Parameters
    ----------
    directory
        The run folder.

    Raises
    ------
    ArtifactError
        If another version of the project has written it.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.path = directory / "run.json"
        content: dict[str, Any] = {}
        if self.path.exists():
            content = json.loads(self.path.read_text(encoding="utf-8"))
        version = content.get("schema_version", SCHEMA_VERSION)
        if version != SCHEMA_VERSION:
            raise ArtifactError(
                f"run.json of {directory.name} must have schema version {SCHEMA_VERSION}, got "
                f"{version}. Choose another --name: another version of the project has made it."
            )
        self.content = {"schema_version": SCHEMA_VERSION, "steps": {}, "files": {}} | content

    @property
    def steps(self) -> dict[str, dict[str, Any]]:
        """What is known of each step, by its name."""
        return self.content["steps"]

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other processes out; the lock of a killed process is free at once.

        Raises
        ------
        RunInUseError
            If another process holds it.
        """
        self.directory.mkdir(parents=True, exist_ok=True)
        try:
            with FileLock(self.directory / ".lock", timeout=0):
                self.__init__(self.directory)  # as the process before us has left it
                yield
        except Timeout:
            raise RunInUseError(
                f"run {self.directory.name} must not be in use, got another process that works in "
                "it. Wait for it, or choose another --name."
            ) from None

    def is_locked(self) -> bool:
        """Return whether a process works in the run folder now."""
        try:
            with FileLock(self.directory / ".lock", timeout=0):
                return False
        except Timeout:
            return True

    def update(self, header: Mapping[str, Any]) -> None:
        """Set what is said about the whole run."""
        if any(self.content.get(name) != value for name, value in header.items()):
            self.content |= header
            self._write()

    def write_step(self, name: str, entry: Mapping[str, Any]) -> None:
        """Set what is known of a step."""
        if self.steps.get(name) != entry:
            self.steps[name] = dict(entry)
            self._write()

    def remove_step(self, name: str) -> None:
        """Forget a step."""
        del self.steps[name]
        self._write()

    def _write(self) -> None:
        known = {path for entry in self.steps.values() for path in entry.get("written", {})}
        files = self.content["files"]
        self.content["files"] = {path: files[path] for path in files if path in known}
        write_json(self.path, self.content)

    def checksums(self, paths: Iterable[str]) -> dict[str, str]:
        """Return the sha256 of files of the run folder; "" for one that is not there."""
        return {path: self._checksum(path) for path in paths}

    def _checksum(self, path: str) -> str:
        file = self.directory / path
        if not file.exists():
            return ""
        about = file.stat()
        mark = [about.st_size, about.st_mtime_ns]
        known = self.content["files"].get(path, [])
        if known[:2] != mark:
            known = [*mark, provenance.sha256_of(file)]
            self.content["files"][path] = known
        return known[2]

    def changed_files(self, entry: Mapping[str, Any]) -> list[str]:
        """Return the files a finished step has read or written that are not the same any more."""
        files = {**entry.get("read", {}), **entry.get("written", {})}
        return [path for path, digest in files.items() if self._checksum(path) != digest]

    def is_whole(self, entry: Mapping[str, Any]) -> bool:
        """Return whether a step has finished and all its files are as it has left them."""
        return entry.get("status") == "completed" and not self.changed_files(entry)


def status_of(directory: Path) -> list[dict[str, Any]]:
    """Return one row a step: status, seconds, and whether what it read has changed since.

    Raises
    ------
    MissingArtifactError
        If the run folder has no ``run.json``.
    """
    record = Record(directory)
    if not record.path.exists():
        raise MissingArtifactError(
            f"run.json must exist in the run folder {directory.name}, got nothing. Name an "
            "existing run."
        )
    rows: list[dict[str, Any]] = []
    for name, entry in record.steps.items():
        status, why = entry["status"], entry.get("reason", entry.get("cause", ""))
        if status == "running" and not record.is_locked():
            status, why = "interrupted", "its process was killed; run again to go on"
        changed = record.changed_files(entry) if status == "completed" else []
        if changed:
            status = "stale: " + ", ".join(changed) + " changed"
        rows.append(
            {"step": name, "status": status, "seconds": entry.get("seconds", ""), "why": why}
        )
    return rows
