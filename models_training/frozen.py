"""A frozen bundle on another cohort: what must fit before it may score, and its scores.

External validation asks what a finished model does elsewhere. That is only an answer if the ECGs
come through the model's own signal chain, mean the same outcome, and none was trained on.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import expit

from models_training.bundle import CLINICAL_FILE, load_bundle, load_card, load_clinical
from models_training.inputs import TrainingData

BATCH_SIZE = 64


class ExternalError(ValueError):
    """A cohort on which a frozen bundle must not be judged."""


def check_contract(
    card: Mapping[str, Any], dataset: Mapping[str, Any], *, accept_other_target: bool = False
) -> list[str]:
    """Refuse a cohort whose ECGs or outcome are not what the bundle was made for.

    Parameters
    ----------
    card
        Of the bundle.
    dataset
        ``dataset.json`` of the cohort.
    accept_other_target
        Whether another target, horizon or landmark is meant; it is then told and not refused.

    Returns
    -------
    list of str
        What the report must say: a different target, simulated patients on one side or both.

    Raises
    ------
    ExternalError
        If leads, rate or any step of the signal chain differ, or the outcome does.

    Examples
    --------
    >>> facts = {"leads": ["I"], "rate_hz": 100, "signal_chain": {"rate_hz": 100}, "target": "vt",
    ...          "horizon_days": 365, "is_synthetic": False}
    >>> check_contract(facts, facts)
    []
    """
    for name in ("leads", "rate_hz"):
        if card[name] != dataset[name]:
            raise ExternalError(
                f"{name} of the cohort must be {_shown(card[name])} as the model's card says, got "
                f"{_shown(dataset[name])}. Prepare the cohort with `python -m workflow validate`."
            )
    chain, theirs = card["signal_chain"], dataset["signal_chain"]
    differing = [name for name in {**chain, **theirs} if chain.get(name) != theirs.get(name)]
    if differing:
        name = differing[0]
        raise ExternalError(
            f"{name} of the signal chain must be {chain.get(name)} as the model's card says, got "
            f"{theirs.get(name)}. Prepare the cohort with `python -m workflow validate`."
        )
    notes = _target_notes(card, dataset, accept_other_target)
    sides = {"The model was trained on": card, "The cohort consists of": dataset}
    return notes + [
        f"{text} simulated patients." for text, is_of in sides.items() if is_of["is_synthetic"]
    ]


def _shown(value: Any) -> str:
    return ", ".join(value) if isinstance(value, list) else f"{value}"


def _target_notes(card: Mapping[str, Any], dataset: Mapping[str, Any], accept: bool) -> list[str]:
    notes = []
    for name in ("target", "horizon_days", "landmark_days"):
        # A card without a landmark is older than landmarks.
        expected, found = (facts.get(name, 0) for facts in (card, dataset))
        if expected == found:
            continue
        if not accept:
            raise ExternalError(
                f"{name} of the cohort must be {expected} as the model's card says, got {found}. "
                "Correct it, or declare it with other_target = accept."
            )
        notes.append(f"Declared: {name} is {found} in this cohort, {expected} in the model.")
    return notes


def check_overlap(
    card: Mapping[str, Any],
    records: pd.DataFrame,
    *,
    trained_patients: Iterable[str] = (),
) -> str:
    """Refuse a cohort that shares ECG files or patients with the training data.

    Parameters
    ----------
    card
        Of the bundle; ``trained_on.file_sha256``.
    records
        ``record_id, patient_id, file_sha256`` of the cohort.
    trained_patients
        Pseudonyms of the training patients. They can be compared only where both cohorts were
        prepared with a secret key (``pseudonym_key``): a number such as P0001 is another person
        in each cohort.

    Returns
    -------
    str
        What was compared, in words.

    Raises
    ------
    ExternalError
        With how many ECGs, or patients, are in both.
    """
    hashes = set(card["trained_on"]["file_sha256"])
    seen = records[records["file_sha256"].isin(hashes)]
    if len(seen):
        raise ExternalError(
            f"ECGs must not be among those the model was trained on, got {len(seen)} of "
            f"{len(records)} (first: {seen['record_id'].iloc[0]}). Leave these patients out."
        )
    text = f"No ECG file of this cohort is among the {len(hashes)} of the training data"
    theirs, ours = set(trained_patients), set(records["patient_id"])
    if not all(map(_is_keyed, theirs | ours)) or not theirs:
        return f"{text}; patients could not be compared (no pseudonyms made with one key)."
    both = sorted(theirs & ours)
    if both:
        raise ExternalError(
            f"patients must not be among those the model was trained on, got {len(both)} of "
            f"{len(ours)} (first: {both[0]}). Leave them out."
        )
    return f"{text}, and no patient's pseudonym is."


def _is_keyed(pseudonym: str) -> bool:
    """Return whether a pseudonym is a keyed hash (P and 16 hexadecimal digits)."""
    digits = pseudonym[1:]
    return len(digits) == 16 and set(digits) <= set("0123456789abcdef")


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
                reasons.append(f"{key} of {name} must be {_shown(expected)}, got {_shown(found)}")
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
    table["y_true"] = data.y_true.astype(int)
    if load_card(directory)["model_file"] == CLINICAL_FILE:
        model, _ = load_clinical(directory)
        return table.assign(y_score=expit(model.logits(data.covariates))[data.patient_row])
    network, _ = load_bundle(directory)
    scores = np.zeros(len(table))
    for start in range(0, len(table), BATCH_SIZE):
        rows = np.arange(start, min(start + BATCH_SIZE, len(table)))
        found: Any = network(data.inputs(rows), training=False)
        scores[rows] = np.asarray(found, dtype="float64")[:, 0]
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
    impute_absent: bool = False,
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
    impute_absent
        As :func:`covariates_for`.

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
    for variant, folder in folders.items():
        card = load_card(folder)
        needed, counts, reason = covariates_for(
            card, data.covariates, dataset["covariates"], impute_absent=impute_absent
        )
        if reason:
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
