"""What a mapping declares about ECG files that state nothing, and its secret key."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from data_processing.chain import check_rate
from data_processing.declared import DeclaredSignal
from data_processing.errors import ECGError
from data_processing.leads import canonical_lead
from data_processing.mapping_checks import MappingCheck
from data_processing.pseudonyms import read_key
from data_processing.signals import millivolts_per


def read_signals(content: dict[str, Any], check: MappingCheck) -> DeclaredSignal:
    """Return unit, rate and leads under ``signals``; what is wrong is added to the check."""
    block = check.section(content.get("signals"), "signals", "signals")
    unit = check.text(block, "unit", "signals")
    rate_hz = check.limit(block, "rate_hz", "signals")
    leads = check.words(block, "leads", "signals")
    try:
        if unit:
            millivolts_per(unit)
        if rate_hz is not None:
            check_rate(rate_hz)
    except ECGError as error:
        check.problems.append(f"signals: {error}")
    if leads and not any(canonical_lead(name) for name in leads):
        check.problems.append("signals.leads must name the channels in their order: [I, II, V1, …]")
    return DeclaredSignal(unit, rate_hz or 0.0, leads)


def read_key_path(content: dict[str, Any], path: Path, check: MappingCheck) -> str:
    """Return the path of the file under ``pseudonym_key``, relative to the mapping; or empty."""
    name = check.text(content, "pseudonym_key", "")
    if not name:
        return ""
    key_path = (path.parent / name).resolve()
    try:
        read_key(key_path)
    except (FileNotFoundError, ValueError) as error:
        check.problems.append(str(error))
    return str(key_path)
