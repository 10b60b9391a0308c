from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest

from evaluation.discrimination import auroc
from evaluation.scores import patient_scores
from evaluation.summary import EvaluationSettings, evaluate

QUICK = EvaluationSettings(n_resamples=100, risk_step=0.15, comparison_risks=(0.2,))
METRIC_COLUMNS = ["variant", "target", "level", "subgroup", "metric", "method", "threshold"]
METRIC_COLUMNS += ["estimate", "ci_low", "ci_high", "n", "n_events"]
METRICS = ["auroc_mean_within_fold", "auroc_pooled", "auprc", "prevalence", "sensitivity"]
METRICS += ["specificity", "ppv", "npv", "brier", "scaled_brier", "o_e", "ici", "e50", "e90"]
METRICS += ["calibration_slope", "calibration_intercept"]


@pytest.fixture(scope="module")
def predictions(make_predictions):
    return make_predictions(n=120, n_folds=4)


@pytest.fixture(scope="module")
def result(predictions):
    return evaluate(predictions, QUICK)


def value(result, metric, variant="ecg", level="patient"):
    table = result["metrics"]
    is_row = (table["metric"] == metric) & (table["variant"] == variant)
    return table[is_row & (table["level"] == level)].iloc[0]


def test_four_folds_give_every_table(result):
    metrics = result["metrics"]
    assert list(metrics.columns) == [*METRIC_COLUMNS, "coverage", "trust"]
    assert metrics["variant"].unique().tolist() == ["ecg", "ecg_covariates", "clinical"]
    of_patients = metrics[(metrics["level"] == "patient") & (metrics["variant"] == "ecg")]
    assert of_patients["metric"].drop_duplicates().to_list() == METRICS
    assert set(result) == {
        "metrics",
        "comparisons",
        "claims",
        "thresholds",
        "patients",
        "roc",
        "precision_recall",
        "calibration_curve",
        "decision_curve",
        "risk_histogram",
        "explorer",
        "operating_points",
    }
    assert all(len(table) for table in result.values())
    with_interval = metrics.dropna(subset=["ci_low"])
    assert (with_interval["ci_low"] <= with_interval["estimate"]).all()
    assert (with_interval["ci_high"] >= with_interval["estimate"]).all()
    without = metrics[metrics["ci_low"].isna()]
    assert set(without["metric"]) <= {"ici", "e50", "e90"}
    assert (
        without["method"]
        .str.contains("no interval: those of the bootstrap are too narrow under 200")
        .all()
    )
    models = metrics[metrics["metric"] != "prevalence"]
    assert models["method"].str.contains("conditional on the fitted models").all()


def test_numbers_equal_the_definitions(predictions, result):
    patients = patient_scores(predictions)
    test = patients[(patients["role"] == "test") & (patients["variant"] == "ecg")]
    folds = [auroc(rows["y_true"], rows["y_score"]) for _, rows in test.groupby("fold")]
    assert value(result, "auroc_mean_within_fold")["estimate"] == pytest.approx(np.mean(folds))
    pooled = value(result, "auroc_pooled")
    assert pooled["estimate"] == pytest.approx(auroc(test["y_true"], test["y_score"]))
    assert (pooled["n"], pooled["n_events"]) == (120, test["y_true"].sum())
    records = predictions[(predictions["role"] == "test") & (predictions["variant"] == "ecg")]
    row = value(result, "auroc_pooled", level="record")
    assert row["estimate"] == pytest.approx(auroc(records["y_true"], records["y_score"]))
    assert (row["n"], row["n_events"]) == (len(records), records["y_true"].sum())
    decided = result["patients"].query("variant == 'ecg' and y_true == 1")
    assert value(result, "sensitivity")["estimate"] == pytest.approx(decided["decision"].mean())


def test_hold_out_is_its_one_fold(make_predictions):
    predictions = make_predictions()
    result = evaluate(predictions[predictions["fold"] == 0], QUICK)
    within, pooled = (value(result, f"auroc_{k}") for k in ("mean_within_fold", "pooled"))
    assert within["estimate"] == pytest.approx(pooled["estimate"])
    assert within["ci_low"] == pytest.approx(pooled["ci_low"])
    assert within["method"].startswith("mean of 1 folds; wider of DeLong within folds")


def test_repeats_are_means_of_repeats(make_predictions):
    predictions = make_predictions(n_repeats=2, noises={"ecg": 1.0})
    result = evaluate(predictions, QUICK)
    alone = [evaluate(rows, QUICK) for _, rows in predictions.groupby("repeat")]
    names = [name for name in METRICS if name != "prevalence"]
    for name in names:
        expected = np.mean([value(part, name)["estimate"] for part in alone])
        assert value(result, name)["estimate"] == pytest.approx(expected, abs=1e-6), name
        assert "mean of 2 repeats" in value(result, name)["method"]
    assert value(result, "brier")["n"] == 90
    assert result["risk_histogram"].groupby("variant")["count"].sum().eq(90).all()
    net = result["decision_curve"].query("variant == 'ecg' and strategy == 'model'")
    parts = [p["decision_curve"].query("variant == 'ecg' and strategy == 'model'") for p in alone]
    expected = np.mean([part["net_benefit"].to_numpy() for part in parts], axis=0)
    np.testing.assert_allclose(net["net_benefit"], expected, atol=1e-12)


def test_same_seed_same_tables_and_order_of_rows_is_free(predictions, result):
    # Shuffled within variants, so that the order of the report stays.
    shuffled = predictions.sample(frac=1, random_state=0)
    order = predictions["variant"].unique().tolist()
    shuffled = shuffled.sort_values("variant", key=lambda names: names.map(order.index))
    again = evaluate(shuffled, QUICK)
    for name, table in result.items():
        pd.testing.assert_frame_equal(table, again[name])


def test_a_fold_with_one_class_is_left_out_and_counted(make_predictions):
    predictions = make_predictions()
    is_lost = (predictions["fold"] == 1) & (predictions["role"] == "test")
    predictions = predictions[~(is_lost & (predictions["y_true"] == 1))]
    result = evaluate(predictions, QUICK)
    row = value(result, "auroc_mean_within_fold")
    assert row["method"].startswith("mean of 2 folds (1 without both outcomes left out);")
    assert np.isfinite(row["estimate"])
    assert np.isfinite(result["comparisons"]["estimate"]).all()


@pytest.mark.parametrize("outcome", [0, 1])
def test_test_patients_of_one_class_give_reasons(make_predictions, outcome):
    predictions = make_predictions()
    is_kept = (predictions["role"] != "test") | (predictions["y_true"] == outcome)
    result = evaluate(predictions[is_kept], QUICK)
    for name in ("auroc_mean_within_fold", "auroc_pooled", "auprc", "calibration_slope"):
        row = value(result, name)
        assert np.isnan([row["estimate"], row["ci_low"], row["ci_high"]]).all()
        assert row["method"].startswith("not estimable: one outcome class")
    assert result["roc"].empty
    assert list(result["roc"].columns)[:3] == ["variant", "target", "repeat"]
    assert result["claims"]["verdict"].to_list() == ["inconclusive"]


def test_constant_and_saturated_scores_give_reasons(make_predictions):
    predictions = make_predictions()
    predictions.loc[predictions["variant"] == "ecg", "y_score"] = 0.2
    is_perfect = predictions["variant"] == "clinical"
    predictions.loc[is_perfect, "y_score"] = predictions["y_true"][is_perfect].astype(float)
    result = evaluate(predictions, QUICK)
    assert value(result, "auroc_pooled")["estimate"] == pytest.approx(0.5)
    assert "same score" in value(result, "calibration_slope")["method"]
    assert value(result, "auroc_pooled", "clinical")["estimate"] == 1
    # An AUROC of 1 in a sample is no proof of 1: Newcombe's interval exists, DeLong's does not.
    perfect = value(result, "auroc_pooled", "clinical")
    assert 0.8 < perfect["ci_low"] < 1
    assert perfect["ci_high"] == 1
    assert "separates" in value(result, "calibration_slope", "clinical")["method"]


class TestComparisons:
    def test_one_primary_row_and_its_claim(self, make_predictions):
        noises = {"clinical": 4.0, "ecg_covariates": 0.1}
        result = evaluate(make_predictions(n=200, noises=noises), QUICK)
        primary = result["comparisons"].query("is_primary")
        assert primary[["new", "reference", "metric"]].to_numpy().tolist() == [
            ["ecg_covariates", "clinical", "delta_auroc_mean_within_fold"]
        ]
        claim = result["claims"].iloc[0]
        assert claim["verdict"] == "adds"
        assert f"{primary['estimate'].iloc[0]:+.3f}" in claim["sentence"]

    def test_all_pairs_and_the_declared_direction(self, result):
        pairs = result["comparisons"][["new", "reference"]].drop_duplicates().to_numpy().tolist()
        assert pairs == [
            ["ecg_covariates", "ecg"],
            ["clinical", "ecg"],
            ["ecg_covariates", "clinical"],
        ]

    def test_a_skipped_variant_is_not_assessed(self, make_predictions):
        result = evaluate(make_predictions(noises={"ecg": 1.0}), QUICK)
        assert result["comparisons"].empty
        claim = result["claims"].iloc[0]
        assert claim["verdict"] == "not assessed"
        assert claim["sentence"] == (
            "Whether ecg_covariates adds to clinical was not assessed: there are predictions of "
            "ecg only."
        )

    def test_other_patients_stop_the_evaluation(self, make_predictions):
        predictions = make_predictions()
        patient = predictions["patient_id"].iloc[0]
        is_gone = (predictions["variant"] == "ecg") & (predictions["patient_id"] == patient)
        with pytest.raises(ValueError, match=r"^patients must be identical in a paired comparison"):
            evaluate(predictions[~is_gone], QUICK)


def test_types_of_parquet_make_no_difference(predictions, result):
    types = {"y_true": "Int8", "repeat": "int16", "horizon_days": "float32"}
    again = evaluate(predictions.astype(types), QUICK)
    pd.testing.assert_frame_equal(again["metrics"], result["metrics"])
    pd.testing.assert_frame_equal(again["comparisons"], result["comparisons"])


def test_two_targets_stay_apart(make_predictions):
    first = make_predictions(noises={"ecg": 1.0})
    second = make_predictions(seed=1, noises={"ecg": 1.0}).assign(
        target="death", horizon_days=365.0
    )
    both = evaluate(pd.concat([first, second]), QUICK)
    alone = evaluate(first, QUICK)
    kept = both["metrics"][both["metrics"]["target"] == "sva"].reset_index(drop=True)
    pd.testing.assert_frame_equal(kept, alone["metrics"])
    assert both["claims"]["target"].to_list() == ["sva", "death"]


def test_test_rows_are_needed(make_predictions):
    predictions = make_predictions()
    with pytest.raises(ValueError, match=r"^predictions must hold rows with role 'test', got none"):
        evaluate(predictions[predictions["role"] != "test"], QUICK)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"threshold_rule": "best"},
            "rule must be one of ('youden', 'sensitivity', ",
        ),
        ({"threshold_rule": "sensitivity"}, "target must be a sensitivity above 0 and at most 1"),
        ({"risk_low": 0.5, "risk_high": 0.1}, "risk_low, risk_high and risk_step must satisfy"),
        ({"comparison_risks": (0.1, 1.0)}, "thresholds must be risks between 0 and 1 (exclusive)"),
        ({"margin": 0.0}, "margin must be above 0, got 0. Declare the smallest difference in"),
        ({"n_bins": 1}, "n_bins must be at least 2, got 1. Use 20."),
        ({"n_resamples": 10}, "n_resamples must be at least 100, got 10."),
        ({"interval": "normal"}, "method must be one of ('percentile', 'bca'), got 'normal'."),
    ],
)
def test_bad_settings_are_refused(arguments, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}"):
        EvaluationSettings(**arguments)


def test_risk_thresholds_end_where_declared():
    assert EvaluationSettings().risk_thresholds.tolist()[::45] == [0.05, 0.5]
