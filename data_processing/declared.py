"""What a user states about ECG files that do not state it themselves."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data_processing.errors import ECGError

_MOST_BYTES = 10_000  # of a declaration
_EXAMPLE = '{"unit": "mV", "rate_hz": 500, "leads": ["I", "II", ...]}'


@dataclass(frozen=True)
class DeclaredSignal:
    """Unit, rate and leads of files that hold bare numbers (NPY, some CSV, HDF5 and MATLAB).

    A reader uses it only where the file is silent; a file that states something else is refused.

    Parameters
    ----------
    unit
        mV, uV, ...; as for ``to_contract``. Empty: the file must state it.
    rate_hz
        Sampling rate. 0: the file must state it.
    leads
        Names of the channels in their order. Empty: the file must state them.
    """

    unit: str = ""
    rate_hz: float = 0.0
    leads: tuple[str, ...] = ()


def merged(one: DeclaredSignal, other: DeclaredSignal) -> DeclaredSignal:
    """Return what two declarations state together.

    Raises
    ------
    ECGError
        If they contradict each other.
    """
    for name in ("unit", "rate_hz", "leads"):
        values = {getattr(item, name) for item in (one, other)} - {"", 0.0, ()}
        if len(values) > 1:
            raise ECGError(
                f"{name} must be declared once, the cohort and the .json file beside the ECG "
                "declare it differently. Correct one of them."
            )
    return DeclaredSignal(
        one.unit or other.unit, one.rate_hz or other.rate_hz, one.leads or other.leads
    )


def declaration_beside(path: Path) -> DeclaredSignal:
    """Return what ``x.json`` declares about the lone file ``x.npy``; nothing if it is not there.

    Parameters
    ----------
    path
        The ECG file. The declaration is JSON with ``unit``, ``rate_hz`` and ``leads``, any of them.

    Raises
    ------
    ECGError
        If the declaration is too long, is no such JSON, or holds anything else.
    """
    beside = path.with_suffix(".json")
    if beside == path or not beside.is_file():
        return DeclaredSignal()
    if beside.stat().st_size > _MOST_BYTES:
        raise _refusal(f"got more than {_MOST_BYTES} bytes")
    try:
        values = json.loads(beside.read_bytes().decode("utf-8-sig"))
    except (ValueError, RecursionError):
        raise _refusal("got no JSON") from None
    if not isinstance(values, dict) or not values.keys() <= {"unit", "rate_hz", "leads"}:
        raise _refusal("got something else besides")
    unit, rate_hz, leads = (values.get(key) for key in ("unit", "rate_hz", "leads"))
    if not (unit is None or isinstance(unit, str)):
        raise _refusal("got a unit that is no text")
    if not (rate_hz is None or _is_positive(rate_hz)):
        raise _refusal("got a rate_hz that is no number above 0")
    is_list = isinstance(leads, list) and all(isinstance(name, str) for name in leads)
    if not (leads is None or is_list):
        raise _refusal("got leads that are no list of names")
    return DeclaredSignal(unit or "", float(rate_hz or 0.0), tuple(leads or ()))


def _is_positive(value: Any) -> bool:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and math.isfinite(value) and value > 0


def _refusal(found: str) -> ECGError:
    return ECGError(
        f"declaration (the .json file of the ECG's name) must hold {_EXAMPLE} or a part of it, "
        f"{found}. Correct it, or take it away if it is another file."
    )
