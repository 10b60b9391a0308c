"""What a notebook costs beside its own work, against bare papermill and nbclient.

    python benchmarks/overhead.py

Five empty cells are executed in turns, so that a busy machine slows all alike; medians. Then the
second run of a chain in which nothing has changed, against executing one empty notebook.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import nbformat
import papermill
from nbclient import NotebookClient
from papermill.iorw import LocalHandler, papermill_io
from tqdm.auto import tqdm

from workflow import engine
from workflow.artifacts import PROJECT_ROOT


def seconds_of(work: Callable[[], object]) -> float:
    """Return the wall time of a call."""
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def empty_notebook(path: Path) -> Path:
    """Write a notebook of five cells that do nothing."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("pass")] * 5)
    kernel = {"name": "python3", "language": "python", "display_name": "Python 3"}
    notebook.metadata["kernelspec"] = kernel
    nbformat.write(notebook, path)
    return path


def main() -> None:
    """Print one line a figure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--n-repeats", type=int, default=9)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path, out = empty_notebook(Path(folder) / "in.ipynb"), Path(folder) / "out.ipynb"
        quiet = {"progress_bar": False}
        papermill_io.register("/", LocalHandler())  # absolute paths: written as papermill does
        relative = os.path.relpath(path), os.path.relpath(out)
        works: dict[str, Callable[[], object]] = {
            "engine": lambda: papermill.execute_notebook(
                *relative, engine_name=engine.NAME, **quiet
            ),
            "papermill": lambda: papermill.execute_notebook(
                path, out, engine_name="nbclient", **quiet
            ),
            "nbclient": lambda: NotebookClient(nbformat.read(path, as_version=4)).execute(),
        }
        taken: dict[str, list[float]] = {name: [] for name in works}
        for _ in tqdm(range(options.n_repeats), desc="notebooks"):
            for name, work in works.items():
                taken[name].append(seconds_of(work))
        chain = [sys.executable, "-m", "workflow", "run", "--profile", "smoke"]
        chain += ["--variants", "clinical", "--name", f"{folder}/run"]
        subprocess.run(chain, cwd=PROJECT_ROOT, check=True, capture_output=True)
        unchanged = [
            seconds_of(
                lambda: subprocess.run(chain, cwd=PROJECT_ROOT, check=True, capture_output=True)
            )
            for _ in range(options.n_repeats)
        ]
    for name, values in taken.items():
        print(f"figure notebook_{name} {median(values):.2f} s")
    for peer in ("papermill", "nbclient"):
        ratio = median(taken[peer]) / median(taken["engine"])
        print(f"figure ratio_notebook_vs_{peer} {ratio:.2f}")
    print(f"figure unchanged_chain {median(unchanged):.2f} s")
    ratio = median(taken["papermill"]) / median(unchanged)
    print(f"figure ratio_unchanged_chain_vs_papermill {ratio:.2f}")


if __name__ == "__main__":
    main()
