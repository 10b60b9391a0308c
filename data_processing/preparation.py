"""Read, check, filter and store the ECGs of a cohort; memory stays flat in their number.

Worker processes read chunks of files; this process appends the prepared rows to ``signals.npy`` in
order, so a refused file leaves no gap. The file appears under its name only when complete.
"""

from __future__ import annotations

import functools
import io
import multiprocessing
import os
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO
from uuid import uuid4

import numpy as np
import pandas as pd

from data_processing.chain import SignalChain
from data_processing.declared import DeclaredSignal
from data_processing.errors import ECGError
from data_processing.leads import LEADS
from data_processing.quality import assess_quality
from data_processing.readers import read_ecg

SIGNALS_FILE = "signals.npy"
_CHUNK_RECORDS = 32
_FEW_RECORDS = 400  # below this, starting processes costs more than it saves
_HEADER_BYTES = 128  # of a .npy file; fixed, because the number of rows is known at the end


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
    rows: list[dict[str, Any]] = []
    rejected: list[dict[str, Any]] = []
    jobs = records_to_read[["path", "record"]].to_numpy().tolist()
    prepare = functools.partial(_prepare_chunk, chain=chain, declared=declared)
    with _signal_store(directory / SIGNALS_FILE, chain.n_samples) as store:
        done = 0
        for results in _prepared_chunks(jobs, prepare, n_workers):
            for signal, facts in results:
                row = records_to_read.iloc[done]
                done += 1
                if signal is None:
                    rejected.append(_rejected_row(row, facts["reason"]))
                    continue
                rows.append(_record_row(row, facts, signal_row=len(rows)))
                store.append(signal)
            if progress is not None:
                progress(done, len(jobs))
        if jobs and not rows:
            _raise_nothing_readable(rejected)
    columns = ["record_id", "patient_id", "table_row", "reason"]
    return _records_frame(rows), pd.DataFrame(rejected, columns=columns)


def _raise_nothing_readable(rejected: list[dict[str, Any]]) -> None:
    reason = pd.Series([row["reason"] for row in rejected]).mode().iloc[0]
    raise ValueError(
        f"at least one ECG must be readable, got {len(rejected)} refused files. The commonest "
        f"reason: {reason}"
    )


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
        "recorded_at": ecg.recorded_at,
    }
    return chain.apply(ecg.signal_mv, ecg.rate_hz), facts


_Results = list[tuple[np.ndarray | None, dict[str, Any]]]


def _prepare_chunk(
    jobs: list[list[str]], *, chain: SignalChain, declared: DeclaredSignal | None
) -> _Results:
    """Prepare some files; a refusal is a result, not an error (runs in a worker process)."""
    results: _Results = []
    for path, record in jobs:
        try:
            results.append(prepare_one(path, chain, record=record, declared=declared))
        except ECGError as error:
            results.append((None, {"reason": str(error)}))
        except OSError as error:  # its text holds the path
            reason = f"file could not be opened ({type(error).__name__}). Check its permissions."
            results.append((None, {"reason": reason}))
    return results


def _prepared_chunks(
    jobs: list[list[str]], prepare: Callable[[list[list[str]]], _Results], n_workers: int
) -> Iterator[_Results]:
    """Yield the results chunk by chunk in the order of the jobs; few chunks are ever in memory."""
    chunks = [jobs[k : k + _CHUNK_RECORDS] for k in range(0, len(jobs), _CHUNK_RECORDS)]
    if n_workers == 0:
        n_workers = (os.cpu_count() or 1) if len(jobs) >= _FEW_RECORDS else 1
    if n_workers == 1:
        for chunk in chunks:
            yield prepare(chunk)
        return
    context = multiprocessing.get_context("spawn")  # forking a process with threads may hang
    with ProcessPoolExecutor(n_workers, mp_context=context) as pool:
        waiting: deque[Future[Any]] = deque()
        for chunk in chunks:
            waiting.append(pool.submit(prepare, chunk))
            if len(waiting) > 2 * n_workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _record_row(row: pd.Series, facts: dict[str, Any], *, signal_row: int) -> dict[str, Any]:
    recorded_at = row["recorded_at"]
    return {
        "record_id": row["record_id"],
        "patient_id": row["patient_id"],
        **facts,
        "recorded_at": facts["recorded_at"] if pd.isna(recorded_at) else recorded_at,
        "signal_row": signal_row,
    }


def _rejected_row(row: pd.Series, reason: str) -> dict[str, Any]:
    names = ("record_id", "patient_id", "table_row")
    return {**{name: row[name] for name in names}, "reason": reason}


def _records_frame(rows: list[dict[str, Any]]) -> pd.DataFrame:
    columns = ["record_id", "patient_id", "recorded_at", "rate_hz", "source_format", "quality"]
    columns += ["proof_unit", "proof_scale", "proof_leads", "file_sha256", "signal_row"]
    frame = pd.DataFrame(rows, columns=columns)
    frame["recorded_at"] = pd.to_datetime(frame["recorded_at"]).astype("datetime64[ns]")
    return frame.astype({"rate_hz": np.float64, "signal_row": np.int64})


class _SignalStore:
    """Appends rows to a ``.npy`` file and counts them."""

    def __init__(self, file: BinaryIO, n_samples: int) -> None:
        self._file, self._row_shape = file, (n_samples, len(LEADS))
        self.n_rows = 0
        file.write(bytes(_HEADER_BYTES))

    def append(self, signals: np.ndarray) -> None:
        """Append one row (n_samples, 12) or several (n, n_samples, 12)."""
        block = np.ascontiguousarray(signals, dtype="<f4").reshape(-1, *self._row_shape)
        self._file.write(block.tobytes())
        self.n_rows += len(block)

    def finish(self) -> None:
        """Write the header, now that the number of rows is known."""
        header = io.BytesIO()
        shape = (self.n_rows, *self._row_shape)
        facts = {"descr": "<f4", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(header, facts)
        if header.tell() != _HEADER_BYTES:
            raise RuntimeError(f"header must have {_HEADER_BYTES} bytes, got {header.tell()}.")
        self._file.seek(0)
        self._file.write(header.getvalue())
        self._file.flush()
        os.fsync(self._file.fileno())


@contextmanager
def _signal_store(path: Path, n_samples: int) -> Iterator[_SignalStore]:
    """Yield a store beside `path`; it takes that name when the block ends well."""
    aside = path.with_name(f".{uuid4().hex[:8]}-{path.name}")
    try:
        with aside.open("wb") as file:
            store = _SignalStore(file, n_samples)
            yield store
            store.finish()
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)


def keep_rows(directory: str | Path, records: pd.DataFrame) -> pd.DataFrame:
    """Take the rows of removed records out of the signal store.

    Parameters
    ----------
    directory
        Holds ``signals.npy``.
    records
        The records to keep, with their present ``signal_row``.

    Returns
    -------
    DataFrame
        The same records in their order, ``signal_row`` = 0, 1, ...
    """
    path = Path(directory) / SIGNALS_FILE
    signals = np.load(path, mmap_mode="r")
    kept = records["signal_row"].to_numpy()
    if not np.array_equal(kept, np.arange(len(signals))):
        with _signal_store(path, signals.shape[1]) as store:
            for start in range(0, len(kept), _CHUNK_RECORDS):
                store.append(signals[kept[start : start + _CHUNK_RECORDS]])
            del signals  # Windows cannot replace a mapped file
    return records.assign(signal_row=np.arange(len(records))).reset_index(drop=True)
