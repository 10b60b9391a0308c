"""The rung ``embedding``: frozen features, and a ridge regression tuned in every fold."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import pandas as pd
from scipy.special import expit
from tqdm.auto import tqdm

from models_training.clinical_process import fold_samples
from models_training.embeddings import cached_embedding, embed, patient_means, trunk_of
from models_training.fold_store import FOLDS, FoldStore
from models_training.inputs import TrainingData
from models_training.prediction_rows import prediction_rows, with_place
from models_training.ridge import (
    PENALTIES,
    Ridge,
    block_gains,
    fit_ridge_path,
    tune_ridge,
)
from models_training.targets import Targets
from models_training.variant_fit import FITTED_ROLES, VariantFit
from models_training.variants import fingerprint

if TYPE_CHECKING:
    from models_training.training import NetworkTrainer

FEATURES_FILE = "features.npz"


class FrozenFeatures:
    """The features of every record by a trunk that never learns from outcomes.

    An encoder's are the same in every fold: computed once, kept in the run. Without an encoder
    (random kernels) scaling and biases come from the training records of each fold.

    Parameters
    ----------
    trainer : NetworkTrainer
        Holds the network; with an encoder's weights or with random kernels.
    path : Path
        Where an encoder's features are kept.
    """

    def __init__(self, trainer: NetworkTrainer, path: Path) -> None:
        self.trainer, self.path = trainer, path
        self.trunk = trunk_of(trainer.model)
        self.trunk.run_eagerly = trainer.settings.run_eagerly
        self.is_shared = bool(trainer.started_from)
        self._found: np.ndarray | None = None

    def of(self, train_rows: np.ndarray) -> np.ndarray:
        """Return the features for a model of these training records, (n_records, n_features).

        The trainer's network is left in the state that gives them.
        """
        self.trainer.reset(train_rows)
        _pass_amplitudes(self.trainer.model)
        if not self.is_shared:
            return embed(self.trunk, self.trainer.data)
        if self._found is None:
            self._found = cached_embedding(self.trunk, self.trainer.data, self.path)
        return self._found


def _pass_amplitudes(model: keras.Model) -> None:
    """Let the leads' log amplitudes pass their rectified branch unchanged, but for a constant.

    They are -4.6 or more. The regression scales them with the training patients.
    """
    layers: dict[str, Any] = {layer.name: layer for layer in model.layers}
    if "amplitude" in layers:
        n_leads = layers["amplitude_dense"].units
        layers["amplitude_scaling"].set_statistics(np.zeros(n_leads), np.ones(n_leads))
        layers["amplitude_dense"].set_weights([np.eye(n_leads), np.full(n_leads, 10.0)])


def fit_embedding(
    trainer: NetworkTrainer,
    splits: pd.DataFrame,
    directory: Path,
    facts: Any,
    targets: Targets = (),
) -> VariantFit:
    """Fit the ridge regression in every fold, and once more on all patients.

    Parameters
    ----------
    trainer : NetworkTrainer
        The network; its covariate branch must have two units a covariate or more.
    splits : DataFrame
        ``patient_id, repeat, fold, inner_fold, role``; all repeats are used: a fit takes seconds.
    directory : Path
        Of the variant. Finished folds are kept there and not fitted again, each with its network,
        to be explained: the frozen layers once, then what differs from them.
    facts
        What the folds depend on besides data and split.
    targets : sequence of mappings
        The one binary outcome, where it was named.

    Returns
    -------
    VariantFit
        Role ``validation`` holds all training patients, by regressions that left them out.
        ``history`` has one row a penalty.
    """
    data = trainer.data
    keys, samples = fold_samples(splits, data.patients)
    frozen = FrozenFeatures(trainer, directory / FEATURES_FILE)
    ids = data.patients["patient_id"].to_numpy()
    predictions, histories, fitted_on = [], [], {}
    parts = dict(list(splits.groupby(["repeat", "fold"])))
    first = FoldStore(directory / FOLDS, *keys[0], fingerprint(data, parts[keys[0]], facts))
    for number, key in enumerate(tqdm(keys, desc="ridge folds", unit="fold")):
        is_training = samples.weights[number] > 0
        mark = fingerprint(data, parts[key], (facts, first.mark))  # it needs the first one's layers
        done = FoldStore(directory / FOLDS, *key, mark) if number else first
        if not done.is_complete:
            inner_fold = np.where(is_training, samples.inner_fold[number], -1)
            history, scored = _fit_fold(frozen, inner_fold, parts[key], targets)
            done.write(trainer.model.get_weights(), history, scored, first if number else None)
        histories.append(done.history())
        predictions.append(done.predictions())
        fitted_on[key] = sorted(ids[is_training])
    chosen = [table["penalty_c"].iloc[table["val_loss"].argmin()] for table in histories]
    penalty_c = float(np.median(chosen))
    n_features = _refit(frozen, penalty_c)
    about = {"bundle_kind": "refit_all", "penalty_c": penalty_c, "n_features": n_features}
    about["n_trained"] = n_features + data.covariates.shape[1] + 1
    about |= {"n_weights": int(trainer.model.count_params()), "precision": trainer.precision}
    about |= {"head": trainer.head.config(), "recalibration": "none"}
    tables = [pd.concat(parts, ignore_index=True) for parts in (histories, predictions)]
    return VariantFit("", [], *tables, fitted_on, FITTED_ROLES, trainer.model, about)


def _fit_fold(
    frozen: FrozenFeatures, inner_fold: np.ndarray, part: pd.DataFrame, targets: Targets
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return losses and scored records of one fold; its regression is left in the network."""
    begin, data = time.perf_counter(), frozen.trainer.data
    key = int(part["repeat"].iloc[0]), int(part["fold"].iloc[0])
    train_rows = np.flatnonzero((inner_fold >= 0)[data.patient_row])
    test_rows = data.rows_of(list(part.loc[part["role"] == "test", "patient_id"]))
    features = frozen.of(train_rows)
    tuned = tune_ridge(
        _patient_values(features, data),
        _outcomes(data),
        inner_fold,
        gains=block_gains(features.shape[1], data.covariates.shape[1]),
    )
    set_head(frozen.trainer.model, tuned.fit, features.shape[1])
    inner = tuned.inner_logits[data.patient_row[train_rows]]
    outer = tuned.fit.logits(_record_values(features, data, test_rows))
    scored = [
        with_place(
            prediction_rows(data, rows, expit(logits)[:, None], data.y_true[rows, :1], targets),
            role,
            *key,
        )
        for role, rows, logits in (
            ("validation", train_rows, inner),
            ("test", test_rows, outer),
        )
    ]
    losses = {"penalty_c": PENALTIES, "val_loss": tuned.losses}
    history = pd.DataFrame({"repeat": key[0], "fold": key[1], **losses})
    history["seconds"] = (time.perf_counter() - begin) / len(history)
    return history, pd.concat(scored, ignore_index=True)


def _refit(frozen: FrozenFeatures, penalty_c: float) -> int:
    """Fit all labelled patients at one penalty, write the head, return the number of features."""
    data = frozen.trainer.data
    features = frozen.of(np.flatnonzero(data.is_labelled))
    values, y_true = _patient_values(features, data), _outcomes(data)
    is_used = np.isfinite(values[:, 0]) & np.isfinite(y_true)
    gains = block_gains(features.shape[1], data.covariates.shape[1])
    path = fit_ridge_path(values[is_used], y_true[is_used], gains=gains, penalties_c=[penalty_c])
    set_head(frozen.trainer.model, path[0], features.shape[1])
    return features.shape[1]


def _outcomes(data: TrainingData) -> np.ndarray:
    return data.patients["outcome"].to_numpy(float, na_value=np.nan)


def _patient_values(features: np.ndarray, data: TrainingData) -> np.ndarray:
    """Return mean features and covariates of each patient, (n_patients, n_columns)."""
    return np.hstack([patient_means(features, data), data.covariates.to_numpy(float)])


def _record_values(features: np.ndarray, data: TrainingData, rows: np.ndarray) -> np.ndarray:
    covariates = data.covariates.to_numpy(float)[data.patient_row[rows]]
    return np.hstack([features[rows].astype(float), covariates])


def set_head(model: keras.Model, fit: Ridge, n_features: int) -> None:
    """Write a regression into a network's last layers, which then give its logits.

    A covariate passes the rectified branch in two units, x = max(x, 0) - max(-x, 0).

    Parameters
    ----------
    model : keras.Model
        One logit; ``covariate_dense`` with two units a covariate or more.
    fit : Ridge
        Of the trunk's features, then the covariates.
    n_features : int
        Of the trunk.

    Raises
    ------
    ValueError
        If the covariate branch is too narrow.
    """
    n_covariates = len(fit.slopes) - n_features
    layers: dict[str, Any] = {layer.name: layer for layer in model.layers}
    kernel = np.zeros(tuple(layers["logit"].kernel.shape), "float32")
    kernel[:n_features, 0] = fit.slopes[:n_features]
    if n_covariates:
        dense = layers["covariate_dense"]
        branch = np.zeros(tuple(dense.kernel.shape), "float32")
        if branch.shape[1] < 2 * n_covariates:
            raise ValueError(
                f"covariate_units must be at least {2 * n_covariates} for {n_covariates} "
                f"covariates on rung embedding, got {branch.shape[1]}. Set it so."
            )
        layers["covariate_scaling"].set_statistics(
            fit.mean[n_features:].astype("float32"), np.ones(n_covariates, "float32")
        )
        places = np.arange(n_covariates)
        branch[places, 2 * places], branch[places, 2 * places + 1] = 1.0, -1.0
        dense.set_weights([branch, np.zeros(branch.shape[1], "float32")])
        kernel[n_features + 2 * places, 0] = fit.slopes[n_features:]
        kernel[n_features + 2 * places + 1, 0] = -fit.slopes[n_features:]
    bias = fit.intercept - float(fit.mean[:n_features] @ fit.slopes[:n_features])
    layers["logit"].set_weights([kernel, np.array([bias], "float32")])
