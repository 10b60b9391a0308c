"""Every network of the project can be explained; SHAP in its forms; both precisions."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from explainability.class_activation import default_layer
from explainability.methods import METHODS, MethodSettings, attribute
from explainability.shap_deep import float32_copy
from models_training.architectures import build_network
from models_training.settings import FAMILIES, ArchitectureSettings

N_SAMPLES, RATE_HZ = 256, 100.0
# the last block with a value every 0.1 s or oftener
LAYERS = {
    "resnet18": "conv3_block1_out",
    "resnet50": "conv3_block1_out",
    "wide_resnet": "conv4_block1_out",
    "fcn_wang": "conv3_block1_out",
    "xresnet1d": "conv3_block1_out",
    "inception_time": "conv2_out",
}
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy")


@pytest.fixture(scope="module")
def network():
    """Return a builder of small networks with random weights that let signals through."""

    def build(name="resnet18", covariate_names=("age", "lvef"), **options):
        settings = ArchitectureSettings(
            name=name,
            width=4,
            stage_blocks=(1,) * len(FAMILIES[name].get("stage_blocks", ())),
            n_random_features=84,
            **options,
        )
        model = build_network(
            n_samples=N_SAMPLES, covariate_names=covariate_names, settings=settings
        )
        rng = np.random.default_rng(0)
        for variable in model.variables:
            if variable.dtype == "float32" and len(variable.shape) == 1:
                variable.assign(0.5 + rng.random(variable.shape))
        return model

    return build


@pytest.fixture(scope="module")
def inputs():
    rng = np.random.default_rng(1)
    return {
        "ecg": rng.normal(size=(3, N_SAMPLES, 12)).astype(np.float32),
        "covariates": np.float32([[np.nan, 1], [0.5, -1], [2, np.nan]]),
    }


def test_the_table_covers_every_network():
    assert set(LAYERS) == set(FAMILIES) - {"resnet34", "random_kernels"}  # 34 shrunken is 18


@pytest.mark.parametrize("name", LAYERS)
def test_grad_cam_and_integrated_gradients_of_every_network(network, inputs, name):
    model = network(name, use_amplitude=name == "fcn_wang", normalisation="record")
    assert default_layer(model, rate_hz=RATE_HZ) == LAYERS[name]
    cam = attribute(model, inputs, method="grad_cam", settings=MethodSettings(RATE_HZ))
    assert cam.maps.shape == (3, N_SAMPLES)
    assert cam.resolution.startswith(f"{LAYERS[name]}: ")
    assert cam.resolution_seconds <= 0.1
    settings = MethodSettings(RATE_HZ, n_steps=2, is_strict=False)
    found = attribute(model, inputs, method="integrated_gradients", settings=settings)
    assert np.isfinite(found.maps).all()
    assert found.maps.any()


def test_coarser_layers_are_taken_at_a_higher_rate(network):
    model = network("resnet18")
    assert default_layer(model, rate_hz=1000.0) == "conv5_block1_out"
    assert default_layer(model, rate_hz=10.0) == "conv2_block1_out"  # all too coarse: the finest


def test_random_kernels_have_no_gradient_and_are_occluded(network, inputs):
    model = network("random_kernels")
    with pytest.raises(ValueError, match=r"^model must have a layer of shape \(steps, channels\)"):
        attribute(model, inputs, method="grad_cam", settings=MethodSettings(RATE_HZ))
    settings = MethodSettings(RATE_HZ, background=inputs)
    for method in ("integrated_gradients", "gradient_x_input", "smooth_grad", "shap_gradient"):
        with pytest.raises(ValueError, match=r"^model must have a gradient at its ECG, got the "):
            attribute(model, inputs, method=method, settings=settings)
    found = attribute(model, inputs, method="occlusion_by_lead", settings=settings)
    assert found.table.shape == (3, 12)
    assert found.table.any(axis=None)


def test_shap_treats_a_missing_covariate_as_the_network_does(network, inputs):
    model = network("fcn_wang")
    model.get_layer("covariate_scaling").set_statistics([1.5, 0.25], [2.0, 1.0])
    filled = {**inputs, "covariates": np.float32([[1.5, 1], [0.5, -1], [2, 0.25]])}
    settings = MethodSettings(RATE_HZ, background=inputs, n_draws=20, is_strict=False)
    found = [
        attribute(model, given, method="shap_gradient", settings=settings)
        for given in (inputs, filled)
    ]
    np.testing.assert_allclose(found[0].maps, found[1].maps, atol=1e-6)
    np.testing.assert_allclose(found[0].covariates, found[1].covariates, atol=1e-6)
    again = attribute(model, inputs, method="shap_gradient", settings=settings)
    np.testing.assert_array_equal(found[0].maps, again.maps)


@pytest.mark.slow
def test_deep_explainer_has_its_own_process_and_breaks_nothing(network, inputs):
    background = {"ecg": 0.1 * inputs["ecg"][::-1], "covariates": np.zeros((3, 2), np.float32)}
    settings = MethodSettings(RATE_HZ, background=background, n_draws=500, is_strict=False)
    keras.mixed_precision.set_global_policy("mixed_bfloat16")
    try:
        model = network()
    finally:
        keras.mixed_precision.set_global_policy("float32")
    deep = attribute(model, inputs, method="shap_deep", settings=settings)
    assert deep.completeness["completeness_error"].max() < 1e-3  # exact: ReLU and maxima only
    assert deep.covariates.shape == (3, 2)
    ours = attribute(float32_copy(model), inputs, method="shap_gradient", settings=settings)
    assert np.corrcoef(deep.covariates.ravel(), ours.covariates.ravel())[0, 1] > 0.95
    with pytest.raises(ValueError, match=r"^model must be made of layers shap's DeepExplainer"):
        attribute(gelu_network(), inputs["ecg"], method="shap_deep", settings=only_ecg(settings))
    # a failed call in this process would have broken this one
    again = attribute(float32_copy(model), inputs, method="shap_gradient", settings=settings)
    np.testing.assert_array_equal(again.maps, ours.maps)


def only_ecg(settings):
    return MethodSettings(RATE_HZ, background={"ecg": settings.background["ecg"]})


def gelu_network():
    ecg = keras.Input((N_SAMPLES, 12), name="ecg")
    x = keras.layers.Conv1D(4, 5, activation="gelu")(ecg)
    logit = keras.layers.Dense(1, name="logit")(keras.layers.GlobalAveragePooling1D()(x))
    return keras.Model(ecg, keras.layers.Activation("sigmoid", name="risk")(logit))


def test_the_names_of_the_methods_are_a_contract():
    assert list(METHODS) == [
        "grad_cam",
        "grad_cam_plus_plus",
        "integrated_gradients",
        "gradient_x_input",
        "smooth_grad",
        "occlusion_by_lead",
        "occlusion_by_wave",
        "shap_gradient",
        "shap_deep",
    ]
