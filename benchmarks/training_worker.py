"""One side of `benchmarks/training.py`: reads words from standard input, answers in JSON lines.

python benchmarks/training_worker.py ours 1000 FOLDER      # writes the weights there
python benchmarks/training_worker.py torch_conv1d 1000 FOLDER
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

BATCH = 32
N_CHECKED = 4
N_MATRIX = 2048
N_MATRIX_GPU = 8192  # long enough that starting the product does not count


def ecgs(n_samples: int) -> tuple[np.ndarray, np.ndarray]:
    """Return random ECGs (batch, n_samples, 12) and outcomes (batch, 1)."""
    rng = np.random.default_rng(0)
    signals = rng.normal(size=(BATCH, n_samples, 12)).astype("float32")
    return signals, (rng.random((BATCH, 1)) < 0.3).astype("float32")


def timed(work: Callable[[], object]) -> dict[str, float]:
    """Return wall and processor seconds of a call."""
    begin, begin_cpu = time.perf_counter(), time.process_time()
    work()
    cpu = time.process_time() - begin_cpu
    return {"wall_s": time.perf_counter() - begin, "processor_s": cpu}


def multiplied(
    product: Callable[[], object], *, n: int = N_MATRIX, unit: str = "processor"
) -> dict[str, float]:
    """Return the rate of a product of n x n matrices a processor (or wall) second, in GFLOP/s."""
    product()
    seconds = min(timed(product)[f"{unit}_s"] for _ in range(3))
    return {"gflops": 2e-9 * n**3 / seconds}


def gpu_product(dtype: str) -> Callable[[], object]:
    """Return a product of matrices by Keras' back end, which ends when its result is there."""
    from keras import ops

    values = np.random.default_rng(0).normal(size=(N_MATRIX_GPU, N_MATRIX_GPU))
    a = ops.cast(ops.convert_to_tensor(values.astype("float32")), dtype)
    return lambda: float(np.asarray(ops.sum(ops.cast(ops.matmul(a, a)[:1, :1], "float32"))))  # pyright: ignore[reportOptionalSubscript]


def our_side(n_samples: int, folder: Path) -> tuple[dict[str, Any], dict[str, Callable]]:
    """Return facts and works of our path: the trainer's own batches, step and scores."""
    import keras
    import pandas as pd

    from models_training.inputs import TrainingData
    from models_training.settings import TrainingSettings
    from models_training.training import NetworkTrainer

    signals, y_true = ecgs(n_samples)
    ids = [str(number) for number in range(BATCH)]
    records = pd.DataFrame({"record_id": ids, "patient_id": ids, "signal_row": range(BATCH)})
    patients = pd.DataFrame({"patient_id": ids, "outcome": y_true[:, 0]})
    data = TrainingData(signals, records, patients, pd.DataFrame(index=range(BATCH)))
    trainer = NetworkTrainer(data, TrainingSettings(batch_size=BATCH))
    rng, rows = np.random.default_rng(1), np.arange(BATCH)
    weights = {}
    for layer in trainer.network.layers:
        for weight in layer.weights:
            # Blocks start as their shortcut (a gain of 0): the check needs all weights to matter.
            value = np.asarray(weight)
            if weight.name == "gamma":
                value = rng.uniform(0.2, 0.4, value.shape).astype("float32")
                weight.assign(value)
            weights[f"{layer.name}/{weight.name}"] = value
    np.savez(folder / "weights.npz", **weights)
    batch_weights = np.ones(BATCH, "float32")

    def train() -> None:
        inputs, targets = data.inputs(rows), y_true
        trainer.network.reset_metrics()
        loss: Any = trainer.network.train_on_batch(inputs, targets, sample_weight=batch_weights)
        np.asarray(loss)

    products = {
        keras.layers.Dense: lambda layer: np.prod(layer.kernel.shape),
        keras.layers.Conv1D: lambda layer: np.prod(layer.kernel.shape),
    }
    operations = 0.0
    for layer in trainer.network.layers:
        for kind, size in products.items():
            if isinstance(layer, kind):
                n_times = layer.output.shape[1] if len(layer.output.shape) == 3 else 1
                operations += 2.0 * float(size(layer)) * n_times
    logits = trainer.logits(rows[:N_CHECKED])[:, 0].tolist()
    a, b = np.random.default_rng(0).normal(size=(2, N_MATRIX, N_MATRIX)).astype("float32")
    works = {"train": lambda: timed(train), "infer": lambda: timed(lambda: trainer.logits(rows))}
    works["matrix"] = lambda: multiplied(lambda: a @ b)
    # A processor's seconds say nothing of a graphics card's work.
    is_on_gpu = any("gpu" in name.lower() for name in keras.distribution.list_devices())
    unit = "wall" if is_on_gpu else "processor"
    if is_on_gpu:
        product = gpu_product("bfloat16" if "bfloat16" in trainer.precision else "float32")
        works["matrix"] = lambda: multiplied(product, n=N_MATRIX_GPU, unit=unit)
    return {"logits": logits, "batch": BATCH, "operations": operations, "unit": unit}, works


def torch_side(
    name: str, n_samples: int, folder: Path
) -> tuple[dict[str, Any], dict[str, Callable]]:
    """Return facts and works of a PyTorch variant."""
    import torch
    from torch_resnet import TorchResNet50, copy_weights, training_step

    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    as_2d, autocast = "channels_last" in name, "bfloat16" in name
    network: Any = TorchResNet50(as_2d=as_2d)
    with np.load(folder / "weights.npz") as stored:
        copy_weights(network, dict(stored))
    signals, y_true = ecgs(n_samples)
    ecg = torch.from_numpy(np.ascontiguousarray(signals.transpose(0, 2, 1)))
    if as_2d:
        network = network.to(memory_format=torch.channels_last)
        ecg = ecg[:, :, None].contiguous(memory_format=torch.channels_last)
    target = torch.from_numpy(y_true)
    step = training_step(torch.compile(network) if "compiled" in name else network, autocast)
    scored = torch.compile(network) if "compiled" in name else network

    def infer(some: Any = ecg) -> Any:
        network.eval()
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            return scored(some)

    network.eval()
    with torch.inference_mode():  # in float32: the check is of the network, not of its rounding
        logits = network(ecg[:N_CHECKED])[:, 0].tolist()
    a, b = torch.randn(2, N_MATRIX, N_MATRIX)
    works = {"train": lambda: timed(lambda: step(ecg, target)), "infer": lambda: timed(infer)}
    works["matrix"] = lambda: multiplied(lambda: a @ b)
    return {"logits": logits}, works


def main() -> None:
    """Answer words until standard input ends."""
    name, n_samples, folder = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])
    answers, sys.stdout = sys.stdout, sys.stderr  # libraries may print
    side = (our_side,) if name == "ours" else (torch_side, name)
    about, works = side[0](*side[1:], n_samples, folder)
    answers.write(json.dumps(about) + "\n")
    answers.flush()
    for line in sys.stdin:
        word = line.strip()
        if word == "memory":
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            found: dict[str, Any] = {"peak_mb": peak}
        else:
            found = works[word]()
        answers.write(json.dumps(found) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
