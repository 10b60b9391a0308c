"""A frozen model in another cohort: how the patients differ, updating, and precision.

Debray et al. 2015 (doi 10.1016/j.jclinepi.2014.06.018): before a fall in performance is called a
failure of the model, look at whether the patients are alike. Riley et al. 2021 (doi
10.1002/sim.9025): how many events an external validation needs.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from scipy.stats import norm
from sklearn.model_selection import StratifiedKFold

from evaluation.arrays import require_columns, risk_to_logit
from evaluation.sample_size import auroc_standard_error, events_for_width

UPDATED = "updated on this cohort, out of fold"
WIDTHS = (0.1, 0.15, 0.2)
_COLUMNS = ("what", "variant", "n", "mean", "sd", "n_missing")


def frozen_thresholds(cards: Mapping[str, Mapping], *, target: str) -> pd.DataFrame:
    """Return the thresholds of the models' cards in the layout of `choose_thresholds`.

    Parameters
    ----------
    cards : mapping of str to mapping
        Card of each variant: `threshold` (`value`, `rule`).
    target : str
        As in the predictions.

    Returns
    -------
    pandas.DataFrame
        `target, variant, repeat, fold, rule, rule_target, threshold, n, n_events, reason`; repeat
        and fold are 0, n and n_events 0: no patient of this cohort had a part in it.
    """
    rows = []
    for variant, card in cards.items():
        value = card["threshold"]["value"]
        found = {"target": target, "variant": variant, "repeat": 0, "fold": 0}
        found |= {"rule": card["threshold"].get("rule", "youden"), "rule_target": np.nan}
        found |= {"threshold": np.nan if value is None else float(value), "n": 0, "n_events": 0}
        rows.append(found | {"reason": "" if value is not None else "the model has no threshold"})
    return pd.DataFrame(rows)


def why_no_update(patients: pd.DataFrame, *, n_folds: int) -> str:
    """Return why a cohort cannot update a model in `n_folds` folds, or an empty string."""
    outcome = patients.drop_duplicates("patient_id")["y_true"]
    n_events = int(outcome.sum())
    rarer = min(n_events, len(outcome) - n_events)
    if rarer >= n_folds:
        return ""
    return f"{rarer} patients of the rarer outcome are fewer than {n_folds} folds"


def folds_for_updating(patients: pd.DataFrame, *, n_folds: int = 5, seed: int = 0) -> pd.DataFrame:
    """Return the patients of an external cohort as folds on which updating can be judged.

    In each fold four fifths of the patients have the role "validation": a recalibration is fitted
    on them (:func:`evaluation.recalibration.recalibrated`) and applied to the other fifth. The
    result is *updated on this cohort, out of fold*: no longer the frozen model.

    Parameters
    ----------
    patients : pandas.DataFrame
        Rows of :func:`evaluation.scores.patient_scores`, role "test", one a patient and variant;
        all variants of the same patients.
    n_folds : int
        Number of folds, stratified by outcome; all variants get the same.
    seed : int
        Of the folds.

    Returns
    -------
    pandas.DataFrame
        Each row of `patients` once a fold: role "test" in one fold and "validation" in the others.

    Raises
    ------
    ValueError
        If there are fewer patients with or without the event than folds.
    """
    require_columns(patients, ("patient_id", "y_true", "y_score", "variant"), name="patients")
    outcome = patients.drop_duplicates("patient_id").set_index("patient_id")["y_true"].sort_index()
    reason = why_no_update(patients, n_folds=n_folds)
    if reason:
        raise ValueError(
            f"n_folds must be at most the number of patients of the rarer outcome, got {n_folds}: "
            f"{reason}. A cohort this small cannot update a model; report the frozen one."
        )
    splitter = StratifiedKFold(n_folds, shuffle=True, random_state=seed)
    parts = []
    for fold, (_, members) in enumerate(splitter.split(outcome, outcome)):
        is_test = patients["patient_id"].isin(outcome.index[members])
        role = np.where(is_test, "test", "validation")
        parts.append(patients.assign(fold=fold, role=role))
    return pd.concat(parts, ignore_index=True)


def describe_side(outcome, covariates: pd.DataFrame, patients: pd.DataFrame) -> pd.DataFrame:
    """Return one cohort's side of the case-mix table.

    Parameters
    ----------
    outcome : array-like, shape (n,)
        0 or 1 of each patient.
    covariates : pandas.DataFrame, shape (n, k)
        Encoded, NaN where missing.
    patients : pandas.DataFrame
        `variant, repeat, y_score`, one row a patient, variant and repeat, not fitted on that
        patient; the logit of the risk is the linear predictor. The first repeat counts.

    Returns
    -------
    pandas.DataFrame
        `what, variant, n, mean, sd, n_missing`: first "event", then the covariates, then "linear
        predictor" of each variant. The mean of a 0/1 column is a proportion.
    """
    columns = [("event", "", np.asarray(outcome, dtype=float))]
    columns += [(name, "", covariates[name].to_numpy(float)) for name in covariates]
    first = patients[patients["repeat"] == patients["repeat"].min()]
    columns += [
        ("linear predictor", str(variant), risk_to_logit(risk))
        for variant, risk in first.groupby("variant", sort=False)["y_score"]
    ]
    rows = []
    for what, variant, values in columns:
        known = values[np.isfinite(values)]
        mean = known.mean() if known.size else np.nan
        sd = known.std(ddof=1) if known.size > 1 else np.nan
        rows.append((what, variant, known.size, mean, sd, values.size - known.size))
    return pd.DataFrame(rows, columns=list(_COLUMNS))


def case_mix_table(development: pd.DataFrame | None, external: pd.DataFrame) -> pd.DataFrame:
    """Compare the patients a model comes from with those it is judged on.

    A larger spread (SD) of the linear predictor means more varied patients, in whom any model
    discriminates better; another mean means another expected risk.

    Parameters
    ----------
    development, external : pandas.DataFrame
        From :func:`describe_side`; None where nothing is known of the training patients.

    Returns
    -------
    pandas.DataFrame
        `what, variant`, then n, mean, sd, n_missing of each side with the suffixes `_development`
        and `_external`, and `standardised_difference` = (mean external - mean development) /
        sqrt((variance + variance) / 2), and `sd_ratio` = SD external / SD development.
    """
    if development is None:
        development = external.iloc[:0]
    keys = ["what", "variant"]
    table = external.merge(
        development, on=keys, how="left", suffixes=("_external", "_development"), sort=False
    )
    spread = ((table["sd_external"] ** 2 + table["sd_development"] ** 2) / 2) ** 0.5
    gap = table["mean_external"] - table["mean_development"]
    table["standardised_difference"] = gap / spread.where(spread > 0)
    table["sd_ratio"] = table["sd_external"] / table["sd_development"].where(
        table["sd_development"] > 0
    )
    sides = [f"{name}_{side}" for side in ("development", "external") for name in _COLUMNS[2:]]
    return table[[*keys, *sides, "standardised_difference", "sd_ratio"]]


def precision_table(
    n_patients: int, n_events: int, *, aurocs, widths=WIDTHS, confidence: float = 0.95
) -> pd.DataFrame:
    """Return how wide the interval of an AUROC is here, and the events a narrower one needs.

    Parameters
    ----------
    n_patients, n_events : int
        Of the external cohort; both outcomes must occur.
    aurocs : sequence of float in (0.5, 1)
        AUROCs that may be expected, declared beforehand.
    widths : sequence of float
        Wanted widths of the interval, upper minus lower bound.
    confidence : float
        Level of the interval.

    Returns
    -------
    pandas.DataFrame
        `expected_auroc, n_patients, n_events, width_here, target_width, needed_patients,
        needed_events`.

    Raises
    ------
    ValueError
        If only one outcome occurs.
    """
    prevalence = n_events / n_patients
    z = norm.ppf(0.5 + confidence / 2)
    rows = []
    for auroc in aurocs:
        error = auroc_standard_error(auroc, n_patients=n_patients, prevalence=prevalence)
        for width in widths:
            needed = events_for_width(
                width, auroc=auroc, prevalence=prevalence, confidence=confidence
            )
            rows.append((auroc, n_patients, n_events, 2 * z * error, width, *needed))
    columns = ["expected_auroc", "n_patients", "n_events", "width_here", "target_width"]
    return pd.DataFrame(rows, columns=[*columns, "needed_patients", "needed_events"])
