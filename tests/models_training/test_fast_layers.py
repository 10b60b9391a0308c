"""Our faster layers give what Keras' own give, gradients too."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from models_training import fast_layers as layers


def outputs_and_gradients(layer, x, upstream):
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = layer(x, training=True)
    found = tape.gradient(y, [x, *layer.trainable_variables], upstream)
    return [y.numpy(), *(gradient.numpy() for gradient in found)]


@pytest.mark.parametrize("shape", [(5, 9, 3), (6, 3)])
def test_batch_normalisation_is_keras_own(shape):
    rng = np.random.default_rng(0)
    x = tf.constant(rng.normal(2.0, 3.0, shape), "float32")
    upstream = tf.constant(rng.normal(size=shape), "float32")
    pair = [layers.BatchNormalization(momentum=0.9), keras.layers.BatchNormalization(momentum=0.9)]
    start = [rng.normal(size=3), rng.normal(size=3), rng.normal(size=3), rng.uniform(1, 2, 3)]
    for layer in pair:
        layer.build(shape)
        layer.set_weights([value.astype("float32") for value in start])
    ours, theirs = (outputs_and_gradients(layer, x, upstream) for layer in pair)
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)
    for a, b in zip(*(layer.get_weights() for layer in pair), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5)
    assert not np.allclose(pair[0].get_weights()[2], start[2])  # the moving mean has moved


def test_frozen_statistics_stay_and_normalise():
    layer = layers.BatchNormalization()
    layer.build((None, 4, 2))
    layer.is_frozen = True
    x = tf.constant(np.random.default_rng(0).normal(5.0, size=(3, 4, 2)), "float32")
    np.testing.assert_allclose(layer(x, training=True), layer(x, training=False))
    np.testing.assert_array_equal(layer.get_weights()[2], [0, 0])


def test_a_wide_convolution_is_trained_as_keras_own(monkeypatch):
    monkeypatch.setattr(layers, "_WIDE", 4)
    rng = np.random.default_rng(0)
    x = tf.constant(rng.normal(size=(2, 11, 4)), "float32")
    upstream = tf.constant(rng.normal(size=(2, 11, 5)), "float32")
    options = {"padding": "same", "use_bias": False}
    pair = [layers.Conv1D(5, 3, **options), keras.layers.Conv1D(5, 3, **options)]
    kernel = rng.normal(size=(3, 4, 5)).astype("float32")
    for layer in pair:
        layer.build((None, 11, 4))
        layer.set_weights([kernel])
    called = []
    matmul = layers.ops.matmul
    monkeypatch.setattr(layers.ops, "matmul", lambda *args: called.append(1) or matmul(*args))
    ours = outputs_and_gradients(pair[0], x, upstream)
    assert called  # the other way was taken
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = pair[1](x)
    theirs = [y, *tape.gradient(y, [x, pair[1].kernel.value], upstream)]
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)
