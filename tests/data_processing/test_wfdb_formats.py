"""WFDB's storage formats, written by encoders of our own after the published descriptions."""

import numpy as np
import pytest
import wfdb

from data_processing.lead_gains import SUSPICION
from data_processing.leads import LEADS
from data_processing.readers import read_ecg
from data_processing.signals import ECGError

GAINS = {"8": 50, "80": 25, "212": 500, "310": 100, "311": 100}  # ranges are small
BITS = {"8": 8, "80": 8, "212": 12, "310": 10, "311": 10}


def encode_212(flat):
    pairs = np.pad(flat, (0, len(flat) % 2)).reshape(-1, 2) & 0xFFF
    low, high = pairs & 0xFF, pairs >> 8
    return np.stack([low[:, 0], high[:, 0] | high[:, 1] << 4, low[:, 1]], 1).astype("u1")


def triples(flat):
    return np.pad(flat, (0, -len(flat) % 3)).reshape(-1, 3) & 0x3FF


def encode_310(flat):
    one, two, three = triples(flat).T
    first = one << 1 | (three & 0x1F) << 11
    second = two << 1 | three >> 5 << 11
    return np.stack([first, second], 1).astype("<u2")


def encode_311(flat):
    one, two, three = triples(flat).T
    return (one | two << 10 | three << 20).astype("<u4")


ENCODERS = {
    "16": lambda flat: flat.astype("<i2"),
    "24": lambda flat: flat.astype("<i4").view("u1").reshape(-1, 4)[:, :3],
    "32": lambda flat: flat.astype("<i4"),
    "61": lambda flat: flat.astype(">i2"),
    "80": lambda flat: (flat + 128).astype("u1"),
    "160": lambda flat: (flat + 32768).astype("<u2"),
    "212": encode_212,
    "310": encode_310,
    "311": encode_311,
}


def write(folder, stored, form, *, gain, baseline=0, name="E1", skews=(0,) * 12, frames=""):
    """Write integers (n, 12) in a storage format, with checksums; return the header."""
    folder.mkdir(parents=True, exist_ok=True)
    raw = np.diff(stored, axis=0, prepend=stored[:1]) if form == "8" else stored
    encode = ENCODERS.get(form, lambda flat: flat.astype("i1"))
    (folder / f"{name}.dat").write_bytes(np.ascontiguousarray(encode(raw.ravel())).tobytes())
    lines = [f"{name} 12 500 {len(stored)}"]
    for k, lead in enumerate(LEADS):
        skew = f":{skews[k]}" if skews[k] else ""
        total = int(stored[:, k].sum()) % 65536
        total -= 65536 * (total > 32767)
        lines.append(
            f"{name}.dat {form}{frames}{skew} {gain}({baseline})/mV {BITS.get(form, 16)} 0 "
            f"{stored[0, k]} {total} 0 {lead}"
        )
    (folder / f"{name}.hea").write_text("\n".join(lines) + "\n")
    return folder / f"{name}.hea"


@pytest.mark.parametrize("form", ["8", *ENCODERS])
def test_a_storage_format_gives_the_written_millivolts(tmp_path, make_ecg, form):
    gain = GAINS.get(form, 1000)
    signal = make_ecg(1)
    stored = np.rint(signal * gain).astype(np.int64)
    limit = 2 ** (BITS.get(form, 16) - 1) - 1
    stored = np.clip(stored, -limit, limit)
    ecg = read_ecg(write(tmp_path, stored, form, gain=gain))
    np.testing.assert_array_equal(np.rint(ecg.signal_mv * gain).astype(np.int64), stored)


@pytest.mark.parametrize("form", ["508", "516", "524"])
def test_flac_gives_the_written_millivolts(tmp_path, make_ecg, form):
    gain = 25 if form == "508" else 1000
    stored = np.rint(make_ecg(2) * gain).astype(np.int64)
    wfdb.wrsamp(
        "E1", 500, ["mV"] * 12, list(LEADS), d_signal=stored, fmt=[form] * 12,
        adc_gain=[gain] * 12, baseline=[0] * 12, write_dir=str(tmp_path),
    )  # fmt: skip
    ecg = read_ecg(tmp_path / "E1.hea")
    np.testing.assert_array_equal(np.rint(ecg.signal_mv * gain).astype(np.int64), stored)


def test_the_baseline_is_taken_off(tmp_path, make_ecg):
    signal = make_ecg(3)
    stored = np.rint(signal * 1000).astype(np.int64) + 77
    ecg = read_ecg(write(tmp_path, stored, "16", gain=1000, baseline=77))
    np.testing.assert_allclose(ecg.signal_mv, signal, atol=0.0006)


def test_a_stated_skew_is_taken_out(tmp_path, make_ecg):
    stored = np.rint(make_ecg(4) * 1000).astype(np.int64)
    skews = (0, 3, 0, 0, 0, 0, 5, 0, 0, 0, 0, 0)
    late = np.stack([np.roll(stored[:, k], skew) for k, skew in enumerate(skews)], axis=1)
    ecg = read_ecg(write(tmp_path, late, "16", gain=1000, skews=skews))
    assert len(ecg.signal_mv) == len(stored) - 5
    np.testing.assert_array_equal(np.rint(ecg.signal_mv * 1000), stored[:-5])


def test_contiguous_segments_are_one_recording(tmp_path, make_ecg):
    stored = np.rint(make_ecg(5) * 1000).astype(np.int64)
    write(tmp_path, stored[:2000], "16", gain=1000, name="E1a")
    write(tmp_path, stored[2000:], "212", gain=1000, name="E1b")
    header = tmp_path / "E1.hea"
    header.write_text(f"E1/2 12 500 {len(stored)}\nE1a 2000\nE1b {len(stored) - 2000}\n")
    ecg = read_ecg(header)
    np.testing.assert_array_equal(np.rint(ecg.signal_mv * 1000), stored)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("E1/2 12 500 4000\nE1a 2000\n~ 2000\n", "must follow one another with the same leads"),
        ("E1/2 12 500 4000\nE1_lay 0\nE1a 2000\n", "must follow one another with the same leads"),
        ("E1/1 12 500 2000\n../E1a 2000\n", "must follow one another with the same leads"),
        ("E1/1 12 500 2000\nE1a 1999\n", "must be beside their header, as long as it says"),
        ("E1/1 12 500 2000\nE1 2000\n", "must be beside their header, as long as it says"),
        ("E1/2 12 500 4000\nE1a 2000\nE1b 2000\n", "must have one list of leads and one rate"),
    ],
)  # fmt: skip
def test_segments_that_do_not_fit_are_refused(tmp_path, make_ecg, text, message):
    stored = np.rint(make_ecg(6) * 1000).astype(np.int64)[:2000]
    write(tmp_path, stored, "16", gain=1000, name="E1a")
    other = write(tmp_path, stored, "16", gain=1000, name="E1b")
    other.write_text(other.read_text().replace(" 12 500 ", " 12 250 "))
    (tmp_path / "E1.hea").write_text(text)
    with pytest.raises(ECGError, match=message):
        read_ecg(tmp_path / "E1.hea")


def test_several_samples_a_frame_are_refused_not_averaged(tmp_path, make_ecg):
    stored = np.rint(make_ecg(7) * 1000).astype(np.int64)
    header = write(tmp_path, stored, "16", gain=1000, frames="x2")
    with pytest.raises(ECGError, match="must have one sample a frame, got several"):
        read_ecg(header)


def test_samples_in_another_folder_are_refused(tmp_path, make_ecg):
    stored = np.rint(make_ecg(8) * 1000).astype(np.int64)
    header = write(tmp_path / "in", stored, "16", gain=1000)
    header.write_text(header.read_text().replace("E1.dat", "../E1.dat"))
    with pytest.raises(ECGError, match="must lie beside their header, got another place"):
        read_ecg(header)


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("folder", "n_records"), [("ptbxl_wfdb", 434 + 120), ("challenge2021", 40), ("ludb", 60)]
)
def test_every_record_here_is_read_and_keeps_its_checksums(data_root, folder, n_records):
    headers = sorted((data_root / folder).rglob("*.hea"))
    assert len(headers) == n_records
    for header in headers:
        assert read_ecg(header).rate_hz in (100.0, 500.0)
    for header in headers[::20]:
        assert None not in wfdb.rdheader(str(header.with_suffix(""))).checksum


@pytest.mark.real_data
def test_the_gains_of_ludb_contradict_its_limb_leads_and_one_gain_does_not(data_root):
    for header in sorted((data_root / "ludb").rglob("*.hea"))[::6]:
        ecg = read_ecg(header)
        assert ecg.proof == {"unit": "checked", "scale": "declared", "leads": "checked"}
        assert SUSPICION in ecg.suspicions
        stored = wfdb.rdrecord(str(header.with_suffix("")), physical=False)
        integers = stored.d_signal - np.array(stored.baseline)
        np.testing.assert_allclose(ecg.signal_mv, integers / 1000, atol=1e-6)


def test_gains_that_fit_the_limb_leads_are_kept(tmp_path, make_ecg):
    signal = make_ecg(3)
    gains = np.random.default_rng(0).uniform(300, 2000, 12).round(1)
    for is_wrong in (False, True):
        integers = np.rint(signal * (800 if is_wrong else gains)).astype(np.int64)
        name = f"wrong{is_wrong}"
        wfdb.wrsamp(
            name,
            fs=500,
            units=["mV"] * 12,
            sig_name=list(LEADS),
            d_signal=integers,
            fmt=["16"] * 12,
            adc_gain=gains.tolist(),
            baseline=[0] * 12,
            write_dir=str(tmp_path),
        )
        ecg = read_ecg(tmp_path / f"{name}.hea")
        assert (SUSPICION in ecg.suspicions) == is_wrong
        expected = integers / 1000 if is_wrong else signal
        np.testing.assert_allclose(ecg.signal_mv, expected, atol=4e-3)
