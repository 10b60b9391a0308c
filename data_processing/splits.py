"""Split patients into folds and roles; the patient is the unit, always."""

from __future__ import annotations

import hashlib
import re

import numpy as np
import pandas as pd
from sklearn.model_selection import StratifiedKFold, train_test_split

BY_SITE = "leave_one_site_out"
PROTOCOLS = ("cross_validation", "hold_out", BY_SITE)
SPLIT_COLUMNS = ("patient_id", "repeat", "fold", "inner_fold", "role")


def make_splits(
    patients: pd.DataFrame,
    *,
    protocol: str = "cross_validation",
    n_folds: int = 5,
    n_repeats: int = 1,
    n_inner_folds: int = 5,
    test_fraction: float = 0.2,
    seed: int = 0,
) -> pd.DataFrame:
    """Assign every patient a role in every repeat and fold, stratified by outcome.

    Parameters
    ----------
    patients
        One row a patient: ``patient_id``, ``outcome`` (0/1, missing where the status at the
        horizon is unknown); ``site`` (none missing) for ``leave_one_site_out``.
    protocol
        ``cross_validation`` (each patient is tested once a repeat), ``hold_out`` (one fold,
        ``test_fraction`` of the patients is tested) or ``leave_one_site_out`` (each site is one
        test fold, in the order of ``site_names``, however few events it has; one repeat).
    n_folds
        Outer folds of the cross-validation; elsewhere without meaning.
    n_repeats
        Repeats with other random folds (or another random hold-out set).
    n_inner_folds
        Inner folds among the patients that are not tested, for thresholds and tuning.
    test_fraction
        Of the patients, for ``hold_out``.
    seed
        The same patients and seed give the same table, in whatever order the patients come.

    Returns
    -------
    DataFrame
        ``patient_id, repeat, fold, inner_fold, role``; one row per patient, repeat and fold.
        ``role`` is ``test``, ``validation`` (inner fold 0: early stopping) or ``train``;
        ``inner_fold`` is -1 for ``test``, else 0 to n_inner_folds - 1. Patients without a known
        outcome are tested like the others and are ``unlabelled`` (-1) elsewhere: nothing may be
        fitted on them. Whether they are there or not, the others are split alike.

    Raises
    ------
    ValueError
        If a parameter is out of range or there are fewer events (or non-events) than folds.
    """
    _check_parameters(patients, protocol, n_folds, n_repeats, n_inner_folds, test_fraction)
    is_known = patients["outcome"].notna()
    ordered = patients[is_known].sort_values("patient_id")
    unknown = np.sort(patients.loc[~is_known, "patient_id"].to_numpy(dtype=object))
    share = 1 / n_folds if protocol == "cross_validation" else test_fraction
    ids = ordered["patient_id"].to_numpy(dtype=object)
    outcome = ordered["outcome"].to_numpy(dtype=np.int8)
    frames = []
    for repeat in range(n_repeats):
        rng = np.random.default_rng([seed, repeat])
        test_fold = _unknown_folds(len(unknown), share, np.random.default_rng([seed, repeat, 1]))
        if protocol == "cross_validation":
            _check_events(outcome, n_folds, "n_folds")
            outer = StratifiedKFold(n_folds, shuffle=True, random_state=_random_state(rng))
            test_sets = [test for _, test in outer.split(ids, outcome)]
        elif protocol == BY_SITE:
            names = site_names(ordered)
            test_sets = [np.flatnonzero(ordered["site"].astype(str) == name) for name in names]
            place = {name: number for number, name in enumerate(names)}
            site_of = patients.set_index("patient_id")["site"].astype(str).map(place)
            test_fold = site_of.reindex(unknown).to_numpy()
        else:
            everyone = np.arange(len(ids))
            state = _random_state(rng)
            _, test = train_test_split(
                everyone, test_size=test_fraction, stratify=outcome, random_state=state
            )
            test_sets = [test]
        for fold, test in enumerate(test_sets):
            inner_fold = _inner_folds(outcome, test, n_inner_folds, rng)
            role = np.select([inner_fold < 0, inner_fold == 0], ["test", "validation"], "train")
            columns = (ids, repeat, fold, inner_fold, role.astype(object))
            frames.append(pd.DataFrame(dict(zip(SPLIT_COLUMNS, columns, strict=True))))
            role = np.where(test_fold == fold, "test", "unlabelled").astype(object)
            columns = (unknown, repeat, fold, -1, role)
            if len(unknown):
                frames.append(pd.DataFrame(dict(zip(SPLIT_COLUMNS, columns, strict=True))))
    return pd.concat(frames, ignore_index=True)


def site_names(patients: pd.DataFrame) -> list[str]:
    """Return the sites in the order of their folds: by name, "site 2" before "site 10".

    Raises
    ------
    ValueError
        If there is no column ``site``, a patient has none, or there are fewer than two.
    """
    if "site" not in patients:
        raise ValueError(
            "site_column must be a column of the patients, got none of that name. Add `site` to "
            "`columns` in the mapping file, or name the column."
        )
    n_unknown = int(patients["site"].isna().sum())
    names = patients["site"].dropna().astype(str).unique()
    if n_unknown or len(names) < 2:
        raise ValueError(
            f"site must be known for every patient, with two sites or more, got {len(names)} sites "
            f"and {n_unknown} patients without. Complete the column, or use cross_validation."
        )
    return sorted(
        names, key=lambda name: [int(x) if x.isdigit() else x for x in re.split(r"(\d+)", name)]
    )


def _random_state(rng: np.random.Generator) -> int:
    return int(rng.integers(2**31))  # scikit-learn takes a number, not a Generator


def _unknown_folds(n_unknown: int, share: float, rng: np.random.Generator) -> np.ndarray:
    """Return the test fold of patients without a known outcome, a share of them in each.

    In a hold-out only this share is tested (fold 0): all of them would make the test set one in
    which more are lost to follow-up than in the cohort.
    """
    place = (rng.permutation(n_unknown) + rng.random()) / max(n_unknown, 1)
    return np.floor(place / share).astype(np.int64)


def _inner_folds(
    outcome: np.ndarray, test: np.ndarray, n_inner_folds: int, rng: np.random.Generator
) -> np.ndarray:
    """Return -1 for tested patients, and the inner fold of the others."""
    inner_fold = np.full(len(outcome), -1, dtype=np.int64)
    rest = np.setdiff1d(np.arange(len(outcome)), test)
    _check_events(outcome[rest], n_inner_folds, "n_inner_folds")
    inner = StratifiedKFold(n_inner_folds, shuffle=True, random_state=_random_state(rng))
    for number, (_, members) in enumerate(inner.split(rest, outcome[rest])):
        inner_fold[rest[members]] = number
    return inner_fold


def _check_events(outcome: np.ndarray, n_folds: int, name: str) -> None:
    n_events = int(outcome.sum())
    rarer, word = min((n_events, "with"), (len(outcome) - n_events, "without"))
    if rarer < n_folds:
        raise ValueError(
            f"{name} must be at most the number of patients {word} the event outside the test set "
            f"({rarer}), got {n_folds}. Use fewer folds or more patients."
            if name == "n_inner_folds"
            else f"{name} must be at most the number of patients {word} the event ({rarer}), got "
            f"{n_folds}. Use fewer folds or more patients."
        )


def _check_parameters(
    patients: pd.DataFrame,
    protocol: str,
    n_folds: int,
    n_repeats: int,
    n_inner_folds: int,
    test_fraction: float,
) -> None:
    rules = (
        ("protocol", protocol, protocol in PROTOCOLS, f"one of {', '.join(PROTOCOLS)}"),
        ("n_folds", n_folds, n_folds >= 2, "at least 2"),
        ("n_repeats", n_repeats, n_repeats >= 1, "at least 1"),
        ("n_inner_folds", n_inner_folds, n_inner_folds >= 2, "at least 2"),
        ("test_fraction", test_fraction, 0 < test_fraction < 1, "between 0 and 1"),
    )
    for name, value, is_met, rule in rules:
        if not is_met:
            raise ValueError(f"{name} must be {rule}, got {value}. Change the parameter.")
    if protocol == BY_SITE and n_repeats != 1:
        raise ValueError(
            f"n_repeats must be 1 for {BY_SITE}, got {n_repeats}. There is one way to do it."
        )
    if patients["patient_id"].duplicated().any():
        n_repeated = int(patients["patient_id"].duplicated().sum())
        raise ValueError(
            f"patients must have one row each, got {n_repeated} repeated. Split patients, not "
            "records."
        )


def hash_splits(splits: pd.DataFrame) -> str:
    """Return the sha256 of a split table, whatever the order of its rows; for ``card.json``."""
    columns = list(SPLIT_COLUMNS)
    rows = splits[columns].sort_values(columns).to_csv(index=False, lineterminator="\n")
    return hashlib.sha256(rows.encode()).hexdigest()
