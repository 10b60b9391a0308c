"""Validation of outcomes and scores, and the logit that every module shares."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd
from scipy.special import expit, logit

# A float32 sigmoid rounds to exactly 0 or 1 beyond a logit of about 17; the clip keeps the logit
# finite there (about +-16.1) and is far outside any risk that matters.
RISK_CLIP = 1e-7


def as_outcome(y_true, *, name: str = "y_true") -> np.ndarray:
    """Return a binary outcome as integers.

    Parameters
    ----------
    y_true : array-like, shape (n,)
        0 or 1 in every row; nothing may be missing.
    name : str
        What the error calls the argument.

    Returns
    -------
    numpy.ndarray of int8, shape (n,)

    Raises
    ------
    ValueError
        If it is empty, not one-dimensional, or holds anything but 0 and 1.
    """
    values = np.ravel(np.asarray(y_true))
    if values.dtype.kind not in "biuf":
        values = pd.to_numeric(pd.Series(values), errors="coerce")
        values = values.to_numpy(dtype=np.float64, na_value=np.nan)
    if np.ndim(y_true) != 1 or values.size == 0:
        raise ValueError(
            f"{name} must be one-dimensional with at least one row, got shape "
            f"{np.shape(y_true)}. Pass one outcome a row."
        )
    bad = (values != 0) & (values != 1)
    if bad.any():
        raise ValueError(
            f"{name} must be 0 or 1 in every row, got {values[bad][0]:g} in {int(bad.sum())} of "
            f"{values.size} rows. Exclude and count patients whose outcome is unknown first."
        )
    return values.astype(np.int8)


def as_scores(y_score, *, n_rows: int, name: str = "y_score") -> np.ndarray:
    """Return finite scores on any scale, shape (n_rows,) float64; raises ValueError otherwise."""
    values = np.asarray(y_score, dtype=np.float64)
    if values.shape != (n_rows,):
        raise ValueError(
            f"{name} must be of shape ({n_rows},) as y_true, got {values.shape}. "
            "Pass one score a row."
        )
    n_bad = int((~np.isfinite(values)).sum())
    if n_bad:
        raise ValueError(
            f"{name} must be finite in every row, got {n_bad} missing or infinite of {n_rows}. "
            "Find out why these records have no score; never fill them."
        )
    return values


def as_risk(y_score, *, n_rows: int, name: str = "y_score") -> np.ndarray:
    """Return scores that are probabilities, shape (n_rows,) in [0, 1]; raises ValueError."""
    values = as_scores(y_score, n_rows=n_rows, name=name)
    bad = (values < 0) | (values > 1)
    if bad.any():
        raise ValueError(
            f"{name} must be between 0 and 1, got {values[bad][0]:g} in {int(bad.sum())} of "
            f"{n_rows} rows. Pass the probability, not the logit."
        )
    return values


def require_columns(frame: pd.DataFrame, columns: Iterable[str], *, name: str) -> None:
    """Raise ValueError naming the columns that `frame` lacks, and those it has."""
    missing = [column for column in columns if column not in frame.columns]
    if missing:
        raise ValueError(
            f"{name} must have the columns {missing}, got {list(frame.columns)}. "
            "Write the table with the schema of DESIGN.md section 3."
        )


def risk_to_logit(risk) -> np.ndarray:
    """Return log(p / (1 - p)) of probabilities, clipped to [1e-7, 1 - 1e-7] to stay finite."""
    return logit(np.clip(np.asarray(risk, dtype=np.float64), RISK_CLIP, 1 - RISK_CLIP))


def logit_to_risk(value) -> np.ndarray:
    """Return the probability 1 / (1 + exp(-value))."""
    return expit(np.asarray(value, dtype=np.float64))
