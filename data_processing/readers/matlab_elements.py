"""Decode the variables of a MATLAB file of version 4 or 5, without trusting a number in it.

Only what an ECG needs: arrays of numbers, texts, cells and structures. SciPy's reader is not used:
in SciPy 1.17 a wrong type number in a damaged file ends the process.
Format: MathWorks, MAT-File Format (Level 4 and Level 5), the tables of data types and array types.
"""

from __future__ import annotations

import math
import struct
import zlib
from typing import Any

import numpy as np

from data_processing.errors import ECGError

HEADER_BYTES = 128  # of version 5
_MATRIX, _COMPRESSED = 14, 15
_NUMBERS = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8"}
_NUMBERS |= {12: "i8", 13: "u8"}
_TEXTS = {1: "ascii", 2: "ascii", 4: "utf-16", 16: "utf-8", 17: "utf-16"}
_CELL, _STRUCTURE, _CHAR = 1, 2, 4
_NUMBER_CLASSES = range(6, 16)
_V4_TYPES = {0: "f8", 1: "f4", 2: "i4", 3: "i2", 4: "u2", 5: "u1"}
_MOST_BYTES = 1 << 28  # of a variable unpacked
_MOST_RATIO = 100  # unpacked to packed; ECGs reach 10
_MOST_DEPTH = 5
_AGAIN = "Copy it again, or save it anew."


def version_4(start: bytes, n_bytes: int) -> tuple[np.dtype, tuple[int, int], int] | None:
    """Return type, shape and position of the one matrix of version 4; None if it is none."""
    if len(start) < 20:
        return None
    kind, n_rows, n_columns, is_complex, n_name = struct.unpack("<5i", start[:20])
    dtype = _V4_TYPES.get(kind // 10)
    if kind % 10 or dtype is None or is_complex or min(n_rows, n_columns) < 1:
        return None
    position = 20 + n_name
    is_whole = position + n_rows * n_columns * int(dtype[1]) == n_bytes
    if not (is_whole and 1 < n_name <= 64):
        return None
    return np.dtype(f"<{dtype}"), (n_rows, n_columns), position


def order_of_version_5(start: bytes) -> str:
    """Return ``<`` or ``>``, the order of the bytes; empty if it is no file of version 5."""
    order = {b"IM": "<", b"MI": ">"}.get(start[126:128], "")
    if not order or not start.startswith(b"MATLAB"):
        return ""
    return order if struct.unpack(f"{order}H", start[124:126])[0] == 0x0100 else ""


def decode_version_5(content: bytes, order: str) -> dict[str, Any]:
    """Return the variables by name: arrays, texts, lists (cells), dicts (structures) or None.

    Raises
    ------
    ECGError
        If an element does not end within the file, or unpacks to too much.
    """
    decoder = _Decoder(order)
    found: dict[str, Any] = {}
    position = HEADER_BYTES
    while position < len(content):
        kind, data, position = decoder.element(content, position, is_padded=False)
        if kind == _COMPRESSED:
            kind, data, _ = decoder.element(_unpacked(data, order), 0)
        if kind != _MATRIX:
            raise ECGError(f"MATLAB file must hold variables, got something else. {_AGAIN}")
        name, value = decoder.matrix(data)
        found[name] = value
    return found


def _unpacked(data: bytes, order: str) -> bytes:
    """Return a compressed variable, once its stated size is possible."""
    stated = struct.unpack(f"{order}2I", zlib.decompressobj().decompress(data, 8))[1]
    if stated > min(_MOST_BYTES, _MOST_RATIO * len(data) + 1000):
        raise ECGError(
            f"MATLAB variable must unpack to at most {_MOST_BYTES >> 20} MiB and {_MOST_RATIO} "
            "times its size, got more. Save one recording a file."
        )
    unpacker = zlib.decompressobj()
    unpacked = unpacker.decompress(data, stated + 8)
    # The checksum is compared when the end of the stream is reached.
    if unpacker.decompress(unpacker.unconsumed_tail, 1) or not unpacker.eof:
        raise _damaged()
    return unpacked


def _damaged() -> ECGError:
    return ECGError(
        "MATLAB file must hold all of each variable, it does not. It is cut off or damaged. "
        f"{_AGAIN}"
    )


class _Decoder:
    """Reads elements of one order of bytes."""

    def __init__(self, order: str) -> None:
        self.order = order

    def element(
        self, content: bytes, position: int, *, is_padded: bool = True
    ) -> tuple[int, bytes, int]:
        """Return type and content of the element at a position, and where the next one begins."""
        if position + 8 > len(content):
            raise _damaged()
        kind, n_bytes = struct.unpack_from(f"{self.order}2I", content, position)
        position += 8
        if kind >> 16:  # small: up to four bytes in the tag itself
            n_bytes, kind, position = kind >> 16, kind & 0xFFFF, position - 4
            if n_bytes > 4:
                raise _damaged()
            return kind, content[position : position + n_bytes], position + 4
        if n_bytes > len(content) - position:
            raise _damaged()
        end = position + n_bytes
        return kind, content[position:end], end + (-n_bytes % 8 if is_padded else 0)

    def matrix(self, data: bytes, depth: int = 0) -> tuple[str, Any]:
        """Return name and value of a variable, a cell or a field; None for other kinds."""
        if not data:
            return "", None
        kind, flags, position = self.element(data, 0)
        size_kind, sizes, position = self.element(data, position)
        _, name, position = self.element(data, position)
        if kind != 6 or len(flags) != 8 or size_kind != 5 or depth > _MOST_DEPTH:
            raise _damaged()
        word = struct.unpack(f"{self.order}2I", flags)[0]
        shape = tuple(np.frombuffer(sizes, f"{self.order}i4").tolist())
        if len(shape) < 2 or min(shape) < 0:
            raise _damaged()
        value = self._value(word, shape, data, position, depth)
        return name.decode("ascii", "replace"), value

    def _value(
        self, word: int, shape: tuple[int, ...], data: bytes, position: int, depth: int
    ) -> Any:
        array_class, is_complex = word & 0xFF, bool(word & 0x0800)
        if array_class in _NUMBER_CLASSES and not is_complex:
            return self._numbers(shape, data, position)
        if array_class == _CHAR:
            kind, content, _ = self.element(data, position)
            codec = _TEXTS.get(kind, "")
            if codec == "utf-16":
                codec += {"<": "-le", ">": "-be"}[self.order]
            return content.decode(codec) if codec and shape[0] <= 1 else None
        if array_class == _CELL:
            return self._members(math.prod(shape), data, position, depth)
        if array_class == _STRUCTURE and math.prod(shape) == 1:
            _, length, position = self.element(data, position)
            _, names, position = self.element(data, position)
            n_name = max(1, struct.unpack(f"{self.order}i", length)[0])
            fields = [
                names[k : k + n_name].split(b"\0")[0].decode("ascii", "replace")
                for k in range(0, len(names), n_name)
            ]
            return dict(zip(fields, self._members(len(fields), data, position, depth), strict=True))
        return None

    def _numbers(self, shape: tuple[int, ...], data: bytes, position: int) -> np.ndarray:
        kind, content, _ = self.element(data, position)
        if kind not in _NUMBERS:
            raise _damaged()
        values = np.frombuffer(content, f"{self.order}{_NUMBERS[kind]}")
        if len(values) != math.prod(shape):
            raise _damaged()
        return values.reshape(shape, order="F")

    def _members(self, n_members: int, data: bytes, position: int, depth: int) -> list[Any]:
        if n_members * 8 > len(data):
            raise _damaged()
        found = []
        for _ in range(n_members):
            kind, content, position = self.element(data, position)
            if kind != _MATRIX:
                raise _damaged()
            found.append(self.matrix(content, depth + 1)[1])
        return found
