"""Negative controls: what predicts the outcome without looking at the ECG, and what chance gives.

If the number of a patient's ECGs, their date or the device alone separates the outcomes, a network
may have learnt that instead of the heart. And a network's AUROC is compared with what its scores
reach when the outcomes are dealt out at random.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from evaluation.arrays import require_columns
from evaluation.intervals import bootstrap_interval
from evaluation.resampling import BootstrapPlan
from evaluation.samples import ScoredRows
from evaluation.weighted import auroc_statistic

N_PERMUTATIONS = 1000
N_LEARNT = 400  # permutations after which the trait is learnt anew: they take longer
CONTROL, SCORES = "without the ECG", "frozen scores"


def record_traits(records: pd.DataFrame) -> pd.DataFrame:
    """Return what is known of a patient's ECGs beside their signal; one row a patient.

    Parameters
    ----------
    records : pandas.DataFrame
        `patient_id, recorded_at, rate_hz, source_format, quality` (a text, `good` where nothing
        was found), `heart_rate_bpm`, `signal_row` (order in which the files were listed) and, where
        known, `device_at_ecg`; one row an ECG.

    Returns
    -------
    pandas.DataFrame
        Indexed by `patient_id`; a column a trait, numbers or texts. Traits in which the patients do
        not differ are left out: they predict nothing.
    """
    needed = ("patient_id", "recorded_at", "rate_hz", "source_format", "quality")
    needed += ("heart_rate_bpm", "signal_row")
    require_columns(records, needed, name="records")
    table = records.assign(
        day=(records["recorded_at"] - pd.Timestamp(2000, 1, 1)).dt.days,
        is_flagged=(records["quality"] != "good").astype(float),
        rate=records["rate_hz"].map("{:g} Hz".format),
    )
    grouped = table.groupby("patient_id")
    traits = pd.DataFrame(
        {
            "number of ECGs": grouped.size().astype(float),
            "date of the ECGs": grouped["day"].mean(),
            "sampling rate": grouped["rate"].agg(lambda values: values.mode().iloc[0]),
            "file format": grouped["source_format"].agg(lambda values: values.mode().iloc[0]),
            "share of flagged ECGs": grouped["is_flagged"].mean(),
            "order of the files": grouped["signal_row"].mean(),
            "heart rate": grouped["heart_rate_bpm"].mean(),
        }
    )
    if "device_at_ecg" in table:
        words = table["device_at_ecg"].fillna("none").groupby(table["patient_id"])
        traits["implanted device at the ECG"] = words.agg(lambda values: values.mode().iloc[0])
    return traits[[what for what in traits if len(traits[what].unique()) > 1]]


def control_table(
    tests: Mapping[str, pd.DataFrame],
    outcomes: pd.Series,
    traits: pd.DataFrame,
    plan: BootstrapPlan,
) -> pd.DataFrame:
    """Return the models' scores beside chance, and what predicts without the ECG.

    Parameters
    ----------
    tests : mapping of str to DataFrame
        Test scores a variant: `patient_id, repeat, fold, y_true, y_score`; the folds of a repeat
        are the same. Traits are tried in the repeats that all variants have.
    outcomes : pandas.Series
        0 or 1 by `patient_id`, of all patients.
    traits : pandas.DataFrame
        From :func:`record_traits`.
    plan : BootstrapPlan
        Of intervals and permutations.

    Returns
    -------
    pandas.DataFrame
        As :func:`control_rows` and :func:`score_row` describe.
    """
    rows = [score_row(variant, test, plan) for variant, test in tests.items()]
    shared = set.intersection(*(set(test["repeat"]) for test in tests.values()))
    test = next(iter(tests.values()))
    test = test[test["repeat"].isin(shared)]
    return pd.DataFrame(rows + control_rows(test, outcomes, traits, plan))


def control_rows(
    test: pd.DataFrame, outcomes: pd.Series, traits: pd.DataFrame, plan: BootstrapPlan
) -> list[dict]:
    """Return how well each trait predicts the outcome of patients it was not learnt from.

    The direction of a number, and the event rate of each word, are taken from the patients outside
    the test fold.

    Parameters
    ----------
    test : pandas.DataFrame
        `patient_id, repeat, fold, y_true` of the test folds; one row a patient and repeat.
    outcomes : pandas.Series
        0 or 1 by `patient_id`, of all patients.
    traits : pandas.DataFrame
        From :func:`record_traits`.
    plan : BootstrapPlan
        Of the intervals; its seed deals out the outcomes too.

    Returns
    -------
    list of dict
        `what, kind, estimate` (mean AUROC within the folds), `ci_low, ci_high, p_value` (two-sided,
        by permutation of the outcomes with the direction learnt anew), `n, n_events`.
    """
    test = test[["patient_id", "repeat", "fold", "y_true"]].reset_index(drop=True)
    patient = outcomes.index.get_indexer(test["patient_id"])
    folds = list(test.groupby(["repeat", "fold"]).indices.values())
    outcome = outcomes.to_numpy(dtype=np.float64)
    rows = []
    for what in traits:
        values = traits[what].reindex(outcomes.index)
        is_word = values.dtype == object
        # Ranks of all patients say nothing of outcomes, and are computed once.
        codes = pd.factorize(values)[0] if is_word else rankdata(values.fillna(values.median()))

        def scores_of(
            dealt: np.ndarray, codes=codes, learn=_learn_words if is_word else _learn_number
        ):
            scores = np.empty(len(test))
            for fold in folds:
                is_rest = np.ones(dealt.size, dtype=bool)
                is_rest[patient[fold]] = False
                scores[fold] = learn(codes[is_rest], dealt[is_rest], codes[patient[fold]])
            return scores

        rng = np.random.default_rng(plan.seed)
        drawn = []
        for _ in range(N_LEARNT):
            dealt = rng.permutation(outcome)
            drawn.append(_mean_auroc(dealt[patient], scores_of(dealt), folds))
        scored = test.assign(y_score=scores_of(outcome))
        rows.append(_row(what, CONTROL, scored, plan, np.array(drawn)))
    return rows


def _learn_number(values: np.ndarray, outcome: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """Return the ranks in the direction in which events lie among others."""
    return asked * np.sign(values[outcome == 1].mean() - values[outcome == 0].mean())


def _learn_words(codes: np.ndarray, outcome: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """Return the event rate of each word, drawn towards the prevalence by one patient; -1: none."""
    size = max(codes.max(), asked.max()) + 2
    events, patients = (np.bincount(codes + 1, w, size) for w in (outcome, None))
    return ((events + outcome.mean()) / (patients + 1))[asked + 1]


def _mean_auroc(outcome: np.ndarray, scores: np.ndarray, folds: list[np.ndarray]) -> float:
    """Return the mean AUROC within the folds that hold both outcomes; NaN if none does."""
    found = []
    for fold in folds:
        is_event = outcome[fold] == 1
        n_events = int(is_event.sum())
        if 0 < n_events < fold.size:
            concordant = rankdata(scores[fold])[is_event].sum() - n_events * (n_events + 1) / 2
            found.append(concordant / (n_events * (fold.size - n_events)))
    return float(np.mean(found)) if found else float("nan")


def score_row(what: str, test: pd.DataFrame, plan: BootstrapPlan) -> dict:
    """Return the AUROC of a model's scores beside what they reach by chance.

    The scores are frozen: outcomes are permuted within each test fold, the model is not trained
    again. So it asks whether the scores are unrelated to the outcome, not what training on noise
    would give.

    Parameters
    ----------
    what : str
        Name of the model.
    test : pandas.DataFrame
        `patient_id, repeat, fold, y_true, y_score`; one row a patient and repeat.
    plan : BootstrapPlan
        Of the interval; its seed permutes too.
    """
    sample = ScoredRows(test.reset_index(drop=True))
    rng = np.random.default_rng(plan.seed)
    outcome = sample.frame["y_true"].to_numpy()
    total = np.zeros(N_PERMUTATIONS)
    folds = sample.mixed(sample.folds)
    for rows in folds:
        ranks = rankdata(sample.frame["y_score"].to_numpy()[rows])
        n_events = int(outcome[rows].sum())
        dealt = rng.permuted(np.tile(ranks, (N_PERMUTATIONS, 1)), axis=1)[:, :n_events]
        concordant = dealt.sum(axis=1) - n_events * (n_events + 1) / 2
        total += concordant / (n_events * (rows.size - n_events))
    drawn = total / len(folds) if folds else np.full(N_PERMUTATIONS, np.nan)
    return _row(what, SCORES, sample.frame, plan, drawn)


def _row(what: str, kind: str, test: pd.DataFrame, plan: BootstrapPlan, drawn: np.ndarray) -> dict:
    sample = ScoredRows(test)
    folds = sample.mixed(sample.folds)
    row = {"what": what, "kind": kind, "estimate": np.nan, "ci_low": np.nan, "ci_high": np.nan}
    row |= {"p_value": np.nan, "n": sample.n, "n_events": sample.n_events}
    if not folds:
        return row
    interval = bootstrap_interval(
        sample.statistic(auroc_statistic, folds),
        sample.clusters,
        plan=plan,
        strata=sample.by_outcome,
    )
    drawn = drawn[np.isfinite(drawn)]
    distance = abs(interval.estimate - np.median(drawn))
    # The observed deal is one of the possible ones: Phipson & Smyth 2010, doi
    # 10.2202/1544-6115.1585.
    p_value = (1 + (np.abs(drawn - np.median(drawn)) >= distance).sum()) / (1 + drawn.size)
    return row | {
        "estimate": interval.estimate,
        "ci_low": interval.ci_low,
        "ci_high": interval.ci_high,
        "p_value": float(p_value),
    }


def control_warning(controls: pd.DataFrame) -> str:
    """Return a sentence on controls whose interval lies above 0.5; empty if there is none."""
    is_found = (controls["kind"] == CONTROL) & (controls["ci_low"] > 0.5)
    # The heart rate is in the ECG itself: a rival for a network, not a leak.
    is_found &= controls["what"] != "heart rate"
    found = [
        f"{row['what']} (AUROC {row['estimate']:.2f}, {row['ci_low']:.2f} to {row['ci_high']:.2f})"
        for _, row in controls[is_found].iterrows()
    ]
    if not found:
        return ""
    return (
        f"The outcome can be told without looking at the ECG, from {' and '.join(found)}: a "
        "network may have learnt this instead of the heart. Find out how the ECGs were chosen."
    )
