"""Networks trained on shuffled outcomes: what their maps show was not learnt from the outcome."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd

from models_training.bundle import load_card, other_task
from models_training.inputs import TrainingData
from models_training.settings import ArchitectureSettings, TrainingSettings
from models_training.training import NetworkTrainer


def shuffle_outcomes(data: TrainingData, *, seed: int) -> TrainingData:
    """Return the data with the outcomes of patients dealt anew among those who have one.

    Parameters
    ----------
    data : TrainingData
        With one binary outcome.
    seed : int
        Of the shuffle.

    Returns
    -------
    TrainingData
        As many events as before; patients without a known outcome stay without.
    """
    patients = data.patients.copy()
    rows = np.flatnonzero(patients["outcome"].notna())
    column = patients.columns.get_loc("outcome")
    dealt = np.random.default_rng(seed).permutation(rows)
    patients.iloc[rows, column] = patients["outcome"].iloc[dealt].to_numpy()
    return replace(data, patients=patients, target_table=None)


def shuffled_label_networks(
    data: TrainingData,
    splits: pd.DataFrame,
    settings: TrainingSettings,
    *,
    n_epochs: int,
    seed: int = 0,
) -> Callable[[int, int], keras.Model]:
    """Return a function from repeat and fold to a network trained on shuffled outcomes.

    Parameters
    ----------
    data : TrainingData
        The cohort of the run, with the covariates of the variant.
    splits : DataFrame
        ``patient_id, repeat, fold, role``; train and validation patients are trained on.
    settings : TrainingSettings
        Those of the run.
    n_epochs : int
        All of them are trained: no validation loss can choose among epochs where there is nothing
        to learn. Enough to learn the training patients by heart make the check sharper.
    seed : int
        Of the shuffle.

    Returns
    -------
    callable
        Trains when it is called; the network returned before takes the new weights.

    Raises
    ------
    ValueError
        If the run started from an encoder: what that had learnt is not shuffled.

    References
    ----------
    Adebayo et al. 2018, doi 10.48550/arXiv.1810.03292, section 4 (data randomisation).
    """
    if settings.rung != "scratch":
        raise ValueError(
            f"settings.rung must be 'scratch', got {settings.rung!r}. What an encoder has learnt "
            "before is not shuffled; leave this check out."
        )
    trainer = NetworkTrainer(
        shuffle_outcomes(data, seed=seed), replace(settings, n_epochs=n_epochs)
    )

    def load(repeat: int, fold: int) -> keras.Model:
        is_fold = (splits["repeat"] == repeat) & (splits["fold"] == fold)
        ids = splits.loc[is_fold & splits["role"].isin(["train", "validation"]), "patient_id"]
        rows = trainer.data.rows_of(list(ids))
        rows = rows[trainer.data.is_labelled[rows]]
        trainer.fit(rows, None, n_epochs=n_epochs, seed=(int(repeat), int(fold)))
        return trainer.model

    return load


def networks_of_run(
    directory: Path,
    cohort: tuple[np.ndarray, pd.DataFrame, pd.DataFrame, pd.DataFrame],
    splits: pd.DataFrame,
    n_epochs: int,
) -> Callable[[int, int], keras.Model] | None:
    """Return `shuffled_label_networks` with the settings of a trained variant; None for no epochs.

    Parameters
    ----------
    directory : Path
        Of the variant, with its ``card.json``.
    cohort : tuple
        Signals, records, patients, and the variant's encoded covariates.
    splits : DataFrame
        ``patient_id, repeat, fold, role``.
    n_epochs : int
        Epochs of a training; 0: the check is not made.

    Raises
    ------
    ValueError
        If the run predicts something else than one binary outcome.
    """
    if not n_epochs:
        return None
    card = load_card(directory)
    if reason := other_task(card):
        raise ValueError(f"{reason}. Set shuffled_epochs to 0: this check is made for one outcome.")
    settings = settings_of_card(card)
    return shuffled_label_networks(TrainingData(*cohort), splits, settings, n_epochs=n_epochs)


def settings_of_card(card: Mapping[str, Any]) -> TrainingSettings:
    """Return the training settings that a bundle's card holds."""
    stored = dict(card["settings"])
    architecture = dict(stored.pop("architecture"))
    architecture["stage_blocks"] = tuple(architecture["stage_blocks"])
    known = TrainingSettings.__dataclass_fields__
    return TrainingSettings(
        **{name: value for name, value in stored.items() if name in known},
        architecture=ArchitectureSettings(**architecture),
    )
