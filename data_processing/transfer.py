"""Fetch one file: resumed where it ended, checked, and under its name only when it is right."""

from __future__ import annotations

import hashlib
import shutil
import time
import zipfile
from pathlib import Path
from typing import Any

import requests

_N_ATTEMPTS = 4
_TIMEOUT_SECONDS = (10.0, 60.0)
_CHUNK_BYTES = 1 << 14  # a broken connection loses the chunk it was in
BY_HAND = (
    "Copy the dataset's folder by hand and point data_root (or ECG_DATA_ROOT) to the folder above."
)


class ChecksumError(ValueError):
    """A downloaded file is not the published one."""


def has_checksum(path: Path, checksum: str) -> bool:
    """Return whether a file has a checksum ``sha256:...`` or ``md5:...``; any has the empty one."""
    if not checksum:
        return True
    kind, _, expected = checksum.partition(":")
    with path.open("rb") as file:
        return hashlib.file_digest(file, kind).hexdigest() == expected.lower()


def ensure_file(session: requests.Session, url: str, path: Path, checksum: str) -> None:
    """Have the right file at `path`; it takes its name only when complete and checked.

    Parameters
    ----------
    session
        Of the downloads.
    url
        Where it is.
    path
        Where it goes.
    checksum
        ``sha256:...`` or ``md5:...``; empty: whatever the server sends is trusted.

    Raises
    ------
    ConnectionError
        If the server cannot be reached or answers with an error, after several attempts.
    ChecksumError
        If the file is another one, twice; it is not kept.
    """
    if path.exists() and has_checksum(path, checksum):
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    for attempt in ("first", "from the start"):
        _fetch(session, url, part)
        if has_checksum(part, checksum):
            part.replace(path)
            return
        part.unlink()  # an old half of another version spoils the whole: begin anew, once
        if attempt == "from the start":
            kind, _, expected = checksum.partition(":")
            raise ChecksumError(
                f"{path.name} must have the published {kind} ({expected[:12]}...), got another "
                f"file twice. The mirror or a proxy changes it. {BY_HAND}"
            )


def unpack(archive: Path, checksum: str) -> None:
    """Unpack an archive beside itself, delete it, and leave a mark of what was unpacked.

    Parameters
    ----------
    archive
        ZIP, already checked.
    checksum
        Written to the mark; see ``is_unpacked``.

    Raises
    ------
    ChecksumError
        If it is damaged, or would write outside its folder.
    """
    folder = archive.parent.resolve()
    try:
        with zipfile.ZipFile(archive) as opened:
            for member in opened.infolist():
                path = folder / member.filename
                if member.is_dir():
                    continue
                if not path.resolve().is_relative_to(folder):
                    raise zipfile.BadZipFile
                path.parent.mkdir(parents=True, exist_ok=True)
                part = path.with_name(path.name + ".part")
                with opened.open(member) as source, part.open("wb") as target:
                    shutil.copyfileobj(source, target, 1 << 20)
                part.replace(path)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError):
        raise ChecksumError(
            f"{archive.name} must be a whole ZIP archive with files for its own folder, it is not. "
            f"{BY_HAND}"
        ) from None
    _mark(archive).write_text(checksum, encoding="utf-8")
    archive.unlink()


def is_unpacked(archive: Path, checksum: str) -> bool:
    """Return whether the archive with this checksum was unpacked here."""
    mark = _mark(archive)
    return mark.is_file() and mark.read_text(encoding="utf-8") == checksum


def _mark(archive: Path) -> Path:
    return archive.with_name(archive.name + ".unpacked")


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
                    f"complete is kept: run it again to go on. Without a network: {BY_HAND}"
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
