"""Parameters: one definition, checked everywhere."""

from dataclasses import fields

import papermill
import pytest

from data_processing.datasets import DATASETS
from data_processing.public.opening import NAMES
from data_processing.quality import QualityThresholds
from data_processing.record_preparation import chain_of
from data_processing.signals import SignalChain
from workflow.notebooks import notebook_path
from workflow.parameter_rules import ParameterError, build, cell_source, read_parameters
from workflow.parameters import (
    COHORTS,
    PUBLIC_COHORTS,
    PreparationParameters,
    TrainingParameters,
)
from workflow.profiles import load_profile, profile_names, resolve, settable
from workflow.stages import ALL_STAGES, STAGES


def namespace_of(source):
    """Return what a notebook's globals() hold after running one parameters cell."""
    namespace = {}
    exec(source, namespace)
    return {**namespace, "In": ["", source]}


@pytest.mark.parametrize("stage", ALL_STAGES, ids=lambda stage: stage.notebook)
def test_the_cell_of_every_class_reads_back_as_its_defaults(stage):
    found = read_parameters(stage.parameters, namespace_of(cell_source(stage.parameters)))
    assert found == stage.parameters()


@pytest.mark.parametrize("stage", ALL_STAGES, ids=lambda stage: stage.notebook)
def test_papermill_sees_every_parameter_with_its_default(stage):
    seen = papermill.inspect_notebook(notebook_path(stage))
    assert list(seen) == [item.name for item in fields(stage.parameters)]
    for item in fields(stage.parameters):
        assert seen[item.name]["default"] == repr(item.default).replace("'", '"')
        assert seen[item.name]["inferred_type_name"] == item.type


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {"n_epohcs": 3},
            "'n_epohcs' is not a parameter of TrainingParameters. Did you mean 'n_epochs'?",
        ),
        ({"n_epochs": "3"}, "TrainingParameters.n_epochs must be an int >= 1, got '3' (str)."),
        ({"n_epochs": True}, "TrainingParameters.n_epochs must be an int >= 1, got True (bool)."),
        ({"n_epochs": 0}, "TrainingParameters.n_epochs must be an int >= 1, got 0 (int)."),
        ({"n_epochs": 2.0}, "TrainingParameters.n_epochs must be an int >= 1, got 2.0 (float)."),
        (
            {"learning_rate": "1e-4"},
            "TrainingParameters.learning_rate must be a number > 0.0, got '1e-4' (str).",
        ),
        (
            {"learning_rate": float("nan")},
            "TrainingParameters.learning_rate must be a number > 0.0, got nan (float).",
        ),
        (
            {"dropout": 1.0},
            "TrainingParameters.dropout must be a number >= 0.0 and < 1.0, got 1.0 (float).",
        ),
        (
            {"precision": "float16"},
            "TrainingParameters.precision must be one of auto, float32, mixed_bfloat16, "
            "got 'float16' (str).",
        ),
        (
            {"run_eagerly": 1},
            "TrainingParameters.run_eagerly must be true or false, got 1 (int).",
        ),
    ],
)
def test_wrong_values_are_refused_with_the_rule(values, message):
    with pytest.raises(ParameterError) as error:
        build(TrainingParameters, values)
    assert str(error.value) == message


@pytest.mark.parametrize(
    ("cohort", "advice"),
    [
        ("brugada", "Did you mean 'brugada_huca'?"),
        ("xyz", "Choose one."),
        ("no_such.yaml", "Make one with: python -m workflow new-cohort FOLDER."),
    ],
)
def test_a_cohort_is_a_known_name_or_an_existing_mapping(cohort, advice):
    with pytest.raises(ParameterError) as error:
        build(PreparationParameters, {"cohort": cohort})
    assert str(error.value) == (
        f"PreparationParameters.cohort must be one of {', '.join(COHORTS)}, or an "
        f"existing file that ends with .yaml or .yml, got {cohort!r} (str). {advice}"
    )


def test_a_mapping_on_the_command_line_is_stored_with_its_whole_path(tmp_path, monkeypatch):
    (tmp_path / "my.yaml").touch()
    monkeypatch.chdir(tmp_path)
    resolved = resolve(load_profile("smoke"), {"cohort": "my.yaml"})
    assert resolved["01_prepare_data"]["cohort"] == str(tmp_path / "my.yaml")


def test_all_problems_are_reported_at_once():
    with pytest.raises(ParameterError) as error:
        build(TrainingParameters, {"n_epochs": 0, "batch_size": 0})
    assert len(str(error.value).splitlines()) == 2


def test_an_int_is_a_number_and_arrives_as_float():
    assert isinstance(build(TrainingParameters, {"learning_rate": 1}).learning_rate, float)


def test_a_name_papermill_injected_but_no_one_knows_is_an_error():
    namespace = namespace_of(cell_source(TrainingParameters))
    namespace["In"].append("# Parameters\nlearning_rat = 0.1\n")
    namespace["learning_rat"] = 0.1
    with pytest.raises(ParameterError, match="Did you mean 'learning_rate'"):
        read_parameters(TrainingParameters, namespace)


def test_other_variables_of_the_notebook_are_no_parameters():
    namespace = namespace_of(cell_source(TrainingParameters))
    namespace["In"].append("n_records = 5")
    namespace["n_records"] = 5
    assert read_parameters(TrainingParameters, namespace) == TrainingParameters()


def test_a_parameters_cell_that_was_not_run_is_an_error():
    with pytest.raises(ParameterError, match="Run the cell above first"):
        read_parameters(TrainingParameters, {})


@pytest.mark.parametrize("name", profile_names())
def test_every_profile_resolves(name):
    profile = load_profile(name)
    resolved = resolve(profile, {})
    assert set(resolved) == {stage.notebook for stage in STAGES}
    for notebook, overrides in profile.overrides.items():
        for parameter, value in overrides.items():
            assert resolved[notebook][parameter] == value


def test_the_quickstart_is_the_defaults():
    assert resolve(load_profile("quickstart"), {})["01_prepare_data"] == vars(
        PreparationParameters()
    )


def test_the_command_line_wins_and_shared_names_reach_every_notebook():
    resolved = resolve(load_profile("smoke"), {"seed": "7", "n_epochs": "1"})
    assert {values["seed"] for values in resolved.values()} == {7}
    assert resolved["02_train_model"]["n_epochs"] == 1


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"n_epoch": "3"}, "Did you mean 'n_epochs'"),
        ({"n_epochs": "many"}, "n_epochs must be an int >= 1, got 'many'"),
        ({"run_eagerly": "yes"}, "run_eagerly must be true or false, got 'yes'"),
    ],
)
def test_wrong_words_on_the_command_line_are_refused(given, message):
    with pytest.raises(ParameterError, match=message):
        resolve(load_profile("quickstart"), given)


def test_an_unknown_profile_names_the_known_ones():
    with pytest.raises(ParameterError, match="profile must be one of quickstart, smoke"):
        load_profile("quick")


def test_a_name_on_the_command_line_means_one_thing_in_every_notebook():
    for name, found in settable().items():
        meanings = {str(dict(item.metadata)) for _, item in found}
        assert len(meanings) == 1 or name == "seed", f"{name}: {meanings}"


def test_the_run_folder_and_variant_are_set_by_the_runner_only():
    assert not {"run_directory", "variant"} & set(settable())


def test_every_public_cohort_can_be_downloaded_and_read():
    assert set(PUBLIC_COHORTS) == set(DATASETS)
    assert {*PUBLIC_COHORTS} - {"brugada_huca"} == {*NAMES}


def test_the_thresholds_of_quality_have_one_default():
    given = PreparationParameters()
    own = QualityThresholds()
    shared = [name for name in vars(own) if hasattr(given, name)]
    assert {"wander_mv", "noise_mv", "mains_mv", "beat_correlation"} <= set(shared)
    assert {name: getattr(given, name) for name in shared} == {
        name: getattr(own, name) for name in shared
    }
    chain = chain_of(given)
    assert chain == SignalChain()
