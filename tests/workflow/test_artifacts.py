"""The run folder: schemas on reading and writing, atomic writes."""

import json

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from workflow.artifacts import ArtifactError, Artifacts, MissingArtifactError, atomic_path
from workflow.schemas import SIGNALS


@pytest.fixture
def run(tmp_path):
    return Artifacts(tmp_path / "run")


def splits_frame():
    return pd.DataFrame(
        {
            "patient_id": ["P0001", "P0002"],
            "repeat": [0, 0],
            "fold": [0, 1],
            "inner_fold": [0, -1],
            "role": ["validation", "test"],
        }
    )


def test_a_table_comes_back_as_it_was_written(run):
    run.write_table("splits", splits_frame())
    pd.testing.assert_frame_equal(run.read_table("splits"), splits_frame())


def test_a_missing_table_names_the_notebook_that_writes_it(run):
    with pytest.raises(MissingArtifactError) as error:
        run.read_table("splits")
    assert str(error.value) == (
        "01_data/splits.parquet must exist in the run folder, got nothing. "
        "Run notebook 01_prepare_data for this run first."
    )


def test_a_missing_column_names_file_and_column(run):
    with pytest.raises(ArtifactError, match=r"splits\.parquet .* missing: role"):
        run.write_table("splits", splits_frame().drop(columns="role"))


def test_a_wrong_type_names_file_and_column(run):
    frame = splits_frame().assign(fold=["a", "b"])
    with pytest.raises(ArtifactError, match="column fold must hold integer values, got object"):
        run.write_table("splits", frame)


def test_a_table_changed_by_hand_is_checked_on_reading(run):
    path = run.write_table("splits", splits_frame())
    splits_frame().to_parquet(path)
    with pytest.raises(ArtifactError, match="must have schema version 1, got None"):
        run.read_table("splits")


def test_a_document_of_another_version_is_refused(run):
    path = run.write_document("flow", {"steps": []})
    path.write_text(json.dumps({"schema_version": 99, "steps": []}))
    with pytest.raises(ArtifactError, match="schema version 1, got 99"):
        run.read_document("flow")


def test_a_variant_is_needed_where_the_path_has_one(run):
    with pytest.raises(ValueError, match="variant must be given"):
        run.path("predictions")


def test_signals_of_another_shape_are_refused(run):
    run.write_document("dataset", {"n_samples": 100, "is_synthetic": True})
    np.save(run.path(SIGNALS), np.zeros((2, 99, 12), dtype="float32"))
    with pytest.raises(ArtifactError, match=r"must be float32 of shape \(records, 100, 12\)"):
        run.signals()


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")

    def write_and_fail():
        with atomic_path(path) as aside:
            aside.write_text("new")
            raise RuntimeError("half way")

    with pytest.raises(RuntimeError, match="half way"):
        write_and_fail()
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


@pytest.mark.parametrize("is_synthetic", [True, False])
def test_a_figure_of_synthetic_data_says_so_on_its_face(run, is_synthetic):
    run.write_document("dataset", {"n_samples": 100, "is_synthetic": is_synthetic})
    figure = Figure()
    figure.add_subplot().plot([0, 1])
    run.save_figure(figure, "03_evaluation/1_auroc", "A line.", pd.DataFrame({"x": [0, 1]}))
    folder = run.directory / "03_evaluation" / "figures"
    assert {p.name for p in folder.iterdir()} == {
        f"1_auroc{suffix}" for suffix in (".svg", ".png", ".txt", ".csv")
    }
    marks = [text.get_text() for text in figure.texts]
    assert marks == (["SYNTHETIC DATA"] if is_synthetic else [])


def test_relative_run_folders_do_not_depend_on_the_current_folder(tmp_path, monkeypatch):
    before = Artifacts("runs/x").directory
    monkeypatch.chdir(tmp_path)
    assert Artifacts("runs/x").directory == before
