"""What training leaves on disk: finished folds, and the last epoch of an unfinished one."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from models_training.files import written_aside

FOLDS = "folds"
Arrays = Sequence[np.ndarray]


def _named(letter: str, arrays: Arrays) -> dict[str, np.ndarray]:
    return {f"{letter}{number:04d}": array for number, array in enumerate(arrays)}


def _lettered(stored: Mapping[str, np.ndarray], letter: str) -> list[np.ndarray]:
    return [stored[name] for name in sorted(stored) if name[0] == letter]


class Checkpoint:
    """The state of a training after its last whole epoch.

    What Keras' BackupAndRestore is for ``fit``, for our own loop: it also holds the best weights,
    the average of the weights and the history, so a resumed training ends with the same digits.

    Parameters
    ----------
    path : Path
        An ``.npz`` file.
    mark : str
        Hash of data and settings; a state with another mark is not continued.
    """

    def __init__(self, path: Path, mark: str) -> None:
        self.path, self.mark = path, mark

    def save(
        self,
        *,
        variables: Arrays,
        optimizer: Arrays,
        best_weights: Arrays,
        history: Sequence[Mapping[str, Any]],
        average: Arrays = (),
    ) -> None:
        """Write the state, atomically."""
        with written_aside(self.path) as aside, aside.open("wb") as file:
            np.savez(
                file,
                **_named("v", variables),
                **_named("o", optimizer),
                **_named("b", best_weights),
                **_named("a", average),
                history=np.array(json.dumps({"mark": self.mark, "epochs": list(history)})),
            )

    def load(self) -> dict[str, Any] | None:
        """Return the arguments of ``save``; None where there is no state that fits."""
        try:
            # opened here: np.load leaves a damaged file open
            with self.path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
                about = json.loads(str(stored["history"]))
                if about["mark"] != self.mark:
                    return None
                arrays = {name: stored[name] for name in stored.files if name != "history"}
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            return None  # none yet, or damaged by a crash: the fold begins anew
        return {
            "variables": _lettered(arrays, "v"),
            "optimizer": _lettered(arrays, "o"),
            "best_weights": _lettered(arrays, "b"),
            "average": _lettered(arrays, "a"),
            "history": about["epochs"],
        }

    def delete(self) -> None:
        """Delete the state: its training has ended."""
        self.path.unlink(missing_ok=True)


class FoldStore:
    """A fold on disk; the mark that it is finished is written last.

    Parameters
    ----------
    directory : Path
        Folder of the folds.
    repeat, fold : int
        Which one.
    mark : str
        Hash of data and settings.
    """

    def __init__(self, directory: Path, repeat: int, fold: int, mark: str) -> None:
        self.directory = directory / f"repeat{repeat}_fold{fold}"
        self.mark = mark
        self.checkpoint = Checkpoint(self.directory / "epoch.npz", mark)

    @property
    def is_complete(self) -> bool:
        """Whether the fold was finished with the same data and settings."""
        path = self.directory / "done.json"
        return path.exists() and json.loads(path.read_text()).get("fingerprint") == self.mark

    def write(
        self,
        weights: Arrays,
        history: pd.DataFrame,
        predictions: pd.DataFrame,
        base: FoldStore | None = None,
    ) -> None:
        """Write the finished fold; the mark comes last, so half a fold counts as not done.

        Of the weights only those are written that differ from a finished fold `base` beside it.
        """
        (self.directory / "done.json").unlink(missing_ok=True)
        arrays = _named("w", weights)
        if base is not None:
            theirs = _named("w", base.weights())
            arrays = {k: v for k, v in arrays.items() if not np.array_equal(v, theirs[k])}
            arrays["base"] = np.array(base.directory.name)
        self._write("weights.npz", lambda path: _save_arrays(path, arrays))
        self._write("history.csv", lambda path: history.to_csv(path, index=False))
        self._write("predictions.parquet", lambda path: predictions.to_parquet(path, index=False))
        mark = json.dumps({"fingerprint": self.mark})
        self._write("done.json", lambda path: path.write_text(mark))
        self.checkpoint.delete()

    def _write(self, name: str, write: Callable[[Path], object]) -> None:
        with written_aside(self.directory / name) as aside:
            write(aside)

    def weights(self) -> list[np.ndarray]:
        """Return the weights in the order of ``get_weights``."""
        arrays = self._arrays(self.directory)
        if "base" in arrays:
            arrays = self._arrays(self.directory.parent / str(arrays["base"])) | arrays
        return _lettered(arrays, "w")

    def _arrays(self, directory: Path) -> dict[str, np.ndarray]:
        with np.load(directory / "weights.npz", allow_pickle=False) as stored:
            return dict(stored)

    def history(self) -> pd.DataFrame:
        """Return the learning curve."""
        return pd.read_csv(self.directory / "history.csv")

    def predictions(self) -> pd.DataFrame:
        """Return the scored records."""
        return pd.read_parquet(self.directory / "predictions.parquet")


def _save_arrays(path: Path, arrays: Mapping[str, Any]) -> None:
    with path.open("wb") as file:
        np.savez(file, **arrays)
