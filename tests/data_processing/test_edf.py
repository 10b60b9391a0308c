"""EDF and EDF+ files: written here by pyedflib and edfio, spoilt, and a genuine one."""

from datetime import date, datetime, time

import edfio
import numpy as np
import pytest

from data_processing.leads import LEADS
from data_processing.readers import csv_table, read_ecg
from data_processing.signals import ECGError

CANARY = "CANARY-MARIA"


def edf_signals(signal_mv, *, rate_hz=500, names=LEADS, unit="mV", scale=1.0):
    return [
        edfio.EdfSignal(
            signal_mv[:, k] * scale,
            sampling_frequency=rate_hz,
            label=name,
            physical_dimension=unit,
            physical_range=(-10 * scale, 10 * scale),
        )
        for k, name in enumerate(names)
    ]


def write(path, signals, *, annotations=None):
    edf = edfio.Edf(
        signals,
        patient=edfio.Patient(name=CANARY),
        recording=edfio.Recording(
            startdate=date(2019, 11, 30), hospital_administration_code=CANARY
        ),
        starttime=time(14, 5, 9),
        data_record_duration=1,
        annotations=annotations,
    )
    edf.write(path)
    return path


@pytest.mark.parametrize("unit", ["mV", "uV"])
def test_an_edf_file_gives_millivolts(tmp_path, make_ecg, unit):
    signal = make_ecg(1)
    signals = edf_signals(signal, unit=unit, scale={"mV": 1.0, "uV": 1000.0}[unit])
    ecg = read_ecg(write(tmp_path / "export", signals))
    np.testing.assert_allclose(ecg.signal_mv, signal, atol=0.0002)
    assert (ecg.rate_hz, ecg.source_format) == (500, "EDF")
    assert ecg.proof["leads"] == "checked"
    assert ecg.recorded_at == datetime(2019, 11, 30, 14, 5, 9)


def test_a_file_of_another_writer_agrees_with_its_reader(tmp_path, make_ecg):
    pyedflib = pytest.importorskip("pyedflib")
    signal = make_ecg(2, rate_hz=256)
    names = [f"ECG {lead}" if k % 2 else f"{lead}-Ref" for k, lead in enumerate(LEADS)]
    header = {
        "dimension": "uV", "sample_frequency": 256, "physical_max": 8000, "physical_min": -8000,
        "digital_max": 32767, "digital_min": -32768, "transducer": "", "prefilter": "",
    }  # fmt: skip
    path = str(tmp_path / "export.edf")
    with pyedflib.EdfWriter(path, 13, file_type=pyedflib.FILETYPE_EDFPLUS) as writer:
        writer.setSignalHeaders(
            [{**header, "label": name} for name in names]
            + [{**header, "label": "RESP", "sample_frequency": 32}]
        )
        writer.setPatientName(CANARY)
        writer.writeAnnotation(1.5, -1, CANARY)
        writer.writeSamples([*np.ascontiguousarray(signal.T * 1000), np.zeros(320)])
    ecg = read_ecg(path)
    with pyedflib.EdfReader(path) as reader:
        theirs = np.stack([reader.readSignal(k) for k in range(12)], axis=1) / 1000
    np.testing.assert_allclose(ecg.signal_mv, theirs, atol=1e-6)
    np.testing.assert_allclose(ecg.signal_mv, signal, atol=16 / 65535 + 1e-6)  # one step


def test_the_same_samples_have_the_same_hash_whoever_they_belong_to(tmp_path, make_ecg):
    path = write(tmp_path / "a.edf", edf_signals(make_ecg(3)))
    first = read_ecg(path).file_sha256
    path.write_bytes(path.read_bytes().replace(CANARY.encode(), b"SOMEBODY-ELS"))
    assert read_ecg(path).file_sha256 == first


def _move(content):
    return content.replace(b"+9\x14\x14\0", b"+90\x14\x14")


def test_a_discontinuous_file_is_read_only_if_it_has_no_gap(tmp_path, make_ecg):
    notes = [edfio.EdfAnnotation(0.5, None, CANARY)]
    path = write(tmp_path / "a.edf", edf_signals(make_ecg(4)), annotations=notes)
    content = path.read_bytes()
    assert content[192:197] == b"EDF+C"
    path.write_bytes(content.replace(b"EDF+C", b"EDF+D", 1))
    assert read_ecg(path).rate_hz == 500
    path.write_bytes(_move(content.replace(b"EDF+C", b"EDF+D", 1)))
    with pytest.raises(ECGError, match="EDF recording must have no gaps, it has"):
        read_ecg(path)


def header_field(content, position, text):
    return content[:position] + text.ljust(8).encode() + content[position + 8 :]


def signal_field(content, offset, text):
    """Change an eight-character field of the first of 12 signals; offset of the field's block."""
    return header_field(content, 256 + 12 * offset, text)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c[:-2], "must be as long as its header says"),
        (lambda c: c + b"\0\0", "must be as long as its header says"),
        (lambda c: header_field(c, 236, "-1"), "must state 1 to 512 channels and the number"),
        (lambda c: header_field(c, 236, "99999999"), "must be as long as its header says"),
        (lambda c: header_field(c, 244, "0"), "while decoding"),
        (lambda c: header_field(c, 244, "x"), "while decoding"),
        (lambda c: signal_field(c, 96, "furlong"), "unit must be V, mV, uV, nV or 0.1 mV"),
        (lambda c: signal_field(c, 104, "10"), "must state its scale"),
        (lambda c: signal_field(c, 120, "32767"), "must state its scale"),
        (lambda c: signal_field(c, 104, "nan"), "must state its scale"),
        (lambda c: signal_field(c, 104, "x"), "while decoding"),
        (lambda c: header_field(c, 256, "II"), "each ECG lead once, got one twice"),
        (lambda c: header_field(c, 256 + 6 * 16, "RESP"), "missing: V1"),
        (lambda c: signal_field(c, 216, "0"), "must each hold samples"),
        (lambda c: signal_field(c, 216, "-5"), "must each hold samples"),
    ],
)
def test_a_spoilt_file_is_refused_without_a_name(tmp_path, make_ecg, change, message):
    path = write(tmp_path / "a.edf", edf_signals(make_ecg(5)))
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(ECGError) as refusal:
        read_ecg(path)
    assert message in str(refusal.value)
    assert "CANARY" not in str(refusal.value)


def test_leads_of_two_rates_are_refused(tmp_path, make_ecg):
    slow = edf_signals(make_ecg(6, rate_hz=250), rate_hz=250)
    signals = [*edf_signals(make_ecg(6))[:11], slow[11]]
    with pytest.raises(ECGError, match="EDF leads must have one sampling rate, got 2"):
        read_ecg(write(tmp_path / "a.edf", signals))


def test_damaged_files_are_read_or_refused_in_plain_words(tmp_path, make_ecg, damage):
    path = write(tmp_path / "a.edf", edf_signals(make_ecg(7)[:1500]))
    for spoilt in damage(path, n_files=30):
        try:
            read_ecg(spoilt)
        except ECGError as refusal:
            assert "CANARY" not in str(refusal)  # noqa: PT017


@pytest.mark.real_data
def test_edf_and_csv_of_one_genuine_recording_agree(data_root):
    folder = data_root / "formats" / "contec_edf"
    ecg = read_ecg(folder / "0000050.ECG.edf")
    path = folder / "0000050.ECG.csv"
    layout = csv_table._layout(path.read_bytes()[:1000])
    counts = np.stack(list(csv_table.read_numbers(path, layout).values()), axis=1)
    step_mv = 2000 / 65535  # the EDF header: -1000 to 1000 mV over 16 bits
    assert (ecg.rate_hz, len(ecg.signal_mv)) == (800, len(counts))
    assert np.abs(ecg.signal_mv[:, :6] - counts[:, :6] * step_mv).max() < step_mv
    assert np.isnan(counts[:, 6:]).all()  # unconnected: empty in one file, constant in the other
    assert np.ptp(ecg.signal_mv[:, 6:], axis=0).max() == 0
