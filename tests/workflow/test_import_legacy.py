"""The command that makes a bundle of a Keras-2 model, and `predict` with it."""

import json
from pathlib import Path

import numpy as np
import pytest
import yaml

from data_processing.leads import LEADS
from workflow.__main__ import main

FILES = Path(__file__).parents[1] / "models_training" / "legacy_files"
MODEL = FILES / "plain.h5"
CARD = yaml.safe_load((FILES / "declared.yaml").read_text(encoding="utf-8"))


def imported(tmp_path, **changes):
    """Run the command with a card in YAML; return its exit status and the bundle's folder."""
    card, folder = tmp_path / "card.yaml", tmp_path / "bundle"
    card.write_text(yaml.safe_dump(CARD | changes), encoding="utf-8")
    words = ["import-legacy", str(MODEL), "--card", str(card), "--output", str(folder)]
    return main(words), folder


def test_an_imported_model_scores_an_ecg_file(tmp_path, capsys):
    status, folder = imported(tmp_path)
    assert status == 0, capsys.readouterr().err
    time = np.arange(5000) / 500
    chest = [np.sin(2 * np.pi * (1.2 + k / 7) * time + k) for k in range(8)]
    one, two = chest[0] * 0.7, chest[1]
    limb = [one, two, two - one, -(one + two) / 2, one - two / 2, two - one / 2]
    table = np.stack([time, *limb, *chest[2:]], axis=1)
    names = ",".join(["time (s)", *(f"{lead} (mV)" for lead in LEADS)])
    np.savetxt(tmp_path / "ecg.csv", table, "%.4f", ",", header=names, comments="")
    capsys.readouterr()
    status = main(["predict", str(folder), str(tmp_path / "ecg.csv")])
    printed, problem = capsys.readouterr()
    assert status == 0, problem
    found = json.loads(printed)
    assert 0 < found["risk"] < 1
    assert found["threshold"] == 0.2


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"leads": list(LEADS)[::-1]}, "leads must be I, II, III"),
        ({"signal_chain": {"wavelet": "db4"}}, "signal chain must hold rate_hz"),
        ({"output": "logit"}, "must have a linear activation for output logit, got sigmoid"),
    ],
)
def test_what_does_not_fit_is_refused_and_nothing_written(tmp_path, capsys, changes, message):
    status, folder = imported(tmp_path, **changes)
    assert status == 1
    assert message in capsys.readouterr().err
    assert not folder.exists()
