"""The rules of the notebooks, and that breaking one is found."""

import json
import shutil

import pytest

from workflow import notebooks
from workflow.stages import ALL_STAGES, plan


@pytest.fixture
def copies(tmp_path, monkeypatch):
    """Return a folder with copies of the notebooks that `check` looks at."""
    (tmp_path / "labs").mkdir()
    for stage in ALL_STAGES:
        shutil.copy(notebooks.notebook_path(stage), tmp_path / f"{stage.notebook}.ipynb")
    monkeypatch.setattr(
        notebooks, "notebook_path", lambda stage: tmp_path / f"{stage.notebook}.ipynb"
    )
    return tmp_path


def edit(folder, change):
    """Change the last code cell of 03_evaluate."""
    path = folder / "03_evaluate.ipynb"
    content = json.loads(path.read_text())
    cell = [cell for cell in content["cells"] if cell["cell_type"] == "code"][-1]
    change(content, cell)
    path.write_text(json.dumps(content))


def add(cell, line):
    """Add a line to a cell."""
    cell["source"] = ["".join(cell["source"]) + "\n" + line]


def rename(notebook, before, after):
    """Replace a word in all cells."""
    for cell in notebook["cells"]:
        cell["source"] = ["".join(cell["source"]).replace(before, after)]


def test_the_notebooks_of_the_repository_keep_the_rules():
    assert notebooks.check() == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda _, cell: cell.update(source=["x = 1\n"] * 13), "has 13 lines, at most 12"),
        (lambda _, cell: cell.update(source=["def f():\n", "    pass"]), "defines a function"),
        (lambda _, cell: cell.update(source=["import sys; sys.path.append('.')"]), "sys.path"),
        (lambda _, cell: cell.update(source=["!pip install x"]), "installs a package"),
        (lambda _, cell: cell.update(execution_count=3), "has outputs"),
        (lambda nb, _: nb["metadata"].pop("kernelspec"), "kernelspec"),
        (lambda nb, _: nb["cells"][0].update(source=["No heading"]), "heading of level one"),
        (lambda nb, cell: cell.update(id=nb["cells"][0]["id"]), "ids must be unique"),
        (lambda _, cell: add(cell, 'run.write_table("extra", x)'), "schemas.py does not have"),
        (lambda _, cell: add(cell, 'run.write_document("flow", {})'), "for another notebook"),
        (lambda _, cell: add(cell, 'run.read_table("splits")'), "does not list as required"),
        (lambda _, cell: add(cell, "run.signals()"), "reads the signals"),
        (lambda nb, _: rename(nb, '"claim"', '"klaim"'), "schemas.py does not have"),
    ],
)
def test_a_broken_rule_is_found(copies, change, words):
    edit(copies, change)
    problems = notebooks.check()
    assert all(problem.startswith("03_evaluate: ") for problem in problems)
    assert words in problems[0]


def test_an_artifact_that_is_never_written_is_found(copies):
    edit(copies, lambda nb, _: rename(nb, 'run.write_document("claim", claim)', ""))
    (problem,) = notebooks.check()
    assert "never writes 'claim', which workflow/stages.py lists as produced" in problem


def test_a_changed_parameters_cell_is_found_and_mended(copies):
    path = copies / "03_evaluate.ipynb"
    before = path.read_text()
    path.write_text(before.replace("n_resamples: int = 2000", "n_resamples: int = 20"))
    (problem,) = notebooks.check()
    assert "parameters cell differs" in problem
    assert notebooks.sync() == ["03_evaluate"]
    assert notebooks.check() == []


def test_the_plan_explains_networks_only_and_starts_where_asked():
    names = [step.name for step in plan(["clinical", "ecg"], first="02")]
    assert names == [
        "02_train_model.clinical",
        "02_train_model.ecg",
        "03_evaluate",
        "04_explain.ecg",
    ]
    assert [step.name for step in plan(["clinical"], only="03")] == ["03_evaluate"]


@pytest.mark.parametrize("task", ["binary", "several", "regression", "time_to_event"])
def test_every_task_has_one_evaluation(task):
    wanted = "03_evaluate_numbers" if task == "regression" else "03_evaluate"
    assert [step.name for step in plan(["ecg"], only="03", task=task)] == [wanted]
    names = [step.name for step in plan(["ecg"], task=task)]
    assert names == ["01_prepare_data", "02_train_model.ecg", wanted, "04_explain.ecg"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"first": "05"}, "--from must be one of 01, 02, 03, 04, got '05'"),
        ({"only": "train"}, "--only must be one of 01, 02, 03, 04, got 'train'"),
    ],
)
def test_an_unknown_stage_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        plan(["ecg"], **options)


def test_an_unknown_variant_is_refused():
    with pytest.raises(ValueError, match=r"variants must be among .* got egc"):
        plan(["egc"])
