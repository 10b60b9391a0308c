"""Reading WFDB files: right ones exactly, wrong ones never silently."""

import hashlib
import json

import numpy as np
import pytest

from data_processing import readers
from data_processing.declared import DeclaredSignal
from data_processing.leads import LEADS
from data_processing.preparation import prepare_one
from data_processing.readers import FORMATS, read_ecg
from data_processing.signals import ECGError, SignalChain


def test_a_record_is_read_by_header_samples_or_name(tmp_path, make_ecg, write_wfdb):
    signal = make_ecg(0)
    header = write_wfdb(tmp_path / "E1", signal)
    for path in (header, header.with_suffix(".dat"), header.with_suffix("")):
        ecg = read_ecg(path)
        np.testing.assert_allclose(ecg.signal_mv, signal, atol=6e-4)
        assert (ecg.rate_hz, ecg.source_format, ecg.recorded_at) == (500, "WFDB", None)
    samples = header.with_suffix(".dat").read_bytes()
    assert ecg.file_sha256 == hashlib.sha256(samples).hexdigest()


def test_microvolts_are_converted(tmp_path, make_ecg, write_wfdb):
    signal = make_ecg(1)
    header = write_wfdb(tmp_path / "E1", signal * 1000, units_per=1, unit="uV")
    np.testing.assert_allclose(read_ecg(header).signal_mv, signal, atol=6e-4)


def truncate(header):
    path = header.with_suffix(".dat")
    path.write_bytes(path.read_bytes()[:-5000])


def flip_a_bit(header):
    path = header.with_suffix(".dat")
    content = bytearray(path.read_bytes())
    content[5001] ^= 1
    path.write_bytes(bytes(content))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda h: h.with_suffix(".dat").unlink(), "WFDB samples must exist, got a header alone."),
        (truncate, "WFDB file must be readable, got ValueError while decoding"),
        (flip_a_bit, "WFDB samples must have the checksum of the header"),
        (
            lambda h: h.write_text("not a header"),
            f"path must be an ECG file ({', '.join(FORMATS)}), got an unknown",
        ),
        (lambda h: h.write_text("E1 12 500 5000\n"), "WFDB header must list the leads, got none."),
        (
            lambda h: h.unlink(),
            f"path must be an ECG file ({', '.join(FORMATS)}), got no such file.",
        ),
        (
            lambda h: h.write_text("E1/2 12 500 5000\nE1a 9\nE1b 9\n"),
            "segments must be beside their header",
        ),
    ],
)
def test_damaged_records_are_refused(tmp_path, make_ecg, write_wfdb, spoil, message):
    header = write_wfdb(tmp_path / "JONES-1950", make_ecg(2))
    spoil(header)
    with pytest.raises(ECGError) as refusal:
        read_ecg(header)
    assert message in str(refusal.value)
    assert "JONES" not in str(refusal.value)


@pytest.mark.parametrize("gain", ["0(0)/mV", "0"])
def test_an_uncalibrated_record_is_refused(tmp_path, make_ecg, write_wfdb, gain):
    header = write_wfdb(tmp_path / "E1", make_ecg(3), gain=gain)
    with pytest.raises(ECGError, match="WFDB gain must be stated for every lead"):
        read_ecg(header)


def test_counts_labelled_millivolts_are_refused(tmp_path, make_ecg, write_wfdb):
    header = write_wfdb(tmp_path / "E1", make_ecg(4), gain="1(0)/mV")
    with pytest.raises(ECGError, match="ADC counts at 1000 a mV, not what the file says"):
        read_ecg(header)


@pytest.mark.real_data
def test_ptbxl_resampled_from_500_hz_agrees_with_its_own_100_hz_files(data_root):
    chain = SignalChain(low_cut_hz=0.5, high_cut_hz=30)
    high = sorted((data_root / "ptbxl_wfdb" / "records500").rglob("*_hr.hea"))[:15]
    assert high
    for path in high:
        low = path.parents[2] / "records100" / path.parent.name / path.name.replace("_hr", "_lr")
        ours, facts = prepare_one(path, chain)
        theirs, _ = prepare_one(low, chain)
        assert facts["proof_leads"] == "checked"
        correlation = np.corrcoef(ours[100:900].ravel(), theirs[100:900].ravel())[0, 1]
        assert correlation > 0.98  # they resampled without our anti-alias filter


@pytest.mark.real_data
def test_challenge_2021_mat_files_are_read(data_root):
    for path in sorted((data_root / "challenge2021").rglob("*.hea"))[:5]:
        ecg = read_ecg(path)
        assert ecg.signal_mv.shape == (5000, 12)
        assert ecg.proof["leads"] == "checked"


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"%PDF-1.4 ...", "a print or picture, which holds no samples"),
        (b"\x89PNG\r\n\x1a\n", "a print or picture, which holds no samples"),
        (b"\x00\x01\x02\x03", "an unknown format"),
        (b"", "an unknown format"),
    ],
)
def test_what_is_no_ecg_file_is_named(tmp_path, content, found):
    (tmp_path / "a").write_bytes(content)
    with pytest.raises(ECGError, match=f"got {found}"):
        read_ecg(tmp_path / "a")
    with pytest.raises(ECGError, match="got a folder"):
        read_ecg(tmp_path)


def test_a_header_beside_another_file_is_not_its(tmp_path, make_ecg, write_wfdb):
    write_wfdb(tmp_path / "p16", make_ecg(0))
    other = make_ecg(1)
    np.save(tmp_path / "p16.npy", other)
    declared = DeclaredSignal(unit="mV", rate_hz=500.0, leads=LEADS)
    ecg = read_ecg(tmp_path / "p16.npy", declared=declared)
    np.testing.assert_allclose(ecg.signal_mv, other, atol=1e-5)
    (tmp_path / "p16.csv").write_text("hello")
    for name in ("p16.csv", "p16.none"):
        with pytest.raises(ECGError, match="path must be an ECG file"):
            read_ecg(tmp_path / name)
    assert read_ecg(tmp_path / "p16.dat").source_format == "WFDB"


@pytest.mark.parametrize("rate", ["-500", "fast", "0", "5e2", "1,000", ""])
def test_a_wfdb_rate_that_is_none_is_refused(tmp_path, make_ecg, write_wfdb, rate):
    header = write_wfdb(tmp_path / "E1", make_ecg(0))
    text = header.read_text()
    first = "E1 12" if not rate else f"E1 12 {rate} 5000"
    header.write_text(text.replace("E1 12 500 5000", first))
    with pytest.raises(ECGError, match="WFDB header must state the sampling rate"):
        read_ecg(header)


def test_one_wrong_gain_does_not_rescale_the_ecg(tmp_path, make_ecg, write_wfdb):
    signal = make_ecg(2, noise_mv=0.002)
    header = write_wfdb(tmp_path / "E1", signal)
    lines = header.read_text().split("\n")
    lines[1] = lines[1].replace("1000(0)/mV", "2000(0)/mV")  # lead I
    header.write_text("\n".join(lines))
    ecg = read_ecg(header)
    np.testing.assert_allclose(ecg.signal_mv[:, 1:], signal[:, 1:], atol=6e-4)
    assert ecg.suspicions == ("I looks 0.50 times too large in the file",)


def test_the_cohort_and_the_file_beside_declare_together(tmp_path, make_ecg):
    signal = make_ecg(3)
    np.save(tmp_path / "a.npy", signal)
    (tmp_path / "a.json").write_text('{"rate_hz": 500, "leads": ' + json.dumps(LEADS) + "}")
    ecg = read_ecg(tmp_path / "a.npy", declared=DeclaredSignal(unit="mV"))
    np.testing.assert_allclose(ecg.signal_mv, signal, atol=1e-5)
    with pytest.raises(ECGError, match="rate_hz must be declared once"):
        read_ecg(tmp_path / "a.npy", declared=DeclaredSignal(unit="mV", rate_hz=250.0))


def test_whatever_a_reader_raises_is_a_refusal(tmp_path, monkeypatch):
    def read(path):
        raise ZeroDivisionError("Erika Mustermann")

    monkeypatch.setitem(readers._READERS, "EDF", (lambda path: True, read))
    (tmp_path / "a").write_bytes(b"x")
    with pytest.raises(ECGError, match="ZeroDivisionError") as refusal:
        read_ecg(tmp_path / "a")
    assert "Mustermann" not in str(refusal.value)
