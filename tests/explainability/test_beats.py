"""Beats: found on planted spikes, cardiologists' marks and real records; averaged by patient."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.signal import resample_poly
from scipy.stats import ttest_1samp

from explainability.beats import (
    WINDOWS,
    align_on_r_peaks,
    beat_seconds,
    beat_window_mask,
    cut_beats,
    group_mean_beats,
    in_window,
)
from explainability.r_peaks import LEADS, detect_r_peaks, heart_rate_bpm


def planted_ecg(rate_hz=100, seconds=10, beat_every_seconds=0.8, seed=0):
    """Return QRS-like spikes with T waves and noise, and the samples of the R peaks."""
    rng = np.random.default_rng(seed)
    time = np.arange(int(seconds * rate_hz)) / rate_hz
    beats = np.arange(0.5, seconds - 0.5, beat_every_seconds)
    r_peaks = np.round(beats * rate_hz).astype(int)
    wave = np.zeros_like(time)
    for beat in r_peaks / rate_hz:
        wave += np.exp(-0.5 * ((time - beat) / 0.012) ** 2)
        wave += 0.25 * np.exp(-0.5 * ((time - beat - 0.28) / 0.05) ** 2)
    gains = np.array([0.7, 1, 0.3, -0.8, 0.2, 0.6, -0.6, 0.4, 0.8, 1.2, 1.1, 0.9])
    drift = 0.3 * np.sin(2 * np.pi * 0.2 * time)
    signal = wave[:, None] * gains + drift[:, None]
    return signal + rng.normal(0, 0.02, signal.shape), r_peaks


@pytest.mark.parametrize("rate_hz", [100, 250, 500])
@pytest.mark.parametrize("beat_every_seconds", [0.45, 0.8, 1.4])
def test_planted_beats_are_found(rate_hz, beat_every_seconds):
    signal, r_peaks = planted_ecg(rate_hz, beat_every_seconds=beat_every_seconds)
    found = detect_r_peaks(signal, rate_hz)
    assert found.reason == ""
    assert found.lead in LEADS
    assert len(found.r_peaks) == len(r_peaks)
    assert np.abs(found.r_peaks - r_peaks).max() <= 0.02 * rate_hz
    assert heart_rate_bpm(found.r_peaks, rate_hz) == pytest.approx(
        60 / beat_every_seconds, rel=0.03
    )


def test_a_ruined_lead_does_not_matter():
    signal, r_peaks = planted_ecg()
    signal[:, 1] = np.random.default_rng(1).normal(0, 2, len(signal))
    found = detect_r_peaks(signal, 100)
    assert found.lead != "II"
    assert len(found.r_peaks) == len(r_peaks)


def test_turning_all_leads_upside_down_changes_little():
    signal, r_peaks = planted_ecg()
    found = detect_r_peaks(-signal, 100).r_peaks
    assert np.abs(found - r_peaks).max() <= 2


NO_BEATS = {
    "flat in every lead": np.zeros((1000, 12)),
    "shorter than 2 s": planted_ecg()[0][:150],
    "not finite": np.full((1000, 12), np.nan),
}


@pytest.mark.parametrize("reason", NO_BEATS)
def test_signals_without_beats_give_a_reason(reason):
    found = detect_r_peaks(NO_BEATS[reason], 100)
    assert found.reason == reason
    assert len(found.r_peaks) == 0
    assert np.isnan(heart_rate_bpm(found.r_peaks, 100))


@pytest.mark.parametrize("seed", range(5))
def test_noise_and_steps_never_raise(seed):
    rng = np.random.default_rng(seed)
    detect_r_peaks(rng.normal(0, 0.3, (400, 12)), 100)
    detect_r_peaks(np.cumsum(rng.integers(0, 2, (300, 12)), axis=0) * 0.5, 100)
    spike = np.zeros((1000, 12))
    spike[500] = 5
    detect_r_peaks(spike, 100)


@pytest.mark.real_data
@pytest.mark.parametrize("rate_hz", [500, 100])
def test_beats_of_ludb_match_the_cardiologists(data_root, rate_hz):
    """Sensitivity and PPV within 0.1 s, in the stretch that was annotated (lead II)."""
    import wfdb

    folder = data_root / "ludb" / "data"
    n_true = n_found = n_hit = n_right = 0
    for header in sorted(folder.glob("*.hea")):
        path = str(header.with_suffix(""))
        marks = wfdb.rdann(path, "ii")
        reference = marks.sample[np.array(marks.symbol) == "N"] / 500
        signal = wfdb.rdrecord(path).p_signal
        if rate_hz != 500:
            signal = resample_poly(signal, rate_hz, 500, axis=0)
        found = detect_r_peaks(signal, rate_hz).r_peaks / rate_hz
        found = found[(found >= reference[0] - 0.1) & (found <= reference[-1] + 0.1)]
        near = np.abs(found[:, None] - reference[None, :]) <= 0.1
        n_true, n_found = n_true + len(reference), n_found + len(found)
        n_hit, n_right = n_hit + near.any(axis=0).sum(), n_right + near.any(axis=1).sum()
    assert n_true > 500
    assert n_hit / n_true >= 0.95
    assert n_right / n_found >= 0.95


@pytest.mark.real_data
def test_heart_rates_of_ptbxl_are_plausible(data_root):
    import wfdb

    folder = data_root / "ptbxl_wfdb" / "records100"
    headers = sorted(folder.rglob("*_lr.hea"))[::15]
    found = [detect_r_peaks(wfdb.rdrecord(str(h.with_suffix(""))).p_signal, 100) for h in headers]
    rates = np.array([heart_rate_bpm(detection.r_peaks, 100) for detection in found])
    assert len(rates) >= 20
    assert ((rates > 35) & (rates < 180)).all()
    assert 55 < np.median(rates) < 90
    assert np.mean([detection.agreement for detection in found]) > 0.9


# --- aligning and averaging ---------------------------------------------------------------------


def test_aligned_beats_are_the_planted_beat():
    r_peaks = np.array([3, 100, 220, 345, 398])
    map_ = np.zeros((400, 2))
    for peak in r_peaks:
        map_[min(peak + 20, 399)] = [1, 2]
    beat = align_on_r_peaks(map_, r_peaks, 100)
    seconds = beat_seconds(100)
    assert beat.shape == (71, 2)
    assert seconds[beat[:, 1].argmax()] == pytest.approx(0.2)
    np.testing.assert_array_equal(beat[45], [1, 2])
    assert beat.sum() == 3
    assert len(cut_beats(map_, r_peaks, 100)) == 3  # the first and last do not fit in the record
    assert np.isnan(align_on_r_peaks(map_[:, 0], np.zeros(0, int), 100)).all()


def test_group_bands_are_t_intervals_over_patients():
    rng = np.random.default_rng(0)
    beats, patients = rng.normal(size=(12, 9)), np.repeat(list("abcdef"), 2)
    (group,) = group_mean_beats(beats, ["all"] * 12, patients)
    means = beats.reshape(6, 2, 9).mean(axis=1)
    interval = ttest_1samp(means, 0).confidence_interval(0.95)
    np.testing.assert_allclose(group.mean, means.mean(axis=0))
    np.testing.assert_allclose(group.low, interval.low)
    np.testing.assert_allclose(group.high, interval.high)
    assert (group.n_records, group.n_patients) == (12, 6)


def test_repeating_a_patients_record_changes_nothing_and_empty_beats_are_left_out():
    beats = np.random.default_rng(0).normal(size=(5, 9, 12))
    patients = np.array(list("abcde"))
    once = group_mean_beats(beats, ["x"] * 5, patients)[0]
    rows = [0, 0, 0, 1, 2, 3, 4]
    more = np.concatenate([beats[rows], np.full((1, 9, 12), np.nan)])
    many = group_mean_beats(more, ["x"] * 8, [*patients[rows], "f"])[0]
    np.testing.assert_allclose(once.low, many.low)
    assert (many.n_records, many.n_patients) == (7, 5)


def test_groups_keep_their_order_and_a_single_patient_has_no_band():
    low, high = group_mean_beats(np.ones((3, 4)), ["low", "high", "low"], ["a", "b", "c"])
    assert (low.group, high.group) == ("low", "high")
    assert np.isnan(high.low).all()
    np.testing.assert_array_equal(high.mean, 1)


def test_window_masks_follow_the_beats():
    mask = beat_window_mask(np.array([10, 100, 195]), 100, 200, name="QRS")
    assert mask[100 - 6 : 100 + 6].all()
    assert mask.sum() == 12 + 12 + 11
    assert in_window(np.array(WINDOWS["T"]), "T").tolist() == [True, False]


BAD = {
    "signal shape": (
        lambda: detect_r_peaks(np.zeros((1000, 8)), 100),
        "signal_mv must be of shape (n_samples, 12), got (1000, 8). "
        "Pass one column for each name in lead_names.",
    ),
    "rate": (
        lambda: detect_r_peaks(np.zeros((1000, 12)), 0),
        "rate_hz must be positive, got 0. Read it from dataset.json.",
    ),
    "batch of records": (
        lambda: align_on_r_peaks(np.zeros((2, 100, 12)), np.array([50]), 100),
        "array must be of shape (n_samples,) or (n_samples, n_leads), got (2, 100, 12). "
        "Pass one record at a time.",
    ),
    "no stretch": (
        lambda: beat_seconds(100, before_seconds=0, after_seconds=0),
        "before_seconds and after_seconds must span at least one sample, got 0 and 0. "
        "Use 0.25 and 0.45.",
    ),
    "lengths": (
        lambda: group_mean_beats(np.zeros((3, 4)), ["a"], ["a", "b", "c"]),
        "groups and patient_ids must hold one entry for each of the 3 beats, got 1 and 3. "
        "Select the same rows.",
    ),
    "confidence": (
        lambda: group_mean_beats(np.zeros((1, 4)), ["a"], ["a"], confidence=95),
        "confidence must be between 0 and 1, got 95. Use 0.95.",
    ),
    "window": (
        lambda: beat_window_mask(np.array([5]), 100, 10, name="U"),
        "name must be one of ['P', 'QRS', 'ST', 'T'], got 'U'. Choose a window.",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_refusals(case):
    call, message = BAD[case]
    with pytest.raises(ValueError, match=r".") as refusal:
        call()
    assert str(refusal.value) == message
