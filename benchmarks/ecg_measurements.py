"""ECG measurements against known truth: the synthetic generator and cardiologists' statements.

    python benchmarks/ecg_measurements.py                   # needs ECG_DATA_ROOT for the real ones

SYNTHETIC: heart rate, PR, QT, T wave of V5 and the number of premature beats against what was
drawn. PTB-XL (original millivolts): measurements
of ECGs with and without a statement that the measurement should follow (AUROC; 0.5: it knows
nothing of it). LUDB: axis and rate against the cardiologist's words.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import numpy as np
import pandas as pd
import wfdb
from scipy.stats import spearmanr
from sklearn.metrics import roc_auc_score

from data_processing.leads import LEADS
from data_processing.synthetic import SyntheticSettings, simulate_ecgs, simulate_patients
from data_processing.synthetic_heart import draw_hearts
from explainability.ecg_measurements import measure_ecgs, measured_counts
from explainability.record_beats import find_beats
from explainability.wave_replacement import INDEPENDENT

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


def synthetic(n_patients: int) -> None:
    """Print errors and correlations against the generator's truth, at 100 and 500 Hz."""
    for rate_hz in (100, 500):
        settings = SyntheticSettings(n_patients=n_patients, rate_hz=rate_hz, seed=11)
        patients = simulate_patients(settings)
        ecg, truth = simulate_ecgs(patients, settings)
        found = measure_ecgs(find_beats(ecg, rate_hz))
        sinus = ~truth["is_fibrillating"].to_numpy(dtype=bool)
        n_ectopic = np.array([np.sum(flags) for flags in truth["is_ectopic"]])
        hearts = draw_hearts(patients.assign(ecg_number=0), settings.seed)
        t_v5 = hearts.leads_mv[:, INDEPENDENT.index("V5"), hearts.is_t][:, 1:].sum(axis=1)
        error = (found["heart_rate_bpm"] - truth["heart_rate_bpm"])[sinus].abs()
        print(
            f"figure synthetic_rate_error_{rate_hz}hz {error.median():.2f} beats a minute (median)"
        )
        for name, measured, drawn in (
            ("premature_beats", found["n_premature_beats"], n_ectopic),
            ("t_v5", found["t_v5_mv"], t_v5),
            ("pr", found["pr_ms"], hearts.record["pr_shift_seconds"]),
            ("qt", found["qt_ms"], hearts.record["qt_seconds"]),
        ):
            known = sinus & measured.notna().to_numpy()
            rho = spearmanr(measured[known], np.asarray(drawn)[known]).statistic
            print(f"figure synthetic_{name}_{rate_hz}hz {rho:.2f} Spearman (n = {known.sum()})")
        wide = truth["has_left_bundle"].to_numpy(dtype=bool)
        qrs = found["qrs_ms"]
        print(
            f"figure synthetic_qrs_{rate_hz}hz {qrs[~wide].median():.0f} ms narrow, "
            f"{qrs[wide].median():.0f} ms left bundle"
        )
        missing = measured_counts(found).set_index("measurement")["n_missing"]
        print(f"missing of {len(found)} at {rate_hz} Hz: {missing[missing > 0].to_dict()}")


def ptb_xl(folder: Path) -> None:
    """Print how each measurement parts ECGs with and without its statement."""
    table = pd.read_csv(folder / "ptbxl_database.csv")
    table = table[[(folder / f"{name}.dat").exists() for name in table["filename_lr"]]]
    signals = [wfdb.rdrecord(str(folder / name)) for name in table["filename_lr"]]
    ecg = np.stack([in_order(record) for record in signals])
    found = measure_ecgs(find_beats(ecg, 100.0))
    words = table["scp_codes"].to_list()
    for statement, measurement, side in STATEMENTS:
        has = np.array([f"'{statement}'" in text for text in words])
        known = found[measurement].notna().to_numpy()
        if min((has & known).sum(), (~has & known).sum()) < FEWEST:
            continue
        area = roc_auc_score(has[known], side * found.loc[known, measurement])
        print(
            f"figure ptbxl_{statement}_{measurement} {area:.2f} AUROC ({(has & known).sum()} with, "
            f"{(~has & known).sum()} without, {(~known).sum()} not measured)"
        )


def ludb(folder: Path) -> None:
    """Print the measured axis and rate under each of the cardiologist's words."""
    table = pd.read_csv(folder / "ludb.csv")
    names = [str(number) for number in table["ID"]]
    is_here = [(folder / "data" / f"{name}.dat").exists() for name in names]
    table, names = table[is_here], [n for n, here in zip(names, is_here, strict=True) if here]
    records = [wfdb.rdrecord(str(folder / "data" / name)) for name in names]
    found = measure_ecgs(find_beats(np.stack([in_order(r) for r in records]), 500.0))
    for column, measurement in (
        ("Electric axis of the heart", "qrs_axis_degrees"),
        ("Rhythms", "heart_rate_bpm"),
    ):
        words = table[column].fillna("").str.split("\n").str[0].str.strip()
        for word, part in found.groupby(words.to_numpy())[measurement]:
            short = word.split(": ")[-1].replace(" ", "_")
            print(
                f"figure ludb_{measurement}_{short} {part.median():.0f} "
                f"({part.min():.0f} to {part.max():.0f}; n = {part.notna().sum()})"
            )


def in_order(record) -> np.ndarray:
    """Return a record's signal with the leads in the project's order."""
    names = [name.upper() for name in record.sig_name]
    return record.p_signal[:, [names.index(lead.upper()) for lead in LEADS]]


def main() -> None:
    """Run what can be run here."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--n-patients", type=int, default=150)
    options = parser.parse_args()
    synthetic(options.n_patients)
    root = os.environ.get("ECG_DATA_ROOT")
    if root:
        ptb_xl(Path(root) / "ptbxl_wfdb")
        ludb(Path(root) / "ludb")


if __name__ == "__main__":
    main()
