"""One score a patient, before anything is scored (DESIGN 8.3)."""

from __future__ import annotations

import numpy as np
import pandas as pd

from evaluation.arrays import logit_to_risk, require_columns, risk_to_logit

# Rows on which thresholds may be chosen; "inner" are inner out-of-fold scores.
TRAINING_ROLES = ("validation", "inner")
ROLES = (*TRAINING_ROLES, "test")
PREDICTION_COLUMNS = (
    "record_id",
    "patient_id",
    "repeat",
    "fold",
    "role",
    "variant",
    "target",
    "horizon_days",
    "y_true",
    "y_score",
)
# One model, one outcome: what identifies a set of scores beside the patient.
SCORE_KEYS = ["target", "variant", "repeat", "fold", "role"]


def check_predictions(predictions: pd.DataFrame) -> None:
    """Refuse predictions that cannot be evaluated honestly.

    Parameters
    ----------
    predictions : pandas.DataFrame
        One row a record x repeat x fold x role x variant x target, and x seed where several
        networks were trained alike; columns as in DESIGN.md section 3.

    Raises
    ------
    ValueError
        If columns are missing, a score is missing or outside [0, 1], an outcome is not 0 or 1 or
        differs within a patient or from its follow-up, a role is unknown, a row is doubled, a
        seed lacks records of another, a patient is in two test folds of one repeat or in training
        and test rows of one fold. An outcome may be missing in test rows of patients censored
        before the horizon, and must be.
    """
    require_columns(predictions, PREDICTION_COLUMNS, name="predictions")
    if predictions.empty:
        raise ValueError("predictions must hold at least one row, got none. Run stage 02 first.")
    _check_values(predictions)
    _check_rows(predictions)
    _check_patients(predictions)


def _first(predictions: pd.DataFrame, is_bad: pd.Series) -> str:
    first = predictions.loc[is_bad, "record_id"].iloc[0]
    return f"in {int(is_bad.sum())} of {len(predictions)} rows (first: record {first})"


def _check_values(predictions: pd.DataFrame) -> None:
    is_missing = predictions["y_score"].isna()
    if is_missing.any():
        raise ValueError(
            f"y_score must be between 0 and 1, got a missing value "
            f"{_first(predictions, is_missing)}. Find out why the model gave none; never fill it."
        )
    is_outside = ~predictions["y_score"].between(0, 1)
    if is_outside.any():
        raise ValueError(
            f"y_score must be between 0 and 1, got {predictions['y_score'][is_outside].iloc[0]:g} "
            f"{_first(predictions, is_outside)}. Write the probability, not the logit."
        )
    _check_outcomes(predictions)
    is_bad = ~predictions["role"].isin(ROLES)
    if is_bad.any():
        raise ValueError(
            f"role must be one of {ROLES}, got {predictions['role'][is_bad].iloc[0]!r} "
            f"{_first(predictions, is_bad)}. Write predictions for validation and test rows only."
        )


def _check_outcomes(predictions: pd.DataFrame) -> None:
    y_true = predictions["y_true"]
    is_unknown = y_true.isna()
    has_follow_up = {"event", "duration_days"} <= set(predictions.columns)
    is_allowed = is_unknown & has_follow_up & (predictions["role"] == "test")
    is_allowed &= predictions["horizon_days"] > 0
    is_bad = ~(y_true.isin((0, 1)).fillna(False).astype(bool) | is_allowed)
    if is_bad.any():
        raise ValueError(
            f"y_true must be 0 or 1, got {y_true[is_bad].iloc[0]} {_first(predictions, is_bad)}. "
            "It may be missing only in test rows of patients censored before the horizon."
        )
    if not has_follow_up:
        return
    expected = status_at_horizon(predictions)
    is_bad = (y_true.astype("Int8") != expected).fillna(False) | (is_unknown != expected.isna())
    # a target without a horizon, or a cohort without dates, beside one with
    is_bad &= predictions["event"].notna() & (predictions["horizon_days"] > 0)
    if is_bad.any():
        first = predictions.loc[is_bad.to_numpy(dtype=bool)].iloc[0]
        raise ValueError(
            f"y_true must follow from event, duration_days and horizon_days, got {first['y_true']} "
            f"with event {first['event']} at {first['duration_days']:g} of "
            f"{first['horizon_days']:g} days {_first(predictions, is_bad.astype(bool))}. A "
            "patient censored before the horizon is unknown, never a negative."
        )


def with_follow_up(predictions: pd.DataFrame, patients: pd.DataFrame) -> pd.DataFrame:
    """Return predictions with `event, duration_days` of their patients, where there are any.

    Of a target without a horizon (a diagnosis, a number) the follow-up tells nothing: missing.

    Parameters
    ----------
    predictions : pandas.DataFrame
        `patient_id, horizon_days` and more.
    patients : pandas.DataFrame
        `patient_id` and, for cohorts with dates, `event, duration_days`.
    """
    if "event" not in patients:
        return predictions
    joined = predictions.merge(patients[["patient_id", "event", "duration_days"]], on="patient_id")
    has_none = joined["horizon_days"] == 0
    if not has_none.any():
        return joined
    return joined.assign(
        event=joined["event"].astype("Int8").mask(has_none),
        duration_days=joined["duration_days"].mask(has_none),
    )


def status_at_horizon(predictions: pd.DataFrame) -> pd.Series:
    """Return the binary outcome at the horizon that follows from the follow-up.

    Parameters
    ----------
    predictions : pandas.DataFrame
        `event` (0 censored, 1 event, 2 competing), `duration_days, horizon_days`.

    Returns
    -------
    pandas.Series
        Int8: 1 with the event by the horizon, 0 where it did not come or a competing one came
        first, <NA> for those censored before the horizon.
    """
    is_early = predictions["duration_days"] < predictions["horizon_days"]
    is_event = (predictions["event"] == 1) & (
        predictions["duration_days"] <= predictions["horizon_days"]
    )
    return is_event.astype("Int8").mask(is_early & (predictions["event"] == 0))


def known_at_horizon(predictions: pd.DataFrame) -> pd.DataFrame:
    """Return the predictions of patients whose status at the horizon is known, y_true as int8.

    The others belong to the time to event (:mod:`evaluation.time_to_event`) alone.

    Raises
    ------
    ValueError
        As :func:`check_predictions`.
    """
    check_predictions(predictions)
    known = predictions[predictions["y_true"].notna()].astype({"y_true": "int8"})
    return mean_over_seeds(known)


def mean_over_seeds(predictions: pd.DataFrame) -> pd.DataFrame:
    """Return one row a record: an ensemble of seeds scores by the mean logit of its networks.

    y_score = expit(mean(logit(y_score of the seeds))); rows of a single seed stay as they are.

    Parameters
    ----------
    predictions : pandas.DataFrame
        Checked by :func:`check_predictions`.

    Returns
    -------
    pandas.DataFrame
        The rows of the first seed, with the ensemble's score.
    """
    if "seed" not in predictions:
        return predictions
    keys = [*SCORE_KEYS, "record_id"]
    is_of_several = predictions.duplicated(keys, keep=False)
    if not is_of_several.any():
        return predictions
    logits = predictions[keys].assign(logit=risk_to_logit(predictions["y_score"]))
    mean = logit_to_risk(logits.groupby(keys)["logit"].transform("mean"))
    y_score = np.where(is_of_several, mean, predictions["y_score"])
    return predictions.assign(y_score=y_score).drop_duplicates(keys)


def _check_rows(predictions: pd.DataFrame) -> None:
    seed = [name for name in ("seed",) if name in predictions.columns]
    is_double = predictions.duplicated([*SCORE_KEYS, "record_id", *seed])
    if is_double.any():
        raise ValueError(
            "predictions must hold one row a record, variant, target, repeat, fold, role and seed, "
            f"got repeated rows {_first(predictions, is_double)}. Write each of them once."
        )
    if seed:
        _check_seeds(predictions)
    n_horizons = predictions.groupby("target")["horizon_days"].nunique(dropna=False)
    if (n_horizons > 1).any():
        target = n_horizons.index[n_horizons > 1][0]
        raise ValueError(
            f"horizon_days must be the same in all rows of a target, got {n_horizons[target]} "
            f"values for {target!r}. Name the target after its horizon."
        )


def _check_seeds(predictions: pd.DataFrame) -> None:
    n_seeds = predictions.groupby(SCORE_KEYS)["seed"].transform("nunique")
    n_scored = predictions.groupby([*SCORE_KEYS, "record_id"])["seed"].transform("size")
    is_bad = n_seeds != n_scored
    if is_bad.any():
        raise ValueError(
            f"seed must be the same set for all records of a fold, got {n_scored[is_bad].iloc[0]} "
            f"of {n_seeds[is_bad].iloc[0]} seeds {_first(predictions, is_bad)}. Score every "
            "record with each network of the ensemble."
        )


def _check_patients(predictions: pd.DataFrame) -> None:
    n_outcomes = predictions.groupby(["target", "patient_id"])["y_true"].nunique()
    if (n_outcomes > 1).any():
        n_patients = int((n_outcomes > 1).sum())
        patient = n_outcomes.index[n_outcomes > 1][0][1]
        raise ValueError(
            f"y_true must be the same in all rows of a patient, got both 0 and 1 in {n_patients} "
            f"patients (first: {patient}). Define the outcome per patient."
        )
    per_fold = ["target", "variant", "repeat", "patient_id"]
    rows = predictions[[*per_fold, "fold", "role"]].drop_duplicates()
    n_folds = rows[rows["role"] == "test"].groupby(per_fold)["fold"].nunique()
    if (n_folds > 1).any():
        n_patients = int((n_folds > 1).sum())
        patient = n_folds.index[n_folds > 1][0][-1]
        raise ValueError(
            f"patient_id must be in one test fold of a repeat, got {n_patients} patients in "
            f"several (first: {patient}). Split by patient, not by record."
        )
    n_sides = rows.assign(is_test=rows["role"] == "test")
    n_sides = n_sides.groupby([*per_fold, "fold"])["is_test"].nunique()
    if (n_sides > 1).any():
        n_patients = int((n_sides > 1).sum())
        patient = n_sides.index[n_sides > 1][0][-2]
        raise ValueError(
            f"patient_id must be on one side of a fold, got {n_patients} patients in training and "
            f"test rows (first: {patient}). Split by patient, not by record."
        )


def patient_scores(predictions: pd.DataFrame) -> pd.DataFrame:
    """Return one score a patient: the mean logit of the patient's records, as a probability.

    y_score = expit(mean(logit(y_score of the records))), with the logit clipped at about +-16.1;
    of several seeds, the records' ensemble scores (:func:`mean_over_seeds`).

    Parameters
    ----------
    predictions : pandas.DataFrame
        One row a record and seed; see :func:`check_predictions` for what is not accepted.

    Returns
    -------
    pandas.DataFrame
        One row a patient x repeat x fold x role x variant x target: `target, variant, repeat,
        fold, role, patient_id, horizon_days, y_true, y_score, n_records` and, where given,
        `event, duration_days`; sorted by these keys. `y_true` is int8, or Int8 where the status of
        some at the horizon is unknown.

    Raises
    ------
    ValueError
        As :func:`check_predictions`.
    """
    check_predictions(predictions)
    kept = ["horizon_days", "y_true"]
    kept += [name for name in ("event", "duration_days") if name in predictions.columns]
    table = mean_over_seeds(predictions)
    table = table.assign(y_score=risk_to_logit(table["y_score"]))
    grouped = table.groupby([*SCORE_KEYS, "patient_id"], sort=True, observed=True)
    patients = grouped[kept].first()
    patients.insert(2, "y_score", logit_to_risk(grouped["y_score"].mean()))
    patients.insert(3, "n_records", grouped.size())
    kind = "Int8" if patients["y_true"].isna().any() else "int8"
    return patients.reset_index().astype({"y_true": kind})
