"""The rung ``choose``: in every fold, the cheapest rung that its inner patients do not refute."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.special import logit

from models_training.fold_store import FOLDS, FoldStore
from models_training.variant_fit import VariantFit

CANDIDATES_FOLDER = "rungs"


def inner_losses(predictions: pd.DataFrame, splits: pd.DataFrame) -> pd.DataFrame:
    """Return the loss of one rung for each inner validation patient of each fold.

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
        ``repeat, fold, patient_id, y_true, val_loss``: log loss by the mean logit of the own ECGs.
    """
    rows = _inner_rows(predictions, splits)
    score = rows["y_score"].clip(1e-7, 1 - 1e-7)
    keys = ["repeat", "fold", "patient_id"]
    patients = rows.assign(logit=logit(score)).groupby(keys, as_index=False)
    patients = patients.agg(logit=("logit", "mean"), y_true=("y_true", "first"))
    loss = np.logaddexp(0.0, patients["logit"]) - patients["y_true"] * patients["logit"]
    return patients.drop(columns="logit").assign(val_loss=loss)


def _inner_rows(predictions: pd.DataFrame, splits: pd.DataFrame) -> pd.DataFrame:
    inner = splits.loc[splits["role"] == "validation", ["patient_id", "repeat", "fold"]]
    rows = predictions[predictions["role"] == "validation"]
    return rows.merge(inner, on=["patient_id", "repeat", "fold"], validate="many_to_one")


def is_better(losses: pd.Series, than: pd.Series) -> bool:
    """Return whether the mean loss is lower by more than one standard error of the difference.

    The one-standard-error rule of Breiman et al. 1984 (Classification and regression trees), see
    Hastie et al. 2009 (doi 10.1007/978-0-387-84858-7), section 7.10, with the standard error of
    the paired difference. A trained rung has chosen its epoch on these patients and a ridge
    regression nothing, so the lowest loss alone would prefer the former.

    Parameters
    ----------
    losses, than : Series
        Of the same patients, by their pseudonym.
    """
    gain = (than - losses.reindex(than.index)).to_numpy()
    # the standard error is not known of one patient
    return len(gain) > 1 and bool(gain.mean() > gain.std(ddof=1) / np.sqrt(len(gain)))


def choose_by_fold(losses: pd.DataFrame) -> pd.DataFrame:
    """Return the mean losses of each fold and rung, and which rung is chosen.

    A rung takes the place of a cheaper one where it `is_better`.

    Parameters
    ----------
    losses : DataFrame
        ``repeat, fold, rung, patient_id, y_true, val_loss``, the cheapest rung first.

    Returns
    -------
    DataFrame
        ``repeat, fold, rung, val_loss, n_patients, n_events, is_chosen``.
    """
    keys = ["repeat", "fold"]
    tables = []
    for key, fold in losses.groupby(keys):
        of_rung = {
            rung: rows.set_index("patient_id") for rung, rows in fold.groupby("rung", sort=False)
        }
        chosen = next(iter(of_rung))
        for rung, rows in of_rung.items():
            if is_better(rows["val_loss"], of_rung[chosen]["val_loss"]):
                chosen = rung
        facts = dict(zip(keys, key, strict=True))
        tables += [
            facts
            | {"rung": rung, "val_loss": rows["val_loss"].mean(), "n_patients": len(rows)}
            | {"n_events": int(rows["y_true"].sum()), "is_chosen": rung == chosen}
            for rung, rows in of_rung.items()
        ]
    return pd.DataFrame(tables)


def fit_choice(
    fit_rung: Callable[[str, Path], VariantFit],
    rungs: Iterable[str],
    splits: pd.DataFrame,
    directory: Path,
) -> VariantFit:
    """Fit every rung, and keep in each fold the one its inner validation patients prefer.

    The test patients of a fold take no part in its choice. The rung for new patients is chosen by
    the same rule from the patients' mean losses over the folds.

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
        of_patients = mine.groupby("patient_id")["val_loss"].mean()
        if best is None or is_better(of_patients, best[0]):
            best = of_patients, rung, fit  # one network in memory, not six
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
    rule = "inner validation loss, one-standard-error rule"
    about = {**best[2].about, "rung": best[1], "rung_chosen_by": rule}
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
