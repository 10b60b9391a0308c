"""The store of prepared ECGs: one ``.npy`` file, written in chunks, read as a memory map.

Rows are float32 millivolts, (n_records, n_samples, 12), uncompressed: a batch is a copy from the
page cache, and memory stays flat in the number of ECGs. While it is written it lies aside with a
journal of one line a chunk; what was stopped goes on after its last whole chunk. The file appears
under its name only when complete.
"""

from __future__ import annotations

import io
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO
from uuid import uuid4

import numpy as np
import pandas as pd

from data_processing.leads import LEADS

SIGNALS_FILE = "signals.npy"
_HEADER_BYTES = 128  # of a .npy file; fixed, because the number of rows is known at the end
_COPIED_ROWS = 256


class SignalStore:
    """Appends chunks of prepared ECGs; made anew with the same plan it goes on where it stopped.

    Parameters
    ----------
    path
        The ``.npy`` file to be.
    n_samples
        Of a row.
    plan
        What the content is made of; what lies aside of another plan is thrown away.

    Attributes
    ----------
    n_tried, n_rows
        ECGs that were tried, and rows written.
    """

    def __init__(self, path: Path, n_samples: int, plan: str) -> None:
        self._path, self._row_shape = path, (n_samples, len(LEADS))
        self._rows_path = path.with_name(f".{path.name}.part")
        self._journal_path = path.with_name(f".{path.name}.journal")
        self.n_tried = self.n_rows = 0
        n_bytes = self._take_over(plan)
        self._rows = self._rows_path.open("r+b" if self.n_tried else "w+b")
        self._journal = self._journal_path.open("r+b" if self.n_tried else "w+b")
        if not self.n_tried:
            self._rows.write(bytes(_HEADER_BYTES))
            n_bytes = self._journal.write(_line({"plan": plan}))
        self._rows.seek(self._row_offset(self.n_rows))
        self._journal.seek(n_bytes)
        for file in (self._rows, self._journal):
            file.truncate()

    def _row_offset(self, n_rows: int) -> int:
        return _HEADER_BYTES + n_rows * int(np.prod(self._row_shape)) * 4

    def _take_over(self, plan: str) -> int:
        """Count the whole chunks of a stopped writing; return the bytes of their journal."""
        n_bytes = 0
        if not (self._journal_path.exists() and self._rows_path.exists()):
            return 0
        n_stored = self._rows_path.stat().st_size
        with self._journal_path.open("rb") as journal:
            for number, line in enumerate(journal):
                try:
                    entry = json.loads(line) if line.endswith(b"\n") else None
                except ValueError:
                    entry = None
                if not isinstance(entry, dict) or (number and "n_rows" not in entry):
                    break
                if number == 0 and entry != {"plan": plan}:
                    break
                if number:
                    if self._row_offset(self.n_rows + entry["n_rows"]) > n_stored:
                        break
                    self.n_rows += entry["n_rows"]
                    self.n_tried += len(entry["facts"])
                n_bytes += len(line)
        return n_bytes

    def facts(self) -> Iterator[dict[str, Any]]:
        """Yield the facts of every ECG that was tried, in order; they are kept on the disk."""
        with self._journal_path.open("rb") as journal:
            next(journal)
            for line in journal:
                yield from json.loads(line)["facts"]

    def append(self, signals: np.ndarray, facts: list[dict[str, Any]]) -> None:
        """Append a chunk: rows (n, n_samples, 12), and facts of all ECGs that were tried."""
        block = np.ascontiguousarray(signals, dtype="<f4").reshape(-1, *self._row_shape)
        self._rows.write(block.tobytes())
        _to_disk(self._rows)  # before the journal says so
        self._journal.write(_line({"n_rows": len(block), "facts": facts}))
        _to_disk(self._journal)
        self.n_rows += len(block)
        self.n_tried += len(facts)

    def finish(self) -> None:
        """Write the header, now that the number of rows is known, and give the file its name."""
        header = io.BytesIO()
        shape = (self.n_rows, *self._row_shape)
        facts = {"descr": "<f4", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(header, facts)
        if header.tell() != _HEADER_BYTES:
            raise RuntimeError(f"header must have {_HEADER_BYTES} bytes, got {header.tell()}.")
        self._rows.seek(0)
        self._rows.write(header.getvalue())
        _to_disk(self._rows)
        self.close()
        self._rows_path.replace(self._path)
        self._journal_path.unlink()

    def discard(self) -> None:
        """Throw away what was appended."""
        self.close()
        for path in (self._rows_path, self._journal_path):
            path.unlink(missing_ok=True)

    def close(self) -> None:
        """Close the files; what was appended stays for the next time."""
        self._rows.close()
        self._journal.close()


def _line(entry: dict[str, Any]) -> bytes:
    return json.dumps(entry, ensure_ascii=False).encode() + b"\n"


def _to_disk(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())


@contextmanager
def signal_store(path: Path, n_samples: int, plan: str) -> Iterator[SignalStore]:
    """Yield a store; it takes its name when the block ends well, else it waits for the next."""
    store = SignalStore(path, n_samples, plan)
    try:
        yield store
        store.finish()
    finally:
        store.close()


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
        with signal_store(path, signals.shape[1], uuid4().hex) as store:
            for start in range(0, len(kept), _COPIED_ROWS):
                store.append(signals[kept[start : start + _COPIED_ROWS]], [])
            del signals  # Windows cannot replace a mapped file
    return records.assign(signal_row=np.arange(len(records))).reset_index(drop=True)
