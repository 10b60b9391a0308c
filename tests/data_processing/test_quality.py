"""The quality of an ECG: each planted fault is found in its lead, and no other."""

import numpy as np
import pytest

from data_processing.heart_beats import block_means, find_r_peaks
from data_processing.leads import LEADS
from data_processing.quality import QualityThresholds, assess_quality
from data_processing.quality_figures import plot_worst, read_worst
from data_processing.readers import read_ecg

RATE_HZ = 500
TIME = np.arange(5000) / RATE_HZ


@pytest.fixture
def ecg(make_ecg):
    """Return an ECG without a fault."""
    signal = make_ecg(5)
    assert assess_quality(signal, RATE_HZ).findings == ()
    return signal


def flat(lead):
    lead[:] = 0.3


def stuck(lead):
    lead[1000:1700] = lead[1000]


def saturated(lead):
    lead[:] = np.clip(lead * 5, -0.4, 0.4)


def wander(lead):
    lead += 0.7 * np.sin(2 * np.pi * 0.2 * TIME)


def drift(lead):
    lead += np.linspace(0, 3, len(lead))


def hum(lead):
    lead += 0.1 * np.sin(2 * np.pi * 50 * TIME)


def hum_60(lead):
    lead += 0.1 * np.sin(2 * np.pi * 60.1 * TIME)


def noise(lead):
    lead += np.random.default_rng(0).normal(0, 0.1, len(lead))


def no_beats(lead):
    lead[:] = 0.1 * np.random.default_rng(1).normal(size=50).repeat(100)


@pytest.mark.parametrize(
    ("fault", "finding"),
    [
        (flat, "flat: V2"),
        (stuck, "stuck for over 1 s: V2"),
        (saturated, "saturated: V2"),
        (wander, "baseline wander: V2"),
        (drift, "baseline wander: V2"),
        (hum, "mains hum: V2"),
        (hum_60, "mains hum: V2"),
        (noise, "noise: V2"),
        (no_beats, "beats cannot be recognised: V2"),
    ],
)
def test_a_fault_is_found_in_its_lead(ecg, fault, finding):
    fault(ecg[:, LEADS.index("V2")])
    assert finding in assess_quality(ecg, RATE_HZ).findings


def test_the_measures_have_the_size_of_what_was_planted(ecg):
    before = assess_quality(ecg, RATE_HZ).by_lead
    column = LEADS.index("V4")
    ecg[:, column] += 0.2 * np.sin(2 * np.pi * 50 * TIME)
    ecg[:, column + 1] += np.random.default_rng(2).normal(0, 0.1, len(ecg))
    after = assess_quality(ecg, RATE_HZ).by_lead
    assert after["mains_mv"][column] == pytest.approx(0.2, rel=0.05)
    # white noise of 0.1 mV: a fifth of the power is left at 100 Hz, of that half above 20 Hz
    assert after["noise_mv"][column + 1] == pytest.approx(0.1 * np.sqrt(0.2 * 0.5), rel=0.15)
    others = [k for k in range(12) if k not in (column, column + 1)]
    for name in before:
        np.testing.assert_allclose(after[name][others], before[name][others], atol=0.02)


def test_noise_lowers_the_index_and_scaling_does_not(ecg):
    rng = np.random.default_rng(3)
    noisy = [ecg + rng.normal(0, sd, ecg.shape) for sd in (0.0, 0.3, 1.0)]
    indices = [assess_quality(signal, RATE_HZ).index for signal in noisy]
    assert indices[0] > 0.95
    assert indices[0] > indices[1] > indices[2]
    assert assess_quality(3 * ecg, RATE_HZ).index == pytest.approx(indices[0], abs=0.01)


def test_beats_and_heart_rate(make_ecg):
    signal = make_ecg(8, noise_mv=0)
    means, _ = block_means(signal, RATE_HZ)
    peaks = find_r_peaks(means, 100)
    interval = np.median(np.diff(peaks)) / 100
    assert 0.65 < interval < 1.05  # as make_ecg draws it
    assert np.ptp(np.diff(peaks)) < 20
    assert assess_quality(signal, RATE_HZ).heart_rate_bpm == pytest.approx(60 / interval)


def with_spikes(signal, rate_hz):
    """Return an ECG with a pacemaker's spike 40 ms before each beat."""
    peaks = find_r_peaks(block_means(signal, rate_hz)[0], 100) * round(rate_hz / 100)
    paced = signal.copy()
    for peak in peaks[1:-1]:
        paced[peak - round(0.12 * rate_hz)] += np.linspace(0.4, 1.0, 12)
    return paced, len(peaks) - 2


def test_the_spikes_of_a_pacemaker_are_counted(make_ecg):
    paced, n_planted = with_spikes(make_ecg(9), RATE_HZ)
    quality = assess_quality(paced, RATE_HZ)
    assert quality.n_spikes >= n_planted - 1
    assert "pacemaker spikes" in quality.findings
    assert assess_quality(make_ecg(9, rate_hz=100), 100).n_spikes == -1


@pytest.mark.real_data
def test_spikes_in_real_ecgs(data_root):
    found, planted = [], []
    for path in sorted((data_root / "ptbxl_wfdb" / "records500").rglob("*.hea"))[:40]:
        ecg = read_ecg(path)
        found.append(assess_quality(ecg.signal_mv, ecg.rate_hz).n_spikes)
        paced, _ = with_spikes(ecg.signal_mv, ecg.rate_hz)
        planted.append(assess_quality(paced, ecg.rate_hz).n_spikes)
    assert sum(n > 0 for n in found) <= 1
    assert sum(n > 2 for n in planted) >= 30


@pytest.mark.real_data
def test_experts_and_we_agree_on_baseline_drift(data_root):
    from pandas import read_csv

    table = read_csv(data_root / "ptbxl_wfdb" / "ptbxl_database.csv").set_index("ecg_id")
    drift, ours = [], []
    for path in sorted((data_root / "ptbxl_wfdb" / "records500").rglob("*.hea")):
        ecg = read_ecg(path)
        ours.append(assess_quality(ecg.signal_mv, ecg.rate_hz).by_lead["wander_mv"].max())
        drift.append(isinstance(table.loc[int(path.name[:5]), "baseline_drift"], str))
    ours, drift = np.array(ours), np.array(drift)
    assert (ours[drift][:, None] > ours[~drift]).mean() > 0.75


@pytest.mark.parametrize("rate_hz", [50, 100, 240, 1000])
@pytest.mark.parametrize("n", [4, 60, 900])
def test_short_and_slow_ecgs_are_assessed_too(rate_hz, n):
    rng = np.random.default_rng(n)
    quality = assess_quality(rng.normal(0, 0.2, (n, 12)), rate_hz)
    assert 0 <= quality.index <= 1
    for values in quality.by_lead.values():
        assert values.shape == (12,)


def test_thresholds_are_parameters(ecg):
    strict = QualityThresholds(noise_mv=0.001)
    assert any(text.startswith("noise: ") for text in assess_quality(ecg, 500, strict).findings)
    with pytest.raises(ValueError, match=r"wander_mv must be 0 or more, got -1"):
        QualityThresholds(wander_mv=-1)


def test_the_worst_are_read_again_and_drawn(tmp_path, make_ecg, write_wfdb):
    import pandas as pd

    records, paths = [], []
    for k in range(5):
        signal = make_ecg(k)
        signal[:, 6:] += np.random.default_rng(k).normal(0, 0.3 * k**2, (5000, 6))
        path = write_wfdb(tmp_path / f"E{k}", signal)
        index = assess_quality(signal, RATE_HZ).index
        records.append({"record_id": f"R{k}", "quality_index": index})
        paths.append({"record_id": f"R{k}", "path": str(path), "record": ""})
    worst = read_worst(pd.DataFrame(records), pd.DataFrame(paths), n_worst=3)
    assert [item.record_id for item in worst] == ["R4", "R3", "R2"]
    figure = plot_worst(worst)
    titles = [ax.get_title(loc="left") for ax in figure.axes if ax.get_visible()]
    assert [title.split()[0] for title in titles] == ["R4", "R3", "R2"]
    with pytest.raises(ValueError, match="worst must hold at least one ECG"):
        plot_worst([])
