"""Sanity checks: they let random maps pass as random, and find what was planted."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import kstest, spearmanr

from explainability.attribution import integrated_gradients
from explainability.sanity_checks import (
    follows_sign,
    shifted_window_null,
    window_mass,
)
from explainability.weight_randomisation import map_similarity, randomise_weights, weighted_layers


def periodic_masks(n_records, n_samples=200, period=50, width=8, seed=0):
    phase = np.random.default_rng(seed).integers(0, period, n_records)
    return (np.arange(n_samples)[None, :] - phase[:, None]) % period < width


def smooth(rng, shape):
    noise = rng.random(shape) ** 3
    return sum(np.roll(noise, shift, axis=1) for shift in range(10))


def test_window_mass_by_hand():
    maps = np.array([[1.0, -3.0, 0.0, 4.0], [0, 0, 0, 0]])
    masks = np.array([[True, True, False, False]] * 2)
    np.testing.assert_allclose(window_mass(maps, masks), [0.5, np.nan])
    leads = np.stack([maps, 2 * maps], axis=2)
    np.testing.assert_allclose(window_mass(leads, masks), [0.5, np.nan])
    one_lead = np.stack([masks, np.zeros_like(masks)], axis=2)
    np.testing.assert_allclose(window_mass(leads, one_lead), [0.5 / 3, np.nan])
    np.testing.assert_allclose(window_mass(7 * maps, masks), window_mass(maps, masks))


def test_all_shifts_agree_with_shifting_by_hand():
    rng = np.random.default_rng(0)
    maps, masks = rng.random((1, 40, 3)), rng.random((1, 40)) < 0.2
    by_hand = [window_mass(maps, np.roll(masks, k, axis=1))[0] for k in range(40)]
    found = shifted_window_null(maps, masks, n_shifts=4000)
    assert found.share == pytest.approx(by_hand[0])
    assert found.null_mean == pytest.approx(np.mean(by_hand))
    as_large = np.mean(np.array(by_hand) >= by_hand[0])
    assert found.p_value == pytest.approx(as_large, abs=0.03)


def test_p_values_of_random_maps_are_uniform():
    p_values = []
    for seed in range(200):
        rng = np.random.default_rng(seed)
        # The same map for both records of a patient: the unit must be the patient.
        maps = np.repeat(smooth(rng, (6, 200)), 2, axis=0)
        masks = np.repeat(periodic_masks(6, seed=seed), 2, axis=0)
        patients = np.repeat(np.arange(6), 2)
        found = shifted_window_null(maps, masks, patient_ids=patients, n_shifts=199, seed=seed)
        p_values.append(found.p_value)
    assert kstest(p_values, "uniform").pvalue > 0.01
    assert np.mean(np.array(p_values) <= 0.05) < 0.1


def test_a_planted_preference_is_found_and_repeats_exactly():
    rng = np.random.default_rng(0)
    masks = periodic_masks(10)
    maps = rng.random((10, 200)) + 1.0 * masks
    patients = np.repeat(np.arange(5), 2)
    found = shifted_window_null(maps, masks, patient_ids=patients, seed=4)
    assert found.p_value == 0.001
    assert found.enrichment > 1.5
    assert found.share > found.null_high
    assert (found.n_records, found.n_patients, found.n_left_out) == (10, 5, 0)
    assert found == shifted_window_null(maps, masks, patient_ids=patients, seed=4)


def test_empty_maps_and_windows_are_left_out_and_counted():
    masks = periodic_masks(5)
    maps = np.ones((5, 200))
    maps[0], masks[1] = 0, False
    found = shifted_window_null(maps, masks)
    assert (found.n_records, found.n_left_out) == (3, 2)
    assert found.p_value == 1  # every shift of a uniform map gives the same share
    assert found.enrichment == pytest.approx(1)


def test_similarity_is_spearmans():
    rng = np.random.default_rng(0)
    maps, others = rng.normal(size=(3, 30)), rng.normal(size=(3, 30))
    expected = [spearmanr(a, b).statistic for a, b in zip(maps, others, strict=True)]
    np.testing.assert_allclose(map_similarity(maps, others), expected)
    np.testing.assert_allclose(map_similarity(maps, np.exp(maps)), 1)
    np.testing.assert_allclose(map_similarity(maps, -maps), -1)
    assert np.isnan(map_similarity(maps, np.ones_like(maps))).all()


def test_randomised_weights_give_another_map_and_leave_the_original(build_network, make_inputs):
    model, inputs = build_network(2), make_inputs(8, 2)
    before = [weights.copy() for weights in model.get_weights()]
    other = randomise_weights(model, seed=1)
    for weights, kept in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(weights, kept)
    for ours, theirs in zip(
        model.get_layer("ecg_scaling").get_weights(),
        other.get_layer("ecg_scaling").get_weights(),
        strict=True,
    ):
        np.testing.assert_array_equal(ours, theirs)
    kernels = [network.get_layer("conv1_conv").get_weights()[0] for network in (model, other)]
    assert np.abs(np.corrcoef(kernels[0].ravel(), kernels[1].ravel())[0, 1]) < 0.3
    assert np.std(kernels[1]) == pytest.approx(np.std(kernels[0]), rel=0.2)
    again = randomise_weights(model, seed=1).get_weights()
    for ours, theirs in zip(other.get_weights(), again, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    maps = [integrated_gradients(network, inputs, n_steps=4).ecg for network in (model, other)]
    assert map_similarity(*maps).mean() < 0.5
    top = randomise_weights(model, n_layers=1, seed=2, into=other)
    assert top is other
    for ours, theirs in zip(
        top.get_weights(), randomise_weights(model, n_layers=1, seed=2).get_weights(), strict=True
    ):
        np.testing.assert_array_equal(ours, theirs)  # nothing is left of the draw before


def test_one_layer_from_the_top_is_the_logit(build_network):
    model = build_network()
    assert weighted_layers(model)[0] == "logit"
    assert weighted_layers(model)[-1] == "conv1_conv"
    other = randomise_weights(model, n_layers=1)
    same = [
        np.array_equal(a, b) for a, b in zip(model.get_weights(), other.get_weights(), strict=True)
    ]
    assert same.count(False) == 1


MAPS, MASKS = np.ones((2, 9)), np.ones((2, 9), bool)
BAD = {
    "mask type": (
        lambda: window_mass(MAPS, MASKS.astype(float)),
        "masks must be boolean, got float64. Compare with a threshold to make them so.",
    ),
    "mask shape": (
        lambda: window_mass(MAPS, MASKS[:, :5]),
        "masks must be of shape (2, 9) or (2, 9), got (2, 5). "
        "Give each record its window, one value a sample.",
    ),
    "NaN": (
        lambda: window_mass(MAPS * np.nan, MASKS),
        "maps must be finite, got NaN or infinity. Leave such records out.",
    ),
    "patients": (
        lambda: shifted_window_null(MAPS, MASKS, patient_ids=["a"]),
        "patient_ids must hold one entry for each of the 2 maps, got 1. Select the same rows.",
    ),
    "shifts": (
        lambda: shifted_window_null(MAPS, MASKS, n_shifts=5),
        "n_shifts must be at least 19, got 5. Use 999.",
    ),
    "nothing": (
        lambda: shifted_window_null(0 * MAPS, MASKS),
        "maps must hold at least one record with mass and a window, got 0 of 2. "
        "Check that beats were found and that the maps are not zero.",
    ),
    "shapes": (
        lambda: map_similarity(MAPS, MAPS[:, :3]),
        "others must have the shape of maps (2, 9), got (2, 3). "
        "Explain the same records with the same layer.",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_refusals(case):
    call, message = BAD[case]
    with pytest.raises(ValueError, match=r".") as refusal:
        call()
    assert str(refusal.value) == message


def test_too_many_layers_are_refused(build_network):
    model = build_network()
    n_layers = len(weighted_layers(model))
    with pytest.raises(ValueError, match=rf"^n_layers must be between 1 and {n_layers}, got 99"):
        randomise_weights(model, n_layers=99)


def test_maps_that_rise_with_the_sign_in_its_window_follow_it_and_others_do_not():
    rng = np.random.default_rng(0)
    strength = rng.normal(size=60)
    masks = np.zeros((60, 200), bool)
    masks[:, 50:60] = True
    noise = rng.normal(size=(60, 200))
    found = follows_sign(noise + strength[:, None] * masks, masks, strength)
    assert found.correlation > 0.8
    assert found.p_value == pytest.approx(0.001)
    assert found.null_low < 0 < found.null_high < found.correlation
    # ten samples of the window, each raised by the strength
    assert found.slope == pytest.approx(10 * strength.std(), rel=0.2)
    against = follows_sign(noise - strength[:, None] * masks, masks, strength)
    assert against.p_value > 0.9


def test_maps_that_are_large_in_a_window_whatever_the_sign_do_not_follow_it():
    rng = np.random.default_rng(0)
    masks = np.zeros((60, 200), bool)
    masks[:, 50:60] = True
    p_values = [
        follows_sign(
            rng.normal(size=(60, 200)) + 5 * masks, masks, rng.normal(size=60), n_shifts=199
        ).p_value
        for _ in range(60)
    ]
    assert np.mean(np.array(p_values) <= 0.05) <= 0.15  # nominal 0.05; 0.15 is 3.6 SD above


def test_the_ecgs_of_a_patient_count_once_when_a_sign_is_followed():
    rng = np.random.default_rng(1)
    strength = np.repeat(rng.normal(size=20), 3)
    masks = np.zeros((60, 100, 12), bool)
    masks[:, 20:30, :2] = True
    maps = rng.normal(size=masks.shape) + strength[:, None, None] * masks
    ids = np.repeat(np.arange(20), 3)
    assert follows_sign(maps, masks, strength, patient_ids=ids).n_patients == 20
    with pytest.raises(ValueError, match="at least 10 patients"):
        follows_sign(maps[:20], masks[:20], strength[:20], patient_ids=ids[:20])
    with pytest.raises(ValueError, match="strength and patient_ids must hold one entry"):
        follows_sign(maps, masks, strength[:5])
