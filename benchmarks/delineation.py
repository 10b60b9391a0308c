"""How well P, QRS and T are found: against the cardiologists' marks of LUDB.

    ECG_DATA_ROOT=... python benchmarks/delineation.py            # the table that counts
    ECG_DATA_ROOT=... python benchmarks/delineation.py --choice   # how the method was chosen

The marks are made lead by lead; the reference of a record is the median over the leads in which a
wave is marked, for waves marked in six leads or more. ECGs are read with the project's reader and
delineated at their own 500 Hz and at 100 Hz after the project's signal chain (0.5 to 40 Hz). The
method of neurokit2 was chosen on records with odd numbers; the table that counts is that of the
even ones. Intervals are percentile bootstrap over patients (one record each). Tables are written
into docs/delineation.md.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import wfdb
from tqdm.auto import tqdm

from data_processing.chain import SignalChain
from data_processing.leads import LEADS
from data_processing.readers import read_ecg
from evaluation.intervals import bootstrap_interval
from evaluation.resampling import BootstrapPlan
from evaluation.weighted import ratio_statistic
from explainability.delineation import WAVES, delineate

PAGE = Path(__file__).parents[1] / "docs" / "delineation.md"
MARKS_HZ = 500.0
SYMBOLS = {"p": "P", "N": "QRS", "t": "T"}
FEWEST_LEADS = 6
TOLERANCE_SECONDS = 0.15  # ANSI/AAMI EC57, as in the studies of LUDB
PLAN = BootstrapPlan(2000, 0.95, "percentile", 0)
# Where around R the marks of one beat are looked for; between two beats, the nearer takes them.
AROUND_R = {"P": (-0.4, 0.0), "QRS": (-0.1, 0.1), "T": (0.05, 0.65)}
POINTS = ("onset", "peak", "offset")


def lead_marks(path: Path, lead: str) -> dict[str, np.ndarray]:
    """Return onset, peak and offset in seconds of each wave marked in one lead, (n, 3)."""
    marks = wfdb.rdann(str(path.with_suffix("")), lead.lower())
    symbols = ["", *(marks.symbol or ()), ""]
    seconds = np.r_[np.nan, marks.sample / MARKS_HZ, np.nan]
    found: dict[str, list] = {name: [] for name in WAVES}
    for i, symbol in enumerate(symbols):
        if symbol in SYMBOLS:
            onset = seconds[i - 1] if symbols[i - 1] == "(" else np.nan
            offset = seconds[i + 1] if symbols[i + 1] == ")" else np.nan
            found[SYMBOLS[symbol]].append((onset, seconds[i], offset))
    return {name: np.array(rows).reshape(-1, 3) for name, rows in found.items()}


def reference_points(path: Path) -> np.ndarray:
    """Return the median marks over leads, (n_beats, 3 waves, 3 points) in seconds."""
    by_lead = [lead_marks(path, lead) for lead in LEADS]
    n_beats = int(np.median([len(marks["QRS"]) for marks in by_lead]))
    usual = next(marks["QRS"] for marks in by_lead if len(marks["QRS"]) == n_beats)
    peaks = usual[:, 1]
    before, after = np.r_[-np.inf, peaks[:-1]], np.r_[peaks[1:], np.inf]
    points = np.full((n_beats, len(WAVES), 3), np.nan)
    for column, wave in enumerate(WAVES):
        low, high = AROUND_R[wave]
        for beat, peak in enumerate(peaks):
            start, end = max(peak + low, before[beat] + 0.1), min(peak + high, after[beat] - 0.02)
            chosen = [
                near[-1 if wave == "P" else 0]
                for marks in by_lead
                if len(near := marks[wave][(marks[wave][:, 1] > start) & (marks[wave][:, 1] < end)])
            ]
            if len(chosen) >= FEWEST_LEADS:
                points[beat, column] = np.nanmedian(chosen, axis=0)
    return points


def compare(found: np.ndarray, reference: np.ndarray, wave: str) -> tuple[dict, np.ndarray]:
    """Return counts of one record and wave, and the timing errors (n_matched, 3) in ms."""
    column = WAVES.index(wave)
    marked = reference[np.isfinite(reference[:, column, 1]), column]
    start, end = np.nanmin(reference[..., 0]) - 0.02, np.nanmax(reference[..., 2]) + 0.02
    found = found[:, column]
    found = found[(found[:, 1] >= start) & (found[:, 1] <= end)]
    errors = np.zeros((0, 3))
    if len(marked) and len(found):
        distance = np.abs(found[:, None, 1] - marked[None, :, 1])
        nearest = distance.argmin(axis=0)
        is_mutual = distance.argmin(axis=1)[nearest] == np.arange(len(marked))
        is_hit = is_mutual & (distance.min(axis=0) <= TOLERANCE_SECONDS)
        errors = 1000 * (found[nearest[is_hit]] - marked[is_hit])
    return {"n_marked": len(marked), "n_found": len(found), "n_matched": len(errors)}, errors


@dataclass(frozen=True)
class Way:
    """How records are delineated: neurokit2's method, and at which rates."""

    method: str = "prominence"
    is_prepared: bool = True  # 100 Hz by the signal chain, else 500 Hz as recorded
    analysis_hz: float = 500.0
    is_qrs_by_velocity: bool = True

    @property
    def rate(self) -> str:
        """Return the rate in words."""
        if not self.is_prepared:
            return "500 Hz"
        return "100 Hz" if self.analysis_hz > 100 else "100 Hz, not resampled"


@dataclass(frozen=True)
class Result:
    """Counts by record and wave, timing errors in ms by wave, and the methods used."""

    counts: pd.DataFrame
    errors: dict[str, np.ndarray]
    methods: Counter


def evaluate(paths: list[Path], way: Way) -> Result:
    """Delineate records and compare them with their marks."""
    rows, methods = [], Counter()
    errors: dict[str, list[np.ndarray]] = {name: [] for name in WAVES}
    for path in tqdm(paths, desc=f"{way.method}, {way.rate}", unit="ECG"):
        ecg = read_ecg(path)
        signal, rate_hz = ecg.signal_mv, ecg.rate_hz
        if way.is_prepared:
            chain = SignalChain()
            signal, rate_hz = chain.apply(signal, rate_hz), chain.rate_hz
        found = delineate(
            signal,
            rate_hz,
            method=way.method,
            analysis_hz=way.analysis_hz,
            is_qrs_by_velocity=way.is_qrs_by_velocity,
        )
        methods[found.method] += 1
        reference = reference_points(path)
        for wave in WAVES:
            counts, of_record = compare(found.points_seconds, reference, wave)
            rows.append({"wave": wave, **counts})
            errors[wave].append(of_record)
    together = {name: np.concatenate(parts) for name, parts in errors.items()}
    return Result(pd.DataFrame(rows), together, methods)


def table_of(result: Result, way: Way) -> pd.DataFrame:
    """Return one row a wave: sensitivity, predictive value with intervals, and timing errors."""
    rows = []
    for wave, part in result.counts.groupby("wave", sort=False):
        name = f"{way.method}, QRS by velocity" if way.is_qrs_by_velocity else way.method
        row: dict[str, object] = {"rate": way.rate, "method": name, "wave": wave}
        row["marked"] = part["n_marked"].sum()
        for name, total in (("sensitivity", "n_marked"), ("predictive value", "n_found")):
            statistic = ratio_statistic(part["n_matched"], part[total])
            of = bootstrap_interval(statistic, np.arange(len(part)), plan=PLAN)
            has_interval = np.isfinite(of.ci_low)
            words = f"{of.ci_low:.3f} to {of.ci_high:.3f}" if has_interval else "no interval"
            row[name] = f"{of.estimate:.3f} ({words})"
        for point, error in zip(POINTS, result.errors[str(wave)].T, strict=True):
            error = error[np.isfinite(error)]
            spread = f"{error.mean():+.0f} ± {error.std(ddof=1):.0f}"
            row[f"{point}, ms"] = f"{spread}; {np.median(np.abs(error)):.0f}"
        rows.append(row)
    return pd.DataFrame(rows)


def print_figures(result: Result, name: str) -> None:
    """Print one line a figure."""
    for method, n in result.methods.items():
        print(f"figure {name}_{method.replace(' ', '_')} {n} ECGs")
    for wave, part in result.counts.groupby("wave", sort=False):
        n_marked, n_found, n_matched = part[["n_marked", "n_found", "n_matched"]].sum()
        print(f"figure {name}_{wave}_sensitivity {n_matched / n_marked:.3f} 1 (of {n_marked})")
        print(f"figure {name}_{wave}_predictive_value {n_matched / n_found:.3f} 1 (of {n_found})")
        for point, error in zip(POINTS, result.errors[str(wave)].T, strict=True):
            size = np.nanmedian(np.abs(error))
            print(f"figure {name}_{wave}_{point}_median_absolute_error {size:.0f} ms")


def markdown(table: pd.DataFrame) -> str:
    """Return a table as markdown."""
    lines = ["| " + " | ".join(table.columns) + " |", "|" + "---|" * len(table.columns)]
    lines += ["| " + " | ".join(map(str, row)) + " |" for row in table.to_numpy()]
    return "\n".join(lines)


def write_between(text: str, name: str, table: str) -> str:
    """Return the page with the table between its two marks."""
    start, end = f"<!-- {name} -->\n", f"<!-- end of {name} -->"
    before, _, rest = text.partition(start)
    _, _, after = rest.partition(end)
    return f"{before}{start}{table}\n{end}{after}"


def main() -> None:
    """Print one line a figure and write the tables into the page."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--choice", action="store_true", help="compare the methods (slow) instead")
    options = parser.parse_args()
    folder = Path(os.environ.get("ECG_DATA_ROOT", "")) / "ludb" / "data"
    headers = sorted(folder.glob("*.hea"), key=lambda path: int(path.stem))
    if not headers:
        sys.exit("ECG_DATA_ROOT must hold ludb.")
    odd = [path for path in headers if int(path.stem) % 2]
    even = [path for path in headers if int(path.stem) % 2 == 0]
    print(f"figure records_chosen_on {len(odd)} ECGs\nfigure records_reported {len(even)} ECGs")
    tables = {}
    if options.choice:
        ways = [Way(name, is_qrs_by_velocity=False) for name in ("prominence", "dwt", "cwt")]
        ways += [Way(), Way(analysis_hz=100.0)]
        tables["choice"] = pd.concat([table_of(evaluate(odd, way), way) for way in ways])
    else:
        parts = []
        for way, name in ((Way(is_prepared=False), "500_hz"), (Way(), "100_hz")):
            result = evaluate(even, way)
            print_figures(result, name)
            parts.append(table_of(result, way).drop(columns="method"))
        tables["result"] = pd.concat(parts)
    for name, table in tables.items():
        PAGE.write_text(write_between(PAGE.read_text(), name, markdown(table)))


if __name__ == "__main__":
    main()
