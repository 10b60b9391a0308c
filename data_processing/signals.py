"""The signal contract: what an ECG is inside the project, and the chain that prepares it.

An ECG is float32 millivolts, shape (samples, 12), leads I II III aVR aVL aVF V1..V6, at a stated
rate. ``to_contract`` converts what a file holds or refuses it with a plain reason; it never
returns zeros for something unreadable. ``SignalChain`` (module ``chain``) prepares it further.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np

from data_processing.calibration_pulse import cut_calibration_pulse
from data_processing.chain import SignalChain, check_rate
from data_processing.errors import ECGError
from data_processing.lead_checks import suspected_electrodes
from data_processing.leads import (
    LEADS,
    check_limb_leads,
    derive_limb_leads,
    order_leads,
)

__all__ = ["ECG", "LEADS", "ECGError", "SignalChain", "to_contract"]

MAX_GAP_SECONDS = 0.1  # a longer gap could hide a QRS complex
MAX_MISSING_SHARE = 0.01  # of a lead's samples, all gaps together
# The typical deflection (see `_typical_deflections_mv`) is 0.2 to 2.2 mV in PTB-XL and Brugada;
# the range spans a factor of 160, so of V, mV and uV at most one unit can fit.
PLAUSIBLE_MV = (0.05, 8.0)
_PER_MV = {"mv": 1.0, "millivolt": 1.0, "uv": 1e-3, "µv": 1e-3, "μv": 1e-3, "microvolt": 1e-3}
_PER_MV |= {"v": 1e3, "volt": 1e3, "nv": 1e-6, "0.1mv": 0.1, "1e-4v": 0.1}
_TYPICAL_MV = (0.2, 2.2)
_LIKELY_UNITS = {
    "units of 0.1 mV": 10.0,
    "ADC counts at 200 a mV": 200.0,
    "microvolts or ADC counts at 1000 a mV": 1000.0,
}
MOST_MV = 50.0  # of a single lead: a loose electrode may swing by 10 mV
UNLIKE = 200.0  # times smaller than the median lead
# Accepted, but the typical deflection of none of those ECGs is so small or large.
SUSPECT_MV = (0.15, 3.0)


@dataclass
class ECG:
    """One 12-lead ECG in the signal contract.

    Parameters
    ----------
    signal_mv
        (n_samples, 12) float32 millivolts, leads in the order of ``LEADS``.
    rate_hz
        Sampling rate.
    source_format
        Format of the file, ``WFDB`` for instance.
    proof
        Of ``unit``, ``scale`` and ``leads``: ``checked`` (tested on the signal), ``derived`` or
        only ``declared`` by the file. The scale is never better than declared: a gain that is
        wrong by less than a power of ten looks like another patient. ``leads`` speaks of the limb
        leads; nothing in a file can prove the order of the chest leads.
    recorded_at
        Date and time of recording, when the file has one.
    notes
        What was repaired or only roughly right; part of the record's quality.
    suspicions
        What may be wrong with leads or scale, in words; the signal was not changed for it.
    file_sha256
        Hash of the file that holds the samples; set by the reader.
    """

    signal_mv: np.ndarray
    rate_hz: float
    source_format: str
    proof: dict[str, str]
    recorded_at: datetime | None = None
    notes: tuple[str, ...] = ()
    suspicions: tuple[str, ...] = ()
    file_sha256: str = field(default="", repr=False)


def to_contract(
    signal: np.ndarray,
    *,
    lead_names: Sequence[str],
    unit: str | Sequence[str],
    rate_hz: float,
    source_format: str,
    step: float = 0.0,
) -> ECG:
    """Convert samples as stored in a file to the signal contract, or refuse them.

    Parameters
    ----------
    signal
        (n_samples, n_channels); NaN for samples the file marks as invalid.
    lead_names
        One name a channel, any usual spelling; see ``canonical_lead``.
    unit
        V, mV, uV, nV or 0.1 mV (also written 1e-4 V); one for all channels or one each.
    rate_hz
        Sampling rate, 50 to 10 000 Hz.
    source_format
        Kept in the record.
    step
        Quantisation step in ``unit`` of the first channel, 0 if unknown; widens the tolerance of
        the identities.

    Returns
    -------
    ECG
        Gaps of up to 0.1 s (together at most 1 % of a lead) are interpolated and noted; limb
        leads that are not stored are derived.

    Raises
    ------
    ECGError
        If the shape, rate, unit, leads, gaps, amplitude or limb-lead identities do not allow it.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> names = ["I", "II", "V1", "V2", "V3", "V4", "V5", "V6"]
    >>> ecg = to_contract(rng.normal(size=(1000, 8)), lead_names=names, unit="mV",
    ...                   rate_hz=100, source_format="array")
    >>> ecg.signal_mv.shape, ecg.proof["leads"]
    ((1000, 12), 'derived')
    """
    samples = np.array(signal, dtype=np.float64)
    if samples.ndim != 2 or samples.shape[1] != len(lead_names) or not len(samples):
        raise ECGError(
            f"signal must be (samples, leads) with one column for each of the {len(lead_names)} "
            f"lead names, got shape {samples.shape}. Transpose or export again."
        )
    check_rate(rate_hz)
    units = [unit] * len(lead_names) if isinstance(unit, str) else list(unit)
    factors = np.array([millivolts_per(name) for name in units])
    if len(factors) != len(lead_names):
        raise ECGError(
            f"unit must be one or one a lead, got {len(factors)} for {len(lead_names)} leads. "
            "Export again."
        )
    millivolts, stored = order_leads(samples * factors, lead_names)
    columns = [LEADS.index(lead) for lead in stored]
    millivolts, pulse = cut_calibration_pulse(millivolts, columns, rate_hz)
    n_gaps = _fill_gaps(millivolts, columns, rate_hz)
    derive_limb_leads(millivolts, stored)
    deflections = _typical_deflections_mv(millivolts)
    large = _check_amplitude(deflections)
    odd_leads = _odd_leads(millivolts, deflections)
    limb = check_limb_leads(millivolts, stored, step_mv=step * float(factors[0]))
    electrodes = suspected_electrodes(millivolts, rate_hz) if not limb.suspicion else ()
    gaps = f"{n_gaps} short gaps filled" if n_gaps else ""
    return ECG(
        signal_mv=millivolts.astype(np.float32),
        rate_hz=float(rate_hz),
        source_format=source_format,
        proof={"unit": "checked", "scale": "declared", "leads": limb.level},
        notes=tuple(text for text in (pulse, gaps, limb.note) if text),
        suspicions=tuple(text for text in (large, *odd_leads, limb.suspicion, *electrodes) if text),
    )


def millivolts_per(unit: str) -> float:
    """Return the millivolts of one unit; raises ECGError for an unknown one."""
    factor = _PER_MV.get("".join(str(unit).lower().split()).strip("[]()"))
    if factor is None:
        raise ECGError(
            "unit must be V, mV, uV, nV or 0.1 mV, got another unit. Export the ECG in physical "
            "units."
        )
    return factor


def _fill_gaps(millivolts: np.ndarray, columns: Sequence[int], rate_hz: float) -> int:
    """Interpolate short gaps in place; return how many there were."""
    n_gaps = 0
    for column in columns:
        values = millivolts[:, column]
        is_missing = ~np.isfinite(values)
        if not is_missing.any():
            continue
        edges = np.flatnonzero(np.diff(np.concatenate([[0], is_missing.astype(np.int8), [0]])))
        lengths = edges[1::2] - edges[::2]
        share = is_missing.mean()
        if lengths.max() > MAX_GAP_SECONDS * rate_hz or share > MAX_MISSING_SHARE:
            raise ECGError(
                f"lead {LEADS[column]} must have no gap longer than {MAX_GAP_SECONDS:g} s and at "
                f"most {MAX_MISSING_SHARE:.0%} of its samples missing, got a gap of "
                f"{lengths.max() / rate_hz:.2f} s and {share:.1%} missing. Leave this ECG out."
            )
        time = np.arange(len(values))
        values[is_missing] = np.interp(time[is_missing], time[~is_missing], values[~is_missing])
        n_gaps += len(lengths)
    return n_gaps


def _typical_deflections_mv(millivolts: np.ndarray) -> np.ndarray:
    """Return the 99th percentile of the distance from the median of each lead."""
    distance = np.abs(millivolts - np.median(millivolts, axis=0))
    return np.percentile(distance, 99, axis=0)


def _odd_leads(millivolts: np.ndarray, typical: np.ndarray) -> list[str]:
    """Refuse leads in another unit than the others; suspect what may be, and identical leads."""
    middle = float(np.median(typical))
    huge = [LEADS[k] for k in np.flatnonzero(typical > MOST_MV)]
    if huge:
        raise ECGError(
            f"every lead must be below {MOST_MV:g} mV, got more in {', '.join(huge)}: they are in "
            "another unit or gain than the others. Correct it in the file."
        )
    texts = []
    tiny = [LEADS[k] for k in np.flatnonzero((typical > 0) & (typical < middle / UNLIKE))]
    large = [LEADS[k] for k in np.flatnonzero(typical > max(PLAUSIBLE_MV[1], UNLIKE / 10 * middle))]
    for names, word in ((tiny, "smaller"), (large, "larger")):
        if names:
            texts.append(
                f"{', '.join(names)} far {word} than the other leads: another unit or gain?"
            )
    chest = range(6, 12)
    same = [
        f"{LEADS[one]} and {LEADS[other]} are identical"
        for one in chest
        for other in range(one + 1, 12)
        if typical[one] > 0 and np.array_equal(millivolts[:, one], millivolts[:, other])
    ]
    return texts + same


def _check_amplitude(deflections: np.ndarray) -> str:
    """Refuse what cannot be millivolts; return a suspicion where it hardly can."""
    low, high = PLAUSIBLE_MV
    typical = float(np.median(deflections))
    likely = [
        name
        for name, per_mv in _LIKELY_UNITS.items()
        if _TYPICAL_MV[0] <= typical / per_mv <= _TYPICAL_MV[1]
    ]
    cause = " or ".join(likely) or "ADC counts"
    if typical > high:
        raise ECGError(
            f"amplitude must be below {high:g} mV in the median lead, got {typical:.3g}. These "
            f"look like {cause}, not what the file says: correct its unit or gain."
        )
    if typical < low:
        raise ECGError(
            f"amplitude must be above {low:g} mV in the median lead, got {typical:.3g}. The "
            "signal is empty, or in another unit than the file says: correct its unit or gain."
        )
    if typical > SUSPECT_MV[1]:
        return f"amplitude is {typical:.1f} mV in the median lead; it may be in {cause}"
    if typical < SUSPECT_MV[0]:
        return f"amplitude is {typical:.2f} mV in the median lead; unit or gain may be wrong"
    return ""
