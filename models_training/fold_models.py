"""Finished folds: kept on disk, continued after a stop, loaded to explain held-out patients."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pandas as pd

from models_training.bundle import load_bundle

FOLDS = "folds"


class FoldStore:
    """A finished fold on disk; the mark that it is whole is written last."""

    def __init__(self, directory: Path, repeat: int, fold: int, mark: str) -> None:
        self.directory = directory / f"repeat{repeat}_fold{fold}"
        self.mark = mark

    @property
    def is_complete(self) -> bool:
        """Whether the fold was finished with the same data and settings."""
        path = self.directory / "done.json"
        return path.exists() and json.loads(path.read_text()).get("fingerprint") == self.mark

    def write(
        self, weights: list[np.ndarray], history: pd.DataFrame, predictions: pd.DataFrame
    ) -> None:
        """Write the fold; the mark comes last, so a half-written fold counts as not done."""
        self.directory.mkdir(parents=True, exist_ok=True)
        (self.directory / "done.json").unlink(missing_ok=True)
        named = {f"w{number:04d}": array for number, array in enumerate(weights)}
        np.savez(self.directory / "weights.npz", **named)
        history.to_csv(self.directory / "history.csv", index=False)
        predictions.to_parquet(self.directory / "predictions.parquet", index=False)
        aside = self.directory / ".done.json"
        aside.write_text(json.dumps({"fingerprint": self.mark}))
        aside.replace(self.directory / "done.json")

    def weights(self) -> list[np.ndarray]:
        """Return the weights in the order of ``get_weights``."""
        with np.load(self.directory / "weights.npz", allow_pickle=False) as stored:
            return [stored[name] for name in sorted(stored)]

    def history(self) -> pd.DataFrame:
        """Return the learning curve."""
        return pd.read_csv(self.directory / "history.csv")

    def predictions(self) -> pd.DataFrame:
        """Return the scored records."""
        return pd.read_parquet(self.directory / "predictions.parquet")


class FoldModels:
    """The networks of the folds of one variant, one in memory at a time.

    Parameters
    ----------
    directory : Path
        Folder of the variant, with its bundle and its folds.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.model, _ = load_bundle(directory)

    def load(self, repeat: int, fold: int) -> keras.Model:
        """Return the network that was trained without the test patients of this fold.

        Raises
        ------
        FileNotFoundError
            If the fold was not trained.
        """
        store = FoldStore(self.directory / FOLDS, int(repeat), int(fold), mark="")
        if not (store.directory / "done.json").exists():
            raise FileNotFoundError(
                f"fold {fold} of repeat {repeat} must have been trained, got no weights in "
                f"{self.directory.name}/{FOLDS}. Run notebook 02_train_model for this variant."
            )
        self.model.set_weights(store.weights())
        return self.model


def background(
    splits: pd.DataFrame, covariates: pd.DataFrame, *, n: int, rng: np.random.Generator
) -> Callable[[int, int], np.ndarray]:
    """Return a function from repeat and fold to covariates of training patients.

    Parameters
    ----------
    splits : DataFrame
        ``patient_id, repeat, fold, role``.
    covariates : DataFrame
        Encoded, indexed by ``patient_id``.
    n : int
        Patients drawn a fold, at most.
    rng : numpy.random.Generator
        Of the draw.
    """

    def draw(repeat: int, fold: int) -> np.ndarray:
        is_train = (splits["repeat"] == repeat) & (splits["fold"] == fold)
        ids = splits.loc[is_train & (splits["role"] == "train"), "patient_id"].to_numpy()
        return covariates.loc[rng.permutation(ids)[:n]].to_numpy(float)

    return draw
