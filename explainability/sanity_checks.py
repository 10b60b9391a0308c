"""Checks that a map says something about the network and the ECG, and not only about itself.

Two questions. Does the mass of the maps fall into a window more often than it would if the window
lay elsewhere in the same record? And does the map change when what the network learned is
destroyed? A map that survives randomised weights shows the architecture and the signal, not the
learning.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import keras
import numpy as np
import pandas as pd
from scipy.stats import rankdata

from explainability.model_access import private_copy

# Scaling layers hold facts about the training rows (mean, spread), not learned weights.
KEPT_LAYERS = ("ecg_scaling", "covariate_scaling")


@dataclass(frozen=True)
class WindowTest:
    """Share of map mass in a window, against the same window shifted in time.

    Attributes
    ----------
    share : float
        Mean over patients, 0 to 1.
    null_mean, null_low, null_high : float
        Mean and central 95 % of the share under shifted windows.
    enrichment : float
        share / null_mean: 1 means no preference, 2 twice the mass expected.
    p_value : float
        One-sided, (1 + shifts with at least this share) / (1 + n_shifts).
    n_records, n_patients : int
        What was used; records whose map is zero or whose mask is empty are left out.
    n_left_out : int
        Those records.
    """

    share: float
    null_mean: float
    null_low: float
    null_high: float
    enrichment: float
    p_value: float
    n_records: int
    n_patients: int
    n_left_out: int


def window_mass(maps: np.ndarray, masks: np.ndarray) -> np.ndarray:
    """Return the share of each map's mass inside its window.

    Parameters
    ----------
    maps : array of shape (n_records, n_samples) or (n_records, n_samples, n_leads)
        Attribution; signed maps count by absolute value.
    masks : bool array of shape (n_records, n_samples), or the shape of `maps`
        The window of each record; without leads it holds for all of them.

    Returns
    -------
    float array of shape (n_records,)
        0 to 1, NaN where the map is zero everywhere.

    Raises
    ------
    ValueError
        If shapes differ, `masks` is not boolean, or a map holds NaN.

    Examples
    --------
    >>> window_mass(np.array([[1.0, -3.0, 4.0]]), np.array([[False, True, False]])).tolist()
    [0.375]
    """
    mass, masks = _check_maps(maps, masks)
    total = mass.sum(axis=(1, 2))
    inside = np.where(masks, mass, 0.0).sum(axis=(1, 2))
    return np.divide(inside, total, out=np.full(len(mass), np.nan), where=total > 0)


def shifted_window_null(
    maps: np.ndarray,
    masks: np.ndarray,
    *,
    patient_ids: Sequence[str] | np.ndarray | None = None,
    n_shifts: int = 999,
    seed: int = 0,
) -> WindowTest:
    """Test whether the maps prefer their windows to the same windows at another time.

    Parameters
    ----------
    maps, masks
        As for `window_mass`.
    patient_ids : sequence of str, shape (n_records,), optional
        Records of one patient are averaged and shifted together; each record is its own patient
        when left out.
    n_shifts : int
        Random shifts; the smallest possible p value is 1 / (n_shifts + 1).
    seed : int
        Of the shifts.

    Returns
    -------
    WindowTest

    Raises
    ------
    ValueError
        If shapes differ or no record has both a map and a window.

    Notes
    -----
    Windows are shifted along time around the record's ends (circularly), so their number, length
    and spacing stay; leads are not exchanged. The statistic is the mean over patients of the mean
    share of their records. Shares under all shifts come from one circular correlation a record.
    Networks that look at a fixed time of the record, whatever the beat, are not flagged by this.
    """
    mass, masks = _check_maps(maps, masks)
    ids = np.arange(len(mass)) if patient_ids is None else np.asarray(patient_ids)
    if len(ids) != len(mass):
        raise ValueError(
            f"patient_ids must hold one entry for each of the {len(mass)} maps, got {len(ids)}. "
            "Select the same rows."
        )
    if n_shifts < 19:
        raise ValueError(f"n_shifts must be at least 19, got {n_shifts}. Use 999.")
    usable = (mass.sum(axis=(1, 2)) > 0) & masks.any(axis=(1, 2))
    if not usable.any():
        raise ValueError(
            f"maps must hold at least one record with mass and a window, got 0 of {len(mass)}. "
            "Check that beats were found and that the maps are not zero."
        )
    shares = _shares_by_shift(mass[usable], masks[usable])
    codes, patients = pd.factorize(ids[usable])
    by_patient = np.zeros((len(patients), shares.shape[1]))
    np.add.at(by_patient, codes, shares)
    by_patient /= np.bincount(codes)[:, None]
    rng = np.random.default_rng(seed)
    shifts = rng.integers(0, shares.shape[1], size=(n_shifts, len(patients)))
    null = by_patient[np.arange(len(patients)), shifts].mean(axis=1)
    share = float(by_patient[:, 0].mean())
    null_mean = float(by_patient.mean())  # over every shift: exact, not from the random ones
    low, high = np.quantile(null, [0.025, 0.975])
    # Rounding of the Fourier transform must not make a shift by nothing beat the window itself.
    n_as_large = int((null >= share - 1e-9).sum())
    return WindowTest(
        share=share,
        null_mean=null_mean,
        null_low=float(low),
        null_high=float(high),
        enrichment=share / null_mean,
        p_value=(1 + n_as_large) / (1 + n_shifts),
        n_records=int(usable.sum()),
        n_patients=len(patients),
        n_left_out=int((~usable).sum()),
    )


def randomise_weights(
    model: keras.Model, *, n_layers: int | None = None, seed: int = 0
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
    copy = private_copy(model)
    names = weighted_layers(copy)
    if n_layers is None:
        n_layers = len(names)
    if not 1 <= n_layers <= len(names):
        raise ValueError(
            f"n_layers must be between 1 and {len(names)}, got {n_layers}. "
            "Count the layers with weights."
        )
    rng = np.random.default_rng(seed)
    for name in names[:n_layers]:
        layer = copy.get_layer(name)
        layer.set_weights([_randomise(values, rng) for values in layer.get_weights()])
    return copy


def weighted_layers(model: keras.Model) -> list[str]:
    """Return the layers that hold learned weights, from the output downwards."""
    names = [layer.name for layer in model.layers if layer.get_weights()]
    return [name for name in reversed(names) if name not in KEPT_LAYERS]


def randomisation_cascade(
    model: keras.Model,
    explain: Callable[[keras.Model], np.ndarray],
    *,
    n_stages: int = 4,
    seed: int = 0,
) -> pd.DataFrame:
    """Randomise ever more layers from the top and compare the maps with the original's.

    Parameters
    ----------
    model : keras.Model
        The trained network.
    explain : callable
        From a model to maps (n_records, ...), for example
        ``lambda network: grad_cam(network, inputs, layer_name="conv5_block3_out")``.
    n_stages : int
        Depths to try: the top layer alone first, every layer last.
    seed : int
        Of the weights.

    Returns
    -------
    DataFrame
        One row a stage: ``n_layers``, ``lowest_layer``, ``similarity`` (mean Spearman
        correlation over records), ``similarity_low`` and ``similarity_high`` (10 % and 90 % of
        records), ``n_records``, ``n_without_map`` (a map was constant). A similarity that
        stays near 1 says the map does not depend on what was learned.

    Raises
    ------
    ValueError
        If `n_stages` is below 1.

    References
    ----------
    Adebayo et al. 2018, https://arxiv.org/abs/1810.03292.
    """
    if n_stages < 1:
        raise ValueError(f"n_stages must be at least 1, got {n_stages}. Use 4.")
    names = weighted_layers(model)
    original = explain(model)
    rows = []
    for n_layers in sorted({round(n) for n in np.linspace(1, len(names), n_stages)}):
        similarity = map_similarity(
            original, explain(randomise_weights(model, n_layers=n_layers, seed=seed))
        )
        known = similarity[np.isfinite(similarity)]
        low, high = np.quantile(known, [0.1, 0.9]) if len(known) else (np.nan, np.nan)
        rows.append(
            {
                "n_layers": n_layers,
                "lowest_layer": names[n_layers - 1],
                "similarity": known.mean() if len(known) else np.nan,
                "similarity_low": low,
                "similarity_high": high,
                "n_records": len(known),
                "n_without_map": len(similarity) - len(known),
            }
        )
    return pd.DataFrame(rows)


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
    centred = [rank - rank.mean(axis=1, keepdims=True) for rank in ranks]
    spread = np.sqrt((centred[0] ** 2).sum(axis=1) * (centred[1] ** 2).sum(axis=1))
    product = (centred[0] * centred[1]).sum(axis=1)
    return np.divide(product, spread, out=np.full(len(maps), np.nan), where=spread > 0)


def _check_maps(maps: np.ndarray, masks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return absolute maps and masks, both (n_records, n_samples, n_leads or 1)."""
    mass = np.abs(np.asarray(maps, dtype=np.float64))
    masks = np.asarray(masks)
    if masks.dtype != bool:
        raise ValueError(
            f"masks must be boolean, got {masks.dtype}. Compare with a threshold to make them so."
        )
    if mass.ndim not in (2, 3) or masks.shape not in (mass.shape, mass.shape[:2]):
        raise ValueError(
            f"masks must be of shape {mass.shape[:2]} or {mass.shape}, got {masks.shape}. "
            "Give each record its window, one value a sample."
        )
    if not np.isfinite(mass).all():
        raise ValueError("maps must be finite, got NaN or infinity. Leave such records out.")
    mass = mass.reshape(*mass.shape[:2], -1)
    return mass, np.broadcast_to(masks.reshape(*masks.shape[:2], -1), mass.shape)


def _shares_by_shift(mass: np.ndarray, masks: np.ndarray) -> np.ndarray:
    """Return the share inside the window for every circular shift, (n_records, n_samples)."""
    shares = np.empty(mass.shape[:2])
    for row in range(len(mass)):  # record by record: twelve leads of all records are too large
        spectrum = np.fft.rfft(mass[row], axis=0) * np.conj(np.fft.rfft(masks[row] * 1.0, axis=0))
        shares[row] = np.fft.irfft(spectrum.sum(axis=1), n=mass.shape[1]) / mass[row].sum()
    return shares


def _randomise(values: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return random values of the same size: kernels drawn anew, vectors permuted."""
    if values.ndim < 2:
        return rng.permutation(values)
    size = np.sqrt(np.mean(np.square(values, dtype=np.float64)))
    return rng.normal(0.0, size, values.shape).astype(values.dtype)
