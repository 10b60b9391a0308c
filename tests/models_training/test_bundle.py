"""The bundle: the same scores after loading; changed, incomplete or code-carrying is refused."""

import json
import shutil
from dataclasses import replace

import keras
import numpy as np
import pytest

from models_training.architectures import build_network
from models_training.bundle import BundleError, load_bundle, load_clinical, save_bundle
from models_training.clinical_model import ClinicalModel
from models_training.fold_models import FoldModels, background
from models_training.settings import ArchitectureSettings
from models_training.training import NetworkTrainer
from models_training.variants import VariantTraining

CARD = {
    "signal_chain": {"rate_hz": 100},
    "covariate_names": [],
    "target": "sva",
    "horizon_days": 1095,
    "threshold": {"value": 0.2},
}


@pytest.fixture
def model():
    return build_network(
        n_samples=128, settings=ArchitectureSettings(width=4, stage_blocks=(1, 1, 1, 1))
    )


def test_loaded_again_it_gives_the_same_risk_and_has_no_optimizer(tmp_path, model):
    save_bundle(tmp_path, model, CARD)
    again, card = load_bundle(tmp_path)
    ecg = np.random.default_rng(0).normal(size=(2, 128, 12)).astype("float32")
    np.testing.assert_array_equal(np.asarray(again({"ecg": ecg})), np.asarray(model({"ecg": ecg})))
    assert card["target"] == "sva"
    size = (tmp_path / "model.keras").stat().st_size
    assert size < 8 * model.count_params() + 400_000


def test_a_changed_file_is_refused(tmp_path, model):
    save_bundle(tmp_path, model, CARD)
    with (tmp_path / "model.keras").open("ab") as file:
        file.write(b"x")
    with pytest.raises(BundleError, match="must have the checksum of its card"):
        load_bundle(tmp_path)


def test_a_file_that_carries_code_is_refused(tmp_path):
    ecg = keras.Input((16, 12), name="ecg")
    out = keras.layers.Lambda(lambda x: x[:, 0, :1], output_shape=(1,), name="risk")(ecg)
    save_bundle(tmp_path, keras.Model(ecg, out), CARD)
    with pytest.raises(BundleError, match="must not carry code, got Lambda layers"):
        load_bundle(tmp_path)


def test_something_else_under_the_name_is_refused(tmp_path, model):
    save_bundle(tmp_path, model, CARD)
    (tmp_path / "model.keras").write_bytes(b"\x89HDF\r\n\x1a\n")
    card = json.loads((tmp_path / "card.json").read_text())
    import hashlib

    card["sha256"] = hashlib.sha256((tmp_path / "model.keras").read_bytes()).hexdigest()
    (tmp_path / "card.json").write_text(json.dumps(card))
    with pytest.raises(BundleError, match=r"must be a Keras 3 \.keras file"):
        load_bundle(tmp_path)


def test_a_card_without_its_fields_is_refused(tmp_path, model):
    with pytest.raises(BundleError, match=r"card must have .* missing: threshold"):
        save_bundle(tmp_path, model, {k: v for k, v in CARD.items() if k != "threshold"})
    with pytest.raises(FileNotFoundError, match=r"card\.json must be in the bundle"):
        load_bundle(tmp_path)


def test_the_clinical_model_is_kept_as_plain_numbers(tmp_path):
    clinical = ClinicalModel(("age_years",), (50.0,), (10.0,), (0.5,), -1.0, 0.3)
    save_bundle(tmp_path, clinical, CARD)
    again, _ = load_clinical(tmp_path)
    assert again == clinical
    with pytest.raises(BundleError, match="bundle must hold a network"):
        load_bundle(tmp_path)


def test_the_networks_of_the_folds_come_back(make_data, make_splits, tiny, tmp_path):
    data = make_data()
    splits = make_splits(data)
    fit = VariantTraining("ecg_covariates", data, splits, tiny).fit(tmp_path)
    save_bundle(tmp_path, fit.model, CARD)
    models = FoldModels(tmp_path)
    test = fit.predictions.query("role == 'test' and fold == 1")
    rows = np.flatnonzero(data.records["record_id"].isin(test["record_id"]))
    risk = np.asarray(models.load(0, 1)(data.inputs(rows), training=False))[:, 0]
    np.testing.assert_allclose(np.sort(risk), np.sort(test["y_score"]), rtol=1e-3, atol=1e-5)
    with pytest.raises(FileNotFoundError, match="fold 7 of repeat 0 must have been trained"):
        models.load(0, 7)
    with pytest.raises(FileNotFoundError, match=r"got no weights in .*/folds/seed5"):
        models.load(0, 1, 5)
    folds = tmp_path / "folds"
    shutil.copytree(folds / "repeat0_fold0", folds / "seed5" / "repeat0_fold1")
    expected = [weights.copy() for weights in models.load(0, 0, models.first_seed).get_weights()]
    for ours, theirs in zip(models.load(0, 1, 5).get_weights(), expected, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    with pytest.raises(BundleError, match="target must be one of sva, got 'lvef_percent'"):
        FoldModels(tmp_path, "lvef_percent")


@pytest.mark.parametrize(("kind", "n_seeds"), [("time_to_event", 1), ("continuous", 2)])
def test_of_several_targets_the_folds_networks_tell_the_chosen_one(
    make_data, make_splits, tiny, tmp_path, kind, n_seeds
):
    data = make_data(16)
    n = len(data.patients)
    days = np.random.default_rng(0).integers(50, 900, n)
    event = data.patients["outcome"]
    number = 30.0 + 10.0 * event
    data = replace(
        data,
        patients=data.patients.assign(duration_days=days, event=event, one=number, two=-number),
    )
    targets = [
        {"name": name, "column": name, "kind": kind, "horizon_days": horizon}
        for name, horizon in (("one", 365), ("two", 1095))
    ]
    splits = make_splits(data)
    settings = replace(tiny, n_epochs=1, n_seeds=n_seeds)
    fit = VariantTraining("ecg", data, splits, settings, targets).fit(tmp_path)
    save_bundle(tmp_path, fit.model, CARD | fit.about | {"targets": targets})
    network = FoldModels(tmp_path, "two").load(0, 1)
    test = fit.predictions.query("role == 'test' and fold == 1 and target == 'two' and seed == 0")
    scored = data.records.set_index("record_id").loc[test["record_id"], "signal_row"].to_numpy()
    told = np.asarray(network([data.signals[scored]], training=False))[:, 0]
    np.testing.assert_allclose(told, test["y_score"], rtol=1e-4)
    if kind == "continuous":
        assert (told < 0).all()


def test_the_background_is_of_training_patients(make_data, make_splits):
    data = make_data()
    splits = make_splits(data)
    covariates = data.covariates.set_index(data.patients["patient_id"])
    covariates["lvef_percent"] = np.arange(len(covariates), dtype=float)
    draw = background(splits, covariates, n=5, rng=np.random.default_rng(0))
    found = draw(0, 1)
    train = splits.query("fold == 1 and role == 'train'")["patient_id"]
    assert found.shape == (5, 3)
    assert set(found[:, 2]) <= set(covariates.loc[train, "lvef_percent"])


def test_trainer_and_saved_model_are_one(make_data, tiny):
    data = make_data()
    trainer = NetworkTrainer(data, tiny)
    rows = np.arange(6)
    logits = trainer.logits(rows)
    risk = np.asarray(trainer.model(data.inputs(rows), training=False))[:, 0]
    np.testing.assert_allclose(risk, 1 / (1 + np.exp(-logits[:, 0])), rtol=1e-4)
