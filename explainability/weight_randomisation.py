"""Does a map change when what the network learned is destroyed? If not, it shows no learning."""

from __future__ import annotations

import keras
import numpy as np
from scipy.stats import rankdata

from explainability.model_access import private_copy

# Scaling layers hold facts about the training rows (mean, spread), not learned weights; so does
# the output layer of a number.
KEPT_LAYERS = ("ecg_scaling", "amplitude_scaling", "covariate_scaling", "risk")


def randomise_weights(
    model: keras.Model,
    *,
    n_layers: int | None = None,
    seed: int = 0,
    into: keras.Model | None = None,
) -> keras.Model:
    """Return a copy whose learned weights are random, from the output downwards.

    Parameters
    ----------
    model : keras.Model
        Left as it is.
    n_layers : int, optional
        How many layers with weights to randomise, counted from the output; all when left out.
    seed : int
        Of the weights.
    into : keras.Model, optional
        What an earlier call returned: it takes the weights, which spares building a deep graph.

    Returns
    -------
    keras.Model
        Kernels are drawn from a normal distribution of mean 0 and the root mean square of the
        trained kernel, so that signals keep their size; vectors (biases, batch-norm statistics)
        are permuted. The scaling layers `KEPT_LAYERS` stay.

    Raises
    ------
    ValueError
        If `n_layers` is below 1 or above the number of layers with weights.

    References
    ----------
    Adebayo et al. 2018, https://arxiv.org/abs/1810.03292.
    """
    names = weighted_layers(model)
    if n_layers is None:
        n_layers = len(names)
    if not 1 <= n_layers <= len(names):
        raise ValueError(
            f"n_layers must be between 1 and {len(names)}, got {n_layers}. "
            "Count the layers with weights."
        )
    copy = private_copy(model) if into is None else into
    copy.set_weights(model.get_weights())
    rng = np.random.default_rng(seed)
    for name in names[:n_layers]:
        layer = copy.get_layer(name)
        layer.set_weights([_randomise(values, rng) for values in layer.get_weights()])
    return copy


def weighted_layers(model: keras.Model) -> list[str]:
    """Return the layers that hold learned weights, from the output downwards."""
    names = [layer.name for layer in model.layers if layer.get_weights()]
    return [name for name in reversed(names) if name not in KEPT_LAYERS]


def map_correlation(maps: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return Pearson's correlation of two maps of each record, signs included.

    Parameters
    ----------
    maps, others : array of shape (n_records, ...)
        If two maps are a common part and parts of their own of equal size, the correlation is the
        common part's share of the variance.

    Returns
    -------
    float array of shape (n_records,)
        NaN where one of the two is constant.

    Examples
    --------
    >>> map_correlation(np.array([[1, 2, 3]]), np.array([[-1, -2, -3]])).round(6).tolist()
    [-1.0]
    """
    flat = [np.asarray(values, np.float64).reshape(len(values), -1) for values in (maps, others)]
    centred = [values - values.mean(axis=1, keepdims=True) for values in flat]
    spread = np.sqrt((centred[0] ** 2).sum(axis=1) * (centred[1] ** 2).sum(axis=1))
    product = (centred[0] * centred[1]).sum(axis=1)
    return np.divide(product, spread, out=np.full(len(product), np.nan), where=spread > 0)


def map_similarity(maps: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return the Spearman correlation of two maps of each record.

    Parameters
    ----------
    maps, others : array of shape (n_records, ...)
        Signed maps are compared with their signs.

    Returns
    -------
    float array of shape (n_records,)
        -1 to 1, NaN where one of the two is constant.

    Raises
    ------
    ValueError
        If the shapes differ.

    Examples
    --------
    >>> map_similarity(np.array([[1, 2, 3]]), np.array([[10, 30, 90]])).tolist()
    [1.0]
    """
    maps, others = np.asarray(maps), np.asarray(others)
    if maps.shape != others.shape or maps.ndim < 2:
        raise ValueError(
            f"others must have the shape of maps {maps.shape}, got {others.shape}. "
            "Explain the same records with the same layer."
        )
    ranks = [rankdata(values.reshape(len(values), -1), axis=1) for values in (maps, others)]
    return map_correlation(*ranks)


def _randomise(values: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return random values of the same size: kernels drawn anew, vectors permuted."""
    if values.ndim < 2:
        return rng.permutation(values)
    size = np.sqrt(np.mean(np.square(values, dtype=np.float64)))
    return rng.normal(0.0, size, values.shape).astype(values.dtype)
