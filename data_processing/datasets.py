"""Find public datasets below one folder, or download them: resumable, checked, atomic.

A dataset's folder has the layout of its publisher, so a mirror, a download and a copy by hand are
the same to the readers.
"""

from __future__ import annotations

import hashlib
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import requests
from tqdm.auto import tqdm

__all__ = ["DATASETS", "ChecksumError", "Dataset", "download", "locate_dataset"]

CHECKSUMS_FILE = "SHA256SUMS.txt"
_N_ATTEMPTS = 4
_TIMEOUT_SECONDS = (10.0, 60.0)
_CHUNK_BYTES = 1 << 14  # a broken connection loses the chunk it was in
_BY_HAND = (
    "Copy the dataset's folder by hand and point data_root (or ECG_DATA_ROOT) to the folder above."
)


class ChecksumError(ValueError):
    """A downloaded file is not the published one."""


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
        Hash of its ``SHA256SUMS.txt``: pins every file.
    markers
        Files or folders that tell its folder from others.
    skipped
        Listed files that are not needed (archives of the others, litter).
    unchecked
        Listed files whose hash is not enforced.
    """

    name: str
    base_url: str
    checksums_sha256: str
    markers: tuple[str, ...]
    skipped: tuple[str, ...] = ()
    unchecked: tuple[str, ...] = ()


DATASETS = {
    "brugada_huca": Dataset(
        name="brugada_huca",
        base_url="https://physionet.org/files/brugada-huca/1.0.0/",
        checksums_sha256="e97ed22632bc69330080ed26afbda923da94467b60dd84350aac4f4406c8fe43",
        markers=("metadata.csv", "files"),
        skipped=("files.zip", "files/.DS_Store"),
        # The licence text in circulation differs from the listed hash; all data files match.
        unchecked=("LICENSE.txt",),
    ),
}


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
    for folder in (Path(root) / name, Path(root)):
        if all((folder / marker).exists() for marker in dataset.markers):
            return folder
    raise FileNotFoundError(
        f"data_root must hold {name} (a folder with {' and '.join(dataset.markers)}), got none "
        f"there. Download it with data_processing.datasets.download({name!r}, data_root), or from "
        f"{dataset.base_url}."
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
        A mirror with the same layout.
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
        checksums = folder / CHECKSUMS_FILE
        _ensure_file(session, url + CHECKSUMS_FILE, checksums, dataset.checksums_sha256)
        listed = _read_checksums(checksums, folder)
        wanted = [item for item in listed if item[0] not in dataset.skipped]
        for path, sha256 in tqdm(wanted, desc=dataset.name, unit="file", disable=not progress):
            expected = "" if path in dataset.unchecked else sha256
            _ensure_file(session, url + quote(path), folder / path, expected)
    return folder


def _read_checksums(path: Path, folder: Path) -> list[tuple[str, str]]:
    """Return (relative path, sha256) of every listed file; refuse paths that leave the folder."""
    listed = []
    for line in path.read_text(encoding="utf-8").splitlines():
        sha256, _, name = line.strip().partition(" ")
        name = name.lstrip(" *")
        if not name:
            continue
        if not (folder / name).resolve().is_relative_to(folder.resolve()):
            raise ChecksumError(
                f"{CHECKSUMS_FILE} must list files inside the dataset, got one outside. "
                "Do not use this mirror."
            )
        listed.append((name, sha256.lower()))
    return listed


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def _ensure_file(session: requests.Session, url: str, path: Path, sha256: str) -> None:
    """Have the right file at `path`; it takes its name only when complete and checked."""
    if path.exists() and (not sha256 or _sha256(path) == sha256):
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    for attempt in ("first", "from the start"):
        _fetch(session, url, part)
        if not sha256 or _sha256(part) == sha256:
            part.replace(path)
            return
        part.unlink()  # an old half of another version spoils the whole: begin anew, once
        if attempt == "from the start":
            raise ChecksumError(
                f"{path.name} must have the published sha256 ({sha256[:12]}...), got another file "
                f"twice. The mirror or a proxy changes it. {_BY_HAND}"
            )


def _fetch(session: requests.Session, url: str, part: Path) -> None:
    """Download to `part`, going on where it ends, with a few attempts."""
    for attempt in range(1, _N_ATTEMPTS + 1):
        try:
            _fetch_rest(session, url, part)
        except requests.RequestException as error:
            response: Any = getattr(error, "response", None)
            status = getattr(response, "status_code", None)
            is_final = status is not None and 400 <= status < 500 and status != 429
            if is_final or attempt == _N_ATTEMPTS:
                cause = f"HTTP {status}" if status else type(error).__name__
                raise ConnectionError(
                    f"{url} must be reachable, got {cause} after {attempt} attempts. What is "
                    f"complete is kept: run it again to go on. Without a network: {_BY_HAND}"
                ) from None
            time.sleep(_pause_seconds(attempt))
        else:
            return


def _pause_seconds(attempt: int) -> float:
    return 0.5 * 2.0**attempt


def _fetch_rest(session: requests.Session, url: str, part: Path) -> None:
    """Request the bytes that are missing; start anew if the server cannot continue."""
    n_have = part.stat().st_size if part.exists() else 0
    headers = {"Range": f"bytes={n_have}-", "Accept-Encoding": "identity"} if n_have else {}
    with session.get(url, headers=headers, stream=True, timeout=_TIMEOUT_SECONDS) as response:
        if response.status_code == 416:  # nothing beyond what is there: it is complete, or wrong
            return
        response.raise_for_status()
        is_continued = response.status_code == 206
        expected = response.headers.get("Content-Length")
        n_written = 0
        with part.open("ab" if is_continued else "wb") as file:
            for chunk in response.iter_content(_CHUNK_BYTES):
                file.write(chunk)
                n_written += len(chunk)
        is_encoded = "Content-Encoding" in response.headers
        if expected is not None and not is_encoded and n_written < int(expected):
            raise requests.ConnectionError("the connection ended before the file did")
