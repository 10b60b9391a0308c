"""Shapley values of one row by shap; a player may be several columns; sums are checked."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

# 2^10 coalitions a record are quick; beyond, coalitions are sampled and the frame says so.
MAX_EXACT_PLAYERS = 10
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
            key = name if self.players == "column" else covariate_of(name)
            groups.setdefault(key, []).append(column)
        return groups


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
def shap_random(seed: int) -> Iterator[None]:
    """Seed shap, which draws from NumPy's global generator, and put that back afterwards."""
    state = np.random.get_state()  # noqa: NPY002
    np.random.seed(seed)  # noqa: NPY002
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # shap 0.51 uses what matplotlib is retiring
            yield
    finally:
        np.random.set_state(state)  # noqa: NPY002


def row_explainer(
    function: Function, settings: ShapSettings
) -> Callable[[np.ndarray], tuple[np.ndarray, float, float, str]]:
    """Return a function from one row to (contributions, base value, logit, method).

    shap enumerates (or samples) coalitions of players; what a coalition is worth comes from
    `_Coalitions`. shap.DeepExplainer is not used: one failed call breaks others in the process.
    """
    with shap_random(settings.seed):
        import shap

    value = _Coalitions(function, settings)
    n_players = len(value.membership)
    nobody, everybody = np.zeros((1, n_players)), np.ones((1, n_players))
    # shap's players are switches, off in its background: `_Coalitions` brings the patients in.
    masker = shap.maskers.Independent(nobody)  # pyright: ignore[reportAttributeAccessIssue]
    is_exact = n_players <= MAX_EXACT_PLAYERS
    options = {} if is_exact else {"max_evals": _PERMUTATION_ROUNDS * (2 * n_players + 1)}

    def explain(row: np.ndarray) -> tuple[np.ndarray, float, float, str]:
        value.row = row
        kind = shap.ExactExplainer if is_exact else shap.PermutationExplainer
        with shap_random(settings.seed):
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


def covariate_of(column: str) -> str:
    """Return the covariate a column belongs to: the part before "="."""
    return column.split("=")[0]
