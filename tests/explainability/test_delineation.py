"""Waves are found where they were planted, and bad ECGs say why there are none."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.signal import resample_poly

from explainability.delineation import WAVES, delineate, filled_points, wave_windows

# Gauss waves: centre from R in seconds, width (SD) in seconds, height in mV.
SHAPE = {"P": (-0.17, 0.022, 0.15), "QRS": (0.0, 0.016, 1.2), "T": (0.30, 0.045, 0.35)}
R_SECONDS = np.arange(0.8, 9.6, 0.9)


def planted_ecg(rate_hz=500, *, without=(), noise_mv=0.005, seed=0):
    """Return (n_samples, 12) mV; every lead has the same waves in another size."""
    times = np.arange(round(10 * rate_hz)) / rate_hz
    trace = np.zeros_like(times)
    for name, (centre, width, height) in SHAPE.items():
        if name not in without:
            after = times[:, None] - R_SECONDS[None, :] - centre
            trace += (height * np.exp(-0.5 * (after / width) ** 2)).sum(axis=1)
    sizes = np.array([0.7, 1.0, 0.5, -0.8, 0.4, 0.7, -0.4, 0.8, 1.0, 1.2, 1.1, 0.9])
    rng = np.random.default_rng(seed)
    return trace[:, None] * sizes + rng.normal(0, noise_mv, (len(times), 12))


@pytest.mark.parametrize("rate_hz", [100, 500])
def test_planted_waves_are_found_in_time(rate_hz):
    signal = planted_ecg()
    signal = signal if rate_hz == 500 else resample_poly(signal, 1, 5, axis=0)
    found = delineate(signal, rate_hz)
    assert (found.method, found.reason) == ("delineated", "")
    assert len(found.r_peaks) == len(R_SECONDS)
    for column, name in enumerate(WAVES):
        onset, peak, offset = (found.points_seconds[1:-1, column] - R_SECONDS[1:-1, None]).T
        centre, width, _ = SHAPE[name]
        np.testing.assert_allclose(peak, centre, atol=0.015, err_msg=name)
        assert ((onset < centre - width) & (onset > centre - 5 * width - 0.01)).all(), name
        assert ((offset > centre + width) & (offset < centre + 5 * width + 0.01)).all(), name


def test_windows_are_apart_in_order_and_hold_their_waves():
    ecg = np.stack([planted_ecg(seed=seed)[::5] for seed in range(2)])
    windows = wave_windows(ecg, 100)
    assert sum(mask.astype(int) for mask in windows.masks.values()).max() == 1
    for name, (centre, _, _) in SHAPE.items():
        samples = np.round((R_SECONDS + centre) * 100).astype(int)
        assert windows.masks[name][:, samples].mean() > 0.9, name
    samples = np.round((R_SECONDS + 0.12) * 100).astype(int)
    assert windows.masks["ST"][:, samples].mean() > 0.9
    assert not windows.masks["P"][:, np.round((R_SECONDS + 0.3) * 100).astype(int)].any()
    row = windows.table.iloc[0]
    assert row["method"] == "delineated"
    assert row["n_beats"] == row["n_qrs"] == len(R_SECONDS)
    assert row["heart_rate_bpm"] == pytest.approx(60 / 0.9, abs=0.5)
    assert 60 < row["qrs_ms"] < 130
    assert 300 < row["qt_ms"] < 480
    assert 80 < row["pr_ms"] < 230


def test_without_p_waves_there_is_no_window_for_them():
    windows = wave_windows(planted_ecg(without=("P",), noise_mv=0.02)[None], 500)
    row = windows.table.iloc[0]
    assert row["method"] == "delineated"
    assert row["reason"] == "no P wave in most beats"
    assert np.isnan(row["pr_ms"])
    assert not windows.masks["P"].any()


def test_a_beat_without_its_wave_gets_the_usual_distance():
    found = delineate(planted_ecg(), 500)
    found.points_seconds[3, 2] = np.nan
    filled = filled_points(found, 500)
    np.testing.assert_allclose(filled[3, 2, 1] - found.r_peaks[3] / 500, 0.3, atol=0.02)
    np.testing.assert_array_equal(filled[4], found.points_seconds[4])


def test_fixed_windows_say_so():
    windows = wave_windows(planted_ecg(without=("T", "P"), noise_mv=0.0)[None], 500)
    row = windows.table.iloc[0]
    assert row["method"] == "fixed windows"
    assert row["reason"].startswith("T found in ")
    assert np.isnan(row["qt_ms"])
    r_sample = round(R_SECONDS[2] * 500)
    assert windows.masks["QRS"][0, r_sample]
    assert windows.masks["T"][0, r_sample + 125]
    assert windows.n_by_method == {"fixed windows": 1}


BAD = {
    "flat in every lead": np.zeros((1000, 12)),
    "shorter than 2 s": planted_ecg()[:150],
    "not finite": np.full((1000, 12), np.nan),
}


@pytest.mark.parametrize("reason", BAD)
def test_bad_ecgs_have_no_windows_and_a_reason(reason):
    windows = wave_windows(BAD[reason][None], 100)
    assert windows.table[["method", "reason"]].iloc[0].tolist() == ["no beats", reason]
    assert not any(mask.any() for mask in windows.masks.values())
    assert len(windows.r_peaks[0]) == 0


@pytest.mark.parametrize("seed", range(4))
def test_noise_steps_and_spikes_never_raise(seed):
    rng = np.random.default_rng(seed)
    spike = np.zeros((1000, 12))
    spike[500] = 5
    pair = spike.copy()
    pair[520 + 100 * seed] = 5
    ecg = np.stack(
        [
            rng.normal(0, 0.3, (1000, 12)),
            np.cumsum(rng.integers(0, 2, (1000, 12)), axis=0) * 0.5,
            spike,
            pair,
            np.tile(rng.normal(0, 1, (1000, 1)), 12),
        ]
    )
    table = wave_windows(ecg, 100).table
    assert set(table["method"]) <= {"delineated", "fixed windows", "no beats"}
    assert (table.loc[table["method"] != "delineated", "reason"] != "").all()


@pytest.mark.real_data
def test_intervals_of_ptbxl_are_plausible(data_root):
    import wfdb

    headers = sorted((data_root / "ptbxl_wfdb" / "records100").rglob("*_lr.hea"))[::30]
    ecg = np.stack([wfdb.rdrecord(str(path.with_suffix(""))).p_signal for path in headers])
    table = wave_windows(ecg, 100).table
    assert len(table) >= 10
    assert (table["method"] == "delineated").mean() > 0.7
    assert 70 < table["qrs_ms"].median() < 130
    assert 120 < table["pr_ms"].median() < 210
    assert 330 < table["qt_ms"].median() < 450
