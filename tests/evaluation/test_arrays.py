from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest

from evaluation.arrays import (
    as_outcome,
    as_risk,
    logit_to_risk,
    require_columns,
    risk_to_logit,
)


@pytest.mark.parametrize(
    "values",
    [[0, 1, 1], [False, True, True], pd.array([0, 1, 1], dtype="Int8"), np.array([0.0, 1.0, 1.0])],
)
def test_outcomes_of_any_kind_become_integers(values):
    assert as_outcome(values).tolist() == [0, 1, 1]
    assert as_outcome(values).dtype == np.int8


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            [0, 1, np.nan],
            "y_true must be 0 or 1 in every row, got nan in 1 of 3 rows. Exclude and count "
            "patients whose outcome is unknown first.",
        ),
        (
            pd.array([0, pd.NA, 1], dtype="Int8"),
            "y_true must be 0 or 1 in every row, got nan in 1 of 3 rows. Exclude and count "
            "patients whose outcome is unknown first.",
        ),
        (
            [0, 2, 2],
            "y_true must be 0 or 1 in every row, got 2 in 2 of 3 rows. Exclude and count "
            "patients whose outcome is unknown first.",
        ),
        (
            [],
            "y_true must be one-dimensional with at least one row, got shape (0,). Pass one "
            "outcome a row.",
        ),
    ],
)
def test_bad_outcomes_are_refused(values, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        as_outcome(values)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            [0.1, np.nan],
            "y_score must be finite in every row, got 1 missing or infinite of 2. Find out why "
            "these records have no score; never fill them.",
        ),
        (
            [0.1, -2.5],
            "y_score must be between 0 and 1, got -2.5 in 1 of 2 rows. Pass the probability, not "
            "the logit.",
        ),
        ([0.1], "y_score must be of shape (2,) as y_true, got (1,). Pass one score a row."),
    ],
)
def test_bad_risks_are_refused(values, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        as_risk(values, n_rows=2)


def test_missing_columns_are_named():
    with pytest.raises(ValueError, match=r"table must have the columns \['b'\], got \['a'\]"):
        require_columns(pd.DataFrame({"a": [1]}), ("a", "b"), name="table")


def test_logit_is_finite_at_the_ends_and_inverts_between():
    assert np.isfinite(risk_to_logit([0.0, 1.0])).all()
    np.testing.assert_allclose(logit_to_risk(risk_to_logit([0.01, 0.5])), [0.01, 0.5])
