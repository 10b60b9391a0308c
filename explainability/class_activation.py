"""Grad-CAM and Grad-CAM++: when in the record a layer's outputs push the score up."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from explainability.batch_maps import n_records_of, prepare_out
from explainability.gradients import CALLS_THAT_PAY, compiled, gradient_function
from explainability.model_access import (
    ECG_INPUT,
    Inputs,
    batches,
    check_has_gradient,
    check_inputs,
    ecg_samples,
    layer_output,
    split_at_layer,
    tensor_ancestors,
    to_numpy,
)
from explainability.scores import Score, check_score

FINEST_WAVE_SECONDS = 0.1  # a normal QRS complex: coarser steps cannot tell it from its neighbours


def grad_cam(
    model: keras.Model,
    inputs: Inputs | np.ndarray,
    *,
    layer_name: str,
    score: Score | None = None,
    batch_size: int = 32,
    rectify: bool = True,
    out: np.ndarray | None = None,
) -> np.ndarray:
    """Return non-negative Grad-CAM maps: when in the record the score is pushed up.

    Parameters
    ----------
    model : keras.Model
        Flat functional network with input ``ecg`` (n_samples, n_leads) in mV and optionally
        ``covariates`` (n_columns), NaN for missing.
    inputs : mapping of str to array, or array of shape (n_records, n_samples, n_leads)
        One array an input.
    layer_name : str
        Stage output such as ``conv5_block3_out``, of shape (steps, channels).
    score : Score, optional
        What is explained; `LogitScore` by default. A bare index is not accepted.
    batch_size : int
        Records at a time.
    rectify : bool
        False leaves out the relu: where the score is pushed down the map is then negative.
    out : array of shape (n_records, n_steps), optional
        Where to write.

    Returns
    -------
    float32 array of shape (n_records, n_steps)
        At least 0, in logits per step up to a factor, not normalised. The map has **no lead
        axis**; see `map_resolution` for what one step stands for.

    Raises
    ------
    TypeError
        If `score` is not a score object.
    ValueError
        If the inputs do not fit, or the layer has no time axis or is not on the way to the score,
        or the network has no gradient.

    Notes
    -----
    map[t] = relu(sum_c alpha_c A[t, c]) with alpha_c the mean **over time** of d score / d A[t, c].

    References
    ----------
    Selvaraju et al. 2017, doi 10.1109/ICCV.2017.74.
    """
    options = {"layer_name": layer_name, "score": check_score(score), "rectify": rectify}
    arrays = check_inputs(model, inputs)
    n_records = n_records_of(arrays)
    pays = n_records > CALLS_THAT_PAY * batch_size
    explain = cam_function(model, mean_weights, is_compiled=pays, **options)
    n_steps = int(layer_output(model, layer_name).shape[1])
    maps = prepare_out(out, (n_records, n_steps))
    for rows, batch in batches(arrays, batch_size=batch_size):
        maps[rows] = explain(batch)
    return maps


def mean_weights(gradient: np.ndarray, activation: np.ndarray) -> np.ndarray:
    """Return Grad-CAM's weight of each channel, shape (n_records, 1, n_channels)."""
    del activation
    return gradient.mean(axis=1, keepdims=True)


def plus_plus_weights(gradient: np.ndarray, activation: np.ndarray) -> np.ndarray:
    """Return Grad-CAM++'s weight of each channel, shape (n_records, 1, n_channels).

    Notes
    -----
    With g = d score / d A[t, c] and S_c the sum of A over time: a = g^2 / (2 g^2 + S_c g^3),
    divided by its sum over time; the weight is sum_t a relu(g), so channels that push the score
    down never count. The source's exponential of the score is left out: it is one positive factor
    a record, which would only make the maps of patients at high risk brighter.

    References
    ----------
    Chattopadhay et al. 2018, doi 10.1109/WACV.2018.00097.
    """
    gradient = gradient.astype(np.float64)
    square, total = gradient**2, activation.sum(axis=1, keepdims=True, dtype=np.float64)
    below = 2 * square + total * square * gradient
    alpha = np.divide(square, below, out=np.zeros_like(square), where=(square > 0) & (below != 0))
    size = alpha.sum(axis=1, keepdims=True)
    alpha = np.divide(alpha, size, out=alpha, where=size != 0)
    return (alpha * np.maximum(gradient, 0.0)).sum(axis=1, keepdims=True)


Weights = Callable[[np.ndarray, np.ndarray], np.ndarray]


def cam_function(
    model: keras.Model,
    weights: Weights,
    *,
    layer_name: str,
    score: Score | None = None,
    rectify: bool = True,
    is_compiled: bool = False,
) -> Callable[[Inputs], np.ndarray]:
    """Return a function from one batch to its maps, shape (n_records, n_steps)."""
    score = check_score(score)
    shape = tuple(layer_output(model, layer_name).shape[1:])
    if len(shape) != 2:
        raise ValueError(
            f"layer_name must have outputs of shape (steps, channels), got {shape} from "
            f"{layer_name!r}. Choose a stage output such as 'conv5_block3_out'."
        )
    check_has_gradient(model, score.layer_name)
    lower, upper = split_at_layer(model, layer_name, score.layer_name)
    activate = compiled(lambda tensors: lower(tensors, training=False), is_compiled=is_compiled)

    def function(points: list[Any]) -> Any:
        return score(upper(points, training=False))

    differentiate = gradient_function(function, n_watched=1, is_compiled=is_compiled)

    def explain(batch: Inputs) -> np.ndarray:
        tensors = [keras.ops.convert_to_tensor(array) for array in batch.values()]
        activation = activate(tensors)
        _, (gradient,) = differentiate([activation, *tensors])
        values = to_numpy(activation)
        signed = (weights(gradient, values) * values).sum(axis=-1)
        return np.maximum(signed, 0.0) if rectify else signed

    return explain


def default_layer(model: keras.Model, *, rate_hz: float, score: Score | None = None) -> str:
    """Return the layer Grad-CAM takes where none is named.

    Parameters
    ----------
    model : keras.Model
        Network with the input ``ecg``.
    rate_hz : float
        Sampling rate of the ECG it takes.
    score : Score, optional
        What is explained.

    Returns
    -------
    str
        The last block or stage (``..._out``) on the way from ECG to score with a step of 0.1 s or
        shorter, the duration of a normal QRS complex; the finest where all are coarser. In a
        network without such names, the same among all layers of shape (steps, channels) above
        the first with weights.

    Raises
    ------
    ValueError
        If no layer between ECG and score has a time axis.
    """
    score_name = check_score(score).layer_name
    ancestors = tensor_ancestors(model)
    on_the_way = ancestors[id(layer_output(model, score_name))]
    n_samples = ecg_samples(model)
    steps: dict[str, int] = {}
    has_weights = False
    for layer in model.layers:
        tensors = keras.tree.flatten(layer.output)
        is_inside = layer.name in on_the_way and ECG_INPUT in ancestors.get(id(tensors[0]), ())
        if isinstance(layer, keras.layers.InputLayer) or not is_inside:
            continue
        has_weights |= bool(layer.weights) and not layer.name.endswith("_scaling")
        shape = tensors[0].shape
        if has_weights and len(shape) == 3 and shape[1] is not None:
            steps[layer.name] = int(shape[1])
    ends = {name: n for name, n in steps.items() if name.endswith("_out")} or steps
    if not ends:
        raise ValueError(
            f"model must have a layer of shape (steps, channels) between 'ecg' and {score_name!r}, "
            "got none. Use occlusion by lead or by wave."
        )
    is_fine = [name for name, n in ends.items() if n_samples / n / rate_hz <= FINEST_WAVE_SECONDS]
    return is_fine[-1] if is_fine else max(ends, key=lambda name: ends[name])
