"""Quick checks of a run's maps: random weights, and agreement with an independent library."""

from __future__ import annotations

import warnings
from typing import Any

import keras
import numpy as np

from explainability.attribution import grad_cam
from explainability.model_access import COVARIATE_INPUT, Inputs
from explainability.sanity_checks import map_similarity, randomise_weights

SIMILAR = 0.8  # mean rank correlation above which a map hardly depends on the weights


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


def check_maps(
    model: keras.Model, inputs: Inputs, *, layer_name: str, seed: int = 0
) -> dict[str, Any]:
    """Return whether Grad-CAM maps depend on the weights, and agree with tf-keras-vis.

    Parameters
    ----------
    model : keras.Model
        A trained network.
    inputs : mapping of str to array
        A few held-out ECGs, and covariates for two-input networks.
    layer_name : str
        Layer of the map.
    seed : int
        Of the random weights.

    Returns
    -------
    dict
        ``random_weights_similarity`` (mean absolute Spearman correlation of the maps with those of
        the same network with random weights, both before the relu, which would leave half of the
        random maps empty; None where a map is flat), ``tf_keras_vis_correlation`` (None for
        two-input networks), ``sentences``.

    References
    ----------
    Adebayo et al. 2018, https://arxiv.org/abs/1810.03292.
    """
    networks = (model, randomise_weights(model, seed=seed))
    signed = [grad_cam(one, inputs, layer_name=layer_name, rectify=False) for one in networks]
    maps = np.maximum(signed[0], 0.0)
    each = np.abs(map_similarity(*signed))  # a map turned upside down shows the same places
    similarity = float(np.nanmean(each)) if np.isfinite(each).any() else float("nan")
    if not np.isfinite(similarity):
        words = "cannot be compared: a map is flat"
    elif similarity > SIMILAR:
        words = f"FAILS: similarity {similarity:.2f}, the maps hardly depend on what was learnt"
    else:
        words = f"similarity {similarity:.2f}: the maps depend on the weights"
    sentences = [f"Random weights ({len(maps)} ECGs of one fold): {words}."]
    correlation = None
    if COVARIATE_INPUT not in inputs:
        theirs = tf_keras_vis_map(model, inputs["ecg"], layer_name=layer_name)
        if maps.std() > 0 and theirs.std() > 0:
            correlation = float(np.corrcoef(maps.ravel(), theirs.ravel())[0, 1])
            sentences.append(f"Correlation with the maps of tf-keras-vis: {correlation:.4f}.")
    return {
        "random_weights_similarity": similarity if np.isfinite(similarity) else None,
        "tf_keras_vis_correlation": correlation,
        "sentences": sentences,
    }
