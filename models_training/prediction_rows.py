"""Scores as rows of ``predictions.parquet``: one a record and target."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.special import expit

from models_training.inputs import TrainingData
from models_training.targets import Targets


def prediction_rows(
    data: TrainingData,
    rows: np.ndarray,
    scores: np.ndarray,
    truth: np.ndarray,
    targets: Targets = (),
) -> pd.DataFrame:
    """Return the predictions of some records.

    Parameters
    ----------
    data : TrainingData
        The cohort.
    rows : int array of shape (n,)
        Its records.
    scores, truth : array of shape (n, n_scores)
        Risks, or values in their unit, and what came true, NaN where unknown.
    targets : sequence of mappings
        ``name, horizon_days, kind`` of each score; without, there is one score, without a name.

    Returns
    -------
    DataFrame
        ``record_id, patient_id, y_true, y_score`` and, with targets, ``target, horizon_days``; one
        block a target. ``y_true`` is Int8, or float64 where a target is a number.
    """
    table = data.records.iloc[rows][["record_id", "patient_id"]].reset_index(drop=True)
    is_number = any(item["kind"] == "continuous" for item in targets)
    blocks = []
    for number in range(scores.shape[1]):
        y_true = truth[:, number].astype("float64")
        block = table.assign(
            y_true=y_true if is_number else pd.array(y_true, dtype="Int8"),  # NaN becomes <NA>
            y_score=scores[:, number],
        )
        if targets:
            item = targets[number]
            facts = {"target": item["name"], "horizon_days": int(item["horizon_days"])}
            block = block.assign(**facts)
        blocks.append(block)
    return pd.concat(blocks, ignore_index=True)


def with_place(table: pd.DataFrame, role: str, repeat: int, fold: int) -> pd.DataFrame:
    """Return predictions with their fold and role, without rows nothing can be compared with.

    An unknown outcome stays where follow-up tells of it (tested patients of a target with a
    horizon); elsewhere such a row is of no use to anybody.
    """
    if "target" in table:
        has_follow_up = (role == "test") & (table["horizon_days"] > 0)
        table = table[table["y_true"].notna() | has_follow_up]
    return table.assign(repeat=repeat, fold=fold, role=role).reset_index(drop=True)


def outcome_rows(
    data: TrainingData, rows: np.ndarray, logits: np.ndarray, role: str, repeat: int, fold: int
) -> pd.DataFrame:
    """Return the predictions of one binary outcome from logits, (n, 1), with their place."""
    table = prediction_rows(data, rows, expit(logits), data.y_true[rows, :1])
    return with_place(table, role, repeat, fold)
