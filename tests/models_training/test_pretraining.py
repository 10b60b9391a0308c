"""Pre-training: planted labels are learnt, a stopped training goes on, storage keeps the scores."""

import json
from dataclasses import replace

import keras
import numpy as np
import pandas as pd
import pytest

from models_training.embeddings import trunk_of
from models_training.encoder_storage import encoder_card, write_encoder
from models_training.pretrained import PretrainedError, load_pretrained, transfer
from models_training.pretraining import Pretrainer, columns_loss, stored_probabilities
from models_training.pretraining_recipe import multi_task_data, recipe
from models_training.registry import register
from models_training.settings import FAMILIES, ArchitectureSettings

N, N_SAMPLES = 48, 128


@pytest.fixture(scope="module")
def data():
    """Return noise with a planted wave for the label `class_A`, which is unknown in two records."""
    rng = np.random.default_rng(0)
    is_a = np.arange(N) % 2 == 0
    signals = rng.normal(size=(N, N_SAMPLES, 12)).astype("float32")
    wave = 2 * np.sin(np.arange(N_SAMPLES) / 3)
    signals[is_a] += wave[:, None].astype("float32")
    labels = pd.DataFrame({"class_A": is_a.astype(float), "rare": (np.arange(N) < 3).astype(float)})
    labels.loc[[10, 11], "class_A"] = np.nan
    records = pd.DataFrame({"is_male": is_a, "age_years": rng.normal(60, 10, N)})
    records.loc[5, "age_years"] = np.nan
    return multi_task_data(signals, labels, records, n_classes=1)


def tiny(**changes):
    """Return the recipe for a network that builds in a second."""
    settings = recipe("fcn_wang", width=4, n_epochs=4)
    return replace(
        settings, crop_samples=64, batch_size=16, learning_rate=0.01, precision="float32", **changes
    )


@pytest.fixture(scope="module")
def trained(data):
    trainer = Pretrainer(data, tiny(n_epochs=12), run_eagerly=True)
    history = trainer.fit(np.arange(32))
    return trainer, history


def test_a_planted_label_is_learnt_on_records_not_trained_on(trained, data):
    trainer, history = trained
    assert history["loss"].iloc[-1] < history["loss"].iloc[0]
    risk = trainer.predict(np.arange(32, N))
    assert risk.shape == (N - 32, 3)
    is_a = data.labels["class_A"].to_numpy()[32:] == 1
    assert risk[is_a, 0].min() > risk[~is_a, 0].max()


def test_a_stopped_training_ends_as_if_it_had_not_been_stopped(data, tmp_path, monkeypatch):
    rows = np.arange(32)
    whole = Pretrainer(data, tiny(), run_eagerly=True)
    whole.fit(rows)
    stopped = Pretrainer(data, tiny(), run_eagerly=True)
    train_epoch, done = stopped._train_epoch, []

    def stops_in_the_third(epoch, *rest):
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append(epoch)
        return train_epoch(epoch, *rest)

    monkeypatch.setattr(stopped, "_train_epoch", stops_in_the_third)
    with pytest.raises(KeyboardInterrupt):
        stopped.fit(rows, store=tmp_path / "epoch.npz")
    again = Pretrainer(data, tiny(), run_eagerly=True)
    history = again.fit(rows, store=tmp_path / "epoch.npz")
    assert history["epoch"].tolist() == [1, 2, 3, 4]
    np.testing.assert_allclose(again.predict(rows), whole.predict(rows), atol=1e-5)


@pytest.mark.parametrize("what", ["seed", "rows"])
def test_another_training_is_not_gone_on_with(data, tmp_path, what):
    store, rows = tmp_path / "epoch.npz", np.arange(32)
    Pretrainer(data, tiny(n_epochs=1), run_eagerly=True).fit(rows, store=store)
    settings = tiny(n_epochs=1, seed=1) if what == "seed" else tiny(n_epochs=1)
    trainer = Pretrainer(data, settings, run_eagerly=True)
    seen = []
    trainer._train_epoch = lambda epoch, *_: (
        seen.append(epoch)
        or trainer.average.update([np.asarray(variable) for variable in trainer.network.variables])
    )
    trainer.fit(rows if what == "seed" else np.arange(31), store=store)
    assert seen == [0]


def test_the_loss_is_the_weighted_sum_and_unknown_targets_cost_nothing():
    loss = columns_loss(2, np.array([1.0, 0.5, 0.2], "float32"))
    y_true = np.array([[1.0, np.nan, 2.0], [0.0, 1.0, np.nan], [np.nan] * 3], "float32")
    output = np.array([[0.0, 9.0, 1.0], [0.0, 0.0, 7.0], [1.0, 1.0, 1.0]], "float32")
    expected = [np.log(2) + 0.2 * 1.0, np.log(2) + 0.5 * np.log(2), 0.0]
    np.testing.assert_allclose(np.asarray(loss(y_true, output)), expected, rtol=1e-6)
    far = np.array([[0.0, 0.0, 100.0]], "float32")
    found = np.asarray(loss(np.array([[np.nan, np.nan, 0.0]], "float32"), far))
    np.testing.assert_allclose(found, [0.2 * 9])


def stored(trainer, folder):
    card = encoder_card(
        trainer.settings,
        targets=trainer.data.target_names,
        trained_on={"cohorts": ["ptbxl"], "file_sha256": ["ab"]},
    )
    card |= {"signal_chain": {}, "leads": ["I"], "licence": "CC BY 4.0", "metrics": {}}
    write_encoder(folder, trainer.network, card)
    return card


def test_an_encoder_is_stored_at_half_size_and_scores_as_before(trained, data, tmp_path):
    trainer, _ = trained
    before = trainer.predict(np.arange(N))
    stored(trainer, tmp_path / "tiny")
    register(tmp_path / "tiny")
    encoder = load_pretrained("tiny", folder=tmp_path)
    fresh = Pretrainer(data, tiny(seed=7), run_eagerly=True)
    transfer(encoder, fresh.network)
    np.testing.assert_allclose(fresh.predict(np.arange(N)), before, atol=2e-3)
    alone = stored_probabilities(encoder, data.signals)
    assert list(alone) == ["class_A", "rare", "is_male"]
    np.testing.assert_allclose(alone, before, atol=2e-3)
    assert encoder.card["targets"] == ["class_A", "rare", "is_male", "age_years"]
    assert encoder.card["architecture"]["normalisation"] == "record"
    with np.load(tmp_path / "tiny" / "weights.npz") as arrays:
        assert {arrays[name].dtype for name in arrays.files} == {np.dtype("float16")}
    registry = json.loads((tmp_path / "registry.json").read_text())
    assert registry["models"]["tiny"]["corpora"] == ["ptbxl"]


def test_a_registered_encoder_that_was_changed_is_refused(trained, tmp_path):
    stored(trained[0], tmp_path / "tiny")
    register(tmp_path / "tiny")
    path = tmp_path / "tiny" / "weights.npz"
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(PretrainedError, match=r"weights.npz of tiny must have the checksum"):
        load_pretrained("tiny", folder=tmp_path)


def test_the_trunk_of_a_network_takes_the_encoders_weights(trained, tmp_path):
    from models_training.architectures import build_network

    trainer, _ = trained
    stored(trainer, tmp_path / "tiny")
    (tmp_path / "registry.json").write_text('{"models": {}}')
    encoder = load_pretrained(tmp_path / "tiny", folder=tmp_path)
    settings = ArchitectureSettings("fcn_wang", width=4, normalisation="record")
    trunk = trunk_of(build_network(n_samples=N_SAMPLES, settings=settings, seed=3))
    transfer(encoder, trunk)
    pooled = keras.Model(trainer.network.input, trainer.network.get_layer("avg_pool").output)
    ecg = np.asarray(trainer.data.signals[:4])
    scaled = (ecg - ecg.mean(axis=1, keepdims=True)) / ecg.std(axis=1, keepdims=True)
    found = trunk(5 * ecg, training=False)  # amplitude and offset are scaled away
    expected = pooled(scaled, training=False)
    np.testing.assert_allclose(np.asarray(found), np.asarray(expected), atol=5e-3)


@pytest.mark.parametrize("name", [name for name in FAMILIES if name != "random_kernels"])
def test_every_architecture_becomes_an_encoder_that_networks_begin_with(data, tmp_path, name):
    from models_training.architectures import build_network

    n_stages = len(FAMILIES[name].get("stage_blocks", ()))
    tiny_one = ArchitectureSettings(
        name, width=4, stage_blocks=(1,) * n_stages, normalisation="record"
    )
    trainer = Pretrainer(data, tiny(architecture=tiny_one), run_eagerly=True)
    stored(trainer, tmp_path / "tiny")
    encoder = load_pretrained(tmp_path / "tiny", folder=tmp_path)
    trunk = trunk_of(build_network(n_samples=1000, settings=tiny_one, seed=3))
    transfer(encoder, trunk)
    ecg = np.random.default_rng(0).normal(size=(2, 1000, 12)).astype("float32")
    scaled = (ecg - ecg.mean(axis=1, keepdims=True)) / ecg.std(axis=1, keepdims=True)
    below_logit = trainer.network.get_layer("dropout").input
    pooled = keras.Model(trainer.network.input, below_logit)(scaled, training=False)
    found = np.asarray(trunk(ecg, training=False))
    np.testing.assert_allclose(found, np.asarray(pooled), rtol=5e-3, atol=5e-3)
    if name == "wide_resnet":  # shortens by what the length asks for
        shorter = trunk_of(build_network(n_samples=250, settings=tiny_one))
        with pytest.raises(PretrainedError, match="must shorten the ECG by 4 as in the encoder"):
            transfer(encoder, shorter)


def test_a_card_must_be_complete_and_weights_must_fit_16_bits(trained, tmp_path):
    trainer, _ = trained
    with pytest.raises(ValueError, match=r"card must have .*, missing: architecture"):
        write_encoder(tmp_path, trainer.network, {"leads": []})
    layer = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, name="large")])
    layer.layers[0].set_weights([np.array([[1e6]]), np.zeros(1)])
    names = ("architecture", "signal_chain", "leads", "targets", "trained_on", "licence")
    with pytest.raises(ValueError, match="weights of large must be finite and below 65504"):
        write_encoder(tmp_path, layer, dict.fromkeys(names, ""))
