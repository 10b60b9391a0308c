"""ECGs with many labels to pre-train an encoder on: PTB-XL, or a scaled mirror of a part of it.

Both give the same: each lead of each ECG with mean 0 and standard deviation 1 over its ten
seconds, after the chain 0.5 to 40 Hz (order 4, forward and backward) and 100 Hz.
"""

from __future__ import annotations

import ast
import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from data_processing.chain import SignalChain
from data_processing.datasets import locate_dataset
from data_processing.leads import LEADS
from data_processing.public.ptbxl import SUPERCLASSES, superclass_of_statements
from data_processing.readers import wfdb_files
from data_processing.tables import Problems, read_table

MIRROR, COHORT = "ptbxl_folds1to9", "ptbxl"
SOURCE = "PTB-XL 1.0.3, Wagner et al. 2020, doi:10.1038/s41597-020-0495-6, CC BY 4.0"
CHAIN = SignalChain(low_cut_hz=0.5, high_cut_hz=40.0, filter_order=4)
MIN_SD_MV = 0.01  # a lead that moves less is flat: it is divided by this instead
CLASSES = [f"class_{name}" for name in SUPERCLASSES]
_SIGNALS, _TABLE = "signals_zscored_100hz_int16_x1000.npz", "metadata.csv"
_PER_SD = 1000.0  # of the mirror's integers
_MOST_YEARS = 89.0  # ages above are published as 300; here they are 90
_COLUMNS = ("ecg_id", "patient_id", "age", "sex", "scp_codes", "strat_fold")


@dataclass(frozen=True)
class Corpus:
    """Scaled ECGs, what their reports say, and where they come from.

    Attributes
    ----------
    name : str
        Of the collection.
    signals : float32 array of shape (n, 1000, 12)
        In standard deviations of the lead in that ECG; may be a memory map.
    records : DataFrame
        ``record_id`` (the publisher's number), ``patient`` (the publisher's number, or the record's
        own where that is not known), ``fold`` (1 to 10), ``age_years``, ``is_male``,
        ``signal_sha256`` (of the ECG as stored here).
    labels : DataFrame of bool
        The five superclasses (``class_NORM`` ...), then every statement of the reports.
    """

    name: str
    signals: np.ndarray
    records: pd.DataFrame
    labels: pd.DataFrame

    def statements(self, rows: np.ndarray, *, n_least: int = 20) -> list[str]:
        """Return the statements that at least `n_least` of some records have."""
        counts = self.labels.drop(columns=CLASSES).iloc[rows].sum()
        return sorted(counts.index[counts >= n_least])

    def trained_on(self, rows: np.ndarray) -> dict[str, Any]:
        """Return what a card must say of training records, so that scoring them can be refused."""
        used = self.records.iloc[rows]
        return {
            "cohorts": [COHORT],
            "source": SOURCE,
            "corpus": self.name,
            "folds": sorted({int(fold) for fold in used["fold"]}),
            "n_records": len(used),
            "record_ids": used["record_id"].tolist(),
            # The mirror holds no files of the publisher: its hashes are those of the stored ECGs.
            "hashed": "scaled ECGs" if self.name == MIRROR else "ECG files",
            "file_sha256": used["signal_sha256"].tolist(),
        }


def open_corpus(name: str, data_root: str | Path, store: Path) -> Corpus:
    """Return the corpus ``mirror`` (:func:`read_mirror`) or ``ptbxl`` (:func:`read_ptbxl_corpus`).

    Raises
    ------
    ValueError
        If the name is another.
    """
    if name == "mirror":
        return read_mirror(data_root or os.environ.get("ECG_DATA_ROOT", ""))
    if name == "ptbxl":
        return read_ptbxl_corpus(locate_dataset("ptbxl", data_root), store)
    raise ValueError(f"corpus must be mirror or ptbxl, got {name!r}. Choose one.")


def read_mirror(data_root: str | Path) -> Corpus:
    """Read the part of PTB-XL's folds 1 to 9 that is kept scaled, without millivolts.

    Parameters
    ----------
    data_root : str or Path
        Folder that holds ``ptbxl_folds1to9``, or that folder itself.

    Raises
    ------
    FileNotFoundError
        If it is not there.
    ValueError
        If table and signals do not belong together.
    """
    places = (Path(data_root) / MIRROR, Path(data_root))
    directory = next((place for place in places if (place / _SIGNALS).exists()), None)
    if directory is None:
        raise FileNotFoundError(
            f"data_root must hold {MIRROR} ({_SIGNALS} and {_TABLE}), got none there. Use the "
            "whole of PTB-XL: corpus ptbxl."
        )
    problems = Problems()
    table = read_table(directory, _TABLE, [*_COLUMNS, *_superclass_columns()], problems)
    problems.raise_if_any()
    with np.load(directory / _SIGNALS, allow_pickle=False) as stored:
        numbers, leads = stored["ecg_id"], tuple(stored["leads"].tolist())
        signals = stored["signal"]
    is_whole = numbers.astype(str).tolist() == table["ecg_id"].tolist() and leads == LEADS
    if not is_whole:
        raise ValueError(
            f"{_SIGNALS} must hold the ECGs of {_TABLE} in its order, leads {', '.join(LEADS)}, "
            f"got {len(numbers)} ECGs for {len(table)} rows. Copy both files again."
        )
    classes = table[_superclass_columns()].astype(float) > 0
    classes.columns = CLASSES
    scaled = signals.astype("float32") / np.float32(_PER_SD)
    return _corpus(MIRROR, scaled, table, classes, [_sha256(each) for each in signals])


def read_ptbxl_corpus(directory: Path, store: Path) -> Corpus:
    """Read every 500-Hz ECG of PTB-XL that is on this machine; scaled ones are kept in `store`.

    Parameters
    ----------
    directory : Path
        PTB-XL 1.0.3 in its original tree.
    store : Path
        An ``.npy`` file, written at the first call and mapped into memory afterwards.

    Raises
    ------
    ValueError
        If the tables have problems, or no ECG is there.
    """
    problems = Problems()
    table = read_table(directory, "ptbxl_database.csv", [*_COLUMNS, "filename_hr"], problems)
    superclass = superclass_of_statements(directory, problems)
    problems.raise_if_any()
    headers = [(directory / name).with_suffix(".hea") for name in table["filename_hr"]]
    table = table[[header.exists() for header in headers]].reset_index(drop=True)
    if table.empty:
        raise ValueError("PTB-XL must have ECGs in records500, got none. Download them.")
    found = [{f"class_{superclass.get(code)}" for code in each} for each in _codes(table)]
    classes = pd.DataFrame({name: [name in each for each in found] for name in CLASSES})
    paths = [directory / name for name in table["filename_hr"]]
    if not store.exists() or len(np.load(store, mmap_mode="r")) != len(paths):
        store.parent.mkdir(parents=True, exist_ok=True)
        aside = store.with_name(f".aside-{store.name}")  # renamed when whole
        scaled = np.lib.format.open_memmap(
            aside, "w+", "float32", (len(paths), CHAIN.n_samples, len(LEADS))
        )
        for row, path in enumerate(paths):
            ecg = wfdb_files.read(path.with_suffix(".hea"))
            scaled[row] = scaled_by_record(CHAIN.apply(ecg.signal_mv, ecg.rate_hz))
        scaled.flush()
        aside.replace(store)
    hashes = [hashlib.sha256(path.with_suffix(".dat").read_bytes()).hexdigest() for path in paths]
    return _corpus("ptbxl", np.load(store, mmap_mode="r"), table, classes, hashes)


def scaled_by_record(signal_mv: np.ndarray) -> np.ndarray:
    """Return each lead less its mean, divided by its SD over the record (at least 0.01 mV).

    Parameters
    ----------
    signal_mv : array of shape (..., n_samples, n_leads)

    Examples
    --------
    >>> scaled_by_record(np.array([[1.0], [3.0]])).tolist()
    [[-1.0], [1.0]]
    """
    centred = signal_mv - signal_mv.mean(axis=-2, keepdims=True)
    sd = np.sqrt(np.square(centred).mean(axis=-2, keepdims=True))
    return centred / np.maximum(sd, MIN_SD_MV)


def _superclass_columns() -> list[str]:
    return [f"super_{name}" for name in SUPERCLASSES]


def _corpus(
    name: str, signals: Any, table: pd.DataFrame, classes: pd.DataFrame, hashes: list[str]
) -> Corpus:
    table, codes = table.reset_index(drop=True), _codes(table)
    known = sorted({code for each in codes for code in each})
    statements = {code: [code in each for each in codes] for code in known}
    patient = table["patient_id"].where(table["patient_id"] != "", "ecg " + table["ecg_id"])
    age = pd.to_numeric(table["age"], errors="coerce")
    records = pd.DataFrame(
        {
            "record_id": table["ecg_id"].to_numpy(),
            "patient": patient.to_numpy(),
            "fold": table["strat_fold"].astype(int).to_numpy(),
            "age_years": age.where(age <= _MOST_YEARS, _MOST_YEARS + 1).where(age.notna()),
            "is_male": (table["sex"] == "0").to_numpy(),
            "signal_sha256": hashes,
        }
    )
    labels = pd.concat([classes.reset_index(drop=True), pd.DataFrame(statements)], axis=1)
    return Corpus(name, signals, records, labels)


def _codes(table: pd.DataFrame) -> list[dict[str, float]]:
    return [ast.literal_eval(cell) for cell in table["scp_codes"]]


def _sha256(array: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()
