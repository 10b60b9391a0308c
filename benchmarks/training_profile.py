"""Where the time of a training or inference step goes, operation by operation.

    python benchmarks/training_profile.py                # batch of 32, 12 x 1000, training
    python benchmarks/training_profile.py --what infer --n-samples 2500

The ResNet-50 of `benchmarks/training.py` under TensorFlow on one thread, so that the times of the
operations add up. Three steps are recorded with TensorFlow's profiler after two for tracing.
"""

from __future__ import annotations

import argparse
import tempfile
from collections import Counter
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from models_training.architectures import build_network
from models_training.optimizers import FlatAdamW

N_STEPS = 3
PRODUCTS = ("Conv", "MatMul")


def recorded(step) -> Counter[str]:
    """Return the seconds a step of each kind of operation."""
    from tensorflow.tsl.profiler.protobuf import xplane_pb2

    step()
    step()
    with tempfile.TemporaryDirectory() as folder:
        tf.profiler.experimental.start(folder)
        for _ in range(N_STEPS):
            step()
        tf.profiler.experimental.stop()
        (path,) = Path(folder).rglob("*.xplane.pb")
        space = xplane_pb2.XSpace.FromString(path.read_bytes())
    seconds: Counter[str] = Counter()
    for plane in (plane for plane in space.planes if "CPU" in plane.name):
        for event in (event for line in plane.lines for event in line.events):
            name = plane.event_metadata[event.metadata_id].name
            is_whole = name.startswith("Executor") or "__inference" in name
            if ":" in name and "::" not in name and not is_whole:
                seconds[name.split(":")[1]] += event.duration_ps / 1e12 / N_STEPS
    return seconds


def main() -> None:
    """Print one line a kind of operation."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--what", choices=["train", "infer"], default="train")
    parser.add_argument("--n-samples", type=int, default=1000)
    options = parser.parse_args()
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    whole = build_network(n_samples=options.n_samples)
    model = keras.Model(whole.inputs, whole.get_layer("logit").output)
    loss = keras.losses.BinaryCrossentropy(from_logits=True)
    model.compile(FlatAdamW(1e-3), loss, jit_compile=False)
    rng = np.random.default_rng(0)
    inputs = {"ecg": rng.normal(size=(32, options.n_samples, 12)).astype("float32")}
    y_true = (rng.random((32, 1)) < 0.3).astype("float32")
    steps = {
        "train": lambda: model.train_on_batch(inputs, y_true),
        "infer": lambda: model.predict_on_batch(inputs),
    }
    seconds = recorded(steps[options.what])
    total = sum(seconds.values())
    products = sum(s for name, s in seconds.items() if any(part in name for part in PRODUCTS))
    label = f"{options.what}_{options.n_samples}"
    print(f"figure profile_{label} {total:.2f} s a step, one thread")
    print(f"figure profile_{label}_products {100 * products / total:.0f} % convolutions, products")
    for name, value in seconds.most_common(12):
        print(f"figure profile_{label}_{name} {100 * value / total:.1f} %")


if __name__ == "__main__":
    main()
