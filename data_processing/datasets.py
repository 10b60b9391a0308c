"""Find public datasets below one folder, or download them: resumable, checked, atomic.

A dataset's folder has the layout of its publisher, so a mirror, a download and a copy by hand are
the same to the readers. PhysioNet lists its files with their hashes in ``SHA256SUMS.txt``, Zenodo
in the answer of its interface; both lists stay in the folder. Only where the hash of the list is
known here (``checksums_sha256``) is every file pinned; else the list that came over https is
trusted.
"""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import requests
from tqdm.auto import tqdm

from data_processing.transfer import BY_HAND, ChecksumError, ensure_file, is_unpacked, unpack

__all__ = ["DATASETS", "ChecksumError", "Dataset", "download", "locate_dataset"]

CHECKSUMS_FILE = "SHA256SUMS.txt"
ZENODO_FILE = "zenodo_record.json"
_ZENODO = "https://zenodo.org"


@dataclass(frozen=True)
class Dataset:
    """Where a dataset is published and how its folder is recognised.

    Parameters
    ----------
    name
        Name of its folder below the data root.
    base_url
        Folder of the publication, ending in a slash.
    checksums_sha256
        Hash of its ``SHA256SUMS.txt``: pins every file. Empty: not known here.
    markers
        Files or folders that tell its folder from others; ``|`` separates what may stand for one
        another, ``*`` is any text.
    skipped
        Listed files that are not needed (archives of the others, litter).
    unchecked
        Listed files whose hash is not enforced.
    folders
        Other names its folder may have.
    zenodo_id
        Number of the record, if Zenodo publishes it; its archives are unpacked.
    """

    name: str
    base_url: str
    checksums_sha256: str
    markers: tuple[str, ...]
    skipped: tuple[str, ...] = ()
    unchecked: tuple[str, ...] = ()
    folders: tuple[str, ...] = ()
    zenodo_id: str = ""


def _physionet(name: str, path: str, markers: tuple[str, ...], *folders: str) -> Dataset:
    url = f"https://physionet.org/files/{path}/"
    return Dataset(name, url, "", markers, folders=folders)


def _zenodo(name: str, record: str, markers: tuple[str, ...], *folders: str) -> Dataset:
    url = f"{_ZENODO}/records/{record}/files/"
    return Dataset(name, url, "", markers, folders=folders, zenodo_id=record)


_ALL = (
    Dataset(
        name="brugada_huca",
        base_url="https://physionet.org/files/brugada-huca/1.0.0/",
        checksums_sha256="e97ed22632bc69330080ed26afbda923da94467b60dd84350aac4f4406c8fe43",
        markers=("metadata.csv", "files"),
        skipped=("files.zip", "files/.DS_Store"),
        # The licence text in circulation differs from the listed hash; all data files match.
        unchecked=("LICENSE.txt",),
    ),
    _physionet("ptbxl", "ptb-xl/1.0.3", ("ptbxl_database.csv", "scp_statements.csv"), "ptbxl_wfdb"),
    _physionet("ludb", "ludb/1.0.1", ("ludb.csv", "data")),
    _physionet("challenge2021", "challenge-2021/1.0.3", ("training|*.hea",)),
    # The second of each pair: the few exams of CODE-15 % that circulate as MATLAB files.
    _zenodo("code15", "4916206", ("exams.csv|meta.csv", "exams_part*|org")),
    _zenodo("sami_trop", "4905618", ("exams.csv", "exams.hdf5|exams.zip"), "samitrop"),
)
DATASETS = {dataset.name: dataset for dataset in _ALL}


def locate_dataset(name: str, data_root: str | Path = "") -> Path:
    """Return the folder of a dataset that is already on this machine.

    Parameters
    ----------
    name
        A key of ``DATASETS``.
    data_root
        Folder of datasets, or the dataset's own folder; empty: environment ``ECG_DATA_ROOT``.

    Returns
    -------
    Path

    Raises
    ------
    FileNotFoundError
        If it is in neither place, with what to do.
    ValueError
        If the dataset is unknown.
    """
    dataset = _known(name)
    root = str(data_root) or os.environ.get("ECG_DATA_ROOT", "")
    if not root:
        raise FileNotFoundError(
            f"data_root must be the folder that holds {name}, got nothing. Set data_root or the "
            f"environment variable ECG_DATA_ROOT, or download it from {dataset.base_url}."
        )
    for folder in (*(Path(root) / each for each in (name, *dataset.folders)), Path(root)):
        if all(_is_there(folder, marker) for marker in dataset.markers):
            return folder
    wanted = " and ".join(marker.replace("|", " or ") for marker in dataset.markers)
    raise FileNotFoundError(
        f"data_root must hold {name} (a folder with {wanted}), got none there. Download it with: "
        f"python -m workflow download {name} --data-root FOLDER, or from {dataset.base_url}."
    )


def _is_there(folder: Path, marker: str) -> bool:
    return folder.is_dir() and any(
        next(folder.glob(pattern), None) is not None for pattern in marker.split("|")
    )


def _known(name: str) -> Dataset:
    if name not in DATASETS:
        raise ValueError(
            f"dataset must be one of {', '.join(DATASETS)}, got {name!r}. Choose one of these."
        )
    return DATASETS[name]


def download(
    name: str | Dataset,
    root: str | Path,
    *,
    base_url: str | None = None,
    progress: bool = True,
) -> Path:
    """Download a dataset; files that are already right are left alone, partial ones continued.

    Parameters
    ----------
    name
        A key of ``DATASETS``, or a ``Dataset``.
    root
        Folder of datasets; the files go to ``root/<name>``.
    base_url
        A mirror: a folder with the same files and their list (``SHA256SUMS.txt``, or Zenodo's
        answer as ``zenodo_record.json``).
    progress
        Whether to show a progress bar.

    Returns
    -------
    Path
        ``root/<name>``.

    Raises
    ------
    ConnectionError
        If the server cannot be reached or answers with an error, after several attempts.
    ChecksumError
        If a file is not the published one; it is not kept.
    """
    dataset = name if isinstance(name, Dataset) else _known(name)
    url = base_url or dataset.base_url
    url = url if url.endswith("/") else url + "/"
    folder = Path(root) / dataset.name
    folder.mkdir(parents=True, exist_ok=True)
    with requests.Session() as session:
        listed = _listed_files(session, dataset, folder, url, is_mirror=base_url is not None)
        wanted = [item for item in listed if item[0] not in dataset.skipped]
        for path, checksum in tqdm(wanted, desc=dataset.name, unit="file", disable=not progress):
            expected = "" if path in dataset.unchecked else checksum
            is_archive = bool(dataset.zenodo_id) and path.endswith(".zip")
            if is_archive and is_unpacked(folder / path, checksum):
                continue
            ensure_file(session, url + quote(path), folder / path, expected)
            if is_archive:
                unpack(folder / path, checksum)
    return folder


def _listed_files(
    session: requests.Session, dataset: Dataset, folder: Path, url: str, *, is_mirror: bool
) -> list[tuple[str, str]]:
    """Return (relative path, checksum) of every published file; refuse paths that leave the folder.

    The list itself is kept in the folder.
    """
    if dataset.zenodo_id:
        path = folder / ZENODO_FILE
        api = f"{_ZENODO}/api/records/{dataset.zenodo_id}"
        ensure_file(session, url + ZENODO_FILE if is_mirror else api, path, "")
        listed = _zenodo_files(path)
    else:
        path = folder / CHECKSUMS_FILE
        pinned = dataset.checksums_sha256
        ensure_file(session, url + CHECKSUMS_FILE, path, f"sha256:{pinned}" if pinned else "")
        listed = _physionet_files(path)
    if not all((folder / name).resolve().is_relative_to(folder.resolve()) for name, _ in listed):
        raise ChecksumError(
            f"{path.name} must list files inside the dataset, got one outside. Do not use this "
            "mirror."
        )
    return listed


def _physionet_files(path: Path) -> list[tuple[str, str]]:
    """Return what ``SHA256SUMS.txt`` lists: a hash and a path a line."""
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    found = [re.fullmatch(r"\s*([0-9a-fA-F]{64}) [ *]?(.+?)\s*", line) for line in lines if line]
    if not found or None in found:
        raise _no_list(path)
    return [(match[2], f"sha256:{match[1].lower()}") for match in found if match]


def _zenodo_files(path: Path) -> list[tuple[str, str]]:
    """Return what Zenodo's answer lists: ``files`` with ``key`` and ``checksum`` (md5:...)."""
    try:
        files = json.loads(path.read_text(encoding="utf-8"))["files"]
        listed = [(str(item["key"]), str(item["checksum"])) for item in files]
    except (ValueError, KeyError, TypeError):
        listed = []
    if not listed or not all(checksum.startswith("md5:") for _, checksum in listed):
        raise _no_list(path)
    return listed


def _no_list(path: Path) -> ChecksumError:
    path.unlink()  # not to be taken for the list the next time
    return ChecksumError(
        f"{path.name} must list the files with their checksums, it does not. The server answered "
        f"with something else: try again later. {BY_HAND}"
    )
