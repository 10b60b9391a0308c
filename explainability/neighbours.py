"""The training ECGs that the network finds most alike to a patient's ECG.

A reader may ask whether what the network calls alike looks alike, and what became of those
patients. Neighbours come from the training patients of the fold only.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from scipy.spatial.distance import cdist

from explainability.figure_style import COLOURS, INK, tidy
from explainability.r_peaks import LEADS

__all__ = ["DISTANCE", "FeatureSpace", "nearest_training", "plot_neighbours"]

DISTANCE = (
    "Euclidean distance of the network's pooled features, each divided by its standard deviation "
    "over the training ECGs, and by the square root of their number"
)
_FARTHEST_USUAL = 95.0  # per cent of training ECGs


@dataclass(frozen=True)
class FeatureSpace:
    """Training ECGs of one fold in the network's pooled features.

    Attributes
    ----------
    features : array of shape (n_records, n_features)
        Scaled; constant features are left out.
    records : DataFrame, n_records rows
        ``record_id, patient_id, y_true``.
    scale : array of shape (n_all_features,)
        Standard deviations; 0 for those left out.
    usual_distance : float
        95 % of the training ECGs have another patient's at most this far away.
    """

    features: np.ndarray
    records: pd.DataFrame
    scale: np.ndarray
    usual_distance: float

    @classmethod
    def of_training(cls, features: np.ndarray, records: pd.DataFrame) -> FeatureSpace:
        """Return the space of training ECGs.

        Parameters
        ----------
        features : array of shape (n_records, n_features)
            Output of the network's trunk.
        records : DataFrame, n_records rows
            ``record_id, patient_id, y_true``.

        Raises
        ------
        ValueError
            If lengths differ, there are fewer than three patients, or no feature varies.
        """
        features = np.asarray(features, dtype=np.float64)
        n_patients = records["patient_id"].nunique()
        if len(features) != len(records) or n_patients < 3:
            raise ValueError(
                f"records must have one row for each of the {len(features)} rows of features, of "
                f"three patients or more, got {len(records)} of {n_patients}. Select the same rows."
            )
        scale = features.std(axis=0)
        if not (scale > 0).any():
            raise ValueError("features must vary, got constants only. Check the network.")
        space = cls(_scaled(features, scale), records.reset_index(drop=True), scale, np.inf)
        apart = cdist(space.features, space.features)
        owner = space.records["patient_id"].to_numpy()
        apart[owner[:, None] == owner[None, :]] = np.inf
        usual = float(np.percentile(apart.min(axis=1), _FARTHEST_USUAL))
        return cls(space.features, space.records, scale, usual)

    def distances(self, features: np.ndarray) -> np.ndarray:
        """Return the distances to every training ECG, (n_queries, n_records)."""
        return cdist(_scaled(np.asarray(features, dtype=np.float64), self.scale), self.features)

    def is_outside(self, features: np.ndarray) -> np.ndarray:
        """Return which ECGs are farther from every training ECG than those are from each other."""
        return self.distances(features).min(axis=1) > self.usual_distance


def _scaled(features: np.ndarray, scale: np.ndarray) -> np.ndarray:
    varies = scale > 0
    return features[:, varies] / scale[varies] / np.sqrt(varies.sum())


def nearest_training(
    space: FeatureSpace, features: np.ndarray, records: pd.DataFrame, *, n_neighbours: int = 3
) -> pd.DataFrame:
    """Return the nearest training patients of each held-out ECG.

    Parameters
    ----------
    space : FeatureSpace
        Training ECGs of the fold.
    features : array of shape (n_queries, n_features)
        Of the held-out ECGs, by the same network.
    records : DataFrame, n_queries rows
        ``record_id, patient_id``.
    n_neighbours : int
        Patients, each by the nearest of the patient's ECGs.

    Returns
    -------
    DataFrame
        ``record_id, patient_id, rank, neighbour_record_id, neighbour_y_true, distance,
        usual_distance, is_outside_training_range``; distance as in `DISTANCE`.

    Raises
    ------
    ValueError
        If a held-out patient is among the training patients, or there are too few of them.
    """
    owner = space.records["patient_id"]
    if set(owner) & set(records["patient_id"]):
        raise ValueError(
            "records must be of patients outside the training set, got some who are in it. "
            "Use the network of the fold that held them out."
        )
    if not 1 <= n_neighbours <= owner.nunique():
        raise ValueError(
            f"n_neighbours must be from 1 to the {owner.nunique()} training patients, "
            f"got {n_neighbours}. Use 3 to 5."
        )
    rows = []
    queries = records[["record_id", "patient_id"]].itertuples(index=False)
    for query, distance in zip(queries, space.distances(features), strict=True):
        order = np.argsort(distance, kind="stable")
        first = order[~owner.iloc[order].duplicated().to_numpy()][:n_neighbours]
        found = space.records.iloc[first]
        rows.append(
            pd.DataFrame(
                {
                    "record_id": query.record_id,
                    "patient_id": query.patient_id,
                    "rank": np.arange(1, n_neighbours + 1),
                    "neighbour_record_id": found["record_id"].to_numpy(),
                    "neighbour_y_true": found["y_true"].to_numpy(),
                    "distance": distance[first],
                    "usual_distance": space.usual_distance,
                    "is_outside_training_range": distance[first[0]] > space.usual_distance,
                }
            )
        )
    return pd.concat(rows, ignore_index=True)


def plot_neighbours(
    beats_mv: np.ndarray,
    seconds: np.ndarray,
    titles: list[str],
    *,
    leads: tuple[str, ...] = ("II", "V2", "V5"),
    note: str = "",
) -> Figure:
    """Draw a patient's median beat beside those of the nearest training patients.

    Parameters
    ----------
    beats_mv : array of shape (1 + n_neighbours, n_beat_samples, 12)
        The patient first, in mV.
    seconds : array of shape (n_beat_samples,)
        Relative to R.
    titles : list of str
        One a column, for example the record and whether the event came.
    leads : tuple of str
        Rows of the figure.
    note : str
        Above all, for example "SYNTHETIC data".

    Returns
    -------
    Figure
        All panels of a lead share their scale.
    """
    n_columns = len(titles)
    figure = Figure(figsize=(2.4 * n_columns + 0.6, 1.7 * len(leads) + 1.1), layout="constrained")
    axes = figure.subplots(len(leads), n_columns, sharex=True, sharey="row", squeeze=False)
    for column, (beat, title) in enumerate(zip(beats_mv, titles, strict=True)):
        axes[0, column].set_title(title, fontsize=9)
        axes[-1, column].set_xlabel("time from R peak (s)", fontsize=9)
        for row, lead in enumerate(leads):
            ax = tidy(axes[row, column])
            ax.axhline(0.0, color=INK, linewidth=0.5)
            colour = COLOURS[1] if column == 0 else COLOURS[0]
            ax.plot(seconds, beat[:, LEADS.index(lead)], color=colour, linewidth=1.4)
            if column == 0:
                ax.set_ylabel(f"{lead} (mV)", fontsize=10)
    figure.suptitle(
        "Median beats: the patient (left) and the training patients most alike to the network"
        + (f"\n{note}" if note else ""),
        fontsize=10.5,
    )
    return figure
