"""The claims page: each sentence follows its rule, few events carry none."""

import numpy as np
import pandas as pd
import pytest

from evaluation.claims_page import claims_page
from evaluation.net_benefit import limit_rule
from evaluation.summary import EvaluationSettings, evaluate

QUICK = EvaluationSettings(n_resamples=200, interval="percentile", comparison_risks=(0.1, 0.2))


def page_of(predictions, settings=QUICK, **given):
    return claims_page(evaluate(predictions, settings, **given), settings)


def verdict_of(page, start):
    found = page[page["sentence"].str.startswith(start)]
    assert len(found) == 1, page["sentence"].tolist()
    return found["verdict"].item()


@pytest.fixture(scope="module")
def strong(make_predictions):
    noises = {"clinical": 6.0, "ecg": 6.0, "ecg_covariates": 0.0}
    return make_predictions(n=500, noises=noises, seed=3)


def test_a_strong_model_is_supported_and_noise_is_not(strong):
    page = page_of(strong)
    assert page["sentence"].iloc[0].startswith("ECG + covariates adds to Clinical")
    assert page["verdict"].iloc[0] == "supported"
    better = "ECG + covariates tells patients and"
    assert verdict_of(page, "ECG + covariates tells patients with") == "supported"
    assert verdict_of(page, "ECG + covariates tells patients apart better than ECG.") == "supported"
    assert not page["sentence"].str.startswith(better).any()
    assert verdict_of(page, "ECG tells patients apart better than Clinical.") == "inconclusive"
    assert verdict_of(page, "Treating by ECG + covariates does more good than treating n") == (
        "supported"
    )
    assert verdict_of(page, "The score of ECG + covariates carries") == "supported"
    # Noise on the logit makes risks too extreme.
    assert verdict_of(page, "The risks of Clinical mean") == "not supported"
    assert verdict_of(page, "The same holds in another hospital.") == "not assessed"


def test_few_events_carry_no_sentence(strong):
    events = strong.loc[strong["y_true"] == 1, "patient_id"].drop_duplicates()
    kept = strong[~strong["patient_id"].isin(events.iloc[9:])]
    page = page_of(kept)
    assert set(page["verdict"]) == {"inconclusive", "not assessed"}
    assert page["evidence"].str.contains("9 events").any()


def test_a_model_that_equals_the_rule_does_no_more_good(strong):
    patients = pd.DataFrame({"patient_id": strong["patient_id"].unique()})
    truth = strong.drop_duplicates("patient_id").set_index("patient_id")["y_true"]
    patients["lvef_percent"] = np.where(truth[patients["patient_id"]], 20.0, 60.0)
    rule = limit_rule(patients, "lvef_percent", 35, "LVEF ≤ 35 %")
    assert rule is not None
    page = page_of(strong, rule=rule)
    sentence = "Treating by ECG + covariates does more good than treating by the simple rule."
    assert verdict_of(page, sentence) == "not supported"


def test_the_rule_names_those_it_cannot_act_on():
    patients = pd.DataFrame({"patient_id": list("abc"), "lvef_percent": [35.0, 36.0, np.nan]})
    name, acts = limit_rule(patients, "lvef_percent", 35, "LVEF ≤ 35 %")
    assert name == "LVEF ≤ 35 % (unknown in 1: not acted on)"
    assert acts.tolist() == [1, 0, 0]
    assert limit_rule(patients, "qrs_duration_ms", 120, "QRS") is None


def test_the_rule_in_the_decision_curve_by_hand(strong):
    ids = strong["patient_id"].unique()
    rule = ("half", pd.Series(np.arange(ids.size) % 2.0, index=ids))
    curve = evaluate(strong, QUICK, rule=rule)["decision_curve"]
    row = curve[(curve["strategy"] == "half") & np.isclose(curve["threshold"], 0.2)].iloc[0]
    truth = strong.drop_duplicates("patient_id").set_index("patient_id")["y_true"]
    hits = truth[rule[1] == 1]
    assert row["net_benefit"] == pytest.approx((hits.sum() - (1 - hits).sum() / 4) / ids.size)
    model = curve[(curve["strategy"] == "model") & np.isclose(curve["threshold"], 0.2)].iloc[0]
    assert model["minus_rule"] == pytest.approx(model["net_benefit"] - row["net_benefit"])
    assert model["minus_rule_low"] < model["minus_rule"] < model["minus_rule_high"]


def test_several_targets_are_adjusted(make_predictions):
    noises = {"clinical": 1.2, "ecg_covariates": 0.4}
    one = make_predictions(n=150, noises=noises, seed=1)
    many = pd.concat([one.assign(target=f"t{k}") for k in range(3)])
    result = evaluate(many, QUICK)
    primary = result["comparisons"]["p_value"].notna() & (
        result["comparisons"]["metric"] == "delta_auroc_pooled"
    )
    rows = result["comparisons"][primary]
    # Three equal p-values stay what they are under Benjamini and Hochberg.
    np.testing.assert_allclose(rows["q_value"], rows["p_value"])
    assert result["comparisons"][~primary]["q_value"].isna().all()
