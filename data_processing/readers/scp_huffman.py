"""Huffman codes of SCP-ECG (EN 1064:2005+A1:2007, 5.5 and C.2.7.4; ISO 11073-91064:2009).

A code is a prefix, followed by a signed number where the code is longer than its prefix. The bits
of a code are sent from the most significant of each byte on; section 2 stores them in reverse.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np

from data_processing.errors import ECGError

_DEFAULT = 19999
_MOST_BITS = 32  # the base code has 4 bytes
_MOST_BYTES = 20_000  # the default table would have 173
_ROW = struct.Struct("<BBBhI")
_AGAIN = "Export the ECG again."


@dataclass(frozen=True)
class Code:
    """What a prefix stands for.

    Parameters
    ----------
    value
        The number; with ``n_extra_bits`` what is added to the number that follows. In a switch,
        the next table, from 1 on.
    n_extra_bits
        Length of the signed number behind the prefix.
    is_switch
        Whether the prefix only changes the table.
    """

    value: int
    n_extra_bits: int = 0
    is_switch: bool = False


Table = dict[str, Code]


def default_table() -> Table:
    """Return the table of the standard, by prefix.

    Examples
    --------
    >>> [f"{prefix}: {code.value}" for prefix, code in default_table().items()][:4]
    ['0: 0', '100: 1', '101: -1', '1100: 2']
    """
    table = {"0": Code(0)}
    for size in range(1, 9):
        table["1" * size + "00"], table["1" * size + "01"] = Code(size), Code(-size)
    return table | {"1" * 9 + "0": Code(0, n_extra_bits=8), "1" * 10: Code(0, n_extra_bits=16)}


def parse_tables(body: bytes) -> list[Table]:
    """Return the tables of section 2; none if its samples are not Huffman coded.

    Parameters
    ----------
    body
        The section without its header.

    Raises
    ------
    ECGError
        If a table is cut off or impossible.
    """
    if not 2 <= len(body) <= _MOST_BYTES:
        raise ECGError(
            f"SCP-ECG section 2 must have 2 to {_MOST_BYTES} bytes, got {len(body)}. {_AGAIN}"
        )
    n_tables = int.from_bytes(body[:2], "little")
    if n_tables == _DEFAULT:
        return [default_table()]
    tables, place = [], 2
    for _ in range(n_tables):
        n_rows = int.from_bytes(body[place : place + 2], "little")
        rows = body[place + 2 : place + 2 + n_rows * _ROW.size]
        if not n_rows or len(rows) < n_rows * _ROW.size:
            raise ECGError(f"SCP-ECG section 2 must hold its tables, one is cut off. {_AGAIN}")
        tables.append(dict(_code(*row) for row in _ROW.iter_unpack(rows)))
        place += 2 + len(rows)
    for table in tables:
        if any(code.is_switch and not 1 <= code.value <= n_tables for code in table.values()):
            raise ECGError(f"SCP-ECG tables must lead to one another, one does not. {_AGAIN}")
    return tables


def _code(n_prefix: int, n_bits: int, mode: int, value: int, base_code: int) -> tuple[str, Code]:
    if not 1 <= n_prefix <= n_bits <= n_prefix + _MOST_BITS or n_prefix > _MOST_BITS or mode > 1:
        raise ECGError(f"SCP-ECG tables must have codes of 1 to 32 bits, one has not. {_AGAIN}")
    prefix = f"{base_code:032b}"[::-1][:n_prefix]
    return prefix, Code(value, n_bits - n_prefix, is_switch=mode == 0)


def decode(content: bytes, n_values: int, tables: list[Table]) -> np.ndarray:
    """Return the numbers of one lead; each lead begins with the first table.

    Parameters
    ----------
    content
        The lead's bytes; after the last code less than 4 of them may be left.
    n_values
        How many numbers it must hold.
    tables
        From ``parse_tables``.

    Returns
    -------
    ndarray
        (n_values,) int64.

    Raises
    ------
    ECGError
        If the bytes hold no such numbers.
    """
    bits = "".join(f"{byte:08b}" for byte in content)
    if n_values > len(bits):
        raise ECGError(_mismatch("fewer"))
    sizes = [sorted({len(prefix) for prefix in table}) for table in tables]
    values: list[int] = []
    now = place = 0
    for _ in range(2 * n_values):  # at most one change of table a number
        code, length = _next_code(bits, place, tables[now], sizes[now])
        place += length
        if code.is_switch:
            now = code.value - 1
            continue
        values.append(code.value + _signed(bits[place : place + code.n_extra_bits]))
        place += code.n_extra_bits
        if len(values) == n_values:
            break
    if place > len(bits):
        raise ECGError(_mismatch("fewer"))
    if len(values) < n_values or len(bits) - place >= 32:
        raise ECGError(_mismatch("more"))
    return np.array(values, dtype=np.int64)


def _next_code(bits: str, place: int, table: Table, sizes: list[int]) -> tuple[Code, int]:
    """Return the code at a place and the length of its prefix."""
    for length in sizes:
        code = table.get(bits[place : place + length])
        if code is not None:
            return code, length
    raise ECGError(_mismatch("fewer" if place + sizes[-1] > len(bits) else "unknown"))


def _signed(bits: str) -> int:
    """Return a number in two's complement; 0 for no bits."""
    return int(bits, 2) - (int(bits[0]) << len(bits)) if bits else 0


def _mismatch(what: str) -> str:
    return f"SCP-ECG lead must hold the samples that section 3 states, got {what} codes. {_AGAIN}"
