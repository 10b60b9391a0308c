"""Test rows of one variant, arranged by patient, repeat and fold for the statistics."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from evaluation.arrays import require_columns
from evaluation.resampling import cluster_codes
from evaluation.weighted import Statistic, mean_over_parts

Factory = Callable[[np.ndarray, np.ndarray], Statistic]


@dataclass(frozen=True)
class ScoredRows:
    """Rows to score, with what the bootstrap must know about them.

    With several repeats a patient has one row in each; every metric is computed per repeat and
    averaged, and a resample draws a patient with the rows of all repeats. Averaging the *scores*
    over repeats first would evaluate an ensemble that nobody trained.

    Parameters
    ----------
    frame : pandas.DataFrame
        `patient_id, repeat, fold, y_true` and one or more score columns; one row a patient (or a
        record) and repeat, role "test" only.
    n_repeats_made : int
        Repeats there were before those that another variant lacks were left out; 0: the same.
    """

    frame: pd.DataFrame
    n_repeats_made: int = 0

    def __post_init__(self):
        require_columns(self.frame, ("patient_id", "repeat", "fold", "y_true"), name="test rows")
        if self.frame.empty:
            raise ValueError("test rows must hold at least one row, got none. Check the splits.")
        object.__setattr__(self, "frame", self.frame.reset_index(drop=True))

    @cached_property
    def clusters(self) -> np.ndarray:
        """Patient code of every row."""
        return cluster_codes(self.frame["patient_id"].astype(str))

    @cached_property
    def patients(self) -> pd.DataFrame:
        """One row a patient (`fold` of the first repeat, `y_true`), in the order of the codes."""
        codes = pd.Series(self.clusters, name="code")
        return self.frame[["fold", "y_true"]].groupby(codes).first()

    @property
    def n(self) -> int:
        """Number of patients."""
        return len(self.patients)

    @property
    def n_events(self) -> int:
        """Number of patients with the event."""
        return int(self.patients["y_true"].sum())

    @cached_property
    def repeats(self) -> list[np.ndarray]:
        """Row numbers of each repeat."""
        return list(self.frame.groupby("repeat", sort=True).indices.values())  # pyright: ignore[reportReturnType]

    @cached_property
    def folds(self) -> list[np.ndarray]:
        """Row numbers of each repeat x fold."""
        return list(self.frame.groupby(["repeat", "fold"], sort=True).indices.values())  # pyright: ignore[reportReturnType]

    def mixed(self, parts: list[np.ndarray]) -> list[np.ndarray]:
        """Return the parts that hold both outcome classes."""
        outcome = self.frame["y_true"].to_numpy()
        return [rows for rows in parts if 0 < outcome[rows].sum() < rows.size]

    @cached_property
    def by_outcome(self) -> np.ndarray:
        """Stratum of every patient: the outcome."""
        return self.patients["y_true"].to_numpy()

    def statistic(
        self, factory: Factory, parts: list[np.ndarray], column: str = "y_score"
    ) -> Statistic:
        """Return the mean over `parts` of a statistic of outcome and one score column."""
        outcome = self.frame["y_true"].to_numpy()
        scores = self.frame[column].to_numpy(dtype=np.float64)
        return mean_over_parts([(rows, factory(outcome[rows], scores[rows])) for rows in parts])

    def score_matrix(self, column: str = "y_score") -> np.ndarray | None:
        """Return scores as (n_patients, n_repeats); None when a patient lacks a repeat."""
        repeat = cluster_codes(self.frame["repeat"])
        matrix = np.full((self.n, len(self.repeats)), np.nan)
        matrix[self.clusters, repeat] = self.frame[column]
        return None if np.isnan(matrix).any() else matrix

    def repeats_text(self) -> str:
        """Return ", mean of R repeats" for several repeats, and how many were left out, if any."""
        n = len(self.repeats)
        if self.n_repeats_made > n:
            return f", mean of the {n} of {self.n_repeats_made} repeats that both have"
        return f", mean of {n} repeats" if n > 1 else ""
