"""A run that is killed again and again ends like one that was not.

    ECG_N_KILLS=20 python -m pytest tests/workflow/test_kills.py -s     # the long form

Kernel or runner, SIGKILL, SIGTERM or SIGINT, at moments drawn from a seed; after every kill the run
folder must be readable and the same command goes on.
"""

import json
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
VALID = {"completed", "failed", "interrupted", "running"}


def start(directory):
    """Start the chain in a process of its own."""
    environment = {**os.environ, "PYTHONPATH": str(PROJECT_ROOT)}
    words = [sys.executable, "-m", "workflow", *WORDS, str(directory)]
    with (directory.parent / "log.txt").open("a") as out:
        return subprocess.Popen(words, cwd=PROJECT_ROOT, env=environment, stdout=out, stderr=out)


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


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_the_metrics_of_a_run_killed_at_random_moments_equal_the_undisturbed(tmp_path):
    folders = [tmp_path / name / "run" for name in ("undisturbed", "killed")]
    for folder in folders:
        folder.parent.mkdir()
    begin = time.monotonic()
    assert start(folders[0]).wait() == 0, (folders[0].parent / "log.txt").read_text()
    seconds = time.monotonic() - begin
    rng = np.random.default_rng(SEED)
    killed = 0
    while killed < N_KILLS:
        process = start(folders[1])
        try:
            # Spread over the chain, however long it takes on this machine.
            process.wait(timeout=rng.uniform(0.02, 2.5 * seconds / (N_KILLS + 1)))
        except subprocess.TimeoutExpired:
            done = kill(process, rng)
            assert process.returncode != 0, done
            killed += 1
            rows = status_of(folders[1]) if (folders[1] / "run.json").exists() else []
            print(f"kill {killed}: {done}; {[(row['step'], row['status']) for row in rows]}")
            assert {row["status"] for row in rows} <= VALID
        else:
            assert process.returncode == 0
            break  # it has ended before it could be killed as often as asked
    assert killed >= min(3, N_KILLS)
    assert start(folders[1]).wait() == 0, (folders[1].parent / "log.txt").read_text()
    first, second = (Artifacts(folder) for folder in folders)
    assert second.path("metrics").read_bytes() == first.path("metrics").read_bytes()
    history = [run.read_table("history", "ecg").drop(columns="seconds") for run in (first, second)]
    pd.testing.assert_frame_equal(*history, check_exact=True)
    steps = json.loads((folders[1] / "run.json").read_text())["steps"]
    assert {entry["status"] for entry in steps.values()} == {"completed"}
