"""The corpus an encoder is trained on: from the scaled mirror, and from PTB-XL's own files."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest

from data_processing.datasets import locate_dataset
from data_processing.leads import LEADS
from data_processing.pretraining_corpus import (
    CHAIN,
    CLASSES,
    open_corpus,
    read_mirror,
    read_ptbxl_corpus,
    scaled_by_record,
)


def write_mirror(folder, *, numbers=(3, 5, 9), order=LEADS):
    rng = np.random.default_rng(0)
    signal = rng.integers(-3000, 3000, (len(numbers), 1000, 12)).astype("int16")
    np.savez(
        folder / "signals_zscored_100hz_int16_x1000.npz",
        ecg_id=np.array(numbers, "int32"),
        signal=signal,
        leads=np.array(order),
        fs=np.array(100),
    )
    codes = ["{'NORM': 100.0, 'SR': 0.0}", "{'IMI': 0.0}", "{'LVH': 100.0, 'SR': 0.0}"]
    table = pd.DataFrame(
        {
            "ecg_id": [3, 5, 9],
            "patient_id": ["11.0", "", "11.0"],
            "age": [56.0, 300.0, 41.0],
            "sex": [1, 0, 1],
            "strat_fold": [3, 9, 3],
            "scp_codes": codes,
            "super_NORM": [1, 0, 0],
            "super_MI": [0, 1, 0],
            "super_STTC": 0,
            "super_CD": 0,
            "super_HYP": [0, 0, 1],
        }
    )
    table.to_csv(folder / "metadata.csv", index=False)
    return signal


def test_the_mirror_is_read_in_standard_deviations_with_every_statement(tmp_path):
    signal = write_mirror(tmp_path)
    corpus = read_mirror(tmp_path)
    np.testing.assert_allclose(corpus.signals, signal / 1000, atol=1e-6)
    assert corpus.records["fold"].tolist() == [3, 9, 3]
    assert corpus.records["age_years"].tolist() == [56, 90, 41]  # 300 stands for above 89
    assert corpus.records["is_male"].tolist() == [False, True, False]
    first, unknown, third = corpus.records["patient"]
    assert first == third != unknown
    assert list(corpus.labels) == [*CLASSES, "IMI", "LVH", "NORM", "SR"]
    assert corpus.labels["SR"].tolist() == [True, False, True]
    assert corpus.labels["class_MI"].tolist() == [False, True, False]


def test_statements_are_counted_in_the_given_records_only(tmp_path):
    write_mirror(tmp_path)
    corpus = read_mirror(tmp_path)
    assert corpus.statements(np.array([0, 2]), n_least=2) == ["SR"]
    assert corpus.statements(np.array([0, 1]), n_least=2) == []


def test_what_was_trained_on_can_be_written_to_a_card(tmp_path):
    write_mirror(tmp_path)
    said = json.loads(json.dumps(read_mirror(tmp_path).trained_on(np.array([0, 2]))))
    assert (said["cohorts"], said["folds"], said["record_ids"]) == (["ptbxl"], [3], ["3", "9"])
    assert len(set(said["file_sha256"])) == 2
    assert said["hashed"] == "scaled ECGs"


@pytest.mark.parametrize(
    "changes", [{"numbers": (3, 5, 8)}, {"numbers": (3, 5)}, {"order": LEADS[::-1]}]
)
def test_a_mirror_whose_files_do_not_belong_together_is_refused(tmp_path, changes):
    write_mirror(tmp_path, **changes)
    with pytest.raises(ValueError, match=r"must hold the ECGs of metadata.csv in its order"):
        read_mirror(tmp_path)


def test_a_corpus_that_is_not_there_says_so(tmp_path):
    with pytest.raises(FileNotFoundError, match="data_root must hold ptbxl_folds1to9"):
        open_corpus("mirror", tmp_path, tmp_path / "x.npy")
    with pytest.raises(ValueError, match="corpus must be mirror or ptbxl, got 'all'"):
        open_corpus("all", tmp_path, tmp_path / "x.npy")


def test_scaling_by_record_ignores_gain_and_offset_but_not_a_flat_lead():
    signal = np.random.default_rng(1).normal(size=(1000, 12)) * np.arange(1, 13)
    np.testing.assert_allclose(scaled_by_record(5 * signal + 2), scaled_by_record(signal))
    flat = scaled_by_record(signal * [*[1] * 11, 1e-6])
    assert np.abs(flat[:, 11]).max() < 0.01
    np.testing.assert_allclose(flat[:, :11].std(axis=0), 1)


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """Return the corpus of PTB-XL's own 500-Hz files, and the same ECGs of the mirror."""
    own = open_corpus("ptbxl", "", tmp_path_factory.mktemp("corpus") / "scaled.npy")
    mirror = open_corpus("mirror", "", tmp_path_factory.mktemp("none") / "x.npy")
    position = pd.Index(mirror.records["record_id"]).get_indexer(own.records["record_id"])
    kept = position >= 0
    assert kept.sum() >= 100
    return own, mirror, kept, position[kept]


@pytest.mark.real_data
def test_the_chain_gives_the_mirrors_ecgs_away_from_the_ends(both):
    own, mirror, kept, position = both
    difference = np.asarray(own.signals)[kept] - mirror.signals[position]
    # At the ends the mirror's filter makes steps which ours does not (see `SignalChain`); they
    # also enter the SD each lead is divided by, so each lead is compared up to its scale.
    centre = slice(150, -150)
    rms = np.sqrt(np.square(difference[:, centre]).mean(axis=1))
    assert np.median(rms) < 0.02
    assert np.quantile(rms, 0.99) < 0.25
    correlation = [
        np.corrcoef(a[centre, lead], b[centre, lead])[0, 1]
        for a, b in zip(np.asarray(own.signals)[kept], mirror.signals[position], strict=True)
        for lead in range(12)
    ]
    assert np.quantile(correlation, 0.01) > 0.995


@pytest.mark.real_data
def test_labels_folds_and_ages_are_the_same_in_both(both):
    own, mirror, kept, position = both
    for column in ("fold", "is_male", "age_years"):
        ours, theirs = own.records[column][kept], mirror.records[column].iloc[position]
        assert (ours.to_numpy() != theirs.to_numpy()).mean() < 0.02, column
    shared = [name for name in own.labels if name in mirror.labels]
    ours, theirs = own.labels.loc[kept, shared], mirror.labels[shared].iloc[position]
    assert (ours.to_numpy() != theirs.to_numpy()).mean() < 0.001


@pytest.mark.real_data
def test_scaled_ecgs_are_kept_and_not_computed_again(both, tmp_path, monkeypatch):
    directory = locate_dataset("ptbxl")
    store = tmp_path / "scaled.npy"
    shutil.copy(both[0].signals.filename, store)
    monkeypatch.setattr(type(CHAIN), "apply", lambda *_: pytest.fail("computed again"))
    again = read_ptbxl_corpus(directory, store)
    np.testing.assert_array_equal(again.signals, both[0].signals)
