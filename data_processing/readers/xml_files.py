"""XML of unknown origin: no entities, nothing external, a size that fits an ECG."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from defusedxml import DefusedXmlException
from defusedxml.ElementTree import ParseError, parse

from data_processing.errors import ECGError

_MOST_BYTES = 200 << 20
_AGAIN = "Export the ECG again."
_ROOT = re.compile(rb"<(?:[\w.-]+:)?([A-Za-z_][\w.-]*)[\s>/]")


def root_name(path: Path) -> str:
    """Return the name of a file's root element without its namespace; empty if it is no XML."""
    if not path.is_file():
        return ""
    with path.open("rb") as file:
        head = file.read(8192)
    for mark, encoding in ((b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be")):
        if head.startswith(mark):
            head = head[2:].decode(encoding, errors="ignore").encode()
    head = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if not head.startswith(b"<"):
        return ""
    head = re.sub(rb"<\?.*?\?>|<!--.*?-->|<!DOCTYPE[^>\[]*(\[.*?\])?[^>]*>", b"", head, flags=re.S)
    found = _ROOT.match(head.lstrip())
    return found[1].decode() if found else ""


def parse_xml(path: Path) -> Any:
    """Return the root element.

    Raises
    ------
    ECGError
        If it is not well-formed, too large, or holds entities or references to other files.
    """
    if path.stat().st_size > _MOST_BYTES:
        raise ECGError(f"XML file must be at most {_MOST_BYTES >> 20} MiB, got a larger one.")
    try:
        return parse(path).getroot()
    except DefusedXmlException:
        raise ECGError(
            "XML file must hold no entities and refer to no other file, it does. Do not use it."
        ) from None
    except (ParseError, UnicodeError, ValueError, LookupError):
        raise ECGError(
            "XML file must be well-formed, it is damaged or cut off. " + _AGAIN
        ) from None


def children(element: Any, name: str) -> list[Any]:
    """Return the direct children of a name, whatever their namespace."""
    return [child for child in element if str(child.tag).rpartition("}")[2] == name]


def descendants(element: Any, *names: str) -> list[Any]:
    """Return what lies below an element along a path of names."""
    found = [element]
    for name in names:
        found = [child for parent in found for child in children(parent, name)]
    return found


def text_of(element: Any, name: str) -> str:
    """Return the text of the first direct child of a name; empty where there is none."""
    found = children(element, name)
    return (found[0].text or "").strip() if found else ""


def number_above_0(text: str | None, what: str) -> float:
    """Return a number that a file states.

    Parameters
    ----------
    text
        As written; it is never quoted.
    what
        What it is, for the message: ``"CardioSoft SampleRate"``.

    Raises
    ------
    ECGError
        If it is none, or not finite and above 0.
    """
    try:
        number = float(text or "")
    except ValueError:
        number = np.nan
    if not (np.isfinite(number) and number > 0):
        raise ECGError(f"{what} must be a number above 0, it is not. {_AGAIN}")
    return number


def samples_16_bit(words: Sequence[str], what: str) -> np.ndarray:
    """Return samples written as whole numbers of 16 bits, (n_samples,) int64.

    Raises
    ------
    ECGError
        If a word is no such number.
    """
    try:
        samples = np.array(words, dtype=np.str_).astype(np.int64)
    except (ValueError, OverflowError):
        raise ECGError(f"{what} must be whole numbers, one is not. {_AGAIN}") from None
    if samples.size and np.abs(samples).max() > 1 << 15:
        raise ECGError(f"{what} must be numbers of 16 bits, one is larger. {_AGAIN}")
    return samples
