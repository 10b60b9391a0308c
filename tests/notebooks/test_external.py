"""Models of one simulated cohort, frozen, judged on another: the whole command."""

import json

import nbformat
import numpy as np
import pytest

from evaluation.scores import patient_scores
from workflow.__main__ import main
from workflow.artifacts import Artifacts

pytestmark = pytest.mark.slow
VARIANTS = ["clinical", "ecg"]


@pytest.fixture(scope="module")
def model_run(tmp_path_factory):
    """Return a run with a clinical model and a tiny network."""
    directory = tmp_path_factory.mktemp("external") / "models"
    words = ["run", "--profile", "smoke", "--name", str(directory), "--n-patients", "50"]
    words += ["--n-epochs", "1", "--variants", *VARIANTS]
    assert main([*words, "--only", "01"]) == 0
    assert main([*words, "--only", "02"]) == 0
    return Artifacts(directory)


@pytest.fixture(scope="module")
def validated(model_run):
    """Return the finished validation on a cohort of another seed."""
    name = model_run.directory.parent / "validated"
    words = ["validate", str(model_run.directory), "--name", str(name), "--n-patients", "60"]
    assert main([*words, "--seed", "7", "--n-resamples", "100"]) == 0
    return Artifacts(name)


def test_every_patient_of_known_status_has_one_risk_by_each_frozen_model(validated):
    patients, records = validated.read_table("patients"), validated.read_table("records")
    patients = patients[patients["outcome"].notna()]
    records = records[records["patient_id"].isin(patients["patient_id"])]
    for variant in VARIANTS:
        table = validated.read_table("external_predictions", variant)
        assert sorted(table["record_id"]) == sorted(records["record_id"])
        assert set(table["patient_id"]) == set(patients["patient_id"])
        assert table[["role", "repeat", "fold"]].drop_duplicates().to_numpy().tolist() == [
            ["test", 0, 0]
        ]


def test_the_frozen_threshold_decides(validated, model_run):
    card = json.loads(model_run.path("02_models/ecg/card.json").read_text())
    table = patient_scores(validated.read_table("external_predictions", "ecg"))
    is_above = table["y_score"] >= card["threshold"]["value"]
    metrics = validated.read_table("external_metrics").query("variant == 'ecg'")
    found = metrics.query("metric == 'specificity' and recalibration == 'none'")
    assert found["estimate"].item() == pytest.approx(
        1 - is_above[table["y_true"] == 0].mean(), abs=1e-9
    )
    assert found["threshold"].item() == pytest.approx(card["threshold"]["value"])


def test_the_tables_say_before_and_after_and_how_the_patients_differ(validated):
    metrics = validated.read_table("external_metrics")
    about = validated.read_document("external")
    assert set(metrics["recalibration"]) == {"none", "intercept", "logistic"}
    assert len(about["updates"]) == 2 * 2 * 5
    assert about["refused"] == {}
    unknown = validated.read_table("patients")["outcome"].isna()
    assert about["n_unknown"] == unknown.sum() > 0
    page = (validated.directory / "report.html").read_text(encoding="utf-8")
    assert f"{unknown.sum()} further patients were lost before the horizon" in page
    assert "The cohort consists of simulated patients." in about["notes"]
    case_mix = validated.read_table("external_case_mix").set_index("what")
    assert case_mix.loc["event", "n_external"] == about["n_patients"]
    assert np.isfinite(case_mix.loc["linear predictor", "sd_ratio"]).all()
    assert (validated.read_table("external_precision")["needed_events"] > 0).all()
    assert len(list(validated.directory.glob("05_external/figures/*.svg"))) == 3


def test_the_notebook_ran_clean(validated):
    path = validated.directory / "notebooks" / "05_validate_external.ipynb"
    for cell in nbformat.read(path, as_version=4).cells:
        for output in cell.get("outputs", []):
            assert "Warning" not in output.get("text", "")


def test_unchanged_it_is_not_run_again_and_a_contradiction_is_refused(validated, model_run, capsys):
    words = ["validate", str(model_run.directory), "--name", str(validated.directory)]
    words += ["--n-patients", "60", "--seed", "7", "--n-resamples", "100"]
    assert main(words) == 0
    said = capsys.readouterr()
    assert said.err.count("unchanged") == 2
    assert "calibration slope" in said.out
    assert main([*words, "--rate-hz", "250"]) == 1
    assert "rate_hz must be 100 as the models' cards say, got 250" in capsys.readouterr().err


def test_the_models_own_cohort_is_refused(model_run, capsys):
    name = model_run.directory.parent / "own"
    words = ["validate", str(model_run.directory), "--name", str(name), "--n-patients", "50"]
    assert main([*words, "--n-resamples", "100"]) == 1
    assert "ECGs must not be among those the model was trained on" in capsys.readouterr().err
