"""Find the ECG file that a table means: by path, or by its name alone."""

from __future__ import annotations

from pathlib import Path

_SAMPLES = (".dat", ".mat")  # of a WFDB record; its header stands for it


class ECGFiles:
    """The ECG files below a folder.

    Parameters
    ----------
    directory
        The cohort's folder. It is listed only when a name is looked for that has no folder.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._by_name: dict[str, list[Path]] | None = None

    def find(self, name: str) -> list[Path]:
        """Return the files a name may mean: one if all is well.

        Parameters
        ----------
        name
            Path below the folder (also with backslashes), with or without extension; or only the
            file's name, wherever below the folder it lies.
        """
        for text in dict.fromkeys((name, name.replace("\\", "/"))):
            path = self.directory / text
            if _is_there(path):
                return [path]
        return [] if "/" in name or "\\" in name else self._index().get(name, [])

    def _index(self) -> dict[str, list[Path]]:
        """Return the files by name and by name without extension."""
        if self._by_name is None:
            found: dict[str, set[Path]] = {}
            for path in self.directory.rglob("*"):
                if path.suffix in _SAMPLES and _is_there(path.with_suffix("")):
                    path = path.with_suffix(".hea")
                for key in (path.name, path.stem):
                    found.setdefault(key, set()).add(path)
            self._by_name = {key: _headers_first(paths) for key, paths in found.items()}
        return self._by_name


def record_of(path: Path) -> Path:
    """Return what header and samples of one record have in common."""
    return path.with_suffix("") if path.suffix in (".hea", *_SAMPLES) else path


def _is_there(path: Path) -> bool:
    """Return whether a file, or the header of a WFDB record, lies at a path."""
    try:
        return path.is_file() or path.with_name(f"{path.name}.hea").is_file()
    except (OSError, ValueError):  # too long for a file name, or none at all
        return False


def _headers_first(paths: set[Path]) -> list[Path]:
    """Return WFDB headers if there are any: a print of the same name is not the ECG."""
    headers = sorted(path for path in paths if path.suffix == ".hea")
    return headers or sorted(path for path in paths if path.is_file())
