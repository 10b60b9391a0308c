"""Time resolution of maps, against what the network really sees."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from explainability.resolution import map_resolution, resize_map, step_centres
from models_training.architectures import build_network as build_named
from models_training.settings import ArchitectureSettings


@pytest.mark.parametrize(
    "layer", ["conv1_relu", "pool1_pool", "conv2_block3_out", "conv5_block3_out"]
)
def test_receptive_field_is_what_a_gradient_reaches(build_network, layer):
    """The samples whose gradient is not zero, for a value in the middle of a smooth network."""
    import tensorflow as tf

    model = build_network()
    for relu in ("conv1_relu", "conv2_block3_out", "conv5_block3_out"):
        model.get_layer(relu).negative_slope = 0.5  # no dead units
    inner = keras.Model(model.inputs, model.get_layer(layer).output)
    # of 40 records, since max pooling hides some samples each time
    ecg = tf.constant(np.random.default_rng(0).normal(size=(40, 64, 12)), tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(ecg)
        value = tf.reduce_sum(inner(ecg)[:, inner.output_shape[1] // 2])
    reached = np.abs(tape.gradient(value, ecg).numpy()).sum(axis=(0, 2)) > 0
    found = map_resolution(model, layer, rate_hz=100)
    assert found.receptive_field_seconds == pytest.approx(
        np.ptp(np.flatnonzero(reached)) / 100 + 0.01
    )
    assert found.n_steps == inner.output_shape[1]
    assert found.seconds_per_value == pytest.approx(0.64 / found.n_steps)
    assert not found.has_lead_axis


def test_a_layer_that_sees_everything_has_no_field():
    ecg = keras.Input((64, 12), name="ecg")
    x = keras.layers.Conv1D(4, 3, name="conv")(ecg)
    gate = keras.layers.GlobalAveragePooling1D(keepdims=True)(x)
    x = keras.layers.Multiply(name="gated")([x, gate])
    found = map_resolution(keras.Model(ecg, x), "gated", rate_hz=100)
    assert found.receptive_field_seconds is None
    assert str(found) == (
        "62 values, one every 0.01 s; each sees an unknown stretch of ECG; "
        "no lead axis (a Grad-CAM map says when, not in which lead)"
    )


@pytest.mark.parametrize("name", ["resnet50", "xresnet1d"])
def test_centres_are_where_the_gradient_of_a_value_lies(name):
    """Of an averaging network on a nearly constant ECG: strides that take the first move it."""
    import tensorflow as tf

    settings = ArchitectureSettings(name=name, width=2, stage_blocks=(1, 1, 1, 1))
    model = build_named(n_samples=1000, settings=settings)
    for weight in model.weights:
        if "kernel" in weight.path:
            weight.assign(np.full(weight.shape, 1 / np.prod(weight.shape[:-1])))
        elif "gamma" in weight.path:
            weight.assign(np.ones(weight.shape))
    ecg = tf.constant(2 + np.random.default_rng(0).normal(0, 0.01, (8, 1000, 12)), tf.float32)
    for layer in ("conv3_block1_out", "conv5_block1_out"):
        inner = keras.Model(model.inputs, model.get_layer(layer).output)
        middle = inner.output_shape[1] // 2
        with tf.GradientTape() as tape:
            tape.watch(ecg)
            value = tf.reduce_sum(inner(ecg)[:, middle])
        mass = np.abs(tape.gradient(value, ecg).numpy()).sum(axis=(0, 2))
        centre = np.average(np.arange(1000), weights=mass)
        assert step_centres(model, layer)[middle] == pytest.approx(centre, abs=2.0)


def test_resized_maps_follow_the_centres():
    maps = np.eye(3)[1:2]
    resized = resize_map(maps, 9, np.array([0.0, 3.0, 6.0]))[0]
    np.testing.assert_allclose(resized, [0, 1 / 3, 2 / 3, 1, 2 / 3, 1 / 3, 0, 0, 0], atol=1e-6)


def test_resized_maps_keep_place_and_mass():
    maps = np.zeros((1, 8))
    maps[0, 5] = 1
    resized = resize_map(maps, 64)[0]
    assert resized.shape == (64,)
    assert np.average(np.arange(64), weights=resized) == pytest.approx(5.5 * 8 - 0.5)
    assert resized.mean() == pytest.approx(maps.mean())
    np.testing.assert_array_equal(resize_map(np.full((2, 5), 3.0), 12), np.full((2, 12), 3.0))
    np.testing.assert_array_equal(resize_map(np.array([[2.0]]), 3), [[2, 2, 2]])
    np.testing.assert_array_equal(resize_map(maps, 8), maps)


BAD = {
    "dimensions": (
        lambda: resize_map(np.zeros(4), 8),
        "maps must be of shape (n_records, n_steps), got (4,). Pass what grad_cam returned.",
    ),
    "shortening": (
        lambda: resize_map(np.zeros((1, 9)), 8),
        "n_samples must be at least the map's 9 steps, got 8. "
        "Pass the number of samples of the ECG.",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_resize_refuses(case):
    call, message = BAD[case]
    with pytest.raises(ValueError, match=r".") as refusal:
        call()
    assert str(refusal.value) == message


def test_resolution_refuses(build_network):
    with pytest.raises(ValueError, match=r"^rate_hz must be positive, got 0. Read it from"):
        map_resolution(build_network(), "conv1_relu", rate_hz=0)
    with pytest.raises(
        ValueError, match=r"^layer_name must have outputs of shape \(steps, channels"
    ):
        map_resolution(build_network(), "avg_pool", rate_hz=100)
