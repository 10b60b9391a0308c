"""Checks that a map says something about the network and the ECG, and not only about itself.

Two questions. Does the mass of the maps fall into a window more often than it would if the window
lay elsewhere in the same record? (A map that only follows the size of the deflections passes this
in every QRS complex.) Does the signed map in a window rise with a sign of the patient that lies
there? Whether a map changes when what the network learned is destroyed is asked with
`weight_randomisation`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import rankdata


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
    shares = _sums_by_shift(mass[usable], masks[usable])
    shares /= mass[usable].sum(axis=(1, 2))[:, None]
    codes, patients = pd.factorize(ids[usable])
    by_patient = _mean_by_patient(shares, codes)
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


@dataclass(frozen=True)
class FollowTest:
    """Whether signed maps in a window rise with the strength of a sign, against shifted windows.

    Attributes
    ----------
    correlation : float
        Spearman, over patients, of the map's sum in the window and the strength.
    slope : float
        Change of that sum, in the unit of the map (logits), for one standard deviation of the
        strength: how much the sign matters, where the correlation says how consistently.
    null_low, null_high : float
        Central 95 % of the correlation with every patient's window shifted at random.
    p_value : float
        One-sided, (1 + shifts with at least this correlation) / (1 + n_shifts). It is about the
        choice of the window in one network, not about the training: a network that has learnt
        noise has a map too, and its slope is small.
    n_patients : int
        What was used.
    """

    correlation: float
    slope: float
    null_low: float
    null_high: float
    p_value: float
    n_patients: int


def follows_sign(
    maps: np.ndarray,
    masks: np.ndarray,
    strength: Sequence[float] | np.ndarray,
    *,
    patient_ids: Sequence[str] | np.ndarray | None = None,
    n_shifts: int = 999,
    seed: int = 0,
) -> FollowTest:
    """Test whether the signed maps in their windows rise with a sign that lies there.

    Parameters
    ----------
    maps, masks
        As for `window_mass`; the maps with their sign.
    strength : array of shape (n_records,)
        How strong the sign is in each record, in any unit.
    patient_ids, n_shifts, seed
        As for `shifted_window_null`.

    Returns
    -------
    FollowTest

    Raises
    ------
    ValueError
        If shapes differ, or fewer than ten patients have a window.
    """
    _, masks = _check_maps(maps, masks)
    ids = np.arange(len(masks)) if patient_ids is None else np.asarray(patient_ids)
    strength = np.asarray(strength, dtype=float)
    if strength.shape != (len(masks),) or ids.shape != strength.shape:
        raise ValueError(
            f"strength and patient_ids must hold one entry for each of the {len(masks)} maps, got "
            f"{strength.shape} and {ids.shape}. Select the same rows."
        )
    usable = masks.any(axis=(1, 2))
    codes, patients = pd.factorize(ids[usable])
    if len(patients) < 10:
        raise ValueError(
            f"masks must hold a window for at least 10 patients, got {len(patients)}. "
            "Use more ECGs."
        )
    values = np.asarray(maps, dtype=np.float64)[usable].reshape(*masks[usable].shape[:2], -1)
    sums = _mean_by_patient(_sums_by_shift(values, masks[usable]), codes)
    strengths = _mean_by_patient(strength[usable][:, None], codes)[:, 0]
    given = rankdata(strengths)
    rng = np.random.default_rng(seed)
    shifts = rng.integers(0, sums.shape[1], size=(n_shifts, len(patients)))
    drawn = np.vstack([sums[:, 0], sums[np.arange(len(patients)), shifts]])
    ranks = rankdata(drawn, axis=1)
    ranks -= ranks.mean(axis=1, keepdims=True)
    given -= given.mean()
    scale = np.linalg.norm(ranks, axis=1) * np.linalg.norm(given)
    found = np.divide(ranks @ given, scale, out=np.zeros(len(ranks)), where=scale > 0)
    low, high = np.quantile(found[1:], [0.025, 0.975])
    n_as_large = int((found[1:] >= found[0]).sum())
    return FollowTest(
        correlation=float(found[0]),
        slope=float(np.cov(sums[:, 0], strengths)[0, 1] / (strengths.std(ddof=1) or 1.0)),
        null_low=float(low),
        null_high=float(high),
        p_value=(1 + n_as_large) / (1 + n_shifts),
        n_patients=len(patients),
    )


def _mean_by_patient(values: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """Return the mean of each patient's rows."""
    by_patient = np.zeros((codes.max() + 1, values.shape[1]))
    np.add.at(by_patient, codes, values)
    return by_patient / np.bincount(codes)[:, None]


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


def _sums_by_shift(values: np.ndarray, masks: np.ndarray) -> np.ndarray:
    """Return the sum inside the window for every circular shift, (n_records, n_samples)."""
    sums = np.empty(values.shape[:2])
    for row in range(len(values)):  # record by record: twelve leads of all records are too large
        spectrum = np.fft.rfft(values[row], axis=0) * np.conj(np.fft.rfft(masks[row] * 1.0, axis=0))
        sums[row] = np.fft.irfft(spectrum.sum(axis=1), n=values.shape[1])
    return sums
