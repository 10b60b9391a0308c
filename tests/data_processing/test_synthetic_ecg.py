"""The synthetic ECGs: lead identities, reproducibility, planted signs where they are declared."""

import re

import numpy as np
import pandas as pd
import pytest

from data_processing.synthetic import (
    LEADS,
    SyntheticSettings,
    planted_mask,
    planted_windows,
    simulate_ecgs,
    simulate_patients,
)

SETTINGS = SyntheticSettings(n_patients=48, rate_hz=250, seed=4)
SIGNS = ("lateral_t", "terminal_slur", "qrs_fragmentation", "ventricular_ectopy")


@pytest.fixture(scope="module")
def patients() -> pd.DataFrame:
    return simulate_patients(SETTINGS)


@pytest.fixture(scope="module")
def simulated(patients) -> tuple[np.ndarray, pd.DataFrame]:
    return simulate_ecgs(patients, SETTINGS)


def lead(signals: np.ndarray, name: str) -> np.ndarray:
    return signals[..., LEADS.index(name)]


def test_shape_unit_and_range(simulated):
    signals, truth = simulated
    assert signals.shape == (48, 2500, 12)
    assert signals.dtype == np.float32
    assert np.isfinite(signals).all()
    assert np.abs(signals).max(axis=(1, 2)).min() > 0.3
    assert np.abs(signals).max() < 8.0
    assert len(truth) == 48


def test_einthoven_and_goldberger_hold(simulated):
    signals, _ = simulated
    one, two, three = (lead(signals, name) for name in ("I", "II", "III"))
    np.testing.assert_allclose(three, two - one, atol=2e-6)
    np.testing.assert_allclose(lead(signals, "aVR"), -(one + two) / 2, atol=2e-6)
    np.testing.assert_allclose(lead(signals, "aVL"), (one - three) / 2, atol=2e-6)
    np.testing.assert_allclose(lead(signals, "aVF"), (two + three) / 2, atol=2e-6)


def test_r_peaks_are_where_the_truth_says(simulated):
    signals, truth = simulated
    for signal, record in zip(signals, truth.itertuples(), strict=True):
        slope = np.linalg.norm(np.gradient(signal, axis=0), axis=1)
        for peak in record.r_peak_seconds[~record.is_ectopic]:
            at = int(peak * 250)
            if 20 <= at < 2480:
                assert slope[at - 15 : at + 20].max() > 3 * np.median(slope)


def test_rhythm_varies_and_matches_the_heart_rate(simulated):
    _, truth = simulated
    for record in truth[~truth["is_fibrillating"]].itertuples():
        if not record.is_ectopic.any():
            rr = np.diff(record.r_peak_seconds)
            assert 60 / rr.mean() == pytest.approx(record.heart_rate_bpm, rel=0.06)
            assert 0.002 < rr.std() / rr.mean() < 0.12


def test_same_seed_same_signal_whatever_the_batch(patients, simulated):
    signals, _ = simulated
    part, _ = simulate_ecgs(patients.iloc[[30, 7]].assign(ecg_number=0), SETTINGS)
    np.testing.assert_allclose(part, signals[[30, 7]], atol=1e-6)
    other, _ = simulate_ecgs(patients.iloc[:4], SETTINGS, seed=5)
    assert np.abs(other - signals[:4]).max() > 0.1


def test_out_is_filled_in_place(patients, simulated):
    out = np.empty((4, 2500, 12), np.float32)
    returned, _ = simulate_ecgs(patients.iloc[:4], SETTINGS, out=out)
    assert returned is out
    np.testing.assert_allclose(out, simulated[0][:4], atol=1e-6)


def test_ecgs_of_a_patient_resemble_each_other_but_differ():
    patients = simulate_patients(SyntheticSettings(n_patients=40, seed=9))
    settings = SyntheticSettings(rate_hz=100, seed=9)
    rows = patients.loc[np.repeat(np.arange(40), 2)]
    _, truth = simulate_ecgs(rows, settings)
    assert truth["ecg_number"].tolist() == [0, 1] * 40
    pairs = truth["lateral_t_mv"].to_numpy().reshape(40, 2)
    assert (pairs[:, 0] != pairs[:, 1]).all()
    assert np.corrcoef(pairs.T)[0, 1] > 0.7
    rates = truth["heart_rate_bpm"].to_numpy().reshape(40, 2)
    assert 0.5 < np.corrcoef(rates.T)[0, 1] < 0.99


def test_the_same_heart_beats_at_every_rate(patients):
    fast, truth = simulate_ecgs(patients.iloc[:8], SyntheticSettings(rate_hz=500, seed=4))
    slow, slow_truth = simulate_ecgs(patients.iloc[:8], SyntheticSettings(rate_hz=100, seed=4))
    for one, two in zip(truth["r_peak_seconds"], slow_truth["r_peak_seconds"], strict=True):
        np.testing.assert_array_equal(one, two)
    assert np.median(np.abs(fast[:, ::5] - slow)) < 0.03


def test_effect_size_does_not_touch_the_ecg(patients):
    null = simulate_patients(SyntheticSettings(n_patients=48, seed=4, effect_size=0.0))
    settings = SyntheticSettings(rate_hz=100, seed=4, effect_size=0.0)
    ours, _ = simulate_ecgs(null.iloc[:4], settings)
    theirs, _ = simulate_ecgs(patients.iloc[:4], SyntheticSettings(rate_hz=100, seed=4))
    np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("sign", SIGNS)
def test_a_planted_sign_lies_in_its_declared_window(patients, sign):
    absent, _ = simulate_ecgs(patients.assign(**{f"z_{sign}": 0.0}), SETTINGS)
    present, truth = simulate_ecgs(patients.assign(**{f"z_{sign}": 2.0}), SETTINGS)
    energy = (present - absent).astype(float) ** 2
    shape = {"rate_hz": 250, "n_samples": 2500, "signatures": (sign,)}
    inside = np.zeros(3)
    for row, record in enumerate(truth.itertuples()):
        peaks, ectopic = record.r_peak_seconds, record.is_ectopic
        mirrored = planted_mask(peaks, is_ectopic=ectopic, with_mirror_leads=True, **shape)
        main = planted_mask(peaks, is_ectopic=ectopic, **shape)
        inside += energy[row][main].sum(), energy[row][mirrored].sum(), energy[row].sum()
    # An ectopic beat also moves the beat it replaces, hence less than all.
    assert inside[1] / inside[2] > (0.8 if sign == "ventricular_ectopy" else 0.94)
    assert inside[0] / inside[2] > 0.6


def test_lateral_t_is_flatter_with_a_higher_latent(patients):
    plain = patients.assign(z_lateral_t=-1.0)
    ill = patients.assign(z_lateral_t=2.0)
    settings = SyntheticSettings(rate_hz=100, seed=4)
    (before, truth), (after, _) = simulate_ecgs(plain, settings), simulate_ecgs(ill, settings)
    change = after - before
    for row, record in enumerate(truth.itertuples()):
        mask = planted_mask(
            record.r_peak_seconds, is_ectopic=record.is_ectopic, rate_hz=100, n_samples=1000,
            signatures=("lateral_t",),
        )  # fmt: skip
        assert change[row][mask].mean() < -0.03


def test_signs_overlap_with_ordinary_variation(patients):
    settings = SyntheticSettings(n_patients=1500, rate_hz=100, duration_seconds=2.0, seed=8)
    many = simulate_patients(settings)
    _, truth = simulate_ecgs(many, settings)
    for column, sign in zip(("lateral_t_mv", "slur_mv"), SIGNS[:2], strict=True):
        correlation = np.corrcoef(truth[column], many[f"z_{sign}"])[0, 1]
        assert 0.75 < correlation < 0.95
    assert 0.1 < truth["has_left_bundle"].mean() < 0.2
    assert 0.04 < truth["is_fibrillating"].mean() < 0.1
    assert truth["ectopic_probability"].median() < 0.05
    assert abs(np.corrcoef(truth["has_left_bundle"], many["ecg_latent"])[0, 1]) < 0.08


def test_planted_mask_by_hand():
    mask = planted_mask(
        np.array([0.5, 1.5]), is_ectopic=np.array([False, True]), rate_hz=100, n_samples=250,
        signatures=("lateral_t",),
    )  # fmt: skip
    samples = np.flatnonzero(mask.any(axis=1))
    assert samples.tolist() == list(range(62, 91))
    assert [LEADS[column] for column in np.flatnonzero(mask.any(axis=0))] == [
        "I",
        "aVL",
        "V5",
        "V6",
    ]
    ectopic = planted_mask(
        np.array([1.5]), is_ectopic=np.array([True]), rate_hz=100, n_samples=250,
    )  # fmt: skip
    assert ectopic.all(axis=1).sum() == 58
    assert np.flatnonzero(ectopic.any(axis=1))[[0, -1]].tolist() == [138, 195]


def test_planted_windows_table():
    table = planted_windows()
    assert table["share"].sum() == pytest.approx(1.0)
    assert table["signature"].tolist() == list(SIGNS)
    assert table.set_index("signature")["minimum_rate_hz"].to_dict() == {
        "lateral_t": 100,
        "terminal_slur": 100,
        "qrs_fragmentation": 250,
        "ventricular_ectopy": 100,
    }
    assert (table["start_seconds"] < table["stop_seconds"]).all()
    for leads, visible in zip(table["leads"], table["visible_leads"], strict=True):
        assert set(leads) <= set(visible) <= set(LEADS)
    assert (2 * table["bandwidth_hz"] <= table["minimum_rate_hz"]).all()


def test_unknown_signature_is_refused():
    message = (
        "signatures must be among ['lateral_t', 'qrs_fragmentation', 'terminal_slur', "
        "'ventricular_ectopy'], got 'delta_wave'. Correct the name."
    )
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        planted_mask(np.array([1.0]), rate_hz=100, n_samples=10, signatures=("delta_wave",))


def test_missing_latent_and_wrong_out_are_refused(patients):
    message = (
        "patients must be rows of simulate_patients, got no column ['z_lateral_t']. Keep them all."
    )
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        simulate_ecgs(patients.drop(columns="z_lateral_t"), SETTINGS)
    message = (
        "out must be float32 of shape (48, 2500, 12), got float64 of shape (3,). "
        "Allocate it with these."
    )
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        simulate_ecgs(patients, SETTINGS, out=np.zeros(3))
