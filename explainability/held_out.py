"""Explain every ECG by the network that had not seen its patient."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import keras
import numpy as np
import pandas as pd

from explainability.attribution import grad_cam, integrated_gradients
from explainability.beats import align_on_r_peaks
from explainability.model_access import COVARIATE_INPUT, Inputs
from explainability.r_peaks import detect_r_peaks
from explainability.resolution import MapResolution, map_resolution, resize_map
from explainability.shap_values import ShapSettings, explain_covariates


@dataclass(frozen=True)
class HeldOutSettings:
    """How the held-out ECGs are explained.

    Parameters
    ----------
    layer_name : str
        Layer of the Grad-CAM map.
    rate_hz : float
        Sampling rate of the ECGs.
    n_steps : int
        Points of the integrated gradients.
    covariate_names : sequence of str
        Columns of the input ``covariates``; empty for one-input networks.
    seed : int
        Of sampled coalitions, where SHAP cannot be exact.
    """

    layer_name: str
    rate_hz: float
    n_steps: int = 32
    covariate_names: Sequence[str] = ()
    seed: int = 0


@dataclass(frozen=True)
class HeldOutMaps:
    """Maps of held-out ECGs, in the order of the records asked for.

    Attributes
    ----------
    grad_cam : array of shape (n_records, n_samples)
        Grad-CAM, at least 0, brought to the samples of the ECG; it has no lead axis.
    ecg : array of shape (n_records, n_samples, n_leads)
        Integrated gradients of the ECG, in logits, signed.
    table : DataFrame
        ``record_id, patient_id, repeat, fold`` and the completeness of the integrated gradients.
    shap : DataFrame
        Shapley values of the covariates; empty for one-input networks.
    resolution : MapResolution
        What one value of the Grad-CAM map stands for.
    """

    grad_cam: np.ndarray
    ecg: np.ndarray
    table: pd.DataFrame
    shap: pd.DataFrame
    resolution: MapResolution


def explain_held_out(
    records: pd.DataFrame,
    inputs: Inputs,
    *,
    load_model: Callable[[int, int], keras.Model],
    background: Callable[[int, int], np.ndarray],
    settings: HeldOutSettings,
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
        Layer, rate, steps.

    Raises
    ------
    ValueError
        If `records` is empty or does not fit `inputs`.
    """
    n_samples = inputs["ecg"].shape[1]
    if not len(records) or len(records) != len(inputs["ecg"]):
        raise ValueError(
            f"records must have one row for each of the {len(inputs['ecg'])} ECGs (one at least), "
            f"got {len(records)}. Select the same rows."
        )
    cams = np.zeros((len(records), n_samples), dtype=np.float32)
    ecg = np.zeros(inputs["ecg"].shape, dtype=np.float32)
    tables: list[pd.DataFrame] = []
    shap: list[pd.DataFrame] = []
    resolution: MapResolution | None = None
    table = records[["record_id", "patient_id", "repeat", "fold"]].reset_index(drop=True)
    for (repeat, fold), part in table.groupby(["repeat", "fold"], sort=True):
        rows = part.index.to_numpy()
        model = load_model(int(repeat), int(fold))
        batch = {name: np.asarray(values[rows]) for name, values in inputs.items()}
        if resolution is None:  # before the graph is cut: cutting adds nodes that hide the field
            resolution = map_resolution(model, settings.layer_name, rate_hz=settings.rate_hz)
        maps = grad_cam(model, batch, layer_name=settings.layer_name)
        cams[rows] = resize_map(maps, n_samples)
        found = integrated_gradients(model, batch, n_steps=settings.n_steps)
        ecg[rows] = found.ecg
        tables.append(found.table.set_index(rows))
        if COVARIATE_INPUT in inputs:
            choice = ShapSettings(
                background=background(int(repeat), int(fold)),
                names=settings.covariate_names,
                seed=settings.seed,
            )
            shap.append(explain_covariates(model, batch, part, settings=choice))
    assert resolution is not None  # there is at least one record
    return HeldOutMaps(
        cams,
        ecg,
        table.join(pd.concat(tables)),
        pd.concat(shap, ignore_index=True) if shap else pd.DataFrame(),
        resolution,
    )


def choose_records(scores: pd.DataFrame, *, n_records: int, seed: int) -> pd.DataFrame:
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
    for group, chosen in (("high risk", one[rank > 2 / 3]), ("low risk", one[rank <= 1 / 3])):
        n_drawn = min(len(chosen), max(1, n_records // 2))
        parts.append(chosen.sample(n=n_drawn, random_state=seed).assign(group=group))
    found = pd.concat(parts).assign(rank=rank)
    return found.sort_values(["rank", "record_id"], ascending=[False, True]).reset_index(drop=True)


def align_records(
    ecg: np.ndarray, maps: Mapping[str, np.ndarray], rate_hz: float
) -> dict[str, np.ndarray]:
    """Return the mean beat of every ECG and of its maps, lined up on the R peaks.

    Parameters
    ----------
    ecg : array of shape (n_records, n_samples, n_leads)
        In mV; the R peaks are found on it.
    maps : mapping of str to array of shape (n_records, n_samples[, n_leads])
        What else to line up.
    rate_hz : float
        Sampling rate.

    Returns
    -------
    dict of arrays of shape (n_records, n_beat_samples[, n_leads])
        ``ecg`` and each of `maps`; rows of NaN where no beats were found.
    """
    peaks = [detect_r_peaks(signal, rate_hz).r_peaks for signal in ecg]
    together = {"ecg": ecg, **maps}
    return {
        name: np.stack(
            [align_on_r_peaks(row, peak, rate_hz) for row, peak in zip(rows, peaks, strict=True)]
        )
        for name, rows in together.items()
    }


def lead_shares(
    maps: np.ndarray, patient_ids: Sequence[str], *, lead_names: Sequence[str]
) -> pd.DataFrame:
    """Return how the mass of signed maps divides among leads.

    Parameters
    ----------
    maps : array of shape (n_records, n_samples, n_leads)
        Integrated gradients; empty maps are left out.
    patient_ids : sequence of str, shape (n_records,)
        Records are averaged by patient first.
    lead_names : sequence of str, shape (n_leads,)

    Returns
    -------
    DataFrame
        ``lead, share_percent`` (adds to 100), ``n_patients``.
    """
    mass = np.abs(np.asarray(maps, dtype=np.float64)).sum(axis=1)
    is_used = mass.sum(axis=1) > 0
    shares = pd.DataFrame(mass[is_used], columns=list(lead_names))
    shares = shares.div(shares.sum(axis=1), axis=0) * 100
    by_patient = shares.groupby(np.asarray(patient_ids)[is_used]).mean()
    return pd.DataFrame(
        {
            "lead": list(lead_names),
            "share_percent": by_patient.mean().to_numpy(),
            "n_patients": len(by_patient),
        }
    )
