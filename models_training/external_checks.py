"""What must fit before a frozen bundle may be judged on another cohort.

External validation asks what a finished model does elsewhere. That is only an answer if the ECGs
come through the model's own signal chain, mean the same outcome, and none was trained on.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd

ECG_FILES = "ECG files"  # what `file_sha256` of a card are hashes of, unless it says otherwise
# Collections that hold another one; `contains` of dataset.json says what a copy of them holds.
CONTAINS = {"challenge2021": ("ptbxl",)}


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
    if not hashes:  # an imported model
        return "Whether ECGs of this cohort were in the training data is not known: no files named."
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


def check_encoder(encoder: Mapping[str, Any], dataset: Mapping[str, Any]) -> str:
    """Refuse a cohort of, or with, ECGs of the collections that an encoder was trained on.

    Parameters
    ----------
    encoder
        ``name, cohorts``; ``hashed``, what its hashes are of.
    dataset
        ``dataset.json`` of the cohort.

    Returns
    -------
    str
        What cannot be compared; empty where the ECG files can.

    Raises
    ------
    ExternalError
        If a collection is on both sides.
    """
    cohort, corpora = dataset["cohort"], list(encoder.get("cohorts", []))
    inside = dataset.get("contains", CONTAINS.get(cohort, ()))
    theirs = {*corpora, *(part for name in corpora for part in CONTAINS.get(name, ()))}
    both = [name for name in (cohort, *inside) if name in theirs]
    if both:
        shown = cohort if cohort in both else f"{cohort}, which contains {both[0]}"
        raise ExternalError(
            f"cohort must not be among the encoder's training data ({', '.join(corpora)}), got "
            f"{shown}. Use another cohort or leave those ECGs out, or use rung scratch."
        )
    if encoder.get("hashed", ECG_FILES) == ECG_FILES or not corpora:
        return ""
    return (
        f"ECG files of this cohort cannot be compared with those the encoder {encoder['name']} was "
        f"trained on: its card has hashes of {encoder['hashed']}. Make sure that no ECG of "
        f"{', '.join(corpora)} is in the cohort."
    )


def check_bundles(
    cards: Mapping[str, Mapping[str, Any]],
    dataset: Mapping[str, Any],
    records: pd.DataFrame,
    trained_patients: Iterable[str] = (),
    *,
    other_target: str = "refuse",
) -> list[str]:
    """Return what the checks of contract, overlap and encoder say of all models, each once."""
    notes: list[str] = []
    for card in cards.values():
        notes += check_contract(card, dataset, accept_other_target=other_target == "accept")
        notes.append(check_overlap(card, records, trained_patients=trained_patients))
        if "encoder" in card:
            note = check_encoder(card["encoder"], dataset)
            notes += [note] if note else []
    return list(dict.fromkeys(notes))
