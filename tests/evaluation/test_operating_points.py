"""Decisions at declared risks and at thresholds from training patients."""

import numpy as np
import pandas as pd
import pytest
from statsmodels.stats.proportion import proportion_confint

from evaluation.discrimination import exact_interval
from evaluation.operating_points import explorer_table, operating_points
from evaluation.resampling import BootstrapPlan
from evaluation.samples import ScoredRows
from evaluation.scores import patient_scores

PLAN = BootstrapPlan(n_resamples=200, method="percentile")


def sample_of(y_true, y_score, n_repeats=1):
    n = len(y_true)
    rows = [
        pd.DataFrame(
            {
                "patient_id": [f"P{k}" for k in range(n)],
                "repeat": repeat,
                "fold": 0,
                "y_true": y_true,
                "y_score": y_score,
            }
        )
        for repeat in range(n_repeats)
    ]
    return ScoredRows(pd.concat(rows, ignore_index=True))


def test_ten_patients_by_hand():
    y_true = [1, 1, 1, 0, 0, 0, 0, 0, 0, 0]
    y_score = [0.9, 0.4, 0.1, 0.5, 0.4, 0.3, 0.2, 0.1, 0.1, 0.05]
    row = explorer_table(sample_of(y_true, y_score), [0.35], PLAN).iloc[0]
    counts = ("n_positive", "true_positives", "false_positives", "false_negatives")
    assert row[list(counts)].tolist() == [4, 2, 2, 1]
    assert row["true_negatives"] == 5
    assert row[["sensitivity", "specificity", "ppv", "npv"]].tolist() == [2 / 3, 5 / 7, 0.5, 5 / 6]
    assert row["number_needed"] == 2
    assert row["net_benefit"] == pytest.approx(0.2 - 0.2 * 0.35 / 0.65)
    low, high = proportion_confint(2, 3, method="wilson")
    assert (row["sensitivity_low"], row["sensitivity_high"]) == pytest.approx((low, high))


def test_nobody_above_the_risk_leaves_the_ppv_open():
    row = explorer_table(sample_of([0, 1, 0], [0.1, 0.2, 0.1]), [0.5], PLAN).iloc[0]
    assert row["n_positive"] == 0
    assert np.isnan(row[["ppv", "number_needed"]].to_numpy(dtype=float)).all()


def test_repeats_do_not_make_more_patients():
    rng = np.random.default_rng(0)
    y_true = (rng.random(60) < 0.4).astype(int)
    y_score = np.clip(0.3 * y_true + 0.5 * rng.random(60), 0, 1)
    once, twice = (
        explorer_table(sample_of(y_true, y_score, n), [0.4], PLAN).iloc[0] for n in (1, 10)
    )
    assert once["sensitivity"] == twice["sensitivity"]
    assert once["true_positives"] == twice["true_positives"]
    width = [row["sensitivity_high"] - row["sensitivity_low"] for row in (once, twice)]
    assert width[1] == pytest.approx(width[0], rel=0.25)


def test_exact_interval_of_clopper_and_pearson():
    # No event in 20: the upper bound is 1 - (alpha / 2)^(1 / n).
    assert exact_interval(0, 20) == pytest.approx((0, 1 - 0.025 ** (1 / 20)))
    assert np.isnan(exact_interval(0, 0)).all()


def test_thresholds_come_from_training_patients(make_predictions):
    predictions = make_predictions(n=200)
    patients = patient_scores(predictions)
    table = operating_points(patients, plan=PLAN)
    assert set(table["rule"]) == {"sensitivity", "specificity"}
    assert len(table) == 4 * 4 * 3
    turned = patients.copy()
    is_test = turned["role"] == "test"
    turned.loc[is_test, "y_true"] = 1 - turned.loc[is_test, "y_true"]
    again = operating_points(turned, plan=PLAN)
    np.testing.assert_array_equal(table["threshold"], again["threshold"])
    at_90 = table[(table["rule"] == "sensitivity") & (table["wanted"] == 0.9)]
    reached = at_90.loc[at_90["metric"] == "sensitivity", "estimate"]
    assert ((reached > 0.7) & (reached <= 1)).all()
    assert (table["exact_low"] <= table["ci_low"] + 0.02).all()
