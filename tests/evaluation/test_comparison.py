from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest
from scipy.stats import t as student

from evaluation.comparison import compare_variants, pair_patients, paired_delong
from evaluation.discrimination import auroc
from evaluation.resampling import BootstrapPlan
from evaluation.scores import patient_scores

PLAN = BootstrapPlan(n_resamples=400)


def two(predictions, new="ecg_covariates", reference="ecg"):
    patients = patient_scores(predictions)
    test = patients[patients["role"] == "test"]
    return [test[test["variant"] == name] for name in (new, reference)]


@pytest.mark.parametrize("decimals", [8, 1])
def test_paired_delong_equals_the_definition_over_all_pairs(decimals, naive_delong):
    rng = np.random.default_rng(0)
    y_true = (rng.random(90) < 0.3).astype(int)
    common = rng.normal(size=90) + y_true
    scores = np.round(np.column_stack([common, common + rng.normal(size=90)]), decimals)
    interval, p_value = paired_delong(y_true, scores[:, 0], scores[:, 1])
    auc, covariance = naive_delong(y_true, scores)
    error = np.sqrt(covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1])
    assert interval.estimate == pytest.approx(auc[0] - auc[1])
    n_events = y_true.sum()
    quantile = student.ppf(0.975, min(n_events, y_true.size - n_events) - 1)
    assert interval.ci_high - interval.ci_low == pytest.approx(2 * quantile * error)
    assert 0 < p_value < 1
    back, same = paired_delong(y_true, scores[:, 1], scores[:, 0])
    assert (back.estimate, same) == (pytest.approx(-interval.estimate), pytest.approx(p_value))


def test_identical_scores_have_no_interval():
    interval, p_value = paired_delong([0, 1, 0, 1], [0.1, 0.3, 0.2, 0.15], [1.0, 3.0, 2.0, 1.5])
    assert interval.estimate == 0
    assert np.isnan([interval.ci_low, interval.ci_high, p_value]).all()


def test_repeats_are_averaged_with_their_covariance(naive_delong):
    rng = np.random.default_rng(1)
    y_true = (rng.random(60) < 0.4).astype(int)
    scores = rng.normal(size=(60, 4)) + y_true[:, None]
    interval, _ = paired_delong(y_true, scores[:, :2], scores[:, 2:])
    auc, covariance = naive_delong(y_true, scores)
    contrast = np.array([0.5, 0.5, -0.5, -0.5])
    assert interval.estimate == pytest.approx(contrast @ auc)
    quantile = student.ppf(0.975, min(y_true.sum(), 60 - y_true.sum()) - 1)
    width = 2 * quantile * np.sqrt(contrast @ covariance @ contrast)
    assert interval.ci_high - interval.ci_low == pytest.approx(width)


def test_within_folds_the_variance_is_that_of_the_mean_of_independent_folds(naive_delong):
    rng = np.random.default_rng(2)
    y_true = np.tile([1, 0, 0], 40)
    fold = np.repeat([0, 1, 2], 40)
    scores = rng.normal(size=(120, 2)) + y_true[:, None] + 10 * fold[:, None]
    interval, _ = paired_delong(y_true, scores[:, 0], scores[:, 1], folds=fold)
    parts = [naive_delong(y_true[fold == k], scores[fold == k]) for k in range(3)]
    gap = np.mean([auc[0] - auc[1] for auc, _ in parts])
    assert interval.estimate == pytest.approx(gap)
    # Deviations are taken from the mean over folds, not from each fold's own AUROC.
    error = np.sqrt(sum(c[0, 0] + c[1, 1] - 2 * c[0, 1] for _, c in parts)) / 3
    half_width = student.ppf(0.975, 39) * error
    assert interval.ci_high - interval.estimate == pytest.approx(half_width, rel=0.15)


def test_differences_are_the_differences_of_the_metrics(make_predictions):
    new, reference = two(make_predictions())
    table = compare_variants(new, reference, plan=PLAN, risk_thresholds=(0.2,))
    values = table.drop_duplicates("metric").set_index("metric")["estimate"]
    within = [
        auroc(a["y_true"], a["y_score"]) - auroc(b["y_true"], b["y_score"])
        for (_, a), (_, b) in zip(new.groupby("fold"), reference.groupby("fold"), strict=True)
    ]
    assert values["delta_auroc_mean_within_fold"] == pytest.approx(np.mean(within))
    pooled = auroc(new["y_true"], new["y_score"])
    pooled -= auroc(reference["y_true"], reference["y_score"])
    assert values["delta_auroc_pooled"] == pytest.approx(pooled)
    gaps = [((rows["y_score"] - rows["y_true"]) ** 2).mean() for rows in (new, reference)]
    assert values["delta_brier"] == pytest.approx(gaps[0] - gaps[1])
    assert table["n"].unique().tolist() == [90]


def test_swapping_the_variants_flips_the_sign(make_predictions):
    new, reference = two(make_predictions())
    plan = BootstrapPlan(n_resamples=400, method="percentile")
    one = compare_variants(new, reference, plan=plan, risk_thresholds=(0.2,))
    two_way = compare_variants(reference, new, plan=plan, risk_thresholds=(0.2,))
    np.testing.assert_allclose(one["estimate"], -two_way["estimate"], atol=1e-12)
    np.testing.assert_allclose(one["ci_low"], -two_way["ci_high"], atol=1e-12)


def test_pairing_is_narrower_than_taking_the_variants_as_independent(make_predictions):
    new, reference = two(make_predictions(n=200))
    table = compare_variants(new, reference, plan=PLAN)
    paired = table[table["metric"] == "delta_auroc_pooled"]
    # Bootstrap and DeLong answer the same question and must nearly agree.
    low, high = paired["ci_low"].to_numpy(), paired["ci_high"].to_numpy()
    assert low[0] == pytest.approx(low[1], abs=0.03)
    assert high[0] == pytest.approx(high[1], abs=0.03)


def test_the_better_variant_wins_and_a_copy_does_not(make_predictions):
    noises = {"good": 0.1, "poor": 3.0, "copy": 0.1}
    predictions = make_predictions(n=200, noises=noises)
    good, poor = two(predictions, "good", "poor")
    table = compare_variants(good, poor, plan=PLAN).set_index("metric")
    assert (table.loc[["delta_auroc_mean_within_fold"], "ci_low"] > 0).all()
    assert table.loc["delta_brier", "ci_high"] < 0
    same = compare_variants(good, good.assign(variant="copy"), plan=PLAN)
    assert (same["estimate"] == 0).all()
    assert same["ci_low"].isna().all()


def test_other_patients_are_refused(make_predictions):
    new, reference = two(make_predictions())
    message = (
        "patients must be identical in a paired comparison, got 2 patient rows only in the new "
        "variant, 1 only in the reference and 87 in both. Predict both variants on the same splits."
    )
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        pair_patients(new.iloc[1:], reference.iloc[:-2])
    other = reference.assign(y_true=1 - reference["y_true"])
    with pytest.raises(ValueError, match="got 90 patient rows that differ"):
        pair_patients(new, other)


def test_variants_are_compared_on_the_repeats_both_have(make_predictions):
    new, reference = two(make_predictions(n_repeats=3))
    table = compare_variants(new[new["repeat"] < 1], reference, plan=PLAN)
    alone = compare_variants(new[new["repeat"] < 1], reference[reference["repeat"] < 1], plan=PLAN)
    np.testing.assert_array_equal(table["estimate"], alone["estimate"])
    np.testing.assert_array_equal(table["ci_low"], alone["ci_low"])
    assert table["method"].str.contains("mean of the 1 of 3 repeats that both have").all()
    assert not alone["method"].str.contains("repeats that both").any()
    message = "repeats must overlap in a paired comparison, got none that both variants have."
    with pytest.raises(ValueError, match=f"^{message}"):
        pair_patients(new[new["repeat"] == 0], reference[reference["repeat"] > 0])


def test_one_outcome_class_is_said_not_crashed(make_predictions):
    new, reference = (rows.assign(y_true=0) for rows in two(make_predictions()))
    table = compare_variants(new, reference, plan=PLAN, risk_thresholds=(0.2,))
    of_auroc = table[table["metric"].str.contains("auroc")]
    assert of_auroc["estimate"].isna().all()
    assert of_auroc["method"].str.contains("one outcome class").all()
    assert isinstance(table, pd.DataFrame)
