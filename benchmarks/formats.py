"""Read every file of a folder of ECGs, say what is known of it, and draw it.

    python benchmarks/formats.py [FOLDER] [--output runs/formats]

FOLDER is by default ``formats`` below ECG_DATA_ROOT. One picture a file goes to the output; look at
the calibration, the R waves from V1 to V6, and aVR.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt

from data_processing.errors import ECGError
from data_processing.figures import plot_ecg
from data_processing.quality import assess_quality
from data_processing.readers import read_ecg
from data_processing.signals import SignalChain
from workflow.artifacts import PROJECT_ROOT


def main() -> None:
    """Print one line a file."""
    mpl.use("Agg")
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", default="")
    parser.add_argument("--output", default=str(PROJECT_ROOT / "runs" / "formats"))
    options = parser.parse_args()
    folder = Path(options.folder or Path(os.environ["ECG_DATA_ROOT"]) / "formats")
    output = Path(options.output)
    output.mkdir(parents=True, exist_ok=True)
    n_read = 0
    paths = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.suffix != ".md"]
    for number, path in enumerate(paths, 1):
        try:
            ecg = read_ecg(path)
        except ECGError as error:
            print(f"{number:3} {path.parent.name}: refused: {error}")
            continue
        n_read += 1
        seconds = len(ecg.signal_mv) / ecg.rate_hz
        quality = assess_quality(ecg.signal_mv, ecg.rate_hz)
        facts = [f"{ecg.source_format}, {ecg.rate_hz:g} Hz, {seconds:.1f} s"]
        facts += [f"{name} {level}" for name, level in ecg.proof.items()]
        facts += [f"index {quality.index:.2f}", *quality.findings, *ecg.notes, *ecg.suspicions]
        print(f"{number:3} {path.parent.name}: {'; '.join(facts)}")
        chain = SignalChain(250, min(10.0, seconds), low_cut_hz=0.05, high_cut_hz=100.0)
        signal = chain.apply(ecg.signal_mv, ecg.rate_hz)
        figure = plot_ecg(signal, rate_hz=250, title=f"{path.parent.name} {number}")
        figure.savefig(output / f"{number:02}_{path.parent.name}.png", dpi=80, bbox_inches="tight")
        plt.close(figure)
    print(f"figure files_read {n_read} of {len(paths)}")


if __name__ == "__main__":
    main()
