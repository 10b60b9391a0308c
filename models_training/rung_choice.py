"""The rung ``choose``: in every fold, the rung with the lowest loss on its inner patients."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.special import logit

from models_training.fold_store import FOLDS, FoldStore
from models_training.ridge import logit_loss
from models_training.variants import VariantFit

CANDIDATES_FOLDER = "rungs"


def inner_losses(predictions: pd.DataFrame, splits: pd.DataFrame) -> pd.DataFrame:
    """Return the loss of one rung on the inner validation patients of each fold.

    Parameters
    ----------
    predictions : DataFrame
        ``record_id, patient_id, repeat, fold, role, y_true, y_score``; rows of role ``test`` are
        not looked at, nor training patients that are not in the inner validation fold: a network
        has no score for those that it was not fitted on.
    splits : DataFrame
        ``patient_id, repeat, fold, role``.

    Returns
    -------
    DataFrame
        ``repeat, fold, val_loss, n_patients, n_events``: mean log loss of patients, each scored by
        the mean logit of the own ECGs.
    """
    rows = _inner_rows(predictions, splits)
    score = rows["y_score"].clip(1e-7, 1 - 1e-7)
    keys = ["repeat", "fold", "patient_id"]
    patients = rows.assign(logit=logit(score)).groupby(keys, as_index=False)
    patients = patients.agg(logit=("logit", "mean"), y_true=("y_true", "first"))
    found = []
    for (repeat, fold), part in patients.groupby(["repeat", "fold"]):
        y_true = part["y_true"].to_numpy(int)
        loss = logit_loss(y_true, part["logit"].to_numpy())
        counts = {"n_patients": len(part), "n_events": int(y_true.sum())}
        found.append({"repeat": repeat, "fold": fold, "val_loss": loss, **counts})
    return pd.DataFrame(found)


def _inner_rows(predictions: pd.DataFrame, splits: pd.DataFrame) -> pd.DataFrame:
    inner = splits.loc[splits["role"] == "validation", ["patient_id", "repeat", "fold"]]
    rows = predictions[predictions["role"] == "validation"]
    return rows.merge(inner, on=["patient_id", "repeat", "fold"], validate="many_to_one")


def choose_by_fold(losses: pd.DataFrame) -> pd.DataFrame:
    """Return the losses with ``is_chosen``: the lowest of each fold; of equals the first row.

    Parameters
    ----------
    losses : DataFrame
        ``repeat, fold, rung, val_loss``, the cheapest rung first.
    """
    best = losses.groupby(["repeat", "fold"])["val_loss"].idxmin()
    return losses.assign(is_chosen=losses.index.isin(best))


def fit_choice(
    fit_rung: Callable[[str, Path], VariantFit],
    rungs: Iterable[str],
    splits: pd.DataFrame,
    directory: Path,
) -> VariantFit:
    """Fit every rung, and keep in each fold the one its inner validation patients prefer.

    The test patients of a fold take no part in its choice; the model for new patients is the
    rung with the lowest mean loss over the folds.

    Parameters
    ----------
    fit_rung : callable
        From a rung and a folder to its fit in the folds of `splits`.
    rungs : iterable of str
        Candidates, the cheapest first.
    splits : DataFrame
        ``patient_id, repeat, fold, role``.
    directory : Path
        Of the variant; each rung has a folder in it, the chosen folds are copied out of these.

    Returns
    -------
    VariantFit
        ``history`` is the table of choices: ``repeat, fold, rung, val_loss, n_patients, n_events,
        is_chosen``. ``fitted_on`` names all patients on whom any rung was fitted or compared.
    """
    losses, found, fitted_on, best = [], {}, {}, None
    for rung in rungs:
        fit = fit_rung(rung, directory / CANDIDATES_FOLDER / rung)
        mine = inner_losses(fit.predictions, splits)
        losses.append(mine.assign(rung=rung))
        found[rung] = fit.predictions
        for key, patients in fit.fitted_on.items():
            fitted_on[key] = sorted({*fitted_on.get(key, []), *patients})
        if best is None or mine["val_loss"].mean() < best[0]:
            best = (mine["val_loss"].mean(), rung, fit)  # one network in memory, not six
    if best is None:
        raise ValueError("rungs must name at least one rung, got none.")
    choices = choose_by_fold(pd.concat(losses, ignore_index=True))
    predictions = []
    for row in choices[choices["is_chosen"]].to_dict("records"):
        table = found[row["rung"]]
        part = table[(table["repeat"] == row["repeat"]) & (table["fold"] == row["fold"])]
        inner = _inner_rows(part, splits)[table.columns]
        predictions += [inner, part[part["role"] == "test"]]
        _copy_fold(directory, row)
        is_here = (splits["repeat"] == row["repeat"]) & (splits["fold"] == row["fold"])
        compared = splits[is_here & (splits["role"] == "validation")]["patient_id"]
        key = (int(row["repeat"]), int(row["fold"]))
        fitted_on[key] = sorted({*fitted_on[key], *compared})
    about = {**best[2].about, "rung": best[1], "rung_chosen_by": "mean inner validation loss"}
    return replace(
        best[2],
        history=choices,
        predictions=pd.concat(predictions, ignore_index=True),
        fitted_on=fitted_on,
        fitted_roles=("train", "validation"),
        about=about,
    )


def _copy_fold(directory: Path, row: dict) -> None:
    """Copy the network of a fold's rung to where the explanations look for it."""
    key = (int(row["repeat"]), int(row["fold"]))
    source = FoldStore(directory / CANDIDATES_FOLDER / row["rung"] / FOLDS, *key, mark="")
    if (source.directory / "done.json").exists():
        target = FoldStore(directory / FOLDS, *key, mark=f"chosen {row['rung']}")
        target.write(source.weights(), source.history(), source.predictions())


def choice_table(choices: pd.DataFrame) -> pd.DataFrame:
    """Return the losses with one row a fold and one column a rung, and the rung that was chosen."""
    keys = ["repeat", "fold"]
    rungs = list(dict.fromkeys(choices["rung"]))
    table = choices.pivot(index=keys, columns="rung", values="val_loss")[rungs]
    chosen = choices[choices["is_chosen"]].set_index(keys)
    table = table.assign(chosen=chosen["rung"], n_events=chosen["n_events"])
    return table.rename_axis(columns=None).reset_index().replace({np.nan: None})
