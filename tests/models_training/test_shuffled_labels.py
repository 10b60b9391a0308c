"""Networks on shuffled outcomes: training patients alone, with outcomes that are not theirs."""

import dataclasses
import json

import numpy as np
import pandas as pd
import pytest

from models_training.shuffled_labels import (
    settings_of_card,
    shuffle_outcomes,
    shuffled_label_networks,
)
from models_training.training import NetworkTrainer


def test_outcomes_are_dealt_anew_among_those_who_have_one(make_data):
    data = make_data(40)
    patients = data.patients.astype({"outcome": "Int8"})
    patients.loc[:9, "outcome"] = pd.NA
    data = dataclasses.replace(data, patients=patients)
    found = shuffle_outcomes(data, seed=0)
    before, after = patients["outcome"], found.patients["outcome"]
    assert after.isna().tolist() == before.isna().tolist()
    assert after.sum() == before.sum()
    assert (after.dropna() != before.dropna()).any()
    assert data.patients is patients  # the original is left
    pd.testing.assert_frame_equal(shuffle_outcomes(data, seed=0).patients, found.patients)


def test_test_patients_are_not_trained_on(make_data, make_splits, tiny, monkeypatch):
    data = make_data(24)
    splits = make_splits(data)
    seen = []

    def fit(self, train_rows, validation_rows, *, n_epochs, seed):
        seen.append((set(self.data.records["patient_id"].iloc[train_rows]), n_epochs, seed))
        assert validation_rows is None

    monkeypatch.setattr(NetworkTrainer, "fit", fit)
    load = shuffled_label_networks(data, splits, tiny, n_epochs=2, seed=1)
    load(0, 1)
    here = splits[splits["fold"] == 1]
    assert seen == [(set(here[here["role"] != "test"]["patient_id"]), 2, (0, 1))]


def test_each_call_trains_anew(make_data, make_splits, tiny):
    data = make_data(24)
    settings = dataclasses.replace(tiny, n_epochs=1)
    load = shuffled_label_networks(data, make_splits(data), settings, n_epochs=1)
    found = [weights.copy() for weights in load(0, 0).get_weights()]
    again = load(0, 0).get_weights()
    for ours, theirs in zip(found, again, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_an_encoder_is_refused(make_data, make_splits, tiny):
    data = make_data(8)
    settings = dataclasses.replace(tiny, rung="frozen")
    with pytest.raises(ValueError, match=r"settings.rung must be 'scratch', got 'frozen'"):
        shuffled_label_networks(data, make_splits(data), settings, n_epochs=1)


def test_the_settings_of_a_card_come_back(tiny):
    card = {"settings": json.loads(json.dumps(dataclasses.asdict(tiny)))}
    assert settings_of_card(card) == tiny
