"""Run the notebooks in order, check what they read and write, and record it in ``run.json``."""

from __future__ import annotations

import json
import os
import re
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from workflow import provenance
from workflow.artifacts import PROJECT_ROOT, Artifacts, MissingArtifactError, write_json
from workflow.stages import Step

NOTEBOOKS = PROJECT_ROOT / "notebooks"
_KERNEL_ENVIRONMENT = {
    "PYTHONPATH": str(PROJECT_ROOT),
    "JUPYTER_PREFER_ENV_PATH": "1",  # the kernel of this environment, not the user's
    "TF_CPP_MIN_LOG_LEVEL": "2",
    "TQDM_MININTERVAL": "2",
}
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


class StageError(RuntimeError):
    """A notebook failed; the message names stage, cell and cause."""


class _Echo:
    """Passes a kernel's progress lines to the terminal, one every few seconds."""

    def __init__(self, seconds: float = 5.0) -> None:
        self.seconds, self._last = seconds, 0.0

    def write(self, text: str) -> None:
        lines = [line for line in re.split(r"[\r\n]+", text) if "it/s" in line or "%|" in line]
        if lines and time.monotonic() - self._last > self.seconds:
            self._last = time.monotonic()
            sys.stderr.write(f"     {_COLOUR.sub('', lines[-1])[:100]}\n")

    def flush(self) -> None:
        sys.stderr.flush()


@dataclass
class Runner:
    """Executes steps in one run folder.

    Parameters
    ----------
    run
        The run folder.
    parameters
        Checked parameters by notebook, as ``profiles.resolve`` returns them.
    header
        What ``run.json`` says about the whole run (profile and its description).
    """

    run: Artifacts
    parameters: Mapping[str, Mapping[str, Any]]
    header: Mapping[str, Any] = field(default_factory=dict)

    @property
    def record_path(self) -> Path:
        """Path of ``run.json``."""
        return self.run.directory / "run.json"

    def execute(self, steps: list[Step]) -> None:
        """Run the steps in order; what a cohort cannot serve is skipped with its reason.

        Raises
        ------
        StageError
            If a notebook fails or leaves out a declared file; its executed copy is kept.
        MissingArtifactError
            If a step needs a file that no earlier step has written.
        """
        record = self._read_record()
        record |= {"schema_version": 1, **self.header, "made_with": provenance.describe()}
        for number, step in enumerate(steps, 1):
            reason = self._reason_to_skip(step)
            label = f"[{number}/{len(steps)}] {step.name}"
            if reason:
                record["steps"][step.name] = {"status": "skipped", "reason": reason}
                _say(f"{label}  skipped: {reason}")
            else:
                _say(f"{label} ...")
                self._execute_one(step, record)
                _say(f"{label}  done in {record['steps'][step.name]['seconds']:.0f} s")
            write_json(self.record_path, record)

    def _read_record(self) -> dict[str, Any]:
        if self.record_path.exists():
            return json.loads(self.record_path.read_text())
        return {"steps": {}}

    def _reason_to_skip(self, step: Step) -> str:
        """Return why the cohort cannot serve this variant; empty where it can."""
        if not step.variant or not self.run.path("dataset").exists():
            return ""
        return self.run.read_document("dataset")["skipped_variants"].get(step.variant, "")

    def _execute_one(self, step: Step, record: dict[str, Any]) -> None:
        needed = step.paths(step.stage.requires, self.run)
        missing = [path for path in needed if not (self.run.directory / path).exists()]
        if missing or (step.stage.requires and not needed):
            raise MissingArtifactError(
                f"{step.name} needs {', '.join(missing)}, which must exist in the run folder. "
                "Run the earlier stages first (leave out --from or --only)."
            )
        for path in step.paths(step.stage.produces, self.run):
            (self.run.directory / path).unlink(missing_ok=True)  # never mistaken for this run's
        values = dict(self.parameters[step.stage.notebook])
        values["run_directory"] = str(self.run.directory)
        if step.variant:
            values["variant"] = step.variant
        entry: dict[str, Any] = {
            "status": "running",
            "started": datetime.now(UTC).isoformat(timespec="seconds"),
            "parameters": values,
            "read": self._checksums(needed),
        }
        record["steps"][step.name] = entry
        write_json(self.record_path, record)
        begin = time.monotonic()
        try:
            self._run_notebook(step, values)
            written = step.paths(step.stage.produces, self.run)
            absent = [path for path in written if not (self.run.directory / path).exists()]
            if absent:
                raise StageError(f"{step.name} ended without writing {', '.join(absent)}.")
            entry |= {"status": "completed", "written": self._checksums(written)}
        except (Exception, KeyboardInterrupt) as error:
            entry |= {"status": "failed", "cause": str(error)}
            raise
        finally:
            entry["seconds"] = round(time.monotonic() - begin, 1)
            write_json(self.record_path, record)

    def _checksums(self, paths: list[str]) -> dict[str, str]:
        return {path: provenance.sha256_of(self.run.directory / path) for path in paths}

    def _run_notebook(self, step: Step, values: Mapping[str, Any]) -> None:
        import papermill  # half a second, not needed by `status` and `check`
        from nbclient.exceptions import CellTimeoutError, DeadKernelError
        from traitlets.config import Config

        copy = self.run.directory / "notebooks" / f"{step.name}.ipynb"
        copy.parent.mkdir(parents=True, exist_ok=True)
        shown = _shown(copy)
        with _kernel_environment():
            try:
                papermill.execute_notebook(
                    NOTEBOOKS / f"{step.stage.notebook}.ipynb",
                    copy,
                    parameters=dict(values),
                    cwd=PROJECT_ROOT,
                    progress_bar=False,
                    stderr_file=_Echo(),
                    coalesce_streams=True,
                    config=Config({"KernelManager": {"transport_encryption": "auto"}}),
                )
            except papermill.PapermillExecutionError as error:
                raise StageError(
                    f"{step.name} failed in cell {error.exec_count}: {error.ename}: "
                    f"{_COLOUR.sub('', str(error.evalue))}\nThe executed notebook is kept: {shown}"
                ) from None
            except (DeadKernelError, CellTimeoutError) as error:
                raise StageError(
                    f"{step.name} failed: its kernel died, often for want of memory ({error}). "
                    f"Close other programs or lower batch_size.\nSo far: {shown}"
                ) from None


@contextmanager
def _kernel_environment() -> Iterator[None]:
    """Give the kernels the project first on the path, this environment, and a quiet TensorFlow."""
    before = {name: os.environ.get(name) for name in _KERNEL_ENVIRONMENT}
    os.environ.update(_KERNEL_ENVIRONMENT)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name)
            else:
                os.environ[name] = value


def _shown(path: Path) -> str:
    """Return a path relative to the current folder where it lies below it."""
    return os.path.relpath(path) if path.is_relative_to(Path.cwd()) else str(path)


def _say(text: str) -> None:
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def status_of(run: Artifacts) -> list[dict[str, Any]]:
    """Return one row a step: status, seconds, and whether what it read has changed since.

    Raises
    ------
    MissingArtifactError
        If the run folder has no ``run.json``.
    """
    path = run.directory / "run.json"
    if not path.exists():
        raise MissingArtifactError(
            f"run.json must exist in {_shown(run.directory)}, got nothing. Name an existing run."
        )
    rows: list[dict[str, Any]] = []
    for name, entry in json.loads(path.read_text())["steps"].items():
        changed = [
            file
            for file, digest in {**entry.get("read", {}), **entry.get("written", {})}.items()
            if not (run.directory / file).exists()
            or provenance.sha256_of(run.directory / file) != digest
        ]
        status = entry["status"]
        if status == "completed" and changed:
            status = "stale: " + ", ".join(changed) + " changed"
        why = entry.get("reason", entry.get("cause", ""))
        rows.append(
            {"step": name, "status": status, "seconds": entry.get("seconds", ""), "why": why}
        )
    return rows
