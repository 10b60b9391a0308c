"""Run the notebooks in order, check what they read and write, and record it in ``run.json``."""

from __future__ import annotations

import json
import os
import platform
import re
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from workflow import provenance
from workflow.artifacts import PROJECT_ROOT, Artifacts, MissingArtifactError
from workflow.commands import source_data
from workflow.record import Record
from workflow.results import (
    Results,
    clear,
    difference,
    files_below,
    fingerprint,
    key_of,
    notebook_parts,
)
from workflow.stages import Step, step_named

NOTEBOOKS = PROJECT_ROOT / "notebooks"
_KERNEL_ENVIRONMENT = {
    "PYTHONPATH": str(PROJECT_ROOT),
    "TF_CPP_MIN_LOG_LEVEL": "2",
}
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


class StageError(RuntimeError):
    """A notebook failed; the message names stage, cell and cause."""


class _Echo:
    """Passes a kernel's estimates and bars on to the terminal, a bar once in some seconds."""

    def __init__(self, step: str, seconds: float = 10.0) -> None:
        self.step, self.seconds, self._last = step, seconds, time.monotonic()

    def write(self, text: str) -> None:
        lines = [line.strip() for line in re.split(r"[\r\n]+", _COLOUR.sub("", text))]
        for line in lines:
            if line.startswith("Estimate:"):
                _say(f"     {line}")
        bars = [line for line in lines if "%|" in line]
        if bars and time.monotonic() - self._last > self.seconds:
            self._last = time.monotonic()
            _say(f"     {self.step}  {re.sub(r'[|].*[|]', ' ', bars[-1])}")

    def flush(self) -> None:
        sys.stderr.flush()


@dataclass
class Runner:
    """Executes steps in one run folder; what is unchanged is not run again.

    Parameters
    ----------
    run
        The run folder.
    parameters
        Checked parameters by notebook, as ``profiles.resolve`` returns them.
    header
        What ``run.json`` says about the whole run (profile and its description).
    reuse
        False runs every step, whatever was kept.
    """

    run: Artifacts
    parameters: Mapping[str, Mapping[str, Any]]
    header: Mapping[str, Any] = field(default_factory=dict)
    reuse: bool = True

    def __post_init__(self) -> None:
        self.record = Record(self.run.directory)
        self.results = Results(self.run.directory.parent / ".results")

    def execute(self, steps: list[Step]) -> None:
        """Run the steps in order; what a cohort cannot serve is skipped with its reason.

        Raises
        ------
        StageError
            If a notebook fails or leaves out a declared file; its executed copy is kept.
        MissingArtifactError
            If a step needs a file that no earlier step has written.
        RunInUseError
            If another process works in the run folder.
        """
        with self.record.locked():
            self.record.update(self.header)
            for number, step in enumerate(steps, 1):
                label = f"[{number}/{len(steps)}] {step.name}"
                reason = self._reason_to_skip(step)
                if reason:
                    self.record.write_step(step.name, {"status": "skipped", "reason": reason})
                    _say(f"{label}  skipped: {reason}")
                else:
                    self._bring_about(step, label)

    def _reason_to_skip(self, step: Step) -> str:
        """Return why the cohort cannot serve this stage or variant; empty where it can."""
        if step.stage.number == "01" or not self.run.path("dataset").exists():
            return ""
        dataset = self.run.read_document("dataset")
        tasks, task = step.stage.tasks, dataset.get("task", "binary")
        if tasks and task not in tasks:
            return f"it is made for task {' or '.join(tasks)}, not for {task}."
        card = self.run.path("02_models") / step.variant / "card.json"
        if step.stage.needs_gradient and card.exists():
            architecture = json.loads(card.read_text())["settings"].get("architecture", {})
            if architecture.get("name") == "random_kernels":
                return "random kernels have no gradient, so no map can be made."
        return dataset["skipped_variants"].get(step.variant, "") if step.variant else ""

    def _bring_about(self, step: Step, label: str) -> None:
        """Leave the step's result in the run folder: as it is, found again, or computed."""
        values = dict(self.parameters[step.stage.notebook])
        if step.variant:
            values["variant"] = step.variant
        parts = self._parts(step, values)
        key = key_of(parts)
        before = self.record.steps.get(step.name, {})
        if self.reuse and before.get("key") == key and self.record.is_whole(before):
            _say(f"{label}  unchanged")
            return
        if not (self.reuse and self._restore(step, key)):
            why = difference(before["made_of"], parts) if "made_of" in before else ""
            _say(f"{label} ...{f' (changed: {why})' if why else ''}")
            self._execute_one(step, values, parts)
            seconds = self.record.steps[step.name]["seconds"]
            _say(f"{label}  done in {seconds:.0f} s")
        else:
            _say(f"{label}  found again, made {self.record.steps[step.name]['started'][:16]}")
        self._drop_outdated(step)

    def _parts(self, step: Step, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return what the step's result is made of."""
        needed = step.paths(step.stage.requires, self.run)
        missing = [path for path in needed if not (self.run.directory / path).exists()]
        if missing or (step.stage.requires and not needed):
            raise MissingArtifactError(
                f"{step.name} needs {', '.join(missing) or 'the predictions of a model'}, which "
                "must exist in the run folder. Run the earlier stages first (leave out --from or "
                "--only)."
            )
        given = {name: value for name, value in values.items() if name != "run_directory"}
        is_outside = not step.stage.requires or "model_run" in values
        data = fingerprint(source_data(values)) if is_outside else ""
        return {
            **notebook_parts(NOTEBOOKS / f"{step.stage.notebook}.ipynb"),
            "parameters": given,
            "inputs": self.record.checksums(needed),
            "packages": {"python": platform.python_version(), **provenance.package_versions()},
            "data": data,
        }

    def _restore(self, step: Step, key: str) -> bool:
        """Bring back a kept result; one whose files were changed by hand is thrown away."""
        entry = self.results.find(step.name, key)
        if entry is None:
            return False
        self.record.write_step(step.name, {"status": "running", "key": key})
        self.results.restore(step.name, key, self.run.directory, step.outputs)
        if not self.record.is_whole(entry):
            self.results.discard(step.name, key)
            return False
        self.record.write_step(step.name, entry)
        return True

    def _drop_outdated(self, step: Step) -> None:
        """Empty the folders of finished steps that read something else than is there now.

        They would be mixed with the new results; they are kept under their own key.
        """
        written = self.record.steps[step.name]["written"]
        for name, entry in list(self.record.steps.items()):
            read = entry.get("read", {})
            folder = step.outputs[0] + "/"
            if any(read[path] != written.get(path) for path in read if path.startswith(folder)):
                for path in step_named(name).outputs:
                    clear(self.run.directory / path)
                self.record.remove_step(name)

    def _execute_one(self, step: Step, values: dict[str, Any], parts: dict[str, Any]) -> None:
        key, before = key_of(parts), self.record.steps.get(step.name, {})
        folder = self.run.directory / step.outputs[0]
        if before.get("key") != key or before.get("status") == "completed":
            clear(folder)  # what is left of a stopped run with the same key is resumed instead
        values["run_directory"] = str(self.run.directory)
        entry: dict[str, Any] = {
            "status": "running",
            "started": datetime.now(UTC).isoformat(timespec="seconds"),
            "key": key,
            "parameters": values,
            "read": parts["inputs"],
            "made_of": parts,
            "made_with": provenance.describe(),
        }
        self.record.write_step(step.name, entry)
        begin = time.monotonic()
        try:
            self._run_notebook(step, values)
            declared = step.paths(step.stage.produces, self.run)
            absent = [path for path in declared if not (self.run.directory / path).exists()]
            if absent:
                raise StageError(f"{step.name} ended without writing {', '.join(absent)}.")
            written = [str(path.relative_to(self.run.directory)) for path in files_below(folder)]
            entry |= {"status": "completed", "written": self.record.checksums(written)}
        except (Exception, KeyboardInterrupt) as error:
            entry |= {"status": "failed", "cause": str(error) or type(error).__name__}
            raise
        finally:
            entry["seconds"] = round(time.monotonic() - begin, 1)
            self.record.write_step(step.name, entry)
        self.results.keep(step.name, entry, self.run.directory, step.outputs)

    def _run_notebook(self, step: Step, values: Mapping[str, Any]) -> None:
        import papermill  # half a second, not needed where nothing is executed
        from nbclient.exceptions import CellTimeoutError, DeadKernelError

        from workflow import engine

        # the kernel of this environment, not one the user has installed elsewhere
        os.environ.setdefault("JUPYTER_PREFER_ENV_PATH", "1")
        copy = self.run.directory / step.outputs[1]
        copy.parent.mkdir(parents=True, exist_ok=True)
        log, echo = copy.with_suffix(".log"), _Echo(step.name)
        log.unlink(missing_ok=True)
        shown = f"The executed notebook is kept: {_shown(copy)}"
        try:
            papermill.execute_notebook(
                NOTEBOOKS / f"{step.stage.notebook}.ipynb",
                copy,
                parameters=dict(values),
                engine_name=engine.NAME,
                cwd=PROJECT_ROOT,
                progress_bar=False,
                stdout_file=echo,
                stderr_file=echo,
                kernel_environment=_KERNEL_ENVIRONMENT,
                kernel_log=log,
            )
        except papermill.PapermillExecutionError as error:
            raise StageError(
                f"{step.name} failed in cell {error.exec_count}: {error.ename}: "
                f"{_COLOUR.sub('', str(error.evalue))}\n{shown}"
            ) from None
        except DeadKernelError:
            raise StageError(
                f"{step.name} failed: its kernel died, often for want of memory. Close other "
                f"programs, or lower batch_size or width.\n{shown}, beside it {log.name}"
            ) from None
        except CellTimeoutError as error:
            raise StageError(f"{step.name} failed: {error}\n{shown}") from None


def _shown(path: Path) -> str:
    """Return a path relative to the current folder where it lies below it."""
    return os.path.relpath(path) if path.is_relative_to(Path.cwd()) else str(path)


def _say(text: str) -> None:
    sys.stderr.write(text + "\n")
    sys.stderr.flush()
