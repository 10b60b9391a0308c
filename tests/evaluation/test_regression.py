"""Predicted numbers: reference values, a perfect and a constant model, patients as the unit."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import linregress
from sklearn.metrics import mean_absolute_error, r2_score, root_mean_squared_error

from evaluation.regression import (
    MEASURES,
    agreement_statistic,
    calibration_lines,
    patient_values,
    regression_table,
)
from evaluation.resampling import BootstrapPlan

PLAN = BootstrapPlan(n_resamples=200, method="percentile")


def measured(y_true, y_score):
    found = agreement_statistic(y_true, y_score)(np.ones((1, len(y_true))))[0]
    return dict(zip(MEASURES, found, strict=True))


def predictions(n=60, noise=3.0, seed=0):
    rng = np.random.default_rng(seed)
    y_true = rng.normal(30, 6, n)
    table = pd.DataFrame({"patient_id": [f"P{k}" for k in range(n)], "y_true": y_true})
    table = table.loc[np.repeat(np.arange(n), 1 + np.arange(n) % 3)].reset_index(drop=True)
    score = table["y_true"] * 0.8 + 7 + rng.normal(0, noise, len(table))
    keys = {"target": "lvef", "variant": "ecg", "repeat": 0, "role": "test"}
    ids = [f"R{k}" for k in range(len(table))]
    return table.assign(y_score=score, fold=0, record_id=ids, **keys)


def values_and_table(table):
    return regression_table(patient_values(table), PLAN)


def test_the_measures_are_those_of_other_libraries():
    rng = np.random.default_rng(1)
    y, x = rng.normal(1000, 5, 50), rng.normal(1000, 4, 50)
    found, line, d = measured(y, x), linregress(x, y), x - y
    expected = {
        "mean_absolute_error": mean_absolute_error(y, x),
        "root_mean_squared_error": root_mean_squared_error(y, x),
        "r_squared": r2_score(y, x),
        "mean_difference": d.mean(),
        "agreement_low": d.mean() - 1.96 * d.std(ddof=1),
        "agreement_high": d.mean() + 1.96 * d.std(ddof=1),
        "calibration_intercept": line.intercept,
        "calibration_slope": line.slope,
    }
    assert found == pytest.approx(expected, rel=1e-6)


def test_a_weight_of_two_is_a_row_twice():
    y, x = np.array([1.0, 2.0, 4.0, 3.0]), np.array([1.5, 2.0, 3.0, 3.5])
    weighted = agreement_statistic(y, x)(np.array([[2, 1, 0, 1]]))[0]
    twice = list(measured(y[[0, 0, 1, 3]], x[[0, 0, 1, 3]]).values())
    np.testing.assert_allclose(weighted, twice)


def test_the_mean_for_everybody_explains_nothing_and_has_no_slope():
    y = np.array([1.0, 2.0, 6.0])
    found = measured(y, np.full(3, y.mean()))
    assert found["r_squared"] == pytest.approx(0)
    assert np.isnan(found["calibration_slope"])


def test_a_patient_counts_once_with_the_mean_of_the_records():
    table = predictions()
    values = patient_values(table)
    assert len(values) == 60
    one = table[table["patient_id"] == "P2"]
    assert values.set_index("patient_id")["y_score"]["P2"] == pytest.approx(one["y_score"].mean())
    table.loc[table["patient_id"] == "P2", "y_true"] = np.nan
    assert "P2" not in set(patient_values(table)["patient_id"])


def test_every_measure_has_an_interval_around_it():
    table = regression_table(patient_values(predictions()), PLAN)
    assert table["metric"].tolist() == list(MEASURES)
    assert (table["n"] == 60).all()
    assert (table["ci_low"] < table["estimate"]).all()
    assert (table["estimate"] < table["ci_high"]).all()
    assert table["method"].str.contains("bootstrap of patients").all()


def test_several_repeats_are_averaged():
    first, second = predictions(), predictions(seed=1)
    second["y_true"] = first["y_true"]
    both = pd.concat([first, second.assign(repeat=1)])
    parts = [values_and_table(part)["estimate"] for part in (first, second)]
    np.testing.assert_allclose(values_and_table(both)["estimate"], sum(parts) / 2)


def test_wrong_input_is_refused():
    table = predictions()
    table.loc[0, "y_score"] = np.nan
    with pytest.raises(ValueError, match="y_score must be a number for patients with a measured v"):
        patient_values(table)


def test_seeds_are_averaged_as_values_not_as_logits():
    first = predictions()
    second = first.assign(y_score=first["y_score"] + 4, seed=1)
    both = pd.concat([first.assign(seed=0), second])
    alone, together = patient_values(first), patient_values(both)
    np.testing.assert_allclose(together["y_score"], alone["y_score"] + 2)
    assert together["n_records"].tolist() == alone["n_records"].tolist()


def test_the_calibration_line_of_a_straight_relation_is_that_line():
    table = predictions(noise=0.0)
    line = calibration_lines(patient_values(table), PLAN, n_points=7)
    np.testing.assert_allclose(line["measured"], (line["predicted"] - 7) / 0.8, rtol=1e-6)
    assert line[["variant", "n"]].drop_duplicates().to_numpy().tolist() == [["ecg", 60]]


def test_the_band_of_the_calibration_line_holds_the_line():
    line = calibration_lines(patient_values(predictions(noise=6.0)), PLAN)
    inner = line.iloc[5:-5]
    assert (inner["ci_low"] <= inner["measured"]).all()
    assert (inner["measured"] <= inner["ci_high"]).all()
