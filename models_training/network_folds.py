"""The trainings of a variant's network: a search, every fold and seed, and one for new patients."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import expit, logit
from tqdm.auto import tqdm

from models_training.ensemble import ensemble_network
from models_training.fold_store import FOLDS, Checkpoint, FoldStore
from models_training.inputs import TrainingData
from models_training.recalibration import LogitLine, fit_line, write_into_network
from models_training.search import best_values, middle_values, search, with_values
from models_training.training import NetworkTrainer

_LEAST_RISK = 1e-12
Rows = dict[str, np.ndarray]


def _mean_logits(predictions: pd.DataFrame) -> pd.DataFrame:
    """Return the mean logit and the outcome of each patient over ECGs and seeds."""
    risk = predictions["y_score"].clip(_LEAST_RISK, 1 - _LEAST_RISK)
    found = predictions.assign(logit=logit(risk)).dropna(subset="y_true").groupby("patient_id")
    return found.agg(logit=("logit", "mean"), y_true=("y_true", "first"))


def _line(predictions: pd.DataFrame) -> LogitLine:
    patients = _mean_logits(predictions)
    return fit_line(patients["logit"].to_numpy(), patients["y_true"].to_numpy(float))


def recalibrated(predictions: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Return the predictions recalibrated in every fold, and the line for new patients.

    Each fold's line is fitted on its ``validation`` rows (training patients the network had not
    been trained on) and applied to all its rows. The line for new patients is fitted on the
    ``test`` rows of all folds, each by a network that had not seen the patient; with one fold it is
    that fold's.

    Parameters
    ----------
    predictions : DataFrame
        ``patient_id, repeat, fold, role, y_true, y_score``.

    Returns
    -------
    predictions : DataFrame
        With other `y_score`.
    about : dict
        ``method, intercept, slope, n, n_events`` for new patients, and ``folds``: the same of each.
    """
    parts, folds = [], []
    grouped = predictions.groupby(["repeat", "fold"], sort=False)
    used = predictions["role"] == ("test" if grouped.ngroups > 1 else "validation")
    for (repeat, fold), rows in grouped:
        line = _line(rows[rows["role"] == "validation"])
        risk = rows["y_score"].clip(_LEAST_RISK, 1 - _LEAST_RISK)
        parts.append(rows.assign(y_score=expit(line.apply(logit(risk)))))
        folds.append({"repeat": int(repeat), "fold": int(fold), **line.about()})
    about = {**_line(predictions[used]).about(), "folds": folds}
    return pd.concat(parts).loc[predictions.index], about


class NetworkFolds:
    """Every training of one variant, each kept on disk when it is finished.

    Parameters
    ----------
    trainer : NetworkTrainer
        Ready for the first seed.
    folds : list
        ``(repeat, fold, rows of the split)``.
    directory : Path
        Folder of the variant.
    mark : str
        Hash of data and settings.
    """

    def __init__(
        self,
        trainer: NetworkTrainer,
        folds: list[tuple[int, int, pd.DataFrame]],
        directory: Path,
        mark: str,
    ) -> None:
        self.data: TrainingData = trainer.data
        self.trainer, self.settings = trainer, trainer.settings
        self.store, self.mark = directory / FOLDS, mark
        self.seeds = [self.settings.seed + k for k in range(self.settings.n_seeds)]
        self.ids = {
            (repeat, fold): {str(role): list(r["patient_id"]) for role, r in part.groupby("role")}
            for repeat, fold, part in folds
        }
        self.values: dict[tuple[int, int], dict[str, float]] = {key: {} for key in self.ids}

    def rows(self, key: tuple[int, int]) -> Rows:
        """Return the records of a fold by role."""
        return {str(role): self.data.rows_of(ids) for role, ids in self.ids[key].items()}

    def fold_store(self, key: tuple[int, int], seed: int) -> FoldStore:
        """Return where a fold's network lies; the first seed's where explanations look for it."""
        is_first = seed == self.settings.seed
        return FoldStore(self.store if is_first else self.store / f"seed{seed}", *key, self.mark)

    def trainer_for(self, values: dict[str, float], seed: int) -> NetworkTrainer:
        """Return the trainer with a seed and the values of a search; the last one is kept."""
        settings = replace(with_values(self.settings, values), seed=seed)
        if settings != self.trainer.settings:
            self.trainer = self.trainer.another(settings)
        return self.trainer

    def search(self) -> pd.DataFrame | None:
        """Choose the values of every fold by the loss of its inner validation patients."""
        if not self.settings.n_trials:
            return None
        total, tables = self.settings.n_trials * len(self.ids), []
        with tqdm(total=total, desc="trials", unit="trial") as bar:
            for number, key in enumerate(self.ids):
                trials = self._trials(key, bar)
                self.values[key] = best_values(trials)
                tables.append(trials.assign(repeat=key[0], fold=key[1]))
                bar.update(self.settings.n_trials * (number + 1) - bar.n)  # those done before
        return pd.concat(tables, ignore_index=True)

    def _trials(self, key: tuple[int, int], bar: tqdm) -> pd.DataFrame:
        rows = self.rows(key)

        def objective(values: dict[str, float]) -> float:
            trainer = self.trainer_for(values, self.settings.seed)
            history = trainer.fit(
                rows["train"], rows["validation"], n_epochs=self.settings.n_epochs, seed=key
            )
            bar.update(1)
            return float(history.loc[history["is_kept"], "val_loss"].iloc[0])

        journal = self.fold_store(key, self.settings.seed).directory / f"{self.mark[:12]}.trials"
        journal.parent.mkdir(parents=True, exist_ok=True)
        n_trials, seed = self.settings.n_trials, self.settings.seed
        return search(objective, n_trials=n_trials, seed=seed, journal=journal)

    def train(
        self, key: tuple[int, int], seed: int, bar: tqdm
    ) -> tuple[NetworkTrainer, FoldStore, pd.DataFrame] | None:
        """Train one seed of a fold; None where that was done before."""
        done = self.fold_store(key, seed)
        if done.is_complete:
            bar.update(self.settings.n_epochs)
            return None
        trainer, rows = self.trainer_for(self.values[key], seed), self.rows(key)
        history = trainer.fit(
            rows["train"],
            rows["validation"],
            n_epochs=self.settings.n_epochs,
            seed=key,
            bar=bar,
            checkpoint=done.checkpoint,
        )
        return trainer, done, history

    def refit(self, trials: pd.DataFrame | None, n_epochs: int, bar: tqdm) -> list[Any]:
        """Train every seed on all labelled patients; return the weights of each."""
        everyone = np.flatnonzero(self.data.is_labelled)
        values = middle_values(trials) if trials is not None else {}
        kept, members = [], []
        for seed in self.seeds:
            name = "refit_all" if seed == self.settings.seed else f"refit_all_seed{seed}"
            kept.append(Checkpoint(self.store / f"{name}.npz", self.mark))
            trainer = self.trainer_for(values, seed)
            trainer.fit(
                everyone,
                None,
                n_epochs=n_epochs,
                seed=(2**16 - 1,),
                bar=bar,
                checkpoint=kept[-1],
            )
            members.append(trainer.model.get_weights())
            bar.update(self.settings.n_epochs - n_epochs)
        for checkpoint in kept:  # until all are done: a stopped run goes on with the next seed
            checkpoint.delete()
        return members

    def bundle(self, members: list[Any], line: dict[str, Any] | None) -> Any:
        """Return one network for new patients, recalibrated where a line is given."""
        model = self.trainer.model
        if line is not None:
            found = LogitLine(**{name: line[name] for name in LogitLine.__dataclass_fields__})
            for number, weights in enumerate(members):
                model.set_weights(weights)
                write_into_network(model, found)
                members[number] = model.get_weights()
        return ensemble_network(model, members)
