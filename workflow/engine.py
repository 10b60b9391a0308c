"""A papermill engine that tells the truth: ``papermill --engine ecg_risk``, and every run here.

Plain papermill 2.7 reports the cells of a killed, timed-out or interrupted kernel as completed,
dies at once on SIGTERM with the output lost, lets parallel kernels race for ports, only warns of
unknown parameters, turns some values into text, and writes notebooks in place.
``tests/workflow/test_engine.py`` shows each of these there, and not here.
"""

from __future__ import annotations

import ast
import os
import signal
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import nbformat
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from papermill.clientwrap import PapermillNotebookClient
from papermill.engines import NBClientEngine, NotebookExecutionManager, papermill_engines
from papermill.iorw import LocalHandler, papermill_io
from papermill.utils import chdir
from traitlets.config import Config

from workflow.artifacts import atomic_path
from workflow.parameter_rules import ParameterError, unknown_name

NAME = "ecg_risk"
_BUILT_IN = ("PAPERMILL_INPUT_PATH", "PAPERMILL_OUTPUT_PATH")  # papermill's own, on request
_TYPES = {"int": int, "float": float, "str": str, "bool": bool}
_WORDS = {"int": "a whole number", "float": "a number", "str": "text", "bool": "True or False"}
_KERNEL_OPTIONS = [
    # A widget needs a browser: a batch would show nothing and keep the bar as it stood at 0 %.
    "--IPKernelApp.exec_lines=exec(\"try: import sys, tqdm; sys.modules['tqdm.autonotebook'] = tqdm"
    '\\nexcept ImportError: pass", {})',
    "--IPKernelApp.log_level=50",  # no error lines whenever a kernel is shut down
]
_LONGEST_FOLDER = 80  # with file names, the path of a socket may have about 100 characters
_CAUSES = {
    DeadKernelError: "The kernel died, often for want of memory. Close other programs, or lower "
    "batch_size or width, and run again.",
    CellTimeoutError: "The cell took longer than the time allowed. Allow more, or reduce the work.",
    KeyboardInterrupt: "The run was stopped from outside. Run again to go on.",
}


class _Manager(NotebookExecutionManager):
    """Keeps the status of cells that did not run at ``pending``."""

    def cell_stopped(self, cell: Any, error: BaseException) -> None:
        """Mark a cell whose kernel died, ran out of time or was interrupted."""
        text = next(text for kind, text in _CAUSES.items() if isinstance(error, kind))
        name = type(error).__name__
        cell.outputs.append(
            nbformat.v4.new_output("error", ename=name, evalue=text, traceback=[text])
        )
        self.cell_exception(cell)

    def notebook_complete(self, **_: Any) -> None:
        """Write when the notebook ended; papermill would call cells that never ran completed."""
        self.end_time = self.now()
        about = self.nb.metadata.papermill
        about["end_time"] = self.end_time.isoformat()
        if self.start_time is not None:
            about["duration"] = (self.end_time - self.start_time).total_seconds()
        self.cleanup_pbar()
        self.save()


class _Client(PapermillNotebookClient):
    """Runs the cells; what stops one of them is written into it."""

    def papermill_execute_cells(self) -> None:
        for index, cell in enumerate(self.nb.cells):
            try:
                self.nb_man.cell_start(cell, index)
                self.execute_cell(cell, index)
            except CellExecutionError as error:
                self.nb_man.cell_exception(self.nb.cells[index], cell_index=index, exception=error)
                break
            except (DeadKernelError, CellTimeoutError, KeyboardInterrupt) as error:
                self.nb_man.cell_stopped(self.nb.cells[index], error)
                raise
            finally:
                self.nb_man.cell_complete(self.nb.cells[index], cell_index=index)


class WorkflowEngine(NBClientEngine):
    """See the module's text; options are those of papermill's own engine, and two more.

    ``kernel_environment`` (dict) is added to the kernel's environment, and ``kernel_log`` (path)
    takes what libraries write past Python to the kernel's standard error.
    """

    @classmethod
    def execute_notebook(
        cls,
        nb: Any,
        kernel_name: str,
        output_path: str | None = None,
        progress_bar: Any = True,
        log_output: bool = False,
        autosave_cell_every: int = 30,
        **kwargs: Any,
    ) -> Any:
        """Check the parameters, then execute, then say what happened to each cell.

        Raises
        ------
        ParameterError
            Before a kernel is started, with every unknown name and wrong type.
        """
        check_parameters(nb)
        manager = _Manager(nb, output_path, log_output, progress_bar, autosave_cell_every)
        manager.notebook_start()
        try:
            with _sigterm_interrupts():
                cls.execute_managed_notebook(manager, kernel_name, log_output=log_output, **kwargs)
        finally:
            manager.notebook_complete()
        return manager.nb

    @classmethod
    def execute_managed_notebook(  # pyright: ignore[reportIncompatibleMethodOverride]
        cls, nb_man: NotebookExecutionManager, kernel_name: str, **kwargs: Any
    ) -> Any:
        """Run the cells in a kernel with private sockets."""
        kwargs.pop("input_path", None)
        kernel_environment = kwargs.pop("kernel_environment", None) or {}
        kernel_log = kwargs.pop("kernel_log", None)
        environment = {**os.environ, **kernel_environment}
        environment.setdefault("TQDM_MININTERVAL", "5")  # a bar in a file needs no ten a second
        with ExitStack() as stack:
            process: dict[str, Any] = {"env": environment}
            arguments = list(_KERNEL_OPTIONS)
            if kernel_log is not None:
                process["stderr"] = stack.enter_context(Path(kernel_log).open("ab"))
                arguments.append("--IPKernelApp.capture_fd_output=False")
            options = {"coalesce_streams": True, "kernel_name": kernel_name}
            if nb_man.nb.metadata.get("kernelspec", {}).get("language", "python") == "python":
                options["extra_arguments"] = arguments
            options["startup_timeout"] = kwargs.pop("start_timeout", 60)
            options["timeout"] = kwargs.pop("execution_timeout", None)
            options["config"] = stack.enter_context(_private_transport())
            options |= kwargs
            return _Client(nb_man, **options).execute(**process)


@contextmanager
def _private_transport() -> Iterator[Config]:
    """Give a kernel sockets of its own: in a fresh folder, or encrypted ports on Windows."""
    if sys.platform == "win32":
        yield Config({"KernelManager": {"transport_encryption": "auto"}})
        return
    # Ports are drawn first and bound later, so kernels that start together may draw the same.
    short = tempfile.gettempdir() if len(tempfile.gettempdir()) < _LONGEST_FOLDER else "/tmp"
    options: dict[str, Any] = {"prefix": "ecg-", "dir": short, "ignore_cleanup_errors": True}
    with tempfile.TemporaryDirectory(**options) as folder:
        yield Config({"KernelManager": {"transport": "ipc", "ip": f"{folder}/kernel"}})


@contextmanager
def _sigterm_interrupts() -> Iterator[None]:
    """Treat SIGTERM (batch systems, time limits) like Ctrl-C: keep the output, end the kernel."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(*_: object) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # a second one must not stop the clean-up
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def check_parameters(nb: Any) -> None:
    """Compare what papermill has injected with the notebook's cell of parameters.

    Raises
    ------
    ParameterError
        With every name the cell does not have, and every value of another type.
    """
    injected = _assigned(_tagged(nb, "injected-parameters"))
    declared = _assigned(_tagged(nb, "parameters"))
    problems: list[str] = []
    for name, (_, value) in injected.items():
        if name in _BUILT_IN:
            continue
        if name not in declared:
            problems.append(unknown_name(name, declared, "this notebook"))
            continue
        kind, default = declared[name]
        kind = kind or type(default).__name__
        if kind in _TYPES and not _fits(kind, value):
            problems.append(
                f"{name} must be {_WORDS[kind]}, got {value!r} ({type(value).__name__}). Pass a "
                "plain Python value; on papermill's command line use -r for text, -p for numbers."
            )
    if problems:
        raise ParameterError("\n".join(problems))


def _fits(kind: str, value: Any) -> bool:
    if isinstance(value, bool) != (kind == "bool"):
        return False
    return isinstance(value, (int, float) if kind == "float" else _TYPES[kind])


def _tagged(nb: Any, tag: str) -> str:
    """Return the code of the cells with a tag."""
    return "\n".join(cell.source for cell in nb.cells if tag in cell.metadata.get("tags", []))


def _assigned(code: str) -> dict[str, tuple[str, Any]]:
    """Return annotation and value of what a cell assigns; float("nan") counts as a float."""
    found: dict[str, tuple[str, Any]] = {}
    for node in ast.parse(code).body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value:
            found[node.target.id] = ast.unparse(node.annotation), _literal(node.value)
        elif isinstance(node, ast.Assign):
            for target in node.targets:
                if isinstance(target, ast.Name):
                    found[target.id] = "", _literal(node.value)
    return found


def _literal(node: ast.expr) -> Any:
    try:
        return ast.literal_eval(node)
    except ValueError:
        return float("nan") if ast.unparse(node).startswith("float(") else None


class _AtomicHandler(LocalHandler):
    """Writes notebooks aside and renames them; makes the folder where it is missing."""

    def write(self, buf: str, path: str) -> None:
        with chdir(self._cwd), atomic_path(Path(path)) as aside:
            aside.write_text(buf, encoding="utf-8")


def register() -> None:
    """Make the engine known to papermill, and its writing of local notebooks atomic."""
    papermill_engines.register(NAME, WorkflowEngine)
    handlers = papermill_io._handlers  # papermill has no public way to replace the local one
    for number, (scheme, handler) in enumerate(handlers):
        if scheme == "local" and not isinstance(handler, _AtomicHandler):
            handlers[number] = (scheme, _AtomicHandler())


register()
