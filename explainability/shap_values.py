"""Shapley values of the covariates: how much each moves one patient's logit, and which way.

For a two-input network the values are conditional on the patient's own ECG: the ECG is turned into
features once, and only the covariates are exchanged with those of background patients. They answer
"given this ECG, what did the covariates add?", not "ECG or covariates?".
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import pandas as pd

from explainability.model_access import (
    COVARIATE_INPUT,
    ECG_INPUT,
    Inputs,
    batches,
    check_inputs,
    split_covariate_head,
    to_numpy,
)

# 2^10 coalitions a record are quick; beyond, coalitions are sampled and the frame says so.
MAX_EXACT_PLAYERS = 10
_CHUNK_ROWS = 4096  # rows of ECG features repeated in memory at once
_PERMUTATION_ROUNDS = 20
# float32 networks give the same row slightly different values in batches of different size.
_ROUNDING = 1e-5

Function = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class ShapSettings:
    """What the values are compared with, and how strictly they are checked.

    Parameters
    ----------
    background : array of shape (n_background, n_columns)
        Covariates of patients from the **training** folds, NaN for missing; 50 to 100 rows.
    names : sequence of str
        Name of each column; one-hot columns as ``covariate=category``.
    players : {"column", "covariate"}
        What is exchanged at a time. By "covariate", the columns of a category move together: no
        patient of two categories is ever made up, and there are fewer players to sample.
    relative_tolerance : float
        Base value and contributions must give the logit, up to this share of the contributions.
    seed : int
        Of the sampled coalitions (only with more than `MAX_EXACT_PLAYERS` players).
    """

    background: np.ndarray
    names: Sequence[str]
    players: str = "column"
    relative_tolerance: float = 1e-3
    seed: int = 0

    def __post_init__(self) -> None:
        """Check the background against the names."""
        background = np.asarray(self.background, dtype=np.float64)
        if background.ndim != 2 or background.shape[1] != len(self.names) or not len(background):
            raise ValueError(
                f"background must be of shape (n_background, {len(self.names)}), "
                f"got {background.shape}. Encode training patients as the model's covariates."
            )
        if self.players not in ("column", "covariate"):
            raise ValueError(
                f"players must be 'column' or 'covariate', got {self.players!r}. "
                "Choose what is exchanged at a time."
            )
        if len(set(self.names)) != len(self.names):
            raise ValueError(
                f"names must be unique, got {list(self.names)}. Rename the repeated column."
            )
        object.__setattr__(self, "background", background)
        object.__setattr__(self, "names", tuple(self.names))

    def groups(self) -> dict[str, list[int]]:
        """Return the columns of each player, in order of first appearance."""
        groups: dict[str, list[int]] = {}
        for column, name in enumerate(self.names):
            key = name if self.players == "column" else _covariate_of(name)
            groups.setdefault(key, []).append(column)
        return groups


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
    explain = _explainer(conditional, settings)
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
    explain = _explainer(lambda rows: np.asarray(function(rows), dtype=np.float64), settings)
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


class _Coalitions:
    """v(S): mean logit over background patients when the players in S are the patient's."""

    def __init__(self, function: Function, settings: ShapSettings) -> None:
        self.function = function
        self.background = np.asarray(settings.background)
        groups = list(settings.groups().values())
        self.membership = np.zeros((len(groups), len(settings.names)), dtype=bool)
        for player, columns in enumerate(groups):
            self.membership[player, columns] = True
        self.row = np.full(len(settings.names), np.nan)

    def __call__(self, coalitions: np.ndarray) -> np.ndarray:
        """Return v for each row of 0 (background) and 1 (patient), shape (n_coalitions,)."""
        is_own = np.asarray(coalitions, dtype=bool) @ self.membership
        rows = np.where(is_own[:, None, :], self.row, self.background)
        logits = _evaluate_distinct(self.function, rows.reshape(-1, rows.shape[2]))
        return logits.reshape(rows.shape[:2]).mean(axis=1)


def _evaluate_distinct(function: Function, rows: np.ndarray) -> np.ndarray:
    """Evaluate repeated rows once: binary covariates make most coalitions look alike."""
    # Compared by bytes, because NaN equals itself there; + 0.0 turns -0.0 into 0.0.
    rows = np.ascontiguousarray(rows + 0.0)
    keys = rows.view(np.dtype((np.void, rows.dtype.itemsize * rows.shape[1]))).ravel()
    _, first, inverse = np.unique(keys, return_index=True, return_inverse=True)
    outputs = np.asarray(function(rows[first]), dtype=np.float64)
    if outputs.shape != (len(first),):
        raise ValueError(
            f"function must return one logit a row, shape ({len(first)},), "
            f"got {outputs.shape}. Drop the last axis."
        )
    return outputs[inverse]


@contextmanager
def _shap_random(seed: int) -> Iterator[None]:
    """Seed shap, which draws from NumPy's global generator, and put that back afterwards."""
    state = np.random.get_state()  # noqa: NPY002
    np.random.seed(seed)  # noqa: NPY002
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # shap 0.51 uses what matplotlib is retiring
            yield
    finally:
        np.random.set_state(state)  # noqa: NPY002


def _explainer(
    function: Function, settings: ShapSettings
) -> Callable[[np.ndarray], tuple[np.ndarray, float, float, str]]:
    """Return a function from one row to (contributions, base value, logit, method)."""
    with _shap_random(settings.seed):
        import shap

    value = _Coalitions(function, settings)
    n_players = len(value.membership)
    nobody, everybody = np.zeros((1, n_players)), np.ones((1, n_players))
    # shap's players are switches, off in its background: `_Coalitions` brings the patients in.
    masker = shap.maskers.Independent(nobody)
    is_exact = n_players <= MAX_EXACT_PLAYERS
    options = {} if is_exact else {"max_evals": _PERMUTATION_ROUNDS * (2 * n_players + 1)}

    def explain(row: np.ndarray) -> tuple[np.ndarray, float, float, str]:
        value.row = row
        kind = shap.ExactExplainer if is_exact else shap.PermutationExplainer
        with _shap_random(settings.seed):
            explanation = kind(value, masker)(everybody, silent=True, **options)
        contributions = np.asarray(explanation[0].values, dtype=np.float64)
        base, logit = float(value(nobody)[0]), float(value(everybody)[0])
        _check_additivity(contributions, base, logit, settings.relative_tolerance)
        return contributions, base, logit, "exact" if is_exact else "permutation"

    return explain


def _check_additivity(values: np.ndarray, base: float, logit: float, tolerance: float) -> None:
    """Refuse contributions that do not lead from the base value to the logit.

    shap's own check allows an absolute 0.01, which lets wrong values of small ones pass.
    """
    error = abs(base + values.sum() - logit)
    allowed = tolerance * np.abs(values).sum() + _ROUNDING * max(1.0, abs(logit), abs(base))
    if not error <= allowed:
        raise ArithmeticError(
            f"base value plus Shapley values must give the logit {logit:.4f}, "
            f"got {base + values.sum():.4f}. The function is not deterministic, or returns NaN."
        )


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
            "covariate": [_covariate_of(name) for name in names] * n_records,
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


def _covariate_of(column: str) -> str:
    return column.split("=")[0]
