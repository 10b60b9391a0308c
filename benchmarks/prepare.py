"""What preparing an ECG costs, against plain one-record-at-a-time code; and how memory grows.

    python benchmarks/prepare.py [--sizes 1000 10000 100000]

The ECGs are simulated (500 Hz, 10 s, WFDB) and listed again and again for the larger sizes, so
files come from the page cache. Time is processor time of one core, the peers in turns:

* ``scipy``: wfdb, then scipy's Butterworth filter (filtfilt) and resample, lead by lead; no check;
* ``neurokit2``: wfdb, then neurokit2's signal_filter, signal_resample and ecg_quality (zhao2018),
  lead by lead: it does about what we do, without the proof of unit and leads.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from statistics import median

import h5py
import neurokit2
import numpy as np
import pandas as pd
import wfdb
from scipy.signal import butter, filtfilt, resample
from tqdm.auto import tqdm

from data_processing.preparation import prepare_one, prepare_signals
from data_processing.signals import SignalChain
from data_processing.synthetic import SyntheticSettings, write_hospital_folder

CHAIN = SignalChain()
BATCH_RECORDS = 32


def with_scipy(path: Path) -> np.ndarray:
    """Read, filter and resample as a short script would."""
    record = wfdb.rdrecord(str(path.with_suffix("")))
    b, a = butter(2, [0.5, 40.0], "bandpass", fs=record.fs)
    leads = [resample(filtfilt(b, a, lead), 1000) for lead in record.p_signal.T]
    return np.stack(leads, axis=1)


def with_neurokit(path: Path) -> np.ndarray:
    """Read, filter, resample and assess with neurokit2, lead by lead."""
    record = wfdb.rdrecord(str(path.with_suffix("")))
    leads = []
    for lead in record.p_signal.T:
        clean = neurokit2.signal_filter(
            lead, sampling_rate=record.fs, lowcut=0.5, highcut=40, method="butterworth", order=2
        )
        neurokit2.ecg_quality(clean, sampling_rate=record.fs, method="zhao2018")
        leads.append(
            neurokit2.signal_resample(
                clean, sampling_rate=record.fs, desired_sampling_rate=100, method="poly"
            )
        )
    return np.stack(leads, axis=1)


def cpu_seconds(work: Callable[[], object]) -> float:
    """Return the processor time of a call."""
    begin = time.process_time()
    work()
    return time.process_time() - begin


def print_speed(paths: list[Path]) -> None:
    """Time ourselves and the peers in turns on the same records."""
    works: dict[str, Callable[[Path], object]] = {
        "ours": lambda path: prepare_one(path, CHAIN),
        "scipy": with_scipy,
        "neurokit2": with_neurokit,
    }
    taken: dict[str, list[float]] = {name: [] for name in works}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # neurokit2 warns of leads without R peaks
        for work in works.values():
            work(paths[0])
        for path in tqdm(paths, desc="records"):
            for name, work in works.items():
                taken[name].append(cpu_seconds(lambda w=work, p=path: w(p)))
    ours = median(taken["ours"])
    for name, seconds in taken.items():
        print(f"figure records_per_second_and_core_{name} {1 / median(seconds):.1f} 1/s")
    for name in ("scipy", "neurokit2"):
        print(f"figure ratio_prepare_vs_{name} {median(taken[name]) / ours:.2f} times")


def print_reading(directory: Path, n_records: int = 2000) -> None:
    """Time random batches from the store against the same rows in HDF5."""
    store = np.load(directory / "signals.npy", mmap_mode="r")[:n_records]
    rng = np.random.default_rng(0)
    batches = [np.sort(rng.choice(len(store), BATCH_RECORDS, replace=False)) for _ in range(200)]
    with h5py.File(directory / "peer.h5", "w") as file:
        file.create_dataset("plain", data=store)
        file.create_dataset("gzip", data=store, chunks=(1, *store.shape[1:]), compression="gzip")
    with h5py.File(directory / "peer.h5") as file:
        sources = {"ours": store, "hdf5": file["plain"], "hdf5_gzip": file["gzip"]}
        taken: dict[str, list[float]] = {name: [] for name in sources}
        for batch in batches:
            for name, source in sources.items():
                taken[name].append(cpu_seconds(lambda s=source, b=batch: np.asarray(s[b])))
    print(f"figure batch_of_{BATCH_RECORDS} {1e6 * median(taken['ours']):.0f} us")
    for name in ("hdf5", "hdf5_gzip"):
        ratio = median(taken[name]) / median(taken["ours"])
        print(f"figure ratio_batch_vs_{name} {ratio:.1f} times")


def table_of(paths: list[Path], n_records: int) -> pd.DataFrame:
    """Return a table of so many ECGs; files repeat."""
    return pd.DataFrame(
        {
            "record_id": [f"R{k:06d}" for k in range(n_records)],
            "patient_id": "P1",
            "recorded_at": pd.NaT,
            "table_row": np.arange(n_records),
            "path": [str(paths[k % len(paths)]) for k in range(n_records)],
            "record": "",
        }
    )


def prepare_size(folder: Path, n_records: int) -> dict[str, float]:
    """Prepare so many ECGs in this process and its workers; return seconds and peak memory."""
    import resource  # not on Windows

    paths = sorted((folder / "hospital").rglob("*.hea"))
    table = table_of(paths, n_records)
    begin = time.perf_counter()
    with tqdm(total=n_records, desc=f"{n_records} ECGs") as bar:
        records, _, _ = prepare_signals(
            table, CHAIN, folder / "store", progress=lambda done, _: bar.update(done - bar.n)
        )
    seconds = time.perf_counter() - begin
    usage = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    parent, workers = (use.ru_maxrss / 1024 for use in usage)
    return {"n": len(records), "seconds": seconds, "parent": parent, "worker": workers}


def main() -> None:
    """Print one line a figure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="*", default=[1000, 10_000, 100_000])
    parser.add_argument("--n-timed", type=int, default=60)
    parser.add_argument("--one-size", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one_size:
        print(json.dumps(prepare_size(Path(options.one_size[0]), int(options.one_size[1]))))
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_hospital_folder(folder / "hospital", SyntheticSettings(n_patients=100, seed=0))
        print_speed(sorted((folder / "hospital").rglob("*.hea"))[: options.n_timed])
        for size in options.sizes:
            command = [sys.executable, __file__, "--one-size", name, str(size)]
            out = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
            found = json.loads(out)
            print(f"figure records_per_second_{size} {size / found['seconds']:.0f} 1/s")
            print(f"figure peak_memory_{size} {found['parent']:.0f} MiB")
            print(f"figure peak_memory_worker_{size} {found['worker']:.0f} MiB")
        print_reading(folder / "store")


if __name__ == "__main__":
    main()
