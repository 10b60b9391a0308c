"""Made-up ECGs, WFDB files and hospital folders."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

LEADS = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")


def complete_limb_leads(signal):
    """Fill III, aVR, aVL and aVF from I and II."""
    one, two = signal[:, 0], signal[:, 1]
    signal[:, 2:6] = np.stack([two - one, -(one + two) / 2, one - two / 2, two - one / 2], axis=1)
    return signal


@pytest.fixture(scope="session")
def make_ecg():
    """Return a maker of ECGs: random beats at irregular times, (n, 12) float64 mV."""

    def make(seed, *, rate_hz=500, seconds=10.0, noise_mv=0.005):
        rng = np.random.default_rng(seed)
        time = np.arange(round(rate_hz * seconds)) / rate_hz
        peaks = np.cumsum(rng.normal(rng.uniform(0.7, 1.0), 0.03, 40)) - 1.0
        signal = np.zeros((len(time), 12))
        for offset, width, height in ((-0.16, 0.02, 0.15), (0, 0.012, 1.0), (0.28, 0.05, 0.3)):
            gains = rng.normal(0.5, 0.8, 12) * height
            wave = np.exp(-(((time[:, None] - peaks - offset) / width) ** 2) / 2).sum(axis=1)
            signal += wave[:, None] * gains
        signal += noise_mv * rng.standard_normal(signal.shape)
        return complete_limb_leads(signal)

    return make


@pytest.fixture(scope="session")
def write_wfdb():
    """Return a writer of 16-bit WFDB records; keywords spoil the header on purpose."""

    def write(path, signal_mv, *, rate_hz=500, names=LEADS, units_per=1000, unit="mV", gain=None):
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        stored = np.rint(signal_mv * units_per).astype("<i2")
        path.with_suffix(".dat").write_bytes(stored.tobytes())
        sums = stored.sum(axis=0, dtype=np.int64) % 65536
        gain = f"{units_per}(0)/{unit}" if gain is None else gain
        lines = [f"{path.stem} {len(names)} {rate_hz} {len(stored)}"]
        lines += [
            f"{path.stem}.dat 16 {gain} 16 0 {first} {total} 0 {name}"
            for first, total, name in zip(stored[0], sums, names, strict=True)
        ]
        path.with_suffix(".hea").write_text("\n".join(lines) + "\n")
        return path.with_suffix(".hea")

    return write


@pytest.fixture
def hospital_tables():
    """Return the two tables of a small, right cohort; tests spoil their copies."""
    n = 8
    patients = pd.DataFrame(
        {
            "patient_id": [f"HOSP-{k}" for k in range(n)],
            "index_date": "2015-01-10",
            "age_years": ["50", "61.5", "", "44", "39", "70", "58", "66"],
            "sex": ["male", "female"] * 4,
            "lvef_percent": ["30", "25", "40", "", "35", "20", "28", "33"],
            "lge_present": ["1", "0", "", "1", "0", "1", "0", "1"],
            "lge_pattern": ["ring_like", "none", "", "midwall_septal"] * 2,
            "pathogenic_variant": ["1", "0", "", "0"] * 2,
            "covariates_date": "2015-01-05",
            "event_type": ["sustained_vt", "", "death_other", "", "sustained_vt", "", "", ""],
            "event_date": ["2016-01-10", "", "2015-06-01", "", "2018-12-31", "", "", ""],
            "last_contact_date": ["2020-01-01", "2019-01-01", "2015-06-01", "2015-12-01"]
            + ["2020-01-01"] * 4,
        }
    )
    ecgs = pd.DataFrame(
        {
            "patient_id": patients["patient_id"],
            "ecg_file": [f"ecg/E{k}" for k in range(n)],
            "recorded_at": "2015-01-02T08:30:00",
        }
    )
    return patients, ecgs


@pytest.fixture
def write_hospital(tmp_path, make_ecg, write_wfdb):
    """Return a writer of a hospital's folder from two tables."""

    def write(patients, ecgs, *, has_files=False):
        folder = tmp_path / "hospital"
        folder.mkdir(exist_ok=True)
        patients.to_csv(folder / "patients.csv", index=False)
        ecgs.to_csv(folder / "ecgs.csv", index=False)
        for seed, name in enumerate(ecgs["ecg_file"] if has_files else []):
            write_wfdb(folder / name, make_ecg(seed))
        return folder

    return write


@dataclass
class Parameters:
    """The parameters of notebook 01 that open a cohort."""

    cohort: str = "synthetic_nicm"
    data_root: str = ""
    atypical: str = "exclude"
    n_patients: int = 25
    effect_size: float = 1.0
    horizon_days: int = 1095
    target: str = ""
    source_rate_hz: int = 0
    seed: int = 0


@pytest.fixture
def parameters():
    """Return the maker of a cohort's parameters."""
    return Parameters


@pytest.fixture
def damage():
    """Return a maker of damaged copies of a file: cut off, bits flipped, blocks overwritten."""

    def make(path, *, n_files, seed=0):
        rng = np.random.default_rng(seed)
        content = path.read_bytes()
        for _ in range(n_files):
            start = int(rng.integers(min(len(content), rng.choice([600, len(content)]))))
            spoilt = bytearray(content)
            kind = rng.integers(4)
            if kind == 0:
                del spoilt[start:]
            elif kind == 1:
                spoilt[start] ^= 1 << int(rng.integers(8))
            elif kind == 2:
                spoilt[start : start + 8] = rng.bytes(8)
            else:
                spoilt[start : start + 4] = b"\xff\xff\xff\x7f"
            path.write_bytes(spoilt)
            yield path

    return make
