"""Encoders: found by name, refused where they do not belong, put in place as they were stored."""

import dataclasses
import hashlib
import json
import re

import numpy as np
import pandas as pd
import pytest

from models_training.architectures import build_network
from models_training.embeddings import trunk_of
from models_training.external_checks import ExternalError, check_encoder
from models_training.pretrained import (
    PretrainedError,
    check_pretrained,
    load_pretrained,
    transfer,
)
from models_training.settings import ArchitectureSettings

TINY = ArchitectureSettings(width=2, stage_blocks=(1, 1, 1, 1), stem_stride=1)
CHAIN = {"rate_hz": 100, "duration_seconds": 10.0, "low_cut_hz": 0.5, "high_cut_hz": 40.0}
CARD = {
    "architecture": dataclasses.asdict(TINY),
    "signal_chain": CHAIN,
    "leads": ["I", "II"],
    "trained_on": {"cohorts": ["ptbxl"], "file_sha256": ["aa", "bb"]},
}
DATASET = {"cohort": "own", "signal_chain": CHAIN, "leads": ["I", "II"]}


@pytest.fixture(scope="module")
def network():
    return build_network(n_samples=32, settings=TINY, seed=3)


@pytest.fixture
def folder(tmp_path, network):
    """Return a folder with a registry of one tiny encoder, stored in float16."""
    (tmp_path / "tiny").mkdir()
    arrays = {
        f"{layer.name}/{number}": np.array(weight).astype("float16")
        for layer in trunk_of(network).layers
        for number, weight in enumerate(layer.weights)
    }
    np.savez(tmp_path / "tiny" / "weights.npz", **arrays)
    (tmp_path / "tiny" / "card.json").write_text(json.dumps(CARD))
    sha256 = {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in (tmp_path / "tiny").iterdir()
    }
    registry = {"schema_version": 1, "models": {"tiny": {"kind": "encoder", "sha256": sha256}}}
    (tmp_path / "registry.json").write_text(json.dumps(registry))
    return tmp_path


@pytest.fixture
def records():
    table = {"record_id": ["R1", "R2"], "patient_id": ["P0001", "P0002"]}
    return pd.DataFrame(table | {"file_sha256": ["cc", "dd"]})


@pytest.mark.parametrize("n_samples", [32, 50])
def test_the_trunk_of_a_network_of_any_length_and_head_gets_the_stored_weights(
    folder, network, n_samples
):
    other = build_network(n_samples=n_samples, covariate_names=["age_years"], settings=TINY, seed=9)
    head = other.get_layer("logit").get_weights()[0]
    for name in ("tiny", folder / "tiny"):
        transfer(load_pretrained(name, folder=folder), trunk_of(other))
        for layer in trunk_of(other).layers:
            expected = network.get_layer(layer.name).get_weights()
            for a, b in zip(layer.get_weights(), expected, strict=True):
                np.testing.assert_array_equal(a, b.astype("float16").astype("float32"))
    np.testing.assert_array_equal(other.get_layer("logit").get_weights()[0], head)


def test_a_cohort_that_fits_is_accepted_at_any_length(folder, records):
    found = load_pretrained("tiny", folder=folder)
    shorter = {**DATASET, "signal_chain": {**CHAIN, "duration_seconds": 5.0}}
    text = check_pretrained(found, shorter, records, dataclasses.replace(TINY, dropout=0.9))
    assert text.startswith("No ECG file of this cohort is among the 2 of the training data")
    amplitude = dataclasses.replace(TINY, use_amplitude=True)
    assert check_pretrained(found, DATASET, records, amplitude).startswith("No ECG file")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"width": 8}, "width must be 2 as in the encoder tiny, got 8. Set the parameter so"),
        (
            {"name": "resnet18"},
            "architecture must be resnet50 as in the encoder tiny, got resnet18.",
        ),
        ({"stage_blocks": (1, 1, 1, 2)}, "stage_blocks must be 1-1-1-1 as in the encoder tiny"),
    ],
)
def test_another_network_is_refused(folder, records, change, message):
    found = load_pretrained("tiny", folder=folder)
    with pytest.raises(PretrainedError, match=re.escape(message)):
        check_pretrained(found, DATASET, records, dataclasses.replace(TINY, **change))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"signal_chain": {**CHAIN, "rate_hz": 500}},
            "rate_hz of the signal chain must be 100 as the encoder tiny was trained with, got "
            "500. Prepare the cohort so, or choose another encoder.",
        ),
        ({"signal_chain": {**CHAIN, "notch_hz": 50}}, "notch_hz of the signal chain must be None"),
        ({"leads": ["II", "I"]}, "leads of the signal chain must be I, II as the encoder"),
        (
            {"cohort": "ptbxl"},
            "cohort must not be among the encoder's training data (ptbxl), got ptbxl.",
        ),
        (
            {"cohort": "challenge2021"},
            "training data (ptbxl), got challenge2021, which contains ptbxl. Use another cohort",
        ),
        ({"cohort": "challenge2021", "contains": ["ptbxl"]}, "which contains ptbxl."),
    ],
)
def test_another_cohort_is_refused(folder, records, change, message):
    found = load_pretrained("tiny", folder=folder)
    with pytest.raises(PretrainedError, match=re.escape(message)):
        check_pretrained(found, DATASET | change, records, TINY)


def test_what_was_compared_is_said_as_it_is(folder, records):
    found = load_pretrained("tiny", folder=folder)
    without = {**DATASET, "cohort": "challenge2021", "contains": []}  # no record HR...
    assert check_pretrained(found, without, records, TINY).startswith("No ECG file")
    trained_on = {**CARD["trained_on"], "hashed": "scaled ECGs"}
    other = dataclasses.replace(found, card={**CARD, "trained_on": trained_on})
    assert check_pretrained(other, DATASET, records, TINY) == (
        "ECG files of this cohort cannot be compared with those the encoder tiny was trained on: "
        "its card has hashes of scaled ECGs. Make sure that no ECG of ptbxl is in the cohort."
    )


def test_an_encoder_trained_on_the_challenge_is_refused_for_ptbxl():
    with pytest.raises(ExternalError, match=r"training data \(challenge2021\), got ptbxl"):
        check_encoder({"name": "other", "cohorts": ["challenge2021"]}, {"cohort": "ptbxl"})


def test_the_shipped_encoder_does_not_claim_that_files_were_compared():
    note = check_encoder(load_pretrained("ptbxl_resnet50").origin, {"cohort": "own"})
    assert "cannot be compared" in note


def test_ecgs_the_encoder_was_trained_on_are_refused(folder, records):
    found = load_pretrained("tiny", folder=folder)
    message = "ECGs must not be among those the model was trained on, got 1 of 2"
    with pytest.raises(ExternalError, match=message):
        check_pretrained(found, DATASET, records.assign(file_sha256=["bb", "dd"]), TINY)


def test_names_and_damaged_files_are_refused(folder):
    message = "pretrained must be one of tiny, or a folder with card.json and weights.npz, got "
    with pytest.raises(PretrainedError, match=re.escape(f"{message}'tyni'. Check the name.")):
        load_pretrained("tyni", folder=folder)
    path = folder / "tiny" / "weights.npz"
    path.write_bytes(path.read_bytes() + b" ")
    message = "weights.npz of tiny must have the checksum of the registry, got another."
    with pytest.raises(PretrainedError, match=re.escape(message)):
        load_pretrained("tiny", folder=folder)
    card = json.dumps({**CARD, "weights_sha256": "0" * 64})
    (folder / "tiny" / "card.json").write_text(card)
    message = "weights.npz of tiny must have the checksum of its card, got another."
    with pytest.raises(PretrainedError, match=re.escape(message)):
        load_pretrained(folder / "tiny", folder=folder)
    incomplete = {name: value for name, value in CARD.items() if name != "leads"}
    (folder / "tiny" / "card.json").write_text(json.dumps(incomplete))
    with pytest.raises(PretrainedError, match=r"must have architecture, .*, missing: leads\."):
        load_pretrained(folder / "tiny", folder=folder)


def test_weights_of_another_shape_are_refused(folder):
    wider = build_network(n_samples=32, settings=dataclasses.replace(TINY, width=4))
    message = "layer conv1_conv of the encoder tiny must have weights of shape [(7, 12, 4)], got "
    with pytest.raises(PretrainedError, match=re.escape(message)):
        transfer(load_pretrained("tiny", folder=folder), trunk_of(wider))


def test_the_registry_of_the_project_is_read():
    with pytest.raises(PretrainedError, match="pretrained must be one of"):
        load_pretrained("no such encoder")
