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
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from data_processing.chain import SignalChain
from data_processing.declared import DeclaredSignal
from data_processing.errors import ECGError
from data_processing.leads import LEADS
from data_processing.quality import assess_quality
from data_processing.readers import read_ecg
from data_processing.signal_store import SIGNALS_FILE, signal_store

__all__ = ["prepare_one", "prepare_signals"]

_CHUNK_RECORDS = 64
_FEW_RECORDS = 400  # below this, starting processes costs more than it saves
_WITH_SAMPLES = ("numpy", "scipy", "wfdb", "pydicom")  # their versions may change what is read
_CRASHED = (
    "reading this file ended its process: it is damaged, or too large for the memory. Export the "
    "ECG again."
)
Job = tuple[str, str]  # path, and which recording of the file
Chunk = tuple[np.ndarray, list[dict[str, Any]]]


def prepare_signals(
    records_to_read: pd.DataFrame,
    chain: SignalChain,
    directory: str | Path,
    *,
    declared: DeclaredSignal | None = None,
    n_workers: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[pd.DataFrame, pd.DataFrame]:
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
    declared
        Unit, rate and leads of files that do not state them.
    n_workers
        Processes; 1 = in this one, 0 = as many as there are cores if there are many records.
    progress
        Called as ``progress(n_done, n_records)``.

    Returns
    -------
    records, rejected
        ``record_id, patient_id, recorded_at, rate_hz, source_format, quality, proof_unit,
        proof_scale, proof_leads, file_sha256, signal_row``; and of every refused file ``record_id,
        patient_id, table_row, reason``.

    Raises
    ------
    ValueError
        If every file was refused; the text holds the commonest reason.
    """
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    jobs = list(zip(records_to_read["path"], records_to_read["record"], strict=True))
    prepare = functools.partial(_prepare_chunk, chain=chain, declared=declared)
    plan = _plan(records_to_read["record_id"], jobs, chain, declared)
    with signal_store(directory / SIGNALS_FILE, chain.n_samples, plan) as store:
        for signals, facts in _prepared_chunks(jobs[len(store.facts) :], prepare, n_workers):
            store.append(signals, facts)
            if progress is not None:
                progress(len(store.facts), len(jobs))
        if jobs and not store.n_rows:
            store.discard()
            _raise_nothing_readable(store.facts)
    facts = pd.DataFrame(store.facts, index=records_to_read.index)
    return _split_by_outcome(records_to_read, facts)


def _raise_nothing_readable(facts: list[dict[str, Any]]) -> None:
    reason = pd.Series([row["reason"] for row in facts]).mode().iloc[0]
    raise ValueError(
        f"at least one ECG must be readable, got {len(facts)} refused files. The commonest "
        f"reason: {reason}"
    )


def _plan(
    record_ids: pd.Series, jobs: list[Job], chain: SignalChain, declared: DeclaredSignal | None
) -> str:
    """Return a hash of all that the store is made of: files, settings and code."""
    digest = hashlib.sha256()
    settings = [chain.to_dict(), repr(declared), [metadata.version(name) for name in _WITH_SAMPLES]]
    digest.update(json.dumps(settings).encode())
    for module in sorted(Path(__file__).parent.rglob("*.py")):
        digest.update(module.read_bytes())
    for record_id, (path, record) in zip(record_ids, jobs, strict=True):
        digest.update(f"{record_id}\0{path}\0{record}\0{_stamp(path)}\n".encode())
    return digest.hexdigest()


def _stamp(path: str) -> str:
    """Return sizes and times of a file and of the samples of a WFDB header."""
    stamps = []
    for file in (Path(path), *(Path(path).with_suffix(suffix) for suffix in (".dat", ".mat"))):
        try:
            about = file.stat()
        except (OSError, ValueError):  # not there, or no name of a file
            continue
        stamps.append(f"{about.st_size} {about.st_mtime_ns}")
    return " ".join(stamps)


def prepare_one(
    path: str | Path,
    chain: SignalChain,
    *,
    record: str = "",
    declared: DeclaredSignal | None = None,
) -> tuple[np.ndarray, dict[str, Any]]:
    """Read one ECG file and bring it through the chain, exactly as a cohort's records.

    Parameters
    ----------
    path
        The file.
    chain
        Filter, rate and length.
    record, declared
        As for ``read_ecg``.

    Returns
    -------
    signal_mv, facts
        (n_samples, 12) float32 millivolts; the facts of the record (``rate_hz``, ``quality``, ...).

    Raises
    ------
    ECGError
        If it is refused.
    """
    ecg = read_ecg(path, record=record, declared=declared)
    findings = [*assess_quality(ecg.signal_mv, ecg.rate_hz), *ecg.notes]
    facts = {
        "rate_hz": ecg.rate_hz,
        "source_format": ecg.source_format,
        "quality": f"flagged: {'; '.join(findings)}" if findings else "good",
        **{f"proof_{name}": level for name, level in ecg.proof.items()},
        "file_sha256": ecg.file_sha256,
        "recorded_at": ecg.recorded_at.isoformat() if ecg.recorded_at else None,
    }
    return chain.apply(ecg.signal_mv, ecg.rate_hz), facts


def _prepare_chunk(
    jobs: list[Job], *, chain: SignalChain, declared: DeclaredSignal | None
) -> Chunk:
    """Prepare some files; a refusal is a result, not an error (runs in a worker process)."""
    signals = []
    facts: list[dict[str, Any]] = []
    for path, record in jobs:
        try:
            signal, found = prepare_one(path, chain, record=record, declared=declared)
        except ECGError as error:
            facts.append({"reason": str(error)})
        except OSError as error:  # its text holds the path
            reason = f"file could not be opened ({type(error).__name__}). Check its permissions."
            facts.append({"reason": reason})
        else:
            signals.append(signal)
            facts.append({"reason": "", **found})
    empty = np.empty((0, chain.n_samples, len(LEADS)), dtype=np.float32)
    return (np.stack(signals) if signals else empty), facts


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
    return ProcessPoolExecutor(n_workers, mp_context=multiprocessing.get_context("spawn"))


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
    names = ["rate_hz", "source_format", "quality", "proof_unit", "proof_scale", "proof_leads"]
    names += ["file_sha256"]
    facts = facts.reindex(columns=["reason", "recorded_at", *names])
    is_refused = facts["reason"] != ""
    columns = ["record_id", "patient_id", "table_row"]
    rejected = asked[columns].assign(reason=facts["reason"])[is_refused].reset_index(drop=True)
    stated = pd.to_datetime(facts["recorded_at"], format="ISO8601").astype("datetime64[ns]")
    recorded_at = pd.to_datetime(asked["recorded_at"]).astype("datetime64[ns]").fillna(stated)
    records = asked[["record_id", "patient_id"]].assign(recorded_at=recorded_at, **facts[names])
    records = records[~is_refused].reset_index(drop=True).astype({"rate_hz": np.float64})
    return records.assign(signal_row=np.arange(len(records), dtype=np.int64)), rejected
