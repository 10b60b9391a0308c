"""Maps under JAX are those under TensorFlow; SHAP refuses it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from explainability.methods import METHODS, MethodSettings, attribute

NAMES = [name for name in METHODS if not name.startswith("shap")]
OPTIONS = {"rate_hz": 100.0, "n_steps": 3, "n_draws": 2, "layer_name": "conv2_block3_out"}
OPTIONS["is_strict"] = False
OPTIONS["groups"] = {"limb": [0, 1, 2, 3, 4, 5], "V1": [6]}
UNDER_JAX = """
import json
import sys
from pathlib import Path
import keras
import numpy as np
from explainability.methods import MethodSettings, attribute

assert keras.backend.backend() == "jax"
folder, names, options = Path(sys.argv[1]), json.loads(sys.argv[2]), json.loads(sys.argv[3])
with np.load(folder / "inputs.npz") as stored:
    inputs = dict(stored)
windows = {"T": inputs.pop("mask")}
for kind in ("float32", "mixed"):
    model = keras.saving.load_model(folder / f"{kind}.keras")
    settings = MethodSettings(windows=windows, background=inputs, **options)
    some = names if kind == "float32" else names[:1] + names[3:4]  # each compiles for seconds
    found = {name: attribute(model, inputs, method=name, settings=settings).maps for name in some}
    np.savez(folder / f"{kind}.npz", **found)
refusals = []
for method in ("shap_gradient", "shap_deep"):
    try:
        attribute(model, inputs, method=method, settings=settings)
    except NotImplementedError as refusal:
        refusals.append(str(refusal))
(folder / "refusals.json").write_text(json.dumps(refusals))
"""


@pytest.fixture(scope="module")
def both(build_network, make_inputs, tmp_path_factory):
    """Return TensorFlow's maps, the folder of JAX's."""
    import keras

    folder = tmp_path_factory.mktemp("jax")
    inputs, model = make_inputs(3, 2), build_network(2)
    mask = np.repeat(np.arange(64)[None] % 16 > 9, 3, axis=0)
    np.savez(folder / "inputs.npz", mask=mask, **inputs)
    keras.mixed_precision.set_global_policy("mixed_bfloat16")
    try:
        mixed = build_network(2)
    finally:
        keras.mixed_precision.set_global_policy("float32")
    model.save(folder / "float32.keras")
    mixed.save(folder / "mixed.keras")
    settings = MethodSettings(windows={"T": mask}, **OPTIONS)
    found = {name: attribute(model, inputs, method=name, settings=settings).maps for name in NAMES}
    root = Path(__file__).resolve().parents[2]
    # compiling takes most of the time, and less of it where the result may be slow
    quick = {"JAX_PLATFORMS": "cpu", "JAX_DISABLE_MOST_OPTIMIZATIONS": "1"}
    environment = {**os.environ, "KERAS_BACKEND": "jax", **quick}
    command = [sys.executable, "-c", UNDER_JAX, str(folder), json.dumps(NAMES), json.dumps(OPTIONS)]
    subprocess.run(command, cwd=root, env=environment, check=True)
    return found, folder


@pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy")
def test_every_method_but_shap_gives_the_same_under_jax(both):
    found, folder = both
    with np.load(folder / "float32.npz") as jax, np.load(folder / "mixed.npz") as mixed:
        for name, maps in found.items():
            size = np.abs(maps).max()
            np.testing.assert_allclose(jax[name] / size, maps / size, atol=1e-4, err_msg=name)
            if name in mixed:
                assert np.corrcoef(mixed[name].ravel(), maps.ravel())[0, 1] > 0.95, name
        assert set(mixed) == {"grad_cam", "gradient_x_input"}


def test_shap_refuses_jax_in_plain_words(both):
    _, folder = both
    assert json.loads((folder / "refusals.json").read_text()) == [
        f"The Keras back end must be tensorflow for {method}, got jax. Set "
        "KERAS_BACKEND=tensorflow, or use integrated_gradients, which runs on both."
        for method in ("shap_gradient", "shap_deep")
    ]
