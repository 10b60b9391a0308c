"""Read, check, filter and store the ECGs of a cohort; memory stays flat in their number.

Worker processes read chunks of files; this process appends the prepared rows to the signal store in
order, so a refused file leaves no gap. What was stopped goes on after its last whole chunk.
"""

from __future__ import annotations

import functools
import hashlib
import json
import multiprocessing
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from data_processing.chain import SignalChain
from data_processing.leads import LEADS
from data_processing.record_preparation import (
    FACTS,
    Chunk,
    Job,
    Reading,
    prepare_chunk,
    prepare_one,
)
from data_processing.signal_store import SIGNALS_FILE, signal_store

__all__ = ["Reading", "prepare_one", "prepare_signals"]

_CHUNK_RECORDS = 64
_FEW_RECORDS = 400  # below this, starting processes costs more than it saves
_WITH_SAMPLES = ("numpy", "scipy", "wfdb", "pydicom")  # their versions may change what is read
_COMPANIONS = (".hea", ".dat", ".mat", ".json")  # of a WFDB record; of bare numbers
_WATCH_SECONDS = 2.0
_CRASHED = (
    "reading this file ended its process: it is damaged, or too large for the memory. Export the "
    "ECG again."
)


def prepare_signals(
    records_to_read: pd.DataFrame,
    chain: SignalChain,
    directory: str | Path,
    *,
    reading: Reading | None = None,
    n_workers: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Read every ECG, bring it through the signal chain and write ``signals.npy``.

    Stopped and called again with the same files and settings, it goes on where it was.

    Parameters
    ----------
    records_to_read
        ``record_id, patient_id, recorded_at, table_row, path, record``, as ``select_cohort``
        returns it.
    chain
        Filter, rate and length.
    directory
        Where ``signals.npy`` goes: float32 millivolts, (n_records, n_samples, 12).
    reading
        How ECGs are read and judged.
    n_workers
        Processes; 1 = in this one, 0 = as many as there are cores if there are many records.
    progress
        Called as ``progress(n_done, n_records)``.

    Returns
    -------
    records, rejected, lead_quality
        ``record_id, patient_id, recorded_at``, ``FACTS`` and ``signal_row``; of every refused file
        ``record_id, patient_id, table_row, reason``; and one row a record and lead with the
        measures of ``Quality.by_lead``.

    Raises
    ------
    ValueError
        If every file was refused; the text holds the commonest reason.
    """
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    jobs = list(zip(records_to_read["path"], records_to_read["record"], strict=True))
    reading = reading or Reading()
    prepare = functools.partial(prepare_chunk, chain=chain, reading=reading)
    plan = _plan(records_to_read["record_id"], jobs, chain, reading)
    with signal_store(directory / SIGNALS_FILE, chain.n_samples, plan) as store:
        for signals, facts in _prepared_chunks(jobs[store.n_tried :], prepare, n_workers):
            store.append(signals, facts)
            if progress is not None:
                progress(store.n_tried, len(jobs))
        facts, by_lead = _columns(store.facts())
        if jobs and not store.n_rows:
            store.discard()
            _raise_nothing_readable(facts["reason"])
    facts.index = records_to_read.index
    records, rejected = _split_by_outcome(records_to_read, facts)
    return records, rejected, _lead_quality(records["record_id"], by_lead)


def _raise_nothing_readable(reasons: pd.Series) -> None:
    raise ValueError(
        f"at least one ECG must be readable, got {len(reasons)} refused files. The commonest "
        f"reason: {reasons.mode().iloc[0]}"
    )


def _columns(facts: Iterable[dict[str, Any]]) -> tuple[pd.DataFrame, dict[str, np.ndarray]]:
    """Return the facts as columns, and the measures by lead, (records, 12) each."""
    names = ("reason", "recorded_at", *FACTS)
    columns: dict[str, list[Any]] = {name: [] for name in names}
    measures: dict[str, list[np.ndarray]] = {}
    same: dict[str, str] = {}  # texts repeat; JSON makes each anew
    for fact in facts:
        for name in names:
            value = fact.get(name)
            is_common = isinstance(value, str) and name not in ("file_sha256", "recorded_at")
            columns[name].append(same.setdefault(value, value) if is_common else value)
        for name, values in fact.get("by_lead", {}).items():
            measures.setdefault(name, []).append(np.array(values, dtype=np.float32))
    return pd.DataFrame(columns), {name: np.stack(rows) for name, rows in measures.items()}


def _plan(record_ids: pd.Series, jobs: list[Job], chain: SignalChain, reading: Reading) -> str:
    """Return a hash of all that the store is made of: files, settings and code."""
    digest = hashlib.sha256()
    settings = [chain.to_dict(), repr(reading), [metadata.version(name) for name in _WITH_SAMPLES]]
    digest.update(json.dumps(settings).encode())
    for module in sorted(Path(__file__).parent.rglob("*.py")):
        digest.update(module.read_bytes())
    for record_id, (path, record) in zip(record_ids, jobs, strict=True):
        digest.update(f"{record_id}\0{path}\0{record}\0{_stamp(path)}\n".encode())
    return digest.hexdigest()


def _stamp(path: str) -> str:
    """Return sizes and times of a file and of those that belong to it."""
    stamps = []
    for file in (Path(path), *(Path(path).with_suffix(suffix) for suffix in _COMPANIONS)):
        try:
            about = file.stat()
        except (OSError, ValueError):  # not there, or no name of a file
            continue
        stamps.append(f"{about.st_size} {about.st_mtime_ns}")
    return " ".join(stamps)


def _prepared_chunks(
    jobs: list[Job], prepare: Callable[[list[Job]], Chunk], n_workers: int
) -> Iterator[Chunk]:
    """Yield the results chunk by chunk in the order of the jobs; few chunks are ever in memory."""
    chunks = [jobs[k : k + _CHUNK_RECORDS] for k in range(0, len(jobs), _CHUNK_RECORDS)]
    if n_workers == 0:
        n_workers = (os.cpu_count() or 1) if len(jobs) >= _FEW_RECORDS else 1
    if n_workers == 1:
        yield from map(prepare, chunks)
        return
    while chunks:
        try:
            for chunk in _in_processes(chunks, prepare, n_workers):
                yield chunk
                chunks = chunks[1:]
        except BrokenProcessPool:  # one of the files ended its worker: find out which
            for job in chunks[0]:
                yield _in_a_process_of_its_own(job, prepare)
            chunks = chunks[1:]


def _pool(n_workers: int) -> ProcessPoolExecutor:
    # forking a process with threads may hang
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(
        n_workers, mp_context=context, initializer=_end_with, initargs=(os.getpid(),)
    )


def _end_with(parent: int) -> None:
    """Have this worker end when the process that started it was killed."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(_WATCH_SECONDS)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _in_processes(
    chunks: list[list[Job]], prepare: Callable[[list[Job]], Chunk], n_workers: int
) -> Iterator[Chunk]:
    with _pool(n_workers) as pool:
        waiting: deque[Future[Chunk]] = deque()
        for chunk in chunks:
            waiting.append(pool.submit(prepare, chunk))
            if len(waiting) > 2 * n_workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _in_a_process_of_its_own(job: Job, prepare: Callable[[list[Job]], Chunk]) -> Chunk:
    try:
        with _pool(1) as pool:
            return pool.submit(prepare, [job]).result()
    except BrokenProcessPool:
        signals, _ = prepare([])
        return signals, [{"reason": _CRASHED}]


def _split_by_outcome(
    asked: pd.DataFrame, facts: pd.DataFrame
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the tables of the records that were prepared, and of those that were refused."""
    names = list(FACTS)
    is_refused = facts["reason"] != ""
    columns = ["record_id", "patient_id", "table_row"]
    rejected = asked[columns].assign(reason=facts["reason"])[is_refused].reset_index(drop=True)
    stated = pd.to_datetime(facts["recorded_at"], format="ISO8601").astype("datetime64[ns]")
    recorded_at = pd.to_datetime(asked["recorded_at"]).astype("datetime64[ns]").fillna(stated)
    records = asked[["record_id", "patient_id"]].assign(recorded_at=recorded_at, **facts[names])
    records = records[~is_refused].reset_index(drop=True)
    records = records.astype({"rate_hz": np.float64, "valid_start": int, "valid_stop": int})
    return records.assign(signal_row=np.arange(len(records), dtype=np.int64)), rejected


def _lead_quality(record_ids: pd.Series, measures: dict[str, np.ndarray]) -> pd.DataFrame:
    """Return the measures of the leads of the records that were read."""
    ids = np.repeat(record_ids.to_numpy(dtype=object), len(LEADS))
    leads = np.tile(np.array(LEADS, dtype=object), len(record_ids))
    columns = {name: values.ravel() for name, values in measures.items()}
    return pd.DataFrame({"record_id": ids, "lead": leads, **columns})
