"""The registry: models found by name after their checksums; what is shipped is what it says."""

import json

import numpy as np
import pytest

from models_training.architectures import build_network
from models_training.bundle import load_bundle, save_bundle
from models_training.registry import (
    FOLDER,
    RISK_MODEL,
    RegistryError,
    find_model,
    register,
    registered,
    share,
)
from models_training.settings import ArchitectureSettings

CARD = {
    "signal_chain": {"rate_hz": 100},
    "covariate_names": [],
    "target": "sva",
    "horizon_days": 1095,
    "threshold": {"value": 0.2},
    "trained_on": {"cohort": "elsewhere", "file_sha256": []},
    "is_synthetic": True,
}


@pytest.fixture
def bundle(tmp_path):
    settings = ArchitectureSettings(width=2, stage_blocks=(1, 1, 1, 1), stem_stride=1)
    save_bundle(tmp_path / "run" / "ecg", build_network(n_samples=32, settings=settings), CARD)
    (tmp_path / "run" / "ecg" / "predictions.parquet").write_bytes(b"of patients")
    return tmp_path / "run" / "ecg"


def test_a_shared_model_is_found_by_its_name_without_anything_of_patients(bundle, tmp_path):
    target = share(bundle, "mine", folder=tmp_path / "models")
    assert sorted(path.name for path in target.iterdir()) == ["card.json", "model.keras"]
    found = find_model("mine", kind=RISK_MODEL, folder=tmp_path / "models")
    model, card = load_bundle(found)
    assert model.input_shape == (None, 32, 12)
    entry = registered(tmp_path / "models")["mine"]
    assert (entry["kind"], entry["corpora"], entry["is_synthetic"]) == (
        "risk model",
        ["elsewhere"],
        True,
    )
    assert card["target"] == entry["target"]


def test_a_folder_is_no_name_and_stays_as_it_is(bundle):
    assert find_model(bundle, kind=RISK_MODEL) == bundle


@pytest.mark.parametrize("name", ["", "..", "../mine", "a/b", ".hidden", "/tmp/mine", "a b"])
def test_a_name_is_no_path(bundle, tmp_path, name):
    with pytest.raises(RegistryError, match=r"name must be letters, digits, _, - and \. and begin"):
        share(bundle, name, folder=tmp_path / "models")
    assert not (tmp_path / "models").exists()


@pytest.mark.parametrize("trained_on", [{}, {"trained_on": {"file_sha256": []}}])
def test_a_card_that_does_not_say_on_what_leaves_nothing(bundle, tmp_path, trained_on):
    card = {name: value for name, value in CARD.items() if name != "trained_on"}
    (bundle / "card.json").write_text(json.dumps(card | trained_on))
    with pytest.raises(RegistryError, match=r"card.json must name what the model was trained on"):
        share(bundle, "mine", folder=tmp_path / "models")
    assert list((tmp_path / "models").iterdir()) == []


def test_what_does_not_fit_is_refused(bundle, tmp_path):
    models = tmp_path / "models"
    with pytest.raises(RegistryError, match=r"model must have card.json and weights.npz or model"):
        share(tmp_path, "mine", folder=models)
    share(bundle, "mine", folder=models)
    with pytest.raises(RegistryError, match="name must be new in the registry, got mine"):
        share(bundle, "mine", folder=models)
    with pytest.raises(RegistryError, match="mine must be registered as encoder, got risk model"):
        find_model("mine", kind="encoder", folder=models)
    with (models / "mine" / "model.keras").open("ab") as file:
        file.write(b"x")
    with pytest.raises(RegistryError, match="checksum of the registry, got another"):
        find_model("mine", kind=RISK_MODEL, folder=models)
    register(models / "mine")
    (models / "mine" / "model.keras").unlink()
    with pytest.raises(RegistryError, match="got no such file"):
        find_model("mine", kind=RISK_MODEL, folder=models)


def test_all_that_is_shipped_is_registered_unchanged_and_small():
    names = registered()
    assert {path.name for path in FOLDER.iterdir() if path.is_dir()} == set(names)
    for name, entry in names.items():
        assert find_model(name, kind=entry["kind"]) == FOLDER / name
    size = sum(path.stat().st_size for path in FOLDER.rglob("*") if path.is_file())
    assert size < 40e6


@pytest.mark.parametrize("name", [n for n, e in registered().items() if e["kind"] == RISK_MODEL])
def test_a_shipped_risk_model_is_synthetic_and_scores_an_ecg(name):
    model, card = load_bundle(find_model(name, kind=RISK_MODEL))
    assert card["is_synthetic"]
    assert card["trained_on"]["cohort"] == "synthetic_nicm"
    rng = np.random.default_rng(0)
    inputs = {"ecg": rng.normal(0, 0.3, (2, 1000, 12)).astype("float32")}
    if card["covariate_names"]:
        unknown = np.full((2, len(card["covariate_names"])), np.nan, "float32")
        inputs["covariates"] = unknown
    risks = np.ravel(model(inputs))
    assert ((risks > 0) & (risks < 1)).all()
    assert risks[0] != risks[1]
