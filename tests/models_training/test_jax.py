"""Every network, saved under TensorFlow, gives the same logits under JAX."""

import json
import os
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import keras
import numpy as np
import pytest

from models_training.architectures import build_network
from models_training.bundle import save_bundle
from models_training.settings import FAMILIES, ArchitectureSettings

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
    root = Path(__file__).resolve().parents[2]
    environment = {**os.environ, "KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu"}
    command = [sys.executable, "-c", UNDER_JAX, str(folder)]
    subprocess.run(command, cwd=root, env=environment, check=True)
    return {name: (found, np.load(folder / f"{name}.npy")) for name, found in logits.items()}


@pytest.mark.parametrize("name", NAMES)
def test_the_logits_are_the_same_under_jax(under_both, name):
    # logits, and relative to their spread: random weights make risks of 0 and 1
    tensorflow, jax = under_both[name]
    spread = np.ptp(tensorflow)
    assert spread > 0
    assert jax.shape == (4, 2)
    np.testing.assert_allclose(jax, np.repeat(tensorflow, 2, axis=1), rtol=1e-4, atol=1e-4 * spread)
