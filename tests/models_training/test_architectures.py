"""The network: shape, names, scaling inside, the same after reloading."""

import keras
import numpy as np
import pytest

from models_training.architectures import build_network
from models_training.layers import TrainingScale
from models_training.settings import ArchitectureSettings, parse_stage_blocks

TINY = ArchitectureSettings(width=4, stage_blocks=(1, 1, 1, 1))


def test_resnet50_has_the_weights_of_a_1d_resnet50_and_keras_layer_names():
    model = build_network(n_samples=1000)
    assert model.count_params() == 16_014_361
    outs = [layer.name for layer in model.layers if layer.name.endswith("_out")]
    expected = [
        f"conv{stage}_block{block}_out"
        for stage, n_blocks in zip((2, 3, 4, 5), (3, 4, 6, 3), strict=True)
        for block in range(1, n_blocks + 1)
    ]
    assert outs == expected
    steps = [model.get_layer(f"conv{k}_block{n}_out").output.shape[1] for k, n in
             ((2, 3), (3, 4), (4, 6), (5, 3))]  # fmt: skip
    assert steps == [250, 125, 63, 32]


def test_the_graph_is_flat():
    model = build_network(n_samples=128, settings=TINY)
    assert not [layer for layer in model.layers if isinstance(layer, keras.Model)]


@pytest.mark.parametrize("names", [(), ("age_years", "lvef_percent")])
@pytest.mark.parametrize("precision", ["float32", "mixed_bfloat16"])
def test_saved_and_reloaded_it_gives_the_same_risk(tmp_path, names, precision):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(precision)
    model = build_network(n_samples=128, covariate_names=names, settings=TINY)
    keras.config.set_dtype_policy(before)
    rng = np.random.default_rng(0)
    inputs = {"ecg": rng.normal(size=(3, 128, 12)).astype("float32")}
    if names:
        inputs["covariates"] = np.array([[50, 30], [np.nan, 20], [70, np.nan]], "float32")
    risk = np.asarray(model(inputs, training=False))
    assert risk.shape == (3, 1)
    assert risk.dtype == np.float32
    assert ((risk > 0) & (risk < 1)).all()
    model.save(tmp_path / "m.keras")
    again = keras.models.load_model(tmp_path / "m.keras", safe_mode=True)
    np.testing.assert_array_equal(np.asarray(again(inputs, training=False)), risk)
    assert [layer.name for layer in again.layers] == [layer.name for layer in model.layers]


def test_a_missing_covariate_counts_as_the_training_mean():
    model = build_network(n_samples=128, covariate_names=("a", "b"), settings=TINY)
    model.get_layer("covariate_scaling").set_statistics([50.0, 30.0], [10.0, 5.0])
    ecg = np.random.default_rng(0).normal(size=(1, 128, 12)).astype("float32")
    missing = model({"ecg": ecg, "covariates": np.array([[np.nan, 20.0]], "float32")})
    at_mean = model({"ecg": ecg, "covariates": np.array([[50.0, 20.0]], "float32")})
    np.testing.assert_allclose(np.asarray(missing), np.asarray(at_mean), rtol=1e-6)


def test_missing_covariates_leave_finite_gradients():
    import tensorflow as tf

    model = build_network(n_samples=128, covariate_names=("a",), settings=TINY)
    inputs = {"ecg": tf.random.normal((4, 128, 12)), "covariates": tf.fill((4, 1), np.nan)}
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(model(inputs, training=True))
    gradients = tape.gradient(loss, model.trainable_variables)
    assert all(bool(tf.reduce_all(tf.math.is_finite(g))) for g in gradients)


def test_a_constant_column_is_left_unscaled():
    layer = TrainingScale()
    layer.build((None, 2))
    layer.set_statistics(np.float32([1, 2]), np.float32([0, 4]))
    np.testing.assert_allclose(np.asarray(layer(np.float32([[3, 10]]))), [[2, 2]])


def test_the_seed_decides_the_weights():
    weights = [
        build_network(n_samples=128, settings=TINY, seed=seed).get_weights() for seed in (1, 1, 2)
    ]
    assert all(np.array_equal(a, b) for a, b in zip(weights[0], weights[1], strict=True))
    assert any(not np.array_equal(a, b) for a, b in zip(weights[0], weights[2], strict=True))


@pytest.mark.parametrize("text", ["3-4-6", "3-4-6-0", "a-b-c-d", "", "3-4-6-3-1"])
def test_wrong_stage_blocks_are_refused(text):
    with pytest.raises(ValueError, match="must be four positive numbers joined by -"):
        parse_stage_blocks(text)


def test_an_ecg_that_is_too_short_is_refused():
    with pytest.raises(ValueError, match="n_samples must be at least 32, got 20"):
        build_network(n_samples=20, settings=TINY)
