"""`validate`: the cards prescribe how the cohort is prepared; contradictions are refused."""

import json

import pytest

from workflow.commands import source_data
from workflow.external import find_model_run, parameters_of
from workflow.parameter_rules import ParameterError
from workflow.stages import EXTERNAL, Step, step_named

CHAIN = {"rate_hz": 250, "duration_seconds": 8.0, "low_cut_hz": 0.5, "high_cut_hz": 100.0}
CHAIN |= {"notch_hz": 50.0, "filter_order": 2, "pad_short": True}
CARD = {"signal_chain": CHAIN, "horizon_days": 730, "landmark_days": 30}


@pytest.fixture
def model_run(tmp_path):
    """A run folder with the cards of two models."""
    for variant in ("clinical", "ecg"):
        folder = tmp_path / "02_models" / variant
        folder.mkdir(parents=True)
        (folder / "card.json").write_text(json.dumps(CARD))
    return tmp_path


def test_the_cards_prescribe_the_preparation(model_run):
    resolved = parameters_of(model_run, {"seed": "4", "n_resamples": "500"})
    assert list(resolved) == ["01_prepare_data", "05_validate_external"]
    prepared = resolved["01_prepare_data"]
    names = ("rate_hz", "duration_seconds", "low_cut_hz", "high_cut_hz", "notch_hz", "short_ecgs")
    assert [prepared[name] for name in names] == [250, 8.0, 0.5, 100.0, 50, "pad"]
    assert (prepared["horizon_days"], prepared["landmark_days"]) == (730, 30)
    assert prepared["seed"] == resolved["05_validate_external"]["seed"] == 4
    assert resolved["05_validate_external"]["model_run"] == str(model_run)


def test_flags_that_contradict_the_cards_are_listed(model_run):
    with pytest.raises(ParameterError) as error:
        parameters_of(model_run, {"rate_hz": "100", "high_cut_hz": "100", "horizon_days": "365"})
    assert str(error.value).splitlines() == [
        "rate_hz must be 250 as the models' cards say, got 100. Leave it out.",
        "horizon_days must be 730 as the models' cards say, got 365. Leave it out.",
    ]


def test_another_horizon_may_be_declared_but_no_other_filter(model_run):
    given = {"other_target": "accept", "horizon_days": "365"}
    assert parameters_of(model_run, given)["01_prepare_data"]["horizon_days"] == 365
    assert parameters_of(model_run, given)["01_prepare_data"]["landmark_days"] == 30
    with pytest.raises(ParameterError, match=r"low_cut_hz must be 0.5 as the models' cards say"):
        parameters_of(model_run, given | {"low_cut_hz": "0.05"})


def test_models_of_different_preparations_are_refused(model_run):
    other = CARD | {"signal_chain": CHAIN | {"rate_hz": 500}}
    (model_run / "02_models" / "ecg" / "card.json").write_text(json.dumps(other))
    with pytest.raises(ParameterError, match="models must come from one preparation"):
        parameters_of(model_run, {})


def test_a_run_without_models_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"model run must be a run below runs/ .* 'empty'"):
        find_model_run(str(tmp_path / "empty"))


def test_a_changed_model_is_noticed(model_run):
    values = {"model_run": str(model_run)}
    files = source_data(values)
    assert [path.parent.name for path in files] == ["clinical", "ecg"]
    (model_run / "02_models" / "ecg" / "model.keras").write_text("weights")
    assert len(source_data(values)) == 3


def test_the_stage_is_found_by_the_name_of_its_notebook():
    assert step_named("05_validate_external") == Step(EXTERNAL)
