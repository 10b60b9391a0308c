"""Ensembles of networks as one graph, after saving too."""

import keras
import numpy as np
import pytest
from scipy.special import expit, logit

from models_training.architectures import build_network
from models_training.bundle import load_bundle, save_bundle
from models_training.columns_head import ColumnsHead
from models_training.ensemble import ensemble_network, first_member

CARD = dict.fromkeys(("signal_chain", "target", "horizon_days", "threshold"), 1)


@pytest.fixture
def networks(tiny):
    options = {"n_samples": 64, "covariate_names": ["age"], "settings": tiny.architecture}
    return [build_network(**options, seed=seed) for seed in range(3)]


def inputs(n=5):
    rng = np.random.default_rng(0)
    ecg = rng.normal(size=(n, 64, 12)).astype("float32")
    return {"ecg": ecg, "covariates": rng.normal(size=(n, 1)).astype("float32")}


def risks(network):
    return np.asarray(network(inputs(), training=False), "float64")


def test_the_ensemble_gives_the_mean_logit_saved_and_loaded_too(networks, tmp_path):
    single = [risks(network) for network in networks]
    members = [network.get_weights() for network in networks]
    whole = ensemble_network(networks[0], members)
    expected = expit(np.mean([logit(part) for part in single], axis=0))
    np.testing.assert_allclose(risks(whole), expected, rtol=1e-5)
    save_bundle(tmp_path, whole, CARD | {"covariate_names": ["age"]})
    loaded, _ = load_bundle(tmp_path)
    np.testing.assert_allclose(risks(loaded), expected, rtol=1e-5)
    names = {layer.name for layer in loaded.layers}
    assert {"logit", "risk", "seed0_logit", "conv5_block1_out", "seed2_conv5_block1_out"} <= names
    assert not any(isinstance(layer, keras.Model) for layer in loaded.layers)
    alone = first_member(loaded)
    np.testing.assert_allclose(risks(alone), single[0], rtol=1e-5)
    assert [layer.name for layer in alone.layers] == [layer.name for layer in networks[0].layers]
    alone.set_weights(members[1])  # as the networks of the folds are put in
    np.testing.assert_allclose(risks(alone), single[1], rtol=1e-5)


def test_one_member_is_the_network_itself(networks):
    weights = networks[1].get_weights()
    assert ensemble_network(networks[0], [weights]) is networks[0]
    np.testing.assert_array_equal(risks(networks[0]), risks(networks[1]))
    assert first_member(networks[0]) is networks[0]


def test_an_ensemble_of_a_number_gives_the_mean_value(tiny):
    head = ColumnsHead(["continuous"])
    options = {"n_samples": 64, "settings": tiny.architecture, "head": head}
    networks = [build_network(**options, seed=seed) for seed in range(2)]
    for network in networks:
        network.get_layer("risk").set_statistics([30.0], [8.0])
    ecg = inputs()["ecg"]
    single = [np.asarray(network([ecg], training=False)) for network in networks]
    assert np.ptp(single) > 0.1
    whole = ensemble_network(networks[0], [network.get_weights() for network in networks])
    found = np.asarray(whole([ecg], training=False))
    np.testing.assert_allclose(found, np.mean(single, axis=0), rtol=1e-5)
