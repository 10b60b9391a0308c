"""Self-supervision: the loss by hand, pieces of one ECG find each other, the trunk goes on."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from models_training.pretraining import Pretrainer
from models_training.pretraining_recipe import multi_task_data, recipe
from models_training.self_supervision import SelfSupervised, vicreg

N, N_SAMPLES = 160, 128
TRAIN, UNSEEN = np.arange(120), np.arange(120, N)


@pytest.fixture(scope="module")
def signals():
    """Return a wave of each record's own frequency under a louder one that says nothing of it."""
    rng = np.random.default_rng(0)
    seconds = np.arange(N_SAMPLES) / 100
    own = np.sin(2 * np.pi * rng.uniform(10, 40, (N, 1)) * seconds)[:, :, None]
    loud = np.sin(2 * np.pi * 4 * seconds)[:, None] * rng.normal(size=(N, 4, 1, 12)).repeat(
        N_SAMPLES // 4, axis=1
    ).reshape(N, N_SAMPLES, 12)
    return (own + 0.8 * loud).astype("float32")


@pytest.fixture(scope="module")
def settings():
    return replace(
        recipe("fcn_wang", width=8),
        crop_samples=64,
        batch_size=20,
        learning_rate=0.01,
        precision="float32",
    )


@pytest.fixture(scope="module")
def trained(signals, settings):
    training = SelfSupervised(signals, settings, n_epochs=16)
    return training, training.fit(TRAIN)


def by_hand(one, other):
    """Return equations 1 to 4 of Bardes et al. 2022, with their weights."""
    loss = 25 * np.mean((one - other) ** 2)
    for values in (one, other):
        covariance = np.cov(values.T)
        sd = np.sqrt(np.diag(covariance) + 1e-4)
        loss += 25 * np.mean(np.maximum(0, 1 - sd)) / 2
        loss += np.sum((covariance - np.diag(np.diag(covariance))) ** 2) / values.shape[1]
    return loss


def test_the_loss_is_that_of_the_paper():
    rng = np.random.default_rng(1)
    one, other = rng.normal(size=(2, 30, 5)).astype("float32") * [[[0.3, 1, 2, 0.1, 1]]]
    other[:, 1] += other[:, 2]
    found = float(vicreg(one.astype("float32"), other.astype("float32")))
    assert found == pytest.approx(by_hand(one, other), rel=1e-5)


def test_one_embedding_for_all_is_no_way_out():
    constant = np.ones((30, 5), "float32")
    assert float(vicreg(constant, constant)) == pytest.approx(25 * (1 - 0.01), rel=1e-5)


def nearest_share(training, signals):
    """Return how often the other end of the same unseen ECG is the nearest of all."""
    first, last = (
        np.asarray(training.network(signals[UNSEEN][:, part], training=False))
        for part in (slice(0, 64), slice(-64, None))
    )
    distance = np.linalg.norm(first[:, None] - last[None], axis=2)
    return np.mean(distance.argmin(axis=1) == np.arange(len(UNSEEN)))


def test_pieces_of_one_unseen_ecg_find_each_other(trained, signals, settings):
    training, history = trained
    assert history["loss"].iloc[-1] < 0.9 * history["loss"].iloc[0]
    fresh = SelfSupervised(signals, settings, n_epochs=1)
    assert nearest_share(training, signals) > 2 * nearest_share(fresh, signals)


def test_nothing_is_mixed_and_no_label_is_asked_for(trained):
    training, _ = trained
    assert training.settings.augmentation.mixup_alpha == 0
    pieces, targets = training.batch(TRAIN[:4], np.random.default_rng(0))
    assert pieces.shape == (8, 64, 12)
    assert not targets.any()


def test_the_training_with_labels_begins_with_its_trunk(trained, signals, settings, tmp_path):
    training, _ = trained
    labels = pd.DataFrame({"odd": np.arange(N) % 2.0})
    records = pd.DataFrame({"is_male": np.arange(N) % 3 == 0, "age_years": np.arange(N) * 1.0})
    data = multi_task_data(signals, labels, records, n_classes=1)
    settings = replace(settings, n_epochs=1)
    pretrainer = Pretrainer(data, settings, run_eagerly=True)
    pretrainer.start_from(training.network, mark="16 epochs")
    for layer in pretrainer.network.layers:
        if layer.weights and layer.name not in ("logit", "dropout"):
            theirs = training.network.get_layer(layer.name).get_weights()
            for ours, expected in zip(layer.get_weights(), theirs, strict=True):
                np.testing.assert_array_equal(ours, expected)
    store = tmp_path / "epoch.npz"
    pretrainer.fit(TRAIN, store=store)
    # A training that began with something else is not taken for this one.
    other = Pretrainer(data, settings, run_eagerly=True)
    ran = []
    train_epoch = other._train_epoch
    other._train_epoch = lambda epoch, rows: ran.append(epoch) or train_epoch(epoch, rows)
    other.fit(TRAIN, store=store)
    assert ran == [0]
