"""The report card of a map method: a row a check, with figure, interval, limit and verdict.

    measured = measure_maps(data, method, load_network)     # card_measures: needs the networks
    card = report_card(measured.table, scores=test_rows)   # needs the values alone
    map_verdict(card).sentence                              # pass, fail or not decided, and why

Questions, limits and the rule stand in `explainability.card_rules`, fixed before any map is seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import bootstrap, rankdata

from explainability.card_rules import (
    CHECKS,
    FAIL,
    NECESSARY,
    NOT_MADE,
    PASS,
    REPORTED,
    UNDECIDED,
    Check,
)
from explainability.explained import RISK, Explained

N_RESAMPLES = 2000
CONFIDENCE = 0.95
LEAST_PATIENTS = 10  # below that an interval over patients says little, and BCa less
COLUMNS = (
    "check", "question", "estimate", "ci_low", "ci_high", "n", "limit", "verdict", "reason",
    "side", "role", "unit",
)  # fmt: skip


@dataclass(frozen=True)
class MapVerdict:
    """What the card says of the map as a whole.

    Attributes
    ----------
    verdict : str
        ``pass``, ``fail`` or ``not decided``.
    reason : str
        The checks that failed, or that are missing, with their figures: what is written across a
        failed map. Empty where it passes.
    sentence : str
        Both in words, for captions.
    """

    verdict: str
    reason: str
    sentence: str


def report_card(
    values: pd.DataFrame,
    *,
    scores: pd.DataFrame | None = None,
    checks: Sequence[Check] = CHECKS,
    seed: int = 0,
    explained: Explained = RISK,
) -> pd.DataFrame:
    """Hold measured values against the limits.

    Parameters
    ----------
    values : DataFrame
        ``record_id, patient_id, measure, at, value`` from `card_measures.measure_maps`.
    scores : DataFrame, optional
        ``patient_id, repeat, fold, y_true, y_score``: all held-out ECGs the explained networks
        have scored, for whether they have learnt anything.
    checks : sequence of Check
        What is asked, with the limits.
    seed : int
        Of the bootstrap.
    explained : Explained
        What the score is.

    Returns
    -------
    DataFrame
        One row a check: ``check, question, estimate, ci_low, ci_high, n`` (patients), ``limit,
        verdict`` (pass, fail, not made), ``reason, side, role, unit``. The estimate is the mean
        over patients of the mean over their ECGs; the interval is a BCa bootstrap of patients,
        conditional on the networks and on the random weights that were drawn.

    Raises
    ------
    ValueError
        If `values` lacks a column.
    """
    wanted = ["record_id", "patient_id", "measure", "at", "value"]
    missing = [name for name in wanted if name not in values.columns]
    if missing:
        raise ValueError(
            f"values must have the columns {missing}, got {list(values.columns)}. "
            "Pass what measure_maps returned."
        )
    patients = _patient_means(values[values["at"].isna()])
    n_patients = int(values["patient_id"].nunique())
    rows = []
    for check in checks:
        if check.name == "network_learnt":
            found = _Estimate() if scores is None else auroc_within_folds(scores, seed, explained)
        else:
            found = _mean_with_interval(_of(patients, check.name), seed, n_patients)
        beside = _of(patients, check.beside[0])
        if len(beside) and np.isfinite(found.ci_low):
            found.note += f" {check.beside[1].capitalize()}: {beside.mean():.2f}."
        rows.append(_row(check, found))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def map_verdict(card: pd.DataFrame) -> MapVerdict:
    """Return the verdict for the map, by the rule `card_rules.RULE`.

    Parameters
    ----------
    card : DataFrame
        From `report_card`.
    """
    decides = card[card["role"] != REPORTED]
    failed = decides[decides["verdict"] == FAIL]
    if len(failed):
        reason = "; ".join(_failure(row) for _, row in failed.iterrows())
        return MapVerdict(FAIL, reason, f"This map fails its report card: {reason}.")
    is_open = (decides["verdict"] == NOT_MADE) & (decides["role"] == NECESSARY)
    if is_open.any():
        reason = ", ".join(_words(name) for name in decides.loc[is_open, "check"])
        sentence = f"This map is not decided: checks are missing ({reason})."
        return MapVerdict(UNDECIDED, reason, sentence)
    n_passed = int((decides["verdict"] == PASS).sum())
    return MapVerdict(PASS, "", f"This map passes all {n_passed} checks that decide.")


def auroc_within_folds(
    scores: pd.DataFrame, seed: int = 0, explained: Explained = RISK
) -> _Estimate:
    """Return the mean AUROC within folds, with a bootstrap of patients within fold and outcome.

    Parameters
    ----------
    scores : DataFrame
        As for `report_card`; a patient's score is the mean logit of the ECGs, or the mean number.
        Rows without ``y_true`` are left out, and folds with one outcome class.
    seed : int
        Of the bootstrap.
    explained : Explained
        What the score is.
    """
    known = scores.dropna(subset="y_true").astype({"y_true": int})
    keys = ["repeat", "fold", "patient_id"]
    known["score"] = explained.scores(known["y_score"])
    table = known.groupby(keys)[["y_true", "score"]].mean()
    rng = np.random.default_rng(seed)
    parts, n_events, n_patients = [], 0, 0
    for _, fold in table.groupby(["repeat", "fold"]):
        is_event = fold["y_true"].to_numpy() == 1
        if is_event.all() or not is_event.any():
            continue
        events, others = (fold["score"].to_numpy()[rows] for rows in (is_event, ~is_event))
        drawn = [
            np.vstack([group, rng.choice(group, (N_RESAMPLES, len(group)))])
            for group in (events, others)
        ]
        parts.append(_auroc(*drawn))
        n_events, n_patients = n_events + len(events), n_patients + len(fold)
    if not parts:
        return _Estimate(note=" Each fold holds one outcome class.")
    found = np.mean(parts, axis=0)
    low, high = np.quantile(found[1:], [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    word = "above the median" if explained.is_number else "events"
    note = f" {n_events} {word}. Percentile interval within folds."
    return _Estimate(float(found[0]), float(low), float(high), n_patients, note)


@dataclass
class _Estimate:
    """An estimate with its interval over patients, and what else is to be said."""

    estimate: float = np.nan
    ci_low: float = np.nan
    ci_high: float = np.nan
    n: int = 0
    note: str = ""


def _auroc(events: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return the AUROC of each row, ties counted half."""
    n_events, n_others = events.shape[1], others.shape[1]
    ranks = rankdata(np.concatenate([events, others], axis=1), axis=1)[:, :n_events].sum(axis=1)
    return (ranks - n_events * (n_events + 1) / 2) / (n_events * n_others)


def _patient_means(values: pd.DataFrame) -> pd.DataFrame:
    """Return the mean over each patient's records, a column a measure."""
    known = values[np.isfinite(values["value"])]
    return known.pivot_table("value", "patient_id", "measure", aggfunc="mean", sort=False)


def _of(patients: pd.DataFrame, measure: str) -> np.ndarray:
    """Return a measure's values of the patients that have one."""
    if measure not in patients.columns:
        return np.zeros(0)
    return patients[measure].dropna().to_numpy()


def _mean_with_interval(values: np.ndarray, seed: int, n_patients: int) -> _Estimate:
    if not len(values):
        return _Estimate()
    estimate = float(values.mean())
    note = "" if len(values) == n_patients else f" {n_patients - len(values)} have no value."
    if len(values) < LEAST_PATIENTS:
        return _Estimate(estimate, n=len(values), note=note)
    if np.ptp(values) == 0:  # BCa is undefined; every resample has this mean
        return _Estimate(estimate, estimate, estimate, len(values), note)
    found = bootstrap(
        (values,),
        np.mean,
        n_resamples=N_RESAMPLES,
        confidence_level=CONFIDENCE,
        rng=np.random.default_rng(seed),
    ).confidence_interval
    return _Estimate(estimate, float(found.low), float(found.high), len(values), note)


def _row(check: Check, found: _Estimate) -> dict[str, object]:
    verdict, words = _judge(check, found)
    return {
        "check": check.name,
        "question": check.question,
        "estimate": found.estimate,
        "ci_low": found.ci_low,
        "ci_high": found.ci_high,
        "n": found.n,
        "limit": check.limit,
        "verdict": verdict,
        "reason": f"{words}{found.note} Limit {check.reason} ({check.source}).",
        "side": check.side,
        "role": check.role,
        "unit": check.unit,
    }


def _judge(check: Check, found: _Estimate) -> tuple[str, str]:
    """Return the verdict and why."""
    if not found.n:
        return NOT_MADE, f"Not made: {check.if_missing}."
    if not np.isfinite(found.ci_low):
        return NOT_MADE, f"Not made: {found.n} patients, and {LEAST_PATIENTS} are needed."
    sign = 1 if check.side == "above" else -1
    low, high = sorted(sign * (end - check.limit) for end in (found.ci_low, found.ci_high))
    if low > 0:
        return PASS, f"The whole interval lies {check.side} the limit."
    if high <= 0:
        other = "below" if check.side == "above" else "above"
        return FAIL, f"The whole interval lies {other} the limit."
    return FAIL, "The interval reaches across the limit: not shown with this many patients."


def _failure(row: pd.Series) -> str:
    """Return "seed agreement 0.31 (0.20 to 0.44), to be above 0.5"."""
    interval = f"{row['estimate']:.2f} ({row['ci_low']:.2f} to {row['ci_high']:.2f})"
    return f"{_words(row['check'])} {interval}, to be {row['side']} {row['limit']:g}"


def _words(name: str) -> str:
    return name.replace("_", " ")
