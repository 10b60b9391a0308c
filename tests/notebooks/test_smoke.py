"""One whole run of the notebooks with the smoke profile, and what a user may rely on after it."""

import json
import re

import nbformat
import numpy as np
import pandas as pd
import papermill
import pytest

from workflow.__main__ import main
from workflow.artifacts import Artifacts
from workflow.record import status_of
from workflow.runner import NOTEBOOKS
from workflow.schemas import TABLES
from workflow.stages import STAGES

pytestmark = pytest.mark.slow
STEPS = [
    "01_prepare_data",
    "02_train_model.clinical",
    "02_train_model.ecg",
    "02_train_model.ecg_covariates",
    "03_evaluate",
    "04_explain.ecg",
    "04_explain.ecg_covariates",
]


REFITTED = ("coefficients", "refits", "permutations", "learning_curve", "sensitivity")


@pytest.fixture(scope="module")
def smoke(tmp_path_factory):
    """Return the finished smoke run and what the command printed."""
    directory = tmp_path_factory.mktemp("smoke") / "run"
    assert main(["run", "--profile", "smoke", "--name", str(directory)]) == 0
    return Artifacts(directory)


def test_every_step_completed_in_order(smoke):
    rows = status_of(smoke.directory)
    assert [row["step"] for row in rows] == STEPS
    assert {row["status"] for row in rows} == {"completed"}


def test_every_patient_is_scored_once_by_a_model_that_had_not_seen_it(smoke):
    patients = smoke.read_table("patients")
    splits = smoke.read_table("splits")
    for variant in smoke.trained_variants():
        test = smoke.read_table("predictions", variant).query("role == 'test'")
        assert set(test["patient_id"]) == set(patients["patient_id"])
        assert not test.duplicated(["repeat", "record_id"]).any()
        assert test["repeat"].nunique() == (2 if variant == "clinical" else 1)
        merged = test.merge(splits, on=["patient_id", "repeat", "fold"], suffixes=("", "_split"))
        assert (merged["role_split"] == "test").all()


def test_the_metrics_cover_every_variant_with_ordered_intervals(smoke):
    metrics = smoke.read_table("metrics")
    assert set(metrics["variant"]) == {"clinical", "ecg", "ecg_covariates"}
    primary = metrics[metrics["metric"] == "auroc_mean_within_fold"]
    assert primary["estimate"].between(0, 1).all()
    assert (primary["ci_low"] <= primary["estimate"]).all()
    assert (primary["estimate"] <= primary["ci_high"]).all()


def test_the_notebooks_ran_clean(smoke):
    for path in sorted((smoke.directory / "notebooks").glob("*.ipynb")):
        for cell in nbformat.read(path, as_version=4).cells:
            for output in cell.get("outputs", []):
                assert output.output_type != "error", path.name
                text = output.get("text", "")
                assert "Warning" not in text, f"{path.name}: {text[:300]}"


def test_no_hospital_number_leaves_the_private_folder(smoke):
    hospital = smoke.directory / "01_data" / "private"
    numbers = pd.read_csv(next(hospital.rglob("patients.csv")), dtype=str)["patient_id"]
    pattern = re.compile("|".join(map(re.escape, numbers)).encode())
    for path in smoke.directory.rglob("*"):
        if path.is_dir() or hospital in path.parents:
            continue
        is_table = path.suffix == ".parquet"  # compressed: the bytes would hide it
        content = pd.read_parquet(path).to_csv().encode() if is_table else path.read_bytes()
        assert not pattern.search(content), path


def test_the_report_is_one_file_that_needs_no_network(smoke):
    page = (smoke.directory / "report.html").read_text(encoding="utf-8")
    assert "<script" not in page
    assert not re.search(r"""(src|href)=["'](?!data:)""", page)
    assert "SYNTHETIC DATA" in page
    assert page.count("<figure>") >= 15


def test_every_figure_has_its_caption_and_synthetic_mark(smoke):
    figures = sorted(smoke.directory.rglob("figures/*.svg"))
    assert figures
    for path in figures:
        assert path.with_suffix(".txt").read_text().strip(), path
        assert path.with_suffix(".png").exists(), path


def test_signals_are_real_ecgs_row_by_row(smoke):
    records = smoke.read_table("records")
    signals = smoke.signals()
    assert sorted(records["signal_row"]) == list(range(len(signals)))
    assert np.isfinite(signals).all()
    assert (np.ptp(signals, axis=1) > 0.01).all()
    residual = signals[:, :, 2] - (signals[:, :, 1] - signals[:, :, 0])
    assert np.abs(residual).max() < 0.02


def test_evaluating_again_gives_the_same_table_by_plain_papermill(smoke, tmp_path, monkeypatch):
    before = smoke.path("metrics").read_bytes()
    recorded = json.loads((smoke.directory / "run.json").read_text())["steps"]["03_evaluate"]
    monkeypatch.chdir(tmp_path)
    papermill.execute_notebook(
        NOTEBOOKS / "03_evaluate.ipynb",
        tmp_path / "out.ipynb",
        parameters=recorded["parameters"],
        progress_bar=False,
    )
    assert smoke.path("metrics").read_bytes() == before


def test_a_changed_file_makes_its_readers_stale(smoke):
    path = smoke.path("predictions", "ecg")
    content = path.read_bytes()
    try:
        frame = smoke.read_table("predictions", "ecg")
        smoke.write_table("predictions", frame.assign(y_score=0.5), "ecg")
        stale = {
            row["step"] for row in status_of(smoke.directory) if row["status"].startswith("stale")
        }
    finally:
        path.write_bytes(content)
    assert stale == {"02_train_model.ecg", "03_evaluate", "04_explain.ecg"}


def test_every_declared_table_was_written(smoke):
    for name in TABLES:
        if TABLES[name].written_by not in {stage.notebook for stage in STAGES}:
            continue  # of a lab, or of `validate`
        if TABLES[name].written_by == "03_evaluate_numbers":
            continue  # of a regression
        if name == "trials":
            continue  # no search by default
        for variant in smoke.trained_variants() if "{variant}" in TABLES[name].path else [""]:
            if TABLES[name].written_by == "04_explain" and variant == "clinical":
                continue  # no network
            if name == "shap_values" and variant == "ecg":
                continue  # no covariates
            if name in REFITTED and variant != "clinical":
                continue
            smoke.read_table(name, variant)


def test_the_bundle_scores_a_file_as_the_run_did(smoke, capsys):
    hospital = next((smoke.directory / "01_data" / "private").rglob("ecgs.csv")).parent
    header = next(hospital.rglob("*.hea"))
    status = main(["predict", str(smoke.directory / "02_models" / "ecg"), str(header)])
    printed = json.loads(capsys.readouterr().out)
    assert status == 0
    assert 0 <= printed["risk"] <= 1
    assert printed["is_synthetic"] is True


def test_a_failed_notebook_names_stage_cell_and_cause_and_is_kept(tmp_path, capsys):
    name = str(tmp_path / "run")
    words = ["run", "--profile", "smoke", "--name", name, "--cohort", "folder"]
    assert main([*words, "--data-root", str(tmp_path / "nowhere")]) == 1
    message = capsys.readouterr().err
    assert "01_prepare_data failed in cell" in message
    assert "patients.csv" in message
    run = Artifacts(name)
    assert (run.directory / "notebooks" / "01_prepare_data.ipynb").exists()
    assert status_of(run.directory)[0]["status"] == "failed"


def test_a_later_stage_without_the_earlier_ones_says_what_is_missing(tmp_path, capsys):
    words = ["run", "--profile", "smoke", "--name", str(tmp_path / "run"), "--only", "03"]
    assert main(words) == 1
    assert "Run the earlier stages first" in capsys.readouterr().err


def test_a_misspelt_flag_gets_the_nearest_one(capsys):
    assert main(["run", "--n-epohcs", "3"]) == 1
    assert "Did you mean --n-epochs?" in capsys.readouterr().err
