"""Our maps of one-input networks are those of tf-keras-vis and of shap."""

from __future__ import annotations

import warnings

import keras
import numpy as np
import pytest

from explainability.class_activation import cam_function, grad_cam, plus_plus_weights
from explainability.methods import MethodSettings, attribute
from explainability.reference import agreement_with_tf_keras_vis, tf_keras_vis_map

LAYERS = ("conv2_block3_out", "conv5_block3_out")
CAM = {
    "seek_penultimate_conv_layer": False,
    "expand_cam": False,
    "normalize_cam": False,
}


@pytest.fixture(scope="module")
def vis():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it imports a retired SciPy name
        from tf_keras_vis import gradcam, saliency

    return {"grad_cam": gradcam.Gradcam, "++": gradcam.GradcamPlusPlus, "s": saliency.Saliency}


@pytest.fixture(scope="module")
def logit_model(build_network):
    model = build_network(is_head_linear=False)
    return model, keras.Model(model.inputs, model.get_layer("logit").output)


def first_column(output):
    return output[:, 0]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("layer", LAYERS)
def test_class_activation_maps(vis, logit_model, make_inputs, layer):
    model, logits = logit_model
    ecg = make_inputs(4)["ecg"]
    theirs = vis["grad_cam"](logits, clone=False)(first_column, ecg, penultimate_layer=layer, **CAM)
    ours = grad_cam(model, ecg, layer_name=layer)
    assert ours.any()
    np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-7)
    theirs = vis["++"](logits, clone=False)(first_column, ecg, penultimate_layer=layer, **CAM)
    ours = cam_function(model, plus_plus_weights, layer_name=layer)({"ecg": ecg})
    # theirs carries the exponential of the logit, one factor a record
    factor = np.exp(keras.ops.convert_to_numpy(logits(ecg)))
    assert ours.any()
    np.testing.assert_allclose(ours * factor, theirs, rtol=1e-3, atol=1e-7)


def test_agreement_in_one_sentence(logit_model, make_inputs, monkeypatch):
    model, inputs = logit_model[0], make_inputs(3)
    words = agreement_with_tf_keras_vis(model, inputs, layer_name=LAYERS[0])
    assert words.startswith("Grad-CAM and tf-keras-vis: the maps of 3 ECGs differ by at most ")
    assert float(words.split()[-5]) < 1e-4
    ours = grad_cam(model, inputs, layer_name=LAYERS[0])
    half = ours - 0.5 * ours.max() * (ours == ours.max())
    monkeypatch.setattr("explainability.reference.tf_keras_vis_map", lambda *_, **__: half)
    words = agreement_with_tf_keras_vis(model, inputs, layer_name=LAYERS[0])
    assert words.endswith("differ by at most 5.0e-01 of the largest value.")
    monkeypatch.setattr("explainability.reference.grad_cam", lambda *_, **__: 0 * ours)
    monkeypatch.setattr("explainability.reference.tf_keras_vis_map", lambda *_, **__: 0 * ours)
    words = agreement_with_tf_keras_vis(model, inputs, layer_name=LAYERS[0])
    assert words.endswith("the maps of all 3 ECGs are empty in both.")


def test_networks_with_covariates_are_not_compared(build_network, make_inputs):
    model, inputs = build_network(n_covariates=2), make_inputs(2, 2)
    words = agreement_with_tf_keras_vis(model, inputs, layer_name=LAYERS[0])
    assert words == (
        "Grad-CAM was not compared with tf-keras-vis, which returns a false map for networks "
        "with covariates."
    )
    with pytest.raises(ValueError, match="model must have one input, got 2"):
        tf_keras_vis_map(model, inputs["ecg"], layer_name=LAYERS[0])


@pytest.mark.filterwarnings("ignore")
def test_gradients_smooth_and_plain(vis, logit_model, make_inputs):
    model, logits = logit_model
    ecg = make_inputs(3)["ecg"]
    options = {"keepdims": True, "gradient_modifier": None, "normalize_map": False}
    theirs = vis["s"](logits, clone=False)(first_column, ecg, **options)
    plain = MethodSettings(100.0, n_draws=1, noise_share=0.0)
    ours = attribute(model, {"ecg": ecg}, method="smooth_grad", settings=plain).maps
    np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-7)
    np.random.seed(0)  # noqa: NPY002
    options |= {"smooth_samples": 60, "smooth_noise": 0.1}
    theirs = vis["s"](logits, clone=False)(first_column, ecg, **options)
    noisy = MethodSettings(100.0, n_draws=60, noise_share=0.1)
    ours = attribute(model, {"ecg": ecg}, method="smooth_grad", settings=noisy).maps
    assert np.corrcoef(ours.ravel(), np.asarray(theirs).ravel())[0, 1] > 0.95


@pytest.mark.filterwarnings("ignore")
def test_shap_called_plainly_and_integrated_gradients_as_its_limit(logit_model, make_inputs):
    import shap

    model, logits = logit_model
    ecg = make_inputs(2)["ecg"]
    background = {"ecg": np.zeros_like(ecg[:1])}
    plain = shap.GradientExplainer(logits, background["ecg"])
    theirs = plain.shap_values(ecg, nsamples=2000, rseed=0)[..., 0]
    settings = MethodSettings(100.0, n_steps=64, n_draws=2000, background=background)
    ours = attribute(model, ecg, method="shap_gradient", settings=settings)
    np.testing.assert_allclose(ours.maps, theirs, rtol=1e-3, atol=1e-6)
    path = attribute(model, ecg, method="integrated_gradients", settings=settings)
    assert np.corrcoef(path.maps.ravel(), theirs.ravel())[0, 1] > 0.995


def test_other_back_ends_are_not_compared(build_network, make_inputs, monkeypatch):
    monkeypatch.setattr("keras.backend.backend", lambda: "jax")
    words = agreement_with_tf_keras_vis(build_network(), make_inputs(1), layer_name=LAYERS[0])
    assert words == "Grad-CAM was not compared with tf-keras-vis, which needs TensorFlow."
