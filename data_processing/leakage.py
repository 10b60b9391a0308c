"""Guards against everything that lets a model see what it must not; each stops the run.

Every error says what leaked, how many, the first record (or patient) numbers, and what to do.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pandas as pd

from data_processing.duplicates import find_identical_files, find_near_identical
from data_processing.errors import LeakageError, listed

__all__ = [
    "LeakageError",
    "check_covariate_dates",
    "check_fitted_on",
    "check_records_before_event",
    "check_splits",
    "find_identical_files",
    "find_near_identical",
]


def check_splits(splits: pd.DataFrame, records: pd.DataFrame | None = None) -> None:
    """Check that no patient plays two roles, and that each is tested at most once a repeat.

    Parameters
    ----------
    splits
        ``patient_id, repeat, fold, inner_fold, role``.
    records
        If given, every record's patient must be in the splits, in every repeat and fold.

    Raises
    ------
    LeakageError
        With the patients concerned.
    """
    unknown = set(splits["role"]) - {"train", "validation", "test", "unlabelled"}
    if unknown:
        raise LeakageError(
            f"role must be train, validation, test or unlabelled, got {listed(sorted(unknown))}. "
            "Make the splits again."
        )
    keys = ["patient_id", "repeat", "fold"]
    twice = splits.loc[splits.duplicated(keys, keep=False), "patient_id"].unique()
    if len(twice):
        raise LeakageError(
            f"a patient must have one role in each fold, got {len(twice)} with several: "
            f"{listed(twice)}. Split patients, not records."
        )
    tested = splits[splits["role"] == "test"]
    again = tested.loc[tested.duplicated(["patient_id", "repeat"], keep=False), "patient_id"]
    if len(again):
        raise LeakageError(
            f"a patient must be tested once a repeat, got {again.nunique()} tested in several "
            f"folds: {listed(again.unique())}. Make the splits again."
        )
    is_unlabelled = splits["role"] == "unlabelled"
    is_fitted = splits["role"].isin(["train", "validation"])
    both = set(splits.loc[is_unlabelled, "patient_id"]) & set(splits.loc[is_fitted, "patient_id"])
    if both:
        raise LeakageError(
            "a patient without a known outcome must be unlabelled wherever it is not tested, got "
            f"{len(both)} also in training: {listed(sorted(both))}. Make the splits again."
        )
    is_wrong = (is_unlabelled | (splits["role"] == "test")) != (splits["inner_fold"] < 0)
    is_wrong |= (splits["role"] == "validation") != (splits["inner_fold"] == 0)
    if is_wrong.any():
        wrong = splits.loc[is_wrong, "patient_id"].unique()
        raise LeakageError(
            "inner_fold must be -1 for test and unlabelled, 0 for validation and above for train, "
            f"got {len(wrong)} patients where it is not: {listed(wrong)}. Make the splits again."
        )
    if records is not None:
        _check_records_are_split(splits, records)


def _check_records_are_split(splits: pd.DataFrame, records: pd.DataFrame) -> None:
    n_pairs = len(splits[["repeat", "fold"]].drop_duplicates())
    n_roles = splits.groupby("patient_id").size()
    is_missing = records["patient_id"].map(n_roles).fillna(0) < n_pairs
    if is_missing.any():
        missing = records.loc[is_missing, "record_id"]
        raise LeakageError(
            f"every record's patient must be in the splits, got {len(missing)} records without: "
            f"{listed(missing)}. Make the splits from the final patients."
        )


def check_records_before_event(records: pd.DataFrame, patients: pd.DataFrame) -> None:
    """Check that no ECG was recorded on or after the day of the event it is to predict.

    Parameters
    ----------
    records
        ``record_id, patient_id, recorded_at``; undated ones are not judged.
    patients
        ``patient_id, event_date`` (NaT without an event).

    Raises
    ------
    LeakageError
        With the records concerned. On the day itself the order is unknown, so it counts.
    """
    event_date = patients.set_index("patient_id")["event_date"]
    event_day = records["patient_id"].map(event_date).dt.normalize()
    late = records.loc[records["recorded_at"] >= event_day, "record_id"]
    if len(late):
        raise LeakageError(
            f"ECGs must be recorded before the event, got {len(late)} on or after its day: "
            f"{listed(late)}. Remove them from the table, or set ecgs_after_event = drop."
        )


def check_covariate_dates(patients: pd.DataFrame) -> None:
    """Check that covariates were collected by the index date.

    Parameters
    ----------
    patients
        ``patient_id, index_date, covariates_date`` (NaT: not stated, not judged).

    Raises
    ------
    LeakageError
        With the patients concerned.
    """
    covariates_day = patients["covariates_date"].dt.normalize()
    late = patients.loc[covariates_day > patients["index_date"].dt.normalize(), "patient_id"]
    if len(late):
        raise LeakageError(
            f"covariates must be collected by the index date, got {len(late)} patients with later "
            f"ones: {listed(late)}. Use the last values before the index date, or leave them empty."
        )


def check_fitted_on(
    fitted_patient_ids: Iterable[str],
    splits: pd.DataFrame,
    *,
    repeat: int,
    fold: int,
    allowed_roles: Sequence[str] = ("train",),
) -> None:
    """Check that something fitted (weights, scaling, imputation, threshold) saw no other role.

    Parameters
    ----------
    fitted_patient_ids
        Patients of the rows it was fitted on.
    splits
        The split table.
    repeat, fold
        Of the model.
    allowed_roles
        ``("train",)``, or with ``"validation"`` where that is meant (choice of a threshold).

    Raises
    ------
    LeakageError
        If a patient of another role, or one the split does not know, was among them.
    """
    here = splits[(splits["repeat"] == repeat) & (splits["fold"] == fold)]
    if here.empty:
        raise LeakageError(
            f"repeat and fold must be in the splits, got repeat {repeat}, fold {fold}. "
            "Use the splits the model belongs to."
        )
    allowed = set(here.loc[here["role"].isin(allowed_roles), "patient_id"])
    seen = sorted(set(fitted_patient_ids) - allowed)
    if seen:
        roles = here.set_index("patient_id")["role"].reindex(seen).fillna("unknown")
        counts = ", ".join(f"{n} {role}" for role, n in roles.value_counts().items())
        raise LeakageError(
            f"fitting must use {' and '.join(allowed_roles)} patients only, got {len(seen)} others "
            f"({counts}): {listed(seen)}. Fit on the rows of the training folds."
        )
