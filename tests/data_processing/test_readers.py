"""Reading WFDB files: right ones exactly, wrong ones never silently."""

import hashlib

import numpy as np
import pytest

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
        (truncate, "WFDB record must be readable, got ValueError while decoding"),
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
    with pytest.raises(ECGError, match="ADC counts at 1000 a mV labelled mV"):
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
