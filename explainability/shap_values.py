"""Shapley values of the covariates: how much each moves one patient's logit, and which way.

For a two-input network the values are conditional on the patient's own ECG: the ECG is turned into
features once, and only the covariates are exchanged with those of background patients. They answer
"given this ECG, what did the covariates add?", not "ECG or covariates?".
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pandas as pd

from explainability.coalitions import (
    MAX_EXACT_PLAYERS,
    Function,
    ShapSettings,
    covariate_of,
    row_explainer,
)
from explainability.model_access import (
    COVARIATE_INPUT,
    ECG_INPUT,
    Inputs,
    batches,
    check_inputs,
    split_covariate_head,
    to_numpy,
)

__all__ = [
    "MAX_EXACT_PLAYERS",
    "ShapSettings",
    "explain_covariates",
    "explain_function",
    "importance",
    "mean_over_records",
    "sum_by_covariate",
]

_CHUNK_ROWS = 4096  # rows of ECG features repeated in memory at once


def explain_covariates(
    model: keras.Model,
    inputs: Inputs,
    records: pd.DataFrame,
    *,
    settings: ShapSettings,
    score_layer: str = "logit",
    batch_size: int = 64,
) -> pd.DataFrame:
    """Return Shapley values of the covariates of a two-input network, given each patient's ECG.

    Parameters
    ----------
    model : keras.Model
        Flat functional network with inputs ``ecg`` and ``covariates``.
    inputs : mapping of str to array
        ``ecg`` (n_records, n_samples, n_leads) in mV, ``covariates`` (n_records, n_columns) with
        NaN for missing.
    records : DataFrame
        Columns ``record_id`` and ``patient_id``, one row for each of `inputs`.
    settings : ShapSettings
        Background patients, column names, tolerance.
    score_layer : str
        Layer that gives the logit.
    batch_size : int
        Records embedded at a time.

    Returns
    -------
    DataFrame
        One row a record and player: ``record_id, patient_id, covariate, column, value,
        shap_logit, base_value, prediction_logit, method``. ``covariate`` is the part of ``column``
        before "="; with players = "covariate" the two are equal, and the value of a category is
        the position of its column, 0 for the reference. ``value`` NaN means missing; the
        network's own way with it is explained. ``method`` is "exact" up to 10 players.

    Raises
    ------
    ValueError
        If shapes or columns do not fit, or covariates and ECG never meet in the graph.
    ArithmeticError
        If base value and contributions do not give the logit.

    Notes
    -----
    phi_j = sum over S of |S|! (k - |S| - 1)! / k! (v(S + j) - v(S)), with v(S) the mean logit over
    background patients when the covariates in S are the patient's. Players are exchanged one by
    one, so correlated covariates meet in combinations no patient has. With players = "column"
    read a category by the sum over its columns (`sum_by_covariate`).

    References
    ----------
    Lundberg & Lee 2017, https://arxiv.org/abs/1705.07874.
    """
    arrays = check_inputs(model, inputs)
    _check_records(records, len(arrays[ECG_INPUT]))
    _check_columns(arrays.get(COVARIATE_INPUT), settings)
    embedding, head = split_covariate_head(model, score_layer)
    conditional = _ConditionalHead(head)
    explain = row_explainer(conditional, settings)
    parts = []
    for rows, batch in batches(arrays, batch_size=batch_size):
        features = keras.tree.flatten(embedding(batch[ECG_INPUT], training=False))
        covariates = np.asarray(arrays[COVARIATE_INPUT][rows], dtype=np.float64)
        for row, values in enumerate(covariates):
            conditional.features = [tensor[row : row + 1] for tensor in features]
            parts.append(explain(values))
    return _tidy(parts, arrays[COVARIATE_INPUT], records, settings)


def explain_function(
    function: Function,
    covariates: np.ndarray | pd.DataFrame,
    records: pd.DataFrame,
    *,
    settings: ShapSettings,
) -> pd.DataFrame:
    """Return Shapley values of a plain function of the covariates, such as a clinical LASSO.

    Parameters
    ----------
    function : callable
        From an array (n_rows, n_columns), NaN for missing, to logits (n_rows,).
    covariates : array or DataFrame of shape (n_records, n_columns)
        Rows to explain, in the column order of ``settings.names``.
    records : DataFrame
        Columns ``record_id`` and ``patient_id``, one row for each of `covariates`.
    settings : ShapSettings
        Background patients, column names, tolerance.

    Returns
    -------
    DataFrame
        As `explain_covariates`; the base value is the same for all.

    Raises
    ------
    ValueError
        If shapes or columns do not fit.
    ArithmeticError
        If base value and contributions do not give the logit.
    """
    values = np.asarray(covariates, dtype=np.float64)
    _check_columns(values, settings)
    _check_records(records, len(values))
    explain = row_explainer(lambda rows: np.asarray(function(rows), dtype=np.float64), settings)
    return _tidy([explain(row) for row in values], values, records, settings)


def sum_by_covariate(frame: pd.DataFrame) -> pd.DataFrame:
    """Add up the one-hot columns of each covariate.

    Parameters
    ----------
    frame : DataFrame
        From `explain_covariates` or `explain_function`.

    Returns
    -------
    DataFrame
        One row a record and covariate, without ``column``. For a category, ``value`` is NaN where
        it is missing and else the position of its column, 0 for the reference.
    """
    position = frame.groupby(["record_id", "covariate"], sort=False).cumcount()
    is_category = frame["column"] != frame["covariate"]
    value = frame["value"].where(~is_category, frame["value"] * (position + 1))
    keys = ["record_id", "patient_id", "covariate"]
    grouped = frame.assign(value=value).groupby(keys, sort=False, dropna=False)
    return grouped.agg(
        value=("value", lambda values: values.sum(min_count=1)),
        shap_logit=("shap_logit", "sum"),
        base_value=("base_value", "first"),
        prediction_logit=("prediction_logit", "first"),
        method=("method", "first"),
    ).reset_index()


def mean_over_records(frame: pd.DataFrame) -> pd.DataFrame:
    """Average each patient's records: exact for the patient's score, the mean logit of the ECGs.

    Parameters
    ----------
    frame : DataFrame
        From this module, per column or per covariate.

    Returns
    -------
    DataFrame
        One row a patient and covariate (or column), with ``n_records``.
    """
    keys = [key for key in ("patient_id", "covariate", "column") if key in frame]
    grouped = frame.groupby(keys, sort=False, dropna=False)
    columns = ["value", "shap_logit", "base_value", "prediction_logit"]
    return grouped[columns].mean().assign(n_records=grouped.size()).reset_index()


def importance(frame: pd.DataFrame) -> pd.DataFrame:
    """Rank covariates by mean |shap_logit|, over patients.

    Parameters
    ----------
    frame : DataFrame
        From this module.

    Returns
    -------
    DataFrame
        ``covariate, mean_abs_shap_logit, n_patients``, largest first.
    """
    by_covariate = sum_by_covariate(frame) if "column" in frame else frame
    by_patient = mean_over_records(by_covariate)
    grouped = by_patient.assign(size=by_patient["shap_logit"].abs()).groupby("covariate")
    ranked = grouped.agg(mean_abs_shap_logit=("size", "mean"), n_patients=("size", "count"))
    return ranked.sort_values("mean_abs_shap_logit", ascending=False, kind="stable").reset_index()


class _ConditionalHead:
    """The head as a function of the covariates, for the ECG features last set."""

    def __init__(self, head: keras.Model) -> None:
        self.head = head
        self.features: list[Any] = []

    def __call__(self, covariates: np.ndarray) -> np.ndarray:
        parts = []
        for start in range(0, len(covariates), _CHUNK_ROWS):
            rows = np.asarray(covariates[start : start + _CHUNK_ROWS], dtype=np.float32)
            repeated = [keras.ops.repeat(tensor, len(rows), axis=0) for tensor in self.features]
            output = self.head([*repeated, keras.ops.convert_to_tensor(rows)], training=False)
            parts.append(to_numpy(output)[:, 0])
        return np.concatenate(parts).astype(np.float64)


def _check_columns(covariates: np.ndarray | None, settings: ShapSettings) -> None:
    if covariates is None:
        raise ValueError(
            "inputs must hold 'covariates', got the ECG alone. Covariate SHAP is for two-input "
            "networks; for a plain function use explain_function."
        )
    if np.ndim(covariates) != 2 or np.shape(covariates)[1] != len(settings.names):
        raise ValueError(
            f"covariates must be of shape (n_records, {len(settings.names)}), "
            f"got {np.shape(covariates)}. Encode them like the background."
        )


def _check_records(records: pd.DataFrame, n_records: int) -> None:
    missing = [name for name in ("record_id", "patient_id") if name not in records]
    if missing or len(records) != n_records:
        raise ValueError(
            f"records must have {n_records} rows with record_id and patient_id, "
            f"got {len(records)} rows with {list(records.columns)}. Select the same rows."
        )


def _tidy(
    parts: list[tuple[np.ndarray, float, float, str]],
    covariates: np.ndarray,
    records: pd.DataFrame,
    settings: ShapSettings,
) -> pd.DataFrame:
    """Return the long frame, one row a record and player."""
    groups = settings.groups()
    names, n_players, n_records = list(groups), len(groups), len(parts)
    covariates = np.asarray(covariates, dtype=np.float64)
    values = np.stack([_player_value(covariates[:, c]) for c in groups.values()], axis=1)
    return pd.DataFrame(
        {
            "record_id": np.repeat(records["record_id"].to_numpy(), n_players),
            "patient_id": np.repeat(records["patient_id"].to_numpy(), n_players),
            "covariate": [covariate_of(name) for name in names] * n_records,
            "column": names * n_records,
            "value": values.ravel(),
            "shap_logit": np.concatenate([part[0] for part in parts]) if parts else [],
            "base_value": np.repeat([part[1] for part in parts], n_players),
            "prediction_logit": np.repeat([part[2] for part in parts], n_players),
            "method": np.repeat([part[3] for part in parts], n_players),
        }
    )


def _player_value(columns: np.ndarray) -> np.ndarray:
    """Return one value a record: the column's own, or the position of a category's column."""
    if columns.shape[1] == 1:
        return columns[:, 0]
    return (columns * np.arange(1, columns.shape[1] + 1)).sum(axis=1)
