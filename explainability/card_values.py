"""Numbers a report card compares, one a record."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from explainability.sanity_checks import window_mass
from explainability.weight_randomisation import map_correlation, map_similarity


class RecordValues:
    """Measured values, collected as rows of one long table.

    Parameters
    ----------
    records : DataFrame
        ``record_id, patient_id``.
    """

    def __init__(self, records: pd.DataFrame) -> None:
        self._records = records[["record_id", "patient_id"]].reset_index(drop=True)
        self._parts: list[pd.DataFrame] = []

    def add(
        self, measure: str, rows: np.ndarray, values: np.ndarray, *, at: float = np.nan
    ) -> None:
        """Add a value for each of the rows; `at` is the place on a curve."""
        part = self._records.iloc[rows]
        self._parts.append(part.assign(measure=measure, at=at, value=np.asarray(values, float)))

    def add_curve(
        self, measure: str, rows: np.ndarray, curve: np.ndarray, places: Sequence[float]
    ) -> None:
        """Add a curve (n_rows, n_places)."""
        for place, column in zip(places, curve.T, strict=True):
            self.add(measure, rows, column, at=place)

    def table(self) -> pd.DataFrame:
        """Return ``record_id, patient_id, measure, at, value``."""
        return pd.concat(self._parts, ignore_index=True)


def likeness(maps: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return the larger of the absolute correlations by value and by rank, (n_records,).

    A map turned upside down shows the same places; and a map that keeps either its large values
    or its ranks has not become another one.
    """
    return np.maximum(
        np.abs(map_correlation(maps, others)), np.abs(map_similarity(np.array(maps), others))
    )


def neighbour_of_other_patient(patient_ids: Sequence[str] | np.ndarray) -> np.ndarray:
    """Return for each record the next record of another patient, -1 where there is none.

    Examples
    --------
    >>> neighbour_of_other_patient(["a", "a", "b"]).tolist()
    [2, 2, 0]
    """
    ids = np.asarray(patient_ids)
    found = np.full(len(ids), -1)
    for shift in range(1, len(ids)):
        other = (np.arange(len(ids)) + shift) % len(ids)
        is_next = (found < 0) & (ids[other] != ids)
        found[is_next] = other[is_next]
    return found


def relative_change(maps: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return the size of the difference of two maps over the size of the first, (n_records,).

    ||other - map|| / ||map||, 0 for the same map and about 1.4 for an unrelated one of the same
    size; NaN where the map is zero. Yeh et al. 2019, doi 10.48550/arXiv.1901.09392 (sensitivity).
    """
    flat = [np.asarray(values, np.float64).reshape(len(values), -1) for values in (maps, others)]
    size = np.linalg.norm(flat[0], axis=1)
    change = np.linalg.norm(flat[1] - flat[0], axis=1)
    return np.divide(change, size, out=np.full(len(size), np.nan), where=size > 0)


def rank_biserial(mass: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Return how far values inside a window rank above those outside, (n_records,).

    Parameters
    ----------
    mass : array of shape (n_records, n_samples[, n_leads])
        Leads are summed.
    mask : bool array of shape (n_records, n_samples)
        The window.

    Returns
    -------
    float array
        1 if every value inside is above every one outside, 0 if they do not differ, NaN without
        a window. It is 2 AUROC - 1 (Kerby 2014, doi 10.2466/11.IT.3.1).
    """
    values = np.asarray(mass, np.float64).reshape(*mass.shape[:2], -1).sum(axis=2)
    n_in = mask.sum(axis=1)
    n_pairs = n_in * (mask.shape[1] - n_in)
    inside = np.where(mask, rankdata(values, axis=1), 0.0).sum(axis=1) - n_in * (n_in + 1) / 2
    found = np.divide(inside, n_pairs, out=np.full(len(values), np.nan), where=n_pairs > 0)
    return 2 * found - 1


def planted_shares(
    mass: np.ndarray, windows: np.ndarray, size: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the map's share in planted windows, as a multiple and beside that of the ECG itself.

    Parameters
    ----------
    mass, size : array of shape (n_records, n_samples[, n_leads])
        The map and the size of the deflections.
    windows : bool array of the same shape

    Returns
    -------
    enrichment : array of shape (n_records,)
        Share over its mean under all shifts of the windows in time; NaN without map or window.
    above_size : array of shape (n_records,)
        Share less the share of the deflections' size in the same windows.
    """
    share = window_mass(mass, windows)
    by_lead = mass.reshape(*mass.shape[:2], -1).sum(axis=1)
    coverage = windows.reshape(*windows.shape[:2], -1).mean(axis=1)
    total = by_lead.sum(axis=1)
    # Over all circular shifts a window covers every sample of its lead equally often.
    expected = np.divide(
        (by_lead * coverage).sum(axis=1), total, out=np.full(len(total), np.nan), where=total > 0
    )
    enrichment = np.divide(
        share, expected, out=np.full(len(total), np.nan), where=np.nan_to_num(expected) > 0
    )
    above = share - window_mass(size, windows)
    return enrichment, np.where(windows.any(axis=(1, 2) if mass.ndim == 3 else 1), above, np.nan)
