"""Open a cohort by its name: simulate it, find or download it, or read a hospital's folder."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

from data_processing.cohort import Cohort, read_brugada_huca, read_hospital_folder
from data_processing.datasets import download, locate_dataset
from data_processing.definitions import nicm_definition
from data_processing.synthetic import SyntheticSettings, write_hospital_folder

DATA_ROOT_VARIABLE = "ECG_DATA_ROOT"


def open_cohort(
    name: str,
    *,
    private_directory: Path,
    data_root: str = "",
    synthetic: SyntheticSettings | None = None,
    atypical: str = "exclude",
) -> Cohort:
    """Return a cohort as read from its files, before any selection.

    Parameters
    ----------
    name
        ``synthetic_nicm`` (simulated and written as a hospital's folder, then read like any other),
        ``brugada_huca`` (downloaded where it is not found) or ``folder`` (your own).
    private_directory
        Where the simulated hospital's folder is written, and public data where no folder is named.
    data_root
        Folder of public datasets, or your own cohort's folder; by default ``ECG_DATA_ROOT``.
    synthetic
        Settings of the simulation.
    atypical
        What uncertain Brugada diagnoses count as.

    Raises
    ------
    FileNotFoundError
        If ``folder`` is not there.
    ValueError
        If the name is unknown, or the tables have problems (all are listed).
    """
    root = data_root or os.environ.get(DATA_ROOT_VARIABLE, "")
    if name == "synthetic_nicm":
        settings = synthetic or SyntheticSettings()
        directory = simulated_folder(private_directory / "hospital", settings)
        return read_hospital_folder(directory, nicm_definition(is_synthetic=True))
    if name == "brugada_huca":
        try:
            directory = locate_dataset(name, root)
        except FileNotFoundError:
            if root:
                raise
            directory = download(name, private_directory / "public")
        return read_brugada_huca(directory, atypical=atypical)
    if name == "folder":
        if not data_root:
            raise ValueError(
                "data_root must be the folder of your cohort, got ''. It holds patients.csv, "
                "ecgs.csv and the ECG files."
            )
        return read_hospital_folder(Path(data_root))
    raise ValueError(
        f"name must be one of synthetic_nicm, brugada_huca, folder, got {name!r}. Choose one."
    )


def simulated_folder(directory: Path, settings: SyntheticSettings) -> Path:
    """Return the simulated hospital's folder, writing it unless the same one is there."""
    truth = directory / "truth.json"
    if truth.exists() and json.loads(truth.read_text())["settings"] == settings.to_dict():
        return directory
    shutil.rmtree(directory, ignore_errors=True)
    return write_hospital_folder(directory, settings)


def declared_truth(private_directory: Path) -> dict[str, Any]:
    """Return what the simulation declares (settings, planted signs, oracle AUROC); else nothing."""
    truth = private_directory / "hospital" / "truth.json"
    return json.loads(truth.read_text()) if truth.exists() else {}
