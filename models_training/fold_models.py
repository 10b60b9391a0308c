"""The networks of finished folds, to explain held-out patients."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd

from models_training.bundle import BundleError, load_bundle
from models_training.crops import crop_starts
from models_training.ensemble import first_member
from models_training.fold_store import FOLDS, FoldStore
from models_training.inputs import ECG_INPUT
from models_training.one_target import one_target, take_weights


class FoldModels:
    """The networks of the folds of one variant, one in memory at a time.

    Parameters
    ----------
    directory : Path
        Folder of the variant, with its bundle and its folds.
    target : str
        Which of several targets the networks are asked about, see
        `models_training.one_target.one_target`; empty: the first.

    Raises
    ------
    BundleError
        If the model was not trained for that target.
    """

    def __init__(self, directory: Path, target: str = "") -> None:
        self.directory = directory
        model, card = load_bundle(directory)
        names = [item["name"] for item in card.get("targets") or [{"name": card["target"]}]]
        if target and target not in names:
            raise BundleError(
                f"target must be one of {', '.join(names)}, got {target!r}. Train this variant "
                "again for it."
            )
        self.column = names.index(target) if target else 0
        self.whole = first_member(model)
        self.model = one_target(self.whole, card.get("head", {"kind": "binary"}), self.column)
        self.first_seed = int(card.get("settings", {}).get("seed", 0))

    def middle_of(self, ecg: np.ndarray) -> np.ndarray:
        """Return the middle of some ECGs, (n, n_samples, 12), as long as the networks see it."""
        n_samples = self.model.get_layer(ECG_INPUT).output.shape[1]
        (start,) = crop_starts(ecg.shape[1], n_samples, 1)
        return np.asarray(ecg[:, start : start + n_samples])

    def reader(self, signals: np.ndarray) -> Callable[[Any], np.ndarray]:
        """Return a function from rows of `signals` to these ECGs, as long as a network sees."""
        return lambda rows: self.middle_of(signals[np.asarray(rows)])

    def load(self, repeat: int, fold: int, seed: int | None = None) -> keras.Model:
        """Return the network that was trained without the test patients of this fold.

        Of an ensemble the first seed's unless one is named, on its own scale (before a
        recalibration). The network returned before takes these weights.

        Raises
        ------
        FileNotFoundError
            If the fold was not trained.
        """
        folder = self.directory / FOLDS
        if seed is not None and int(seed) != self.first_seed:
            folder = folder / f"seed{int(seed)}"
        store = FoldStore(folder, int(repeat), int(fold), mark="")
        is_done = (store.directory / "done.json").exists()
        weights = store.weights() if is_done else []
        if not weights:  # folds of rung embedding were once stored without
            raise FileNotFoundError(
                f"fold {fold} of repeat {repeat} must have been trained, got no weights in "
                f"{folder.relative_to(self.directory.parent)}. Run notebook 02_train_model for "
                "this variant."
            )
        self.whole.set_weights(weights)
        take_weights(self.model, self.whole, self.column)
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


def training_ecgs(
    records: pd.DataFrame,
    patients: pd.DataFrame,
    splits: pd.DataFrame,
    *,
    n: int,
    rng: np.random.Generator,
) -> Callable[[int, int], pd.DataFrame]:
    """Return a function from repeat and fold to training ECGs, one a patient.

    Parameters
    ----------
    records : DataFrame
        ``record_id, patient_id, signal_row``.
    patients : DataFrame
        ``patient_id, outcome``, 0 or 1 of whatever is explained; unknown ones are left out.
    splits : DataFrame
        ``patient_id, repeat, fold, role``.
    n : int
        Patients a fold, at most.
    rng : numpy.random.Generator
        Of the draw.

    Returns
    -------
    callable
        To a DataFrame ``record_id, patient_id, signal_row, y_true``.
    """
    outcome = patients.set_index("patient_id")["outcome"].dropna().astype(int).rename("y_true")
    known = records[["record_id", "patient_id", "signal_row"]].merge(
        outcome, left_on="patient_id", right_index=True
    )

    def draw(repeat: int, fold: int) -> pd.DataFrame:
        is_train = (splits["repeat"] == repeat) & (splits["fold"] == fold)
        ids = splits.loc[is_train & (splits["role"] == "train"), "patient_id"]
        mine = known[known["patient_id"].isin(ids)]
        mixed = mine.iloc[rng.permutation(len(mine))]
        return mixed.drop_duplicates("patient_id").head(n).reset_index(drop=True)

    return draw
