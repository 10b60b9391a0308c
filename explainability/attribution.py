"""Where in the ECG a network's score comes from: Grad-CAM, integrated gradients, occlusion.

What is explained is a score object, by default the logit: it is unbounded and additive, while
the risk saturates and its gradients vanish for the patients at highest risk. Every function
works in batches; where the maps of all records do not fit in memory, pass ``out`` (a memory map) or
go through `model_access.batches` some hundred records at a time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
import pandas as pd

from explainability.integrated import Attribution, integrated_gradients
from explainability.model_access import (
    ECG_INPUT,
    Inputs,
    batches,
    check_inputs,
    gradient_function,
    layer_output,
    split_at_layer,
    to_numpy,
)
from explainability.resolution import MapResolution, map_resolution, resize_map
from explainability.scores import LogitScore, Score, check_score, score_function

__all__ = [
    "Attribution",
    "LogitScore",
    "MapResolution",
    "Score",
    "grad_cam",
    "gradient_x_input",
    "integrated_gradients",
    "map_resolution",
    "occlude_leads",
    "resize_map",
]


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
        If the inputs do not fit, or the layer has no time axis or is not on the way to the score.

    Notes
    -----
    map[t] = relu(sum_c alpha_c A[t, c]) with alpha_c the mean **over time** of d score / d A[t, c].

    References
    ----------
    Selvaraju et al. 2017, doi 10.1109/ICCV.2017.74.
    """
    score = check_score(score)
    arrays = check_inputs(model, inputs)
    shape = tuple(layer_output(model, layer_name).shape[1:])
    if len(shape) != 2:
        raise ValueError(
            f"layer_name must have outputs of shape (steps, channels), got {shape} from "
            f"{layer_name!r}. Choose a stage output such as 'conv5_block3_out'."
        )
    lower, upper = split_at_layer(model, layer_name, score.layer_name)
    maps = _prepare(out, (_n_records(arrays), shape[0]))
    for rows, batch in batches(arrays, batch_size=batch_size):
        tensors = _tensors(batch)
        activation = lower(tensors, training=False)

        def function(points: list[Any], fixed: list[Any] = tensors) -> Any:
            return score(upper([*points, *fixed], training=False))

        _, (gradient,) = gradient_function(function)([activation])
        alpha = gradient.mean(axis=1, keepdims=True)
        signed = (alpha * to_numpy(activation)).sum(axis=-1)
        maps[rows] = np.maximum(signed, 0.0) if rectify else signed
    return maps


def gradient_x_input(
    model: keras.Model,
    inputs: Inputs | np.ndarray,
    *,
    score: Score | None = None,
    batch_size: int = 32,
    out: np.ndarray | None = None,
) -> np.ndarray:
    """Return gradient times input for the ECG: the cheap, local relative of integrated gradients.

    Parameters
    ----------
    model, inputs, score, batch_size
        As for `integrated_gradients`.
    out : array of shape (n_records, n_samples, n_leads), optional
        Where to write.

    Returns
    -------
    float32 array of shape (n_records, n_samples, n_leads)
        Logits; they do not sum to the score unless the network is linear.

    References
    ----------
    Ancona et al. 2018, https://openreview.net/forum?id=Sy21R9JAW.
    """
    function, _ = score_function(model, score)
    arrays = check_inputs(model, inputs)
    differentiate = gradient_function(function)
    result = _prepare(out, arrays[ECG_INPUT].shape)
    for rows, batch in batches(arrays, batch_size=batch_size):
        _, gradients = differentiate(list(batch.values()))
        result[rows] = batch[ECG_INPUT] * dict(zip(batch, gradients, strict=True))[ECG_INPUT]
    return result


def occlude_leads(
    model: keras.Model,
    inputs: Inputs | np.ndarray,
    *,
    groups: Mapping[str, Sequence[int]],
    score: Score | None = None,
    baseline_mv: float = 0.0,
    batch_size: int = 32,
) -> pd.DataFrame:
    """Return how far the score falls when leads are replaced by a flat line.

    Parameters
    ----------
    model, inputs, score, batch_size
        As for `grad_cam`.
    groups : mapping of str to sequence of int
        Name to positions of leads, such as ``{"V1": [6]}`` or ``{"limb": range(6)}``.
    baseline_mv : float
        Millivolts put in their place.

    Returns
    -------
    DataFrame of shape (n_records, n_groups)
        score(record) - score(occluded record), in logits; positive: the lead raised the score.

    Raises
    ------
    ValueError
        If a group is empty or names a lead the model lacks.

    Notes
    -----
    One limb lead without its five relatives breaks Einthoven's law, a record no network has
    seen; occluding the limb leads together is the safer question.

    References
    ----------
    Zeiler & Fergus 2014, doi 10.1007/978-3-319-10590-1_53.
    """
    function, _ = score_function(model, score)
    arrays = check_inputs(model, inputs)
    n_leads = arrays[ECG_INPUT].shape[2]
    for name, leads in groups.items():
        if len(leads) == 0 or not all(0 <= lead < n_leads for lead in leads):
            raise ValueError(
                f"groups[{name!r}] must hold positions from 0 to {n_leads - 1}, "
                f"got {list(leads)}. Name at least one lead of the model."
            )
    result = np.zeros((_n_records(arrays), len(groups)))
    for rows, batch in batches(arrays, batch_size=batch_size):
        full = to_numpy(function(list(batch.values())))
        for column, leads in enumerate(groups.values()):
            occluded = batch[ECG_INPUT].copy()
            occluded[:, :, list(leads)] = baseline_mv
            changed = {**batch, ECG_INPUT: occluded}
            result[rows, column] = full - to_numpy(function(list(changed.values())))
    return pd.DataFrame(result, columns=list(groups))


def _n_records(arrays: Inputs) -> int:
    return len(arrays[ECG_INPUT])


def _tensors(batch: Inputs) -> list[Any]:
    return [keras.ops.convert_to_tensor(array) for array in batch.values()]


def _prepare(out: np.ndarray | None, shape: tuple[int, ...]) -> np.ndarray:
    """Return the array to write to, after checking a given one."""
    if out is None:
        return np.zeros(shape, dtype=np.float32)
    if tuple(out.shape) != tuple(shape):
        raise ValueError(
            f"out must be of shape {tuple(shape)}, got {tuple(out.shape)}. "
            "Make it with numpy.lib.format.open_memmap."
        )
    return out
