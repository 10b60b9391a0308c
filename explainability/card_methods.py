"""The two map methods of the notebook, as the report card takes them."""

from __future__ import annotations

import keras
import numpy as np

from explainability.attribution import grad_cam, integrated_gradients
from explainability.card_data import MapMethod
from explainability.model_access import ECG_INPUT, Inputs
from explainability.resolution import resize_map, step_centres


def card_methods(layer_name: str, *, n_steps: int = 32) -> list[MapMethod]:
    """Return Grad-CAM and integrated gradients.

    Parameters
    ----------
    layer_name : str
        Layer of Grad-CAM. Its map is compared as it is before the relu and drawn as it is after.
    n_steps : int
        Points of the integrated gradients.
    """

    def cam(model: keras.Model, inputs: Inputs) -> np.ndarray:
        maps = grad_cam(model, inputs, layer_name=layer_name, rectify=False)
        centres = step_centres(model, layer_name)
        return resize_map(maps, inputs[ECG_INPUT].shape[1], centres)

    def gradients(model: keras.Model, inputs: Inputs) -> np.ndarray:
        return integrated_gradients(model, inputs, n_steps=n_steps).ecg

    return [
        MapMethod("grad_cam", cam, is_positive=True),
        MapMethod("integrated_gradients", gradients),
    ]
