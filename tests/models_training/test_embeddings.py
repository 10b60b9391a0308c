"""Frozen features: the pooled layer's values, once a record, kept with what they were made of."""

import dataclasses

import keras
import numpy as np
import pytest

from models_training import embeddings
from models_training.architectures import build_network
from models_training.embeddings import cached_embedding, embed, patient_means


def trunk_of(model):
    """Return the trunk, not traced: the networks here are tiny."""
    trunk = embeddings.trunk_of(model)
    trunk.run_eagerly = True
    return trunk


@pytest.fixture
def network(make_data, tiny):
    data = make_data(12)
    names = list(data.covariates)
    options = {"n_samples": data.signals.shape[1], "settings": tiny.architecture}
    return data, build_network(covariate_names=names, **options)


def test_features_are_those_of_the_pooled_layer_of_the_whole_network(network):
    data, model = network
    probe = keras.Model(model.inputs, model.get_layer("avg_pool").output)
    rows = np.arange(len(data.records))
    expected = np.asarray(probe(data.inputs(rows), training=False))
    found = embed(trunk_of(model), data, batch_size=5)
    assert found.shape == (len(rows), 8 * 4 * 4)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert found.std(axis=0).max() > 0


def test_the_trunk_of_a_network_without_covariates_is_the_same(network, tiny):
    data, model = network
    alone = build_network(n_samples=data.signals.shape[1], settings=tiny.architecture)
    trunk = trunk_of(alone)
    trunk.set_weights(trunk_of(model).get_weights())
    np.testing.assert_allclose(
        embed(trunk, data, batch_size=30), embed(trunk_of(model), data, batch_size=30), atol=1e-6
    )


def test_they_are_computed_once_and_anew_for_other_weights_or_ecgs(network, tmp_path, monkeypatch):
    data, model = network
    trunk, path, calls = trunk_of(model), tmp_path / "features.npz", []

    def counted(*arguments, **options):
        calls.append(1)
        return embed(*arguments, **options)

    monkeypatch.setattr(embeddings, "embed", counted)
    first = cached_embedding(trunk, data, path)
    np.testing.assert_array_equal(cached_embedding(trunk, data, path), first)
    assert len(calls) == 1
    changed = data.signals.copy()
    changed[-1, 0, 0] += 0.5
    cached_embedding(trunk, dataclasses.replace(data, signals=changed), path)
    assert len(calls) == 2
    trunk.get_layer("conv1_conv").kernel.assign(0 * trunk.get_layer("conv1_conv").kernel)
    assert not np.array_equal(cached_embedding(trunk, data, path), first)
    path.write_bytes(path.read_bytes()[:100])
    cached_embedding(trunk, data, path)
    assert len(calls) == 4


def test_a_patient_has_the_mean_of_the_own_ecgs(make_data):
    data = make_data(7)
    features = np.random.default_rng(0).normal(size=(len(data.records), 3))
    found = patient_means(features, data)
    for number in range(7):
        np.testing.assert_allclose(found[number], features[data.patient_row == number].mean(0))
