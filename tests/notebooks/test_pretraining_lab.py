"""The lab that makes an encoder: from ECGs and statements to a stored, scored encoder."""

import json

import nbformat
import numpy as np
import pandas as pd
import pytest

from data_processing.leads import LEADS
from data_processing.pretraining_corpus import CLASSES
from models_training.pretrained import load_pretrained
from workflow.__main__ import main
from workflow.artifacts import Artifacts

pytestmark = pytest.mark.slow
N = 60
TINY = ["--architecture", "fcn_wang", "--width", "2", "--n-epochs", "1", "--n-resamples", "100"]
TINY += ["--n-unlabelled-epochs", "1", "--train-folds", "1,2", "--held-out-folds", "3"]


@pytest.fixture(scope="module")
def mirror(tmp_path_factory):
    """Return a folder like PTB-XL's scaled mirror, of noise: 20 ECGs a fold, each class in each."""
    folder, rng = tmp_path_factory.mktemp("mirror"), np.random.default_rng(0)
    numbers = np.arange(1, N + 1)
    np.savez(
        folder / "signals_zscored_100hz_int16_x1000.npz",
        ecg_id=numbers.astype("int32"),
        signal=rng.integers(-3000, 3000, (N, 1000, 12)).astype("int16"),
        leads=np.array(LEADS),
        fs=np.array(100),
    )
    kind = numbers % len(CLASSES)
    table = pd.DataFrame(
        {"ecg_id": numbers, "patient_id": numbers, "age": 50 + numbers % 30, "sex": numbers % 2}
    )
    table["strat_fold"], table["scp_codes"] = 1 + (numbers - 1) // 20, "{'SR': 0.0}"
    for number, name in enumerate(CLASSES):
        table[name.replace("class_", "super_")] = (kind == number).astype(int)
    table.to_csv(folder / "metadata.csv", index=False)
    return folder


def test_it_stores_an_encoder_and_scores_the_folds_it_has_not_seen(mirror, tmp_path):
    run = Artifacts(tmp_path / "run")
    words = ["lab", "pretrain_encoder", "--name", str(run.directory), "--corpus", "mirror"]
    assert main([*words, "--data-root", str(mirror), *TINY]) == 0
    encoder = load_pretrained(run.path("encoder/my_encoder"))
    assert encoder.card["targets"] == [*CLASSES, "SR", "is_male", "age_years"]
    assert encoder.card["recipe"]["n_unlabelled_epochs"] == 1
    assert encoder.card["trained_on"]["n_records"] == 40
    table = pd.read_csv(run.path("encoder/auroc.csv"))
    assert table["label"].tolist() == [*CLASSES, "macro", "macro, stored minus in memory"]
    assert table["n"].iloc[0] == 20
    assert abs(table["estimate"].iloc[-1]) < 0.02
    notebook = nbformat.read(run.path("notebooks/labs/pretrain_encoder.ipynb"), as_version=4)
    printed = [out["text"] for cell in notebook.cells for out in cell.get("outputs", [])
               if out.get("name") == "stdout"]  # fmt: skip
    assert json.loads(printed[-1])["folds"] == [1, 2]


def test_folds_that_are_trained_on_are_not_held_out(mirror, tmp_path, capsys):
    words = ["lab", "pretrain_encoder", "--name", str(tmp_path / "run"), "--corpus", "mirror"]
    words += ["--data-root", str(mirror), *TINY, "--held-out-folds", "2"]
    assert main(words) == 1
    assert "train_folds and held_out_folds must differ" in capsys.readouterr().err
