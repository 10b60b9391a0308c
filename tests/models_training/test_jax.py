"""Every network gives the same logits under JAX as under TensorFlow, and training the same loss."""

import json
import os
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import pytest

from models_training.architectures import build_network
from models_training.bundle import save_bundle
from models_training.inputs import TrainingData
from models_training.settings import FAMILIES, ArchitectureSettings, TrainingSettings
from models_training.training import NetworkTrainer

CARD = dict.fromkeys(("signal_chain", "covariate_names", "target", "horizon_days", "threshold"))
N_SAMPLES = 250
NAMES = [name for name in FAMILIES if name != "resnet34"]  # shrunken it is resnet18
UNDER_JAX = """
import json
import sys
from pathlib import Path
import keras
import numpy as np
from models_training.architectures import build_network
from models_training.bundle import load_bundle
from models_training.settings import ArchitectureSettings

assert keras.backend.backend() == "jax"
folder = Path(sys.argv[1])
with np.load(folder / "inputs.npz") as stored:
    inputs = dict(stored)
for name, options in json.loads((folder / "settings.json").read_text()).items():
    options["stage_blocks"] = tuple(options["stage_blocks"])
    loaded, _ = load_bundle(folder / name)
    built = build_network(
        n_samples=250, covariate_names=("a", "b"), settings=ArchitectureSettings(**options)
    )
    built.set_weights(loaded.get_weights())
    logits = [
        np.asarray(keras.Model(model.inputs, model.get_layer("logit").output)(inputs))
        for model in (loaded, built)
    ]
    np.save(folder / f"{name}.npy", np.concatenate(logits, axis=1))
"""


def run_under_jax(code, *arguments):
    root = Path(__file__).resolve().parents[2]
    path = os.pathsep.join(map(str, (root, Path(__file__).parent)))
    environment = {**os.environ, "KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu"}
    environment |= {"PYTHONPATH": path}
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(
        command, cwd=root, env=environment, check=True, capture_output=True, text=True
    ).stdout


def training(*, precision="float32", run_eagerly=False):
    """Return what two trainings in a row say of a tiny cohort: their losses and last logits."""
    rng = np.random.default_rng(0)
    rows = np.arange(24)
    ids = [f"P{row:04d}" for row in rows]
    records = pd.DataFrame({"record_id": ids, "patient_id": ids, "signal_row": rows})
    patients = pd.DataFrame({"patient_id": ids, "outcome": rows % 2})
    signals = rng.normal(0, 0.2, (24, 64, 12)).astype("float32")
    signals[rows % 2 == 1, 20:40, 6] += 1.0
    data = TrainingData(signals, records, patients, pd.DataFrame({"age_years": rows + 40.0}))
    size = {"name": "fcn_wang", "width": 4, "dropout": 0.0}  # compiles in seconds
    settings = TrainingSettings(
        n_epochs=3,
        batch_size=8,
        weight_averaging="ema",
        learning_rate=1e-3,
        precision=precision,
        run_eagerly=run_eagerly,
        architecture=ArchitectureSettings(**size),
    )
    trainer = NetworkTrainer(data, settings)
    if (folder := os.environ.get("START_FOLDER")) is None:
        start = trainer.model.get_weights()
    else:
        with np.load(Path(folder) / "start.npz") as stored:
            start = [stored[name] for name in stored.files]
        trainer.model.set_weights(start)
        trainer.begin_here("")
    parts = rows[:18], rows[18:]
    tables = [trainer.fit(*parts, n_epochs=3, seed=(0, 0)) for _ in range(2)]
    return {
        "start": start,
        "is_compiled": bool(trainer.network.jit_compile),
        "losses": [table[["loss", "val_loss"]].to_numpy().tolist() for table in tables],
        "logits": trainer.logits(rows)[:, 0].tolist(),
    }


@pytest.fixture(scope="module")
def under_both(tmp_path_factory):
    """Return by network its logits under TensorFlow and, loaded and built anew, under JAX."""
    folder = tmp_path_factory.mktemp("jax")
    rng = np.random.default_rng(0)
    inputs = {
        "ecg": rng.normal(size=(4, N_SAMPLES, 12)).astype("float32"),
        "covariates": np.float32([[50, 30], [np.nan, 20], [70, np.nan], [1, 2]]),
    }
    np.savez(folder / "inputs.npz", **inputs)
    logits, options = {}, {}
    for name in NAMES:
        settings = ArchitectureSettings(
            name=name,
            width=4,
            stage_blocks=(1,) * len(FAMILIES[name].get("stage_blocks", ())),
            n_random_features=168,
            normalisation="cohort" if name == "resnet50" else "record",
            use_amplitude=name != "resnet50",
        )
        model = build_network(n_samples=N_SAMPLES, covariate_names=("a", "b"), settings=settings)
        for variable in model.variables:
            if variable.dtype == "float32" and "lead_sets" not in variable.path:
                variable.assign(0.1 + np.abs(rng.normal(0, 0.2, variable.shape)))
        options[name] = asdict(settings)
        network = keras.Model(model.inputs, model.get_layer("logit").output)
        logits[name] = np.asarray(network(inputs))
        save_bundle(folder / name, model, CARD)
    (folder / "settings.json").write_text(json.dumps(options))
    run_under_jax(UNDER_JAX, folder)
    return {name: (found, np.load(folder / f"{name}.npy")) for name, found in logits.items()}


@pytest.mark.parametrize("name", NAMES)
def test_the_logits_are_the_same_under_jax(under_both, name):
    # logits, and relative to their spread: random weights make risks of 0 and 1
    tensorflow, jax = under_both[name]
    spread = np.ptp(tensorflow)
    assert spread > 0
    assert jax.shape == (4, 2)
    np.testing.assert_allclose(jax, np.repeat(tensorflow, 2, axis=1), rtol=1e-4, atol=1e-4 * spread)


TRAIN_UNDER_JAX = """
import json
from test_jax import training

found = [training(), training(precision="mixed_bfloat16")]
print(json.dumps([{k: v for k, v in each.items() if k != "start"} for each in found]))
"""


def test_training_is_compiled_under_jax_and_ends_as_under_tensorflow(tmp_path, monkeypatch):
    expected = training(run_eagerly=True)
    np.savez(tmp_path / "start.npz", *expected["start"])
    monkeypatch.setenv("START_FOLDER", str(tmp_path))
    found, half = json.loads(run_under_jax(TRAIN_UNDER_JAX).splitlines()[-1])
    assert found["is_compiled"]
    assert half["is_compiled"]
    assert not expected["is_compiled"]
    np.testing.assert_allclose(found["losses"], expected["losses"], rtol=1e-3)
    np.testing.assert_allclose(found["logits"], expected["logits"], rtol=0.01, atol=1e-3)
    np.testing.assert_allclose(*found["losses"], rtol=1e-6)  # a fit leaves nothing to the next
    np.testing.assert_allclose(half["losses"], expected["losses"], rtol=0.05)
