"""Every variant by the same folds: what it may see, how it is fitted, what it predicts."""

from __future__ import annotations

import hashlib
import math
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from models_training.clinical_variant import fit_clinical_variant
from models_training.inputs import TrainingData
from models_training.prediction_rows import with_place
from models_training.settings import TrainingSettings
from models_training.targets import Targets, target_table
from models_training.variant_fit import VariantFit
from models_training.variant_inputs import columns_of

if TYPE_CHECKING:  # the clinical model needs no Keras
    from models_training.pretrained import Pretrained
    from models_training.training import NetworkTrainer


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
        For networks; the clinical model takes its seed alone. On the rung ``embedding`` a network
        is fitted in all repeats, too.
    targets : sequence of mappings
        ``targets`` of ``dataset.json``; without, the column ``outcome`` is predicted. The clinical
        model is fitted to each outcome, or at each horizon, anew.
    encoder : Pretrained, optional
        Where the network starts, for the rungs that need one.

    Raises
    ------
    ValueError
        If the variant is unknown or the cohort cannot serve it.
    """

    def __init__(
        self,
        variant: str,
        data: TrainingData,
        splits: pd.DataFrame,
        settings: TrainingSettings,
        targets: Targets = (),
        encoder: Pretrained | None = None,
    ) -> None:
        self.variant, self.splits, self.settings = variant, splits, settings
        self.targets, self.encoder = targets, encoder
        if variant != "clinical" and settings.rung != "embedding":
            self.splits = splits[splits["repeat"] < settings.n_network_repeats]
        self.covariate_names = columns_of(variant, list(data.covariates.columns))
        self.data = replace(data, covariates=data.covariates[self.covariate_names])
        if targets:
            self.data = replace(self.data, target_table=target_table(data.patients, targets))
        self.trainer: NetworkTrainer | None = None
        if variant != "clinical":
            from models_training.determinism import make_deterministic
            from models_training.head_choice import choose_head
            from models_training.rung_training import make_trainer

            if settings.is_deterministic:
                make_deterministic(settings.seed)
            head = choose_head(data.patients, targets) if targets else None
            self.trainer = make_trainer(self.data, settings, encoder, head)

    def estimate(self) -> str:
        """Return in words the time of training at most, from a measured step, and its memory."""
        n_folds = len(_folds(self.splits))
        if self.trainer is None:
            return f"Estimate: {n_folds} folds of the clinical model, seconds."
        if self.settings.rung == "embedding":
            n_ecgs = len(self.data.records)
            return f"Estimate: frozen features of {n_ecgs} ECGs, {n_folds} folds of a regression."
        n_records, settings = int(self.data.is_labelled.sum()), self.settings
        if settings.records_per_patient:
            n_patients = int(np.isfinite(self.data.targets).any(axis=1).sum())
            n_records = min(n_records, settings.records_per_patient * n_patients)
        seconds = self.trainer.seconds_a_record()
        n_fits = n_folds * settings.n_trials + (n_folds + (n_folds > 1)) * settings.n_seeds
        n_fits *= 5 if settings.rung == "choose" else 1  # the rungs that train a network
        total = seconds * n_records * settings.n_epochs * n_fits
        duration = f"{total / 60:.0f} minutes" if total > 120 else f"{total:.0f} seconds"
        return (
            f"Estimate: {self.trainer.model.count_params():,} weights, {self.trainer.precision}. "
            f"{n_fits} trainings of at most {settings.n_epochs} epochs of {n_records} ECGs: "
            f"at most {duration} at {1 / seconds:.0f} ECGs a second, about "
            f"{memory_gib(self.trainer.model, settings.batch_size):.1f} GiB of memory."
        )

    def fit(self, directory: Path) -> VariantFit:
        """Fit the variant in every fold, and once more for new patients.

        Parameters
        ----------
        directory : Path
            Where finished folds are kept: a stopped run continues after the last one.
        """
        if self.trainer is None:
            found = fit_clinical_variant(self.data, self.splits, self.targets)
        else:
            from models_training.rung_training import fit_rung

            found = fit_rung(self, directory)
        found.variant, found.covariate_names = self.variant, self.covariate_names
        table = found.predictions
        seed = table.pop("seed") if "seed" in table else self.settings.seed
        found.predictions = table.assign(variant=self.variant, seed=seed)
        return found


def memory_gib(model: Any, batch_size: int) -> float:
    """Return roughly the memory of a training process; the ECGs stay on disk.

    Measured at widths 8 and 64: 0.9 GiB of libraries, 25 copies of the weights in the
    optimizer's step, one copy of every layer's output for a batch.
    """
    outputs = sum(math.prod(layer.output.shape[1:]) for layer in model.layers)
    return 0.9 + 4 * (25 * model.count_params() + outputs * batch_size) / 2**30


def _folds(splits: pd.DataFrame) -> list[tuple[int, int, pd.DataFrame]]:
    return [(int(r), int(f), part) for (r, f), part in splits.groupby(["repeat", "fold"])]


def fit_network(
    trainer: NetworkTrainer, splits: pd.DataFrame, directory: Path, targets: Targets
) -> VariantFit:
    """Train the networks of every fold, then on all patients for the median of the kept epochs."""
    from models_training.network_folds import NetworkFolds, recalibrated

    data, settings, folds = trainer.data, trainer.settings, _folds(splits)
    is_hold_out = len(folds) == 1
    facts = replace(settings, precision=trainer.precision), trainer.started_from
    facts = (*facts, trainer.head.config(), targets)
    job = NetworkFolds(trainer, folds, directory, fingerprint(data, splits, facts))
    trials = job.search()
    histories, predictions = [], []
    n_fits = (len(folds) + (not is_hold_out)) * settings.n_seeds
    with tqdm(total=n_fits * settings.n_epochs, desc="epochs", unit="epoch") as bar:
        for seed in job.seeds:
            for key in job.ids:
                found = job.train(key, seed, bar)
                if found is not None:
                    fitted, done, history = found
                    rows = job.rows(key)
                    scored = [
                        with_place(fitted.predictions(rows[role], targets), role, *key)
                        for role in ("validation", "test")
                    ]
                    history = history.assign(repeat=key[0], fold=key[1])
                    done.write(fitted.model.get_weights(), history, pd.concat(scored))
                done = job.fold_store(key, seed)
                histories.append(done.history().assign(seed=seed))
                predictions.append(done.predictions().assign(seed=seed))
        history = pd.concat(histories, ignore_index=True)
        n_best = int(history.loc[history["is_kept"], "epoch"].median())
        if is_hold_out:
            members = [job.fold_store(folds[0][:2], seed).weights() for seed in job.seeds]
        else:
            members = job.refit(trials, n_best, bar)
    table, line = pd.concat(predictions, ignore_index=True), None
    if settings.imbalance != "none":
        table, line = recalibrated(table)
    about = {"bundle_kind": "hold_out" if is_hold_out else "refit_all", "n_epochs": n_best}
    about |= {"n_weights": int(trainer.model.count_params()), "precision": trainer.precision}
    about |= {"n_seeds": settings.n_seeds, "n_crops": settings.n_crops}
    about |= {"recalibration": line or "none", "head": trainer.head.config()}
    model = job.bundle(members, line)
    return VariantFit(
        "",
        [],
        history,
        table,
        {key: sorted(ids["train"]) for key, ids in job.ids.items()},
        ("train",),
        model,
        about,
        trials=trials,
    )


def fingerprint(data: TrainingData, splits: pd.DataFrame, facts: Any) -> str:
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
