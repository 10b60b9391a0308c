"""The command that writes a mapping for a folder of one's own."""

from workflow.__main__ import main

TABLE = "pid,ecg,age,outcome\n" + "".join(f"K{k},E{k},{40 + k},{k % 2}\n" for k in range(6))


def test_new_cohort_writes_a_mapping_and_says_what_comes_next(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "all.csv").write_text(TABLE)
    assert main(["new-cohort", "mine"]) == 0
    said = capsys.readouterr().out
    assert "Wrote my_cohort.yaml. Check what was guessed; still needed: nothing." in said
    assert "python -m workflow run --cohort my_cohort.yaml" in said
    assert "folder: mine" in (tmp_path / "my_cohort.yaml").read_text()


def test_new_cohort_says_what_is_wrong(tmp_path, capsys):
    assert main(["new-cohort", str(tmp_path / "none"), "--output", str(tmp_path / "a.yaml")]) == 1
    assert "folder must be an existing folder, got 'none'" in capsys.readouterr().err


def test_a_mapping_that_is_not_there_stops_before_any_work(tmp_path, capsys):
    words = ["run", "--cohort", str(tmp_path / "none.yaml"), "--name", str(tmp_path / "run")]
    assert main(words) == 1
    assert "new-cohort FOLDER" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
