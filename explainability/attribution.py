"""Gradients of a score at the ECG: times the input, and averaged over noise.

`methods` has one call for all methods. What is explained is a score object, by default the logit:
it is unbounded and additive, while the risk saturates and its gradients vanish for the patients at
highest risk.
"""

from __future__ import annotations

import keras
import numpy as np

from explainability.batch_maps import BatchExplainer, BatchMap
from explainability.class_activation import grad_cam
from explainability.gradients import gradient_function
from explainability.integrated import integrated_gradients
from explainability.model_access import ECG_INPUT, Inputs, check_has_gradient
from explainability.scores import Score, score_function

__all__ = [
    "grad_cam",
    "gradient_explainer",
    "integrated_gradients",
    "smooth_explainer",
]


def gradient_explainer(
    model: keras.Model, *, score: Score | None = None, is_compiled: bool = False
) -> BatchExplainer:
    """Return a function from a batch to gradient times input, the cheap, local relative of paths.

    Values are logits, float32 (n_records, n_samples, n_leads); they do not sum to the score unless
    the network is linear. Ancona et al. 2018, https://openreview.net/forum?id=Sy21R9JAW.
    """
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
    """Return a function to SmoothGrad: gradients averaged over noisy copies of the ECG.

    Parameters
    ----------
    model, score, is_compiled
        As for `occlusion.lead_explainer`.
    n_draws : int
        Noisy copies of each record.
    noise_share : float
        SD of the normal noise, as a share of the record's range (highest less lowest mV).
    seed : int
        Of the noise; a record's noise depends on its row alone, not on the batches.

    Returns
    -------
    callable
        From a batch and its rows to logits per mV, signed, float32 (n_records, n_samples, n_leads):
        how steeply the score rises with the voltage. They are no contributions and sum to nothing.

    Raises
    ------
    ValueError
        If `n_draws` is below 1 or `noise_share` negative.

    References
    ----------
    Smilkov et al. 2017, https://arxiv.org/abs/1706.03825.
    """
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
