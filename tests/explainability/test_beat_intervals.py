"""PR, QRS and QT are the same in every table, follow the normal beats, and fit cardiologists."""

from __future__ import annotations

import numpy as np
import pytest

from explainability.beat_intervals import intervals_of, measured_beats, told_apart
from explainability.delineation import delineate, wave_windows
from explainability.ecg_measurements import measure_ecgs
from explainability.r_peaks import LEADS
from explainability.record_beats import find_beats

# Onset, peak and offset of P, QRS and T in seconds relative to R: PR 160, QRS 90, QT 400 ms.
USUAL = np.array([[-0.20, -0.15, -0.10], [-0.04, 0.0, 0.05], [0.20, 0.30, 0.36]])
PEAKS = 500 * np.arange(1, 11)


def points_of(*changed):
    """Return the points of ten beats, the first of which differ as `changed` says."""
    points = np.stack([USUAL] * 10)
    for beat, change in enumerate(changed):
        for (wave, point), value in change.items():
            points[beat, wave, point] = value
    return points + (PEAKS / 500)[:, None, None]


def test_intervals_by_hand():
    found = intervals_of(points_of(), PEAKS, PEAKS)
    assert found == pytest.approx({"pr_ms": 160, "qrs_ms": 90, "qt_ms": 400})


def test_extra_beats_do_not_count():
    wide = {(1, 0): -0.10, (1, 2): 0.12, (2, 2): 0.50}
    points = points_of(*[wide] * 6)
    assert intervals_of(points, PEAKS, PEAKS)["qrs_ms"] == pytest.approx(220)
    found = intervals_of(points, PEAKS, PEAKS[6:])
    assert found == pytest.approx({"pr_ms": 160, "qrs_ms": 90, "qt_ms": 400})


def test_each_beat_is_measured_before_the_median_is_taken():
    # QRS begins and ends later together: as long in every beat, wherever R lies within it
    shifted = [{(1, 0): -0.04 + late, (1, 2): 0.05 + late} for late in (0.0, 0.01, 0.02, 0.03)]
    assert intervals_of(points_of(*shifted), PEAKS, PEAKS)["qrs_ms"] == pytest.approx(90)


@pytest.mark.parametrize(
    ("change", "missing"),
    [
        ({(0, 0): np.nan}, {"pr_ms"}),
        ({(2, 2): np.nan}, {"qt_ms"}),
        ({(1, 0): -0.12}, {"pr_ms", "qrs_ms", "qt_ms"}),  # within the P wave
        ({(0, 0): -0.50}, {"pr_ms"}),  # 460 ms
        ({(1, 2): 0.25}, {"qrs_ms"}),  # 290 ms
        ({(2, 2): 0.70}, {"qt_ms"}),  # 740 ms
    ],
)
def test_what_most_beats_lack_or_nobody_would_believe_is_missing(change, missing):
    few = intervals_of(points_of(*[change] * 4), PEAKS, PEAKS)
    assert few == pytest.approx({"pr_ms": 160, "qrs_ms": 90, "qt_ms": 400})
    most = intervals_of(points_of(*[change] * 6), PEAKS, PEAKS)
    assert {name for name, value in most.items() if np.isnan(value)} == missing


def test_without_normal_beats_there_are_no_intervals():
    found = intervals_of(np.zeros((0, 3, 3)), np.array([], int), np.array([], int))
    assert np.isnan(list(found.values())).all()


def test_the_given_points_stay_as_they_are():
    points = points_of({(1, 0): -0.12})
    told_apart(points)
    assert np.isfinite(points).all()


@pytest.mark.real_data
@pytest.mark.parametrize("folder", ["ludb/data", "ptbxl_wfdb/records100"])
def test_both_tables_show_the_same_intervals(data_root, folder):
    import wfdb

    headers = sorted((data_root / folder).rglob("*.hea"))[::6][:6]
    read = [wfdb.rdsamp(str(path.with_suffix(""))) for path in headers]
    ecg, rate_hz = np.stack([signal for signal, _ in read]), read[0][1]["fs"]
    columns = ["heart_rate_bpm", "pr_ms", "qrs_ms", "qt_ms"]
    by_wave = wave_windows(ecg, rate_hz).table[columns].to_numpy(float)
    measured = measure_ecgs(find_beats(ecg, rate_hz))[columns].to_numpy(float)
    np.testing.assert_array_equal(by_wave, measured)
    assert np.isfinite(measured).mean() > 0.7


@pytest.mark.real_data
def test_qrs_and_qt_of_ludb_fit_the_cardiologists_marks(data_root):
    """Against the medians over leads and beats of the marks, every third record."""
    from data_processing.readers import read_ecg

    errors = []
    for header in sorted((data_root / "ludb" / "data").glob("*.hea"))[::3]:
        record = read_ecg(header)  # the gains of LUDB's headers are wrong
        signal, rate_hz = record.signal_mv, record.rate_hz
        found = delineate(signal, rate_hz)
        normal = measured_beats(signal, found.r_peaks, rate_hz).r_peaks
        ours = intervals_of(found.points_seconds, found.r_peaks, normal)
        marked = _marked(str(header.with_suffix("")))
        errors.append(np.array([ours["qrs_ms"], ours["qt_ms"]]) - marked)
    errors = np.array(errors)
    assert len(errors) >= 15
    assert np.isfinite(errors).mean() > 0.9
    mean, spread = np.nanmean(errors, axis=0), np.nanstd(errors, axis=0)
    assert mean == pytest.approx([-5, 0], abs=8)
    assert (spread < [18, 25]).all()


def _marked(path):
    """Return the marked QRS and QT in ms, medians over leads of medians over beats."""
    import wfdb

    by_lead = []
    for name in LEADS:
        marks = wfdb.rdann(path, name.lower())
        symbols, seconds = np.array(marks.symbol), marks.sample / 500
        rows = []
        for i in np.flatnonzero(symbols == "N"):
            if not (0 < i < len(symbols) - 1 and symbols[i - 1] == "(" and symbols[i + 1] == ")"):
                continue
            is_t = len(symbols) > i + 4 and symbols[i + 3] == "t" and symbols[i + 4] == ")"
            t_stop = seconds[i + 4] if is_t else np.nan
            rows.append((seconds[i + 1] - seconds[i - 1], t_stop - seconds[i - 1]))
        by_lead.append(np.nanmedian(rows, axis=0))
    return 1000 * np.nanmedian(by_lead, axis=0)
