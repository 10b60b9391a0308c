"""Read thousands of damaged ECG files: each must be refused in plain words, or read.

    ECG_DATA_ROOT=... python benchmarks/fuzz_readers.py [--n-files 10000]

Genuine files (the folder ``formats`` and the datasets below ECG_DATA_ROOT, where they are) and
files written here from a simulated ECG are truncated, get flipped bits, swapped, lost or repeated
blocks, absurd numbers in their text, or hostile XML. Each is read in a process that may take two
seconds a file and 256 MiB more than it has. What is accepted is compared with the undamaged file:
where no checksum covers the samples, a flipped bit in them cannot be found by any reader.

Exits with 1 if a reader crashed, hung, ran out of memory, raised anything but its refusal, or named
a file.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import re
import resource
import shutil
import signal
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import scipy.io
import wfdb
from tqdm.auto import tqdm

from data_processing.declared import DeclaredSignal
from data_processing.errors import ECGError
from data_processing.leads import LEADS
from data_processing.readers import read_ecg

LIMIT_SECONDS = 2.0
LIMIT_BYTES = 1 << 28
DECLARED = DeclaredSignal(unit="mV", rate_hz=500.0, leads=LEADS)
NAME = "SECRETNAME"  # part of every path: no message may repeat it
_ABSURD = (b"-1", b"0", b"1e308", b"nan", b"2147483647", b"99999999999999999999", b"-0.5", b"")
_BOMB = b"""<!DOCTYPE a [<!ENTITY b "0123456789">%s]>"""
_NESTED = b"".join(b'<!ENTITY c%d "%s">' % (k, b"&b;" * 10) for k in range(20))
_EXTERNAL = b'<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/hostname">]>'


@dataclass(frozen=True)
class Original:
    """A whole file, and how it is read."""

    label: str
    path: Path
    record: str = ""


def originals(folder: Path, data_root: str) -> list[Original]:
    """Return genuine files, and one of each general format made from a simulated ECG."""
    found = _written(folder)
    root = Path(data_root) if data_root else folder / "none"
    for path in sorted((root / "formats").rglob("*")):
        if path.is_file() and path.suffix.lower() not in (".md", ".pdf"):
            found.append(Original(path.parent.name, path))
    for name in ("ptbxl_wfdb/records500", "ludb", "challenge2021", "code15"):
        headers = sorted((root / name).rglob("*.hea"))[:2]
        found += [Original(name.split("/")[0], path) for path in headers]
    return [item for item in found if _reading(item)[0] == "read"]


def _written(folder: Path) -> list[Original]:
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    time_s = np.arange(2500) / 500.0
    beat = np.exp(-(((time_s[:, None] % 0.8) - 0.4) ** 2) / 2e-4)
    limb = beat * rng.uniform(0.3, 1.2, 2) + 0.01 * rng.standard_normal((2500, 2))
    one, two = limb.T
    frontal = np.stack([one, two, two - one, -(one + two) / 2, one - two / 2, two - one / 2], 1)
    chest = beat * rng.uniform(-1, 1.5, 6) + 0.01 * rng.standard_normal((2500, 6))
    ecg = np.concatenate([frontal, chest], axis=1)
    np.save(folder / "a.npy", ecg)
    np.savez_compressed(folder / "a.npz", signal=ecg, rate_hz=500.0, unit="mV", leads=LEADS)
    frame = pd.DataFrame(ecg, columns=[f"{lead} (mV)" for lead in LEADS])
    frame.insert(0, "time (s)", time_s)
    frame.to_csv(folder / "a.csv", index=False)
    scipy.io.savemat(folder / "a.mat", {"ecg": ecg})
    with h5py.File(folder / "a.hdf5", "w") as file:
        padded = np.zeros((3, 4096, 12), dtype=np.float32)
        padded[:, 200:2700] = ecg * 10
        file["exam_id"], file["tracings"] = np.arange(3), padded
    for form in ("16", "212", "80"):
        wfdb.wrsamp(
            f"w{form}",
            500,
            ["mV"] * 12,
            list(LEADS),
            ecg,
            fmt=[form] * 12,
            write_dir=str(folder),
            adc_gain=[50.0 if form == "80" else 500.0] * 12,
            baseline=[0] * 12,
        )
    made = [Original("hdf5 (CODE)", folder / "a.hdf5", "1")]
    made += [
        Original(f"{suffix} (written)", folder / f"a.{suffix}")
        for suffix in ("npy", "npz", "csv", "mat")
    ]
    return made + [
        Original("wfdb (written)", folder / f"w{form}.hea") for form in ("16", "212", "80")
    ]


def damaged(content: bytes, rng: np.random.Generator) -> bytes:
    """Return a file's bytes with one kind of damage."""
    kinds: list[Callable[[bytes, np.random.Generator], bytes]] = [
        _truncate,
        _flip_bits,
        _swap_blocks,
        _lose_block,
        _repeat_block,
        _blank_block,
        _absurd,
    ]
    if content[:200].lstrip(b"\xef\xbb\xbf \r\n\t").startswith(b"<"):
        kinds += [_hostile_xml]
    return kinds[rng.integers(len(kinds))](content, rng)


def _block(content: bytes, rng: np.random.Generator) -> tuple[int, int]:
    start = int(rng.integers(len(content)))
    if rng.random() < 0.5:  # headers are small and matter most
        start = int(rng.integers(min(len(content), 2048)))
    return start, min(len(content), start + int(2 ** rng.uniform(0, 12)))


def _truncate(content: bytes, rng: np.random.Generator) -> bytes:
    return content[: _block(content, rng)[0]]


def _flip_bits(content: bytes, rng: np.random.Generator) -> bytes:
    out = bytearray(content)
    for _ in range(int(2 ** rng.uniform(0, 6))):
        out[_block(content, rng)[0]] ^= 1 << int(rng.integers(8))
    return bytes(out)


def _swap_blocks(content: bytes, rng: np.random.Generator) -> bytes:
    start, stop = _block(content, rng)
    return content[:start] + content[start:stop][::-1] + content[stop:]


def _lose_block(content: bytes, rng: np.random.Generator) -> bytes:
    start, stop = _block(content, rng)
    return content[:start] + content[stop:]


def _repeat_block(content: bytes, rng: np.random.Generator) -> bytes:
    start, stop = _block(content, rng)
    return content[:stop] + content[start:stop] * int(rng.integers(1, 4)) + content[stop:]


def _blank_block(content: bytes, rng: np.random.Generator) -> bytes:
    start, stop = _block(content, rng)
    fill = bytes([int(rng.choice([0, 255, 32]))])
    return content[:start] + fill * (stop - start) + content[stop:]


def _absurd(content: bytes, rng: np.random.Generator) -> bytes:
    """Put an absurd number where the text, or four bytes of a header, hold one."""
    numbers = list(re.finditer(rb"-?\d+(\.\d+)?", content[:200_000]))
    if rng.random() < 0.5 and numbers:
        found = numbers[int(rng.integers(min(len(numbers), 200)))]
        chosen = _ABSURD[int(rng.integers(len(_ABSURD)))]
        return content[: found.start()] + chosen + content[found.end() :]
    start = _block(content, rng)[0]
    size = int(rng.choice([2, 4, 8]))
    return content[:start] + b"\xff" * (size - 1) + b"\x7f" + content[start + size :]


def _hostile_xml(content: bytes, rng: np.random.Generator) -> bytes:
    start = content.find(b"<", content.find(b"?>") + 1)
    doctype = [_BOMB % _NESTED, _EXTERNAL][int(rng.integers(2))]
    text = content[start:].replace(b">", b">&c19;" if b"c19" in doctype else b">&b;", 3)
    return content[:start] + doctype + text


def _reading(item: Original) -> tuple[str, Any]:
    """Return what became of a file: ``read`` with its samples, ``refused``, or a fault."""
    try:
        ecg = read_ecg(item.path, record=item.record, declared=DECLARED)
    except ECGError as error:
        return ("named the file", "") if NAME in str(error) else ("refused", str(error))
    except MemoryError:
        return "out of memory", ""
    except TimeoutError:
        return "over two seconds", ""
    except Exception as error:  # noqa: BLE001  (any other exception is what is looked for)
        return f"raised {type(error).__name__}", ""
    return "read", ecg.signal_mv


def _alarm(*_: object) -> None:
    raise TimeoutError


def _copy_of(item: Original, folder: Path, rng: np.random.Generator) -> Original:
    """Write a damaged copy, with its companion for WFDB, and return how to read it."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    files = [item.path]
    if item.path.suffix == ".hea":
        stem = item.path.with_suffix("")
        files += [stem.with_suffix(s) for s in (".dat", ".mat") if stem.with_suffix(s).exists()]
    spoilt = int(rng.integers(len(files)))
    for number, path in enumerate(files):
        content = path.read_bytes()
        (folder / path.name).write_bytes(damaged(content, rng) if number == spoilt else content)
    return Original(item.label, folder / item.path.name, item.record)


def _work(item: Original, seeds: list[int], folder: Path, results: Path) -> None:
    """Read damaged copies one after another; each is announced before it is read."""
    warnings.simplefilter("error")
    signal.signal(signal.SIGALRM, _alarm)
    whole = _reading(item)[1]
    resource.setrlimit(resource.RLIMIT_AS, (_address_space() + LIMIT_BYTES,) * 2)
    with results.open("a", encoding="utf-8") as log:
        for seed in seeds:
            copy = _copy_of(item, folder / NAME, np.random.default_rng(seed))
            log.write(json.dumps({"seed": seed}) + "\n")
            log.flush()
            begin = time.perf_counter()
            signal.setitimer(signal.ITIMER_REAL, LIMIT_SECONDS)
            outcome, content = _reading(copy)
            signal.setitimer(signal.ITIMER_REAL, 0)
            if outcome == "read":
                same = content.shape == whole.shape and np.array_equal(content, whole)
                outcome = "read, unchanged" if same else "read, changed"
            seconds = time.perf_counter() - begin
            log.write(json.dumps({"seed": seed, "outcome": outcome, "seconds": seconds}) + "\n")


def _address_space() -> int:
    pages = Path("/proc/self/statm").read_text().split()[0]
    return int(pages) * resource.getpagesize()


def fuzz(item: Original, seeds: list[int], folder: Path) -> list[dict[str, Any]]:
    """Return one outcome a damaged copy; a process that dies is an outcome too."""
    results = folder / "results.jsonl"
    results.unlink(missing_ok=True)
    done: list[dict[str, Any]] = []
    while len(done) < len(seeds):
        process = multiprocessing.get_context("spawn").Process(
            target=_work, args=(item, seeds[len(done) :], folder, results)
        )
        process.start()
        while process.is_alive():
            process.join(10 * LIMIT_SECONDS)
            if process.is_alive() and time.time() - results.stat().st_mtime > 10 * LIMIT_SECONDS:
                process.kill()  # hangs where no signal reaches it
        lines = [json.loads(line) for line in results.read_text().splitlines()]
        done = [line for line in lines if "outcome" in line]
        announced = [line for line in lines if set(line) == {"seed"}]
        if len(announced) > len(done):
            code = "hung" if process.exitcode == -signal.SIGKILL else "crashed"
            entry = {"seed": announced[-1]["seed"], "outcome": code, "seconds": 0.0}
            with results.open("a", encoding="utf-8") as log:
                log.write(json.dumps(entry) + "\n")
            done.append(entry)
    return done


def main() -> None:
    """Print the outcomes by format, and each fault with the seed that repeats it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--n-files", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="label of one format")
    options = parser.parse_args()
    counts: dict[str, Counter[str]] = {}
    slowest = 0.0
    faults = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        items = originals(folder / "whole", os.environ.get("ECG_DATA_ROOT", ""))
        items = [item for item in items if options.only in ("", item.label)]
        n_each = -(-options.n_files // len(items))
        for number, item in enumerate(tqdm(items, desc="files")):
            first = options.seed + number * n_each
            for row in fuzz(item, list(range(first, first + n_each)), folder):
                counts.setdefault(item.label, Counter())[row["outcome"]] += 1
                slowest = max(slowest, row["seconds"])
                if row["outcome"] not in ("refused", "read, unchanged", "read, changed"):
                    faults.append(
                        f"{item.label} ({item.path.name}) seed {row['seed']}: {row['outcome']}"
                    )
    table = pd.DataFrame(counts).T.fillna(0).astype(int).sort_index()
    print(table.assign(files=table.sum(axis=1)).to_string())
    print(f"figure damaged_files {int(table.to_numpy().sum())} files")
    for outcome, total in table.sum().items():
        print(f"figure {str(outcome).replace(', ', '_').replace(' ', '_')} {total} files")
    print(f"figure slowest {slowest:.2f} s")
    print("\n".join(faults))
    sys.exit(bool(faults))


if __name__ == "__main__":
    main()
