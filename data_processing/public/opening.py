"""Open a public collection by its name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from data_processing.cohort import Cohort
from data_processing.public.challenge2021 import read_challenge2021
from data_processing.public.code import read_code15, read_sami_trop
from data_processing.public.ludb import read_ludb
from data_processing.public.ptbxl import read_ptbxl

_READERS: dict[str, Callable[..., Cohort]] = {
    "ludb": read_ludb,
    "challenge2021": read_challenge2021,
    "code15": read_code15,
    "sami_trop": read_sami_trop,
}
NAMES = ("ptbxl", *_READERS)


def read_public(name: str, directory: Path, *, target: str, source_rate_hz: int) -> Cohort:
    """Return a public collection as read from its folder.

    Parameters
    ----------
    name
        One of ``NAMES``.
    directory
        Its folder, in the published layout.
    target
        The label wanted; empty: the collection's default.
    source_rate_hz
        Which files are read where they are published at several rates (PTB-XL); 0: the default.

    Raises
    ------
    ValueError
        If the collection does not have that target or rate, or its tables have problems.
    """
    if name == "ptbxl":
        return read_ptbxl(directory, target=target, source_rate_hz=source_rate_hz)
    if source_rate_hz:
        raise ValueError(
            f"source_rate_hz must be 0 for {name}, got {source_rate_hz}. It is published at one "
            "rate only."
        )
    return _READERS[name](directory, target=target)
