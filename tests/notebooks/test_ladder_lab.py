"""The lab of the ladder runs on a prepared cohort, with an encoder in a folder, and resumes."""

import dataclasses
import json

import numpy as np
import pandas as pd
import pytest

from models_training.architectures import build_network
from models_training.embeddings import trunk_of
from models_training.settings import ArchitectureSettings
from workflow.__main__ import main
from workflow.artifacts import Artifacts

pytestmark = pytest.mark.slow
NETWORK = ArchitectureSettings(width=2, stage_blocks=(1, 1, 1, 1))
TINY = ["--width", "2", "--stage-blocks", "1-1-1-1", "--n-epochs", "1", "--run-eagerly", "true"]
TINY += ["--n-random-features", "84", "--n-kernel-repeats", "1", "--n-resamples", "100"]
TINY += ["--precision", "float32"]


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """Return a prepared run and the folder of an untrained encoder that fits it."""
    directory = tmp_path_factory.mktemp("ladder")
    run = Artifacts(directory / "run")
    words = ["run", "--profile", "smoke", "--name", str(run.directory), "--only", "01"]
    assert main(words) == 0
    dataset = run.read_document("dataset")
    encoder = directory / "encoder"
    encoder.mkdir()
    network = trunk_of(build_network(n_samples=dataset["n_samples"], settings=NETWORK))
    arrays = {
        f"{layer.name}/{number}": weight
        for layer in network.layers
        for number, weight in enumerate(layer.get_weights())
    }
    np.savez(encoder / "weights.npz", **arrays)
    card = {name: dataset[name] for name in ("signal_chain", "leads")}
    card |= {"architecture": dataclasses.asdict(NETWORK)}
    card["trained_on"] = {"cohorts": ["other"], "file_sha256": ["aa"]}
    (encoder / "card.json").write_text(json.dumps(card))
    return run, encoder


def climb(prepared, rungs):
    run, encoder = prepared
    words = ["lab", "ladder", "--name", str(run.directory), "--pretrained", str(encoder)]
    assert main([*words, "--rungs", rungs, *TINY]) == 0
    return run.read_table("ladder").set_index("rung")


def test_the_table_grows_by_the_rungs_that_are_asked_for_and_none_is_fitted_twice(prepared):
    first = climb(prepared, "embedding")
    assert list(first.index) == ["random_kernels", "embedding"]
    both = climb(prepared, "clinical, embedding, probe")
    assert list(both.index) == ["clinical", "random_kernels", "embedding", "probe"]
    same = ["auroc", "brier", "seconds_a_fit", "n_trained", "gain"]
    pd.testing.assert_frame_equal(both.loc[first.index, same], first[same])
    assert (both["n_repeats"] == [2, 1, 2, 1]).all()
    assert both.loc["embedding", "n_trained"] == 2 * 8 * 4 + 1
    assert both.loc["probe", "n_trained"] == 2 * 8 * 4 + 1
    run = prepared[0]
    assert "SYNTHETIC DATA" in run.path("ladder/figures/1_ladder.svg").read_text()
