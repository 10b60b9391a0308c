"""One score a patient, before anything is scored (DESIGN 8.3)."""

from __future__ import annotations

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
        One row a record x repeat x fold x role x variant x target; columns as in DESIGN.md
        section 3.

    Raises
    ------
    ValueError
        If columns are missing, a score is missing or outside [0, 1], an outcome is not 0 or 1 or
        differs within a patient, a role is unknown, a row is doubled, a patient is in two test
        folds of one repeat or in training and test rows of one fold.
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
    is_bad = ~predictions["y_true"].isin((0, 1)).fillna(False).astype(bool)
    if is_bad.any():
        raise ValueError(
            f"y_true must be 0 or 1, got {predictions['y_true'][is_bad].iloc[0]} "
            f"{_first(predictions, is_bad)}. Exclude and count patients whose status at the "
            "horizon is unknown."
        )
    is_bad = ~predictions["role"].isin(ROLES)
    if is_bad.any():
        raise ValueError(
            f"role must be one of {ROLES}, got {predictions['role'][is_bad].iloc[0]!r} "
            f"{_first(predictions, is_bad)}. Write predictions for validation and test rows only."
        )


def _check_rows(predictions: pd.DataFrame) -> None:
    is_double = predictions.duplicated([*SCORE_KEYS, "record_id"])
    if is_double.any():
        raise ValueError(
            "predictions must hold one row a record, variant, target, repeat, fold and role, got "
            f"repeated rows {_first(predictions, is_double)}. Average several seeds before."
        )
    n_horizons = predictions.groupby("target")["horizon_days"].nunique(dropna=False)
    if (n_horizons > 1).any():
        target = n_horizons.index[n_horizons > 1][0]
        raise ValueError(
            f"horizon_days must be the same in all rows of a target, got {n_horizons[target]} "
            f"values for {target!r}. Name the target after its horizon."
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

    y_score = expit(mean(logit(y_score of the records))), with the logit clipped at about +-16.1.

    Parameters
    ----------
    predictions : pandas.DataFrame
        One row a record; see :func:`check_predictions` for what is not accepted.

    Returns
    -------
    pandas.DataFrame
        One row a patient x repeat x fold x role x variant x target: `target, variant, repeat,
        fold, role, patient_id, horizon_days, y_true, y_score, n_records` and, where given,
        `event, duration_days`; sorted by these keys.

    Raises
    ------
    ValueError
        As :func:`check_predictions`.
    """
    check_predictions(predictions)
    kept = ["horizon_days", "y_true"]
    kept += [name for name in ("event", "duration_days") if name in predictions.columns]
    table = predictions.assign(y_score=risk_to_logit(predictions["y_score"]))
    grouped = table.groupby([*SCORE_KEYS, "patient_id"], sort=True, observed=True)
    patients = grouped[kept].first()
    patients.insert(2, "y_score", logit_to_risk(grouped["y_score"].mean()))
    patients.insert(3, "n_records", grouped.size())
    return patients.reset_index().astype({"y_true": "int8"})
