"""Questions a clinician asks of held-out ECGs, each put to the network of the patient's own fold.

Which training patients look alike to it, and what does its risk become with another wave?
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import keras
import numpy as np
import pandas as pd

from explainability.counterfactual import FoldNetwork, score_replacements
from explainability.model_access import (
    ECG_INPUT,
    Inputs,
    batches,
    check_inputs,
    input_names,
    to_numpy,
)
from explainability.neighbours import FeatureSpace, nearest_training
from explainability.record_beats import RecordBeats, find_beats
from explainability.scores import score_function
from explainability.wave_replacement import reference_waves

__all__ = ["ClinicalAnswers", "FoldAccess", "ask_networks"]

_BATCH = 64
_N_REFERENCE = 40  # patients of the first group: their mean beat is smooth


@dataclass(frozen=True)
class FoldAccess:
    """How the networks of the folds, and the ECGs they were trained with, are reached.

    Attributes
    ----------
    load_model : callable
        From repeat and fold to the network trained without the fold's patients.
    trunk : callable
        From that network to the model of its pooled features (input ``ecg``).
    training : callable
        From repeat and fold to training ECGs: ``record_id, patient_id, y_true, signal_row``.
    read : callable
        From ``signal_row`` to ECGs (n_records, n_samples, 12) in mV as long as the networks see.
    rate_hz : float
        Their sampling rate.
    """

    load_model: Callable[[int, int], keras.Model]
    trunk: Callable[[keras.Model], keras.Model]
    training: Callable[[int, int], pd.DataFrame]
    read: Callable[[np.ndarray], np.ndarray]
    rate_hz: float


@dataclass(frozen=True)
class ClinicalAnswers:
    """What the networks answered about held-out ECGs.

    Attributes
    ----------
    beats : RecordBeats
        Of the held-out ECGs, in their order.
    neighbours : DataFrame
        Of `neighbours.nearest_training`.
    neighbour_beats : dict of str to array of shape (n_beat_samples, 12)
        Median beat of every neighbour of the ECGs asked for, in mV.
    replacements : DataFrame
        Of `counterfactual.score_replacements`.
    """

    beats: RecordBeats
    neighbours: pd.DataFrame
    neighbour_beats: dict[str, np.ndarray]
    replacements: pd.DataFrame


def ask_networks(
    records: pd.DataFrame,
    inputs: Inputs,
    access: FoldAccess,
    *,
    n_neighbours: int = 3,
    shown: Sequence[int] = (0, -1),
) -> ClinicalAnswers:
    """Find the nearest training ECGs of held-out ECGs, and replace their waves.

    Parameters
    ----------
    records : DataFrame
        ``record_id, patient_id, repeat, fold``, one row for each of `inputs`.
    inputs : mapping of str to array
        ``ecg`` (n_records, n_samples, 12) in mV and, for two-input networks, ``covariates``, which
        stay as they are.
    access : FoldAccess
        Networks and training ECGs.
    n_neighbours : int
        Training patients a record.
    shown : sequence of int
        Records whose neighbours' beats are wanted; the first and the last by default.

    Returns
    -------
    ClinicalAnswers

    Raises
    ------
    ValueError
        If `records` does not fit `inputs`, or a fold has no training ECG without the event.
    """
    if not len(records) or len(records) != len(inputs[ECG_INPUT]):
        raise ValueError(
            f"records must have one row for each of the {len(inputs[ECG_INPUT])} ECGs (one at "
            f"least), got {len(records)}. Select the same rows."
        )
    beats = find_beats(inputs[ECG_INPUT], access.rate_hz)
    table = records.reset_index(drop=True)
    near, changed, neighbour_beats = [], [], {}
    wanted = set(table["record_id"].iloc[list(shown)])
    for (repeat, fold), part in table.groupby(["repeat", "fold"], sort=True):
        rows = part.index.to_numpy()
        batch = {name: np.asarray(values)[rows] for name, values in inputs.items()}
        training = access.training(int(repeat), int(fold)).reset_index(drop=True)
        ecg = access.read(training["signal_row"].to_numpy())
        network = _fold_network(access, int(repeat), int(fold), training, ecg)
        features = network.features(batch[ECG_INPUT])
        found = nearest_training(network.space, features, part, n_neighbours=n_neighbours)
        near.append(found)
        names = set(found.loc[found["record_id"].isin(wanted), "neighbour_record_id"])
        place = np.flatnonzero(training["record_id"].isin(names))
        beats_mv = find_beats(ecg[place], access.rate_hz).beats_mv
        neighbour_beats |= dict(zip(training["record_id"].iloc[place], beats_mv, strict=True))
        changed.append(score_replacements(part, batch, beats.take(rows), network))
    return ClinicalAnswers(
        beats,
        pd.concat(near, ignore_index=True),
        neighbour_beats,
        pd.concat(changed, ignore_index=True),
    )


def _fold_network(
    access: FoldAccess, repeat: int, fold: int, training: pd.DataFrame, ecg: np.ndarray
) -> FoldNetwork:
    """Return one fold's network with its features and the mean waves of its training ECGs."""
    model = access.load_model(repeat, fold)
    trunk = access.trunk(model)

    def features(signals: np.ndarray) -> np.ndarray:
        pairs = batches({ECG_INPUT: signals}, batch_size=_BATCH)
        return np.concatenate(
            [to_numpy(trunk(batch[ECG_INPUT], training=False)) for _, batch in pairs]
        )

    free = np.flatnonzero(training["y_true"] == 0)[:_N_REFERENCE]
    if not len(free):
        raise ValueError(
            f"training must hold patients without the event, got none of {len(training)} in fold "
            f"{fold}. Draw more training ECGs."
        )
    beats = find_beats(ecg[free], access.rate_hz)
    reference = reference_waves(beats, training["patient_id"].to_numpy()[free])
    space = FeatureSpace.of_training(features(ecg), training)
    return FoldNetwork(_logits(model), features, space, reference, _told(model))


def _told(model: keras.Model) -> Callable[[np.ndarray], np.ndarray]:
    """Return what the network itself makes of its logits, (n_records,) to (n_records,)."""
    last = model.get_layer("risk")

    def told(logits: np.ndarray) -> np.ndarray:
        column = keras.ops.convert_to_tensor(np.asarray(logits, np.float32)[:, None])
        return to_numpy(last(column))[:, 0].astype(np.float64)

    return told


def _logits(model: keras.Model) -> Callable[[Inputs], np.ndarray]:
    """Return a function from inputs to logits, in batches."""
    function, _ = score_function(model, None)
    names = input_names(model)

    def logits(inputs: Inputs) -> np.ndarray:
        arrays = check_inputs(model, {name: inputs[name] for name in names})
        parts = [
            to_numpy(function([batch[name] for name in names]))
            for _, batch in batches(arrays, batch_size=_BATCH)
        ]
        return np.concatenate(parts).astype(np.float64)

    return logits
