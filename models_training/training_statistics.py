"""Everything inside a network that is computed from training ECGs rather than learnt."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np

from models_training.inputs import ECG_INPUT, TrainingData
from models_training.layers import MIN_SD_MV, RandomKernels, TrainingScale

_RECORDS_AT_A_TIME = 256
_MIN_LOG_SD = 0.01  # amplitudes within a per cent of each other are one and the same


def set_training_statistics(
    model: keras.Model,
    data: TrainingData,
    rows: np.ndarray,
    *,
    seed: int = 0,
    keeps_scaling: bool = False,
) -> None:
    """Write the statistics of training rows into a network; the ECGs are read in pieces.

    Scaling of the leads (unless each ECG is scaled by itself), of the amplitudes and of the
    covariates (every patient once), and the biases of random kernels, in this order.

    Parameters
    ----------
    model : keras.Model
        From `build_network`.
    data : TrainingData
        The cohort.
    rows : int array
        Training records; nothing else is read.
    seed : int
        Of the random kernels.
    keeps_scaling : bool
        Whether the leads stay scaled as they are: an encoder's weights belong to the scaling that
        they were learnt with. Amplitudes join beside the encoder.
    """
    layers = {layer.name: layer for layer in model.layers}
    scaling: Any = layers["ecg_scaling"]
    if isinstance(scaling, TrainingScale) and not keeps_scaling:
        mean, scale = _moments(_pieces(data, rows))
        scaling.set_statistics(mean, np.maximum(scale, MIN_SD_MV))
    if "amplitude" in layers:
        amplitudes = (np.asarray(layers["amplitude"](piece)) for piece in _pieces(data, rows))
        mean, scale = _moments(amplitudes)
        layers["amplitude_scaling"].set_statistics(mean, np.maximum(scale, _MIN_LOG_SD))
    if "covariate_scaling" in layers:
        values = data.covariates.iloc[np.unique(data.patient_row[rows])]
        # not by the SD alone: that of a constant column is rounding, not 0
        mean, scale = values.mean().fillna(0.0), values.std(ddof=0).where(values.nunique() > 1, 0.0)
        layers["covariate_scaling"].set_statistics(
            mean.to_numpy("float32"), scale.to_numpy("float32")
        )
    for layer in layers.values():
        if isinstance(layer, RandomKernels):
            layer.fit(_reader(data, rows, scaling), len(rows), seed=seed)


def _pieces(data: TrainingData, rows: np.ndarray) -> Iterator[np.ndarray]:
    """Yield the ECGs of some records in mV, a few at a time."""
    for start in range(0, len(rows), _RECORDS_AT_A_TIME):
        yield data.inputs(rows[start : start + _RECORDS_AT_A_TIME])[ECG_INPUT]


def _reader(
    data: TrainingData, rows: np.ndarray, scaling: keras.layers.Layer
) -> Callable[[np.ndarray], Any]:
    """Return a function from positions among the training rows to scaled ECGs."""
    return lambda chosen: scaling(data.inputs(rows[chosen])[ECG_INPUT])


def _moments(pieces: Iterator[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and SD of the last axis' columns over all else; NaN is left out."""
    total, squares, n = 0.0, 0.0, 0
    for piece in pieces:
        values = piece.reshape(-1, piece.shape[-1]).astype("float64")
        total, squares, n = (
            total + np.nansum(values, axis=0),
            squares + np.nansum(np.square(values), axis=0),
            n + np.isfinite(values).sum(axis=0),
        )
    mean = total / np.maximum(n, 1)
    scale = np.sqrt(np.maximum(squares / np.maximum(n, 1) - np.square(mean), 0.0))
    return np.asarray(mean, "float32"), np.asarray(scale, "float32")
