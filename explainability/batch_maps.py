"""What one batch of records gives, and how batches become one array, in memory or on disk."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from explainability.model_access import ECG_INPUT, Inputs, batches


@dataclass(frozen=True)
class BatchMap:
    """Maps of one batch.

    Attributes
    ----------
    maps : array of shape (n_records, ...)
        One a record.
    covariates : array of shape (n_records, n_columns) or None
        Contributions of the covariates, where the method gives them.
    table : DataFrame or None
        One row a record: completeness, or the fall of the score by group.
    """

    maps: np.ndarray
    covariates: np.ndarray | None = None
    table: pd.DataFrame | None = None


# From the arrays of one batch, and which rows of all records they are.
BatchExplainer = Callable[[Inputs, slice], BatchMap]


def n_records_of(arrays: Inputs) -> int:
    """Return how many records the inputs hold."""
    return len(arrays[ECG_INPUT])


def prepare_out(out: np.ndarray | None, shape: tuple[int, ...]) -> np.ndarray:
    """Return the array to write to, float32 zeros of `shape` or the given one after a check.

    Raises
    ------
    ValueError
        If `out` has another shape.
    """
    if out is None:
        return np.zeros(shape, dtype=np.float32)
    if tuple(out.shape) != tuple(shape):
        raise ValueError(
            f"out must be of shape {tuple(shape)}, got {tuple(out.shape)}. "
            "Make it with numpy.lib.format.open_memmap."
        )
    return out


def explain_batches(
    explain: BatchExplainer, arrays: Inputs, *, out: np.ndarray | None, batch_size: int
) -> tuple[np.ndarray | None, pd.DataFrame]:
    """Write the map of every batch to `out`; return covariate values and the joined table.

    Parameters
    ----------
    explain : callable
        From a batch and its rows to a `BatchMap`.
    arrays : mapping of str to array
        As returned by `check_inputs`; memory maps are read batch by batch.
    out : array of shape (n_records, ...) or None
        Where the maps go; None keeps the table alone.
    batch_size : int
        Records at a time.
    """
    covariates: list[np.ndarray] = []
    tables: list[pd.DataFrame] = []
    for rows, batch in batches(arrays, batch_size=batch_size):
        found = explain(batch, rows)
        if out is not None:
            out[rows] = found.maps
        if found.covariates is not None:
            covariates.append(found.covariates)
        if found.table is not None:
            tables.append(found.table)
    table = pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()
    return np.concatenate(covariates) if covariates else None, table


@contextmanager
def map_file(path: Path, shape: tuple[int, ...]) -> Iterator[np.ndarray]:
    """Yield a float32 memory map that becomes the file `path` (.npy) when the block ends well.

    Whatever ends the block early leaves no file, so a map that is there is whole.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".aside-{path.name}")
    try:
        mapped = np.lib.format.open_memmap(aside, "w+", np.float32, shape)
        yield mapped
        mapped.flush()
        del mapped  # Windows renames no file that is open
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)
