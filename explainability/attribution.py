"""Where in the ECG a network's score comes from: each method alone; `methods` has one call for all.

What is explained is a score object, by default the logit: it is unbounded and additive, while
the risk saturates and its gradients vanish for the patients at highest risk. Every function
works in batches; where the maps of all records do not fit in memory, pass ``out`` (a memory map) or
give `methods.attribute` a file.
"""

from __future__ import annotations

import keras
import numpy as np

from explainability.batch_maps import (
    BatchExplainer,
    BatchMap,
    explain_batches,
    n_records_of,
    prepare_out,
)
from explainability.class_activation import default_layer, grad_cam, grad_cam_plus_plus
from explainability.gradients import CALLS_THAT_PAY, gradient_function
from explainability.integrated import Attribution, integrated_gradients
from explainability.model_access import ECG_INPUT, Inputs, check_has_gradient, check_inputs
from explainability.occlusion import occlude_leads, occlude_waves
from explainability.resolution import MapResolution, map_resolution, resize_map
from explainability.scores import LogitScore, Score, score_function

__all__ = [
    "Attribution",
    "LogitScore",
    "MapResolution",
    "Score",
    "default_layer",
    "grad_cam",
    "grad_cam_plus_plus",
    "gradient_x_input",
    "integrated_gradients",
    "map_resolution",
    "occlude_leads",
    "occlude_waves",
    "resize_map",
    "smooth_grad",
]


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
    arrays = check_inputs(model, inputs)
    pays = n_records_of(arrays) > CALLS_THAT_PAY * batch_size
    explain = gradient_explainer(model, score=score, is_compiled=pays)
    result = prepare_out(out, arrays[ECG_INPUT].shape)
    explain_batches(explain, arrays, out=result, batch_size=batch_size)
    return result


def smooth_grad(
    model: keras.Model,
    inputs: Inputs | np.ndarray,
    *,
    score: Score | None = None,
    n_draws: int = 25,
    noise_share: float = 0.1,
    seed: int = 0,
    batch_size: int = 32,
) -> np.ndarray:
    """Return SmoothGrad: the gradient of the score, averaged over noisy copies of the ECG.

    Parameters
    ----------
    model, inputs, score, batch_size
        As for `integrated_gradients`.
    n_draws : int
        Noisy copies of each record.
    noise_share : float
        SD of the normal noise, as a share of the record's range (highest less lowest mV).
    seed : int
        Of the noise; a record's noise depends on its row alone, not on the batches.

    Returns
    -------
    float32 array of shape (n_records, n_samples, n_leads)
        Logits per mV, signed: how steeply the score rises with the voltage. They are no
        contributions and sum to nothing.

    Raises
    ------
    ValueError
        If `n_draws` is below 1 or `noise_share` negative.

    References
    ----------
    Smilkov et al. 2017, https://arxiv.org/abs/1706.03825.
    """
    arrays = check_inputs(model, inputs)
    pays = n_records_of(arrays) * n_draws > CALLS_THAT_PAY * batch_size
    explain = smooth_explainer(
        model,
        score=score,
        n_draws=n_draws,
        noise_share=noise_share,
        seed=seed,
        is_compiled=pays,
    )
    result = np.zeros(arrays[ECG_INPUT].shape, np.float32)
    explain_batches(explain, arrays, out=result, batch_size=batch_size)
    return result


def gradient_explainer(
    model: keras.Model, *, score: Score | None = None, is_compiled: bool = False
) -> BatchExplainer:
    """Return a function from a batch to gradient times input."""
    function, score = score_function(model, score)
    check_has_gradient(model, score.layer_name)
    differentiate = gradient_function(function, is_compiled=is_compiled)

    def explain(batch: Inputs, rows: slice) -> BatchMap:
        del rows
        _, gradients = differentiate(list(batch.values()))
        return BatchMap(batch[ECG_INPUT] * dict(zip(batch, gradients, strict=True))[ECG_INPUT])

    return explain


def smooth_explainer(
    model: keras.Model,
    *,
    score: Score | None = None,
    n_draws: int = 25,
    noise_share: float = 0.1,
    seed: int = 0,
    is_compiled: bool = False,
) -> BatchExplainer:
    """Return a function from a batch and its rows to averaged gradients."""
    if n_draws < 1:
        raise ValueError(f"n_draws must be at least 1, got {n_draws}. Use 25 to 100.")
    if noise_share < 0:
        raise ValueError(f"noise_share must be 0 or more, got {noise_share}. Use 0.1.")
    function, score = score_function(model, score)
    check_has_gradient(model, score.layer_name)
    differentiate = gradient_function(function, is_compiled=is_compiled)

    def explain(batch: Inputs, rows: slice) -> BatchMap:
        ecg = batch[ECG_INPUT]
        size = noise_share * np.ptp(ecg, axis=(1, 2))[:, None, None]
        numbers = range(rows.start, rows.start + len(ecg))
        draws = [np.random.default_rng([seed, number]) for number in numbers]
        total = np.zeros(ecg.shape, np.float64)
        for _ in range(n_draws):  # a draw of all records at a time: memory is that of one batch
            noise = np.stack([draw.standard_normal(ecg.shape[1:], np.float32) for draw in draws])
            noisy = {**batch, ECG_INPUT: ecg + size * noise}
            _, gradients = differentiate(list(noisy.values()))
            total += dict(zip(batch, gradients, strict=True))[ECG_INPUT]
        return BatchMap((total / n_draws).astype(np.float32))

    return explain
