"""Open a cohort by its name or mapping: simulate it, find or download it, or read a folder."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any, Protocol

from data_processing.cohort import Cohort, read_brugada_huca, read_cohort, read_hospital_folder
from data_processing.datasets import DATASETS, download, locate_dataset
from data_processing.definitions import nicm_definition
from data_processing.mapping import is_mapping, read_mapping
from data_processing.public.opening import NAMES, read_public
from data_processing.synthetic import SyntheticSettings, write_hospital_folder
from data_processing.synthetic_files import TRUTH_SCHEMA_VERSION

DATA_ROOT_VARIABLE = "ECG_DATA_ROOT"


class CohortParameters(Protocol):
    """What has to be known to open a cohort; the parameters of notebook 01 have it."""

    @property
    def cohort(self) -> str: ...  # noqa: D102
    @property
    def data_root(self) -> str: ...  # noqa: D102
    @property
    def atypical(self) -> str: ...  # noqa: D102
    @property
    def n_patients(self) -> int: ...  # noqa: D102
    @property
    def effect_size(self) -> float: ...  # noqa: D102
    @property
    def horizon_days(self) -> int: ...  # noqa: D102
    @property
    def target(self) -> str: ...  # noqa: D102
    @property
    def source_rate_hz(self) -> int: ...  # noqa: D102
    @property
    def seed(self) -> int: ...  # noqa: D102


def open_cohort(parameters: CohortParameters, *, private_directory: Path) -> Cohort:
    """Return a cohort as read from its files, before any selection.

    Parameters
    ----------
    parameters
        ``cohort``: ``synthetic_nicm`` (simulated and written as a hospital's folder, then read like
        any other; ``n_patients``, ``effect_size``, ``horizon_days``, ``seed``), ``brugada_huca``
        (``atypical``; downloaded where no folder is named), another public collection (``ptbxl``,
        ``ludb``, ``challenge2021``, ``code15``, ``sami_trop``; ``target``, ``source_rate_hz``;
        to be downloaded before, they are large), ``folder`` (your own, at ``data_root``) or
        a mapping file, ``.yaml`` (your own, in its folder unless ``data_root`` names another).
        Public data are looked for in ``data_root``, else in ``ECG_DATA_ROOT``.
    private_directory
        Where the simulated hospital's folder is written, and public data where no folder is named.

    Raises
    ------
    FileNotFoundError
        If the folder is not there.
    ValueError
        If the name is unknown, or the tables have problems (all are listed).
    """
    name = parameters.cohort
    if name == "synthetic_nicm":
        settings = SyntheticSettings(
            n_patients=parameters.n_patients,
            effect_size=parameters.effect_size,
            horizon_days=parameters.horizon_days,
            seed=parameters.seed,
        )
        directory = simulated_folder(private_directory / "hospital", settings)
        return read_hospital_folder(directory, nicm_definition(is_synthetic=True))
    if name == "brugada_huca":
        root = parameters.data_root or os.environ.get(DATA_ROOT_VARIABLE, "")
        if root:
            directory = locate_dataset(name, root)
        else:
            directory = download(name, private_directory / "public")
        return read_brugada_huca(directory, atypical=parameters.atypical)
    if name in NAMES:
        directory = locate_dataset(name, parameters.data_root)
        return read_public(
            name,
            directory,
            target=parameters.target,
            source_rate_hz=parameters.source_rate_hz,
        )
    if name == "folder":
        if not parameters.data_root:
            raise ValueError(
                "data_root must be the folder of your cohort, got ''. It holds patients.csv, "
                "ecgs.csv and the ECG files."
            )
        return read_hospital_folder(Path(parameters.data_root))
    if is_mapping(name):
        definition, directory = read_mapping(name)
        return read_cohort(parameters.data_root or directory, definition)
    raise ValueError(
        f"cohort must be synthetic_nicm, {', '.join(DATASETS)} or folder, or a mapping file "
        f"(.yaml), got {name!r}. Choose one."
    )


def simulated_folder(directory: Path, settings: SyntheticSettings) -> Path:
    """Return the simulated hospital's folder, writing it unless the same one is there."""
    truth = directory / "truth.json"
    if truth.exists():
        written = json.loads(truth.read_text())
        expected = (TRUTH_SCHEMA_VERSION, settings.to_dict())
        if (written["schema_version"], written["settings"]) == expected:
            return directory
    shutil.rmtree(directory, ignore_errors=True)
    return write_hospital_folder(directory, settings)


def declared_truth(private_directory: Path) -> dict[str, Any]:
    """Return what the simulation declares (settings, planted signs, oracle AUROC); else nothing."""
    truth = private_directory / "hospital" / "truth.json"
    return json.loads(truth.read_text()) if truth.exists() else {}
