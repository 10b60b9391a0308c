"""Whether our measures of quality agree with PTB-XL's experts, and how often we flag an ECG.

    ECG_DATA_ROOT=... python benchmarks/quality.py

PTB-XL's table says by hand which leads drift or are noisy; how strongly, it does not say. Printed
is the probability that an ECG with the remark has the larger measure (0.5: no relation).
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from data_processing.quality import Quality, assess_quality
from data_processing.readers import read_ecg
from evaluation.discrimination import auroc

MEASURES = {
    "baseline_drift": ("wander", lambda quality: quality.by_lead["wander_mv"].max()),
    "static_noise": ("noise", lambda quality: np.median(quality.by_lead["noise_mv"])),
}


def main() -> None:
    """Print one line a figure."""
    root = Path(os.environ.get("ECG_DATA_ROOT", "")) / "ptbxl_wfdb"
    if not (root / "ptbxl_database.csv").exists():
        sys.exit("ECG_DATA_ROOT must hold ptbxl_wfdb.")
    table = pd.read_csv(root / "ptbxl_database.csv").set_index("ecg_id")
    found: dict[int, Quality] = {}
    for path in tqdm(sorted((root / "records500").rglob("*.hea")), desc="ECGs"):
        ecg = read_ecg(path)
        found[int(path.name[:5])] = assess_quality(ecg.signal_mv, ecg.rate_hz)
    print(f"figure records {len(found)} ECGs")
    for remark, (name, measure) in MEASURES.items():
        has_remark = table.loc[list(found), remark].notna().astype(int)
        values = [float(measure(quality)) for quality in found.values()]
        print(f"figure remarks_{remark} {has_remark.sum()} ECGs")
        print(f"figure agreement_{name}_with_{remark} {auroc(has_remark, values):.2f} 1")
    flagged = [bool(quality.findings) for quality in found.values()]
    print(f"figure share_flagged {np.mean(flagged):.2f} 1")
    print(f"figure median_index {np.median([q.index for q in found.values()]):.2f} 1")


if __name__ == "__main__":
    main()
