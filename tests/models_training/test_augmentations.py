"""Changes of training ECGs: what stays true of an ECG, how much changes, mixtures, pieces."""

import dataclasses
import re

import numpy as np
import pytest
from scipy.special import betainc

from models_training.augmentations import (
    LEADS_OF_ELECTRODES,
    AugmentationSettings,
    augment,
    noise,
    settings_for,
)
from models_training.crops import crop_starts, random_crops
from models_training.mixing import mixed, mixup_shares

RATE_HZ = 250.0
EVERYTHING = dataclasses.replace(settings_for(1.0, rate_hz=RATE_HZ), probability=1.0)


def ecgs(n=64, n_samples=500, seed=0):
    """Return random ECGs that obey Einthoven and Goldberger."""
    rng = np.random.default_rng(seed)
    electrodes = rng.normal(0, 0.5, (n, n_samples, 9)).cumsum(axis=1) / 10
    return (electrodes @ LEADS_OF_ELECTRODES).astype("float32")


def changed(ecg, *, seed=0, rate_hz=RATE_HZ, **options):
    settings = AugmentationSettings(**{"probability": 1.0, **options})
    return augment(ecg, rate_hz=rate_hz, settings=settings, rng=np.random.default_rng(seed))


def test_the_leads_of_electrodes_are_those_of_einthoven_goldberger_and_wilson():
    potentials = np.array([0.1, 0.4, 0.9, 1.0, 1.1, 1.2, 1.3, 1.4, 1.5])  # RA LA LL V1 to V6
    one, two, three, avr, avl, avf, *chest = potentials @ LEADS_OF_ELECTRODES
    assert (one, two, three) == pytest.approx((0.3, 0.8, 0.5))
    assert (avr, avl, avf) == pytest.approx((-0.55, -0.1, 0.65))
    assert chest == pytest.approx(potentials[3:] - (0.1 + 0.4 + 0.9) / 3)


def test_shape_kind_and_input_are_kept_and_chance_is_the_seed_alone():
    ecg = ecgs()
    before = ecg.copy()
    rngs = [np.random.default_rng(seed) for seed in (1, 1, 2)]
    first, same, other = (augment(ecg, rate_hz=RATE_HZ, settings=EVERYTHING, rng=r) for r in rngs)
    np.testing.assert_array_equal(ecg, before)
    np.testing.assert_array_equal(first, same)
    assert first.shape == ecg.shape
    assert first.dtype == np.float32
    assert np.isfinite(first).all()
    assert not np.array_equal(first, other)


def test_by_default_nothing_is_changed():
    ecg = ecgs(4)
    assert AugmentationSettings().is_off
    assert settings_for(0.0, rate_hz=500).is_off
    assert not EVERYTHING.is_off
    np.testing.assert_array_equal(changed(ecg), ecg)


@pytest.mark.parametrize(
    "options",
    [
        {"shift_seconds": 0.5},
        {"amplitude_sd": 0.3},
        {"wander_mv": 0.3},
        {"mains_mv": 0.3},
        {"cutout_seconds": 1.0},
    ],
)
def test_limb_leads_stay_consistent_under_all_but_lead_dropout(options):
    found = changed(ecgs(), **options)
    assert not np.array_equal(found, ecgs())
    np.testing.assert_allclose(found[..., 2], found[..., 1] - found[..., 0], atol=1e-5)
    np.testing.assert_allclose(found[..., 3:6].sum(axis=-1), 0, atol=1e-5)


def test_leads_are_dropped_whole_as_often_as_asked_and_never_all():
    ecg = np.ones((4000, 5, 12), "float32")
    found = changed(ecg, lead_dropout=0.3)
    assert set(np.unique(found)) == {0.0, 1.0}
    assert (found == found[:, :1]).all()
    # one of twelve is kept whatever was drawn
    assert 1 - found[:, 0].mean() == pytest.approx(0.3 * 11 / 12, abs=0.01)
    assert (changed(ecg, lead_dropout=1.0)[:, 0].sum(axis=1) == 1).all()
    half = changed(ecg, lead_dropout=1.0, probability=0.25)[:, 0].sum(axis=1)
    assert (half == 12).mean() == pytest.approx(0.75, abs=0.03)


def test_one_factor_a_record_with_mean_one():
    ecg = ecgs(5000, 3)
    factor = changed(ecg, amplitude_sd=0.2) / ecg
    assert np.ptp(factor, axis=(1, 2)).max() < 1e-4
    assert factor[:, 0, 0].mean() == pytest.approx(1.0, abs=0.01)
    assert np.log(factor[:, 0, 0]).std() == pytest.approx(0.2, abs=0.01)


def test_a_shift_moves_all_leads_alike_and_holds_the_edge():
    ramp = np.broadcast_to(np.arange(100, dtype="float32")[None, :, None], (500, 100, 12))
    found = changed(ramp, rate_hz=100, shift_seconds=0.1)
    by = found[:, 50, 0] - 50
    assert set(by) == set(range(-10, 11))
    expected = np.clip(np.arange(100) + by[:, None], 0, 99)
    np.testing.assert_array_equal(found, np.broadcast_to(expected[..., None], found.shape))


@pytest.mark.parametrize(
    ("options", "low_hz", "high_hz", "most_mv"),
    [({"wander_mv": 0.5}, 0.1, 0.75, 0.5), ({"mains_mv": 0.1}, 49.0, 61.0, 0.1)],
)
def test_noise_has_its_frequencies_and_amplitude(options, low_hz, high_hz, most_mv):
    ecg, settings = np.zeros((40, 10000, 12)), AugmentationSettings(probability=1.0, **options)
    found = noise(ecg, rate_hz=RATE_HZ, settings=settings, rng=np.random.default_rng(0))
    power = np.square(np.abs(np.fft.rfft(found * np.hanning(10000)[:, None], axis=1)))
    hertz = np.fft.rfftfreq(10000, 1 / RATE_HZ)
    is_inside = (hertz > low_hz - 0.1) & (hertz < high_hz + 0.1)
    assert power[:, is_inside].sum() / power.sum() > 0.999
    # a lead is at most the difference of two electrodes
    assert 0.2 * most_mv < np.abs(found).max() < 2 * most_mv


def test_relative_noise_follows_the_record():
    ecg = ecgs(20) * np.linspace(1, 100, 20)[:, None, None]
    found = changed(ecg, wander_mv=0.5, is_relative=True) - ecg
    unit = changed(ecg / ecg.std(axis=(1, 2), keepdims=True), wander_mv=0.5)
    unit = unit - ecg / ecg.std(axis=(1, 2), keepdims=True)
    np.testing.assert_allclose(found / ecg.std(axis=(1, 2), keepdims=True), unit, atol=1e-4)


def test_cutout_takes_one_stretch_of_all_leads():
    found = changed(np.ones((3000, 200, 12)), rate_hz=100, cutout_seconds=0.5)
    is_out = found[:, :, 0] == 0
    assert (found == found[:, :, :1]).all()
    assert (np.abs(np.diff(is_out.astype(int), axis=1)).sum(axis=1) <= 2).all()
    assert is_out.sum(axis=1).max() <= 51
    assert is_out.sum(axis=1).mean() == pytest.approx(25, abs=1)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: changed(np.ones((2, 50, 8))), "ecg must be of shape (batch, samples, 12), got"),
        (
            lambda: changed(ecgs(2), rate_hz=100, mains_mv=0.1),
            "rate_hz must be above 120 for mains hum, got 100. Set mains_mv to 0",
        ),
        (lambda: AugmentationSettings(wander_mv=-1), "wander_mv must be at least 0, got -1. 0"),
        (
            lambda: AugmentationSettings(lead_dropout=2),
            "lead_dropout must be between 0 and 1, got 2",
        ),
        (
            lambda: crop_starts(100, 200, 3),
            "crop must be between 1 and the ECG's 100 samples, got 200. Use a shorter",
        ),
        (lambda: crop_starts(100, 50, 0), "n_crops must be at least 1, got 0. 1 is the middle"),
    ],
)
def test_what_is_refused(call, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        call()


def test_mixtures_keep_the_mean_and_leave_the_unknown_unknown():
    rng = np.random.default_rng(0)
    targets = (rng.random((5000, 1)) < 0.2).astype("float32")
    partner, share = mixup_shares(5000, alpha=0.4, rng=rng)
    assert sorted(partner) == list(range(5000))
    assert share.min() >= 0.5
    assert share.max() <= 1
    # mean of the larger of a Beta(a, a) share and its rest, a the 0.4 above
    assert share.mean() == pytest.approx(1 - betainc(1.4, 0.4, 0.5), abs=0.01)
    found = mixed(targets, partner, share)
    assert found.mean() == pytest.approx(targets.mean(), abs=0.01)
    by_hand = [share[k] * targets[k] + (1 - share[k]) * targets[partner[k]] for k in range(5000)]
    np.testing.assert_allclose(found, by_hand, rtol=1e-6)
    targets[7] = np.nan
    assert np.isnan(mixed(targets, partner, share)[partner == 7]).all()
    whole = mixup_shares(9, alpha=0.0, rng=rng)
    np.testing.assert_array_equal(mixed(targets[10:19], *whole), targets[10:19])


def test_random_pieces_are_pieces_and_begin_everywhere():
    ramp = np.broadcast_to(np.arange(60.0)[None, :, None], (2000, 60, 12))
    found = random_crops(ramp, 50, np.random.default_rng(0))
    assert found.shape == (2000, 50, 12)
    assert set(found[:, 0, 0]) == set(range(11))
    np.testing.assert_array_equal(found - found[:, :1], np.broadcast_to(ramp[:, :50], found.shape))
    np.testing.assert_array_equal(random_crops(ramp, 60, np.random.default_rng(0)), ramp)


def test_pieces_to_score_span_the_ecg():
    assert crop_starts(1000, 250, 4) == [0, 250, 500, 750]
    assert crop_starts(1000, 1000, 5) == [0]
    assert crop_starts(101, 100, 5) == [0, 1]
