"""Write the SYNTHETIC cohort as a hospital would hand it over: WFDB files and two CSV tables."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from data_processing.leads import LEADS
from data_processing.synthetic_ecg import simulate_ecgs
from data_processing.synthetic_oracle import oracle_auroc
from data_processing.synthetic_patients import THREE_YEAR_INCIDENCE, simulate_patients
from data_processing.synthetic_settings import SYNTHETIC_LABEL, SyntheticSettings
from data_processing.synthetic_truth import planted_windows

UNITS_PER_MV = 1000  # one quantisation step is 1 microvolt
TRUTH_SCHEMA_VERSION = 2
PATIENT_COLUMNS = (
    "patient_id",
    "index_date",
    "age_years",
    "sex",
    "lvef_percent",
    "lge_present",
    "lge_pattern",
    "pathogenic_variant",
    "covariates_date",
    "event_type",
    "event_date",
    "last_contact_date",
    "icd_date",
)
ECG_COLUMNS = ("patient_id", "ecg_file", "recorded_at")
_BATCH_RECORDS = 64
_README = f"""{SYNTHETIC_LABEL}

Nothing in this folder comes from a person. It imitates what a hospital hands over for a study of
sustained ventricular arrhythmia in non-ischaemic cardiomyopathy, to try out and to test software.

patients.csv  one row a patient; an empty cell is a missing value (not measured, not tested)
ecgs.csv      one row an ECG; ecg_file is the WFDB record (.hea and .dat) without its extension
ecg/          the recordings: 12 leads, millivolts, 16 bit
truth.json    the declared truth: settings, planted signs, best possible AUROC

icd_date is the day an ICD was implanted. Everyone with appropriate therapy has one; the other
patients have it whatever their risk, and no ECG shows it.

The hidden values of each patient are the rows of simulate_patients() for the settings in
truth.json. The ECGs are independent of age, sex and the other covariates, unlike real ones.
"""


def draw_ecg_table(patients: pd.DataFrame, settings: SyntheticSettings) -> pd.DataFrame:
    """Draw when each ECG was recorded and under which number it is filed.

    Parameters
    ----------
    patients : DataFrame
        Rows of ``simulate_patients``.
    settings : SyntheticSettings
        For the seed.

    Returns
    -------
    DataFrame, one row an ECG
        ``patient_number``, ``ecg_number``, ``patient_id``, ``ecg_file``, ``recorded_at``; sorted
        by the file number, which is random. The latest ECG of a patient lies within 30 days
        before the index date (or on it), the others within 365 days.
    """
    rng = np.random.default_rng([settings.seed, 5])
    row = np.repeat(np.arange(len(patients)), patients["n_ecgs"].to_numpy())
    n_ecgs = len(row)
    number = pd.Series(row).groupby(row).cumcount().to_numpy()
    days_before = np.where(number == 0, rng.integers(0, 31, n_ecgs), rng.integers(31, 366, n_ecgs))
    seconds = rng.integers(7 * 3600, 19 * 3600, n_ecgs)
    digits = max(6, len(str(n_ecgs)) + 1)
    low, high = 10 ** (digits - 1), 10**digits
    files = [f"ecg/SYN-E{code}" for code in low + rng.choice(high - low, n_ecgs, replace=False)]
    table = patients.iloc[row][["patient_number", "patient_id", "index_date"]].assign(
        ecg_number=number, ecg_file=files
    )
    days = pd.to_timedelta(-days_before, unit="D")
    table["recorded_at"] = table.pop("index_date") + days + pd.to_timedelta(seconds, unit="s")
    return table.sort_values("ecg_file", ignore_index=True)


def write_hospital_folder(
    directory: str | Path,
    settings: SyntheticSettings,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Simulate the cohort and write it as a folder; the same settings give the same bytes.

    Parameters
    ----------
    directory : str or Path
        Folder to create. It appears only when complete.
    settings : SyntheticSettings
        Cohort settings.
    progress : callable, optional
        Called as ``progress(n_written, n_ecgs)``.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    FileExistsError
        If the folder already holds something.
    """
    directory = Path(directory)
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise FileExistsError(
            f"directory must be new or empty, got {directory.name!r}, which holds something. "
            "Choose another folder or remove this one."
        )
    directory.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=f".{directory.name}.", dir=directory.parent))
    try:
        _write_all(partial, settings, progress)
        partial.chmod(0o755)  # mkdtemp makes it private
        if directory.exists():
            directory.rmdir()  # empty, see above; Windows cannot rename onto it
        partial.rename(directory)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    return directory


def _write_all(
    folder: Path, settings: SyntheticSettings, progress: Callable[[int, int], None] | None
) -> None:
    """Write every file of the cohort into ``folder``."""
    patients = simulate_patients(settings)
    ecgs = draw_ecg_table(patients, settings)
    (folder / "ecg").mkdir()
    for start in range(0, len(ecgs), _BATCH_RECORDS):
        batch = ecgs.iloc[start : start + _BATCH_RECORDS]
        latents = patients.iloc[batch["patient_number"].to_numpy()].reset_index(drop=True)
        rows = latents.assign(ecg_number=batch["ecg_number"].to_numpy())
        signals, _ = simulate_ecgs(rows, settings)
        for signal, (_, ecg) in zip(signals, batch.iterrows(), strict=True):
            _write_record(folder, ecg["ecg_file"], ecg["recorded_at"], signal, settings.rate_hz)
        if progress is not None:
            progress(start + len(batch), len(ecgs))
    _write_table(hospital_patients(patients), folder / "patients.csv")
    times = ecgs["recorded_at"].dt.strftime("%Y-%m-%dT%H:%M:%S")
    _write_table(ecgs.assign(recorded_at=times)[list(ECG_COLUMNS)], folder / "ecgs.csv")
    truth = declared_truth(settings) | _counts(patients, len(ecgs))
    _write_text(folder / "truth.json", json.dumps(truth, indent=2) + "\n")
    _write_text(folder / "README.txt", _README)


def hospital_patients(patients: pd.DataFrame) -> pd.DataFrame:
    """Return ``patients.csv``: observed covariates, dates as ISO text, no hidden value."""
    observed = patients.filter(like="observed_").rename(columns=lambda n: n[len("observed_") :])
    table = pd.concat([patients[["patient_id", "event_type"]], observed], axis=1)
    for name in ("lvef_percent", "lge_present", "pathogenic_variant"):
        table[name] = table[name].astype("Int64")
    for name in (name for name in PATIENT_COLUMNS if name.endswith("_date")):
        table[name] = patients[name].dt.strftime("%Y-%m-%d")
    return table[list(PATIENT_COLUMNS)]


def declared_truth(settings: SyntheticSettings) -> dict[str, Any]:
    """Return what ``truth.json`` declares: label, settings, planted signs, oracle AUROC."""
    oracle = {name: round(value, 4) for name, value in oracle_auroc(settings).items()}
    return {
        "schema_version": TRUTH_SCHEMA_VERSION,
        "label": SYNTHETIC_LABEL,
        "settings": settings.to_dict(),
        "oracle_auroc": oracle,
        "three_year_incidence": THREE_YEAR_INCIDENCE,
        "ecg_depends_on_covariates": False,
        "planted_windows": planted_windows().to_dict(orient="records"),
    }


def _counts(patients: pd.DataFrame, n_ecgs: int) -> dict[str, int]:
    """Return the counts a reader of the folder must find again."""
    event = patients["event"]
    return {
        "n_patients": len(patients),
        "n_ecgs": n_ecgs,
        "n_events": int((event == 1).sum()),
        "n_other_deaths": int((event == 2).sum()),
    }


def _write_record(
    folder: Path, name: str, recorded_at: pd.Timestamp, signal_mv: np.ndarray, rate_hz: int
) -> None:
    """Write one WFDB record, 16 bit, 1000 units/mV; its header says that it is synthetic.

    Written directly: ``wfdb.wrsamp`` makes the same bytes (a test compares) in 20 times the time.
    """
    limit = np.iinfo(np.int16).max  # the smallest value means "invalid sample" in WFDB
    units = np.clip(np.rint(signal_mv * UNITS_PER_MV), -limit, limit).astype("<i2")
    (folder / f"{name}.dat").write_bytes(units.tobytes())
    stem = Path(name).name
    checksums = units.sum(axis=0, dtype=np.int64) % 65536
    signals = [
        f"{stem}.dat 16 {UNITS_PER_MV}(0)/mV 16 0 {first} {checksum} 0 {lead}"
        for first, checksum, lead in zip(units[0], checksums, LEADS, strict=True)
    ]
    when = recorded_at.strftime("%H:%M:%S %d/%m/%Y")
    header = [f"{stem} {len(LEADS)} {rate_hz} {len(units)} {when}", *signals]
    _write_text(folder / f"{name}.hea", "\n".join([*header, f"# {SYNTHETIC_LABEL}"]) + "\n")


def _write_table(table: pd.DataFrame, path: Path) -> None:
    table.to_csv(path, index=False, encoding="utf-8", lineterminator="\n")


def _write_text(path: Path, text: str) -> None:
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.write(text)
