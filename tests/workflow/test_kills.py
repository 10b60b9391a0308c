"""A run that is killed again and again ends like one that was not.

    ECG_N_KILLS=20 python -m pytest tests/workflow/test_kills.py -s     # the long form

Kernel or runner, SIGKILL, SIGTERM or SIGINT, at moments drawn from a seed; after every kill the run
folder must be readable and the same command goes on.
"""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import psutil
import pytest

from workflow.artifacts import PROJECT_ROOT, Artifacts
from workflow.record import status_of

pytestmark = pytest.mark.slow
N_KILLS = int(os.environ.get("ECG_N_KILLS", "3"))
SEED = int(os.environ.get("ECG_KILL_SEED", "0"))
WORDS = ("run", "--profile", "smoke", "--variants", "clinical", "ecg", "--n-epochs", "6", "--name")


def start(directory):
    """Start the chain in a process of its own."""
    environment = {**os.environ, "PYTHONPATH": str(PROJECT_ROOT)}
    words = [sys.executable, "-m", "workflow", *WORDS, str(directory)]
    options = {"cwd": PROJECT_ROOT, "env": environment}
    if os.name != "nt":
        # A shell that starts us in the background has SIGINT ignored, and that is inherited.
        options["preexec_fn"] = lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)
    with (directory.parent / "log.txt").open("a") as out:
        return subprocess.Popen(words, stdout=out, stderr=out, **options)


def kill(process, rng):
    """Kill the runner or its kernel; return what was done."""
    kinds = [("runner", signal.SIGKILL), ("runner", signal.SIGTERM), ("runner", signal.SIGINT)]
    kernels = psutil.Process(process.pid).children(recursive=True)
    if kernels:
        kinds += [("kernel", signal.SIGKILL)] * 2
    whom, how = kinds[rng.integers(len(kinds))]
    target = psutil.Process(process.pid) if whom == "runner" else kernels[0]
    target.send_signal(how)
    process.wait(timeout=60)
    return f"{whom} {signal.Signals(how).name}"


def is_killed(directory, rng, seconds):
    """Run the chain and kill it at a random moment; return whether that came before its end."""
    process = start(directory)
    try:
        process.wait(timeout=rng.uniform(0.02, seconds))
    except subprocess.TimeoutExpired:
        done = kill(process, rng)
    else:
        assert process.returncode == 0
        return False
    assert process.returncode != 0, done
    rows = status_of(directory) if (directory / "run.json").exists() else []
    print(
        f"{done}: {', '.join(row['step'] + ' ' + row['status'] for row in rows) or 'nothing yet'}"
    )
    assert {row["status"] for row in rows} <= {"completed", "failed", "interrupted"}
    return True


def assert_equal_results(directory, undisturbed):
    """Compare metrics byte by byte, and every epoch."""
    first, second = Artifacts(undisturbed), Artifacts(directory)
    assert {row["status"] for row in status_of(directory)} == {"completed"}
    assert second.path("metrics").read_bytes() == first.path("metrics").read_bytes()
    history = [run.read_table("history", "ecg").drop(columns="seconds") for run in (first, second)]
    pd.testing.assert_frame_equal(*history, check_exact=True)


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_the_metrics_of_a_run_killed_at_random_moments_equal_the_undisturbed(tmp_path):
    undisturbed = tmp_path / "undisturbed" / "run"  # kept results lie beside a run: not shared
    undisturbed.parent.mkdir()
    begin = time.monotonic()
    assert start(undisturbed).wait() == 0, (undisturbed.parent / "log.txt").read_text()
    longest = 0.45 * (time.monotonic() - begin)  # some stages end between two kills
    rng, n_kills, number = np.random.default_rng(SEED), 0, 0
    while n_kills < N_KILLS:
        number += 1
        directory = tmp_path / f"killed{number}" / "run"
        directory.parent.mkdir()
        while n_kills < N_KILLS and is_killed(directory, rng, longest):
            n_kills += 1
        assert start(directory).wait() == 0, (directory.parent / "log.txt").read_text()
        assert_equal_results(directory, undisturbed)
    print(f"{n_kills} kills, {number} runs: all metrics equal")
