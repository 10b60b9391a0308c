"""From the stored numbers of an SCP-ECG to its rhythm: differences, decimation, reference beat.

EN 1064:2005+A1:2007, 5.7 to 5.9 and annex C. Sample numbers count from 1, at the rate of the
reference beat if the rhythm is decimated ("bimodal"): everything outside the protected zones
around the QRS complexes then has 1 sample for ``factor``, the average of a block. It is expanded
on straight lines between the centres of the blocks and smoothed with a mean of three; samples
left over behind the last whole block are stored as they are.

The text of the standard is not public. Its expansion was taken from two public decoders, which
agree; the smoothing from one of them.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np

from data_processing.errors import ECGError
from data_processing.readers.scp_huffman import Table, decode

_AGAIN = "Export the ECG again."


@dataclass(frozen=True)
class Encoded:
    """Section 5 or 6: one series of numbers a lead.

    Parameters
    ----------
    nanovolts
        Of a step (amplitude value multiplier).
    interval_us
        Between two samples.
    order
        0: amplitudes, 1: first, 2: second differences.
    is_bimodal
        Whether it is decimated outside the protected zones (section 6 only).
    leads
        The bytes of each lead.
    """

    nanovolts: int
    interval_us: int
    order: int
    is_bimodal: bool
    leads: tuple[bytes, ...]


@dataclass(frozen=True)
class Zones:
    """Section 4: where reference beats were subtracted, and what is protected.

    Parameters
    ----------
    beat_ms
        Length of the reference beat.
    fiducial
        Its sample, from 1 on, that lies on the fiducial sample of each subtracted beat.
    beats
        (n_beats, 4): type, first sample, fiducial sample, last sample; type 0 was subtracted.
    protected
        (n_beats, 2): first and last sample of the protected zones.
    """

    beat_ms: int
    fiducial: int
    beats: np.ndarray
    protected: np.ndarray

    def unprotected(self, first: int, last: int) -> list[tuple[int, int]]:
        """Return the stretches (begin, end) from 0 outside the zones of a lead."""
        begin, stretches = 0, []
        for low, high in self.protected[self.protected.any(axis=1)].tolist():
            low, high = max(low, first) - first, min(high, last) - first + 1
            if not begin <= low < high:
                raise ECGError(f"SCP-ECG protected zones must follow each other. {_AGAIN}")
            stretches.append((begin, low))
            begin = high
        return [*stretches, (begin, last - first + 1)]


def parse_encoded(body: bytes, n_leads: int) -> Encoded:
    """Return section 5 or 6 without its header.

    Raises
    ------
    ECGError
        If it is cut off or says impossible things.
    """
    start = 6 + 2 * n_leads
    if len(body) < start:
        raise ECGError(f"SCP-ECG samples must be complete, they are cut off. {_AGAIN}")
    nanovolts, interval_us, order, bimodal = struct.unpack_from("<HHBB", body)
    sizes = struct.unpack_from(f"<{n_leads}H", body, 6)
    if start + sum(sizes) > len(body):
        raise ECGError(f"SCP-ECG samples must be complete, they are cut off. {_AGAIN}")
    if not nanovolts or not interval_us:
        raise ECGError(
            "SCP-ECG must state step and interval of its samples, got 0: the scale is unknown. "
            "Export the ECG with its calibration."
        )
    if order > 2:
        raise ECGError(f"SCP-ECG samples must be of a known encoding, they are not. {_AGAIN}")
    leads, place = [], start
    for size in sizes:
        leads.append(body[place : place + size])
        place += size
    return Encoded(nanovolts, interval_us, order, bool(bimodal), tuple(leads))


def parse_zones(body: bytes) -> Zones:
    """Return section 4 without its header; zones that are not stored are empty.

    Raises
    ------
    ECGError
        If it is cut off.
    """
    if len(body) < 6:
        raise ECGError(f"SCP-ECG section 4 must be complete, it is cut off. {_AGAIN}")
    beat_ms, fiducial, n_beats = struct.unpack_from("<3H", body)
    middle, end = 6 + 14 * n_beats, 6 + 22 * n_beats
    if len(body) < middle:
        raise ECGError(f"SCP-ECG section 4 must be complete, it is cut off. {_AGAIN}")
    beats = np.array(list(struct.iter_unpack("<H3I", body[6:middle])), dtype=np.int64)
    zones = body[middle:end] if len(body) >= end else b""
    protected = np.array(list(struct.iter_unpack("<2I", zones)), dtype=np.int64)
    return Zones(beat_ms, fiducial, beats.reshape(-1, 4), protected.reshape(-1, 2))


def numbers(content: bytes, n_values: int, order: int, tables: list[Table]) -> np.ndarray:
    """Return the amplitudes of one lead, (n_values,) int64 steps.

    Sums are taken in 16 bits, as samples have 16 bits and so have devices' differences.

    Raises
    ------
    ECGError
        If the bytes do not hold ``n_values`` numbers.
    """
    if tables:
        values = decode(content, n_values, tables)
    elif not 2 * n_values <= len(content) <= 2 * n_values + 3:
        raise ECGError(
            f"SCP-ECG lead must hold the samples that section 3 states, got {len(content)} bytes "
            f"for {n_values} samples. {_AGAIN}"
        )
    else:
        values = np.frombuffer(content, "<i2", count=n_values).astype(np.int64)
    if order == 2 and n_values > 1:
        # The first two are amplitudes; a second difference is what changes the first one.
        steps = np.cumsum(np.concatenate([[values[1] - values[0]], values[2:]]))
        values = np.concatenate([values[:1], values[0] + np.cumsum(steps)])
    elif order == 1:
        values = np.cumsum(values)
    return values.astype(np.int16).astype(np.int64)


def n_stored(stretches: list[tuple[int, int]], n_samples: int, factor: int) -> int:
    """Return how many numbers stand for ``n_samples`` of which the stretches are decimated."""
    lengths = [end - begin for begin, end in stretches]
    return n_samples - sum(length // factor * (factor - 1) for length in lengths)


def expand(
    stored: np.ndarray, stretches: list[tuple[int, int]], n_samples: int, factor: int
) -> np.ndarray:
    """Return a decimated lead at its full rate, (n_samples,) float64, not yet smoothed."""
    full = np.empty(n_samples)
    done = place = 0
    for begin, end in stretches:
        n_protected = begin - done
        full[done:begin] = stored[place : place + n_protected]
        place += n_protected
        n_blocks, n_rest = divmod(end - begin, factor)
        blocks = stored[place : place + n_blocks]
        if n_blocks:
            centres = np.arange(n_blocks) * factor + factor // 2
            full[begin : end - n_rest] = np.interp(np.arange(n_blocks * factor), centres, blocks)
        place += n_blocks + n_rest
        full[end - n_rest : end] = stored[place - n_rest : place]
        done = end
    return full


def smooth(
    full: np.ndarray, stretches: list[tuple[int, int]], zones: Zones, first: int
) -> np.ndarray:
    """Return a lead with a mean of three outside the protected zones.

    Where a beat was subtracted the residual may jump: no mean is taken across such an edge.
    """
    is_kept = np.ones(len(full), dtype=bool)
    for begin, end in stretches:
        is_kept[begin:end] = False
    edges = zones.beats[zones.beats[:, 0] == 0][:, [1, 3]] - first
    edges = np.concatenate([edges[:, 0] - 1, edges[:, 0], edges[:, 1], edges[:, 1] + 1])
    is_kept[edges[(edges >= 0) & (edges < len(full))]] = True
    is_kept[[0, -1]] = True
    mean = np.convolve(full, np.full(3, 1 / 3), mode="same")
    return np.where(is_kept, full, mean)


def add_beats(signal: np.ndarray, beat: np.ndarray, zones: Zones, first: int) -> None:
    """Add the reference beat of a lead where it was subtracted, in place, both in nanovolts."""
    for kind, low, fiducial, high in zones.beats.tolist():
        if kind != 0:
            continue
        shift = fiducial - zones.fiducial  # sample 1 of the beat lies one behind it
        low = max(low, first, shift + 1)
        high = min(high, first + len(signal) - 1, shift + len(beat))
        if low <= high:
            signal[low - first : high - first + 1] += beat[low - shift - 1 : high - shift]
