"""Rows of a cohort as training batches, in an order fixed by seed and epoch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from models_training.sampling import class_weights, drawn_patients

ECG_INPUT, COVARIATE_INPUT = "ecg", "covariates"
Inputs = dict[str, np.ndarray]


@dataclass(frozen=True)
class TrainingData:
    """ECGs, outcomes and covariates of a cohort; nothing of the signals is copied.

    Parameters
    ----------
    signals : array of shape (n_signals, n_samples, 12)
        Millivolts; may be a memory map.
    records : DataFrame
        ``record_id, patient_id, signal_row``, one row an ECG.
    patients : DataFrame
        ``patient_id, outcome``, one row a patient. 0 or 1; missing where the status at the horizon
        is unknown: such patients are scored, and nothing is fitted on them.
    covariates : DataFrame
        Encoded covariates, one row for each of `patients`; no columns for none.
    target_table : DataFrame, optional
        What a head of its own predicts: one row for each of `patients`, one numeric column a
        target, missing where unknown. By default the column ``outcome``.
    """

    signals: np.ndarray
    records: pd.DataFrame
    patients: pd.DataFrame
    covariates: pd.DataFrame
    target_table: pd.DataFrame | None = None

    def __post_init__(self) -> None:
        """Check that the tables belong together."""
        unknown = ~self.records["patient_id"].isin(self.patients["patient_id"])
        if unknown.any():
            raise ValueError(
                f"records must belong to patients of the cohort, got {int(unknown.sum())} that do "
                "not. Pass the tables of one run."
            )
        for name, table in (("covariates", self.covariates), ("target_table", self.target_table)):
            if table is not None and len(table) != len(self.patients):
                raise ValueError(
                    f"{name} must have one row for each of the {len(self.patients)} patients, "
                    f"got {len(table)}. Encode the same patients."
                )
        if np.isnan(self.targets).all():
            names = ", ".join(self.target_names)
            raise ValueError(f"{names} must be known for some patients, got missing ones only.")

    @property
    def target_names(self) -> list[str]:
        """Names of the targets, in the order of `targets`."""
        return ["outcome"] if self.target_table is None else list(self.target_table.columns)

    @property
    def targets(self) -> np.ndarray:
        """Targets of each patient, (n_patients, n_targets), float32; NaN where unknown."""
        table = self.patients[["outcome"]] if self.target_table is None else self.target_table
        return table.to_numpy("float32", na_value=np.nan)

    @property
    def patient_row(self) -> np.ndarray:
        """Row of `patients` of each record, (n_records,)."""
        rows = pd.Series(np.arange(len(self.patients)), index=self.patients["patient_id"])
        return rows.loc[self.records["patient_id"]].to_numpy()

    @property
    def y_true(self) -> np.ndarray:
        """Targets of each record's patient, (n_records, n_targets), float32; NaN where unknown."""
        return self.targets[self.patient_row]

    @property
    def is_labelled(self) -> np.ndarray:
        """Whether any target of each record's patient is known, (n_records,)."""
        return np.any(np.isfinite(self.y_true), axis=1)

    def inputs(self, rows: np.ndarray) -> Inputs:
        """Return the network's inputs for some records."""
        found = {ECG_INPUT: np.asarray(self.signals[self.records["signal_row"].to_numpy()[rows]])}
        if self.covariates.shape[1]:
            values = self.covariates.to_numpy("float32")
            found[COVARIATE_INPUT] = values[self.patient_row[rows]]
        return found

    def rows_of(self, patient_ids: Sequence[str]) -> np.ndarray:
        """Return the records of some patients."""
        return np.flatnonzero(self.records["patient_id"].isin(patient_ids).to_numpy())


class EpochBatches:
    """Batches of one epoch after another; every patient counts once whatever the number of ECGs.

    Parameters
    ----------
    data : TrainingData
        The cohort.
    rows : int array
        Training records.
    batch_size : int
        Records a batch; the last one is filled up with records of weight 0.
    records_per_patient : int
        Random ECGs of a patient an epoch; 0 = all, each weighted by 1 / n of its patient.
    seed : sequence of int
        Order and choice are a function of it and of the epoch, not of what ran before.
    imbalance : str
        See `models_training.sampling`; all but ``none`` are for one outcome of 0 and 1.
    y_true : array of shape (n_records, n_columns), optional
        What the loss takes for each record of the cohort; by default the targets as they are.
    """

    def __init__(
        self,
        data: TrainingData,
        rows: np.ndarray,
        *,
        batch_size: int,
        records_per_patient: int,
        seed: Sequence[int],
        imbalance: str = "none",
        y_true: np.ndarray | None = None,
    ) -> None:
        self.data, self.rows, self.batch_size = data, np.asarray(rows), batch_size
        self.records_per_patient, self.seed = records_per_patient, list(seed)
        self.imbalance = imbalance
        patient = data.patient_row[self.rows]
        _, first, code, count = np.unique(
            patient, return_index=True, return_inverse=True, return_counts=True
        )
        self._code, self._weight = code, 1.0 / count[code]
        self._outcome = data.y_true[self.rows[first], 0]
        self._y_true = data.y_true if y_true is None else y_true
        n_unknown = int((~data.is_labelled[self.rows]).sum())
        if n_unknown:
            raise ValueError(
                f"rows must be of patients with a known outcome, got {n_unknown} others. Train on "
                "the roles train and validation only."
            )
        self.start_epoch(0)

    def start_epoch(self, epoch: int) -> None:
        """Draw and order the records of an epoch."""
        rng = np.random.default_rng([*self.seed, epoch])
        order = rng.permutation(len(self.rows))
        weight = self._weight
        if self.records_per_patient:
            # The first k of each patient in a random order are k random ones.
            seen = pd.Series(self._code[order]).groupby(self._code[order]).cumcount().to_numpy()
            order = order[seen < self.records_per_patient]
            drawn = np.minimum(1.0 / self._weight, self.records_per_patient)
            weight = 1.0 / drawn
        if self.imbalance != "none":
            times = drawn_patients(self._outcome, imbalance=self.imbalance, rng=rng)
            order = rng.permutation(np.repeat(order, times[self._code[order]]))
            weight = weight * class_weights(self._outcome, imbalance=self.imbalance)[self._code]
        self._order = order
        self._epoch_weight = weight / weight[order].mean()

    def __len__(self) -> int:
        """Return the batches of an epoch."""
        return -(-len(self._order) // self.batch_size)

    def __getitem__(self, index: int) -> tuple[Inputs, np.ndarray, np.ndarray]:
        """Return inputs, targets (batch_size, n_columns) and weights (batch_size,) of a batch."""
        first = index * self.batch_size
        part = self._order[first : first + self.batch_size]
        weight = np.zeros(self.batch_size, "float32")
        weight[: len(part)] = self._epoch_weight[part]
        # One size for all batches, so the graph is traced once; the filling has no weight.
        part = np.concatenate([part, np.resize(self._order, self.batch_size - len(part))])
        rows = self.rows[part]
        return self.data.inputs(rows), self._y_true[rows], weight
