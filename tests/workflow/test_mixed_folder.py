"""A folder of many formats prepared in one go, and no identifier in anything that leaves it."""

import importlib.util
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.io
import wfdb

from data_processing.leads import LEADS
from data_processing.readers import FORMATS
from workflow.__main__ import main
from workflow.artifacts import Artifacts

pytestmark = pytest.mark.slow
# Every name, number, path, heading and free text that could lead to a person holds this word.
CANARY = "CANARY"
WRITERS = Path(__file__).parents[1] / "data_processing"
FAULTS = {
    "cut": lambda content: content[: len(content) // 2],
    "empty": lambda content: b"",
    "words": lambda content: b"CANARY Maria, born 1.1.1950\n" * 40,
}
RUN = ["run", "--profile", "smoke", "--only", "01"]


def writers(name):
    """Return the module of tests that writes files of some formats."""
    spec = importlib.util.spec_from_file_location(name, WRITERS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def ecg_of(seed):
    """Return an ECG of 10 s at 500 Hz whose limb leads fit, (5000, 12) mV."""
    rng = np.random.default_rng(seed)
    time = np.arange(5000) / 500
    beat = np.exp(-((((time % (0.7 + 0.01 * seed)) - 0.35) / 0.015) ** 2))[:, None]
    wave = np.exp(-((((time % (0.7 + 0.01 * seed)) - 0.55) / 0.05) ** 2))[:, None]
    gains = np.array([0.7, 0.9, 0, 0, 0, 0, -0.6, -0.5, 0.3, 1.1, 1.3, 0.9])
    signal = beat * gains * rng.uniform(0.7, 1.3, 12) + wave * 0.2 * np.abs(gains)
    signal += 0.01 * rng.standard_normal(signal.shape)
    one, two = signal[:, 0].copy(), signal[:, 1].copy()
    signal[:, 2:6] = np.stack([two - one, -(one + two) / 2, one - two / 2, two - one / 2], axis=1)
    return signal


def write_wfdb(path, signal):
    wfdb.wrsamp(
        path.name,
        500,
        ["mV"] * 12,
        list(LEADS),
        signal,
        fmt=["16"] * 12,
        adc_gain=[1000.0] * 12,
        baseline=[0] * 12,
        comments=[f"{CANARY} Maria"],
        write_dir=str(path.parent),
    )
    return path.with_suffix(".hea")


def write_everything(folder):
    """Write ECGs of all formats, whole ones and damaged ones; return their paths."""
    formats, scp, xml = writers("test_formats"), writers("test_scp_ecg"), writers("test_vendor_xml")
    edf, arrays = writers("test_edf"), writers("test_array_readers")

    def dicom(path, signal):
        dataset = formats.dicom_dataset(signal)
        dataset.save_as(path, enforce_file_format=True)

    def scp_ecg(path, signal):
        steps = 2 * np.rint(signal * 1e6 / scp.STEP_NV / 2).astype(np.int64)
        path.write_bytes(scp.record(scp.bodies(steps)))

    ways = {
        "wfdb": write_wfdb,
        "dicom": dicom,
        "muse": lambda p, s: p.write_text(formats.muse_text(s), encoding="latin-1"),
        "aecg": lambda p, s: p.write_text(formats.aecg_text(s)),
        "sapphire": lambda p, s: p.write_text(xml.sapphire_text(s)),
        "cardiosoft": lambda p, s: p.write_text(xml.cardiosoft_text(s)),
        "philips": lambda p, s: p.write_text(xml.philips_text(s)),
        "scp": scp_ecg,
        "edf": lambda p, s: edf.write(p, edf.edf_signals(s)),
        "npy": lambda p, s: np.save(p, s),
        "npz": lambda p, s: np.savez(p, signal=s, patient=CANARY),
        "mat": lambda p, s: scipy.io.savemat(p, {"ecg": {"data": s.T, "name": CANARY}}),
        "hdf5": lambda p, s: arrays.write_hdf5(p, s),
        "csv": lambda p, s: arrays.write_csv(p, s),
    }
    suffixes = {"npy": ".npy", "npz": ".npz", "edf": ".edf"}  # their writers add or demand them
    paths = []
    for number, (name, write) in enumerate(ways.items()):
        for copy in range(3):
            path = folder / f"{CANARY}_{name}_{copy}{suffixes.get(name, '')}"
            paths.append(write(path, ecg_of(3 * number + copy)) or path)
            paths[-1] = path.with_suffix(".hea") if name == "wfdb" else path
    for name, fault in FAULTS.items():
        for path in paths[3::3][:8]:
            spoilt = path.with_name(f"{name}_{path.name}")
            spoilt.write_bytes(fault(path.read_bytes()))
            paths.append(spoilt)
    return paths


@pytest.fixture(scope="module")
def hospital(tmp_path_factory):
    """Return a hospital's folder with its mapping, and how many files are whole."""
    folder = tmp_path_factory.mktemp("hospital") / f"{CANARY}_hospital"
    (folder / "ecg").mkdir(parents=True)
    paths = write_everything(folder / "ecg")
    table = pd.DataFrame(
        {
            "pid": [f"{CANARY}-{k:03d}" for k in range(len(paths))],
            "name": f"{CANARY} Maria",
            "ecg": [f"ecg/{path.name}" for path in paths],
            "age": 50 + np.arange(len(paths)) % 20,
            "event": np.arange(len(paths)) % 2,
        }
    )
    table.to_csv(folder / "all.csv", index=False)
    (folder / "key").write_text("CANARY-secret-key-of-the-hospital")
    leads = ", ".join(LEADS)
    (folder / "my.yaml").write_text(
        "title: A mixed folder\ntarget: event\ntables: {patients: all.csv}\n"
        "columns: {patient: pid, ecg_file: ecg}\noutcome: {column: event}\n"
        f"signals: {{unit: mV, rate_hz: 500, leads: [{leads}]}}\npseudonym_key: key\n"
        "covariates:\n  - {name: age_years, kind: number, column: age, unit: years}\n"
    )
    return folder


@pytest.fixture(scope="module")
def prepared(hospital, tmp_path_factory):
    """Return the run of notebook 01 on it."""
    directory = tmp_path_factory.mktemp("mixed") / "run"
    assert main([*RUN, "--cohort", str(hospital / "my.yaml"), "--name", str(directory)]) == 0
    return Artifacts(directory)


def test_every_format_is_read_and_every_refusal_has_its_reason(prepared):
    records, rejected = prepared.read_table("records"), prepared.read_table("rejected")
    assert set(records["source_format"]) == set(FORMATS)
    assert (records["source_format"].value_counts() % 3 == 0).all()
    assert len(records) == 42
    assert len(rejected) == 8 * len(FAULTS)
    assert (rejected["reason"].str.len() > 40).all()
    assert rejected["reason"].str.contains("must").all()
    signals = prepared.signals()
    assert len(signals) == len(records)
    for row in records.itertuples():
        assert 0.2 < np.ptp(signals[row.signal_row, :, 10]) < 4.0, row.source_format


def searched(path):
    """Return all a file says, tables decompressed."""
    if path.suffix == ".parquet":
        frame = pd.read_parquet(path)
        return frame.to_csv() + " ".join(map(str, frame.columns))
    return path.read_bytes().decode("latin-1")


def test_no_identifier_is_in_any_artifact(prepared):
    private = prepared.directory / "01_data" / "private"
    seen = 0
    for path in prepared.directory.rglob("*"):
        if path.is_dir() or private in path.parents:
            continue
        seen += 1
        text = searched(path)
        if path.name == "run.json" or path.suffix == ".ipynb":
            # They hold the path of the mapping, which its owner chose to call so.
            text = text.replace(f"{CANARY}_hospital", "")
        assert CANARY not in text, path.name
    assert seen > 12
    assert CANARY in searched(private / "identifiers.parquet")


def test_no_identifier_is_in_errors_and_logs(hospital, tmp_path, capfd):
    folder = tmp_path / "copy"
    shutil.copytree(hospital, folder)
    table = pd.read_csv(folder / "all.csv", dtype=str)
    table.loc[3, "age"] = f"{CANARY}"
    table.loc[5, "event"] = f"{CANARY}"
    table.loc[7, "ecg"] = f"ecg/{CANARY}_not_there"
    table.loc[9, "pid"] = table.loc[8, "pid"]
    table.to_csv(folder / "all.csv", index=False)
    words = [*RUN, "--cohort", str(folder / "my.yaml"), "--name", str(tmp_path / "run")]
    assert main(words) == 1
    said = "".join(capfd.readouterr())
    assert "row 5" in said
    assert CANARY not in said
    for path in (tmp_path / "run").rglob("*"):
        if not path.is_dir() and "private" not in path.parts:
            assert CANARY not in searched(path), path.name


def test_the_key_gives_the_same_patient_the_same_pseudonym(prepared, hospital, tmp_path):
    folder = tmp_path / "smaller"
    shutil.copytree(hospital, folder)
    table = pd.read_csv(folder / "all.csv", dtype=str).iloc[:36].iloc[::-1]
    table.to_csv(folder / "all.csv", index=False)
    words = [*RUN, "--cohort", str(folder / "my.yaml"), "--name", str(tmp_path / "run")]
    assert main(words) == 0
    other = Artifacts(tmp_path / "run")
    one, two = (run.read_table("identifiers") for run in (prepared, other))
    same = one.merge(two, on="original_patient_id")
    assert len(same) == 36
    assert (same["patient_id_x"] == same["patient_id_y"]).all()
    assert (same["record_id_x"] == same["record_id_y"]).all()
    assert same["patient_id_x"].str.fullmatch(r"P[0-9a-f]{16}").all()
