"""SCP-ECG: an encoder of every variant, written from the standard's tables; what it wrote is read.

The expected samples are made first and encoded then, so each is known exactly.
"""

import binascii
import logging
import struct
from datetime import datetime

import numpy as np
import pytest

from data_processing.leads import LEADS
from data_processing.readers import read_ecg, scp_ecg, scp_huffman, scp_rhythm
from data_processing.signals import ECGError

CODES = (1, 2, 61, 62, 63, 64, 3, 4, 5, 6, 7, 8)
CANARIES = (b"CANARYSMITH", b"CANARY4711", struct.pack("<HBB", 1951, 2, 3))
# Own tables: small numbers in the first, the rest in the second, whose numbers count from 5.
OWN = (
    (("0", 0, 1, 0), ("10", 4, 1, 0), ("110", 0, 0, 2)),
    (("0", 17, 1, 5), ("1", 0, 0, 1)),
)
N, RATE, STEP_NV = 5000, 500, 2500


def two_complement(value, n_bits):
    return format(value & ((1 << n_bits) - 1), f"0{n_bits}b")


def default_bits(values):
    """Return the bits of numbers by the table of the standard."""
    for value in values:
        if value == 0:
            yield "0"
        elif abs(value) <= 8:
            yield "1" * abs(value) + ("00" if value > 0 else "01")
        elif -128 <= value < 128:
            yield "1111111110" + two_complement(value, 8)
        else:
            yield "1111111111" + two_complement(value, 16)


def own_bits(values):
    """Return the bits by ``OWN``: it changes the table before and after each large number."""
    is_first = True
    for value in values:
        if (-8 <= value < 8) != is_first:
            yield "110" if is_first else "1"
            is_first = not is_first
        if is_first:
            yield "0" if value == 0 else "10" + two_complement(value, 4)
        else:
            yield "0" + two_complement(value - 5, 17)


def coded(values, order, coding):
    """Return the bytes of one lead."""
    x = np.asarray(values, dtype=np.int64)
    if order == 1:
        x = np.concatenate([x[:1], x[1:] - x[:-1]])
    elif order == 2:
        x = np.concatenate([x[:2], x[2:] - 2 * x[1:-1] + x[:-2]])
    x = x.astype(np.int16)
    if coding == "none":
        return x.astype("<i2").tobytes()
    bits = "".join({"default": default_bits, "own": own_bits}[coding](x.tolist()))
    bits += "0" * (-len(bits) % 16)
    return int(bits, 2).to_bytes(len(bits) // 8, "big")


def section_2(coding):
    if coding == "default":
        return struct.pack("<H", 19999)
    body = struct.pack("<H", len(OWN))
    for table in OWN:
        body += struct.pack("<H", len(table))
        for prefix, n_extra, mode, value in table:
            stored = int(prefix[::-1], 2)
            size = len(prefix)
            body += struct.pack("<BBBhI", size, size + n_extra, mode, value, stored)
    return body


def samples(columns, order, coding, *, step_nv=STEP_NV, interval_us=2000, is_bimodal=False):
    """Return the body of section 5 or 6."""
    contents = [coded(column, order, coding) for column in np.asarray(columns).T]
    head = struct.pack("<HHBB", step_nv, interval_us, order, is_bimodal)
    return head + struct.pack(f"<{len(contents)}H", *map(len, contents)) + b"".join(contents)


def section_1():
    tags = {0: CANARIES[0], 2: CANARIES[1], 5: CANARIES[2]}
    tags |= {25: struct.pack("<HBB", 2019, 11, 30), 26: bytes([14, 5, 9]), 255: b""}
    return b"".join(struct.pack("<BH", tag, len(value)) + value for tag, value in tags.items())


def section_3(first=1, last=N, *, flags=4, codes=CODES):
    rows = b"".join(struct.pack("<IIB", first, last, code) for code in codes)
    return bytes([len(codes), flags]) + rows


def bodies(counts, *, order=2, coding="default"):
    """Return the sections of an ECG without reference beats; (n, 12) whole steps."""
    found = {1: section_1(), 3: section_3(1, len(counts)), 6: samples(counts, order, coding)}
    return found | ({2: section_2(coding)} if coding != "none" else {})


def section(number, body):
    head = struct.pack("<HIBB", number, 16 + len(body), 20, 20) + (b"SCPECG" if not number else b"")
    content = head.ljust(14, b"\0") + body
    return struct.pack("<H", binascii.crc_hqx(content, 0xFFFF)) + content


def record(sections):
    """Return the file: checksum, size, pointers, sections."""
    written = {number: section(number, body) for number, body in sorted(sections.items())}
    pointers, index = struct.pack("<HII", 0, 136, 7), 7 + 136
    for number in range(1, 12):
        length = len(written.get(number, b""))
        pointers += struct.pack("<HII", number, length, index if length else 0)
        index += length
    content = struct.pack("<I", index - 1) + section(0, pointers) + b"".join(written.values())
    return struct.pack("<H", binascii.crc_hqx(content, 0xFFFF)) + content


@pytest.fixture(scope="module")
def counts(make_ecg):
    """Return an ECG in whole steps whose limb leads fit exactly."""
    even = 2 * np.rint(make_ecg(11) * 1e6 / STEP_NV / 2).astype(np.int64)
    one, two = even[:, 0], even[:, 1]
    even[:, 2:6] = np.stack([two - one, -(one + two) // 2, one - two // 2, two - one // 2], axis=1)
    return even


@pytest.fixture
def read_sections(tmp_path):
    """Return a reader of an ECG of given sections."""

    def read(sections):
        path = tmp_path / "export.dat"
        path.write_bytes(record(sections) if isinstance(sections, dict) else sections)
        return read_ecg(path)

    return read


def assert_is(ecg, nanovolts):
    np.testing.assert_allclose(ecg.signal_mv, np.asarray(nanovolts) * 1e-6, rtol=0, atol=1e-6)


@pytest.mark.parametrize("coding", ["none", "default", "own"])
@pytest.mark.parametrize("order", [0, 1, 2])
def test_every_encoding_is_read_exactly(counts, read_sections, coding, order):
    ecg = read_sections(bodies(counts, order=order, coding=coding))
    assert_is(ecg, counts * STEP_NV)
    assert (ecg.rate_hz, ecg.source_format) == (RATE, "SCP-ECG")
    assert ecg.proof == {"unit": "checked", "scale": "declared", "leads": "checked"}
    assert ecg.recorded_at == datetime(2019, 11, 30, 14, 5, 9)


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("coding", ["none", "default"])
def test_differences_of_more_than_16_bits_come_back_as_devices_wrap_them(order, coding):
    x = np.array([-30000, 30000, -30000, 5, 32767, -32768])
    back = scp_rhythm.numbers(
        coded(x, order, coding), 6, order, [scp_huffman.default_table()] * (coding == "default")
    )
    np.testing.assert_array_equal(back, x)


def test_the_default_table_is_the_one_of_the_standard():
    # prEN 1064, C.2.7.4, as two public decoders have it (PixelMed, biosig): bits of prefix and
    # code, base value, base code as stored.
    rows = [(1, 1, 0, 0), (3, 3, 1, 1), (3, 3, -1, 5), (4, 4, 2, 3), (4, 4, -2, 11), (5, 5, 3, 7)]
    rows += [(5, 5, -3, 23), (6, 6, 4, 15), (6, 6, -4, 47), (7, 7, 5, 31), (7, 7, -5, 95)]
    rows += [(8, 8, 6, 63), (8, 8, -6, 191), (9, 9, 7, 127), (9, 9, -7, 383), (10, 10, 8, 255)]
    rows += [(10, 10, -8, 767), (10, 18, 0, 511), (10, 26, 0, 1023)]
    body = struct.pack("<HH", 1, len(rows))
    body += b"".join(struct.pack("<BBBhI", p, c, 1, value, base) for p, c, value, base in rows)
    assert scp_huffman.parse_tables(body) == [scp_huffman.default_table()]
    assert scp_huffman.parse_tables(struct.pack("<H", 19999)) == [scp_huffman.default_table()]


def beats_of(first=1):
    """Return made-up beats: type, first, fiducial, last sample; the third was not subtracted."""
    rows = [(0, k - 90, k, k + 120) for k in range(201, 4800, 400)]
    rows[2] = (1, 0, rows[2][2], 0)
    return [(kind, *(s + first - 1 if s else 0 for s in places)) for kind, *places in rows]


def section_4(beats, protected, *, beat_ms=520, fiducial=101):
    body = struct.pack("<3H", beat_ms, fiducial, len(beats))
    body += b"".join(struct.pack("<H3I", *beat) for beat in beats)
    return body + b"".join(struct.pack("<2I", *zone) for zone in protected)


def reference_beat(counts):
    return counts[100:360] // 2 * 2  # 260 samples, 520 ms


def without_beats(nanovolts, beat_nv, beats, *, first=1, fiducial=101):
    """Return the residual, sample by sample."""
    residual = nanovolts.copy()
    for kind, low, centre, high in beats:
        for number in range(low, high + 1) if kind == 0 else ():
            residual[number - first] -= beat_nv[fiducial - 1 + number - centre]
    return residual


@pytest.mark.parametrize("coding", ["none", "default", "own"])
@pytest.mark.parametrize("first", [1, 501])
def test_subtracted_reference_beats_come_back_exactly(counts, read_sections, coding, first):
    beats, beat = beats_of(first), reference_beat(counts)
    expected = counts * STEP_NV
    # The beat has steps of twice the size, so both scales must be used.
    residual = without_beats(expected, beat * STEP_NV, beats, first=first)
    sections = bodies(counts, coding=coding) | {
        3: section_3(first, first + N - 1, flags=5),
        4: section_4(beats, [(b[2] - 20, b[2] + 20) for b in beats]),
        5: samples(beat // 2, 1, coding, step_nv=2 * STEP_NV),
        6: samples(residual // STEP_NV, 2, coding),
    }
    ecg = read_sections(sections)
    assert_is(ecg, expected)
    assert ecg.recorded_at == datetime(2019, 11, 30, 14, 5, 9)


def expanded_by_hand(stored, zones, n_samples, factor, edges=()):
    """Return full-rate samples from the rule in words: blocks, straight lines, mean of three."""
    full, is_kept, place = [], [], 0
    for low, high in [*zones, (n_samples + 1, n_samples)]:
        n_blocks, n_rest = divmod(low - 1 - len(full), factor)
        blocks = stored[place : place + n_blocks]
        place += n_blocks + n_rest
        for k, inside in ((k, i) for k in range(n_blocks) for i in range(factor)):
            behind = inside - factor // 2
            other = min(max(k + (1 if behind >= 0 else -1), 0), n_blocks - 1)
            full.append(blocks[k] + (blocks[other] - blocks[k]) * abs(behind) / factor)
        full.extend(stored[place - n_rest : place])
        is_kept += [False] * (len(full) - len(is_kept))
        full.extend(stored[place : place + high - low + 1])
        place += high - low + 1
        is_kept += [True] * (high - low + 1)
    assert place == len(stored)
    smooth = list(full)
    for k in range(1, n_samples - 1):
        if not is_kept[k] and k + 1 not in edges:
            smooth[k] = sum(full[k - 1 : k + 2]) / 3
    return smooth


def zones_of(beats):
    return [(centre - 25, centre + 30) for _, _, centre, _ in beats]


def decimated(counts, zones, factor):
    """Return what an encoder stores: protected samples, means of blocks, what is left over."""
    rows, done = [], 0
    for low, high in [*zones, (len(counts) + 1, len(counts))]:
        part = counts[done : low - 1]
        n_blocks = len(part) // factor
        blocks = part[: n_blocks * factor].reshape(n_blocks, factor, -1)
        rows += [np.rint(blocks.mean(axis=1) / 2) * 2, part[n_blocks * factor :]]
        rows.append(counts[low - 1 : high])
        done = high
    return np.concatenate(rows).astype(np.int64)


@pytest.mark.parametrize("factor", [1, 2, 3, 4])
@pytest.mark.parametrize("coding", ["none", "default", "own"])
def test_bimodal_compression_is_expanded_by_the_rule(counts, read_sections, coding, factor):
    beats = beats_of()
    zones = zones_of(beats)
    stored = decimated(counts, zones, factor) if factor > 1 else counts
    edges = {k for kind, low, _, high in beats if kind == 0 for k in (low - 1, low, high, high + 1)}
    expected = counts.T
    if factor > 1:
        expected = [expanded_by_hand(c, zones, N, factor, edges) for c in stored.T.tolist()]
    sections = bodies(counts, coding=coding) | {
        4: section_4(beats, zones),
        5: samples(reference_beat(counts), 1, coding),
        6: samples(stored, 2, coding, interval_us=2000 * factor, is_bimodal=True),
    }
    assert_is(read_sections(sections), np.transpose(expected) * STEP_NV)


def test_what_bimodal_compression_keeps_comes_back_exactly(counts, read_sections):
    beats = beats_of()
    zones, level = zones_of(beats), counts.copy()
    done = 0
    for low, high in [*zones, (N + 1, N)]:
        level[done : low - 1] = 2 * (done // 100 % 5)  # constant between the zones
        done = high
    beat = np.zeros_like(reference_beat(counts))
    sections = bodies(counts) | {
        4: section_4(beats, zones),
        5: samples(beat, 1, "default"),
        6: samples(decimated(level, zones, 4), 2, "default", interval_us=8000, is_bimodal=True),
    }
    ecg = read_sections(sections)
    for low, high in zones:
        np.testing.assert_allclose(ecg.signal_mv[low - 1 : high], level[low - 1 : high] * 2.5e-3)
    gap = slice(zones[0][1] + 1, zones[1][0] - 2)
    np.testing.assert_allclose(ecg.signal_mv[gap], level[gap] * 2.5e-3, atol=1e-6)


def test_bimodal_residuals_and_reference_beats_come_back_together(counts, read_sections):
    beats, beat = beats_of(), reference_beat(counts)
    zones = zones_of(beats)
    stored = decimated(without_beats(counts, beat, beats), zones, 4)
    edges = {k for kind, low, _, high in beats if kind == 0 for k in (low - 1, low, high, high + 1)}
    residual = np.transpose([expanded_by_hand(c, zones, N, 4, edges) for c in stored.T.tolist()])
    expected = without_beats(residual, -beat, beats)
    sections = bodies(counts) | {
        3: section_3(flags=5),
        4: section_4(beats, zones),
        5: samples(beat, 1, "default"),
        6: samples(stored, 2, "default", interval_us=8000, is_bimodal=True),
    }
    ecg = read_sections(sections)
    assert_is(ecg, expected * STEP_NV)
    for low, high in zones:  # nothing was left out there
        assert_is_part = ecg.signal_mv[low - 1 : high] - counts[low - 1 : high] * STEP_NV * 1e-6
        assert np.abs(assert_is_part).max() < 1e-6


def test_the_same_samples_have_the_same_hash_whoever_they_belong_to(counts, read_sections):
    first = read_sections(bodies(counts)).file_sha256
    other = bodies(counts, coding="own") | {1: section_1().replace(CANARIES[0], b"OTHERPERSON")}
    assert read_sections(other).file_sha256 == first
    assert read_sections(bodies(counts[::-1])).file_sha256 != first


def put(number, place, content):
    """Return a change of a section's bytes."""

    def change(sections):
        body = bytearray(sections[number])
        body[place : place + len(content)] = content
        sections[number] = bytes(body)

    return change


AGAIN = "Copy or export the ECG again."
EXPORT = "Export the ECG again."
COUNTED = f"SCP-ECG lead must hold the samples that section 3 states, got {{}} codes. {EXPORT}"
BEATS = (
    "SCP-ECG must have sections 4 and 5 (reference beat) as its rhythm is compressed with them, "
    "one is missing. Export the ECG without compression."
)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda s: s.pop(3),
            "SCP-ECG must have section 3 (leads), got none. Export the rhythm.",
        ),
        (
            lambda s: s.pop(6),
            "SCP-ECG must have section 6 (rhythm), got none. Export the rhythm.",
        ),
        (
            lambda s: s.update({3: s[3][:50]}),
            f"SCP-ECG section 3 must list the leads, it is cut off. {AGAIN}",
        ),
        (
            lambda s: s.update({3: section_3(codes=(11, 12))}),
            "SCP-ECG must hold leads I, II and V1 to V6, got none. Export all leads.",
        ),
        (
            lambda s: s.update({3: section_3(flags=0)}),
            "SCP-ECG leads must be recorded at the same time, they are not. Export ten seconds of "
            "all leads.",
        ),
        (
            put(3, 2, struct.pack("<I", 2)),
            "SCP-ECG leads must be recorded at the same time, they are not. Export ten seconds of "
            "all leads.",
        ),
        (
            lambda s: s.update({3: section_3(0, N - 1)}),
            f"SCP-ECG leads must begin at sample 1 or later, they do not. {AGAIN}",
        ),
        (
            lambda s: s.update({3: section_3(codes=(*CODES[:11], 7))}),
            "leads must be named once each, got V5 twice. Export the ECG again.",
        ),
        (
            lambda s: s.update({3: section_3(1, 4_000_000_000)}),
            "SCP-ECG must have at most 150000 samples a lead, got 4000000000. Export ten seconds.",
        ),
        (lambda s: s.update({3: section_3(1, N + 40)}), COUNTED.format("fewer")),
        (lambda s: s.update({3: section_3(1, N - 40)}), COUNTED.format("more")),
        (
            lambda s: s.pop(2),
            "SCP-ECG lead must hold the samples that section 3 states, got {} bytes for 5000 "
            f"samples. {EXPORT}",
        ),
        (
            put(6, 0, b"\0\0"),
            "SCP-ECG must state step and interval of its samples, got 0: the scale is unknown. "
            "Export the ECG with its calibration.",
        ),
        (put(6, 4, b"\3"), f"SCP-ECG samples must be of a known encoding, they are not. {EXPORT}"),
        (put(6, 6, b"\xff\xff"), f"SCP-ECG samples must be complete, they are cut off. {EXPORT}"),
        (put(6, 5, b"\1"), BEATS),
        (put(3, 1, b"\5"), BEATS),
        (
            lambda s: s.update({2: b"\0"}),
            f"SCP-ECG section 2 must have 2 to 20000 bytes, got 1. {EXPORT}",
        ),
        (
            lambda s: s.update({2: section_2("own")[:-1]}),
            f"SCP-ECG section 2 must hold its tables, one is cut off. {EXPORT}",
        ),
        (
            lambda s: s.update({2: section_2("own").replace(b"\0\2\0\3", b"\0\7\0\3", 1)}),
            f"SCP-ECG tables must lead to one another, one does not. {EXPORT}",
        ),
        (
            lambda s: s.update({2: struct.pack("<HHBBBhI", 1, 1, 3, 2, 1, 0, 0)}),
            f"SCP-ECG tables must have codes of 1 to 32 bits, one has not. {EXPORT}",
        ),
        (
            lambda s: s.update({2: struct.pack("<HHBBBhI", 1, 1, 1, 1, 1, 0, 0)}),
            COUNTED.format("unknown"),
        ),
        (  # a table of nothing but a change to itself
            lambda s: s.update(
                {2: struct.pack("<HHBBBhI", 1, 1, 1, 1, 0, 1, 0), 6: s[6][:30] + bytes(len(s[6]))}
            ),
            COUNTED.format("more"),
        ),
    ],
)
def test_a_spoilt_record_is_refused_without_a_name(counts, tmp_path, change, message):
    sections = bodies(counts)
    change(sections)
    path = tmp_path / "CANARY-4711.scp"
    path.write_bytes(record(sections))
    with pytest.raises(ECGError) as refusal:
        read_ecg(path)
    if "{}" in message:
        size = struct.unpack_from("<H", sections[6], 6)[0]
        message = message.format(size)
    assert str(refusal.value) == message
    assert "CANARY" not in str(refusal.value)


def compressed(counts, **changed):
    """Return a bimodal record with reference beats, one section of it replaced."""
    beats = beats_of()
    zones = zones_of(beats)
    sections = bodies(counts) | {
        3: section_3(flags=5),
        4: section_4(beats, zones),
        5: samples(reference_beat(counts), 1, "default"),
        6: samples(decimated(counts, zones, 4), 2, "default", interval_us=8000, is_bimodal=True),
    }
    return sections | {int(name[-1]): body for name, body in changed.items()}


@pytest.mark.parametrize(
    ("number", "change", "message"),
    [
        (4, lambda b: b[:4], f"SCP-ECG section 4 must be complete, it is cut off. {EXPORT}"),
        (4, lambda b: b[:100], f"SCP-ECG section 4 must be complete, it is cut off. {EXPORT}"),
        (
            4,
            lambda b: b[:-8] + struct.pack("<2I", 100, 90),
            f"SCP-ECG protected zones must follow each other. {EXPORT}",
        ),
        (4, lambda b: b[:-8] + bytes(8), COUNTED.format("more")),
        (4, lambda b: struct.pack("<H", 5200) + b[2:], COUNTED.format("fewer")),
        (
            5,
            lambda b: b[:2] + struct.pack("<H", 3000) + b[4:],
            "SCP-ECG samples must be 1 to 4 intervals of the reference beat apart, got 8000 and "
            f"3000 microseconds. {AGAIN}",
        ),
        (
            6,
            lambda b: b[:5] + b"\0" + b[6:],
            "SCP-ECG samples must be 1 to 4 intervals of the reference beat apart, got 8000 and "
            f"2000 microseconds. {AGAIN}",
        ),
    ],
)
def test_spoilt_compression_is_refused(counts, read_sections, number, change, message):
    sections = compressed(counts)
    assert len(read_sections(sections).signal_mv) == N
    sections[number] = change(sections[number])
    with pytest.raises(ECGError) as refusal:
        read_sections(sections)
    assert str(refusal.value) == message


def cut(content):
    return content[:-1000]


def other_pointer(content):
    """Let the pointer to section 6 lead to section 3, with valid checksums before it."""
    pointers = content[22:142]
    pointers = pointers[:60] + struct.pack("<H", 6) + pointers[32:40] + pointers[70:]
    content = content[:6] + section(0, pointers) + content[142:]
    return struct.pack("<H", binascii.crc_hqx(content[2:], 0xFFFF)) + content[2:]


def wrong_section(content):
    content = bytearray(content)
    content[-3] ^= 8  # in section 6, the last one
    return struct.pack("<H", binascii.crc_hqx(bytes(content[2:]), 0xFFFF)) + bytes(content[2:])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            cut,
            "SCP-ECG must have the {} bytes it states, got {}: it is cut off. " + AGAIN,
        ),
        (
            lambda c: c[:-3] + bytes([c[-3] ^ 8]) + c[-2:],
            f"SCP-ECG must have its checksum, the file differs. {AGAIN}",
        ),
        (wrong_section, f"SCP-ECG must have its checksums, section 6 differs. {AGAIN}"),
        (other_pointer, f"SCP-ECG pointers must lead to sections, 6 does not. {AGAIN}"),
        (
            lambda c: c.ljust(scp_ecg._MOST_BYTES + 1, b"\0"),
            "SCP-ECG must be at most 16 MiB, got a larger file.",
        ),
    ],
)
def test_a_damaged_file_is_refused(counts, read_sections, change, message):
    whole = record(bodies(counts))
    with pytest.raises(ECGError) as refusal:
        read_sections(change(whole))
    assert str(refusal.value) == message.format(len(whole), len(whole) - 1000)


def damaged(sections, rng):
    """Return one damaged record: bytes changed, swapped or cut off.

    In half of them one section is damaged and gets a valid checksum, so that it is looked into.
    """
    number = int(rng.choice([0, 0, 0, *sections]))
    content = bytearray(sections[number] if number else record(sections))
    kind = rng.integers(3)
    if kind == 0:
        content = content[: rng.integers(len(content))]
    for place in rng.integers(0, max(min(len(content), 150), 1), 3) if content else ():
        other = rng.integers(len(content))
        if kind == 1:
            content[place], content[other] = content[other], content[place]
        else:
            content[place if rng.random() < 0.7 else other] = rng.choice([0, 1, 255, 254, 4, 128])
    return record(sections | {number: bytes(content)}) if number else bytes(content)


def test_damage_never_ends_in_anything_but_a_refusal(counts, read_sections):
    rng, refusals = np.random.default_rng(1), []
    kinds = [bodies(counts), bodies(counts, coding="own"), compressed(counts)]
    for number in range(30):
        try:
            ecg = read_sections(damaged(kinds[number % 3], rng))
        except ECGError as error:
            refusals.append(str(error))
        else:
            assert np.isfinite(ecg.signal_mv).all()
    assert len(refusals) > 15
    assert "CANARY" not in "".join(refusals)


def test_nothing_of_the_patient_is_kept_or_logged(counts, read_sections, caplog, recwarn):
    caplog.set_level(logging.DEBUG)
    ecg = read_sections(bodies(counts))
    assert "CANARY" not in caplog.text + repr(ecg) + repr(vars(ecg)) + repr(recwarn.list)


@pytest.mark.parametrize("year", [0, 2019])
def test_a_date_that_is_none_is_left_out(counts, read_sections, year):
    date = struct.pack("<HBB", year, 13, 30)
    sections = bodies(counts) | {1: section_1().replace(struct.pack("<HBB", 2019, 11, 30), date)}
    assert read_sections(sections).recorded_at is None


@pytest.mark.real_data
def test_the_genuine_file_obeys_einthoven_exactly_and_has_its_numbers(data_root):
    path = data_root / "formats" / "scp_ecg" / "Example.scp"
    ecg = read_ecg(path)
    signal = ecg.signal_mv.astype(np.float64)
    one, two = signal[:, 0], signal[:, 1]
    assert np.abs(signal[:, 2] - (two - one)).max() < 1e-6
    assert np.abs(signal[:, 3:6].sum(axis=1)).max() < 0.0051  # halves of a step are cut off
    assert (ecg.rate_hz, len(signal), ecg.recorded_at) == (500, N, datetime(2002, 11, 22, 9, 10))
    assert ecg.proof["leads"] == "checked"
    # First and extreme samples as read by ecgdatakit 2.0.3, an independent decoder.
    np.testing.assert_allclose(signal.min(axis=0)[[1, 7]], [-0.6675, -1.9275], atol=1e-6)
    np.testing.assert_allclose(signal.max(axis=0)[[1, 11]], [0.335, 0.9725], atol=1e-6)


@pytest.mark.real_data
def test_the_reference_beat_of_the_genuine_file_obeys_einthoven(data_root):
    content = (data_root / "formats" / "scp_ecg" / "Example.scp").read_bytes()
    sections = scp_ecg._sections(content)
    zones = scp_rhythm.parse_zones(sections[4])
    beat = scp_rhythm.parse_encoded(sections[5], len(LEADS))
    tables = scp_huffman.parse_tables(sections[2])
    n = zones.beat_ms * 1000 // beat.interval_us
    one, two, three = (scp_rhythm.numbers(beat.leads[k], n, beat.order, tables) for k in (0, 1, 8))
    np.testing.assert_array_equal(three, two - one)
