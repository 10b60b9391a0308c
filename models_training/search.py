"""Hyper-parameters chosen by Optuna inside the training patients of one fold."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from models_training.settings import TrainingSettings

TRIAL_COLUMNS = ["trial", "val_loss", "is_best"]


@dataclass(frozen=True)
class Range:
    """Where a value is looked for; `is_log` looks evenly on the logarithm."""

    low: float
    high: float
    is_log: bool = False


# The declared space. Widths and depths are not in it: their cost differs, not their fairness alone.
SPACE: dict[str, Range] = {
    "learning_rate": Range(1e-4, 1e-2, is_log=True),
    "weight_decay": Range(1e-4, 1e-1, is_log=True),
    "dropout": Range(0.0, 0.6),
    "augment_strength": Range(0.0, 1.5),
}


def with_values(settings: TrainingSettings, values: Mapping[str, float]) -> TrainingSettings:
    """Return settings with some values of `SPACE`; dropout belongs to the architecture."""
    found = {name: value for name, value in values.items() if name != "dropout"}
    if "dropout" in values:
        architecture = replace(settings.architecture, dropout=values["dropout"])
        found["architecture"] = architecture
    return replace(settings, **found)


def search(
    objective: Callable[[dict[str, float]], float], *, n_trials: int, seed: int, journal: Path
) -> pd.DataFrame:
    """Return every trial of a search for the lowest loss.

    A stopped search goes on after the last finished trial and ends as if it had not been stopped:
    every proposal is a function of the seed, its number and the finished trials alone.

    Parameters
    ----------
    objective : callable
        From values by the names of `SPACE` to the loss of the inner validation patients.
    n_trials : int
        Finished trials to reach.
    seed : int
        Of the proposals.
    journal : Path
        File the trials are kept in; its folder exists.

    Returns
    -------
    DataFrame
        ``trial`` (from 1), a column a value, ``val_loss``, ``is_best`` (one row).

    Raises
    ------
    ModuleNotFoundError
        If Optuna is not installed.
    ValueError
        If `n_trials` is below 1.

    References
    ----------
    Akiba et al. 2019, Optuna. doi 10.1145/3292500.3330701. Bergstra et al. 2011, the tree of Parzen
    estimators that proposes the values.
    """
    if n_trials < 1:
        raise ValueError(f"n_trials must be at least 1 for a search, got {n_trials}. 0 is off.")
    optuna = _optuna()
    backend = optuna.storages.journal.JournalFileBackend(str(journal))
    storage = optuna.storages.JournalStorage(backend)
    study = optuna.create_study(
        storage=storage, study_name="fold", direction="minimize", load_if_exists=True
    )
    while (n_done := len(_finished(optuna, study))) < n_trials:
        # A sampler's own state is lost with its process: each proposal gets a seed of its own.
        study.sampler = optuna.samplers.TPESampler(seed=_seed(seed, n_done), n_startup_trials=5)
        trial = study.ask()
        values = {
            name: trial.suggest_float(name, range_.low, range_.high, log=range_.is_log)
            for name, range_ in SPACE.items()
        }
        loss = objective(values)
        study.tell(trial, loss if np.isfinite(loss) else 1e9)  # diverged: a bad trial, not none
    finished = _finished(optuna, study)
    rows = [{"trial": k + 1, **t.params, "val_loss": t.value} for k, t in enumerate(finished)]
    table = pd.DataFrame(rows)
    return table.assign(is_best=table.index == table["val_loss"].idxmin())


def best_values(trials: pd.DataFrame) -> dict[str, float]:
    """Return the values of the best trial."""
    row = trials.loc[trials["is_best"]].iloc[0]
    return {name: float(row[name]) for name in SPACE}


def middle_values(trials: pd.DataFrame) -> dict[str, float]:
    """Return the median over folds of the best trials' values: those of the model for new patients.

    Parameters
    ----------
    trials : DataFrame
        ``repeat, fold`` and the columns of :func:`search`.
    """
    best = trials.loc[trials["is_best"], list(SPACE)]
    return {name: float(value) for name, value in best.median().items()}


def _seed(seed: int, number: int) -> int:
    return int(np.random.SeedSequence([seed, number]).generate_state(1)[0])


def _finished(optuna: Any, study: Any) -> list[Any]:
    return study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.COMPLETE,))


def _optuna() -> Any:
    try:
        import optuna
    except ModuleNotFoundError:
        raise ModuleNotFoundError(
            "optuna must be installed for n_trials above 0, got no such package. Install it with "
            'pip install -e ".[search]", or set n_trials to 0.'
        ) from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna
