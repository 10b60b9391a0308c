"""Averages of weights against loops by hand; batch normalisation after them."""

import re

import keras
import numpy as np
import pytest

from models_training.weight_averaging import WeightAverage, recompute_batch_norm


def walk(n_steps, seed=0):
    rng = np.random.default_rng(seed)
    for _ in range(n_steps):
        yield [rng.normal(size=(3, 2)).astype("float32"), rng.normal(size=5).astype("float32")]


def test_the_moving_average_is_that_of_a_loop_by_hand():
    found, expected = WeightAverage("ema"), None
    for step, weights in enumerate(walk(300)):
        found.update(weights)
        decay = min(0.999, (1 + step) / (10 + step))
        expected = (
            [array.astype("float64") for array in weights]
            if expected is None
            else [decay * a + (1 - decay) * w for a, w in zip(expected, weights, strict=True)]
        )
    for a, b in zip(found.weights, expected, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)


def test_the_stochastic_average_is_the_plain_mean():
    found = WeightAverage("swa")
    for weights in walk(7):
        found.update(weights)
    for number, average in enumerate(found.weights):
        expected = np.mean([weights[number] for weights in walk(7)], axis=0)
        np.testing.assert_allclose(average, expected, atol=1e-6)


@pytest.mark.parametrize("kind", ["ema", "swa"])
def test_a_stopped_average_goes_on_to_the_same_digits_and_shares_no_memory(kind):
    whole, stopped = WeightAverage(kind), WeightAverage(kind)
    for step, weights in enumerate(walk(9)):
        if step == 4:
            state = stopped.state()
            stopped = WeightAverage(kind, [array.copy() for array in state])
        for average in (whole, stopped):
            average.update(weights)
    for a, b in zip(whole.weights, stopped.weights, strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_counter_among_the_weights_is_taken_over_not_averaged():
    found = WeightAverage("swa")
    for count in (1, 2, 9):
        found.update([np.array([count], "uint32")])
    assert found.weights[0].tolist() == [9]


def test_batch_normalisation_gets_the_moments_of_all_rows():
    keras.utils.set_random_seed(0)
    inputs = keras.Input((4,), name="ecg")
    first = keras.layers.BatchNormalization(name="first")(inputs)
    hidden = keras.layers.Dense(3, name="dense")(first)
    frozen = keras.layers.BatchNormalization(name="frozen", trainable=False)
    network = keras.Model([inputs], frozen(keras.layers.BatchNormalization(name="second")(hidden)))
    rows = np.random.default_rng(0).normal(3, [1, 2, 3, 4], (50, 4)).astype("float32")
    batches = [{"ecg": rows[:40]}, {"ecg": rows[40:]}]  # of unequal size
    recompute_batch_norm(network, batches)
    layer = network.get_layer("first")
    np.testing.assert_allclose(layer.moving_mean, rows.mean(axis=0), rtol=1e-4)
    np.testing.assert_allclose(layer.moving_variance, rows.var(axis=0), rtol=1e-4)
    assert layer.momentum == 0.99
    # the second sees batches that the first has centred by their own moments
    dense = network.get_layer("dense")
    centred = [
        (part["ecg"] - part["ecg"].mean(axis=0)) / np.sqrt(part["ecg"].var(axis=0) + 1e-3)
        for part in batches
    ]
    seen = np.concatenate([np.asarray(dense(part)) for part in centred])
    second = network.get_layer("second")
    np.testing.assert_allclose(second.moving_variance, seen.var(axis=0), rtol=1e-3)
    np.testing.assert_array_equal(frozen.moving_mean, np.zeros(3))


def test_an_unknown_average_is_refused():
    message = "weight_averaging must be one of none, ema, swa, got 'mean'. none is off."
    with pytest.raises(ValueError, match=re.escape(message)):
        WeightAverage("mean")
