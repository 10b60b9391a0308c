"""What a cardiologist would measure in each ECG: rate, intervals, axes, voltages, ST and T.

Intervals are medians over the normal beats; axes, voltages, ST and T are measured in the median
normal beat, with marks that hold for all leads together. A measurement that cannot be made is
missing, never zero. docs/ecg_measurements.md lists all with their agreement with cardiologists.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.signal import find_peaks

from explainability.r_peaks import LEADS
from explainability.record_beats import RecordBeats

__all__ = ["MEASUREMENTS", "Measurement", "labels", "measure_ecgs", "measured_counts"]

LIMB_LEADS = LEADS[:6]
_AFTER_J_SECONDS = 0.06
_INVERTED_MV = -0.1
_LOW_VOLTAGE_MV = 0.5
_NOTCH_MV = 0.05
_NOTCH_RATE_HZ = 250.0
_SMALLEST_VECTOR_MV_MS = 1.0  # below it the direction of a vector is noise


@dataclass(frozen=True)
class Measurement:
    """One column of :func:`measure_ecgs`: its name in words, and where in the ECG it lies.

    ``wave`` ("P", "QRS", "ST" or "T") and ``leads`` say in which part a map can be compared with
    it; both are empty for what lies in no one part, such as the heart rate.
    """

    name: str
    label: str
    wave: str = ""
    leads: tuple[str, ...] = ()


MEASUREMENTS = (
    Measurement("heart_rate_bpm", "heart rate (beats a minute)"),
    Measurement("rmssd_ms", "beat-to-beat variation, RMSSD (ms)"),
    Measurement("n_premature_beats", "premature beats (number)"),
    Measurement("pr_ms", "PR interval (ms)", "P", LEADS),
    Measurement("qrs_ms", "QRS duration (ms)", "QRS", LEADS),
    Measurement("qt_ms", "QT interval (ms)", "T", LEADS),
    Measurement("qtc_fridericia_ms", "QTc, Fridericia (ms)", "T", LEADS),
    Measurement("qrs_axis_degrees", "QRS axis, frontal (degrees)", "QRS", LIMB_LEADS),
    Measurement("t_axis_degrees", "T axis, frontal (degrees)", "T", LIMB_LEADS),
    Measurement("qrs_t_angle_degrees", "angle between QRS and T axis (degrees)", "T", LIMB_LEADS),
    Measurement("sokolow_lyon_mv", "Sokolow-Lyon voltage (mV)", "QRS", ("V1", "V5", "V6")),
    Measurement("cornell_mv", "Cornell voltage (mV)", "QRS", ("aVL", "V3")),
    Measurement("limb_qrs_mv", "largest QRS in the limb leads (mV)", "QRS", LIMB_LEADS),
    Measurement(
        "has_low_limb_voltage", "low voltage in the limb leads (0 or 1)", "QRS", LIMB_LEADS
    ),
    Measurement("n_notched_leads", "leads with a notched QRS (number)", "QRS", LEADS),
    Measurement("n_inverted_t_v4_v6", "inverted T waves in V4 to V6 (number)", "T", LEADS[9:]),
    *(
        Measurement(f"st_{lead.lower()}_mv", f"ST level in {lead} (mV)", "ST", (lead,))
        for lead in LEADS
    ),
    *(
        Measurement(f"t_{lead.lower()}_mv", f"T wave in {lead} (mV)", "T", (lead,))
        for lead in LEADS
    ),
)


def labels() -> dict[str, str]:
    """Return the label of every measurement by its column."""
    return {item.name: item.label for item in MEASUREMENTS}


def measure_ecgs(beats: RecordBeats) -> pd.DataFrame:
    """Measure every record.

    Parameters
    ----------
    beats : RecordBeats
        From `record_beats.find_beats`.

    Returns
    -------
    DataFrame of shape (n_records, 40)
        One column for each of `MEASUREMENTS`, NaN where it could not be measured.

    Notes
    -----
    * ``heart_rate_bpm`` 60 / median RR; ``rmssd_ms`` root mean square of differences of
      neighbouring normal RR intervals (ten seconds: Munoz 2015, doi 10.1371/journal.pone.0138921).
    * ``n_premature_beats`` whole beats that come after less than 80 % of the median RR interval;
      missing where more than a third do: that is an irregular rhythm.
    * ``pr_ms, qrs_ms, qt_ms`` of `beat_intervals.intervals_of`. ``qtc_fridericia_ms``
      QT / (RR / 1 s)^(1/3), Fridericia 1920, reprinted 2003, doi
      10.1046/j.1542-474X.2003.08413.x.
    * Axes from the areas A of QRS and of T: atan2(2 A(aVF) / sqrt 3, A(I)), -180 to 180 degrees;
      the augmented lead is scaled to the length of a bipolar one. Missing where the vector is
      below 1 mV ms. Limits of normal: Surawicz 2009, doi 10.1161/CIRCULATIONAHA.108.191095.
      ``qrs_t_angle_degrees`` 0 to 180 (Chua 2016, PMC5039018).
    * ``sokolow_lyon_mv`` S in V1 + larger R of V5, V6 (1949, doi 10.1016/0002-8703(49)90562-1);
      ``cornell_mv`` R in aVL + S in V3 (Casale 1987, doi 10.1161/01.CIR.75.3.565).
    * ``has_low_limb_voltage`` no QRS of the limb leads above 0.5 mV from peak to peak.
    * ``n_notched_leads`` more than three turning points of 0.05 mV or more within QRS (after Das
      2006, doi 10.1161/CIRCULATIONAHA.105.595892, who counts by eye at 150 Hz bandwidth); missing
      below 250 Hz, where notches do not survive.
    * ``st_<lead>_mv`` 60 ms after the end of QRS, above the level before QRS (Rautaharju 2009, doi
      10.1161/CIRCULATIONAHA.108.191096). A high-pass filter shifts it: compare within one chain.
    * ``t_<lead>_mv`` largest deflection between the marks of T, with its sign;
      ``n_inverted_t_v4_v6`` those of -0.1 mV or lower.
    """
    marks = beats.marks_seconds
    table = beats.rhythm.drop(columns="n_beats").join(beats.intervals_ms)
    rr_seconds = 60.0 / table["heart_rate_bpm"]
    table["qtc_fridericia_ms"] = table["qt_ms"] / np.cbrt(rr_seconds)
    in_qrs = beats.inside(marks["qrs_start"], marks["qrs_stop"])
    in_t = beats.inside(marks["t_start"], marks["t_stop"])
    largest, lowest = _extremes(beats.beats_mv, in_qrs)
    t_high, t_low = _extremes(beats.beats_mv, in_t)
    t_wave = np.where(np.abs(t_low) > np.abs(t_high), t_low, t_high)
    table = table.join(_axes(beats, in_qrs, in_t)).join(_voltages(largest, lowest))
    table["n_notched_leads"] = _notched_leads(beats, in_qrs)
    is_inverted = np.where(np.isnan(t_wave[:, 9:]), np.nan, t_wave[:, 9:] <= _INVERTED_MV)
    table["n_inverted_t_v4_v6"] = is_inverted.sum(axis=1)
    st_level = _level_at(beats, marks["qrs_stop"].to_numpy(float) + _AFTER_J_SECONDS)
    for column, lead in enumerate(LEADS):
        table[f"st_{lead.lower()}_mv"] = st_level[:, column]
        table[f"t_{lead.lower()}_mv"] = t_wave[:, column]
    return pd.DataFrame({item.name: table[item.name].astype(float) for item in MEASUREMENTS})


def measured_counts(table: pd.DataFrame) -> pd.DataFrame:
    """Return how often each measurement could be made, and what came out.

    Parameters
    ----------
    table : DataFrame
        Of `measure_ecgs`.

    Returns
    -------
    DataFrame
        ``measurement, label, n_measured, n_missing, median, quarter_low, quarter_high``.
    """
    quarters = table.quantile([0.25, 0.5, 0.75])
    return pd.DataFrame(
        {
            "measurement": table.columns,
            "label": [labels().get(name, name) for name in table.columns],
            "n_measured": table.notna().sum().to_numpy(),
            "n_missing": table.isna().sum().to_numpy(),
            "median": quarters.loc[0.5].to_numpy(),
            "quarter_low": quarters.loc[0.25].to_numpy(),
            "quarter_high": quarters.loc[0.75].to_numpy(),
        }
    )


def _extremes(beats_mv: np.ndarray, inside: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the largest and lowest value inside, both (n_records, 12)."""
    is_known = inside.any(axis=1, keepdims=True) & np.isfinite(beats_mv).all(axis=1)
    high = np.where(inside[..., None], beats_mv, -np.inf).max(axis=1)
    low = np.where(inside[..., None], beats_mv, np.inf).min(axis=1)
    return np.where(is_known, high, np.nan), np.where(is_known, low, np.nan)


def _axes(beats: RecordBeats, in_qrs: np.ndarray, in_t: np.ndarray) -> pd.DataFrame:
    """Return the frontal axes of QRS and T and the angle between them, degrees."""
    axes = {}
    for name, inside in (("qrs", in_qrs), ("t", in_t)):
        area = (beats.beats_mv * inside[..., None]).sum(axis=1) * 1000.0 / beats.rate_hz
        x, y = area[:, LEADS.index("I")], area[:, LEADS.index("aVF")] * 2.0 / np.sqrt(3.0)
        is_known = inside.any(axis=1) & (np.hypot(x, y) >= _SMALLEST_VECTOR_MV_MS)
        axes[name] = np.where(is_known, np.degrees(np.arctan2(y, x)), np.nan)
    angle = np.abs(axes["qrs"] - axes["t"])
    return pd.DataFrame(
        {
            "qrs_axis_degrees": axes["qrs"],
            "t_axis_degrees": axes["t"],
            "qrs_t_angle_degrees": np.minimum(angle, 360.0 - angle),
        }
    )


def _voltages(high: np.ndarray, low: np.ndarray) -> pd.DataFrame:
    """Return voltages from the largest and lowest value of QRS, (n_records, 12) each."""
    r = pd.DataFrame(np.maximum(high, 0.0), columns=LEADS)
    s = pd.DataFrame(np.maximum(-low, 0.0), columns=LEADS)
    limb = (r + s)[list(LIMB_LEADS)].max(axis=1, skipna=False)
    return pd.DataFrame(
        {
            "sokolow_lyon_mv": s["V1"] + r[["V5", "V6"]].max(axis=1, skipna=False),
            "cornell_mv": r["aVL"] + s["V3"],
            "limb_qrs_mv": limb,
            "has_low_limb_voltage": np.where(limb.notna(), limb < _LOW_VOLTAGE_MV, np.nan),
        }
    )


def _notched_leads(beats: RecordBeats, in_qrs: np.ndarray) -> np.ndarray:
    """Return the number of leads whose QRS turns more often than Q, R and S need."""
    result = np.full(len(in_qrs), np.nan)
    if beats.rate_hz < _NOTCH_RATE_HZ:
        return result
    is_known = in_qrs.any(axis=1) & np.isfinite(beats.beats_mv).all(axis=(1, 2))
    for row in np.flatnonzero(is_known):
        complexes = beats.beats_mv[row, in_qrs[row]].T
        result[row] = sum(_turning_points(lead) > 3 for lead in complexes)
    return result


def _turning_points(trace_mv: np.ndarray) -> int:
    """Return how many highs and lows of a trace stand out by at least the size of a notch."""
    found = [find_peaks(side * trace_mv, prominence=_NOTCH_MV)[0] for side in (1.0, -1.0)]
    return sum(len(peaks) for peaks in found)


def _level_at(beats: RecordBeats, seconds: np.ndarray) -> np.ndarray:
    """Return the median beats at a time of each record, linear between samples, (n_records, 12)."""
    position = (seconds - beats.seconds[0]) * beats.rate_hz
    is_known = (position >= 0) & (position <= len(beats.seconds) - 1)
    position = np.where(is_known, position, 0.0)
    left = np.minimum(position.astype(int), len(beats.seconds) - 2)
    part = (position - left)[:, None]
    rows = np.arange(len(position))
    level = beats.beats_mv[rows, left] * (1 - part) + beats.beats_mv[rows, left + 1] * part
    return np.where(is_known[:, None], level, np.nan)
