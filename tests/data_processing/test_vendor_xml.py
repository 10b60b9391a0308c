"""GE Sapphire, GE CardioSoft and Philips Sierra XML: written here, spoilt, and genuine files."""

import base64
import logging
import re
import struct
from datetime import datetime

import numpy as np
import pytest

from data_processing.leads import LEADS
from data_processing.readers import read_ecg
from data_processing.signals import ECGError

CANARY = "CANARYMARIA"
AGAIN = "Export the ECG again."
RECORDED = datetime(2019, 11, 30, 14, 5, 9)


def steps(signal_mv, per_step_uv):
    return np.rint(signal_mv * 1000 / per_step_uv).astype(int)


def sapphire_text(signal_mv, *, unit="uV", invalid=(), name=CANARY):
    """Return a Sapphire file; its median beat must not be read."""
    counts = steps(signal_mv, 4.88)
    counts[list(invalid)] = -32768

    def block(rows):
        leads = "".join(
            f'<ecgWaveform lead="{lead.upper()}" asizeVT="{len(rows)}" VT="xs:short" '
            f'label="{lead}" V="{" ".join(map(str, rows[:, k]))}">\n</ecgWaveform>'
            for k, lead in enumerate(LEADS)
        )
        head = f'<ecgWaveformMXG U="{unit}" S="4.88" INV="-32768">'
        return f'{head}<sampleRate V="500" U="Hz"/>{leads}</ecgWaveformMXG>'

    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n<sapphire xmlns="urn:ge:sapphire:dcar_1" '
        'language="pt"><dcarRecord><patientInfo><identifier>'
        f'<id V="{name}"/></identifier><birthDateTime V="{name}-1951-02-03"/><visit><order>'
        '<testInfo><acquisitionDateTime V="2019-11-30T14:05:09-03:00"/></testInfo><ecgResting>'
        f'<params><ecg index="0"><wav>{block(counts)}</wav><var><medianTemplate>'
        f"{block(counts[:600] * 2)}</medianTemplate></var></ecg></params></ecgResting></order>"
        "</visit></patientInfo></dcarRecord></sapphire>"
    )


def cardiosoft_text(signal_mv, *, name=CANARY):
    """Return a CardioSoft file as public readers expect it; its median beat must not be read."""
    counts = steps(signal_mv, 5)

    def block(rows):
        leads = "".join(
            f'<WaveformData lead="{lead}">\n\t\t{",".join(map(str, rows[:, k]))},\n\t'
            "</WaveformData>"
            for k, lead in enumerate(LEADS)
        )
        return (
            '<NumberOfLeads>12</NumberOfLeads><SampleRate units="Hz">500</SampleRate>'
            f"<ChannelSampleCountTotal>{len(rows)}</ChannelSampleCountTotal>"
            f'<Resolution units="uVperLsb">5</Resolution>{leads}'
        )

    return (
        '<?xml version="1.0" encoding="ISO8859-1" ?>\n<CardiologyXML>'
        "<ObservationType>RestECG</ObservationType><ObservationDateTime><Hour>14</Hour>"
        "<Minute>5</Minute><Second>9</Second><Day>30</Day><Month>11</Month><Year>2019</Year>"
        f"</ObservationDateTime><PatientInfo><PID>{name}</PID><Name><FamilyName>{name}"
        f"</FamilyName></Name></PatientInfo><RestingECGMeasurements><MedianSamples>"
        f"{block(counts[:600] * 2)}</MedianSamples></RestingECGMeasurements>"
        f"<StripData>{block(counts)}</StripData></CardiologyXML>"
    )


def lzw(content):
    """Return LZW codes of 10 bits with the end mark, most significant bit first."""
    known = {bytes([value]): value for value in range(256)}
    codes, held = [], b""
    for value in content:
        longer = held + bytes([value])
        if longer in known:
            held = longer
            continue
        codes.append(known[held])
        if len(known) <= 1022:
            known[longer] = len(known)
        held = bytes([value])
    bits = "".join(f"{code:010b}" for code in [*codes, known[held], 1023])
    bits += "0" * (-len(bits) % 8)
    return int(bits, 2).to_bytes(len(bits) // 8, "big")


def xli_block(samples):
    """Return one lead: header and compressed second differences, each stored one sample late."""
    x = [int(value) for value in samples]
    bends = [x[k] - 2 * x[k - 1] + x[k - 2] for k in range(2, len(x))]
    stored = [*x[:2], *(64 - bend for bend in bends[1:]), 64]
    high = bytes((value >> 8) & 255 for value in stored)
    low = bytes(value & 255 for value in stored)
    packed = lzw(high + low)
    return struct.pack("<IHh", len(packed), 1, -bends[0]) + packed


def philips_content(counts):
    """Return the blocks of twelve leads; III, aVR, aVL and aVF as what remains of them."""
    one, two, three, right, left, foot, *chest = counts.T
    remains = [
        two - one - three,
        -right - (one + two) // 2,
        (one - three) // 2 - left,
        (two + three) // 2 - foot,
    ]
    return b"".join(xli_block(column) for column in (one, two, *remains, *chest))


def philips_text(signal_mv, *, version="1.04.01", has_pulse=True, encoding="UTF-8", name=CANARY):
    """Return a Philips file with the calibration pulse of 1 mV at its end."""
    counts = steps(signal_mv, 5)
    if has_pulse:
        pulse = np.repeat([0, 200, 0], [50, 100, 50])[:, None].repeat(12, axis=1)
        counts = np.concatenate([counts, pulse])
    text = base64.encodebytes(philips_content(counts)).decode()
    duration = f'durationperchannel="{2 * len(counts)}"'
    if version == "1.03":
        traits = "<signalresolution>5</signalresolution>"
        head = f'compressflag="True" compressmethod="XLI" {duration} nbitspersample="16"'
    else:
        traits = "<resolution>5</resolution>"
        head = (
            f'compression="XLI" numberofleads="12" leadlabels="{" ".join(LEADS)}" {duration} '
            'samplespersecond="500" resolution="5" signaloffset="0" signalsigned="True" '
            'bitspersample="16"'
        )
    return (
        f'<?xml version="1.0" encoding="{encoding}"?>\n<restingecgdata '
        'xmlns="http://www3.medical.philips.com"><documentinfo><documenttype>PhilipsECG'
        f"</documenttype><documentversion>{version}</documentversion></documentinfo>"
        '<dataacquisition date="2019-11-30" time="14:05:09"><signalcharacteristics>'
        f"<samplingrate>500</samplingrate>{traits}<acquisitiontype>STD-12</acquisitiontype>"
        "<bitspersample>16</bitspersample><signaloffset>0</signaloffset><signalsigned>True"
        "</signalsigned></signalcharacteristics></dataacquisition><patient><generalpatientdata>"
        f"<patientid>{name}</patientid><lastname>{name}</lastname></generalpatientdata></patient>"
        f'<waveforms><parsedwaveforms dataencoding="Base64" {head}>{text}</parsedwaveforms>'
        "</waveforms></restingecgdata>"
    )


WRITERS = {
    "GE Sapphire XML": sapphire_text,
    "GE CardioSoft XML": cardiosoft_text,
    "Philips Sierra XML": philips_text,
}


@pytest.fixture
def read_text(tmp_path):
    """Return a reader of text as a file; its name says nothing of the format."""

    def read(text, encoding="utf-8"):
        path = tmp_path / f"{CANARY}.dat"
        path.write_bytes(text.encode(encoding))
        return read_ecg(path)

    return read


@pytest.fixture(scope="module")
def signal(make_ecg):
    return make_ecg(12)


@pytest.mark.parametrize(
    ("kind", "leads", "step_mv"),
    [
        ("GE Sapphire XML", "checked", 0.00488),
        ("GE CardioSoft XML", "checked", 0.005),
        ("Philips Sierra XML", "derived", 0.005),
    ],
)
def test_a_file_gives_its_rhythm_in_millivolts(signal, read_text, kind, leads, step_mv):
    ecg = read_text(WRITERS[kind](signal))
    np.testing.assert_allclose(ecg.signal_mv, signal, atol=step_mv / 2 + 1e-6)
    assert (ecg.rate_hz, ecg.source_format) == (500, kind)
    assert ecg.proof == {"unit": "checked", "scale": "declared", "leads": leads}
    assert ecg.recorded_at == RECORDED
    assert ecg.notes == ()


@pytest.mark.parametrize("has_pulse", [True, False])
@pytest.mark.parametrize("version", ["1.03", "1.04", "1.04.02"])
@pytest.mark.parametrize("encoding", ["UTF-8", "UTF-16"])
def test_every_version_of_philips_is_read(signal, read_text, version, has_pulse, encoding):
    text = philips_text(signal, version=version, has_pulse=has_pulse, encoding=encoding)
    ecg = read_text(text, encoding)
    np.testing.assert_allclose(ecg.signal_mv, steps(signal, 5) * 0.005, rtol=0, atol=1e-6)


def test_the_old_layout_of_cardiosoft_is_read(signal, read_text):
    text = cardiosoft_text(signal)
    text = text.replace("<StripData>", "<Strip><StripData>")
    text = text.replace("</StripData>", "</StripData></Strip>")
    np.testing.assert_allclose(read_text(text).signal_mv, signal, atol=0.0026)


def test_invalid_samples_of_sapphire_are_gaps_and_not_deflections(signal, read_text):
    ecg = read_text(sapphire_text(signal, invalid=range(1000, 1010)))
    assert ecg.notes == ("12 short gaps filled",)
    assert np.abs(ecg.signal_mv[1000:1010] - signal[1000:1010]).max() < 1.5
    reason = "lead I must have no gap longer than 0.1 s and at most 1% of its samples missing"
    with pytest.raises(ECGError, match=reason):
        read_text(sapphire_text(signal, invalid=range(1000, 1100)))


@pytest.mark.parametrize("kind", WRITERS)
def test_the_same_samples_have_the_same_hash_whoever_they_belong_to(signal, read_text, kind):
    write = WRITERS[kind]
    first = read_text(write(signal)).file_sha256
    assert read_text(write(signal, name="SOMEBODYELSE")).file_sha256 == first
    assert read_text(write(signal[::-1])).file_sha256 != first


def swap(old, new):
    return lambda text: text.replace(old, new, 1)


def sub(pattern, new):
    return lambda text: re.sub(pattern, new, text, count=1, flags=re.S)


def blocks(change):
    """Return a change of the bytes of a Philips file."""

    def spoil(text):
        head, content, tail = re.split(r'(?<=">)([\w+/=\s]+)(?=</parsedw)', text)
        content = bytearray(base64.b64decode(content))
        change(content)
        return head + base64.b64encode(content).decode() + tail

    return spoil


def put(place, value):
    def change(content):
        content[place : place + len(value)] = value

    return blocks(change)


DAMAGED = f"XML file must be well-formed, it is damaged or cut off. {AGAIN}"
ENTITIES = "XML file must hold no entities and refer to no other file, it does. Do not use it."
BOMB = '<!DOCTYPE {} [<!ENTITY a "CANARYMARIA"><!ENTITY b "&a;&a;&a;&a;">]>\n<{}'
LEFT = (
    "leads must include I, II and V1 to V6, missing: V3 (other channels: 1). Export all twelve "
    "leads; modified leads such as MLII are not accepted."
)
PHILIPS_COUNT = f"Philips leads must hold the samples they count, one does not. {AGAIN}"
PHILIPS_CUT = f"Philips samples must hold a block a lead, one is cut off. {AGAIN}"
PHILIPS_LEADS = (
    "Philips leads must begin with I, II, III, aVR, aVL, aVF, they do not. Export a standard "
    "12-lead ECG."
)
PHILIPS_LENGTH = f"Philips rhythm must have 3 to 60000 samples a lead. {AGAIN}"
PHILIPS_16 = f"Philips samples must be signed, of 16 bits, without offset. {AGAIN}"
PHILIPS_METHOD = (
    "Philips samples must be Base64 with XLI compression, they are not. Export the ECG with "
    "compression."
)
# Each code stands for a string longer by one than the last; the longest then comes 20 000 times.
_CODES = [0, *range(256, 1022), *[1020] * 20_000]
_BITS = "".join(f"{code:010b}" for code in _CODES).ljust(207_672, "0")
BOMB_BLOCK = int(_BITS, 2).to_bytes(len(_BITS) // 8, "big")
BOMB_BLOCK = struct.pack("<IHh", len(BOMB_BLOCK), 1, 0) + BOMB_BLOCK
CARDIOSOFT_COUNT = f"CardioSoft leads must hold as many samples as the strip counts. {AGAIN}"

SAPPHIRE = [
    (lambda t: t[: len(t) // 2], DAMAGED),
    (swap("<sapphire", BOMB.format("sapphire", "sapphire")), ENTITIES),
    (swap("<wav>", "<vaw>"), DAMAGED),
    (
        lambda t: t.replace("wav>", "was>"),
        "Sapphire file must hold one rhythm, got 0. Export one ECG a file.",
    ),
    (
        sub(r"<wav>(.*)</wav>", r"<wav>\1\1</wav>"),
        "Sapphire file must hold one rhythm, got 2. Export one ECG a file.",
    ),
    (swap('U="uV"', f'U="{CANARY}"'), f"Sapphire unit must be uV or mV, it is not. {AGAIN}"),
    (
        swap('S="4.88"', f'S="{CANARY}"'),
        f"Sapphire step must be a number above 0, it is not. {AGAIN}",
    ),
    (swap('S="4.88"', 'S="1e999"'), f"Sapphire step must be a number above 0, it is not. {AGAIN}"),
    (swap('S="4.88" ', ""), f"Sapphire step must be a number above 0, it is not. {AGAIN}"),
    (
        swap('U="Hz"', 'U="ms"'),
        f"Sapphire rhythm must state one sampling rate in Hz. {AGAIN}",
    ),
    (
        swap('V="500"', 'V="-500"'),
        f"Sapphire sampling rate must be a number above 0, it is not. {AGAIN}",
    ),
    (
        swap('asizeVT="5000"', 'asizeVT="9999999999"'),
        f"Sapphire leads must hold the samples they count, one does not. {AGAIN}",
    ),
    (
        sub(r'V="[-\d ]{9999,}?"', 'V=""'),
        f"Sapphire leads must hold the samples they count, one does not. {AGAIN}",
    ),
    (
        sub(r'asizeVT="5000"(.*?)V="\S+ ', r'asizeVT="4999"\1V="'),
        f"Sapphire leads must have one length, they differ. {AGAIN}",
    ),
    (
        sub(r'label="I" V="\S+ ', f'label="I" V="{CANARY} '),
        f"Sapphire samples must be whole numbers, one is not. {AGAIN}",
    ),
    (
        sub(r'label="I" V="\S+ ', 'label="I" V="nan '),
        f"Sapphire samples must be whole numbers, one is not. {AGAIN}",
    ),
    (
        sub(r'label="I" V="\S+ ', f'label="I" V="{"9" * 400} '),
        f"Sapphire samples must be whole numbers, one is not. {AGAIN}",
    ),
    (
        sub(r'label="I" V="\S+ ', 'label="I" V="99999 '),
        f"Sapphire samples must be numbers of 16 bits, one is larger. {AGAIN}",
    ),
    (
        sub(r"(<sampleRate[^>]*>).*?</ecgWaveformMXG>", r"\1</ecgWaveformMXG>"),
        f"Sapphire rhythm must hold leads, got none. {AGAIN}",
    ),
    (swap('lead="V3"', f'lead="{CANARY}"'), LEFT),
]
CARDIOSOFT = [
    (lambda t: t[: len(t) // 2], DAMAGED),
    (swap("<CardiologyXML", BOMB.format("CardiologyXML", "CardiologyXML")), ENTITIES),
    (
        lambda t: t.replace("StripData", "FullDisclosure"),
        "CardioSoft file must hold one strip of leads, got 0. Export a resting ECG.",
    ),
    (
        sub(r"(<StripData>.*</StripData>)", r"\1\1"),
        "CardioSoft file must hold one strip of leads, got 2. Export a resting ECG.",
    ),
    (
        lambda t: t.replace('units="uVperLsb"', f'units="{CANARY}"'),
        f"CardioSoft Resolution must be stated once, in uVperLsb, it is not. {AGAIN}",
    ),
    (
        lambda t: t.replace('"uVperLsb">5<', '"uVperLsb">0<'),
        f"CardioSoft Resolution must be a number above 0, it is not. {AGAIN}",
    ),
    (
        lambda t: t.replace('units="Hz"', ""),
        f"CardioSoft SampleRate must be stated once, in Hz, it is not. {AGAIN}",
    ),
    (
        lambda t: t.replace('"Hz">500<', f'"Hz">{CANARY}<'),
        f"CardioSoft SampleRate must be a number above 0, it is not. {AGAIN}",
    ),
    (lambda t: t.replace("Total>5000<", "Total>4999<"), CARDIOSOFT_COUNT),
    (sub(r'(<StripData>.*?lead="II">\s*)\S+?,', r"\1"), CARDIOSOFT_COUNT),
    (
        sub(r'(<StripData>.*?lead="II">\s*)\S+?,', rf"\g<1>{CANARY},"),
        f"CardioSoft samples must be whole numbers, one is not. {AGAIN}",
    ),
    (
        sub(r'(<StripData>.*?lead="II">\s*)\S+?,', r"\1,"),
        f"CardioSoft samples must be whole numbers, one is not. {AGAIN}",
    ),
    (lambda t: t.replace('lead="V3"', f'lead="{CANARY}"'), LEFT),
    (
        lambda t: t.replace('lead="II"', 'lead="I"'),
        "leads must be named once each, got I twice. Export the ECG again.",
    ),
]
PHILIPS = [
    (lambda t: t[: len(t) // 2], DAMAGED),
    (swap("<restingecgdata", BOMB.format("restingecgdata", "restingecgdata")), ENTITIES),
    (
        swap(">1.04.01<", f">{CANARY}<"),
        "Philips XML must have version 1.03, 1.04, 1.04.01, 1.04.02, it has not. Export it as "
        "1.04.",
    ),
    (
        lambda t: t.replace("parsedwaveforms", "waves"),
        "Philips XML must hold one rhythm and its traits, got 0 and 1. Export one ECG a file.",
    ),
    (swap("Base64", "Plain"), PHILIPS_METHOD),
    (swap('compression="XLI"', f'compression="{CANARY}"'), PHILIPS_METHOD),
    (swap('compression="XLI"', ""), PHILIPS_METHOD),
    (swap(' bitspersample="16"', ' bitspersample="14"'), PHILIPS_16),
    (swap('signalsigned="True"', 'signalsigned="False"'), PHILIPS_16),
    (
        swap('samplespersecond="500"', 'samplespersecond="1000"'),
        f"Philips XML must state one sampling rate, got two. {AGAIN}",
    ),
    (
        swap("<samplingrate>500<", f"<samplingrate>{CANARY}<"),
        f"Philips XML must state one sampling rate, got two. {AGAIN}",
    ),
    (
        lambda t: t.replace('resolution="5"', 'resolution="inf"'),
        f"Philips resolution must be a number above 0, it is not. {AGAIN}",
    ),
    (
        sub(r'durationperchannel="\d+"', ""),
        f"Philips duration must be a number above 0, it is not. {AGAIN}",
    ),
    (sub(r'durationperchannel="\d+"', 'durationperchannel="1e300"'), PHILIPS_LENGTH),
    (sub(r'durationperchannel="\d+"', 'durationperchannel="2.5"'), PHILIPS_LENGTH),
    (sub(r'durationperchannel="\d+"', 'durationperchannel="10402"'), PHILIPS_COUNT),
    (sub(r'durationperchannel="\d+"', 'durationperchannel="10398"'), PHILIPS_COUNT),
    (swap('leadlabels="I II', 'leadlabels="II I'), PHILIPS_LEADS),
    (swap('V6"', 'V6 V7 V8 V9 V3R V4R"'), PHILIPS_LEADS),
    (swap('V6"', 'V6 V7"'), PHILIPS_CUT),
    (swap("V3 ", f"{CANARY} "), LEFT),
    (sub(r"(</parsedwaveforms)", r"*\1"), f"Philips samples must be Base64, they are not. {AGAIN}"),
    (put(0, b"\xff\xff\xff\xff"), PHILIPS_CUT),
    (put(0, b"\0\0\0\0"), PHILIPS_CUT),
    (put(0, b"\xf8\xff\xff\xff"), PHILIPS_CUT),
    (blocks(lambda c: c.__setitem__(slice(None), BOMB_BLOCK * 12)), PHILIPS_COUNT),
    (put(8, b"\xff\xff"), PHILIPS_COUNT),
    (put(8, b"\x00\x38\x40"), f"Philips samples must be XLI, a code is not. {AGAIN}"),
    (blocks(lambda c: c.__delitem__(slice(-30, None))), PHILIPS_CUT),
]


@pytest.mark.parametrize(
    ("kind", "change", "message"),
    [
        (kind, *row)
        for kind, rows in zip(WRITERS, (SAPPHIRE, CARDIOSOFT, PHILIPS), strict=True)
        for row in rows
    ],
)
def test_a_spoilt_file_is_refused_without_a_name(signal, read_text, kind, change, message):
    whole = WRITERS[kind](signal)
    spoilt = change(whole)
    assert spoilt != whole
    with pytest.raises(ECGError) as refusal:
        read_text(spoilt)
    assert str(refusal.value) == message


@pytest.mark.parametrize("kind", WRITERS)
def test_a_date_that_is_none_is_left_out(signal, read_text, kind):
    text = re.sub("(2019-11-|<Day>)30", r"\g<1>31", WRITERS[kind](signal))
    assert read_text(text).recorded_at is None


@pytest.mark.parametrize("kind", WRITERS)
def test_nothing_of_the_patient_is_kept_or_logged(signal, read_text, kind, caplog, recwarn):
    caplog.set_level(logging.DEBUG)
    ecg = read_text(WRITERS[kind](signal))
    assert "CANARY" not in caplog.text + repr(ecg) + repr(vars(ecg)) + repr(recwarn.list)


def test_identical_leads_are_refused_and_not_cut_off_as_a_pulse(read_text):
    with pytest.raises(ECGError, match="Philips leads must differ, all are the same"):
        read_text(philips_text(np.zeros((500, 12)), has_pulse=False))


def damaged(content, rng):
    """Return bytes with some changed, swapped or cut off, most of them in the head."""
    content = bytearray(content)
    kind = rng.integers(4)
    if kind == 0:
        content = content[: rng.integers(len(content))]
    for place in rng.integers(0, min(len(content), 2500), 3) if len(content) else ():
        other = rng.integers(len(content))
        if kind == 1:
            content[place], content[other] = content[other], content[place]
        elif kind == 2:
            content[place] = rng.choice(list(b"0123456789-."))
        else:
            content[other] = rng.choice(list(b"0123456789ABCdef+/"))
    return bytes(content)


@pytest.mark.parametrize("kind", WRITERS)
def test_damage_never_ends_in_anything_but_a_refusal(signal, tmp_path, kind):
    whole, rng = WRITERS[kind](signal).encode(), np.random.default_rng(2)
    path, refusals = tmp_path / "export.xml", []
    for _ in range(30):
        path.write_bytes(damaged(whole, rng))
        try:
            ecg = read_ecg(path)
        except ECGError as error:
            refusals.append(str(error))
        else:
            assert np.isfinite(ecg.signal_mv).all()
    assert len(refusals) > 8
    assert "CANARY" not in "".join(refusals)


@pytest.mark.real_data
def test_genuine_sapphire_files_obey_einthoven_and_their_own_measurements(data_root):
    paths = sorted((data_root / "formats" / "ge_sapphire_xml").iterdir())
    assert len(paths) == 3
    for path in paths:
        ecg, text = read_ecg(path), path.read_text()
        signal = ecg.signal_mv.astype(np.float64)
        assert (ecg.rate_hz, signal.shape, ecg.recorded_at) == (500, (5000, 12), None)
        assert ecg.proof["leads"] == "checked"
        # Each lead is rounded to whole steps of 4.88 uV.
        assert np.abs(signal[:, 2] - signal[:, 1] + signal[:, 0]).max() < 0.00489
        assert np.abs(signal[:, 3:6].sum(axis=1)).max() < 3 * 0.00489
        # The device's own amplitude of R in the median beat, at its own places of the beats.
        peaks = [int(found) for found in re.findall(r'<toc V="(\d+)"', text)]
        for lead in ("II", "V5"):
            stated = re.search(rf'<perLead lead="{lead}".*?<R_Amp V="(\d+)"', text, re.S)
            column = signal[:, LEADS.index(lead)]
            tops = [column[max(k - 40, 0) : k + 40].max() for k in peaks]
            height_mv = np.median(tops) - np.median(column)
            assert stated
            assert 0.9 < height_mv * 1000 / int(stated[1]) < 1.1


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("name", "n_samples", "recorded_at", "sha256"),
    [
        # Of the samples as sierraecg 0.4.0 reads them (int16, without the common end).
        ("129DYPRG.XML", 5264, datetime(2011, 12, 1, 7, 27, 34), "e4646f7a35e0"),
        ("2020-5-18_15-48-11.xml", 5300, datetime(2020, 5, 18, 15, 48, 11), "8592f3a869f4"),
        ("repbeats_example.xml", 5264, datetime(2011, 12, 1, 7, 27, 34), "e4646f7a35e0"),
    ],
)
def test_genuine_philips_files_have_known_samples(data_root, name, n_samples, recorded_at, sha256):
    ecg = read_ecg(data_root / "formats" / "philips_sierra" / name)
    signal = ecg.signal_mv.astype(np.float64)
    assert (ecg.rate_hz, len(signal), ecg.recorded_at) == (500, n_samples, recorded_at)
    assert ecg.file_sha256.startswith(sha256)
    assert np.abs(signal[:, 2] - signal[:, 1] + signal[:, 0]).max() < 0.0101
    assert ecg.proof["leads"] == "derived"
