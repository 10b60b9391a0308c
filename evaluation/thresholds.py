"""Decision thresholds, chosen on training-fold scores only and then applied to test patients.

A cut-off chosen where it is judged (the usual "Youden on the test set") is optimistic; these
functions refuse to look at a test row.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from evaluation.arrays import as_outcome, as_risk, require_columns
from evaluation.discrimination import counts_above
from evaluation.scores import TRAINING_ROLES, patient_scores

RULES = ("youden", "sensitivity", "specificity")
FOLD_KEYS = ["target", "variant", "repeat", "fold"]


def check_rule(rule: str, target: float | None) -> None:
    """Raise ValueError unless the rule is known and has the target it needs."""
    if rule not in RULES:
        raise ValueError(f"rule must be one of {RULES}, got {rule!r}. Use 'youden'.")
    if rule != "youden" and (target is None or not 0 < target <= 1):
        raise ValueError(
            f"target must be a {rule} above 0 and at most 1, got {target}. Pass for example 0.9."
        )


def refuse_test_rows(rows: pd.DataFrame) -> None:
    """Raise ValueError when any row is not a training-fold score."""
    require_columns(rows, ("role", "y_true", "y_score"), name="training rows")
    n_test = int((rows["role"] == "test").sum())
    if n_test:
        raise ValueError(
            f"role must be one of {TRAINING_ROLES} to choose a threshold, got 'test' in {n_test} "
            f"of {len(rows)} rows. A threshold chosen on test patients is optimistic: pass only "
            "scores of the training folds."
        )
    is_bad = ~rows["role"].isin(TRAINING_ROLES)
    if is_bad.any():
        raise ValueError(
            f"role must be one of {TRAINING_ROLES} to choose a threshold, got "
            f"{rows['role'][is_bad].iloc[0]!r} in {int(is_bad.sum())} of {len(rows)} rows. "
            "Scores of rows the model was fitted on are too good: pass held-out ones."
        )


def choose_threshold(
    training_rows: pd.DataFrame, *, rule: str = "youden", target: float | None = None
) -> float:
    """Return the threshold of the decision `y_score >= threshold`.

    Parameters
    ----------
    training_rows : pandas.DataFrame
        `role, y_true, y_score`, one row a patient; role "validation" or "inner" in every row.
    rule : {"youden", "sensitivity", "specificity"}
        Largest sensitivity + specificity (of equals the lowest threshold, which favours
        sensitivity); or the highest threshold that reaches the target sensitivity; or the lowest
        that reaches the target specificity.
    target : float, optional
        The sensitivity or specificity to reach, in (0, 1].

    Returns
    -------
    float
        One of the observed scores (or just above the highest, when only calling nobody positive
        reaches the target specificity).

    Raises
    ------
    ValueError
        If any row has role "test" or another that is not a training one, if only one outcome
        class is present, or if the rule is unknown or lacks its target.
    """
    check_rule(rule, target)
    refuse_test_rows(training_rows)
    outcome = as_outcome(training_rows["y_true"])
    n_events = int(outcome.sum())
    if n_events in (0, outcome.size):
        raise ValueError(
            f"training rows must hold events and non-events, got {n_events} events in "
            f"{outcome.size} patients. Use fewer folds or a larger validation share."
        )
    risk = as_risk(training_rows["y_score"], n_rows=outcome.size)
    thresholds, events_above, controls_above = counts_above(outcome, risk)
    sensitivity = events_above / n_events
    specificity = 1 - controls_above / (outcome.size - n_events)
    if rule == "youden":
        # Counts, not ratios: rounding must not decide between equal indices.
        youden = events_above * (outcome.size - n_events) - controls_above * n_events
        return float(thresholds[np.flatnonzero(youden == youden.max())[-1]])
    assert target is not None  # check_rule has seen to it
    if rule == "sensitivity":
        return float(thresholds[np.flatnonzero(sensitivity >= target - 1e-12)[0]])
    reached = np.flatnonzero(specificity >= target - 1e-12)
    return float(thresholds[reached[-1]] if reached.size else np.nextafter(thresholds[0], 2.0))


def card_threshold(predictions: pd.DataFrame, target: str) -> dict[str, Any]:
    """Return the threshold for a model's card: Youden's, of training patients left out of it.

    Parameters
    ----------
    predictions : pandas.DataFrame
        Of one variant, all targets; see :func:`evaluation.scores.patient_scores`.
    target : str
        The one that decides; empty where a number is predicted: then there is no threshold.

    Returns
    -------
    dict
        `value, rule, chosen_on, n_patients, target`; the value is None without a decision.
    """
    about = {"value": None, "rule": "none", "chosen_on": "nobody", "n_patients": 0, "target": ""}
    if not target:
        return about
    inner = predictions[(predictions["target"] == target) & (predictions["role"] == "validation")]
    inner = patient_scores(inner)
    about |= {"value": float(choose_threshold(inner, rule="youden")), "rule": "youden"}
    n_patients = int(inner["patient_id"].nunique())
    return about | {
        "chosen_on": "inner validation patients",
        "n_patients": n_patients,
        "target": target,
    }


def choose_thresholds(
    patients: pd.DataFrame, *, rule: str = "youden", target: float | None = None
) -> pd.DataFrame:
    """Choose one threshold per target, variant, repeat and fold.

    Parameters
    ----------
    patients : pandas.DataFrame
        Training-role rows of :func:`evaluation.scores.patient_scores`.
    rule, target
        As for :func:`choose_threshold`.

    Returns
    -------
    pandas.DataFrame
        `target, variant, repeat, fold, rule, rule_target, threshold, n, n_events, reason`; n and
        n_events count the patients it was chosen on. Where they hold a single outcome class the
        threshold is NaN and reason says so: such test patients get no decision.

    Raises
    ------
    ValueError
        If any row has role "test".
    """
    check_rule(rule, target)
    refuse_test_rows(patients)
    require_columns(patients, FOLD_KEYS, name="training rows")
    rows = []
    for key, group in patients.groupby(FOLD_KEYS, sort=True):
        n_events = int(group["y_true"].sum())
        threshold, reason = float("nan"), "one outcome class among the training-fold patients"
        if 0 < n_events < len(group):
            threshold, reason = choose_threshold(group, rule=rule, target=target), ""
        goal = float("nan") if target is None or rule == "youden" else target
        rows.append((*key, rule, goal, threshold, len(group), n_events, reason))
    columns = [*FOLD_KEYS, "rule", "rule_target", "threshold", "n", "n_events", "reason"]
    return pd.DataFrame(rows, columns=columns)


def apply_thresholds(patients: pd.DataFrame, thresholds: pd.DataFrame) -> pd.DataFrame:
    """Return `patients` with `threshold` and `decision` (1 where y_score >= threshold).

    Parameters
    ----------
    patients : pandas.DataFrame
        Rows of :func:`evaluation.scores.patient_scores`, usually the test ones.
    thresholds : pandas.DataFrame
        From :func:`choose_thresholds`.

    Returns
    -------
    pandas.DataFrame
        decision is Int8, <NA> where the fold has no threshold.

    Raises
    ------
    ValueError
        If a fold of `patients` is not in `thresholds`.
    """
    known = set(thresholds[FOLD_KEYS].itertuples(index=False, name=None))
    is_known = [key in known for key in patients[FOLD_KEYS].itertuples(index=False, name=None)]
    n_lost = len(patients) - sum(is_known)
    if n_lost:
        raise ValueError(
            f"thresholds must cover every fold, got none for {n_lost} of {len(patients)} patient "
            "rows. Write validation predictions for each fold too."
        )
    columns = [*FOLD_KEYS, "threshold"]
    joined = patients.merge(thresholds[columns], on=FOLD_KEYS, how="left", validate="many_to_one")
    decision = (joined["y_score"] >= joined["threshold"]).astype("Int8")
    joined["decision"] = decision.mask(joined["threshold"].isna())
    return joined
