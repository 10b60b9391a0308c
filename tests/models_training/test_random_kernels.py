"""Random kernels: the layer against plain loops, its dilations, and what `fit` may read."""

from itertools import combinations

import numpy as np
import pytest

from models_training.random_kernels import RandomKernels, dilations_of

N_SAMPLES, N_LEADS, N_FEATURES = 50, 3, 5 * 84


def fitted(ecgs, seed=0):
    layer = RandomKernels(N_FEATURES)
    layer.build((None, *ecgs.shape[1:]))
    layer.fit(lambda rows: ecgs[rows], len(ecgs), seed=seed)
    return layer


@pytest.fixture
def ecgs():
    return np.random.default_rng(0).normal(size=(6, N_SAMPLES, N_LEADS)).astype("float32")


def test_the_features_are_those_of_plain_loops(ecgs):
    layer = fitted(ecgs)
    lead_sets, biases = (np.asarray(weight) for weight in (layer.lead_sets, layer.biases))
    ecg, place = ecgs[4].astype(float), 0
    found = {}
    for index, (dilation, n_biases) in enumerate(zip(layer.dilations, layer.n_biases, strict=True)):
        margin = 4 * dilation
        padded = np.pad(ecg, ((margin, margin), (0, 0)))
        for kernel, raised in enumerate(combinations(range(9), 3)):
            weight = np.where(np.isin(np.arange(9), raised), 2.0, -1.0)
            summed = padded @ lead_sets[index, :, kernel]
            out = np.array(
                [weight @ summed[t : t + 8 * dilation + 1 : dilation] for t in range(N_SAMPLES)]
            )
            if (index + kernel) % 2:
                out = out[margin:-margin]
            for bias in range(place, place + n_biases):
                found[bias, kernel] = np.mean(out > biases[bias, kernel])
        place += n_biases
    features, position = np.asarray(layer(ecgs[4:5]))[0], 0
    place = 0
    for n_biases in layer.n_biases:
        for parity in (0, 1):
            for bias in range(place, place + n_biases):
                expected = [found[bias, kernel] for kernel in range(parity, 84, 2)]
                np.testing.assert_allclose(features[position : position + 42], expected, atol=1e-6)
                position += 42
        place += n_biases
    assert position == N_FEATURES


def test_dilations_reach_over_the_whole_ecg_and_share_out_all_biases():
    assert dilations_of(41, 6) == ([1, 2, 3, 5], [3, 1, 1, 1])
    for n_samples in (9, 250, 1000, 5000):
        dilations, n_biases = dilations_of(n_samples, 119)
        assert dilations[0] == 1
        assert dilations[-1] == (n_samples - 1) // 8
        assert sum(n_biases) == 119
        assert min(n_biases) >= 1


def test_biases_lie_within_the_outputs_on_training_ecgs_and_spread(ecgs):
    layer = fitted(ecgs)
    shares = np.asarray(layer(ecgs))
    assert 0 <= shares.min() < 0.1
    assert 0.9 < shares.max() <= 1
    assert abs(shares.mean() - 0.5) < 0.05
    lead_sets = np.asarray(layer.lead_sets)
    assert set(np.unique(lead_sets)) == {0, 1}
    assert (lead_sets.sum(axis=1) >= 1).all()
    assert (lead_sets.sum(axis=1).max(), lead_sets.shape[1]) == (3, 3)


def test_fit_is_a_function_of_rows_and_seed_and_reads_a_few_at_a_time(ecgs):
    first, again, other = fitted(ecgs, seed=1), fitted(ecgs, seed=1), fitted(ecgs, seed=2)
    for a, b in zip(first.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert not np.array_equal(first.get_weights()[0], other.get_weights()[0])
    asked = []
    first.fit(lambda rows: asked.append(rows) or ecgs[rows], 4, seed=1)
    assert max(len(rows) for rows in asked) <= 28
    assert {int(row) for rows in asked for row in rows} == {0, 1, 2, 3}


def test_nothing_is_trainable_even_when_asked():
    layer = fitted(np.zeros((1, N_SAMPLES, N_LEADS), "float32"))
    layer.trainable = True
    assert layer.trainable_weights == []
    assert not np.asarray(layer(np.zeros((1, N_SAMPLES, N_LEADS), "float32"))).any()


@pytest.mark.parametrize(
    ("n_features", "n_samples", "message"),
    [
        (83, 100, "n_random_features must be at least 84, got 83"),
        (84, 8, "n_samples must be at least 9 for random_kernels, got 8"),
    ],
)
def test_too_little_is_refused(n_features, n_samples, message):
    with pytest.raises(ValueError, match=message):
        RandomKernels(n_features).build((None, n_samples, 12))
