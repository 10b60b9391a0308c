"""Are the SYNTHETIC ECGs like real ones? Intervals and amplitudes beside PTB-XL.

Run from the root: ``ECG_DATA_ROOT=/path/to/data python benchmarks/synthetic_realism.py``. Needs
``ptbxl_wfdb`` (PTB-XL 1.0.3, Wagner 2020, doi 10.1038/s41597-020-0495-6), of which every record
stored at 500 Hz is read. Draws ``docs/figures/synthetic_vs_ptbxl.png``; ends with one line a
figure. Both sides go through the same simple measurement (:func:`measure_record`): its bias is
common, so the comparison holds although a cardiologist's calipers may differ by some ms.

Medians are meant to lie within PTB-XL's quartiles except where the disease argues otherwise: QRS is
longer (slow conduction, 15 % with left bundle branch block) and T is lower in I and aVL, with its
mirror in aVR (the planted sign varies around a flattened T wave).
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
import wfdb
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.signal import butter, find_peaks, sosfiltfilt

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from data_processing.synthetic import (
    LEADS,
    SyntheticSettings,
    simulate_ecgs,
    simulate_patients,
)

RATE_HZ = 500
N_SYNTHETIC = 600
EXAMPLE = 8  # the record of each side that is drawn
BEFORE, AFTER = 175, 250  # samples of a beat around R
INTERVALS = ("heart_rate_bpm", "pr_ms", "qrs_ms", "qt_ms", "qtc_ms")
WAVES = ("r_mv", "s_mv", "t_mv")
BLUE, ORANGE = "#0072B2", "#D55E00"
ROOT = Path(__file__).resolve().parents[1]


def find_r_peaks(signal_mv: np.ndarray) -> np.ndarray:
    """Return R peaks (samples): maxima of the smoothed spatial velocity, moved to the QRS peak."""
    sos = butter(2, [5, 40], "bandpass", fs=RATE_HZ, output="sos")
    band = sosfiltfilt(sos, signal_mv, axis=0)
    velocity = np.linalg.norm(np.gradient(band, axis=0), axis=1)
    velocity = np.convolve(velocity, np.ones(40) / 40, mode="same")
    threshold = 0.4 * np.percentile(velocity, 97)
    rough, _ = find_peaks(velocity, height=threshold, distance=int(0.3 * RATE_HZ))
    size = np.linalg.norm(band, axis=1)
    reach = 30
    inside = rough[(rough > reach) & (rough < len(size) - reach)]
    return np.array([r - reach + np.argmax(size[r - reach : r + reach]) for r in inside], int)


def typical_beat(signal_mv: np.ndarray, peaks: np.ndarray) -> np.ndarray | None:
    """Return the median of the beats that resemble each other, (425, 12) mV; None below three."""
    usable = peaks[(peaks >= BEFORE) & (peaks < len(signal_mv) - AFTER)]
    if len(usable) < 3:
        return None
    beats = np.stack([signal_mv[p - BEFORE : p + AFTER] for p in usable])
    middle = np.median(beats, axis=0)
    flat = beats.reshape(len(beats), -1)
    alike = np.array([np.corrcoef(beat, middle.ravel())[0, 1] for beat in flat]) > 0.85
    return np.median(beats[alike], axis=0) if alike.sum() >= 3 else None


def measure_record(signal_mv: np.ndarray) -> dict[str, float]:
    """Measure one 500-Hz record: rate, PR, QRS, QT, QTc (Fridericia) and R, S, T per lead.

    QRS: where the spatial velocity of the typical beat stays above 12 % of its peak. QT: tangent to
    the steepest fall of the T wave's spatial magnitude. PR: from where P in leads I and II
    exceeds a sixth of its peak (missing where P stays under 0.04 mV). S is the deepest point of
    the QRS, T the largest deviation, each against the level before the QRS.
    """
    sos = butter(2, 0.5, "highpass", fs=RATE_HZ, output="sos")
    low = butter(4, 100, "lowpass", fs=RATE_HZ, output="sos")
    clean = sosfiltfilt(low, sosfiltfilt(sos, signal_mv, axis=0), axis=0)
    peaks = find_r_peaks(clean)
    beat = typical_beat(clean, peaks)
    if beat is None:
        return {}
    rr = float(np.median(np.diff(peaks))) / RATE_HZ
    onset, offset = _qrs_bounds(beat)
    if offset - onset < 20:  # no silence around the QRS: not measurable
        return {}
    beat = beat - beat[max(onset - 15, 0) : max(onset - 4, 1)].mean(axis=0)
    found = {"heart_rate_bpm": 60.0 / rr, "qrs_ms": (offset - onset) * 1000 / RATE_HZ}
    end = _t_end(beat, offset, rr)
    found["qt_ms"] = (end - onset) * 1000 / RATE_HZ
    found["qtc_ms"] = found["qt_ms"] / np.cbrt(rr)
    found["pr_ms"] = _pr_ms(beat, onset)
    t_part = beat[min(offset + 25, end - 10) : end]
    for column, lead in enumerate(LEADS):
        found[f"r_mv {lead}"] = beat[onset:offset, column].max()
        found[f"s_mv {lead}"] = beat[onset:offset, column].min()
        found[f"t_mv {lead}"] = t_part[np.argmax(np.abs(t_part[:, column])), column]
    return found


def _qrs_bounds(beat: np.ndarray) -> tuple[int, int]:
    velocity = np.linalg.norm(np.gradient(beat, axis=0), axis=1)
    velocity = np.convolve(velocity, np.ones(5) / 5, mode="same")
    top = BEFORE - 30 + int(np.argmax(velocity[BEFORE - 30 : BEFORE + 30]))
    is_quiet = velocity < 0.12 * velocity[top]
    quiet = np.convolve(is_quiet, np.ones(7), mode="same") >= 7  # 14 ms of silence
    onset = top - int(np.argmax(quiet[top::-1])) + 3
    return onset, top + int(np.argmax(quiet[top:])) - 3


def _t_end(beat: np.ndarray, offset: int, rr_seconds: float) -> int:
    size = np.linalg.norm(beat, axis=1)
    size = np.convolve(size, np.ones(15) / 15, mode="same")
    stop = min(len(size) - 8, BEFORE + int(0.62 * rr_seconds * RATE_HZ))
    start = min(offset + 30, stop - 40)
    top = start + int(np.argmax(size[start:stop]))
    slope = np.gradient(size)[top : min(top + 60, len(size) - 8)]
    steepest = top + int(np.argmin(slope))
    level = size[min(steepest + 30, len(size) - 1) :].min(initial=size[-8])
    return min(steepest + int((size[steepest] - level) / max(-slope.min(), 1e-6)), len(size) - 1)


def _pr_ms(beat: np.ndarray, onset: int) -> float:
    size = np.abs(beat[: max(onset - 8, 1), :2]).max(axis=1)
    if len(size) < 60:
        return float("nan")
    top = len(size) - 60 + int(np.argmax(size[-60:]))
    if size[top] < 0.04:
        return float("nan")
    below = size[top::-1] < size[top] / 6
    return (onset - top + int(np.argmax(below))) * 1000 / RATE_HZ if below.any() else float("nan")


def read_ptbxl(root: Path) -> np.ndarray:
    """Return every 500-Hz record of the mirror, (n, 5000, 12) mV."""
    headers = sorted((root / "ptbxl_wfdb" / "records500").glob("*/*.hea"))
    records = [wfdb.rdrecord(str(path.with_suffix(""))).p_signal for path in headers]
    return np.stack(records).astype(np.float32)


@dataclass(frozen=True)
class Comparison:
    """Measurements of both sides, one row a record."""

    real: pd.DataFrame
    synthetic: pd.DataFrame

    def inside(self) -> pd.Series:
        """Return, for each measurement, whether the synthetic median lies in the real IQR."""
        low, high = self.real.quantile(0.25), self.real.quantile(0.75)
        return (self.synthetic.median() >= low) & (self.synthetic.median() <= high)


def draw(comparison: Comparison, examples: tuple[np.ndarray, np.ndarray]) -> Figure:
    """Draw intervals, per-lead amplitudes and one example beat series of each side."""
    mpl.rcParams.update({"font.size": 11, "axes.spines.top": False, "axes.spines.right": False})
    figure = Figure(figsize=(13, 15), layout="constrained")
    grid = figure.add_gridspec(5, 5, height_ratios=[1, 1, 1, 1, 1.5])
    labels = ["heart rate (1/min)", "PR (ms)", "QRS (ms)", "QT (ms)", "QTc Fridericia (ms)"]
    for column, (name, label) in enumerate(zip(INTERVALS, labels, strict=True)):
        ax = figure.add_subplot(grid[0, column])
        _boxes(ax, comparison, [name], [""])
        ax.set_title(label, fontsize=11)
    titles = ["R (highest point of QRS)", "S (deepest point of QRS)", "T (largest deviation)"]
    for row, (wave, title) in enumerate(zip(WAVES, titles, strict=True), start=1):
        ax = figure.add_subplot(grid[row, :])
        _boxes(ax, comparison, [f"{wave} {lead}" for lead in LEADS], LEADS)
        ax.axhline(0, color="0.6", lw=0.8, zorder=0)
        ax.set_ylabel("mV")
        ax.set_title(title, fontsize=11, loc="left")
    halves = grid[4, :].subgridspec(1, 2)
    for part, (signal, colour) in enumerate(zip(examples, (BLUE, ORANGE), strict=True)):
        ax = figure.add_subplot(halves[part])
        _strips(ax, signal, colour)
        ax.set_title(("PTB-XL, one record", "SYNTHETIC, one record")[part], fontsize=11)
    figure.suptitle(
        f"SYNTHETIC ECGs (orange, n = {len(comparison.synthetic)} patients) beside PTB-XL 1.0.3 "
        f"(blue, n = {len(comparison.real)} records), 500 Hz\n"
        "Box: quartiles and median; whiskers: 5th and 95th percentile; one ECG each. "
        "Source of PTB-XL: Wagner 2020, doi 10.1038/s41597-020-0495-6",
        fontsize=11,
    )
    return figure


def _boxes(ax: Axes, comparison: Comparison, names: list[str], labels: object) -> None:
    style = {"whis": (5, 95), "widths": 0.32, "showfliers": False, "patch_artist": True}
    sides = ((comparison.real, BLUE, -0.19), (comparison.synthetic, ORANGE, 0.19))
    for table, colour, shift in sides:
        values = [table[name].dropna() for name in names]
        drawn = ax.boxplot(values, positions=np.arange(len(names)) + shift, **style)
        for box in drawn["boxes"]:
            box.set(facecolor=colour, alpha=0.55, edgecolor=colour)
        for line in [*drawn["whiskers"], *drawn["caps"]]:
            line.set_color(colour)
        for line in drawn["medians"]:
            line.set(color="black", lw=1.6)
    ax.set_xticks(np.arange(len(names)), labels)


def _strips(ax: Axes, signal_mv: np.ndarray, colour: str) -> None:
    part = signal_mv[: int(2.5 * RATE_HZ)]
    seconds = np.arange(len(part)) / RATE_HZ
    for row in range(12):
        middle, left = -1.6 * (row % 6), 2.85 * (row // 6)
        ax.plot(
            seconds + left, part[:, row] - np.median(part[:, row]) + middle, color=colour, lw=0.7
        )
        ax.text(left - 0.04, middle, LEADS[row], fontsize=9, ha="right", va="center")
    ax.set(
        xlabel="seconds (limb leads, then chest leads)", ylabel="mV (leads 1.6 mV apart)", yticks=[]
    )


def main() -> None:
    """Measure, draw, print."""
    root = os.environ.get("ECG_DATA_ROOT")
    if not root:
        sys.exit("ECG_DATA_ROOT must be the folder that holds ptbxl_wfdb, got nothing. Set it.")
    real = read_ptbxl(Path(root))
    settings = SyntheticSettings(n_patients=N_SYNTHETIC, rate_hz=RATE_HZ, seed=7)
    synthetic, _ = simulate_ecgs(simulate_patients(settings), settings)
    comparison = Comparison(
        *(
            pd.DataFrame([measure_record(x) for x in part]).dropna(how="all")
            for part in (real, synthetic)
        )
    )
    target = ROOT / "docs" / "figures" / "synthetic_vs_ptbxl.png"
    target.parent.mkdir(parents=True, exist_ok=True)
    draw(comparison, (real[EXAMPLE], synthetic[EXAMPLE])).savefig(target, dpi=100)
    report(comparison)


def report(comparison: Comparison) -> None:
    """Print one line a figure; amplitudes in mV, intervals in ms."""
    inside = comparison.inside()
    for name in comparison.real.columns:
        unit = "1/min" if "bpm" in name else ("ms" if "_ms" in name else "mV")
        key = name.replace(" ", "_")
        quartiles = comparison.real[name].quantile([0.25, 0.5, 0.75])
        print(f"figure ptbxl_{key} {quartiles[0.5]:.3g} {unit}", end="")
        print(f"   (quartiles {quartiles[0.25]:.3g} to {quartiles[0.75]:.3g})")
        mark = "" if inside[name] else "   OUTSIDE"
        spread = comparison.synthetic[name].quantile([0.25, 0.75])
        print(f"figure synthetic_{key} {comparison.synthetic[name].median():.3g} {unit}", end="")
        print(f"   (quartiles {spread[0.25]:.3g} to {spread[0.75]:.3g}){mark}")
    print(f"figure share_of_medians_within_ptbxl_iqr {inside.mean():.3f} 1")


if __name__ == "__main__":
    main()
