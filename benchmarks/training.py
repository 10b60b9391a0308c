"""Speed and memory of the 16.0 M-parameter ResNet-50 beside the same network in PyTorch.

    pip install -e ".[benchmarks]" && python benchmarks/training.py     # about 12 minutes, 2 cores

Each side runs in a process of its own; the processes take turns step by step, so that a busy
machine slows all alike. A step is a batch of 32 random ECGs: forward, backward and AdamW for
training; forward only for inference. PyTorch gets our weights, and its outputs must equal ours.
PyTorch's variants: `Conv1d`; `Conv2d` with the channels last; each compiled with `--compiled`; and
bfloat16 autocast. A variant whose first step takes 1.6 times as long as the quickest of its kind
gets no further ones. Ratios compare with the best of PyTorch's float32 and bfloat16 variants.

Medians of wall time and, for machines that others use too, of processor time. Where Keras runs on
JAX and a GPU is there (`KERAS_BACKEND=jax`), `--no-peer` prints our own figures alone; the share of
the matrix rate is then that of the GPU's own products (in the network's precision), in wall time.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from tqdm.auto import tqdm

OURS = "ours"
PEERS = ("torch_conv1d", "torch_channels_last", "torch_bfloat16")
COMPILED = ("torch_conv1d_compiled", "torch_channels_last_compiled")
SLOW = 1.6
TOLERANCE = 1e-3
WORKER = Path(__file__).with_name("training_worker.py")


class Side:
    """One process that waits for words (`train`, `infer`, ...) and answers each with a line."""

    def __init__(self, name: str, n_samples: int, folder: Path, n_threads: int) -> None:
        self.name = name
        names = ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")
        values = dict.fromkeys((*names, "MKL_NUM_THREADS"), str(n_threads))
        values |= {"TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONPATH": str(WORKER.parents[1])}
        path = os.pathsep.join(filter(None, (values["PYTHONPATH"], os.environ.get("PYTHONPATH"))))
        self.process = subprocess.Popen(
            [sys.executable, str(WORKER), name, str(n_samples), str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, **values, "PYTHONPATH": path},
            text=True,
        )
        self.about = self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.name} must answer, got nothing. Run its worker by hand.")
        return json.loads(line)

    def ask(self, word: str) -> dict[str, Any]:
        """Return the answer to a word."""
        assert self.process.stdin is not None
        self.process.stdin.write(word + "\n")
        self.process.stdin.flush()
        return self._answer()

    def close(self) -> None:
        """End the process."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


def in_turns(sides: list[Side], work: str, n_repeats: int) -> dict[str, list[dict[str, float]]]:
    """Return the timed steps of each side; slow variants of PyTorch stop after one."""
    taken: dict[str, list[dict[str, float]]] = {side.name: [] for side in sides}
    for side in sides:
        side.ask(work)  # traces, compiles and warms
    for repeat in tqdm(range(n_repeats), desc=f"{work}, turns"):
        for side in sides:
            first = [steps[0]["processor_s"] for steps in taken.values() if steps]
            is_slow = repeat and taken[side.name][0]["processor_s"] > SLOW * min(first)
            if side.name == OURS or not is_slow:
                taken[side.name].append(side.ask(work))
    return taken


def report(
    work: str, n_samples: int, taken: dict[str, list[dict[str, float]]], facts: dict[str, Any]
) -> None:
    """Print records a second of each side, its share of the matrix rate, and the ratios."""
    operations = facts["operations"] * (3 if work == "train" else 1)
    rates: dict[str, dict[str, float]] = {}
    for name, steps in taken.items():
        rates[name] = {
            unit: facts["batch"] / median(step[f"{unit}_s"] for step in steps)
            for unit in ("wall", "processor")
        }
        label = f"{work}_{n_samples}_{name}"
        share = rates[name][facts["unit"]] * operations / 1e9 / facts["gflops"]
        note = f"({len(steps)} steps)"
        print(f"figure {label} {rates[name]['wall']:.2f} records/s {note}")
        print(f"figure {label}_a_processor_second {rates[name]['processor']:.2f} records/s {note}")
        print(f"figure {label}_share_of_matrix_rate {share:.2f} of {facts['gflops']:.0f} GFLOP/s")
    peers = {name: rate for name, rate in rates.items() if name != OURS}
    for unit, suffix in (("wall", ""), ("processor", "_processor_time")) if peers else ():
        best = max(peers, key=lambda name: peers[name][unit])
        ratio = rates[OURS][unit] / peers[best][unit]
        print(f"figure ratio_{work}_{n_samples}{suffix}_vs_pytorch {ratio:.2f} (best: {best})")


def run_length(options: argparse.Namespace, n_samples: int) -> None:
    """Measure all sides at one length of ECG."""
    names = [] if options.no_peer else [*PEERS, *(COMPILED if options.compiled else ())]
    with tempfile.TemporaryDirectory() as folder:
        ours = Side(OURS, n_samples, Path(folder), options.threads)
        sides = [ours]
        try:
            sides += [Side(name, n_samples, Path(folder), options.threads) for name in names]
            expected = np.array(ours.about["logits"])
            for side in sides[1:]:
                difference = float(np.abs(np.array(side.about["logits"]) - expected).max())
                print(f"figure difference_{n_samples}_{side.name} {difference:.1e} of the logit")
                if difference > TOLERANCE * max(1.0, float(np.abs(expected).max())):
                    raise SystemExit(f"{side.name} must be our network, but its outputs differ.")
            rates = [side.ask("matrix")["gflops"] for side in sides for _ in range(3)]
            batch, operations = ours.about["batch"], ours.about["operations"]
            facts = {"gflops": max(rates), "batch": batch, "operations": operations}
            facts["unit"] = ours.about["unit"]
            for work in ("infer", "train"):
                report(work, n_samples, in_turns(sides, work, options.n_repeats), facts)
            for side in sides:
                peak = side.ask("memory")["peak_mb"]
                print(f"figure memory_{n_samples}_{side.name} {peak:.0f} MB at most")
        finally:
            for side in sides:
                side.close()


def main() -> None:
    """Print one line a figure."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--lengths", type=int, nargs="+", default=[1000, 2500, 5000])
    parser.add_argument("--n-repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--compiled", action="store_true", help="torch.compile too; minutes more")
    parser.add_argument("--no-peer", action="store_true", help="our own figures alone")
    options = parser.parse_args()
    load = os.getloadavg()[0]
    print(f"figure load_average {load:.1f} processes ({options.threads} threads a side)")
    for n_samples in options.lengths:
        run_length(options, n_samples)


if __name__ == "__main__":
    main()
