"""Occlusion: how far the score falls when leads or waves are replaced by a line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
import pandas as pd

from explainability.batch_maps import BatchExplainer, BatchMap
from explainability.gradients import compiled
from explainability.model_access import ECG_INPUT, Inputs, to_numpy
from explainability.replacement import replace_by_lines
from explainability.scores import Score, score_function

Groups = Mapping[str, Sequence[int]]
Windows = Mapping[str, np.ndarray]


def lead_explainer(
    model: keras.Model,
    groups: Groups,
    *,
    score: Score | None = None,
    is_compiled: bool = False,
) -> BatchExplainer:
    """Return a function from a batch to the fall of each group, spread over its samples.

    Parameters
    ----------
    model : keras.Model
        Network with the input ``ecg``.
    groups : mapping of str to sequence of int
        Name to positions of leads, such as ``{"V1": [6]}`` or ``{"limb": range(6)}``; 0 mV is put
        in their place.
    score : Score, optional
        What is explained.
    is_compiled : bool
        Whether the network is traced.

    Returns
    -------
    callable
        To a `BatchMap` whose table (n_records, n_groups) is score(record) - score(occluded
        record), in logits; positive: the leads raised the score.

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
    function = _scores_of(model, score, is_compiled)
    n_leads = next(tensor.shape[2] for tensor in model.inputs if tensor.name == ECG_INPUT)
    for name, leads in groups.items():
        if len(leads) == 0 or not all(0 <= lead < n_leads for lead in leads):
            raise ValueError(
                f"groups[{name!r}] must hold positions from 0 to {n_leads - 1}, "
                f"got {list(leads)}. Name at least one lead of the model."
            )

    def explain(batch: Inputs, rows: slice) -> BatchMap:
        del rows
        full, ecg = function(batch), batch[ECG_INPUT]
        values, falls = np.zeros_like(ecg), {}
        for name, leads in groups.items():
            occluded = ecg.copy()
            occluded[:, :, list(leads)] = 0.0
            fall = full - function({**batch, ECG_INPUT: occluded})
            falls[name] = fall.astype(np.float64)
            values[:, :, list(leads)] += fall[:, None, None] / (ecg.shape[1] * len(leads))
        return BatchMap(values, table=pd.DataFrame(falls))

    return explain


def wave_explainer(
    model: keras.Model, windows: Windows, *, score: Score | None = None, is_compiled: bool = False
) -> BatchExplainer:
    """Return a function from a batch to the fall of each wave, spread over its samples.

    Parameters
    ----------
    model, score, is_compiled
        As for `lead_explainer`.
    windows : mapping of str to bool array of shape (n_records, n_samples)
        Where each wave lies, such as ``{"P": ..., "QRS": ..., "ST": ..., "T": ...}``.

    Returns
    -------
    callable
        To a `BatchMap` whose table (n_records, n_windows) is score(record) - score(record without
        the wave), in logits; NaN where the record has none.

    Notes
    -----
    In every lead each stretch of the wave is replaced by the straight line between the samples
    before and after it: the wave goes, and no step appears at its ends. A flat line at 0 mV would
    add two steps a beat, which no ECG has.
    """
    function = _scores_of(model, score, is_compiled)

    def explain(batch: Inputs, rows: slice) -> BatchMap:
        full, ecg = function(batch), batch[ECG_INPUT]
        values, falls = np.zeros(ecg.shape[:2], np.float32), {}
        for name, masks in windows.items():
            mask = np.asarray(masks[rows], dtype=bool)
            without = replace_by_lines(ecg, mask[..., None])
            n_inside = mask.sum(axis=1)
            fall = full - function({**batch, ECG_INPUT: without})
            falls[name] = np.where(n_inside > 0, fall.astype(np.float64), np.nan)
            values += mask * (fall / np.maximum(n_inside, 1))[:, None]
        return BatchMap(values, table=pd.DataFrame(falls))

    return explain


def check_windows(windows: Windows, shape: tuple[int, ...]) -> Windows:
    """Return the masks, or refuse what does not fit (n_records, n_samples)."""
    for name, mask in windows.items():
        if np.shape(mask) != tuple(shape) or np.asarray(mask).dtype != bool:
            raise ValueError(
                f"windows[{name!r}] must be a mask of True and False of shape {tuple(shape)}, "
                f"got {np.asarray(mask).dtype} {np.shape(mask)}. Make one a record and sample."
            )
    return windows


def _scores_of(model: keras.Model, score: Score | None, is_compiled: bool) -> Any:
    """Return a function from a batch to its scores, float32 (n_records,)."""
    function, _ = score_function(model, score)
    run = compiled(function, is_compiled=is_compiled)

    def scores(batch: Inputs) -> np.ndarray:
        return to_numpy(run([keras.ops.convert_to_tensor(value) for value in batch.values()]))

    return scores
