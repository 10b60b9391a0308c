"""One call for every attribution method, in memory or streamed to a file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
import pandas as pd

from explainability.batch_maps import explain_batches, map_file
from explainability.gradients import CALLS_THAT_PAY
from explainability.method_registry import METHODS
from explainability.method_settings import MethodSettings
from explainability.model_access import ECG_INPUT, Inputs, check_inputs
from explainability.scores import Score

__all__ = ["METHODS", "AttributionMap", "MethodSettings", "attribute"]


@dataclass(frozen=True)
class AttributionMap:
    """Maps of records by one method, and what they can and cannot say.

    Attributes
    ----------
    maps : float32 array of shape (n_records, n_samples) or (n_records, n_samples, n_leads)
        Signed, in `unit`; a read-only memory map where a file was given.
    axes : tuple of str
        Names of the axes: ``("record", "sample")`` or ``("record", "sample", "lead")``.
    method : str
        Name in `METHODS`.
    unit : str
        What a value is.
    resolution_seconds : float
        Distance in time of values that can differ.
    resolution : str
        One sentence, for captions: steps in time, and whether there is a lead axis.
    covariates : array of shape (n_records, n_columns) or None
        Contributions of the covariates in logits, where the method gives them.
    table : DataFrame
        One row a record. Of methods that sum to the change of the score: ``score,
        baseline_score, attribution_sum, completeness_error, is_complete``. Of occlusion: the fall
        of the score by group or wave. Else empty.
    """

    maps: np.ndarray
    axes: tuple[str, ...]
    method: str
    unit: str
    resolution_seconds: float
    resolution: str
    covariates: np.ndarray | None
    table: pd.DataFrame

    @property
    def has_lead_axis(self) -> bool:
        """Whether the map says in which lead."""
        return self.axes[-1] == "lead"

    @property
    def completeness(self) -> pd.DataFrame | None:
        """The table where the method's values sum to the change of the score, else None."""
        return self.table if "completeness_error" in self.table else None


def attribute(
    model: keras.Model,
    inputs: Inputs | np.ndarray,
    *,
    method: str,
    settings: MethodSettings,
    score: Score | None = None,
    out: Path | None = None,
) -> AttributionMap:
    """Explain records by one method.

    Parameters
    ----------
    model : keras.Model
        Flat functional network with input ``ecg`` (n_samples, n_leads) in mV and optionally
        ``covariates`` (n_columns), NaN for missing.
    inputs : mapping of str to array, or array of shape (n_records, n_samples, n_leads)
        One array an input; memory maps are read batch by batch.
    method : str
        One of `METHODS`.
    settings : MethodSettings
        Rate, and what the method needs.
    score : Score, optional
        What is explained; the logit by default.
    out : Path, optional
        File (.npy) for the maps; it appears when all records are done, and memory does not
        grow with their number.

    Returns
    -------
    AttributionMap

    Raises
    ------
    ValueError
        If the method is unknown, or inputs and settings do not fit.
    ArithmeticError
        If values that must sum to the change of the score do not (`MethodSettings.is_strict`).

    Examples
    --------
    >>> found = attribute(model, ecg, method="grad_cam", settings=MethodSettings(100.0))
    >>> found.axes, found.resolution_seconds
    (('record', 'sample'), 0.08)
    """
    if method not in METHODS:
        raise ValueError(f"method must be one of {', '.join(METHODS)}, got {method!r}. Choose one.")
    chosen, arrays = METHODS[method], check_inputs(model, inputs)
    resolution_seconds, resolution = chosen.resolution(model, settings, score)
    shape = tuple(arrays[ECG_INPUT].shape[: 3 if chosen.has_lead_axis else 2])
    batch_size = max(settings.batch_size, chosen.least_batch)
    is_long = chosen.n_calls(settings) * shape[0] > CALLS_THAT_PAY * batch_size
    explain = chosen.prepare(model, arrays, settings, score, is_long)
    work = {"explain": explain, "arrays": arrays, "batch_size": batch_size}
    if out is None:
        maps = np.zeros(shape, np.float32)
        covariates, table = explain_batches(out=maps, **work)
        _check_completeness(method, table, settings)
    else:
        with map_file(Path(out), shape) as mapped:
            covariates, table = explain_batches(out=mapped, **work)
            _check_completeness(method, table, settings)
            del mapped
        maps = np.load(out, mmap_mode="r")
    axes = ("record", "sample", "lead") if chosen.has_lead_axis else ("record", "sample")
    return AttributionMap(
        maps, axes, method, chosen.unit, resolution_seconds, resolution, covariates, table
    )


def _check_completeness(method: str, table: pd.DataFrame, settings: MethodSettings) -> None:
    if settings.is_strict and "is_complete" in table and not table["is_complete"].all():
        n_bad, worst = int((~table["is_complete"]).sum()), table["completeness_error"].max()
        raise ArithmeticError(
            f"values of {method} must sum to the change of the score, got an error of up to "
            f"{worst:.1%} in {n_bad} of {len(table)} records. Raise n_steps or n_draws, or set "
            "is_strict=False and report it."
        )
