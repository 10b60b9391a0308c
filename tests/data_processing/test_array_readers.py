"""Bare numbers: NPY, NPZ, MATLAB, HDF5 and CSV; what they state, what must be declared."""

import io
import json
import struct
import zipfile
import zlib

import h5py
import numpy as np
import pytest
import scipy.io

from data_processing.declared import DeclaredSignal
from data_processing.leads import LEADS
from data_processing.readers import csv_table, read_ecg
from data_processing.signals import ECGError

DECLARED = DeclaredSignal("mV", 500.0, LEADS)
CANARY = "CANARY^MARIA"


@pytest.fixture
def signal(make_ecg):
    """Return an ECG of 10 s at 500 Hz, (5000, 12) mV."""
    return make_ecg(11)


def write_csv(path, signal, *, separator=",", decimal=".", unit=" (mV)", time="time (s)"):
    heading = [f"{lead}{unit}" for lead in LEADS]
    rows = [[f"{value:.4f}" for value in row] for row in signal]
    if time:
        heading = [time, *heading]
        step = 2.0 if "ms" in time else 0.002
        rows = [[f"{k * step:.3f}", *row] for k, row in enumerate(rows)]
    lines = [separator.join(row).replace(".", decimal) for row in rows]
    text = f"# {CANARY}\n{separator.join(heading)}\n" + "\n".join(lines) + "\n"
    path.write_text(text, encoding="utf-8")
    return path


def write_hdf5(path, tracings, exam_id=None, **attributes):
    with h5py.File(path, "w") as file:
        file["tracings"] = tracings
        file.attrs["patient"] = CANARY
        if exam_id is not None:
            file["exam_id"] = exam_id
        for name, value in attributes.items():
            file[name] = value
    return path


def write_files(folder, signal):
    """Return one file a format with the same recording."""
    np.save(folder / "a.npy", signal)
    np.savez_compressed(folder / "a.npz", signal=signal, leads=LEADS, fs=500, patient=CANARY)
    scipy.io.savemat(folder / "a.mat", {"ecg": {"data": signal.T, "fs": 500, "name": CANARY}})
    scipy.io.savemat(folder / "a4.mat", {"val": signal.T}, format="4")
    scipy.io.savemat(folder / "az.mat", {"val": signal.T}, do_compression=True)
    write_hdf5(folder / "a.hdf5", signal)
    write_csv(folder / "a.csv", signal)
    return sorted(folder.iterdir())


@pytest.mark.parametrize("name", ["a.npy", "a.npz", "a.mat", "a4.mat", "az.mat", "a.hdf5", "a.csv"])
def test_each_format_gives_the_same_millivolts_whatever_its_name(tmp_path, signal, name):
    write_files(tmp_path, signal)
    path = (tmp_path / name).rename(tmp_path / "export")
    ecg = read_ecg(path, declared=DECLARED)
    np.testing.assert_allclose(ecg.signal_mv, signal, atol=6e-5)
    assert ecg.rate_hz == 500
    assert ecg.proof["leads"] == "checked"


def test_the_same_samples_have_one_hash_in_every_binary_format(tmp_path, signal):
    paths = [path for path in write_files(tmp_path, signal) if path.suffix != ".csv"]
    assert len({read_ecg(path, declared=DECLARED).file_sha256 for path in paths}) == 1


@pytest.mark.parametrize("name", ["a.npy", "a.npz", "a.mat", "a4.mat", "a.hdf5"])
def test_what_is_neither_stated_nor_declared_is_a_refusal_that_says_how(tmp_path, signal, name):
    write_files(tmp_path, signal)
    with pytest.raises(ECGError, match=r"unit|\.hea") as refusal:
        read_ecg(tmp_path / name)
    assert "eclare" in str(refusal.value)
    assert "CANARY" not in str(refusal.value)


def test_a_declaration_beside_a_lone_file_is_used_and_contradicts_no_cohort(tmp_path, signal):
    np.save(tmp_path / "x.npy", signal * 1000)
    beside = tmp_path / "x.json"
    beside.write_text(json.dumps({"unit": "uV", "rate_hz": 500, "leads": list(LEADS)}))
    np.testing.assert_allclose(read_ecg(tmp_path / "x.npy").signal_mv, signal, atol=1e-5)
    with pytest.raises(ECGError, match="unit must be declared once"):
        read_ecg(tmp_path / "x.npy", declared=DeclaredSignal(unit="mV"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "got no JSON"),
        ("[1]", "got something else besides"),
        (f'{{"unit": "mV", "patient": "{CANARY}"}}', "got something else besides"),
        ('{"unit": 1}', "got a unit that is no text"),
        ('{"rate_hz": true}', "got a rate_hz that is no number above 0"),
        ('{"rate_hz": NaN}', "got a rate_hz that is no number above 0"),
        ('{"leads": "I II"}', "got leads that are no list of names"),
        ("[" * 9_000, "got no JSON"),
        (" " * 10_001, "got more than 10000 bytes"),
    ],
)
def test_a_declaration_is_read_strictly(tmp_path, signal, text, message):
    np.save(tmp_path / "x.npy", signal)
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(ECGError) as refusal:
        read_ecg(tmp_path / "x.npy")
    assert str(refusal.value).startswith("declaration (the .json file of the ECG's name) must hold")
    assert message in str(refusal.value)
    assert "CANARY" not in str(refusal.value)


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        (DeclaredSignal("mV", 250.0, LEADS), "rate_hz must be the same in the file and in what is"),
        (DeclaredSignal("mV", 500.0, LEADS[::-1]), "leads must be the same in the file and"),
    ],
)
def test_a_file_that_states_something_else_is_refused(tmp_path, signal, declared, message):
    np.savez(tmp_path / "a.npz", signal=signal, leads=LEADS, fs=500)
    with pytest.raises(ECGError, match=message):
        read_ecg(tmp_path / "a.npz", declared=declared)


def test_leads_are_found_in_any_order_and_extra_ones_left_out(tmp_path, signal):
    names = (*LEADS[::-1], "RESP")
    with_more = np.concatenate([signal[:, ::-1], np.ones((len(signal), 1))], axis=1)
    np.save(tmp_path / "a.npy", with_more.T)
    ecg = read_ecg(tmp_path / "a.npy", declared=DeclaredSignal("mV", 500, names))
    np.testing.assert_allclose(ecg.signal_mv, signal, atol=1e-6)


@pytest.mark.parametrize("shape", [(12, 12), (5000, 11), (5000,), (2, 3, 5000, 12), (0, 12), ()])
def test_an_array_whose_axes_cannot_be_told_is_refused(tmp_path, shape):
    np.save(tmp_path / "a.npy", np.ones(shape))
    with pytest.raises(ECGError):
        read_ecg(tmp_path / "a.npy", declared=DECLARED)


@pytest.mark.parametrize("form", ["npy", "npz", "mat", "hdf5"])
def test_one_of_several_recordings_is_chosen_by_its_row(tmp_path, make_ecg, form):
    rows = np.stack([make_ecg(seed) for seed in range(3)])
    path = tmp_path / f"a.{form}"
    writers = {"npy": np.save, "npz": lambda p, x: np.savez(p, x), "hdf5": write_hdf5}
    writers["mat"] = lambda p, x: scipy.io.savemat(p, {"val": x})
    writers[form](path, rows)
    for row in range(3):
        ecg = read_ecg(path, record=str(row), declared=DECLARED)
        np.testing.assert_allclose(ecg.signal_mv, rows[row], atol=1e-6)
    for record, found in (("3", "got 3"), ("", "got nothing"), ("-1", "got a text")):
        with pytest.raises(ECGError, match=f"record must be the row .* 0 to 2, {found}"):
            read_ecg(path, record=record, declared=DECLARED)


def test_a_record_of_a_file_of_one_recording_is_refused(tmp_path, signal):
    np.save(tmp_path / "a.npy", signal)
    with pytest.raises(ECGError, match="record must be empty for a file of one recording"):
        read_ecg(tmp_path / "a.npy", record="7", declared=DECLARED)


def test_pickles_bombs_and_absurd_headers_are_refused(tmp_path, signal):
    np.save(tmp_path / "pickle.npy", np.array([{"a": CANARY}]), allow_pickle=True)
    np.savez(tmp_path / "pickle.npz", signal=np.array([{"a": CANARY}]))
    np.savez_compressed(tmp_path / "bomb.npz", signal=np.zeros((2_000_000, 12)))
    header = io.BytesIO()
    facts = {"descr": "<f8", "fortran_order": False, "shape": (10**12, 12)}
    np.lib.format.write_array_header_1_0(header, facts)
    (tmp_path / "absurd.npy").write_bytes(header.getvalue() + signal.tobytes())
    with zipfile.ZipFile(tmp_path / "absurd.npz", "w") as archive:
        archive.write(tmp_path / "absurd.npy", "signal.npy")
    messages = {
        "pickle.npy": "NPY file must hold numbers, got objects",
        "pickle.npz": "NPY file must hold numbers, got objects",
        "bomb.npz": "NPZ file must unpack to at most 256 MiB and 100 times its size",
        "absurd.npy": "must be as long as its header says, got 480000 bytes",
        "absurd.npz": "must be as long as its header says, got 480000 bytes",
    }
    for name, message in messages.items():
        with pytest.raises(ECGError, match=message):
            read_ecg(tmp_path / name, declared=DECLARED)


def test_a_matlab_bomb_is_refused_before_it_is_unpacked(tmp_path):
    scipy.io.savemat(tmp_path / "a.mat", {"val": np.zeros((12, 2_000_000))}, do_compression=True)
    with pytest.raises(ECGError, match="variable must unpack to at most 256 MiB and 100 times"):
        read_ecg(tmp_path / "a.mat", declared=DECLARED)
    inner = zlib.compress(struct.pack("<2I", 14, 4_000_000_000) + b"\0" * 64)
    head = (tmp_path / "a.mat").read_bytes()[:128]
    (tmp_path / "b.mat").write_bytes(head + struct.pack("<2I", 15, len(inner)) + inner)
    with pytest.raises(ECGError, match="variable must unpack to at most"):
        read_ecg(tmp_path / "b.mat", declared=DECLARED)
    (tmp_path / "c.mat").write_bytes(head + struct.pack("<2I", 14, 4_000_000_000) + b"\0" * 64)
    with pytest.raises(ECGError, match="MATLAB file must hold all of each variable"):
        read_ecg(tmp_path / "c.mat", declared=DECLARED)


def test_a_matlab_structure_states_rate_unit_and_leads(tmp_path, signal):
    leads = np.array(LEADS, dtype=object)
    content = {"rec": {"signal": signal * 1000, "fs": 500.0, "unit": "uV", "leads": leads}}
    scipy.io.savemat(tmp_path / "a.mat", content)
    np.testing.assert_allclose(read_ecg(tmp_path / "a.mat").signal_mv, signal, atol=1e-5)


def test_a_challenge_file_without_its_header_names_the_header(tmp_path, signal):
    counts = np.rint(signal.T * 1000).astype(np.int16)
    scipy.io.savemat(tmp_path / "E1.mat", {"val": counts}, format="4")
    with pytest.raises(ECGError, match=r"got no .hea file of its name. Copy the .hea file beside"):
        read_ecg(tmp_path / "E1.mat")


def test_exams_are_found_by_their_number_and_lose_their_padding(tmp_path, make_ecg):
    tracings = np.zeros((3, 4096, 12), dtype=np.float32)
    short = make_ecg(1, rate_hz=400, seconds=7.335)
    tracings[1, 581 : 581 + len(short)] = short
    tracings[0], tracings[2] = 1.0, make_ecg(2, rate_hz=400, seconds=10.24)
    path = write_hdf5(tmp_path / "exams_part0.hdf5", tracings, np.array([55, 1169160, 7]))
    declared = DeclaredSignal("mV", 400, LEADS)
    ecg = read_ecg(path, record="1169160", declared=declared)
    np.testing.assert_allclose(ecg.signal_mv, short, atol=1e-5)
    assert ecg.notes == ("1162 samples of padding cut off",)
    assert read_ecg(path, record="7", declared=declared).signal_mv.shape == (4096, 12)
    for record in ("8", "", "1e3", CANARY):
        with pytest.raises(ECGError, match=r"number of one exam .* got one that is not there"):
            read_ecg(path, record=record, declared=declared)
    write_hdf5(path, np.zeros((2, 4096, 12), np.float32), np.array([7, 7]))
    with pytest.raises(ECGError, match="got one that is there twice"):
        read_ecg(path, record="7", declared=declared)
    write_hdf5(path, np.zeros((2, 4096, 12), np.float32), np.array([7, 8]))
    with pytest.raises(ECGError, match="must hold samples, got zeros only"):
        read_ecg(path, record="7", declared=declared)


def test_hdf5_states_rate_and_unit_and_stays_within_its_file(tmp_path, signal):
    write_hdf5(tmp_path / "a.hdf5", signal * 1000, fs=500, unit="uV")
    ecg = read_ecg(tmp_path / "a.hdf5", declared=DeclaredSignal(leads=LEADS))
    np.testing.assert_allclose(ecg.signal_mv, signal, atol=1e-5)
    with h5py.File(tmp_path / "link.hdf5", "w") as file:
        file["tracings"] = h5py.ExternalLink("a.hdf5", "/tracings")
    with h5py.File(tmp_path / "virtual.hdf5", "w") as file:
        layout = h5py.VirtualLayout((5000, 12), "f8")
        layout[:] = h5py.VirtualSource(tmp_path / "a.hdf5", "tracings", (5000, 12))
        file.create_virtual_dataset("tracings", layout)
    with h5py.File(tmp_path / "external.hdf5", "w") as file:
        outside = [(str(tmp_path / "a.hdf5"), 0, 480_000)]
        file.create_dataset("tracings", (5000, 12), "f8", external=outside)
    for name in ("link", "virtual", "external"):
        with pytest.raises(ECGError, match=r"must hold one dataset .* got 0 of other names"):
            read_ecg(tmp_path / f"{name}.hdf5", declared=DECLARED)
    with h5py.File(tmp_path / "empty.hdf5", "w") as file:
        file.create_dataset("tracings", (2, 10**9, 12), "f4", chunks=(1, 10**6, 12))
    with pytest.raises(ECGError, match="at most 256 MiB and be stored in full"):
        read_ecg(tmp_path / "empty.hdf5", record="0", declared=DECLARED)


def test_a_matlab_7_3_file_is_read_as_hdf5(tmp_path, signal):
    with h5py.File(tmp_path / "a.mat", "w", userblock_size=512) as file:
        file["val"] = signal.T  # MATLAB stores the transposed of (leads, samples)
        file["unit"] = np.array([[ord("m")], [ord("V")]], dtype="<u2")
    with (tmp_path / "a.mat").open("r+b") as file:
        file.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(124) + b"\0\2IM")
    ecg = read_ecg(tmp_path / "a.mat", declared=DeclaredSignal("", 500.0, LEADS))
    np.testing.assert_allclose(ecg.signal_mv, signal, atol=1e-6)


@pytest.mark.parametrize(
    "options",
    [
        {"separator": "\t"},
        {"separator": ";"},
        {"separator": ";", "decimal": ","},
        {"separator": "\t", "decimal": ",", "time": "time_ms"},
        {"unit": "_mV", "time": "Time [ms]"},
        {"unit": " mV", "time": "t (s)"},
    ],
)
def test_a_table_with_units_and_times_declares_itself(tmp_path, signal, options):
    ecg = read_ecg(write_csv(tmp_path / "a.txt", signal, **options))
    np.testing.assert_allclose(ecg.signal_mv, signal, atol=6e-5)
    assert (ecg.rate_hz, ecg.source_format) == (500, "CSV")


def test_a_table_may_give_each_lead_its_unit(tmp_path, signal):
    path = write_csv(tmp_path / "a.csv", signal)
    text = path.read_text().replace("V6 (mV)", "V6 (uV)")
    rows = [line.split(",") for line in text.splitlines()]
    rows[2:] = [[*row[:-1], f"{float(row[-1]) * 1000:.1f}"] for row in rows[2:]]
    path.write_text("\n".join(",".join(row) for row in rows))
    np.testing.assert_allclose(read_ecg(path).signal_mv, signal, atol=6e-5)


@pytest.mark.parametrize(
    ("options", "change", "message"),
    [
        ({"unit": ""}, lambda t: t, "file must state unit, got numbers without it"),
        ({"time": ""}, lambda t: t, "file must state rate_hz, got numbers without it"),
        ({"time": "time"}, lambda t: t, "file must state rate_hz, got numbers without it"),
        ({}, lambda t: t.replace("V6 (mV)", "V6"), "the unit of each lead or none"),
        ({}, lambda t: t.replace("(mV)", "(furlong)"), "unit must be V, mV, uV, nV or 0.1 mV"),
        ({}, lambda t: t[: t.rindex(",")], "rows must all have 13 cells, some have not"),
        ({}, lambda t: t.replace("\n0.400,", "\n0.400,1,"), "rows must all have 13 cells"),
        ({}, lambda t: t.replace("\n0.400,", f"\n{CANARY},"), "ValueError while decoding"),
        ({}, lambda t: t.replace("\n0.400,", "\n0.398,"), "times must grow by the same step"),
        ({}, lambda t: t.replace("\n0.400,", '\n"0.400",'), "cells must be plain numbers"),
        ({"separator": ";", "decimal": ","}, lambda t: t.replace("\n0,400;", "\n0.400;"),
         "one decimal sign, got comma and point"),
        ({}, lambda t: t.replace("V1 (mV)", "II (mV)"), "leads must be named once each, got II"),
        ({}, lambda t: t.replace("V1 (mV)", "X (mV)"), "missing: V1"),
    ],
)  # fmt: skip
def test_a_spoilt_table_is_refused_without_its_text(tmp_path, signal, options, change, message):
    path = write_csv(tmp_path / "a.csv", signal, **options)
    path.write_text(change(path.read_text()))
    with pytest.raises(ECGError) as refusal:
        read_ecg(path)
    assert message in str(refusal.value)
    assert "CANARY" not in str(refusal.value)


def test_a_table_without_a_heading_is_bare_numbers(tmp_path, signal):
    np.savetxt(tmp_path / "a", signal, delimiter=",", fmt="%.5f")
    with pytest.raises(ECGError, match="file must state unit, rate_hz, leads"):
        read_ecg(tmp_path / "a")
    ecg = read_ecg(tmp_path / "a", declared=DECLARED)
    np.testing.assert_allclose(ecg.signal_mv, signal, atol=6e-6)


def test_a_clinical_table_is_no_ecg(tmp_path):
    path = tmp_path / "patients.csv"
    path.write_text("patient_id,age,sex,lvef,lge,event,date,centre,note\n1,50,m,30,1,0,,,x\n" * 9)
    assert not csv_table.matches(path)


@pytest.mark.parametrize("name", ["a.npy", "a.npz", "a.mat", "a4.mat", "az.mat", "a.hdf5", "a.csv"])
def test_damaged_files_are_read_or_refused_in_plain_words(tmp_path, signal, name, damage):
    write_files(tmp_path, signal[:1500])
    for path in damage(tmp_path / name, n_files=30):
        try:
            read_ecg(path, declared=DECLARED)
        except ECGError as refusal:
            assert "CANARY" not in str(refusal)  # noqa: PT017


@pytest.mark.real_data
def test_the_code_15_samples_are_read(data_root):
    paths = sorted((data_root / "code15" / "org").glob("*.mat"))
    ecgs = [read_ecg(path, declared=DeclaredSignal("mV", 400, LEADS)) for path in paths]
    assert {len(ecg.signal_mv) for ecg in ecgs} == {2934, 4096}
    assert all(ecg.proof["leads"] == "checked" for ecg in ecgs)


def test_a_table_of_two_patients_is_refused(tmp_path, signal):
    path = write_csv(tmp_path / "a.csv", signal, time="")
    lines = path.read_text().splitlines()
    for n_patients in (1, 2):
        column = ["patient_id", *(f"HOSP-{k * n_patients // 5000}" for k in range(5000))]
        rows = [f"{a},{b}" for a, b in zip(column, lines[1:], strict=True)]
        (tmp_path / "b.csv").write_text("\n".join(rows))
        declared = DeclaredSignal(rate_hz=500.0)
        if n_patients == 1:
            np.testing.assert_allclose(
                read_ecg(tmp_path / "b.csv", declared=declared).signal_mv, signal, atol=6e-5
            )
        else:
            with pytest.raises(ECGError, match="CSV file must hold one recording, got 2 values"):
                read_ecg(tmp_path / "b.csv", declared=declared)


@pytest.mark.parametrize("owner", ["file", "samples"])
def test_what_attributes_of_hdf5_state_holds(tmp_path, signal, owner):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["signal"] = signal * 1000
        attributes = (file if owner == "file" else file["signal"]).attrs
        attributes["fs"], attributes["unit"] = 500, "uV"
    declared = DeclaredSignal(leads=LEADS)
    ecg = read_ecg(tmp_path / "a.h5", declared=declared)
    np.testing.assert_allclose(ecg.signal_mv, signal, atol=1e-5)
    with pytest.raises(ECGError, match="rate_hz must be the same"):
        read_ecg(tmp_path / "a.h5", declared=DeclaredSignal(rate_hz=250.0, leads=LEADS))
    same = DeclaredSignal(unit="µV", leads=LEADS)
    assert read_ecg(tmp_path / "a.h5", declared=same).rate_hz == 500
