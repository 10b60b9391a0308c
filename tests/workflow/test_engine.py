"""Each defect of plain papermill, reproduced there and gone under the workflow's engine."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import numpy as np
import papermill
import pytest
from nbclient.exceptions import CellTimeoutError, DeadKernelError
from papermill.iorw import papermill_io

from workflow import engine
from workflow.artifacts import PROJECT_ROOT
from workflow.parameter_rules import ParameterError
from workflow.runner import _Echo

pytestmark = [
    pytest.mark.slow,
    # of nbclient and zmq, when a kernel is killed on purpose
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
PLAIN, OURS = None, engine.NAME
PARAMETERS = 'seed: int = 0\nrate: float = 0.1\nname: str = "a"\nquick: bool = False\nsize = 3'


@pytest.fixture
def execute(tmp_path):
    """Return a function that runs cells under an engine and returns the executed notebook."""

    def run(name, *cells, raises=None, **options):
        path = tmp_path / f"{name}.ipynb"
        write_notebook(path.with_suffix(".in.ipynb"), *cells)
        words = {"engine_name": name, "progress_bar": False, **options}
        if raises is None:
            papermill.execute_notebook(path.with_suffix(".in.ipynb"), path, **words)
        else:
            with pytest.raises(raises):
                papermill.execute_notebook(path.with_suffix(".in.ipynb"), path, **words)
        return nbformat.read(path, as_version=4)

    return run


def write_notebook(path, *cells, parameters=""):
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    if parameters:
        cell = nbformat.v4.new_code_cell(parameters, metadata={"tags": ["parameters"]})
        notebook.cells.insert(0, cell)
    kernel = {"name": "python3", "language": "python", "display_name": "Python 3"}
    notebook.metadata["kernelspec"] = kernel
    nbformat.write(notebook, path)


def statuses(notebook):
    return [cell.metadata.papermill["status"] for cell in notebook.cells]


def text_of(cell):
    return "".join(output.get("text", "") for output in cell.outputs)


KILLED = (
    "import os, sys, time\nprint('so far', flush=True)\ntime.sleep(0.5)",
    "os.kill(os.getpid(), 9)",
)


def test_a_killed_kernel_leaves_its_cell_failed_and_the_rest_pending(execute):
    cells = (*KILLED, "print('never')")
    plain = execute(PLAIN, *cells, raises=DeadKernelError)
    assert statuses(plain) == ["completed"] * 3  # two of them are not true
    assert plain.metadata.papermill["exception"] is None
    ours = execute(OURS, *cells, raises=DeadKernelError)
    assert statuses(ours) == ["completed", "failed", "pending"]
    assert ours.metadata.papermill["exception"] is True
    assert text_of(ours.cells[0]) == "so far\n"
    assert "often for want of memory" in ours.cells[1].outputs[-1].evalue


def test_a_cell_that_takes_too_long_is_failed(execute):
    cells = ("print('so far', flush=True)\nimport time; time.sleep(30)", "print('never')")
    options = {"raises": CellTimeoutError, "execution_timeout": 2}
    assert statuses(execute(PLAIN, *cells, **options)) == ["completed"] * 2
    ours = execute(OURS, *cells, **options)
    assert statuses(ours) == ["failed", "pending"]
    assert text_of(ours.cells[0]) == "so far\n"


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_sigterm_keeps_the_output_and_ends_the_kernel(tmp_path):
    code = (
        "import sys, papermill\nfrom workflow import engine\n"
        "papermill.execute_notebook(sys.argv[1], sys.argv[2], progress_bar=False,"
        " engine_name=sys.argv[3] or None)"
    )
    pid = tmp_path / "pid"
    write_notebook(
        tmp_path / "in.ipynb",
        f"import os, time\nopen({str(pid)!r}, 'w').write(str(os.getpid()))\n"
        "print('so far', flush=True)\ntime.sleep(60)",
        "print('never')",
    )
    found = {}
    for name in ("", OURS):
        out = tmp_path / f"out{name}.ipynb"
        pid.unlink(missing_ok=True)
        words = [sys.executable, "-c", code, str(tmp_path / "in.ipynb"), str(out), name]
        environment = {**os.environ, "PYTHONPATH": str(PROJECT_ROOT)}
        process = subprocess.Popen(words, env=environment, stderr=subprocess.DEVNULL)
        while not (pid.exists() and pid.read_text()):
            time.sleep(0.1)
        time.sleep(1)
        process.send_signal(signal.SIGTERM)
        status = process.wait(timeout=30)
        notebook = nbformat.read(out, as_version=4)
        found[name] = status, statuses(notebook), text_of(notebook.cells[0])
        is_running = Path(f"/proc/{pid.read_text()}").exists()
        if name == OURS:
            assert not is_running
    assert found[""] == (-signal.SIGTERM, ["running", "pending"], "")
    status, cells, text = found[OURS]
    assert status not in (0, -signal.SIGTERM)
    assert (cells, text) == (["failed", "pending"], "so far\n")


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such sockets")
def test_every_kernel_has_sockets_of_its_own(execute):
    cell = (
        "import json\nfrom ipykernel.connect import get_connection_file\n"
        "about = json.load(open(get_connection_file()))\nprint(about['transport'], about['ip'])"
    )
    transport, _ = text_of(execute(PLAIN, cell).cells[0]).split()
    assert transport == "tcp"
    folders = set()
    for _ in range(2):
        transport, prefix = text_of(execute(OURS, cell).cells[0]).split()
        assert transport == "ipc"
        assert not Path(prefix).parent.exists()  # removed with the kernel
        folders.add(prefix)
    assert len(folders) == 2


def test_progress_takes_one_short_output(execute):
    cell = (
        "import sys, time\nfrom tqdm import tqdm\nfor _ in tqdm(range(300)):\n"
        "    time.sleep(0.005)\n"
        "for number in range(50):\n    print(number, end='\\r', flush=True); time.sleep(0.01)"
    )
    plain, ours = execute(PLAIN, cell).cells[0].outputs, execute(OURS, cell).cells[0].outputs
    assert len(plain) > 10
    assert len(ours) <= 2
    assert len(str(ours)) < len(str(plain)) / 4


def test_bars_are_text_and_the_terminal_gets_one_now_and_then(execute, capsys):
    cell = (
        "from tqdm.auto import tqdm\nimport time\n"
        "for _ in tqdm(range(3), desc='epochs', mininterval=0): time.sleep(0.01)\n"
        "print('Estimate: a minute')"
    )
    echo = _Echo("02_train_model.ecg", seconds=0)
    notebook = execute(OURS, cell, stdout_file=echo, stderr_file=echo)
    assert "3/3" in text_of(notebook.cells[0])
    shown = capsys.readouterr().err
    assert re.search(r"02_train_model.ecg  epochs: 100%  3/3 \[\d\d:\d\d<", shown)
    assert "Estimate: a minute" in shown
    assert "█" not in shown
    plain = execute(PLAIN, cell)
    assert "3/3" not in text_of(plain.cells[0])  # a widget, or nothing


def test_what_libraries_write_past_python_goes_to_the_log(execute, tmp_path, monkeypatch):
    monkeypatch.delenv("PYTEST_CURRENT_TEST")  # with it, kernels do not listen to such output
    cell = "import os\nos.write(2, b'native noise\\n')\nprint('said')"
    notebook = execute(OURS, cell, kernel_log=tmp_path / "kernel.log")
    assert text_of(notebook.cells[0]) == "said\n"
    assert "native noise" in (tmp_path / "kernel.log").read_text()
    assert "native noise" in text_of(execute(PLAIN, cell).cells[0])


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"sed": 1}, "'sed' is not a parameter of this notebook. Did you mean 'seed'?"),
        ({"rate": np.float32(0.25)}, "rate must be a number, got '0.25' (str)"),
        ({"name": 7}, "name must be text, got 7 (int)"),
        ({"seed": True}, "seed must be a whole number, got True (bool)"),
        ({"quick": 1}, "quick must be True or False, got 1 (int)"),
        ({"size": "3"}, "size must be a whole number, got '3' (str)"),
        ({"name": ("a", "b"), "sed": 1}, "'sed' is not a parameter"),
    ],
)
def test_a_parameter_papermill_would_take_is_refused_before_a_kernel_starts(
    tmp_path, given, message, monkeypatch
):
    path, out = tmp_path / "in.ipynb", tmp_path / "out.ipynb"
    write_notebook(path, "print(seed)", parameters=PARAMETERS)
    monkeypatch.setattr(engine._Client, "execute", lambda *_, **__: pytest.fail("kernel started"))
    options = {"parameters": given, "progress_bar": False}
    with pytest.raises(ParameterError) as error:
        papermill.execute_notebook(path, out, engine_name=OURS, **options)
    assert message in str(error.value)


@pytest.mark.parametrize("given", [{"sed": 1}, {"name": 7}, {"seed": True}, {"size": "3"}])
def test_plain_papermill_takes_wrong_parameters(tmp_path, given):
    path, out = tmp_path / "in.ipynb", tmp_path / "out.ipynb"
    write_notebook(path, "print('done')", parameters=PARAMETERS)
    notebook = papermill.execute_notebook(path, out, parameters=given, progress_bar=False)
    assert text_of(notebook.cells[-1]) == "done\n"


def test_right_parameters_reach_the_notebook(execute, tmp_path):
    path, out = tmp_path / "in.ipynb", tmp_path / "deep" / "out.ipynb"  # the folder is made
    write_notebook(path, "print(seed, rate, name, quick)", parameters=PARAMETERS)
    given = {"seed": 2, "rate": 1, "name": "b", "quick": True}
    words = {"parameters": given, "progress_bar": False}
    notebook = papermill.execute_notebook(path, out, engine_name=OURS, **words)
    assert text_of(notebook.cells[-1]) == "2 1 b True\n"
    assert nbformat.read(out, as_version=4).cells[-1].outputs


def test_a_write_that_fails_midway_leaves_the_notebook_that_was_there(tmp_path, monkeypatch):
    path = tmp_path / "out.ipynb"
    path.write_text("whole")
    engine.register()
    text = "half" + "\udcff"  # cannot be encoded: the write fails after it has begun
    with pytest.raises(UnicodeEncodeError):
        papermill_io.write(text, str(path))
    assert path.read_text() == "whole"
    assert list(tmp_path.iterdir()) == [path]
    with pytest.raises(UnicodeEncodeError):
        papermill.iorw.LocalHandler().write(text, str(path))
    assert path.read_text() != "whole"


@pytest.mark.parametrize("first", ["papermill", "workflow.engine"])
def test_papermill_finds_the_engine_by_its_name_whatever_is_imported_first(first):
    code = (
        f"import {first}\nfrom papermill.engines import papermill_engines\n"
        "print(papermill_engines.get_engine('ecg_risk'))"
    )
    words = [sys.executable, "-W", "error::RuntimeWarning", "-c", code]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert "workflow.engine" in done.stdout


def test_papermills_own_command_line_takes_the_engine(tmp_path):
    path, out = tmp_path / "in.ipynb", tmp_path / "out.ipynb"
    write_notebook(path, "print(seed)", parameters=PARAMETERS)
    words = [sys.executable, "-m", "papermill", "--engine", engine.NAME, str(path), str(out)]
    done = subprocess.run([*words, "-p", "sed", "1"], capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "Did you mean 'seed'?" in done.stderr
    subprocess.run([*words, "-p", "seed", "5"], capture_output=True, check=True)
    assert text_of(nbformat.read(out, as_version=4).cells[-1]) == "5\n"
