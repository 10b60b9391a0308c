"""Measurements worked by hand on constructed beats, and found again in whole records."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from explainability.beat_intervals import INTERVALS
from explainability.ecg_measurements import MEASUREMENTS, labels, measure_ecgs, measured_counts
from explainability.r_peaks import LEADS
from explainability.record_beats import MARKS, RecordBeats, find_beats

RATE = 500
SECONDS = np.arange(-175, 326) / RATE
MARKS_SECONDS = (-0.2, -0.1, -0.04, 0.04, 0.2, 0.36)


def boxes(**heights):
    """Return a beat whose QRS (-20 to 20 ms) and T (200 to 300 ms) are boxes, mV by lead."""
    beat = np.zeros((len(SECONDS), 12))
    for key, height in heights.items():
        wave, lead = key.split("_")
        start, stop = {
            "qrs": (-0.02, 0.02),
            "s": (0.022, 0.038),
            "st": (0.06, 0.18),
            "t": (0.2, 0.3),
        }[wave]
        beat[(start - 1e-9 <= SECONDS) & (stop + 1e-9 >= SECONDS), LEADS.index(lead)] = height
    return beat


def beats_of(*beats, marks=MARKS_SECONDS, rate_bpm=60.0, rate_hz=RATE):
    n = len(beats)
    rhythm = {
        "heart_rate_bpm": rate_bpm,
        "rmssd_ms": 10.0,
        "n_premature_beats": 0.0,
        "n_beats": 10.0,
    }
    return RecordBeats(
        SECONDS,
        np.stack(beats),
        pd.DataFrame([marks] * n, columns=list(MARKS)),
        pd.DataFrame([(160.0, 80.0, 400.0)] * n, columns=list(INTERVALS)),
        pd.DataFrame([rhythm] * n),
        [np.array([1000])] * n,
        float(rate_hz),
    )


def test_the_qt_interval_is_corrected_for_the_rate():
    row = measure_ecgs(beats_of(boxes(qrs_I=1.0), rate_bpm=120.0)).iloc[0]
    assert row[["pr_ms", "qrs_ms", "qt_ms"]].tolist() == [160, 80, 400]
    assert row["qtc_fridericia_ms"] == pytest.approx(400 / 0.5 ** (1 / 3))


@pytest.mark.parametrize(
    ("height_i", "height_avf", "axis"),
    [
        (1.0, 0.0, 0.0),
        (0.0, 1.0, 90.0),
        (1.0, np.sqrt(3) / 2, 45.0),  # equal components after the augmented lead is scaled
        (0.5, -0.75, -60.0),  # tan 60 = 2 / sqrt 3 * 0.75 / 0.5
        (-1.0, 0.0, 180.0),
    ],
)
def test_axis_by_hand(height_i, height_avf, axis):
    row = measure_ecgs(beats_of(boxes(qrs_I=height_i, qrs_aVF=height_avf, t_I=0.2))).iloc[0]
    assert row["qrs_axis_degrees"] == pytest.approx(axis)
    assert row["t_axis_degrees"] == pytest.approx(0.0)
    assert row["qrs_t_angle_degrees"] == pytest.approx(abs(axis))


def test_voltages_st_and_t_by_hand():
    beat = boxes(
        qrs_I=0.3, qrs_aVL=0.7, qrs_V5=2.0, qrs_V6=1.5, s_V1=-1.2, s_V3=-0.9,
        st_V2=0.25, t_V4=-0.3, t_V5=-0.1, t_V6=0.2,
    )  # fmt: skip
    row = measure_ecgs(beats_of(beat)).iloc[0]
    assert row["sokolow_lyon_mv"] == pytest.approx(1.2 + 2.0)
    assert row["cornell_mv"] == pytest.approx(0.7 + 0.9)
    assert row["limb_qrs_mv"] == pytest.approx(0.7)
    assert row["has_low_limb_voltage"] == 0.0
    assert row["st_v2_mv"] == pytest.approx(0.25)  # 60 ms after the end of QRS at 40 ms
    assert row["st_v3_mv"] == pytest.approx(0.0)
    assert row["t_v4_mv"] == pytest.approx(-0.3)
    assert row["n_inverted_t_v4_v6"] == 2.0
    low = measure_ecgs(beats_of(boxes(qrs_I=0.3, s_I=-0.1))).iloc[0]
    assert low["has_low_limb_voltage"] == 1.0


def test_notches_are_counted_at_500_hz_and_never_at_100():
    plain, notched = boxes(), boxes()
    place = (SECONDS >= -0.04) & (SECONDS <= 0.04)
    triangle = 1 - np.abs(SECONDS[place]) / 0.04
    plain[place, 1] = triangle
    notched[place, 1] = triangle - 0.3 * np.exp(-0.5 * (SECONDS[place] / 0.004) ** 2)
    notched[place, 1] -= 0.3 * np.exp(-0.5 * ((SECONDS[place] - 0.02) / 0.004) ** 2)
    found = measure_ecgs(beats_of(plain, notched))
    assert found["n_notched_leads"].tolist() == [0.0, 1.0]
    assert measure_ecgs(beats_of(plain, rate_hz=100))["n_notched_leads"].isna().all()


def test_what_cannot_be_measured_is_missing_and_counted():
    no_p = (np.nan, np.nan, *MARKS_SECONDS[2:])
    no_t = (*MARKS_SECONDS[:4], np.nan, np.nan)
    nothing = np.full_like(boxes(), np.nan)
    found = pd.concat(
        [
            measure_ecgs(beats_of(boxes(qrs_I=1.0, t_I=0.3), marks=no_p)),
            measure_ecgs(beats_of(boxes(qrs_I=1.0), marks=no_t)),
            measure_ecgs(beats_of(nothing, marks=(np.nan,) * 6)),
        ],
        ignore_index=True,
    )
    assert found["t_v5_mv"].notna().tolist() == [True, False, False]
    assert found["n_inverted_t_v4_v6"].notna().tolist() == [True, False, False]
    assert found["qrs_axis_degrees"].notna().tolist() == [True, True, False]
    assert found.loc[2, "qrs_axis_degrees":].isna().all()
    counts = measured_counts(found).set_index("measurement")
    assert counts.loc["t_v5_mv", ["n_measured", "n_missing"]].tolist() == [1, 2]
    assert counts.loc["qrs_ms", "median"] == 80


def test_every_measurement_has_a_label_with_a_unit_and_known_leads():
    assert len({item.name for item in MEASUREMENTS}) == len(MEASUREMENTS) == 40
    assert all("(" in label for label in labels().values())
    assert all(set(item.leads) <= set(LEADS) for item in MEASUREMENTS)


def record(rate_hz, *, rr_seconds=0.8, n_beats=12, premature=()):
    """Return ten seconds of P, QRS and T as Gaussians with limb leads after Einthoven."""
    time = np.arange(round(10 * rate_hz)) / rate_hz
    peaks = 0.4 + rr_seconds * np.arange(n_beats)
    for beat in premature:
        peaks[beat] -= 0.35 * rr_seconds
    waves = {"p": (-0.16, 0.02, 0.12), "r": (0.0, 0.015, 1.0), "t": (0.28, 0.04, 0.3)}
    lead_i, lead_ii = np.zeros_like(time), np.zeros_like(time)
    for peak in peaks:
        for name, (at, width, height) in waves.items():
            bump = height * np.exp(-0.5 * ((time - peak - at) / width) ** 2)
            lead_i += 0.5 * bump
            lead_ii += bump * (-1 if name == "t" else 1)
    limb = [lead_i, lead_ii, lead_ii - lead_i, -(lead_i + lead_ii) / 2]
    limb += [lead_i - lead_ii / 2, lead_ii - lead_i / 2]
    chest = [gain * lead_ii for gain in (-0.5, 0.4, 0.8, 1.2, 1.1, 0.9)]
    noise = np.random.default_rng(0).normal(0, 0.005, (len(time), 12))
    return np.stack([*limb, *chest], axis=1) + noise


@pytest.mark.parametrize("rate_hz", [100, 500])
def test_known_truth_is_found_in_whole_records(rate_hz):
    ecg = np.stack([record(rate_hz), record(rate_hz, premature=(5, 8))])
    found = measure_ecgs(find_beats(ecg, rate_hz))
    assert found["heart_rate_bpm"].to_numpy() == pytest.approx(75, abs=0.5)
    assert found["n_premature_beats"].tolist() == [0.0, 2.0]
    # Gaussians have no ends: what counts as one is within three standard deviations.
    assert found["pr_ms"].between(130, 200).all()
    assert found["qrs_ms"].between(40, 110).all()
    assert found["qt_ms"].between(340, 480).all()
    # QRS: I 0.5, aVF 0.75 -> atan(2 / sqrt 3 * 1.5) = 60; T: I 0.15, aVF -0.375 -> -70.9
    assert found["qrs_axis_degrees"].to_numpy() == pytest.approx(60.0, abs=2)
    assert found["t_axis_degrees"].to_numpy() == pytest.approx(-70.9, abs=3)
    assert found["t_v5_mv"].to_numpy() == pytest.approx(-0.33, abs=0.02)
    assert found["n_inverted_t_v4_v6"].tolist() == [3.0, 3.0]
    assert found["cornell_mv"].to_numpy() == pytest.approx(0.0, abs=0.08)


def test_a_flat_record_has_no_measurements():
    found = measure_ecgs(find_beats(np.zeros((1, 1000, 12)), 100))
    assert found.isna().all(axis=None)
