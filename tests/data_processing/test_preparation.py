"""Preparing many ECGs: stopped and resumed, with workers that die, and without gaps."""

import importlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from data_processing import preparation
from data_processing.preparation import prepare_one, prepare_signals
from data_processing.signal_store import keep_rows
from data_processing.signals import SignalChain

N = 12


@pytest.fixture
def to_read(tmp_path, make_ecg, write_wfdb, monkeypatch):
    """Return a table of twelve ECGs, one of them unreadable, in chunks of two."""
    monkeypatch.setattr(preparation, "_CHUNK_RECORDS", 2)
    paths = [write_wfdb(tmp_path / "ecg" / f"E{k}", make_ecg(k)) for k in range(N)]
    paths[5].with_suffix(".dat").unlink()
    return pd.DataFrame(
        {
            "record_id": [f"R{k}" for k in range(N)],
            "patient_id": "P1",
            "recorded_at": pd.NaT,
            "table_row": range(2, N + 2),
            "path": [str(path) for path in paths],
            "record": "",
        }
    )


class Stop(Exception):
    """Stands for a kill."""


def stopped(to_read, directory, *, after, chain=None):
    """Prepare the ECGs and stop after so many."""

    def stop(n_done, n_records):
        if n_done >= after:
            raise Stop

    with pytest.raises(Stop):
        prepare_signals(to_read, chain or SignalChain(), directory, n_workers=1, progress=stop)


def prepared(to_read, directory, **options):
    """Return the tables, the stored rows, and the counts that progress was told."""
    counts = []
    records, rejected, _ = prepare_signals(
        to_read,
        SignalChain(),
        directory,
        n_workers=1,
        progress=lambda n_done, _: counts.append(n_done),
        **options,
    )
    return records, rejected, np.load(directory / "signals.npy"), counts


def test_what_was_stopped_goes_on_and_ends_the_same(to_read, tmp_path):
    whole = prepared(to_read, tmp_path / "whole")
    stopped(to_read, tmp_path / "out", after=6)
    assert not (tmp_path / "out" / "signals.npy").exists()
    resumed = prepared(to_read, tmp_path / "out")
    assert resumed[3] == [8, 10, 12]
    pd.testing.assert_frame_equal(resumed[0], whole[0])
    pd.testing.assert_frame_equal(resumed[1], whole[1])
    np.testing.assert_array_equal(resumed[2], whole[2])
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["signals.npy"]
    assert len(resumed[0]) == N - 1
    assert resumed[1]["table_row"].tolist() == [7]


@pytest.mark.parametrize("n_bytes", [1, 10, 100])
def test_a_torn_journal_loses_its_last_chunk_only(to_read, tmp_path, n_bytes):
    stopped(to_read, tmp_path, after=6)
    journal = tmp_path / ".signals.npy.journal"
    with journal.open("r+b") as file:
        file.truncate(journal.stat().st_size - n_bytes)
    records, _, signals, counts = prepared(to_read, tmp_path)
    assert counts == [6, 8, 10, 12]
    for row in (0, 4, 10):
        expected, _ = prepare_one(to_read["path"][row + (row >= 5)], SignalChain())
        np.testing.assert_array_equal(signals[records["signal_row"][row]], expected)


@pytest.mark.parametrize("line", [b"12\n", b"[]\n", b'{"other": 1}\n'])
def test_a_line_of_the_journal_that_is_none_ends_it(to_read, tmp_path, line):
    stopped(to_read, tmp_path, after=6)
    with (tmp_path / ".signals.npy.journal").open("ab") as file:
        file.write(line)
    assert prepared(to_read, tmp_path)[3] == [8, 10, 12]


def test_workers_end_with_the_process_that_started_them(tmp_path):
    code = """
import os, sys, time
from data_processing.preparation import _pool
if __name__ == "__main__":
    pool = _pool(1)
    print(pool.submit(os.getpid).result(), flush=True)
    time.sleep(60)
"""
    (tmp_path / "main.py").write_text(code)
    environment = {**os.environ, "PYTHONPATH": str(Path(preparation.__file__).parents[1])}
    parent = subprocess.Popen(
        [sys.executable, tmp_path / "main.py"], stdout=subprocess.PIPE, env=environment
    )
    worker = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    parent.stdout.close()
    for _ in range(200):
        if not is_running(worker):
            return
        time.sleep(0.1)
    os.kill(worker, signal.SIGKILL)
    pytest.fail("the worker outlived the process that started it")


def is_running(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except OSError:
        return False


def test_rows_that_did_not_reach_the_disk_are_prepared_again(to_read, tmp_path):
    stopped(to_read, tmp_path, after=6)
    part = tmp_path / ".signals.npy.part"
    os.truncate(part, part.stat().st_size - 5)
    assert prepared(to_read, tmp_path)[3] == [6, 8, 10, 12]


@pytest.mark.parametrize("change", ["chain", "file", "order"])
def test_other_files_or_settings_begin_anew(to_read, tmp_path, change):
    other = SignalChain(high_cut_hz=30.0) if change == "chain" else None
    stopped(to_read, tmp_path / "out", after=6, chain=other)
    if change == "file":
        os.utime(to_read["path"][0].replace(".hea", ".dat"), (1, 1))
    elif change == "order":
        to_read = to_read.iloc[::-1].reset_index(drop=True)
    assert prepared(to_read, tmp_path / "out")[3][0] == 2


DEADLY = """
import os
import numpy as np

def prepare(jobs):
    if any(path == "die" for path, _ in jobs):
        os._exit(1)
    return np.zeros((len(jobs), 1000, 12), dtype=np.float32), [{"reason": ""} for _ in jobs]
"""


def test_a_file_that_ends_its_process_is_refused_and_the_others_are_read(tmp_path, monkeypatch):
    (tmp_path / "deadly.py").write_text(DEADLY)  # workers import it
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(preparation, "_CHUNK_RECORDS", 2)
    prepare = importlib.import_module("deadly").prepare
    jobs = [(name, "") for name in ("a", "b", "c", "die", "d")]
    chunks = list(preparation._prepared_chunks(jobs, prepare, 2))
    reasons = [fact["reason"] for _, facts in chunks for fact in facts]
    assert [bool(reason) for reason in reasons] == [False, False, False, True, False]
    assert reasons[3].startswith("reading this file ended its process")
    assert sum(len(signals) for signals, _ in chunks) == 4


def test_rows_are_taken_out_of_the_store(tmp_path):
    signals = np.arange(5 * 10 * 12, dtype=np.float32).reshape(5, 10, 12)
    np.save(tmp_path / "signals.npy", signals)
    records = pd.DataFrame({"record_id": ["a", "b"], "signal_row": [4, 1]})
    kept = keep_rows(tmp_path, records)
    assert kept["signal_row"].tolist() == [0, 1]
    np.testing.assert_array_equal(np.load(tmp_path / "signals.npy"), signals[[4, 1]])
