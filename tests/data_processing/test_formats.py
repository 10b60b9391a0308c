"""DICOM, GE MUSE and HL7 aECG files: written here from a known signal, spoilt, and genuine ones."""

import base64
import zlib
from datetime import datetime

import numpy as np
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import (
    AmbulatoryECGWaveformStorage,
    ExplicitVRLittleEndian,
    GeneralECGWaveformStorage,
    ImplicitVRLittleEndian,
    TwelveLeadECGWaveformStorage,
    generate_uid,
)

from data_processing.leads import LEADS
from data_processing.readers import read_ecg
from data_processing.signals import ECGError

STORED = ("I", "II", "V1", "V2", "V3", "V4", "V5", "V6")
DICOM_CODES = dict(zip(LEADS, (1, 2, 61, 62, 63, 64, 3, 4, 5, 6, 7, 8), strict=True))
CANARY = "CANARY^MARIA"


def lead_xml(name, counts, *, per_bit=4.88, unit="MICROVOLTS", crc=None):
    content = counts.astype("<i2").tobytes()
    crc = zlib.crc32(content) if crc is None else crc
    return (
        f"<LeadData><LeadByteCountTotal>{len(content)}</LeadByteCountTotal>"
        f"<LeadSampleCountTotal>{len(counts)}</LeadSampleCountTotal>"
        f"<LeadAmplitudeUnitsPerBit>{per_bit}</LeadAmplitudeUnitsPerBit>"
        f"<LeadAmplitudeUnits>{unit}</LeadAmplitudeUnits><LeadID>{name}</LeadID>"
        "<LeadOffsetFirstSample>0</LeadOffsetFirstSample><LeadSampleSize>2</LeadSampleSize>"
        f"<LeadDataCRC32>{crc}</LeadDataCRC32>"
        f"<WaveFormData>\n{base64.encodebytes(content).decode()}</WaveFormData></LeadData>"
    )


def muse_text(signal_mv, *, rate_hz=500, kind="Rhythm", **options):
    counts = np.rint(signal_mv * 1000 / options.get("per_bit", 4.88))
    leads = "".join(lead_xml(n, counts[:, LEADS.index(n)], **options) for n in STORED)
    median = "".join(lead_xml(n, counts[:600, LEADS.index(n)]) for n in STORED)
    head = f"<SampleBase>{rate_hz}</SampleBase><SampleExponent>0</SampleExponent>"
    return (
        '<?xml version="1.0" encoding="ISO-8859-1"?>\n<!DOCTYPE RestingECG SYSTEM "restecg.dtd">\n'
        f"<RestingECG><PatientDemographics><PatientLastName>{CANARY}</PatientLastName>"
        "</PatientDemographics><TestDemographics><AcquisitionDate>11-30-2019</AcquisitionDate>"
        "<AcquisitionTime>14:05:09</AcquisitionTime></TestDemographics>"
        f"<Waveform><WaveformType>Median</WaveformType>{head}{median}</Waveform>"
        f"<Waveform><WaveformType>{kind}</WaveformType>{head}{leads}</Waveform></RestingECG>"
    )


@pytest.fixture
def write_muse(tmp_path):
    """Return a writer of MUSE files; the name says nothing about the format."""

    def write(signal_mv, change=lambda text: text, **options):
        path = tmp_path / "export.dat"
        path.write_text(change(muse_text(signal_mv, **options)), encoding="latin-1")
        return path

    return write


def aecg_text(signal_mv, *, rate_hz=500, per_digit=2.5):
    """Return an aECG with the rhythm series, and a derived beat that must not be read."""
    counts = np.rint(signal_mv * 1000 / per_digit).astype(int)

    def sequence(code, value):
        return f'<component><sequence><code code="{code}"/>{value}</sequence></component>'

    def leads(rows):
        return "".join(
            sequence(
                f"MDC_ECG_LEAD_{lead.upper()}",
                f'<value><origin value="0" unit="uV"/><scale value="{per_digit}" unit="uV"/>'
                f"<digits>{' '.join(map(str, rows[:, k]))}</digits></value>",
            )
            for k, lead in enumerate(LEADS)
        )

    time = f'<value><head value="0"/><increment value="{1 / rate_hz}" unit="s"/></value>'
    time = sequence("TIME_ABSOLUTE", time)
    beat = f"<component><sequenceSet>{time}{leads(counts[:400])}</sequenceSet></component>"
    return (
        f'<AnnotatedECG xmlns="urn:hl7-org:v3"><componentOf><name>{CANARY}</name></componentOf>'
        '<component><series><code code="RHYTHM"/><effectiveTime><low value="20191130140509.5"/>'
        f"</effectiveTime><component><sequenceSet>{time}{leads(counts)}</sequenceSet></component>"
        '<derivation><derivedSeries><code code="REPRESENTATIVE_BEAT"/>'
        f"{beat}</derivedSeries></derivation></series></component></AnnotatedECG>"
    )


@pytest.fixture
def write_aecg(tmp_path):
    """Return a writer of aECG files."""

    def write(signal_mv, change=lambda text: text):
        path = tmp_path / "export.xml"
        path.write_text(change(aecg_text(signal_mv)))
        return path

    return write


def dicom_group(signal_mv, rate_hz, *, label="RHYTHM", originality="ORIGINAL", per_bit=2.5):
    group = Dataset()
    group.MultiplexGroupLabel, group.WaveformOriginality = label, originality
    group.NumberOfWaveformChannels, group.NumberOfWaveformSamples = 12, len(signal_mv)
    group.SamplingFrequency = str(rate_hz)
    group.WaveformBitsAllocated, group.WaveformSampleInterpretation = 16, "SS"
    group.WaveformData = np.rint(signal_mv * 1000 / per_bit).astype("<i2").tobytes()
    group.ChannelDefinitionSequence = []
    for lead in LEADS:
        channel, source, unit = Dataset(), Dataset(), Dataset()
        source.CodeValue, source.CodingSchemeDesignator = f"2:{DICOM_CODES[lead]}", "MDC"
        source.CodeMeaning = f"Lead {lead}"
        unit.CodeValue, unit.CodingSchemeDesignator, unit.CodeMeaning = "uV", "UCUM", "microvolt"
        channel.ChannelSourceSequence = [source]
        channel.ChannelSensitivity, channel.ChannelSensitivityCorrectionFactor = per_bit, 1
        channel.ChannelSensitivityUnitsSequence, channel.ChannelBaseline = [unit], 0
        channel.WaveformBitsStored = 16
        group.ChannelDefinitionSequence.append(channel)
    return group


def dicom_dataset(signal_mv, rate_hz=500):
    """Return an ECG with a median beat and the rhythm."""
    dataset = Dataset()
    dataset.SOPClassUID, dataset.SOPInstanceUID = TwelveLeadECGWaveformStorage, generate_uid()
    dataset.PatientName, dataset.AcquisitionDateTime = CANARY, "20191130140509"
    median = dicom_group(signal_mv[:600], rate_hz, label="MEDIAN BEAT", originality="DERIVED")
    dataset.WaveformSequence = [median, dicom_group(signal_mv, rate_hz)]
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return dataset


@pytest.fixture
def write_dicom(tmp_path):
    """Return a writer of DICOM files; `change` may spoil the data set."""

    def write(signal_mv, change=lambda dataset: None, rate_hz=500):
        dataset = dicom_dataset(signal_mv, rate_hz)
        change(dataset)
        path = tmp_path / "export"
        dataset.save_as(path, enforce_file_format=True)
        return path

    return write


def test_a_muse_file_gives_its_rhythm_in_millivolts(make_ecg, write_muse):
    signal = make_ecg(3)
    ecg = read_ecg(write_muse(signal))
    np.testing.assert_allclose(ecg.signal_mv, signal, atol=0.0075)  # 1.5 steps: leads are derived
    assert (ecg.rate_hz, ecg.source_format) == (500, "GE MUSE XML")
    assert ecg.proof == {"unit": "checked", "scale": "declared", "leads": "derived"}
    assert ecg.recorded_at == datetime(2019, 11, 30, 14, 5, 9)


def test_a_dicom_file_gives_its_rhythm_in_millivolts(make_ecg, write_dicom):
    signal = make_ecg(4)
    ecg = read_ecg(write_dicom(signal))
    np.testing.assert_allclose(ecg.signal_mv, signal, atol=0.0013)
    assert (ecg.rate_hz, ecg.source_format) == (500, "DICOM")
    assert ecg.proof["leads"] == "checked"
    assert ecg.recorded_at == datetime(2019, 11, 30, 14, 5, 9)


@pytest.mark.parametrize(
    "kind", [GeneralECGWaveformStorage, AmbulatoryECGWaveformStorage, TwelveLeadECGWaveformStorage]
)
def test_every_kind_of_dicom_ecg_is_read_with_any_transfer_syntax(make_ecg, write_dicom, kind):
    signal = make_ecg(4, seconds=30)

    def change(dataset):
        dataset.SOPClassUID = kind
        if kind == AmbulatoryECGWaveformStorage:
            del dataset.WaveformSequence[0].MultiplexGroupLabel
            del dataset.WaveformSequence[1].MultiplexGroupLabel
            dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian

    ecg = read_ecg(write_dicom(signal, change))
    np.testing.assert_allclose(ecg.signal_mv, signal, atol=0.0013)


def test_an_aecg_file_gives_its_rhythm_in_millivolts(make_ecg, write_aecg):
    signal = make_ecg(4)
    ecg = read_ecg(write_aecg(signal))
    np.testing.assert_allclose(ecg.signal_mv, signal, atol=0.0013)
    assert (ecg.rate_hz, ecg.source_format) == (500, "HL7 aECG")
    assert ecg.proof["leads"] == "checked"
    assert ecg.recorded_at == datetime(2019, 11, 30, 14, 5, 9)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t[:-50], "well-formed, it is damaged or cut off"),
        (lambda t: t.replace("RHYTHM", "OTHER"), "one rhythm series, got 0"),
        (lambda t: t.replace('unit="uV"/><digits', 'unit="furlong"/><digits', 1), "one unit"),
        (lambda t: t.replace('<scale value="2.5"', '<scale value="-1"', 1), "scale must be"),
        (lambda t: t.replace("<digits>", "<digits>x ", 1), "digits must be numbers"),
        (lambda t: t.replace("<digits>", "<digits>1 ", 1), "one length, they differ"),
        (lambda t: t.replace('unit="s"', 'unit="fortnight"'), "increment must be in s, ms, us"),
        (lambda t: t.replace("LEAD_V3", "LEAD_X"), "V3"),
    ],
)
def test_a_spoilt_aecg_file_is_refused_without_a_name(make_ecg, write_aecg, change, message):
    with pytest.raises(ECGError) as refusal:
        read_ecg(write_aecg(make_ecg(7), change))
    assert message in str(refusal.value)
    assert "CANARY" not in str(refusal.value)


def test_the_same_samples_have_the_same_hash_whoever_they_belong_to(make_ecg, write_muse):
    signal = make_ecg(5)
    first = read_ecg(write_muse(signal)).file_sha256
    other = read_ecg(write_muse(signal, lambda text: text.replace(CANARY, "SOMEBODY^ELSE")))
    assert other.file_sha256 == first
    assert read_ecg(write_muse(make_ecg(6))).file_sha256 != first


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        (lambda t: t[: len(t) // 2], {}, "well-formed, it is damaged or cut off"),
        (lambda t: t, {"kind": "Median"}, "one rhythm waveform, got 0"),
        (lambda t: t, {"crc": 12345}, "must have their checksum"),
        (lambda t: t, {"unit": "FURLONGS"}, "got another unit"),
        (lambda t: t.replace(">4.88<", "><"), {}, "state LeadAmplitudeUnitsPerBit as a number"),
        (lambda t: t.replace(">V6<", ">V9<"), {}, "V6"),
        (lambda t: t.replace("Total>5000<", "Total>4999<"), {}, "hold the samples they count"),
        (lambda t: t.replace("<SampleBase>500<", "<SampleBase>-500<"), {}, "rate_hz must be"),
        (
            lambda t: t.replace(
                '<!DOCTYPE RestingECG SYSTEM "restecg.dtd">',
                '<!DOCTYPE RestingECG [<!ENTITY a SYSTEM "file:///etc/passwd">]>',
            ),
            {},
            "must hold no entities",
        ),
    ],
)
def test_a_spoilt_muse_file_is_refused_without_a_name(
    make_ecg, write_muse, change, options, message
):
    with pytest.raises(ECGError) as refusal:
        read_ecg(write_muse(make_ecg(7), change, **options))
    assert message in str(refusal.value)
    assert "CANARY" not in str(refusal.value)


def channels(dataset):
    return dataset.WaveformSequence[1].ChannelDefinitionSequence


def swap_codes(dataset):
    first, second = (channels(dataset)[k].ChannelSourceSequence[0] for k in (4, 5))
    first.CodeValue, second.CodeValue = second.CodeValue, first.CodeValue


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d.pop("WaveformSequence"), "must hold a waveform, got none"),
        (lambda d: d.WaveformSequence.pop(1), "got averaged beats only"),
        (lambda d: channels(d)[3].pop("ChannelSensitivity"), "state its sensitivity, got none"),
        (swap_codes, "got the code of aVF and the name of aVL"),
        (lambda d: d.WaveformSequence[1].pop("SamplingFrequency"), "while decoding"),
        (
            lambda d: setattr(d.WaveformSequence[1], "WaveformData", b"\0" * 1000),
            "while decoding",
        ),
    ],
)
def test_a_spoilt_dicom_file_is_refused_without_a_name(make_ecg, write_dicom, change, message):
    with pytest.raises(ECGError) as refusal:
        read_ecg(write_dicom(make_ecg(8), change))
    assert message in str(refusal.value)
    assert "CANARY" not in str(refusal.value)


def test_padding_in_a_dicom_file_is_missing_and_not_a_deflection(make_ecg, write_dicom):
    signal = make_ecg(9)

    def pad(dataset):
        group = dataset.WaveformSequence[1]
        raw = np.frombuffer(group.WaveformData, "<i2").reshape(-1, 12).copy()
        raw[1000:1010] = -32768
        group.WaveformData = raw.tobytes()
        group.add_new(0x5400100A, "OW", np.int16(-32768).tobytes())

    ecg = read_ecg(write_dicom(signal, pad))
    assert ecg.notes
    assert np.abs(ecg.signal_mv[1000:1010] - signal[1000:1010]).max() < 1.5


@pytest.mark.parametrize("writer", ["write_muse", "write_dicom", "write_aecg"])
def test_damaged_bytes_never_raise_anything_but_a_refusal(request, make_ecg, writer):
    path = request.getfixturevalue(writer)(make_ecg(10))
    whole, rng = path.read_bytes(), np.random.default_rng(0)
    accepted = 0
    for number in range(150):
        content = bytearray(whole)
        if number % 3 == 0:
            content = content[: rng.integers(1, len(content))]
        for place in rng.integers(0, min(len(content), 6000), 5):
            content[place] = rng.integers(256)
        path.write_bytes(bytes(content))
        try:
            ecg = read_ecg(path)
        except ECGError:
            continue
        accepted += 1
        assert np.isfinite(ecg.signal_mv).all()
    assert accepted < 150


@pytest.mark.real_data
def test_genuine_files_are_read_and_obey_einthoven(data_root):
    found = {}
    for path in sorted((data_root / "formats").rglob("*")):
        if path.parent.name in ("dicom", "hl7_aecg", "muse_xml"):
            ecg = read_ecg(path)
            found[ecg.source_format] = found.get(ecg.source_format, 0) + 1
            error = ecg.signal_mv[:, 2] - (ecg.signal_mv[:, 1] - ecg.signal_mv[:, 0])
            assert np.abs(error).max() < 0.03
            assert 9.9 < len(ecg.signal_mv) / ecg.rate_hz < 10.1
    assert found == {"DICOM": 1, "HL7 aECG": 2, "GE MUSE XML": 2}
