"""What a report card is made from: a map method, held-out ECGs, and how they are measured."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import keras
import numpy as np
import pandas as pd

from explainability.model_access import ECG_INPUT, Inputs
from explainability.replacement import SHARES
from explainability.sanity_checks import WindowTest

LoadNetwork = Callable[[int, int, int], keras.Model]
KEYS = ["repeat", "fold", "seed"]


@dataclass(frozen=True)
class MapMethod:
    """A way to make maps.

    Parameters
    ----------
    name : str
        As the card is titled.
    explain : callable
        From a network and inputs to signed maps, (n_records, n_samples) without lead axis or
        (n_records, n_samples, n_leads) with one. Of Grad-CAM those before the relu
        (``rectify=False``): a rectified map of a random network is often empty.
    is_positive : bool
        Whether only what raises the score is drawn, as by Grad-CAM; else absolute values are.
    """

    name: str
    explain: Callable[[keras.Model, Inputs], np.ndarray]
    is_positive: bool = False

    def mass(self, maps: np.ndarray) -> np.ndarray:
        """Return what of the maps is drawn, at least 0."""
        return np.maximum(maps, 0.0) if self.is_positive else np.abs(maps)


@dataclass(frozen=True)
class CardData:
    """Held-out ECGs and what is known of them.

    Parameters
    ----------
    records : DataFrame
        ``record_id, patient_id, repeat, fold, seed``, one row for each of `inputs`: the network
        that is explained, which had not seen the patient.
    inputs : mapping of str to array
        ``ecg`` (n_records, n_samples, n_leads) in mV and, for two-input networks, ``covariates``.
    rate_hz : float
        Sampling rate.
    qrs : bool array of shape (n_records, n_samples)
        Where the QRS complexes are.
    planted : bool array of shape (n_records, n_samples, n_leads), optional
        Where a sign was planted, for synthetic ECGs.
    peers : DataFrame, optional
        ``record_id, repeat, fold, seed`` of networks that had not seen the patient: the test rows
        of ``predictions.parquet`` are that. Networks of the same fold with another seed count as
        seeds, those of another repeat as repeats. Networks of another fold of the same repeat were
        trained on the patient and are never among them.

    Raises
    ------
    ValueError
        If rows or shapes do not fit, or a peer of the same repeat is of another fold.
    """

    records: pd.DataFrame
    inputs: Inputs
    rate_hz: float
    qrs: np.ndarray
    planted: np.ndarray | None = None
    peers: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=["record_id", *KEYS]))

    def __post_init__(self) -> None:
        """Check that everything is about the same records."""
        shape = self.inputs[ECG_INPUT].shape
        if len(self.records) != shape[0] or not len(self.records):
            raise ValueError(
                f"records must have one row for each of the {shape[0]} ECGs (one at least), got "
                f"{len(self.records)}. Select the same rows."
            )
        for name, mask, wanted in (
            ("qrs", self.qrs, shape[:2]),
            ("planted", self.planted, shape),
        ):
            if mask is not None and (mask.shape != wanted or mask.dtype != bool):
                raise ValueError(
                    f"{name} must be boolean of shape {wanted}, got {mask.dtype} of {mask.shape}. "
                    "Mark the samples of each record."
                )
        rows = self.peer_rows()
        is_leak = (rows["repeat"] == rows["own_repeat"]) & (rows["fold"] != rows["own_fold"])
        if is_leak.any():
            raise ValueError(
                "peers must be networks that had not seen the patient, got "
                f"{int(is_leak.sum())} of another fold of the same repeat. Pass test rows only."
            )

    def of_rows(self, rows: np.ndarray) -> CardData:
        """Return the same of some of the records."""
        return replace(
            self,
            records=self.records.iloc[rows].reset_index(drop=True),
            inputs={name: np.asarray(values)[rows] for name, values in self.inputs.items()},
            qrs=self.qrs[rows],
            planted=None if self.planted is None else self.planted[rows],
        )

    def peer_rows(self) -> pd.DataFrame:
        """Return the peers of the records, with ``row`` and the ``own_`` network of each."""
        own = self.records[["record_id", *KEYS]].assign(row=np.arange(len(self.records)))
        own = own.rename(columns={key: f"own_{key}" for key in KEYS})
        rows = self.peers[["record_id", *KEYS]].drop_duplicates().merge(own, on="record_id")
        is_other = [rows[key] != rows[f"own_{key}"] for key in KEYS]
        return rows.loc[np.any(is_other, axis=0)]

    def windows(self, n_axes: int) -> np.ndarray:
        """Return the planted windows for maps with (3 axes) or without (2) leads."""
        assert self.planted is not None  # asked for only where a sign was planted
        return self.planted if n_axes == 3 else np.asarray(self.planted.any(axis=2))


@dataclass(frozen=True)
class CardSettings:
    """How the values are measured.

    Parameters
    ----------
    depths : tuple of float
        Shares of the layers, from the output down, whose weights are made random; 0.5 and 1 are
        needed by the card, others show the cascade.
    n_draws : int
        Draws of random weights, and of noise.
    shares : tuple of float
        Of the ECG that is replaced or kept.
    segment_seconds : float
        Length of the pieces that are replaced.
    n_random : int
        Random orders the map's order is compared with.
    noise_uv : float
        Standard deviation of white noise in microvolts: 5 is 30 peak to valley, which
        IEC 60601-2-25 allows an electrocardiograph by itself, and a third of a line's width on
        paper.
    shift_seconds : float
        About one large box of the paper; brought to whole steps of the network's coarsest layer,
        since a map that is one value every third of a second cannot follow a fifth.
    seed : int
        Of all that is drawn.
    """

    depths: tuple[float, ...] = (0.25, 0.5, 1.0)
    n_draws: int = 2
    shares: tuple[float, ...] = SHARES
    segment_seconds: float = 0.1
    n_random: int = 5
    noise_uv: float = 5.0
    shift_seconds: float = 0.2
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse what the card could not be made from."""
        if not {0.5, 1.0} <= set(self.depths):
            raise ValueError(f"depths must hold 0.5 and 1.0, got {self.depths}. Add them.")


@dataclass(frozen=True)
class CardMeasures:
    """What was measured.

    Attributes
    ----------
    method : str
        Name of the map method.
    table : DataFrame
        ``record_id, patient_id, measure, at, value``; ``at`` is the share of layers or of the ECG
        where the value is a point of a curve, else NaN.
    window_test : WindowTest or None
        Of the planted windows.
    """

    method: str
    table: pd.DataFrame
    window_test: WindowTest | None
