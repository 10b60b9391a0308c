"""Agreement of a run's Grad-CAM maps with an independent library."""

from __future__ import annotations

import warnings

import keras
import numpy as np

from explainability.class_activation import grad_cam
from explainability.model_access import COVARIATE_INPUT, ECG_INPUT, Inputs


def agreement_with_tf_keras_vis(model: keras.Model, inputs: Inputs, *, layer_name: str) -> str:
    """Return in one sentence how far Grad-CAM maps differ from those of tf-keras-vis.

    Parameters
    ----------
    model : keras.Model
        A trained network.
    inputs : mapping of str to array
        A few ECGs, and covariates for two-input networks.
    layer_name : str
        Layer of the map.

    Returns
    -------
    str
        The largest absolute difference over the largest value of both maps. A network with
        covariates is not compared: tf-keras-vis returns a false map for their input. Nor is
        anything where Keras does not run on TensorFlow.
    """
    if keras.backend.backend() != "tensorflow":
        return "Grad-CAM was not compared with tf-keras-vis, which needs TensorFlow."
    if COVARIATE_INPUT in inputs:
        return (
            "Grad-CAM was not compared with tf-keras-vis, which returns a false map for networks "
            "with covariates."
        )
    ours = grad_cam(model, inputs, layer_name=layer_name)
    theirs = tf_keras_vis_map(model, inputs[ECG_INPUT], layer_name=layer_name)
    top = float(max(ours.max(), theirs.max()))
    if top == 0:
        return f"Grad-CAM and tf-keras-vis: the maps of all {len(ours)} ECGs are empty in both."
    difference = float(np.abs(ours - theirs).max()) / top
    return (
        f"Grad-CAM and tf-keras-vis: the maps of {len(ours)} ECGs differ by at most "
        f"{difference:.1e} of the largest value."
    )


def tf_keras_vis_map(model: keras.Model, ecg: np.ndarray, *, layer_name: str) -> np.ndarray:
    """Return the Grad-CAM maps of tf-keras-vis, (n_records, n_steps), for a one-input network.

    It is not for two-input networks: it returns a map of the covariates' shape for their input.

    Raises
    ------
    ValueError
        If the network has covariates.
    """
    if len(model.inputs) != 1:
        raise ValueError(
            f"model must have one input, got {len(model.inputs)}. tf-keras-vis returns a false map "
            "for the covariate input; use grad_cam."
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it imports a retired SciPy name
        from tf_keras_vis.gradcam import Gradcam

        explainer = Gradcam(keras.Model(model.inputs, model.get_layer("logit").output), clone=False)
        found = explainer(
            lambda output: output[:, 0],
            np.asarray(ecg),
            penultimate_layer=layer_name,
            seek_penultimate_conv_layer=False,
            expand_cam=False,
            normalize_cam=False,
        )
    return np.asarray(found)
