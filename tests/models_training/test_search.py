"""The search for hyper-parameters: what it minimises, and that it can be stopped."""

import re
import sys

import numpy as np
import pandas as pd
import pytest

from models_training.search import SPACE, best_values, middle_values, search, with_values
from models_training.settings import TrainingSettings


def bowl(values):
    """Return a loss with its minimum at a learning rate of 0.001 and no dropout."""
    return float((np.log10(values["learning_rate"]) + 3) ** 2 + values["dropout"])


def test_it_looks_inside_the_declared_space_and_finds_the_valley(tmp_path):
    pytest.importorskip("optuna")
    trials = search(bowl, n_trials=25, seed=0, journal=tmp_path / "trials.log")
    assert trials["trial"].tolist() == list(range(1, 26))
    for name, range_ in SPACE.items():
        assert trials[name].between(range_.low, range_.high).all()
    assert trials["is_best"].sum() == 1
    best = best_values(trials)
    assert bowl(best) == trials["val_loss"].min()
    assert trials["val_loss"][10:].median() < trials["val_loss"][:5].median()


def test_a_stopped_search_ends_as_if_it_had_not_been(tmp_path):
    pytest.importorskip("optuna")
    whole = search(bowl, n_trials=9, seed=3, journal=tmp_path / "whole.log")
    calls = []

    def stopping(values):
        calls.append(values)
        if len(calls) == 7:
            raise KeyboardInterrupt
        return bowl(values)

    options = {"n_trials": 9, "seed": 3, "journal": tmp_path / "stopped.log"}
    with pytest.raises(KeyboardInterrupt):
        search(stopping, **options)
    again = search(stopping, **options)
    assert len(calls) == 10  # six finished, one lost, three more
    pd.testing.assert_frame_equal(whole, again)
    assert len(search(stopping, **options)) == 9
    assert len(calls) == 10


def test_a_training_that_diverged_is_a_bad_trial(tmp_path):
    pytest.importorskip("optuna")

    def diverging(values):
        return float("nan") if values["dropout"] > 0.1 else bowl(values)

    trials = search(diverging, n_trials=8, seed=0, journal=tmp_path / "trials.log")
    assert len(trials) == 8
    assert np.isfinite(trials["val_loss"]).all()


def test_values_go_where_they_belong():
    values = {"learning_rate": 0.002, "weight_decay": 0.1, "dropout": 0.5, "augment_strength": 0.7}
    found = with_values(TrainingSettings(), values)
    assert (found.learning_rate, found.weight_decay) == (0.002, 0.1)
    assert (found.architecture.dropout, found.augment_strength) == (0.5, 0.7)
    assert with_values(TrainingSettings(), {}) == TrainingSettings()


def test_the_model_for_new_patients_gets_the_median_of_the_folds():
    rates = [0.001, 0.009, 0.002, 0.1]
    trials = pd.DataFrame(dict.fromkeys(SPACE, rates))
    trials = trials.assign(is_best=[True, True, True, False])
    assert middle_values(trials) == dict.fromkeys(SPACE, 0.002)


def test_what_is_refused(tmp_path, monkeypatch):
    with pytest.raises(ValueError, match=r"n_trials must be at least 1 for a search, got 0\. 0 is"):
        search(bowl, n_trials=0, seed=0, journal=tmp_path / "trials.log")
    monkeypatch.setitem(sys.modules, "optuna", None)
    message = "optuna must be installed for n_trials above 0, got no such package. Install it with "
    with pytest.raises(ModuleNotFoundError, match=re.escape(message)):
        search(bowl, n_trials=3, seed=0, journal=tmp_path / "trials.log")
