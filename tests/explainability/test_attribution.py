"""Attributions are tested by their axioms on networks whose answer is known."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from explainability.attribution import grad_cam, integrated_gradients
from explainability.methods import MethodSettings, attribute
from explainability.model_access import private_copy
from explainability.scores import LogitScore

LAYER = "conv5_block3_out"
# Keras 3.15 writes HDF5 files with h5py through a NumPy interface that NumPy 2 is retiring.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy")


@pytest.fixture(scope="module")
def linear_network():
    ecg, covariates = keras.Input((20, 12), name="ecg"), keras.Input((2,), name="covariates")
    known = keras.ops.where(
        keras.ops.isnan(covariates), keras.ops.zeros_like(covariates), covariates
    )
    joined = keras.layers.Concatenate()([keras.layers.Flatten()(ecg), known])
    logit = keras.layers.Dense(1, name="logit")(joined)
    model = keras.Model([ecg, covariates], keras.layers.Activation("sigmoid", name="risk")(logit))
    rng = np.random.default_rng(3)
    weights = rng.normal(size=242).astype(np.float32)
    model.get_layer("logit").set_weights([weights[:, None], np.array([0.7], np.float32)])
    inputs = {
        "ecg": rng.normal(size=(4, 20, 12)).astype(np.float32),
        "covariates": np.array([[1, 2], [np.nan, 1], [0, -3], [4, np.nan]], np.float32),
    }
    return model, inputs, weights[:240].reshape(20, 12), weights[240:]


def logits(model, inputs):
    network = keras.Model(model.inputs, model.get_layer("logit").output)
    tensors = [inputs[tensor.name] for tensor in model.inputs]
    return keras.ops.convert_to_numpy(network(tensors, training=False))[:, 0]


# --- integrated gradients -----------------------------------------------------------------------


def test_integrated_gradients_of_a_linear_network_are_weight_times_input(linear_network):
    model, inputs, w_ecg, w_covariates = linear_network
    baseline = {"covariates": np.array([1.0, 1.0])}
    found = integrated_gradients(model, inputs, baseline=baseline, n_steps=2)
    np.testing.assert_allclose(found.ecg, inputs["ecg"] * w_ecg, rtol=1e-4, atol=1e-6)
    expected = np.nan_to_num((inputs["covariates"] - 1) * w_covariates)  # missing: 0
    np.testing.assert_allclose(found.covariates, expected, rtol=1e-4, atol=1e-6)
    assert found.table["is_complete"].all()


def test_covariates_without_baseline_stay_at_the_patient(linear_network):
    model, inputs, *_ = linear_network
    found = integrated_gradients(model, inputs)
    assert not found.covariates.any()
    silent = {**inputs, "ecg": np.zeros_like(inputs["ecg"])}
    np.testing.assert_allclose(found.table["baseline_score"], logits(model, silent), rtol=1e-5)


def test_integrated_gradients_are_zero_at_the_baseline(build_network, make_inputs):
    inputs = make_inputs(3, 2)
    baseline = {"ecg": inputs["ecg"], "covariates": np.nan_to_num(inputs["covariates"])}
    found = integrated_gradients(build_network(2), inputs, baseline=baseline, n_steps=4)
    assert not found.ecg.any()
    assert not found.covariates.any()


@pytest.mark.parametrize("n_covariates", [0, 3])
def test_integrated_gradients_are_complete(build_network, make_inputs, n_covariates):
    model = build_network(n_covariates, is_head_linear=False)
    inputs = make_inputs(4, n_covariates)
    baseline = {"covariates": np.zeros(n_covariates)} if n_covariates else None
    found = integrated_gradients(model, inputs, baseline=baseline, n_steps=40)
    np.testing.assert_allclose(found.table["score"], logits(model, inputs), rtol=1e-5)
    change = found.table["score"] - found.table["baseline_score"]
    assert np.abs(found.table["attribution_sum"] - change).max() < 0.01
    assert found.table["completeness_error"].max() < 0.05
    assert found.table["is_complete"].all()


def test_too_few_steps_are_reported_not_hidden(build_network, make_inputs):
    model = build_network(is_head_linear=False)
    loud = {"ecg": 30 * make_inputs(4)["ecg"]}
    coarse = integrated_gradients(model, loud, n_steps=2, relative_tolerance=1e-6)
    fine = integrated_gradients(model, loud, n_steps=32)
    assert not coarse.table["is_complete"].all()
    assert fine.table["completeness_error"].mean() < coarse.table["completeness_error"].mean()


def test_a_lead_the_network_ignores_gets_nothing(build_network, make_inputs):
    model = build_network()
    kernel = model.get_layer("conv1_conv").get_weights()[0]
    kernel[:, 4] = 0
    model.get_layer("conv1_conv").set_weights([kernel])
    inputs = make_inputs()
    used = [lead for lead in range(12) if lead != 4]
    maps = integrated_gradients(model, inputs).ecg
    assert not maps[:, :, 4].any()
    assert (np.abs(maps[:, :, used]).sum(axis=1) > 0).all()
    occluded = occlude_leads(model, inputs, {"ignored": [4], "all": range(12)})
    assert np.abs(occluded["ignored"]).max() == 0
    assert (np.abs(occluded["all"]) > 0).all()


def occlude_leads(model, inputs, groups):
    settings = MethodSettings(100.0, groups=groups)
    return attribute(model, inputs, method="occlusion_by_lead", settings=settings).table


def test_occlusion_of_groups_is_exact_for_a_linear_network(linear_network):
    model, inputs, w_ecg, _ = linear_network
    expected = inputs["ecg"] * w_ecg
    occluded = occlude_leads(model, inputs, {"III": [2], "chest": range(6, 12)})
    np.testing.assert_allclose(occluded["III"], expected[:, :, 2].sum(axis=1), atol=1e-4)
    np.testing.assert_allclose(occluded["chest"], expected[:, :, 6:].sum(axis=(1, 2)), atol=1e-4)


# --- Grad-CAM -----------------------------------------------------------------------------------


def test_grad_cam_by_hand_after_average_pooling(build_network, make_inputs):
    """With pooling and a linear head, d logit / d A[t, c] is w_c / steps, so the map is known."""
    model, inputs = build_network(2), make_inputs(5, 2)
    activation_model = keras.Model(model.inputs, model.get_layer(LAYER).output)
    activation = activation_model([inputs["ecg"], inputs["covariates"]], training=False).numpy()
    weights = model.get_layer("logit").get_weights()[0][:8, 0]
    expected = np.maximum(activation @ weights / activation.shape[1], 0)
    found = grad_cam(model, inputs, layer_name=LAYER)
    assert found.shape == (5, 8)
    assert found.any()
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-7)


def test_grad_cam_finds_a_planted_burst_and_not_the_decoy():
    """Lead V1 raises the score, lead V6 lowers it: the map shows V1's burst only."""
    ecg = keras.Input((100, 12), name="ecg")
    features = keras.layers.Conv1D(2, 1, use_bias=False, activation="relu", name="features")(ecg)
    pooled = keras.layers.GlobalAveragePooling1D()(features)
    logit = keras.layers.Dense(1, name="logit")(pooled)
    model = keras.Model(ecg, keras.layers.Activation("sigmoid", name="risk")(logit))
    kernel = np.zeros((1, 12, 2), np.float32)
    kernel[0, 6, 0] = kernel[0, 11, 1] = 1
    model.get_layer("features").set_weights([kernel])
    model.get_layer("logit").set_weights([np.array([[1.0], [-1.0]]), np.zeros(1)])
    signal = np.zeros((1, 100, 12), np.float32)
    signal[0, 20:30, 6] = signal[0, 60:90, 11] = 1
    up = grad_cam(model, signal, layer_name="features")[0]
    down = grad_cam(model, signal, layer_name="features", score=LogitScore(toward="lower risk"))[0]
    assert up[20:30].sum() / up.sum() == pytest.approx(1)
    assert down[60:90].sum() / down.sum() == pytest.approx(1)


@pytest.mark.parametrize("state", ["reloaded", "mixed_bfloat16"])
def test_explanations_survive_saving_and_mixed_precision(
    build_network, make_inputs, stored_again, state
):
    model, inputs = build_network(2), make_inputs(4, 2)
    other = stored_again(model, state)
    closeness = 0.999999 if state == "reloaded" else 0.98  # bfloat16 has eight bits of mantissa
    for explain in (
        lambda network: grad_cam(network, inputs, layer_name=LAYER),
        lambda network: integrated_gradients(network, inputs, n_steps=4).ecg,
    ):
        ours, theirs = explain(model), explain(other)
        assert ours.dtype == theirs.dtype == np.float32
        assert np.corrcoef(ours.ravel(), theirs.ravel())[0, 1] > closeness


def test_explaining_leaves_the_model_as_it_was(build_network, make_inputs, tmp_path):
    """Cutting a Keras 3.15 graph at an inner tensor makes the original impossible to save."""
    model, inputs = build_network(2), make_inputs(4, 2)
    before = logits(model, inputs)
    grad_cam(model, inputs, layer_name=LAYER)
    integrated_gradients(model, inputs, n_steps=2)
    model.save(tmp_path / "model.keras")
    np.testing.assert_array_equal(before, logits(model, inputs))


def test_an_adapted_scaling_layer_is_copied_with_what_it_learned():
    """Keras' Normalization derives constants from its weights; set_weights alone forgets them."""
    ecg = keras.Input((20, 12), name="ecg")
    scaling = keras.layers.Normalization(name="ecg_scaling")
    scaling.adapt(np.random.default_rng(0).normal(3, 5, size=(50, 20, 12)))
    features = keras.layers.Conv1D(4, 3, activation="relu", name="features")(scaling(ecg))
    logit = keras.layers.Dense(1, name="logit")(keras.layers.GlobalAveragePooling1D()(features))
    model = keras.Model(ecg, keras.layers.Activation("sigmoid", name="risk")(logit))
    signal = {"ecg": np.random.default_rng(1).normal(3, 5, (4, 20, 12)).astype(np.float32)}
    np.testing.assert_allclose(
        logits(private_copy(model), signal), logits(model, signal), rtol=1e-5
    )


def test_batches_memory_maps_and_out_change_nothing(build_network, make_inputs, tmp_path):
    model, inputs = build_network(), make_inputs(7)
    np.save(tmp_path / "signals.npy", inputs["ecg"])
    mapped = np.load(tmp_path / "signals.npy", mmap_mode="r")
    whole = grad_cam(model, inputs, layer_name=LAYER)
    out = np.lib.format.open_memmap(tmp_path / "maps.npy", "w+", np.float32, (7, 8))
    assert grad_cam(model, mapped, layer_name=LAYER, batch_size=3, out=out) is out
    np.testing.assert_allclose(out, whole, rtol=1e-4, atol=1e-7)
    np.testing.assert_allclose(
        integrated_gradients(model, mapped, n_steps=3, batch_size=4).ecg,
        integrated_gradients(model, inputs, n_steps=3).ecg,
        atol=1e-5,
    )


# --- refusals -----------------------------------------------------------------------------------

ECG = np.zeros((2, 64, 12), np.float32)
BOTH = {"ecg": ECG, "covariates": np.zeros((2, 2), np.float32)}
HOLED = np.where(np.arange(64)[:, None] == 5, np.nan, ECG)
BAD_CALLS = {
    "unknown layer": (
        BOTH,
        {"layer_name": "top_conv"},
        ValueError,
        "layer_name must be a layer of the flat graph, got 'top_conv'. "
        "Choose one of conv2_block3_out, conv5_block3_out.",
    ),
    "layer without time": (
        BOTH,
        {"layer_name": "avg_pool"},
        ValueError,
        "layer_name must have outputs of shape (steps, channels), got (8,) from 'avg_pool'. "
        "Choose a stage output such as 'conv5_block3_out'.",
    ),
    "layer that is no part of the way": (
        BOTH,
        {"layer_name": LAYER, "score": LogitScore(layer_name="conv2_block3_out")},
        ValueError,
        "layer_name must lie between the input 'ecg' and the layer 'conv2_block3_out', "
        "got 'conv5_block3_out'. Choose a stage output such as 'conv5_block3_out'.",
    ),
    "bare index": (
        BOTH,
        {"layer_name": LAYER, "score": 0},
        TypeError,
        "score must be a score object such as LogitScore(), got 0. "
        "A bare index does not say which output is explained.",
    ),
    "covariates forgotten": (
        ECG,
        {"layer_name": LAYER},
        ValueError,
        "inputs must name exactly ['ecg', 'covariates'], got ['ecg']. "
        "Pass a dict with one array for each input of the model.",
    ),
    "shape": (
        {**BOTH, "ecg": ECG[:, :50]},
        {"layer_name": LAYER},
        ValueError,
        "inputs['ecg'] must be of shape (n_records, *(64, 12)), got (2, 50, 12). "
        "Bring the arrays to the form the network was trained with.",
    ),
    "lengths": (
        {**BOTH, "ecg": ECG[:1]},
        {"layer_name": LAYER},
        ValueError,
        "inputs must all hold the same number of records, got {'ecg': 1, 'covariates': 2}. "
        "Select the same rows from each array.",
    ),
    "missing samples": (
        {**BOTH, "ecg": HOLED},
        {"layer_name": LAYER},
        ValueError,
        "inputs['ecg'] must be finite, got NaN or infinity in row 0. "
        "Leave such records out (data_processing rejects them).",
    ),
    "batch size": (
        BOTH,
        {"layer_name": LAYER, "batch_size": 0},
        ValueError,
        "batch_size must be at least 1, got 0. Use 16 to 64.",
    ),
    "out": (
        BOTH,
        {"layer_name": LAYER, "out": np.zeros((2, 3))},
        ValueError,
        "out must be of shape (2, 8), got (2, 3). Make it with numpy.lib.format.open_memmap.",
    ),
}


@pytest.mark.parametrize("case", BAD_CALLS)
def test_grad_cam_refuses(build_network, case):
    inputs, options, kind, message = BAD_CALLS[case]
    with pytest.raises(kind) as refusal:
        grad_cam(build_network(2), inputs, **options)
    assert str(refusal.value) == message


BAD_PATHS = {
    "steps": ({"n_steps": 1}, "n_steps must be at least 2, got 1. Use 32 to 128."),
    "unknown baseline": (
        {"baseline": {"age": 60}},
        "baseline must name inputs of the model ['ecg', 'covariates'], got ['age']. "
        "Remove the others.",
    ),
    "baseline shape": (
        {"baseline": {"covariates": np.zeros(3)}},
        "baseline['covariates'] must broadcast to (2, 2), got (3,). "
        "Give one value, one row, or one row a record.",
    ),
    "missing baseline": (
        {"baseline": {"covariates": np.array([np.nan, 0])}},
        "baseline['covariates'] must be finite, got NaN or infinity. "
        "Use training means, not missing values.",
    ),
}


@pytest.mark.parametrize("case", BAD_PATHS)
def test_integrated_gradients_refuse(build_network, case):
    options, message = BAD_PATHS[case]
    with pytest.raises(ValueError, match=r".") as refusal:
        integrated_gradients(build_network(2), BOTH, **options)
    assert str(refusal.value) == message


def test_other_refusals(build_network):
    with pytest.raises(
        ValueError, match=r"^toward must be 'higher risk' or 'lower risk', got 'up'"
    ):
        LogitScore(toward="up")
    with pytest.raises(ValueError, match=r"^groups\['V9'\] must hold positions from 0 to 11, got"):
        occlude_leads(build_network(2), BOTH, {"V9": [14]})
    with pytest.raises(TypeError, match=r"^model must be a keras.Model, got str"):
        grad_cam("model.keras", ECG, layer_name=LAYER)
    unnamed = keras.Sequential([keras.Input((64, 12), name="signal"), keras.layers.Flatten()])
    with pytest.raises(
        ValueError, match=r"^model must have an input named 'ecg', got \['signal'\]"
    ):
        grad_cam(unnamed, ECG, layer_name=LAYER)


def test_a_map_follows_weights_that_were_changed(build_network, make_inputs):
    model, other = build_network(seed=1), build_network(seed=2)
    ecg = make_inputs(2)
    first = grad_cam(model, ecg, layer_name=LAYER)
    model.set_weights(other.get_weights())
    expected = grad_cam(other, ecg, layer_name=LAYER)
    np.testing.assert_allclose(grad_cam(model, ecg, layer_name=LAYER), expected, atol=1e-6)
    assert not np.allclose(first, expected, atol=1e-6)
