"""Give an ECG the P wave, QRS, ST segment or T wave of other patients, in chosen leads.

The difference between the two median waves is added to every normal beat, so the patient's own
rhythm, breathing and noise stay. Only the eight independent leads can be chosen; III, aVR, aVL and
aVF follow from I and II, as they do in a patient.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from explainability.r_peaks import LEADS
from explainability.record_beats import RecordBeats

__all__ = ["LEAD_GROUPS", "REPLACEABLE", "ReferenceWaves", "reference_waves", "replace_wave"]

INDEPENDENT = ("I", "II", *LEADS[6:])
# What can be replaced, as neighbouring segments of the beat.
REPLACEABLE = {
    "P": ("P",),
    "QRS": ("QRS",),
    "ST": ("ST",),
    "T": ("T",),
    "ST and T": ("ST", "T"),
    "whole beat": ("P", "PQ", "QRS", "ST", "T"),
}
LEAD_GROUPS = {
    "limb leads": ("I", "II"),
    "V1 to V3": ("V1", "V2", "V3"),
    "V4 to V6": ("V4", "V5", "V6"),
    "all leads": INDEPENDENT,
}
_EDGES = {
    "P": ("p_start", "p_stop"),
    "PQ": ("p_stop", "qrs_start"),
    "QRS": ("qrs_start", "qrs_stop"),
    "ST": ("qrs_stop", "t_start"),
    "T": ("t_start", "t_stop"),
}
_N_POINTS = 65  # of a wave on its own time axis
_JOIN_SECONDS = 0.03
_SHORTEST_SECONDS = 0.01
# Einthoven: III = II - I. Goldberger: aVR = -(I + II) / 2, aVL = I - II / 2, aVF = II - I / 2.
_FROM_INDEPENDENT = np.zeros((12, 8))
_FROM_INDEPENDENT[:6, :2] = [[1, 0], [0, 1], [-1, 1], [-0.5, -0.5], [1, -0.5], [-0.5, 1]]
_FROM_INDEPENDENT[6:, 2:] = np.eye(6)


@dataclass(frozen=True)
class ReferenceWaves:
    """Mean waves of some patients, each on a time axis from its start (0) to its end (1).

    Attributes
    ----------
    waves_mv : dict of str to array of shape (65, 8)
        ``P, PQ, QRS, ST, T`` in the independent leads, above the level before QRS.
    n_patients : dict of str to int
        Patients in whom the wave was found.
    """

    waves_mv: dict[str, np.ndarray]
    n_patients: dict[str, int]


def reference_waves(beats: RecordBeats, patient_ids: Sequence[str] | np.ndarray) -> ReferenceWaves:
    """Return the mean waves of patients, for example of training patients without the event.

    Parameters
    ----------
    beats : RecordBeats
        From `record_beats.find_beats`.
    patient_ids : sequence of str, shape (n_records,)
        A patient's records are averaged first.

    Returns
    -------
    ReferenceWaves
        Without the waves that were found in no record.
    """
    ids = np.asarray(patient_ids)
    waves, counts = {}, {}
    for name in _EDGES:
        found = _stretched(beats, name)
        is_known = np.isfinite(found).all(axis=(1, 2))
        counts[name] = len(np.unique(ids[is_known]))
        if not counts[name]:
            continue
        patients = np.unique(ids[is_known])
        means = [found[is_known & (ids == patient)].mean(axis=0) for patient in patients]
        waves[name] = np.mean(means, axis=0)
    return ReferenceWaves(waves, counts)


def replace_wave(
    ecg: np.ndarray,
    beats: RecordBeats,
    reference: ReferenceWaves,
    *,
    wave: str,
    leads: Sequence[str],
) -> tuple[np.ndarray, np.ndarray]:
    """Return ECGs with a wave replaced in some leads.

    Parameters
    ----------
    ecg : array of shape (n_records, n_samples, 12)
        In mV.
    beats : RecordBeats
        Of the same records.
    reference : ReferenceWaves
        From `reference_waves`.
    wave : str
        Key of `REPLACEABLE`.
    leads : sequence of str
        Independent leads (I, II, V1 to V6), for example a value of `LEAD_GROUPS`.

    Returns
    -------
    ecg : float32 array of shape (n_records, n_samples, 12)
        In mV.
    is_replaced : bool array of shape (n_records,)
        False where the wave was not found, here or in the reference; the ECG is then as it was.

    Raises
    ------
    ValueError
        If the wave is unknown or a lead cannot be changed alone.

    Notes
    -----
    x'(t) = x(t) + w(t) (r(u) - m(u)) around every normal R peak: m is the record's own median wave,
    r the reference, u the place in the wave from 0 to 1, which fits the reference to the length of
    the patient's wave, and w rises and falls over 30 ms. A wave replaced by itself changes nothing.
    Premature beats stay as they are.
    """
    if wave not in REPLACEABLE:
        raise ValueError(f"wave must be one of {list(REPLACEABLE)}, got {wave!r}. Choose one.")
    others = [lead for lead in leads if lead not in INDEPENDENT]
    if others or not leads:
        raise ValueError(
            f"leads must be among {', '.join(INDEPENDENT)}, got {others or 'none'}. III, aVR, aVL "
            "and aVF follow from I and II: change those."
        )
    chosen = np.isin(INDEPENDENT, leads)
    own = {name: _stretched(beats, name) for name in REPLACEABLE[wave]}
    found = [np.isfinite(part).all(axis=(1, 2)) for part in own.values()]
    is_replaced = np.all(found, axis=0) & (set(own) <= set(reference.waves_mv))
    is_replaced &= np.array([len(peaks) > 0 for peaks in beats.normal_peaks], dtype=bool)
    altered = np.array(ecg, dtype=np.float32)
    for row in np.flatnonzero(is_replaced):
        marks = beats.marks_seconds.iloc[row]
        parts = {name: (reference.waves_mv[name] - own[name][row]) * chosen for name in own}
        offsets, change = _change(parts, marks, beats.rate_hz)
        samples = beats.normal_peaks[row][:, None] + offsets
        inside = (samples >= 0) & (samples < altered.shape[1])
        added = np.broadcast_to(change @ _FROM_INDEPENDENT.T, (*samples.shape, len(LEADS)))
        np.add.at(altered[row], samples[inside], added[inside].astype(np.float32))
    return altered, is_replaced


def _stretched(beats: RecordBeats, name: str) -> np.ndarray:
    """Return a segment of every median beat on its own time axis, (n_records, 65, 8)."""
    start, stop = (beats.marks_seconds[edge].to_numpy(float) for edge in _EDGES[name])
    columns = [LEADS.index(lead) for lead in INDEPENDENT]
    found = np.full((len(start), _N_POINTS, len(columns)), np.nan)
    for row in np.flatnonzero(stop - start >= _SHORTEST_SECONDS):
        seconds = np.linspace(start[row], stop[row], _N_POINTS)
        for place, column in enumerate(columns):
            found[row, :, place] = np.interp(seconds, beats.seconds, beats.beats_mv[row, :, column])
    return found


def _change(parts: dict[str, np.ndarray], marks, rate_hz: float) -> tuple[np.ndarray, np.ndarray]:
    """Return samples relative to R and what is added there, (n_offsets,) and (n_offsets, 8)."""
    first, last = marks[_EDGES[next(iter(parts))][0]], marks[_EDGES[list(parts)[-1]][1]]
    offsets = np.arange(int(np.ceil(first * rate_hz)), int(np.floor(last * rate_hz)) + 1)
    seconds = offsets / rate_hz
    change = np.zeros((len(offsets), len(INDEPENDENT)))
    for name, values in parts.items():
        start, stop = (marks[edge] for edge in _EDGES[name])
        inside = (seconds >= start) & (seconds <= stop)
        place = (seconds[inside] - start) / (stop - start)
        grid = np.linspace(0.0, 1.0, _N_POINTS)
        change[inside] = np.stack([np.interp(place, grid, lead) for lead in values.T], axis=1)
    join = min(_JOIN_SECONDS, (last - first) / 3)
    edge = np.clip(np.minimum(seconds - first, last - seconds) / join, 0.0, 1.0)
    return offsets, change * (0.5 - 0.5 * np.cos(np.pi * edge))[:, None]
