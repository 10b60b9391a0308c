"""What is unchanged is not run again, old results are found, a kill leaves nothing half done."""

import json
import os
import subprocess
import sys
import time
from dataclasses import replace

import nbformat
import pytest

from workflow import results, runner
from workflow.__main__ import main
from workflow.artifacts import PROJECT_ROOT, ArtifactError, Artifacts
from workflow.commands import source_data
from workflow.record import Record, RunInUseError, status_of
from workflow.results import Results, clear, difference, fingerprint, key_of, notebook_parts
from workflow.runner import Runner
from workflow.stages import ALL_STAGES, STAGES, Step, step_named

FIRST, SECOND = (replace(stage, per_variant=False) for stage in (STAGES[0], STAGES[2]))


@pytest.fixture
def chain(tmp_path, monkeypatch):
    """Return a runner's factory of two steps whose notebooks write one file each, and their log."""
    first = replace(FIRST, produces=("flow",), requires=())
    second = replace(SECOND, produces=("claim",), requires=("flow",))
    notebooks = tmp_path / "notebooks"
    notebooks.mkdir()
    for stage in (first, second):
        code = nbformat.v4.new_code_cell("from data_processing import leads")
        nbformat.write(
            nbformat.v4.new_notebook(cells=[code]), notebooks / f"{stage.notebook}.ipynb"
        )
    monkeypatch.setattr(runner, "NOTEBOOKS", notebooks)
    executed = []

    def run_notebook(self, step, values):
        executed.append(step.stage.number)
        name = step.stage.produces[0]
        content = {"seed": values["seed"] if step.stage.number == "01" else 0}
        if step.stage.number == "03":
            content = {"flow": self.run.read_document("flow")["seed"], "margin": values["margin"]}
        self.run.write_document(name, content)

    monkeypatch.setattr(Runner, "_run_notebook", run_notebook)
    steps = [Step(first), Step(second)]

    def execute(name="run", *, seed=0, margin=0.05, reuse=True):
        executed.clear()
        parameters = {
            first.notebook: {"cohort": "synthetic_nicm", "data_root": "", "seed": seed},
            second.notebook: {"margin": margin},
        }
        Runner(Artifacts(tmp_path / name), parameters, reuse=reuse).execute(steps)
        return list(executed)

    execute.notebooks = notebooks
    execute.run = lambda name="run": Artifacts(tmp_path / name)
    return execute


def test_an_unchanged_run_executes_nothing(chain):
    assert chain() == ["01", "03"]
    assert chain() == []
    assert chain(reuse=False) == ["01", "03"]


def test_a_changed_parameter_reruns_its_step_and_what_depends_on_it(chain):
    chain()
    assert chain(margin=0.1) == ["03"]
    assert chain(seed=1, margin=0.1) == ["01", "03"]


def test_the_old_result_is_found_when_a_change_is_taken_back(chain):
    chain()
    before = chain.run().path("claim").read_bytes()
    chain(seed=1)
    assert chain.run().path("claim").read_bytes() != before
    assert chain() == []
    assert chain.run().path("claim").read_bytes() == before


def test_another_run_with_the_same_settings_finds_the_results(chain):
    chain("one")
    assert chain("other") == []
    assert chain.run("other").read_document("claim")["flow"] == 0


def test_a_step_whose_inputs_turn_out_equal_is_not_run_again(chain):
    chain()
    path = chain.notebooks / "01_prepare_data.ipynb"
    notebook = nbformat.read(path, as_version=4)
    notebook.cells[0].source += "\nprint('hello')"
    nbformat.write(notebook, path)
    assert chain() == ["01"]


def test_text_outputs_and_times_of_a_notebook_do_not_count(chain):
    chain()
    path = chain.notebooks / "03_evaluate.ipynb"
    notebook = nbformat.read(path, as_version=4)
    notebook.cells.insert(0, nbformat.v4.new_markdown_cell("A better explanation."))
    notebook.cells[1].outputs = [nbformat.v4.new_output("stream", text="old")]
    nbformat.write(notebook, path)
    assert chain() == []


def test_a_result_changed_by_hand_is_not_taken_for_the_result(chain):
    chain()
    claim = chain.run().path("claim")
    stored = claim.read_bytes()
    claim.write_bytes(stored.replace(b"0.05", b"0.99"))  # in place: the kept copy is the same file
    assert chain() == ["03"]
    assert chain.run().path("claim").read_bytes() == stored


def test_results_of_other_data_do_not_stay_in_the_run_folder(chain):
    chain()
    parameters = {FIRST.notebook: {"cohort": "synthetic_nicm", "data_root": "", "seed": 5}}
    only_first = [Step(replace(FIRST, produces=("flow",), requires=()))]
    Runner(chain.run(), parameters).execute(only_first)
    assert not chain.run().path("claim").exists()
    assert chain() == []  # it was kept


def test_a_failed_step_is_run_again_and_its_work_so_far_is_kept(chain, monkeypatch):
    chain()
    works = Runner._run_notebook

    def fails(self, step, values):
        works(self, step, values)
        (self.run.directory / "03_evaluation" / "half.txt").write_text("so far")
        raise runner.StageError("03_evaluate failed in cell 3: no memory")

    monkeypatch.setattr(Runner, "_run_notebook", fails)
    with pytest.raises(runner.StageError):
        chain(margin=0.2)
    row = status_of(chain.run().directory)[1]
    assert (row["status"], row["why"]) == ("failed", "03_evaluate failed in cell 3: no memory")
    monkeypatch.setattr(Runner, "_run_notebook", works)
    assert chain(margin=0.2) == ["03"]
    assert (chain.run().directory / "03_evaluation" / "half.txt").exists()


def test_a_run_folder_has_one_user_at_a_time(chain):
    record = Record(chain.run().directory)
    with record.locked(), pytest.raises(RunInUseError, match="must not be in use"):
        chain()
    assert chain() == ["01", "03"]


def test_a_killed_runner_frees_the_folder_and_its_step_reads_interrupted(tmp_path):
    code = (
        "import os, sys\nfrom pathlib import Path\nfrom workflow.record import Record\n"
        "record = Record(Path(sys.argv[1]))\nwith record.locked():\n"
        "    record.write_step('03_evaluate', {'status': 'running'})\n    os.kill(os.getpid(), 9)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(PROJECT_ROOT)}
    words = [sys.executable, "-c", code, str(tmp_path / "run")]
    assert subprocess.run(words, env=environment, check=False).returncode == -9
    assert status_of(tmp_path / "run")[0]["status"] == "interrupted"


def test_a_kill_while_a_result_is_kept_leaves_none(tmp_path, monkeypatch):
    run, store = tmp_path / "run", Results(tmp_path / ".results")
    (run / "01_data").mkdir(parents=True)
    (run / "01_data" / "a.txt").write_text("a")
    entry = {"key": "k" * 64, "written": {}}

    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(results, "write_json", killed)
        with pytest.raises(KeyboardInterrupt):
            store.keep("01_prepare_data", entry, run, ["01_data"])
    assert store.find("01_prepare_data", entry["key"]) is None
    store.keep("01_prepare_data", entry, run, ["01_data"])
    assert store.find("01_prepare_data", entry["key"]) == entry


def test_downloads_survive_clearing_and_are_not_kept_twice(tmp_path):
    folder = tmp_path / "run" / "01_data"
    for name in ("private/public/big.zip", "private/identifiers.parquet", "patients.parquet"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    store = Results(tmp_path / ".results")
    store.keep("01_prepare_data", {"key": "k" * 64}, tmp_path / "run", ["01_data"])
    assert not list(store.directory.rglob("big.zip"))
    clear(folder)
    assert [path.name for path in folder.rglob("*.*")] == ["big.zip"]
    store.restore("01_prepare_data", "k" * 64, tmp_path / "run", ["01_data"])
    assert (folder / "private" / "identifiers.parquet").exists()


def test_a_change_in_any_module_a_notebook_can_reach_changes_its_key():
    for stage in ALL_STAGES:
        code = notebook_parts(PROJECT_ROOT / "notebooks" / f"{stage.notebook}.ipynb")["code"]
        assert not [name for name in code if name.startswith("workflow")]
    parts = notebook_parts(PROJECT_ROOT / "notebooks" / "02_train_model.ipynb")["code"]
    assert {"models_training.training", "models_training.optimizers", "evaluation.scores"} <= set(
        parts
    )
    assert "explainability.attribution" not in parts


def test_the_difference_is_said_in_words():
    before = {"parameters": {"seed": 0, "margin": 0.1}, "code": {"a": "1"}, "data": "x"}
    after = {"parameters": {"seed": 1, "margin": 0.1}, "code": {"a": "1"}, "data": "y"}
    assert difference(before, after) == "parameters: seed; data"
    assert difference(before, before) == ""
    assert key_of(before) != key_of(after)


def test_the_fingerprint_of_a_folder_follows_names_sizes_and_times(tmp_path):
    file = tmp_path / "files" / "a.dat"
    file.parent.mkdir()
    file.write_text("one")
    before = fingerprint([file.parent])
    assert fingerprint([file.parent]) == before
    os.utime(file, (1, 1))
    assert fingerprint([file.parent]) != before


def test_a_second_run_ends_before_anything_heavy_is_imported(tmp_path):
    code = (
        "import sys\nfrom workflow.__main__ import _parser\n"
        "import workflow.runner, workflow.record, workflow.results\n_parser()\n"
        "print([n for n in ('numpy', 'pandas', 'papermill', 'keras') if n in sys.modules])"
    )
    words = [sys.executable, "-c", code]
    done = subprocess.run(words, cwd=PROJECT_ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_compare_says_what_differs(chain, capsys):
    chain("one")
    chain("other", seed=3)
    directory = chain.run("one").directory.parent
    assert main(["compare", str(directory / "one"), str(directory / "other")]) == 0
    printed = capsys.readouterr().out
    assert "01_prepare_data: parameters: seed 0 and 3" in printed
    assert "03_evaluate: inputs: 01_data/flow.json differs" in printed
    assert main(["compare", str(directory / "one"), str(directory / "one")]) == 0
    assert "Made of the same code" in capsys.readouterr().out
    assert main(["compare", str(directory / "one"), "nowhere"]) == 1
    assert "run.json must exist" in capsys.readouterr().err


def test_the_record_says_what_was_made_with_what(chain):
    chain()
    entry = json.loads((chain.run().directory / "run.json").read_text())["steps"]["03_evaluate"]
    assert set(entry["made_of"]) >= {"notebook", "code", "parameters", "inputs", "packages", "data"}
    assert set(entry["made_with"]) >= {"commit", "uncommitted_changes", "processor", "n_cores"}
    assert list(entry["read"]) == ["01_data/flow.json"]
    assert all(len(digest) == 64 for digest in entry["written"].values())


def test_a_file_is_hashed_once(chain, monkeypatch):
    chain()
    time.sleep(0.01)
    record = Record(chain.run().directory)
    monkeypatch.setattr("workflow.provenance.sha256_of", lambda path: pytest.fail(str(path)))
    assert record.is_whole(record.steps["03_evaluate"])


def test_a_mapped_cohort_is_read_anew_when_its_file_or_its_folder_has_changed(tmp_path):
    folder = tmp_path / "hospital"
    folder.mkdir()
    mapping = tmp_path / "mine.yaml"
    mapping.write_text("folder: hospital\n")
    values = {"cohort": str(mapping), "data_root": ""}
    assert source_data(values) == [mapping, folder]
    marks = [fingerprint(source_data(values))]
    (folder / "ecgs.csv").write_text("patient_id\n")
    marks.append(fingerprint(source_data(values)))
    mapping.write_text("folder: hospital\ntitle: Mine\n")
    marks.append(fingerprint(source_data(values)))
    assert len(set(marks)) == 3


def test_a_record_of_another_version_is_refused_and_left_alone(tmp_path):
    path = tmp_path / "run" / "run.json"
    path.parent.mkdir()
    path.write_text('{"schema_version": 1, "steps": {}}')
    with pytest.raises(ArtifactError, match="must have schema version 2, got 1"):
        Record(path.parent)
    assert json.loads(path.read_text())["schema_version"] == 1


def test_a_stage_that_is_not_made_for_the_task_is_skipped_with_the_reason(tmp_path):
    run = Artifacts(tmp_path / "run")
    run.write_document("dataset", {"task": "several", "skipped_variants": {}})
    numbers = next(stage for stage in STAGES if stage.tasks == ("regression",))
    Runner(run, {numbers.notebook: {}}).execute([Step(numbers)])
    step = json.loads((run.directory / "run.json").read_text())["steps"]["03_evaluate_numbers"]
    assert step["status"] == "skipped"
    assert step["reason"] == "it is made for task regression, not for several."


def test_random_kernels_are_not_explained(tmp_path):
    run = Artifacts(tmp_path / "run")
    run.write_document("dataset", {"task": "binary", "skipped_variants": {}})
    card = run.path("02_models") / "ecg" / "card.json"
    card.parent.mkdir(parents=True)
    card.write_text(json.dumps({"settings": {"architecture": {"name": "random_kernels"}}}))
    Runner(run, {"04_explain": {}}).execute([step_named("04_explain.ecg")])
    step = json.loads((run.directory / "run.json").read_text())["steps"]["04_explain.ecg"]
    assert step["reason"] == "random kernels have no gradient, so no map can be made."
