"""Frozen features: what a network's trunk makes of each ECG, computed once and kept."""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path
from typing import Any

import keras
import numpy as np
from tqdm.auto import tqdm

from models_training.files import written_aside
from models_training.inputs import ECG_INPUT, TrainingData


def trunk_of(model: keras.Model) -> keras.Model:
    """Return the part of a network that sees the ECG, up to its features, sharing the weights.

    Parameters
    ----------
    model : keras.Model
        Of `models_training.architectures.build_network`.

    Returns
    -------
    keras.Model
        Input ``ecg`` (batch, n_samples, n_leads), output (batch, n_features): the pooled ones and,
        where the network has that input, those of the leads' amplitudes.
    """
    names = {layer.name for layer in model.layers}
    joined = model.get_layer("features" if "features" in names else "dropout").input
    parts = list(joined) if isinstance(joined, list) else [joined]
    if "covariate_dense" in names:
        parts = parts[:-1]
    pooled = parts[0]
    if len(parts) > 1:  # with the amplitudes
        pooled = keras.layers.Concatenate(name="trunk_features")(parts)
    return keras.Model(model.get_layer(ECG_INPUT).output, pooled, name="trunk")


def embed(
    trunk: keras.Model, data: TrainingData, *, batch_size: int = 64, progress: str = ""
) -> np.ndarray:
    """Return the frozen features of every record, batch-norm and dropout at rest.

    Parameters
    ----------
    trunk : keras.Model
        Of :func:`trunk_of`.
    data : TrainingData
        The cohort; its signals are read in batches.
    batch_size : int
        Records a batch.
    progress : str
        Title of the progress bar; empty: none.

    Returns
    -------
    float32 array of shape (n_records, n_features)
    """
    n = len(data.records)
    found = np.empty((n, trunk.output_shape[-1]), "float32")
    with tqdm(total=n, desc=progress, unit="ECG", disable=not progress) as bar:
        for start in range(0, n, batch_size):
            rows = np.arange(start, min(start + batch_size, n))
            # one shape, so the graph is traced once
            ecg = data.inputs(np.resize(rows, batch_size))[ECG_INPUT]
            features: Any = trunk.predict_on_batch(ecg)
            found[rows] = np.asarray(features, "float32")[: len(rows)]
            bar.update(len(rows))
    return found


def cached_embedding(trunk: keras.Model, data: TrainingData, path: Path) -> np.ndarray:
    """Return :func:`embed`, read from `path` where the same weights saw the same ECGs before."""
    mark = _mark(trunk, data)
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            if str(stored["mark"]) == mark:
                return stored["features"]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        pass  # none yet, or damaged by a crash: computed anew
    features = embed(trunk, data, progress="frozen features")
    with written_aside(path) as aside, aside.open("wb") as file:
        np.savez(file, features=features, mark=np.array(mark))
    return features


def _mark(trunk: keras.Model, data: TrainingData) -> str:
    """Return a hash of the trunk's configuration and weights, and of every ECG."""
    digest = hashlib.sha256(trunk.to_json().encode())
    for weights in trunk.get_weights():
        digest.update(np.ascontiguousarray(weights).tobytes())
    rows = data.records["signal_row"].to_numpy()
    for start in range(0, len(rows), 256):
        digest.update(np.ascontiguousarray(data.signals[rows[start : start + 256]]).tobytes())
    return digest.hexdigest()


def patient_means(features: np.ndarray, data: TrainingData) -> np.ndarray:
    """Return the mean of the features of each patient's ECGs, (n_patients, n_features).

    A linear model's logit of the mean is the mean logit of the patient's ECGs: the score by which
    every variant is judged. A patient without ECGs has NaN.
    """
    count = np.bincount(data.patient_row, minlength=len(data.patients)).astype(float)
    total = np.zeros((len(data.patients), features.shape[1]))
    np.add.at(total, data.patient_row, features)
    return total / np.where(count > 0, count, np.nan)[:, None]
