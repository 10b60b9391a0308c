"""The lab runs with one command on a handful of cohorts, and goes on where it stopped."""

import nbformat
import pandas as pd
import pytest

from workflow.__main__ import main
from workflow.artifacts import Artifacts
from workflow.record import status_of

pytestmark = pytest.mark.slow
TINY = ["--n-simulations", "3", "--n-calibration", "10", "--n-repeated", "2", "--n-splits", "6"]
TINY += ["--n-resamples", "100", "--n-dimensions", "2"]


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """Return the run folder of a finished tiny lab."""
    directory = tmp_path_factory.mktemp("lab") / "run"
    assert main(["lab", "reproduce_086", "--name", str(directory), *TINY]) == 0
    return Artifacts(directory)


def test_it_completes_without_a_warning(lab):
    assert [row["status"] for row in status_of(lab.directory)] == ["completed"]
    executed = nbformat.read(lab.path("notebooks/labs/reproduce_086.ipynb"), as_version=4)
    for cell in executed.cells:
        for output in cell.get("outputs", []):
            assert output.output_type != "error"
            assert "Warning" not in output.get("text", "")


def test_every_figure_has_its_table_and_says_it_is_no_patient_data(lab):
    figures = sorted(lab.path("simulation/figures").glob("*.svg"))
    assert len(figures) == 6
    for path in figures:
        assert len(pd.read_csv(path.with_suffix(".csv")))
        marked = path.read_text()
        assert "SIMULATED DATA" in marked or "NO PATIENT DATA" in marked


def test_the_shares_count_the_cohorts_that_were_asked_for(lab):
    shares = pd.read_csv(lab.path("simulation/figures/2_shares.csv"))
    assert shares.groupby("method")["n_cohorts"].max().to_dict() == {
        "one split": 3,
        "best of 5 splits": 3,
        "best of 6 splits": 3,
        "5-fold": 3,
        "10 x 5-fold": 2,
    }


def test_the_same_parameters_are_not_run_again(lab, capsys):
    assert main(["lab", "reproduce_086", "--name", str(lab.directory), *TINY]) == 0
    assert "unchanged" in capsys.readouterr().err


def test_a_wrong_value_is_refused_before_any_work(tmp_path, capsys):
    words = ["lab", "reproduce_086", "--name", str(tmp_path / "run"), "--event-rate", "2"]
    assert main(words) == 1
    assert "LabParameters.event_rate must be a number" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
