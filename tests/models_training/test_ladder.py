"""The ladder's rungs: which are climbed, what each is fitted with, and that none is twice."""

import dataclasses
import re

import pandas as pd
import pytest

from models_training import ladder
from models_training.ladder import Ladder, parse_rungs, skipped_rungs


def test_rungs_are_put_in_the_order_of_the_ladder():
    assert parse_rungs("scratch,  embedding, clinical,") == ["clinical", "embedding", "scratch"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("full, prob", "rungs must be some of clinical, random_kernels, embedding, "),
        ("full, prob", "joined by commas, got prob."),
        (" ,", "joined by commas, got none."),
    ],
)
def test_unknown_rungs_are_refused(text, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        parse_rungs(text)


def test_rungs_without_what_they_need_are_left_out_with_the_reason():
    every = list(ladder.LADDER)
    found = skipped_rungs(every, [], "")
    assert found["clinical"] == "the cohort has none of the clinical model's covariates."
    assert set(every) - set(found) == {"random_kernels", "scratch"}
    assert found["probe"] == "there is no encoder: name one in pretrained."
    assert skipped_rungs(every, ["lvef_percent"], "some_encoder") == {}


@pytest.fixture
def make_ladder(make_data, make_splits, tiny, tmp_path):
    """Return a function that makes a ladder of two repeats, networks in the first."""
    data = make_data(24)
    one = make_splits(data)
    splits = pd.concat([one, one.assign(repeat=1)], ignore_index=True)

    def make(**changes):
        network = dataclasses.replace(tiny.architecture, n_random_features=84)
        settings = dataclasses.replace(tiny, architecture=network, n_epochs=1, **changes)
        return Ladder("ecg", data, splits, settings, None, tmp_path, n_kernel_repeats=2)

    return make


def test_a_rung_is_fitted_once_and_anew_with_other_settings(make_ladder, monkeypatch):
    first, cost = make_ladder().climb("random_kernels")
    assert set(first["variant"]) == {"random_kernels"}
    assert set(first["repeat"]) == {0, 1}
    assert (cost["n_fits"], cost["n_trained"]) == (4, 85)
    assert cost["seconds_a_fit"] > 0
    fitted = []
    fit = ladder.VariantTraining.fit
    monkeypatch.setattr(
        ladder.VariantTraining, "fit", lambda self, folder: fitted.append(1) or fit(self, folder)
    )
    again, same = make_ladder().climb("random_kernels")
    pd.testing.assert_frame_equal(again, first)
    assert (same, fitted) == (cost, [])
    make_ladder(seed=1).climb("random_kernels")
    assert fitted == [1]


def test_networks_are_trained_in_the_first_repeats_and_the_clinical_model_in_all(make_ladder):
    climber = make_ladder()
    scored, cost = climber.climb("scratch")
    assert set(scored["repeat"]) == {0}
    assert cost["n_fits"] == 2
    assert cost["n_trained"] > 1000
    scored, cost = climber.climb("clinical")
    assert set(scored["repeat"]) == {0, 1}
    assert 1 <= cost["n_trained"] <= 4
    test = scored[(scored["role"] == "test") & (scored["repeat"] == 0)]
    assert sorted(test["record_id"]) == sorted(climber.data.records["record_id"])
