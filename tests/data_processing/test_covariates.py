"""Encoding and the first table, against values worked out by hand."""

import numpy as np
import pandas as pd
import pytest

from data_processing.covariates import (
    NICM_COVARIATES,
    encode_covariates,
    encoded_names,
    standardised_difference,
    table_one,
)


@pytest.fixture
def patients():
    return pd.DataFrame(
        {
            "patient_id": ["P1", "P2", "P3", "P4", "P5", "P6"],
            "age_years": [40.0, 50.0, 60.0, np.nan, 70.0, 30.0],
            "sex": ["male", "female", "male", "male", None, "female"],
            "lvef_percent": [20.0, 25, 30, 35, 40, 45],
            "lge_present": [1.0, 0, 1, np.nan, 1, 0],
            "lge_pattern": ["ring_like", "none", "midwall_septal", None, "ring_like", "none"],
            "pathogenic_variant": [1.0, 0, np.nan, 0, 1, 0],
            "outcome": pd.array([1, 0, 1, 0, 1, 0], dtype="Int8"),
        }
    )


def test_encoding_keeps_missing_and_leaves_the_reference_out(patients):
    encoded = encode_covariates(patients, NICM_COVARIATES)
    assert list(encoded) == encoded_names(NICM_COVARIATES)
    assert encoded.index.tolist() == patients["patient_id"].tolist()
    assert set(encoded.dtypes) == {np.dtype("float64")}
    np.testing.assert_array_equal(encoded["is_male"], [1, 0, 1, 1, np.nan, 0])
    np.testing.assert_array_equal(encoded["lge_pattern=ring_like"], [1, 0, 0, np.nan, 1, 0])
    assert "lge_pattern=none" not in encoded
    assert encoded.loc["P4"].isna().sum() == 1 + 1 + 3  # age, LGE, three columns of the pattern


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("age_years", 130.0, "age_years must be between 0 and 120, got 1 other values."),
        ("sex", "x", "is_male must be one of female, male, got 1 other values."),
        ("lge_pattern", "patchy", "lge_pattern must be one of none, midwall_septal, subepicard"),
        ("pathogenic_variant", 0.5, "pathogenic_variant must be between 0 and 1 (0 or 1), got 1"),
    ],
)
def test_values_outside_the_spec_are_errors(patients, column, value, message):
    patients.loc[0, column] = value
    with pytest.raises(ValueError) as error:  # noqa: PT011
        encode_covariates(patients, NICM_COVARIATES)
    assert message in str(error.value)


def test_a_missing_column_is_named(patients):
    with pytest.raises(
        ValueError, match="must have the column sex for covariate is_male, got none"
    ):
        encode_covariates(patients.drop(columns="sex"), NICM_COVARIATES)


def test_table_one_by_hand(patients):
    table = table_one(patients, NICM_COVARIATES).set_index("characteristic")
    assert table.loc["Patients, n", ["overall", "no_event", "event"]].tolist() == ["6", "3", "3"]
    age = table.loc["Age, years, median [quartiles]"]
    assert age["overall"] == "50 [40, 60]"
    assert age["missing"] == "1 (17%)"
    male = table.loc["Male sex, n (%)"]
    assert (male["overall"], male["no_event"], male["event"]) == ("3 (60%)", "1 (33%)", "2 (100%)")
    assert table.loc["    ring like", "event"] == "2 (67%)"
    assert list(table_one(patients, NICM_COVARIATES, outcome=None)) == [
        "characteristic",
        "overall",
        "missing",
    ]


def test_table_one_shows_who_has_an_unknown_status_apart(patients):
    patients.loc[[0, 3], "outcome"] = pd.NA
    table = table_one(patients, NICM_COVARIATES).set_index("characteristic")
    groups = ["overall", "no_event", "event", "unknown"]
    assert table.loc["Patients, n", groups].tolist() == ["6", "2", "2", "2"]
    assert table.loc["LVEF, %, median [quartiles]", "unknown"] == "27.5 [23.8, 31.2]"


def test_standardised_difference_by_hand():
    one, zero = np.array([2.0, 4.0, 6.0]), np.array([1.0, 2.0, 3.0, np.nan])
    assert standardised_difference(one, zero) == pytest.approx(2 / np.sqrt((4 + 1) / 2))
    shares = np.repeat([1.0, 0.0], [6, 4]), np.repeat([1.0, 0.0], [2, 8])
    assert standardised_difference(*shares) == pytest.approx(0.4 / np.sqrt((0.24 + 0.16) / 2))
    assert np.isnan(standardised_difference(np.ones(3), np.ones(3)))
