"""The scores of frozen bundles on another cohort, and the covariates they need for them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import expit

from models_training.bundle import (
    CLINICAL_FILE,
    load_bundle,
    load_card,
    load_clinical,
    other_task,
)
from models_training.external_checks import ExternalError
from models_training.inputs import TrainingData

BATCH_SIZE = 64


def covariates_for(
    card: Mapping[str, Any],
    encoded: pd.DataFrame,
    spec: Iterable[Mapping[str, Any]],
    *,
    impute_absent: bool = False,
) -> tuple[pd.DataFrame, pd.DataFrame, str]:
    """Return the covariates a bundle needs, how often each is imputed, and why it cannot score.

    Parameters
    ----------
    card
        Of the bundle: ``covariate_names`` (encoded) and ``covariates`` (their meaning).
    encoded : DataFrame of shape (n_patients, n_columns)
        Encoded covariates of the cohort.
    spec
        ``covariates`` of the cohort's ``dataset.json``.
    impute_absent
        Whether a covariate the cohort does not have counts as missing in everybody: the model then
        puts the mean of its training patients.

    Returns
    -------
    covariates : DataFrame of shape (n_patients, n_needed)
    imputed : DataFrame
        ``covariate, n_imputed, n``: patients for whom the model fills in its training mean.
    reason : str
        Empty where the bundle can score.
    """
    theirs, ours = ({item["name"]: item for item in side} for side in (card["covariates"], spec))
    reasons = []
    for name in dict.fromkeys(column.split("=")[0] for column in card["covariate_names"]):
        if name not in ours:
            if not impute_absent:
                reasons.append(f"the cohort has no {name}")
            continue
        # The words of a binary belong to its table ("no" or "nein"); those of a category are names.
        is_category = theirs[name]["kind"] == "category"
        for key in ("kind", "unit", "categories") if is_category else ("kind", "unit"):
            expected, found = (side[name].get(key) or "none" for side in (theirs, ours))
            if expected != found:
                reasons.append(f"{key} of {name} must be {expected}, got {found}")
    needed = encoded.reindex(columns=list(card["covariate_names"]))
    n_imputed = needed.isna().sum().astype(int)
    imputed = pd.DataFrame({"covariate": needed.columns, "n_imputed": n_imputed.to_numpy()})
    return needed, imputed.assign(n=len(needed)), "; ".join(reasons)


def frozen_scores(directory: Path, data: TrainingData) -> pd.DataFrame:
    """Return the risk of every ECG by a frozen bundle.

    Parameters
    ----------
    directory : Path
        Folder of the bundle: a network or the clinical model.
    data : TrainingData
        The cohort, with the covariates of :func:`covariates_for`.

    Returns
    -------
    DataFrame
        ``record_id, patient_id, y_true, y_score``; the clinical model gives all ECGs of a patient
        one risk. A number, not a draw: twice gives the same.
    """
    table = data.records[["record_id", "patient_id"]].reset_index(drop=True)
    table["y_true"] = data.y_true[:, 0].astype(int)
    if load_card(directory)["model_file"] == CLINICAL_FILE:
        model, _ = load_clinical(directory)
        return table.assign(y_score=expit(model.logits(data.covariates))[data.patient_row])
    from models_training.crops import network_scores  # the clinical model needs no Keras

    network, card = load_bundle(directory)
    scores = np.zeros(len(table))
    for start in range(0, len(table), BATCH_SIZE):
        rows = np.arange(start, min(start + BATCH_SIZE, len(table)))
        found = network_scores(network, data.inputs(rows), n_crops=card.get("n_crops", 1))
        scores[rows] = found.astype("float64")[:, 0]
    return table.assign(y_score=scores)


@dataclass(frozen=True)
class Validation:
    """Scores of all bundles that fit a cohort, what was imputed, and which were refused, why."""

    predictions: pd.DataFrame
    imputed: pd.DataFrame
    refused: dict[str, str]


def validate_bundles(
    folders: Mapping[str, Path],
    data: TrainingData,
    dataset: Mapping[str, Any],
    *,
    absent_covariates: str = "refuse",
) -> Validation:
    """Score a cohort by every bundle whose covariates it has.

    Parameters
    ----------
    folders
        Folder of the bundle of each variant.
    data : TrainingData
        The cohort, with all its encoded covariates.
    dataset
        Its ``dataset.json``.
    absent_covariates
        ``refuse`` or ``impute``, see :func:`covariates_for`.

    Returns
    -------
    Validation
        ``predictions`` in the layout of ``02_models``, role ``test``, repeat and fold 0.

    Raises
    ------
    ExternalError
        If no bundle can score.
    """
    predictions, imputed, refused = [], [], {}
    is_imputed = absent_covariates == "impute"
    for variant, folder in folders.items():
        card = load_card(folder)
        needed, counts, reason = covariates_for(
            card, data.covariates, dataset["covariates"], impute_absent=is_imputed
        )
        if reason := "; ".join(filter(None, (other_task(card), reason))):
            refused[variant] = reason
            continue
        table = frozen_scores(folder, replace(data, covariates=needed))
        facts = {"repeat": 0, "fold": 0, "role": "test", "variant": variant}
        facts |= {"seed": int(card.get("settings", {}).get("seed", 0))}
        facts |= {name: dataset[name] for name in ("target", "horizon_days")}
        predictions.append(table.assign(**facts))
        imputed.append(counts.assign(variant=variant))
    if not predictions:
        shown = "; ".join(f"{variant}: {reason}" for variant, reason in refused.items())
        raise ExternalError(
            f"a model must be able to score the cohort, got none ({shown}). Add these covariates "
            "to the cohort, or declare them missing with absent_covariates = impute."
        )
    tables = [pd.concat(parts, ignore_index=True) for parts in (predictions, imputed)]
    return Validation(*tables, refused)
