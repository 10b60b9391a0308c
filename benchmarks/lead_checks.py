"""How often exchanged electrodes are suspected: where they are exchanged, and where they are not.

    ECG_DATA_ROOT=... python benchmarks/lead_checks.py

Electrodes are exchanged by computation in the public ECGs that are there; as they come, they count
as right, though some may not be. Prints the coefficients of ``CHEST_TO_LIMB`` as fitted on PTB-XL,
and of PTB-XL the figures of coefficients fitted on the other half.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
from tqdm.auto import tqdm

from data_processing import lead_checks
from data_processing.errors import ECGError
from data_processing.heart_beats import block_means
from data_processing.lead_checks import EXCHANGES, suspected_electrodes
from data_processing.leads import derive_limb_leads
from data_processing.readers import read_ecg
from data_processing.signals import ECG

DATASETS = {
    "ptbxl": "ptbxl_wfdb/records100",
    "brugada_huca": "brugada_huca",
    "challenge2021": "challenge2021",
    "ludb": "ludb",
}


def fitted(ecgs: list[ECG]) -> np.ndarray:
    """Return leads I and II from V1 to V6 by least squares, each ECG with the same power."""
    chest, limb = [], []
    for ecg in ecgs:
        steps = lead_checks._steps(block_means(ecg.signal_mv, ecg.rate_hz)[0])
        steps /= np.sqrt((steps[:, [0, 1, *range(6, 12)]] ** 2).mean())
        chest.append(steps[:, 6:])
        limb.append(steps[:, :2])
    return np.linalg.lstsq(np.concatenate(chest), np.concatenate(limb), rcond=None)[0]


def exchanged(ecg: ECG, name: str) -> np.ndarray:
    """Return the signal as it would be with the electrodes exchanged."""
    signal = ecg.signal_mv.astype(np.float64)
    signal[:, :2] = signal[:, :2] @ np.linalg.inv(EXCHANGES[name]).T
    derive_limb_leads(signal, stored=("I", "II"))
    return signal


def share_suspected(ecgs: list[ECG], name: str = "") -> float:
    """Return the share of ECGs that are suspected, as they are or exchanged."""
    found = [
        bool(suspected_electrodes(exchanged(ecg, name) if name else ecg.signal_mv, ecg.rate_hz))
        for ecg in ecgs
    ]
    return float(np.mean(found))


def main() -> None:
    """Print one line a figure."""
    root = Path(os.environ.get("ECG_DATA_ROOT", ""))
    if not os.environ.get("ECG_DATA_ROOT") or not root.is_dir():
        sys.exit("ECG_DATA_ROOT must be the folder of public datasets.")
    kept = lead_checks.CHEST_TO_LIMB
    for dataset, folder in DATASETS.items():
        ecgs = []
        for path in tqdm(sorted((root / folder).rglob("*.hea")), desc=dataset):
            try:
                ecgs.append(read_ecg(path))
            except ECGError:
                continue
        if not ecgs:
            continue
        if dataset == "ptbxl":
            print(np.array2string(fitted(ecgs), precision=3, suppress_small=True))
            lead_checks.CHEST_TO_LIMB = fitted(ecgs[::2])
            ecgs = ecgs[1::2]
        print(f"figure {dataset}_records {len(ecgs)} ECGs")
        print(f"figure {dataset}_suspected {share_suspected(ecgs):.4f} 1")
        for name in EXCHANGES:
            label = name.replace(" ", "_").replace(",", "")
            print(f"figure {dataset}_found_{label} {share_suspected(ecgs, name):.3f} 1")
        lead_checks.CHEST_TO_LIMB = kept


if __name__ == "__main__":
    main()
