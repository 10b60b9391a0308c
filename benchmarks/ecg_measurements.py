"""ECG measurements against cardiologists' marks and statements, and the synthetic generator.

    ECG_DATA_ROOT=... python benchmarks/ecg_measurements.py                # all tables
    ECG_DATA_ROOT=... python benchmarks/ecg_measurements.py --part ludb    # or ptbxl, synthetic

LUDB: rate, PR, QRS and QT against the medians over leads and beats of the cardiologists' marks, by
the definition in use and, on the records with odd numbers, by two others; axis and rate under each
of the cardiologist's words. PTB-XL (original millivolts, one ECG a patient): ECGs with and without
a statement that the measurement should follow (AUROC; 0.5: it knows nothing of it). SYNTHETIC:
what was drawn against what is measured. Intervals are percentile bootstrap over patients. Tables
are written into docs/ecg_measurements.md.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import numpy as np
import pandas as pd
import wfdb
from delineation import markdown, reference_points, write_between
from scipy.stats import spearmanr

from data_processing.chain import SignalChain
from data_processing.leads import LEADS
from data_processing.readers import read_ecg
from data_processing.synthetic import SyntheticSettings, simulate_ecgs, simulate_patients
from data_processing.synthetic_heart import draw_hearts
from evaluation.intervals import bootstrap_interval
from evaluation.resampling import BootstrapPlan
from evaluation.weighted import auroc_statistic
from explainability.beat_intervals import (
    INTERVALS,
    intervals_of,
    measured_beats,
    median_where_found,
    told_apart,
)
from explainability.delineation import delineate
from explainability.ecg_measurements import measure_ecgs, measured_counts
from explainability.r_peaks import heart_rate_bpm
from explainability.record_beats import find_beats
from explainability.wave_replacement import INDEPENDENT

PAGE = Path(__file__).parents[1] / "docs" / "ecg_measurements.md"
PLAN = BootstrapPlan(2000, 0.95, "percentile", 0)
USED, ALL_BEATS, MARKS = "median over normal beats", "median over all beats", "between median marks"
LABELS = {
    "heart_rate_bpm": "heart rate, beats a minute",
    "pr_ms": "PR, ms",
    "qrs_ms": "QRS, ms",
    "qt_ms": "QT, ms",
}
# PTB-XL statement, measurement, side on which the statement lies.
STATEMENTS = (
    ("SBRAD", "heart_rate_bpm", -1),
    ("STACH", "heart_rate_bpm", 1),
    ("CLBBB", "qrs_ms", 1),
    ("CRBBB", "qrs_ms", 1),
    ("1AVB", "pr_ms", 1),
    ("LAFB", "qrs_axis_degrees", -1),
    ("LVH", "sokolow_lyon_mv", 1),
    ("LVH", "cornell_mv", 1),
    ("LVOLT", "limb_qrs_mv", -1),
    ("PVC", "n_premature_beats", 1),
    ("AFIB", "rmssd_ms", 1),
    ("INVT", "n_inverted_t_v4_v6", 1),
    ("ISC_", "t_v5_mv", -1),
    ("LNGQT", "qtc_fridericia_ms", 1),
)
FEWEST = 5


def synthetic(n_patients: int) -> pd.DataFrame:
    """Return errors and correlations against the generator's truth, at 100 and 500 Hz."""
    rows = []
    for rate_hz in (100, 500):
        settings = SyntheticSettings(n_patients=n_patients, rate_hz=rate_hz, seed=11)
        patients = simulate_patients(settings)
        ecg, truth = simulate_ecgs(patients, settings)
        found = measure_ecgs(find_beats(ecg, rate_hz))
        sinus = ~truth["is_fibrillating"].to_numpy(dtype=bool)
        n_ectopic = np.array([np.sum(flags) for flags in truth["is_ectopic"]])
        hearts = draw_hearts(patients.assign(ecg_number=0), settings.seed)
        t_v5 = hearts.leads_mv[:, INDEPENDENT.index("V5"), hearts.is_t][:, 1:].sum(axis=1)
        for name, measured, drawn in (
            ("heart rate", found["heart_rate_bpm"], truth["heart_rate_bpm"]),
            ("premature beats", found["n_premature_beats"], n_ectopic),
            ("T wave in V5", found["t_v5_mv"], t_v5),
            ("PR interval", found["pr_ms"], hearts.record["pr_shift_seconds"]),
            ("QT interval", found["qt_ms"], hearts.record["qt_seconds"]),
        ):
            known = sinus & measured.notna().to_numpy()
            rho = spearmanr(measured[known], np.asarray(drawn)[known]).statistic
            row = {"rate": f"{rate_hz} Hz", "measurement": name, "ECGs": int(known.sum())}
            rows.append(row | {"rank correlation with what was drawn": f"{rho:.2f}"})
        wide = truth["has_left_bundle"].to_numpy(dtype=bool)
        qrs = found["qrs_ms"]
        print(
            f"figure synthetic_qrs_{rate_hz}hz {qrs[~wide].median():.0f} ms narrow, "
            f"{qrs[wide].median():.0f} ms left bundle"
        )
        missing = measured_counts(found).set_index("measurement")["n_missing"]
        print(f"missing of {len(found)} at {rate_hz} Hz: {missing[missing > 0].to_dict()}")
    return pd.DataFrame(rows)


def ptb_xl(folder: Path) -> pd.DataFrame:
    """Return how each measurement parts ECGs with and without its statement."""
    table = pd.read_csv(folder / "ptbxl_database.csv")
    table = table[[(folder / f"{name}.dat").exists() for name in table["filename_lr"]]]
    table = table.drop_duplicates("patient_id")
    signals = [wfdb.rdrecord(str(folder / name)) for name in table["filename_lr"]]
    ecg = np.stack([in_order(record) for record in signals])
    found = measure_ecgs(find_beats(ecg, 100.0))
    words, rows = table["scp_codes"].to_list(), []
    for statement, measurement, side in STATEMENTS:
        has = np.array([f"'{statement}'" in text for text in words])
        known = found[measurement].notna().to_numpy()
        if min((has & known).sum(), (~has & known).sum()) < FEWEST:
            continue
        outcome = has[known].astype(int)
        statistic = auroc_statistic(outcome, side * found.loc[known, measurement].to_numpy())
        of = bootstrap_interval(statistic, np.arange(len(outcome)), plan=PLAN, strata=outcome)
        rows.append(
            {
                "statement": statement,
                "measurement": measurement,
                "AUROC (95 %)": f"{of.estimate:.2f} ({of.ci_low:.2f} to {of.ci_high:.2f})",
                "with": int(outcome.sum()),
                "without": int((outcome == 0).sum()),
                "not measured": int((~known).sum()),
            }
        )
    return pd.DataFrame(rows)


def ludb_errors(folder: Path) -> pd.DataFrame:
    """Return what is measured minus what the marks say, a row a record, rate and definition."""
    rows = []
    for path in sorted((folder / "data").glob("*.hea"), key=lambda path: int(path.stem)):
        marks = reference_points(path)
        lengths = np.column_stack(
            [
                marks[:, 1, 0] - marks[:, 0, 0],
                marks[:, 1, 2] - marks[:, 1, 0],
                marks[:, 2, 2] - marks[:, 1, 0],
            ]
        )
        is_marked = np.isfinite(lengths).mean(axis=0) >= 0.5
        marked = np.where(is_marked, np.nanmedian(np.where(is_marked, lengths, 0), axis=0), np.nan)
        reference = dict(zip(INTERVALS, 1000 * marked, strict=True))
        reference["heart_rate_bpm"] = heart_rate_bpm(marks[:, 1, 1], 1.0)
        # Not wfdb alone: the gains in LUDB's headers are wrong, and the project's reader knows.
        ecg, chain = read_ecg(path), SignalChain()
        prepared = chain.apply(ecg.signal_mv, ecg.rate_hz)
        for rate, signal, hz in (
            ("500 Hz", ecg.signal_mv, ecg.rate_hz),
            ("100 Hz", prepared, chain.rate_hz),
        ):
            for name, found in measured_by_definition(signal, hz).items():
                row = {"record": int(path.stem), "rate": rate, "definition": name}
                rows += [
                    row | {"measurement": key, "marked": reference[key], "found": value}
                    for key, value in found.items()
                ]
    return pd.DataFrame(rows)


def measured_by_definition(signal: np.ndarray, rate_hz: float) -> dict[str, dict[str, float]]:
    """Return rate and intervals of one record, by the definition in use and by two others."""
    found = delineate(signal, rate_hz)
    peaks = found.r_peaks
    normal = measured_beats(signal, peaks, rate_hz).r_peaks
    relative = told_apart(found.points_seconds) - (peaks / rate_hz)[:, None, None]
    used = relative[np.isin(peaks, normal)].reshape(-1, 9)
    marks = median_where_found(used) if len(used) else np.full(9, np.nan)
    p_start, qrs_start, qrs_stop, t_stop = 1000.0 * marks[[0, 3, 5, 8]]
    lengths = (qrs_start - p_start, qrs_stop - qrs_start, t_stop - qrs_start)
    between = dict(zip(INTERVALS, lengths, strict=True))
    rate = {"heart_rate_bpm": heart_rate_bpm(peaks, rate_hz)}
    return {
        USED: rate | intervals_of(found.points_seconds, peaks, normal),
        ALL_BEATS: intervals_of(found.points_seconds, peaks, peaks),
        MARKS: between,
    }


def agreement(errors: pd.DataFrame) -> pd.DataFrame:
    """Return mean error, its spread and limits of agreement, a row a rate and measurement."""
    rows = []
    for (rate, key, name), part in errors.groupby(["rate", "measurement", "definition"]):
        is_marked = part["marked"].notna()
        error = (part["found"] - part["marked"]).dropna()
        mean, spread = error.mean(), error.std()
        low, high = mean - 1.96 * spread, mean + 1.96 * spread
        rows.append(
            {
                "rate": rate,
                "measurement": LABELS[key],
                "definition": name,
                "ECGs marked": int(is_marked.sum()),
                "measured": len(error),
                "median of the marks": f"{part.loc[is_marked, 'marked'].median():.0f}",
                "error, mean ± SD": f"{mean:+.1f} ± {spread:.1f}",
                "95 % limits of agreement": f"{low:+.0f} to {high:+.0f}",
                "median absolute error": f"{error.abs().median():.1f}",
            }
        )
    return pd.DataFrame(rows)


def ludb_words(folder: Path) -> pd.DataFrame:
    """Return the measured axis and rate under each of the cardiologist's words."""
    table = pd.read_csv(folder / "ludb.csv")
    names = [str(number) for number in table["ID"]]
    is_here = [(folder / "data" / f"{name}.dat").exists() for name in names]
    table, names = table[is_here], [n for n, here in zip(names, is_here, strict=True) if here]
    signals = [read_ecg(folder / "data" / f"{name}.hea").signal_mv for name in names]
    found = measure_ecgs(find_beats(np.stack(signals), 500.0))
    rows = []
    for column, measurement in (
        ("Electric axis of the heart", "qrs_axis_degrees"),
        ("Rhythms", "heart_rate_bpm"),
    ):
        words = table[column].fillna("").str.split("\n").str[0].str.strip()
        for word, part in found.groupby(words.to_numpy())[measurement]:
            rows.append(
                {
                    "the cardiologist's word": word.split(": ")[-1].rstrip(".") or "(none)",
                    "measurement": measurement,
                    "median (lowest to highest)": f"{part.median():.0f} ({part.min():.0f} to "
                    f"{part.max():.0f})",
                    "ECGs": int(part.notna().sum()),
                }
            )
    return pd.DataFrame(rows)


def in_order(record) -> np.ndarray:
    """Return a record's signal with the leads in the project's order."""
    names = [name.upper() for name in record.sig_name]
    return record.p_signal[:, [names.index(lead.upper()) for lead in LEADS]]


def main() -> None:
    """Print one line a figure and write the tables into the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--n-patients", type=int, default=150)
    parser.add_argument("--part", choices=("ludb", "ptbxl", "synthetic"), help="one part alone")
    options = parser.parse_args()
    parts = [options.part] if options.part else ["ludb", "ptbxl", "synthetic"]
    root, tables = Path(os.environ.get("ECG_DATA_ROOT", "")), {}
    if "ludb" in parts:
        errors = ludb_errors(root / "ludb")
        is_odd, is_used = errors["record"] % 2 == 1, errors["definition"] == USED
        tables["agreement"] = agreement(errors[~is_odd & is_used]).drop(columns="definition")
        is_interval = errors["measurement"] != "heart_rate_bpm"
        tables["definitions"] = agreement(errors[is_odd & is_interval])
        tables["words"] = ludb_words(root / "ludb")
    if "ptbxl" in parts:
        tables["statements"] = ptb_xl(root / "ptbxl_wfdb")
    if "synthetic" in parts:
        tables["synthetic"] = synthetic(options.n_patients)
    for name, table in tables.items():
        for row in table.to_dict("records"):
            print(f"figure {name}:", "; ".join(f"{key} {value}" for key, value in row.items()))
        PAGE.write_text(write_between(PAGE.read_text(), name, markdown(table)))


if __name__ == "__main__":
    main()
