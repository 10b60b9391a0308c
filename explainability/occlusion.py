"""Occlusion: how far the score falls when leads or waves are replaced by a flat line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
import pandas as pd

from explainability.batch_maps import BatchExplainer, BatchMap, explain_batches, n_records_of
from explainability.gradients import CALLS_THAT_PAY, compiled
from explainability.model_access import ECG_INPUT, Inputs, check_inputs, to_numpy
from explainability.scores import Score, score_function

Groups = Mapping[str, Sequence[int]]
Windows = Mapping[str, np.ndarray]


def occlude_leads(
    model: keras.Model,
    inputs: Inputs | np.ndarray,
    *,
    groups: Groups,
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
    arrays = check_inputs(model, inputs)
    n_calls = (1 + len(groups)) * n_records_of(arrays) / batch_size
    explain = lead_explainer(
        model, groups, score=score, baseline_mv=baseline_mv, is_compiled=n_calls > CALLS_THAT_PAY
    )
    return explain_batches(explain, arrays, out=None, batch_size=batch_size)[1]


def occlude_waves(
    model: keras.Model,
    inputs: Inputs | np.ndarray,
    *,
    windows: Windows,
    score: Score | None = None,
    batch_size: int = 32,
) -> pd.DataFrame:
    """Return how far the score falls when a wave is taken out of all beats of a record.

    Parameters
    ----------
    model, inputs, score, batch_size
        As for `grad_cam`.
    windows : mapping of str to bool array of shape (n_records, n_samples)
        Where each wave lies, such as ``{"P": ..., "QRS": ..., "ST": ..., "T": ...}``.

    Returns
    -------
    DataFrame of shape (n_records, n_windows)
        score(record) - score(record without the wave), in logits; NaN where the record has none.

    Raises
    ------
    ValueError
        If a mask does not fit the records.

    Notes
    -----
    In every lead each stretch of the wave is replaced by the straight line between the samples
    before and after it: the wave goes, and no step appears at its ends. A flat line at 0 mV would
    add two steps a beat, which no ECG has.
    """
    arrays = check_inputs(model, inputs)
    n_calls = (1 + len(windows)) * n_records_of(arrays) / batch_size
    explain = wave_explainer(
        model,
        check_windows(windows, arrays[ECG_INPUT].shape[:2]),
        score=score,
        is_compiled=n_calls > CALLS_THAT_PAY,
    )
    return explain_batches(explain, arrays, out=None, batch_size=batch_size)[1]


def lead_explainer(
    model: keras.Model,
    groups: Groups,
    *,
    score: Score | None = None,
    baseline_mv: float = 0.0,
    is_compiled: bool = False,
) -> BatchExplainer:
    """Return a function from a batch to the fall of each group, spread over its samples."""
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
            occluded[:, :, list(leads)] = baseline_mv
            fall = full - function({**batch, ECG_INPUT: occluded})
            falls[name] = fall.astype(np.float64)
            values[:, :, list(leads)] += fall[:, None, None] / (ecg.shape[1] * len(leads))
        return BatchMap(values, table=pd.DataFrame(falls))

    return explain


def wave_explainer(
    model: keras.Model, windows: Windows, *, score: Score | None = None, is_compiled: bool = False
) -> BatchExplainer:
    """Return a function from a batch to the fall of each wave, spread over its samples."""
    function = _scores_of(model, score, is_compiled)

    def explain(batch: Inputs, rows: slice) -> BatchMap:
        full, ecg = function(batch), batch[ECG_INPUT]
        values, falls = np.zeros(ecg.shape[:2], np.float32), {}
        for name, masks in windows.items():
            mask = np.asarray(masks[rows], dtype=bool)
            without = np.stack([bridge(one, there) for one, there in zip(ecg, mask, strict=True)])
            n_inside = mask.sum(axis=1)
            fall = full - function({**batch, ECG_INPUT: without})
            falls[name] = np.where(n_inside > 0, fall.astype(np.float64), np.nan)
            values += mask * (fall / np.maximum(n_inside, 1))[:, None]
        return BatchMap(values, table=pd.DataFrame(falls))

    return explain


def bridge(ecg: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Return one ECG with straight lines over the masked samples of every lead.

    Parameters
    ----------
    ecg : array of shape (n_samples, n_leads)
        In mV.
    mask : bool array of shape (n_samples,)
        What to replace; a stretch at either end takes the nearest sample's value, and a record
        masked throughout becomes 0.

    Examples
    --------
    >>> bridge(np.array([[0.0], [9.0], [2.0]]), np.array([False, True, False])).ravel().tolist()
    [0.0, 1.0, 2.0]
    """
    kept = np.flatnonzero(~mask)
    if not len(kept):
        return np.zeros_like(ecg)
    inside = np.flatnonzero(mask)
    after = np.searchsorted(kept, inside)
    left = kept[np.maximum(after - 1, 0)]
    right = kept[np.minimum(after, len(kept) - 1)]
    weight = np.clip((inside - left) / np.maximum(right - left, 1), 0, 1)[:, None]
    found = ecg.copy()
    found[inside] = ecg[left] * (1 - weight) + ecg[right] * weight
    return found


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
