"""Frozen bundles on another cohort: what is refused, what is told, and the scores."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from models_training.bundle import save_bundle
from models_training.external_checks import (
    ExternalError,
    check_bundles,
    check_contract,
    check_overlap,
)
from models_training.frozen import covariates_for, frozen_scores, validate_bundles
from models_training.variants import VariantTraining

CHAIN = {"rate_hz": 100, "duration_seconds": 10.0, "low_cut_hz": 0.5, "high_cut_hz": 40.0}
FACTS = {
    "leads": ["I", "II"],
    "rate_hz": 100,
    "signal_chain": CHAIN,
    "target": "sva",
    "horizon_days": 1095,
    "landmark_days": 0,
    "is_synthetic": False,
}
SPEC = [
    {"name": "age_years", "label": "Age", "unit": "years", "kind": "number"},
    {"name": "is_male", "label": "Male", "unit": "", "kind": "binary", "categories": ["f", "m"]},
    {"name": "lvef_percent", "label": "LVEF", "unit": "%", "kind": "number"},
]
KEYED = "Pabcdef0123456789"


def card_of(**changes):
    """Return a card with the facts of a bundle."""
    card = {**FACTS, "covariates": SPEC, "covariate_names": [item["name"] for item in SPEC]}
    card |= {"threshold": {"value": 0.3}, "trained_on": {"file_sha256": ["a", "b"]}}
    return card | changes


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"leads": ["II", "I"]}, "leads of the cohort must be I, II as the model's card says, got"),
        ({"rate_hz": 250}, "rate_hz of the cohort must be 100 as the model's card says, got 250"),
        (
            {"signal_chain": CHAIN | {"low_cut_hz": 0.05}},
            "low_cut_hz of the signal chain must be 0.5 as the model's card says, got 0.05",
        ),
        (
            {"signal_chain": CHAIN | {"wavelet": "db4"}},
            "wavelet of the signal chain must be None as the model's card says, got db4",
        ),
        ({"target": "death"}, "target of the cohort must be sva as the model's card says, got"),
        ({"horizon_days": 365}, "horizon_days of the cohort must be 1095 as the model's card"),
        ({"landmark_days": 90}, "landmark_days of the cohort must be 0 as the model's card"),
    ],
)
def test_a_cohort_that_does_not_fit_is_refused(changes, message):
    with pytest.raises(ExternalError, match=message):
        check_contract(card_of(), FACTS | changes)


def test_what_may_differ_is_told():
    assert check_contract(card_of(), FACTS) == []
    older = {name: value for name, value in card_of().items() if name != "landmark_days"}
    assert check_contract(older, FACTS) == []
    other = FACTS | {"target": "death", "is_synthetic": True}
    assert check_contract(card_of(), other, accept_other_target=True) == [
        "Declared: target is death in this cohort, sva in the model.",
        "The cohort consists of simulated patients.",
    ]


def records_of(hashes, patients):
    ids = [f"R{number}" for number in range(len(hashes))]
    return pd.DataFrame({"record_id": ids, "patient_id": patients, "file_sha256": hashes})


def test_an_ecg_of_the_training_data_is_refused():
    records = records_of(["c", "b"], ["P0001", "P0002"])
    with pytest.raises(ExternalError, match=r"got 1 of 2 \(first: R1\)"):
        check_overlap(card_of(), records)


def test_a_patient_of_the_training_data_is_refused_where_pseudonyms_mean_something():
    records = records_of(["c", "d"], [KEYED, KEYED[:-1] + "0"])
    with pytest.raises(ExternalError, match=rf"got 1 of 2 \(first: {KEYED}\)"):
        check_overlap(card_of(), records, trained_patients=[KEYED])
    text = check_overlap(card_of(), records, trained_patients=[KEYED[:-1] + "1"])
    assert text.endswith("of the training data, and no patient's pseudonym is.")
    numbered = records_of(["c"], ["P0001"])  # another person in each cohort
    assert "could not be compared" in check_overlap(card_of(), numbered, trained_patients=["P0001"])
    assert "could not be compared" in check_overlap(card_of(), records)


def test_what_is_said_of_several_models_is_said_once():
    cards = {"ecg": card_of(), "clinical": card_of()}
    assert len(check_bundles(cards, FACTS, records_of(["c"], ["P0001"]))) == 1


def test_a_network_that_began_with_an_encoder_is_not_judged_on_what_that_has_seen():
    encoder = {"name": "enc", "cohorts": ["ptbxl"], "hashed": "scaled ECGs"}
    cards = {"ecg": card_of(encoder=encoder)}
    records = records_of(["c"], ["P0001"])
    notes = check_bundles(cards, FACTS | {"cohort": "own"}, records)
    assert "Make sure that no ECG of ptbxl is in the cohort." in notes[-1]
    with pytest.raises(ExternalError, match=r"\(ptbxl\), got challenge2021, which contains ptbxl"):
        check_bundles(cards, FACTS | {"cohort": "challenge2021"}, records)


def test_missing_values_are_counted_and_left_to_the_model(make_data):
    data = make_data()
    needed, imputed, reason = covariates_for(card_of(), data.covariates, SPEC)
    assert reason == ""
    pd.testing.assert_frame_equal(needed, data.covariates)
    counts = imputed.set_index("covariate")["n_imputed"]
    assert counts.to_dict() == {"age_years": 0, "is_male": 0, "lvef_percent": 6}


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        (SPEC[:2], "the cohort has no lvef_percent"),
        ([*SPEC[:2], SPEC[2] | {"unit": "1"}], "unit of lvef_percent must be %, got 1"),
        ([*SPEC[:2], SPEC[2] | {"kind": "binary"}], "kind of lvef_percent must be number"),
    ],
)
def test_a_covariate_that_is_not_there_refuses_the_model(make_data, changed, reason):
    _, _, found = covariates_for(card_of(), make_data().covariates, changed)
    assert reason in found


def test_the_words_of_a_binary_may_differ_and_those_of_a_category_may_not(make_data):
    german = [SPEC[0], SPEC[1] | {"categories": ["w", "m"]}, SPEC[2]]
    assert covariates_for(card_of(), make_data().covariates, german)[2] == ""
    site = {"name": "site", "kind": "category", "unit": "", "categories": ["a", "b"]}
    card = card_of(covariates=[site], covariate_names=["site=b"])
    encoded = pd.DataFrame({"site=b": [0.0]})
    other = [site | {"categories": ["b", "a"]}]
    assert "categories of site must be" in covariates_for(card, encoded, other)[2]


def test_an_absent_covariate_may_be_declared_missing_in_everybody(make_data):
    less = make_data().covariates[["age_years", "is_male"]]
    needed, imputed, reason = covariates_for(card_of(), less, SPEC[:2], impute_absent=True)
    assert reason == ""
    assert needed["lvef_percent"].isna().all()
    assert imputed.set_index("covariate").loc["lvef_percent", "n_imputed"] == len(less)


@pytest.fixture
def train(tmp_path, make_data, make_splits, tiny):
    """Return a function that trains one variant and returns the folder of its bundle."""

    def make(variant):
        data = make_data()
        job = VariantTraining(variant, data, make_splits(data), replace(tiny, n_epochs=1))
        found = job.fit(tmp_path / variant)
        card = card_of(covariate_names=found.covariate_names, settings={"seed": 3})
        save_bundle(tmp_path / variant, found.model, card)
        return tmp_path / variant

    return make


def test_frozen_models_score_another_cohort_twice_alike(train, make_data):
    bundles = {variant: train(variant) for variant in ("clinical", "ecg_covariates")}
    other = make_data(n=30, seed=5)
    dataset = {"covariates": SPEC, "target": "sva", "horizon_days": 1095}
    first, second = (validate_bundles(bundles, other, dataset) for _ in range(2))
    pd.testing.assert_frame_equal(first.predictions, second.predictions)
    assert first.refused == {}
    table = first.predictions
    assert set(table["role"]) == {"test"}
    assert (table["seed"] == 3).all()
    assert len(table) == 2 * len(other.records)
    for _, rows in table.groupby("variant"):
        assert rows["record_id"].tolist() == other.records["record_id"].tolist()
        assert rows["y_true"].tolist() == other.y_true[:, 0].astype(int).tolist()
    of_clinical = table[table["variant"] == "clinical"]
    assert len(of_clinical[["patient_id", "y_score"]].drop_duplicates()) == 30
    assert table.query("variant == 'ecg_covariates'")["y_score"].nunique() > 10
    alone = replace(other, records=other.records.iloc[[7]].reset_index(drop=True))
    risk = frozen_scores(bundles["ecg_covariates"], alone)["y_score"].item()
    expected = table.query("variant == 'ecg_covariates'")["y_score"].iloc[7]
    assert risk == pytest.approx(expected, rel=1e-5)


def test_missing_values_count_as_the_training_mean(train, make_data):
    other, folder = make_data(n=8, seed=5), train("clinical")
    known = frozen_scores(folder, other)["y_score"].to_numpy()
    blank = replace(other, covariates=other.covariates * np.nan)
    scores = frozen_scores(folder, blank)["y_score"]
    assert np.ptp(scores) == 0
    assert not np.allclose(scores, known)


def test_a_refused_model_is_left_out_and_none_left_is_an_error(train, make_data):
    other, bundles = make_data(n=8), {"clinical": train("clinical")}
    less = replace(other, covariates=other.covariates[["age_years", "is_male"]])
    dataset = {"covariates": SPEC[:2], "target": "sva", "horizon_days": 1095}
    with pytest.raises(ExternalError, match=r"got none .*the cohort has no lvef_percent"):
        validate_bundles(bundles, less, dataset)
    card = json.loads((bundles["clinical"] / "card.json").read_text())
    (bundles["clinical"] / "card.json").write_text(json.dumps(card | {"task": "several"}))
    with pytest.raises(ExternalError, match=r"the model's is several"):
        validate_bundles(bundles, less, dataset, absent_covariates="impute")
    (bundles["clinical"] / "card.json").write_text(json.dumps(card))
    declared = validate_bundles(bundles, less, dataset, absent_covariates="impute")
    assert declared.refused == {}
    assert (declared.imputed.query("covariate == 'lvef_percent'")["n_imputed"] == 8).all()
