"""Explain every ECG by the network that had not seen its patient."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import keras
import numpy as np
import pandas as pd

from explainability.class_activation import default_layer
from explainability.methods import AttributionMap, MethodSettings, attribute
from explainability.model_access import COVARIATE_INPUT, Inputs
from explainability.resolution import MapResolution, map_resolution
from explainability.shap_values import ShapSettings, explain_covariates


@dataclass(frozen=True)
class HeldOutSettings:
    """How the held-out ECGs are explained.

    Parameters
    ----------
    layer_name : str
        Layer of the Grad-CAM map; empty for `default_layer`.
    rate_hz : float
        Sampling rate of the ECGs.
    n_steps : int
        Points of the integrated gradients.
    covariate_names : sequence of str
        Columns of the input ``covariates``; empty for one-input networks.
    seed : int
        Of all that is random.
    methods : sequence of str
        Names of `methods.METHODS`; the default is what the figures of a run need.
    windows : mapping of str to bool array of shape (n_records, n_samples)
        Of occlusion_by_wave.
    """

    layer_name: str
    rate_hz: float
    n_steps: int = 32
    covariate_names: Sequence[str] = ()
    seed: int = 0
    methods: Sequence[str] = ("grad_cam", "integrated_gradients")
    windows: Mapping[str, np.ndarray] = field(default_factory=dict)

    @classmethod
    def declared(
        cls,
        rate_hz: float,
        covariate_names: Sequence[str],
        *,
        gradcam_layer: str,
        n_steps: int,
        seed: int,
        **_: Any,
    ) -> HeldOutSettings:
        """Return the settings of a notebook's parameters; what others need is ignored."""
        return cls(gradcam_layer, rate_hz, n_steps, covariate_names, seed)


@dataclass(frozen=True)
class HeldOutMaps:
    """Maps of held-out ECGs, in the order of the records asked for.

    Attributes
    ----------
    maps : dict of str to AttributionMap
        By method; completeness errors stand in their tables, they do not raise.
    table : DataFrame
        ``record_id, patient_id, repeat, fold`` and the completeness of the integrated gradients.
    shap : DataFrame
        Shapley values of the covariates; empty for one-input networks.
    resolution : MapResolution or None
        What one value of the Grad-CAM map stands for; None without that method.
    """

    maps: dict[str, AttributionMap]
    table: pd.DataFrame
    shap: pd.DataFrame
    resolution: MapResolution | None

    @property
    def grad_cam(self) -> np.ndarray:
        """Grad-CAM at the samples of the ECG, (n_records, n_samples), at least 0."""
        return self.maps["grad_cam"].maps

    @property
    def ecg(self) -> np.ndarray:
        """Integrated gradients of the ECG in logits, (n_records, n_samples, n_leads), signed."""
        return self.maps["integrated_gradients"].maps


def explain_held_out(
    records: pd.DataFrame,
    inputs: Inputs,
    *,
    load_model: Callable[[int, int], keras.Model],
    background: Callable[[int, int], np.ndarray],
    settings: HeldOutSettings,
    training_inputs: Callable[[int, int], Inputs] | None = None,
) -> HeldOutMaps:
    """Return the maps of held-out ECGs, each from the network of its own fold.

    Parameters
    ----------
    records : DataFrame
        ``record_id, patient_id, repeat, fold``, one row for each of `inputs`; the fold is the
        one that held the patient out.
    inputs : mapping of str to array
        ``ecg`` (n_records, n_samples, n_leads) in mV and, for two-input networks, ``covariates``
        (n_records, n_columns), NaN for missing.
    load_model : callable
        From repeat and fold to the network that was trained without the fold's patients.
    background : callable
        From repeat and fold to covariates (n_background, n_columns) of training patients.
    settings : HeldOutSettings
        Methods, layer, rate, steps.
    training_inputs : callable, optional
        From repeat and fold to inputs of training patients, which shap_gradient and shap_deep
        compare with.

    Raises
    ------
    ValueError
        If `records` is empty or does not fit `inputs`.
    """
    if not len(records) or len(records) != len(inputs["ecg"]):
        raise ValueError(
            f"records must have one row for each of the {len(inputs['ecg'])} ECGs (one at least), "
            f"got {len(records)}. Select the same rows."
        )
    parts: dict[str, list[tuple[np.ndarray, AttributionMap]]] = {}
    shap: list[pd.DataFrame] = []
    resolution: MapResolution | None = None
    table = records[["record_id", "patient_id", "repeat", "fold"]].reset_index(drop=True)
    for (repeat, fold), part in table.groupby(["repeat", "fold"], sort=True):
        rows, key = part.index.to_numpy(), (int(repeat), int(fold))
        model = load_model(*key)
        batch = {name: np.asarray(values[rows]) for name, values in inputs.items()}
        if resolution is None and "grad_cam" in settings.methods:
            layer = settings.layer_name or default_layer(model, rate_hz=settings.rate_hz)
            resolution = map_resolution(model, layer, rate_hz=settings.rate_hz)
        choice = _of_fold(settings, rows, training_inputs, key)
        for method in settings.methods:
            found = attribute(model, batch, method=method, settings=choice)
            parts.setdefault(method, []).append((rows, found))
        if COVARIATE_INPUT in inputs:
            covariates = ShapSettings(
                background=background(*key), names=settings.covariate_names, seed=settings.seed
            )
            shap.append(explain_covariates(model, batch, part, settings=covariates))
    maps = {method: _joined(found, len(records)) for method, found in parts.items()}
    if "integrated_gradients" in maps:
        table = table.join(maps["integrated_gradients"].table)
    together = pd.concat(shap, ignore_index=True) if shap else pd.DataFrame()
    return HeldOutMaps(maps, table, together, resolution)


def _of_fold(
    settings: HeldOutSettings,
    rows: np.ndarray,
    training_inputs: Callable[[int, int], Inputs] | None,
    key: tuple[int, int],
) -> MethodSettings:
    """Return the methods' settings for the records of one fold."""
    return MethodSettings(
        rate_hz=settings.rate_hz,
        layer_name=settings.layer_name,
        n_steps=settings.n_steps,
        windows=settings.windows,
        background=None if training_inputs is None else training_inputs(*key),
        is_strict=False,
        seed=settings.seed,
    ).of_rows(rows)


def _joined(parts: list[tuple[np.ndarray, AttributionMap]], n_records: int) -> AttributionMap:
    """Return the maps of all folds in the order of the records."""
    first = parts[0][1]
    maps = np.zeros((n_records, *first.maps.shape[1:]), np.float32)
    covariates = None
    if first.covariates is not None:
        covariates = np.zeros((n_records, first.covariates.shape[1]), np.float32)
    for rows, part in parts:
        maps[rows] = part.maps
        if covariates is not None:
            covariates[rows] = part.covariates
    table = pd.concat([part.table.set_axis(rows) for rows, part in parts if len(part.table)] or
                      [first.table]).sort_index()  # fmt: skip
    return replace(first, maps=maps, covariates=covariates, table=table)


def choose_records(
    scores: pd.DataFrame, *, n_records: int, seed: int, told: str = "risk"
) -> pd.DataFrame:
    """Choose held-out ECGs to explain: one a patient, from the lowest and highest thirds of risk.

    Parameters
    ----------
    scores : DataFrame
        Test rows of the predictions: ``record_id, patient_id, repeat, fold, y_true, y_score``, and
        ``seed`` where there are several.
    n_records : int
        At most so many, half from each third.
    seed : int
        Of the ECG drawn for each patient and of the patients drawn from each third.
    told : str
        What `y_score` is, for the names of the groups.

    Returns
    -------
    DataFrame
        The chosen rows with ``group`` ("high risk" or "low risk"), highest risk first. Thirds are
        taken within repeat and fold: scores of different networks are on different scales.

    Raises
    ------
    ValueError
        If there are fewer than three patients.
    """
    first = scores[scores["repeat"] == scores["repeat"].min()]
    if "seed" in first:  # of an ensemble the first network is explained
        first = first[first["seed"] == first["seed"].min()]
    one = first.sample(frac=1.0, random_state=seed).drop_duplicates("patient_id")
    if len(one) < 3:
        raise ValueError(f"scores must hold three patients or more, got {len(one)}. Add patients.")
    rank = one.groupby(["repeat", "fold"])["y_score"].rank(pct=True, method="first")
    parts = []
    thirds = ((f"high {told}", one[rank > 2 / 3]), (f"low {told}", one[rank <= 1 / 3]))
    for group, chosen in thirds:
        n_drawn = min(len(chosen), max(1, n_records // 2))
        parts.append(chosen.sample(n=n_drawn, random_state=seed).assign(group=group))
    found = pd.concat(parts).assign(rank=rank)
    return found.sort_values(["rank", "record_id"], ascending=[False, True]).reset_index(drop=True)
