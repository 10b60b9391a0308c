"""Every variant by the same folds: what it may see, how it is fitted, what it predicts."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy.special import expit
from tqdm.auto import tqdm

from models_training.clinical_coefficients import coefficient_table
from models_training.clinical_model import fit_clinical
from models_training.clinical_process import PENALTIES, fit_processes, fold_samples
from models_training.fold_store import FOLDS, Checkpoint, FoldStore
from models_training.inputs import TrainingData
from models_training.settings import TrainingSettings
from models_training.variant_inputs import columns_of

FITTED_ROLES = ("train", "validation")

if TYPE_CHECKING:  # the clinical model needs no Keras
    from models_training.training import NetworkTrainer


@dataclass
class VariantFit:
    """What one variant's training leaves.

    Attributes
    ----------
    variant : str
        Its name.
    covariate_names : list of str
        Encoded columns it sees.
    history : DataFrame
        ``repeat, fold`` and a row an epoch (networks) or a penalty (clinical).
    predictions : DataFrame
        ``record_id, patient_id, repeat, fold, role, seed, variant, y_true, y_score``; roles
        ``validation`` (training patients, by models that left them out) and ``test``. ``y_true`` is
        Int8, <NA> for tested patients whose status at the horizon is unknown.
    fitted_on : dict
        From (repeat, fold) to the patients anything was fitted on.
    fitted_roles : tuple of str
        The roles these patients may have: ``train``; for the clinical model, whose inner folds
        cover all training patients, ``validation`` as well.
    model : keras.Model or ClinicalModel
        The one for new patients.
    about : dict
        Facts for the card: number of weights, epochs or penalty, kind of bundle.
    coefficients : DataFrame or None
        Of the clinical model, see `coefficient_table`.
    """

    variant: str
    covariate_names: list[str]
    history: pd.DataFrame
    predictions: pd.DataFrame
    fitted_on: dict[tuple[int, int], list[str]]
    fitted_roles: tuple[str, ...]
    model: Any
    about: dict[str, Any] = field(default_factory=dict)
    coefficients: pd.DataFrame | None = None


class VariantTraining:
    """A variant ready to be trained; a network is built and its speed known before it starts.

    Parameters
    ----------
    variant : str
        ``ecg``, ``ecg_age``, ``ecg_covariates`` or ``clinical``.
    data : TrainingData
        The cohort with all its encoded covariates.
    splits : DataFrame
        ``patient_id, repeat, fold, inner_fold, role``; a network is trained in the first repeats,
        the clinical model in all.
    settings : TrainingSettings
        For networks; the clinical model takes its seed alone.

    Raises
    ------
    ValueError
        If the variant is unknown or the cohort cannot serve it.
    """

    def __init__(
        self, variant: str, data: TrainingData, splits: pd.DataFrame, settings: TrainingSettings
    ) -> None:
        self.variant, self.splits, self.settings = variant, splits, settings
        if variant != "clinical":
            self.splits = splits[splits["repeat"] < settings.n_network_repeats]
        self.covariate_names = columns_of(variant, list(data.covariates.columns))
        self.data = replace(data, covariates=data.covariates[self.covariate_names])
        self.trainer: NetworkTrainer | None = None
        if variant != "clinical":
            from models_training.training import NetworkTrainer

            self.trainer = NetworkTrainer(self.data, settings)

    def estimate(self) -> str:
        """Return in words the time of training at most, from a measured step, and its memory."""
        n_folds = len(_folds(self.splits))
        if self.trainer is None:
            return f"Estimate: {n_folds} folds of the clinical model, seconds."
        n_records, settings = int(self.data.is_labelled.sum()), self.settings
        if settings.records_per_patient:
            n_patients = int(self.data.patients["outcome"].notna().sum())
            n_records = min(n_records, settings.records_per_patient * n_patients)
        seconds = self.trainer.seconds_a_record()
        n_fits = n_folds + (n_folds > 1)
        total = seconds * n_records * settings.n_epochs * n_fits
        duration = f"{total / 60:.0f} minutes" if total > 120 else f"{total:.0f} seconds"
        return (
            f"Estimate: {self.trainer.model.count_params():,} weights, {self.trainer.precision}. "
            f"{n_fits} trainings of at most {settings.n_epochs} epochs of {n_records} ECGs: "
            f"at most {duration} at {1 / seconds:.0f} ECGs a second, about "
            f"{self.trainer.memory_gib():.1f} GiB of memory."
        )

    def fit(self, directory: Path) -> VariantFit:
        """Fit the variant in every fold, and once more for new patients.

        Parameters
        ----------
        directory : Path
            Where finished folds are kept: a stopped run continues after the last one.
        """
        if self.trainer is None:
            found = _fit_clinical(self.data, self.splits)
        else:
            found = _fit_network(self.trainer, self.splits, directory)
        found.variant, found.covariate_names = self.variant, self.covariate_names
        found.predictions = found.predictions.assign(variant=self.variant, seed=self.settings.seed)
        return found


def _folds(splits: pd.DataFrame) -> list[tuple[int, int, pd.DataFrame]]:
    return [(int(r), int(f), part) for (r, f), part in splits.groupby(["repeat", "fold"])]


def _prediction_rows(
    data: TrainingData, rows: np.ndarray, logits: np.ndarray, role: str, repeat: int, fold: int
) -> pd.DataFrame:
    """Return the predictions of some records, logits of shape (n, 1)."""
    table = data.records.iloc[rows][["record_id", "patient_id"]].reset_index(drop=True)
    y_true = pd.array(data.y_true[rows, 0].astype("float64"), dtype="Int8")  # NaN becomes <NA>
    y_score = expit(logits[:, 0])
    return table.assign(repeat=repeat, fold=fold, role=role, y_true=y_true, y_score=y_score)


def _fit_clinical(data: TrainingData, splits: pd.DataFrame) -> VariantFit:
    """Fit the LASSO in every fold; the penalty is chosen inside the training patients."""
    keys, samples = fold_samples(splits, data.patients)
    values = data.covariates.to_numpy(float)
    found = fit_processes(values, samples, progress="clinical folds")
    predictions, fitted_on = [], {}
    ids, row_of = data.patients["patient_id"].to_numpy(), data.patient_row
    tested = splits[splits["role"] == "test"].groupby(["repeat", "fold"])["patient_id"]
    for number, key in enumerate(keys):
        train_rows = np.flatnonzero((samples.weights[number] > 0)[row_of])
        test_rows = data.rows_of(tested.get_group(key))
        inner, logits = (
            part[number][row_of][:, None] for part in (found.inner_logits, found.logits)
        )
        predictions += [
            _prediction_rows(data, train_rows, inner[train_rows], "validation", *key),
            _prediction_rows(data, test_rows, logits[test_rows], "test", *key),
        ]
        fitted_on[key] = sorted(ids[samples.weights[number] > 0])
    history = pd.DataFrame(
        {
            "repeat": np.repeat([repeat for repeat, _ in keys], len(PENALTIES)),
            "fold": np.repeat([fold for _, fold in keys], len(PENALTIES)),
            "penalty_c": np.tile(PENALTIES, len(keys)),
            "val_loss": found.losses.ravel(),
        }
    )
    penalty_c = np.array(PENALTIES)[found.best[:, 1]]
    is_known = data.patients["outcome"].notna().to_numpy()
    y_true = data.patients.loc[is_known, "outcome"].to_numpy(int)
    final = fit_clinical(data.covariates[is_known], y_true, penalty_c=float(np.median(penalty_c)))
    about = {"bundle_kind": "refit_all", "penalty_c": final.penalty_c}
    table = pd.concat(predictions, ignore_index=True)
    coefficients = coefficient_table(final, found, values, samples.weights)
    return VariantFit("", [], history, table, fitted_on, FITTED_ROLES, final, about, coefficients)


def _fit_network(trainer: NetworkTrainer, splits: pd.DataFrame, directory: Path) -> VariantFit:
    """Train the network in every fold, then on all patients for the median of the best epochs."""
    data, settings = trainer.data, trainer.settings
    folds = _folds(splits)
    is_hold_out = len(folds) == 1
    store = directory / FOLDS
    facts = (replace(settings, precision=trainer.precision), trainer.started_from)
    mark = _fingerprint(data, splits, facts)
    histories, predictions, fitted_on = [], [], {}
    n_fits = len(folds) + (not is_hold_out)
    with tqdm(total=n_fits * settings.n_epochs, desc="epochs", unit="epoch") as bar:
        for repeat, fold, part in folds:
            ids = {role: list(rows["patient_id"]) for role, rows in part.groupby("role")}
            fitted_on[repeat, fold] = sorted(ids["train"])
            done = FoldStore(store, repeat, fold, mark)
            if not done.is_complete:
                rows = {role: data.rows_of(patients) for role, patients in ids.items()}
                history = trainer.fit(
                    rows["train"],
                    rows["validation"],
                    n_epochs=settings.n_epochs,
                    seed=(repeat, fold),
                    bar=bar,
                    checkpoint=done.checkpoint,
                )
                scored = [
                    _prediction_rows(
                        data, rows[role], trainer.logits(rows[role]), role, repeat, fold
                    )
                    for role in ("validation", "test")
                ]
                history = history.assign(repeat=repeat, fold=fold)
                done.write(trainer.model.get_weights(), history, pd.concat(scored))
            else:
                bar.update(settings.n_epochs)
            histories.append(done.history())
            predictions.append(done.predictions())
        history = pd.concat(histories, ignore_index=True)
        n_best = history.loc[history.groupby(["repeat", "fold"])["val_loss"].idxmin(), "epoch"]
        about = {"bundle_kind": "hold_out", "n_epochs": int(n_best.median())}
        if is_hold_out:
            trainer.model.set_weights(FoldStore(store, *folds[0][:2], mark).weights())
        else:
            about["bundle_kind"] = "refit_all"
            everyone = np.flatnonzero(data.is_labelled)
            n_epochs, last = about["n_epochs"], Checkpoint(store / "refit_all.npz", mark)
            trainer.fit(
                everyone, None, n_epochs=n_epochs, seed=(2**16 - 1,), bar=bar, checkpoint=last
            )
            last.delete()
            bar.update(settings.n_epochs - n_epochs)
    about |= {"n_weights": int(trainer.model.count_params()), "precision": trainer.precision}
    table = pd.concat(predictions, ignore_index=True)
    return VariantFit("", [], history, table, fitted_on, ("train",), trainer.model, about)


def _fingerprint(data: TrainingData, splits: pd.DataFrame, facts: Any) -> str:
    """Return a hash of what a fold's result depends on; a stale fold is then never reused."""
    digest = hashlib.sha256(repr(facts).encode())
    for table in (splits, data.records[["record_id", "patient_id"]]):
        digest.update(pd.util.hash_pandas_object(table, index=False).to_numpy().tobytes())
    digest.update(repr(list(data.covariates.columns)).encode())
    digest.update(np.ascontiguousarray(data.covariates.to_numpy(float)).tobytes())
    digest.update(data.y_true.tobytes())
    for row in np.linspace(0, len(data.signals) - 1, 32).astype(int):
        digest.update(np.ascontiguousarray(data.signals[row]).tobytes())
    return digest.hexdigest()
