"""Legacy models: genuine Keras-2 files give the same outputs, others are refused with the reason.

The files are in `legacy_files`, with the script that made them.
"""

import json
from pathlib import Path

import keras
import numpy as np
import pytest
import yaml
from scipy.special import logit

from models_training.architectures import build_network
from models_training.bundle import load_bundle
from models_training.external_checks import check_overlap
from models_training.legacy import LegacyError, load_legacy, load_legacy_weights
from models_training.legacy_import import REQUIRED, import_legacy
from models_training.settings import ArchitectureSettings

FILES = Path(__file__).parent / "legacy_files"
TINY = {"width": 4, "stage_blocks": [1, 1, 1, 1], "stem_stride": 1}


def given():
    """Return the ECGs and covariates `make.py` drew, and what Keras 2 gave for them."""
    rng = np.random.default_rng(0)
    ecg = rng.normal(size=(3, 64, 12)).astype("float32")
    return ecg, rng.normal(size=(3, 2)).astype("float32"), np.load(FILES / "outputs.npz")


def declared(**changes):
    """Return a complete declaration for `plain.h5`."""
    card = yaml.safe_load((FILES / "declared.yaml").read_text(encoding="utf-8"))
    return {name: value for name, value in (card | changes).items() if value != "absent"}


def covariates_declared(**changes):
    """Return a declaration for `covariates.h5`, whose logit takes two covariates."""
    facts = {"unit": "", "kind": "number"}
    items = [
        {"name": "a", "mean": 50.0, "scale": 10.0, **facts},
        {"name": "b", "mean": 30.0, "scale": 4.0, **facts},
    ]
    return declared(
        **{"covariates": items, "covariate_input": "standardised", "output": "logit"} | changes
    )


@pytest.mark.parametrize("name", ["plain", "sequential"])
def test_a_plain_model_gives_what_keras_2_gave(name, tmp_path):
    ecg, _, outputs = given()
    import_legacy(FILES / f"{name}.h5", declared(), tmp_path)
    model, card = load_bundle(tmp_path)
    risk = np.asarray(model({"ecg": ecg}, training=False))
    np.testing.assert_allclose(risk, outputs[name], rtol=0, atol=1e-6)
    assert np.ptp(logit(risk.astype("float64"))) > 0.01  # the ECG matters to these weights
    assert card["kind"] == "imported"
    assert card["rate_hz"] == 100
    assert not [layer for layer in model.layers if isinstance(layer, keras.Model)]


def test_the_declared_scale_reaches_the_model(tmp_path):
    ecg, _, outputs = given()
    import_legacy(FILES / "plain.h5", declared(ecg_scale_mv=0.001, ecg_mean_mv=[1] * 12), tmp_path)
    model, _ = load_bundle(tmp_path)
    risk = np.asarray(model({"ecg": ecg * 0.001 + 1}, training=False))
    np.testing.assert_allclose(risk, outputs["plain"], atol=1e-3)


@pytest.mark.parametrize("fed", ["standardised", "raw"])
def test_covariates_reach_the_model_as_declared(fed, tmp_path):
    ecg, covariates, outputs = given()
    import_legacy(FILES / "covariates.h5", covariates_declared(covariate_input=fed), tmp_path)
    model, card = load_bundle(tmp_path)
    ours = covariates if fed == "raw" else covariates * [10.0, 4.0] + [50.0, 30.0]
    found = np.asarray(model({"ecg": ecg, "covariates": ours.astype("float32")}, training=False))
    expected = 1 / (1 + np.exp(-outputs["covariates"]))
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert card["covariate_names"] == ["a", "b"]
    missing = np.asarray(model({"ecg": ecg, "covariates": np.full((3, 2), np.nan, "float32")}))
    at_mean = np.float32([[50.0, 30.0]] * 3)
    np.testing.assert_allclose(missing, np.asarray(model({"ecg": ecg, "covariates": at_mean})))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("lambda.h5", "got Lambda: it carries code, which safe mode does not run"),
        ("function.h5", "got TFOpLambda: it calls a TensorFlow function"),
        ("keras2.keras", r"got a .keras file \(Keras 2.21.0\). Keras 3 cannot open a .keras file"),
        ("make.py", "got make.py, which is no HDF5 file"),
        (".", "got the folder 'legacy_files': Keras 3 cannot open a SavedModel"),
    ],
)
def test_what_keras_3_cannot_open_is_refused_with_the_reason(name, message):
    with pytest.raises(LegacyError, match=message):
        load_legacy(FILES / name)


def test_an_absent_file_is_named():
    with pytest.raises(FileNotFoundError, match=r"model must be a file, got no 'none\.h5'"):
        load_legacy(FILES / "none.h5")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("ReLU", "Addons>Mish", "got Addons>Mish: it comes from the package Addons, not from"),
        ("ReLU", "Squash", "got Squash: Keras 3 has no layer of this name"),
        ('"same"', '"mirrored"', r"Keras 3 can rebuild; it says: .*padding"),
    ],
)
def test_a_layer_that_keras_3_lacks_is_refused(tmp_path, old, new, message):
    import h5py

    path = tmp_path / "changed.h5"
    path.write_bytes((FILES / "plain.h5").read_bytes())
    with h5py.File(path, "r+") as file:
        file.attrs["model_config"] = file.attrs["model_config"].replace(old, new)
    with pytest.raises(LegacyError, match=message):
        load_legacy(path)


@pytest.mark.parametrize(
    ("name", "card", "message"),
    [
        (
            "plain",
            declared(signal_chain={"rate_hz": 500, "duration_seconds": 10}),
            r"inputs must be \(None, 5000, 12\) .* got \(None, 64, 12\)\. A model of other leads",
        ),
        ("covariates", declared(output="logit"), r"inputs must be \(None, 64, 12\) as .* and \("),
        ("plain", declared(output="logit"), "must have a linear activation for output logit, got"),
        ("plain", declared(output="absent"), r"card must declare output \(probability or logit\)"),
        ("plain", declared(colour="red"), "card must declare .*, got colour"),
        ("covariates", covariates_declared(covariate_input="absent"), "covariate_input must be"),
        ("covariates", covariates_declared(covariates=[{"name": "a"}]), "must have name, unit"),
        ("plain", declared(threshold={"value": 0.1}), "threshold must have .* missing: rule"),
        ("plain", declared(trained_on={}), "trained_on must have file_sha256"),
    ],
)
def test_what_does_not_fit_the_declaration_is_refused(name, card, message, tmp_path):
    with pytest.raises(LegacyError, match=message):
        import_legacy(FILES / f"{name}.h5", card, tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("shape", [(64, 8), (64, 12, 1)])
def test_another_layout_is_refused(shape, tmp_path):
    ecg = keras.Input(shape)
    model = keras.Model(ecg, keras.layers.Dense(1, "sigmoid")(keras.layers.Flatten()(ecg)))
    model.save(tmp_path / "other.h5")
    with pytest.raises(LegacyError, match="A model of other leads, another length or layout"):
        import_legacy(tmp_path / "other.h5", declared(), tmp_path / "bundle")


def weights_file(path, model, rename=None, kernel_axis=True):
    """Write weights as Keras 2 does: groups by layer, 1x1 kernels with their axis of one."""
    import h5py

    names = {layer.name: (rename or {}).get(layer.name, layer.name) for layer in model.layers}
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [name.encode() for name in names.values()]
        for layer in model.layers:
            group = file.create_group(names[layer.name])
            keys = [] if layer.name == "ecg_scaling" else [w.name for w in layer.weights]
            group.attrs["weight_names"] = [f"{layer.name}/{key}:0".encode() for key in keys]
            for key, weight in zip(keys, layer.get_weights(), strict=False):
                is_pointwise = layer.name.endswith("_conv") and weight.ndim == 2 and kernel_axis
                group[f"{layer.name}/{key}:0"] = weight[None] if is_pointwise else weight
    return path


def test_weights_only_go_into_an_architecture_of_ours(tmp_path):
    ecg, _, _ = given()
    settings = ArchitectureSettings(**TINY | {"stage_blocks": (1, 1, 1, 1)})
    source = build_network(n_samples=64, settings=settings, seed=5)
    path = weights_file(tmp_path / "w.h5", source, {"logit": "predictions"})
    with pytest.raises(LegacyError, match="got weights only"):
        load_legacy(path)
    card = declared(architecture=TINY, layer_names={"logit": "predictions"})
    import_legacy(path, card, tmp_path / "bundle")
    model, _ = load_bundle(tmp_path / "bundle")
    found = np.asarray(model({"ecg": ecg}, training=False))
    np.testing.assert_allclose(found, np.asarray(source({"ecg": ecg}, training=False)), rtol=1e-5)


def test_weights_of_another_network_are_refused_and_nothing_is_written(tmp_path):
    small = ArchitectureSettings(width=4, stage_blocks=(1, 1, 1, 1))
    path = weights_file(tmp_path / "w.h5", build_network(n_samples=64, settings=small))
    wide = ArchitectureSettings(width=8, stage_blocks=(1, 1, 1, 1))
    model = build_network(n_samples=64, settings=wide)
    before = model.get_weights()
    with pytest.raises(LegacyError, match=r"fit the declared architecture, .* conv1_conv must"):
        load_legacy_weights(path, model)
    deep = ArchitectureSettings(width=4, stage_blocks=(2, 1, 1, 1))
    with pytest.raises(LegacyError, match="conv2_block2_1_conv is missing"):
        load_legacy_weights(path, build_network(n_samples=64, settings=deep))
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))


def test_every_required_fact_is_asked_for():
    with pytest.raises(LegacyError) as raised:
        import_legacy(FILES / "plain.h5", {}, Path("unused"))
    assert all(f"{name} (" in str(raised.value) for name in REQUIRED)


def test_unknown_training_files_are_told():
    import pandas as pd

    records = pd.DataFrame({"record_id": ["R1"], "patient_id": ["P1"], "file_sha256": ["a"]})
    text = check_overlap(declared(), records)
    assert text.startswith("Whether ECGs of this cohort were in the training data is not known")


def test_the_card_is_plain(tmp_path):
    import_legacy(FILES / "plain.h5", declared(licence="MIT"), tmp_path)
    card = json.loads((tmp_path / "card.json").read_text())
    assert card["licence"] == "MIT"
    assert card["imported_from"] == "plain.h5"
    assert card["covariates"] == []
