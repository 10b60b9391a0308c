"""Whether a model predicts a number better than the mean of the training patients does.

That mean is what remains for somebody who has seen neither ECG nor covariates: a model that is not
better says nothing of the number. All comparisons are paired on the same patients.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from evaluation.claims import ADDS, DOES_NOT_ADD, INCONCLUSIVE
from evaluation.comparison import CONDITIONAL, pair_patients
from evaluation.intervals import bootstrap_intervals
from evaluation.resampling import BootstrapPlan
from evaluation.samples import ScoredRows
from evaluation.style import variant_style
from evaluation.weighted import Statistic, ratio_statistic, safe_ratio

TRAINING_MEAN = "training_mean"
ERROR_DIFFERENCE, ERROR_REDUCTION = "delta_mean_absolute_error", "error_reduction"
FEW_PATIENTS = 50  # below, limits of agreement and slopes are known to within a factor only


def with_training_mean(
    values: pd.DataFrame, measured: pd.Series, splits: pd.DataFrame
) -> pd.DataFrame:
    """Return the values with a further variant: the mean of each fold's training patients.

    Parameters
    ----------
    values : pandas.DataFrame
        :func:`evaluation.regression.patient_values` of one target.
    measured : pandas.Series
        The number by `patient_id`, NaN where it was not measured.
    splits : pandas.DataFrame
        `patient_id, repeat, fold, role`; all roles but "test" are training patients.

    Returns
    -------
    pandas.DataFrame
        Test rows alone; the added variant is called ``training_mean``.
    """
    training = splits[splits["role"] != "test"]
    known = training.assign(number=training["patient_id"].map(measured).astype(float))
    means = known.groupby(["repeat", "fold"])["number"].mean()
    tested = values[values["role"] == "test"]
    one = tested.drop_duplicates(["repeat", "fold", "patient_id"])
    places = pd.MultiIndex.from_frame(one[["repeat", "fold"]])
    baseline = one.assign(variant=TRAINING_MEAN, y_score=means.reindex(places).to_numpy())
    return pd.concat([tested, baseline], ignore_index=True)


def number_comparisons(values: pd.DataFrame, primary: str, plan: BootstrapPlan) -> pd.DataFrame:
    """Return the paired differences in error: each variant against the mean, then against another.

    Parameters
    ----------
    values : pandas.DataFrame
        Of :func:`with_training_mean`.
    primary : str
        The variant whose comparison with the mean was declared beforehand.
    plan : BootstrapPlan
        Of percentile intervals over patients.

    Returns
    -------
    pandas.DataFrame
        `new, reference, is_primary, metric, method, estimate, ci_low, ci_high, n`; the metrics are
        `delta_mean_absolute_error` (new - reference, in the number's unit; below 0 is better) and
        `error_reduction` (1 - new / reference; above 0 is better).

    Raises
    ------
    ValueError
        If `primary` is not among the variants.
    """
    tested = dict(tuple(values.groupby("variant", sort=False)))
    variants = [name for name in tested if name != TRAINING_MEAN]
    if primary not in variants:
        raise ValueError(
            f"primary_variant must be one of {', '.join(map(str, variants))}, got {primary!r}. "
            "Train it, or name another before the numbers are seen."
        )
    pairs = [(name, TRAINING_MEAN) for name in variants]
    pairs += [(later, earlier) for earlier, later in combinations(variants, 2)]
    rows: list[dict[str, Any]] = []
    for new, reference in pairs:
        both = pair_patients(tested[new], tested[reference])
        found = bootstrap_intervals(_error_change(both), both.clusters, plan=plan)
        for metric, interval in zip((ERROR_DIFFERENCE, ERROR_REDUCTION), found, strict=True):
            rows.append(
                {
                    "new": new,
                    "reference": reference,
                    "is_primary": (new, reference) == (primary, TRAINING_MEAN),
                    "metric": metric,
                    "method": f"paired: {interval.method}{both.repeats_text()}, {CONDITIONAL}",
                    "estimate": interval.estimate,
                    "ci_low": interval.ci_low,
                    "ci_high": interval.ci_high,
                    "n": both.n,
                }
            )
    return pd.DataFrame(rows)


def _error_change(pairs: ScoredRows) -> Statistic:
    """Return difference and relative reduction of the mean absolute error, (n_resamples, 2)."""

    def error(y_true: np.ndarray, y_score: np.ndarray) -> Statistic:
        return ratio_statistic(np.abs(y_score - y_true), np.ones(len(y_true)))

    new, reference = (pairs.statistic(error, pairs.repeats, name) for name in ("new", "reference"))

    def statistic(weights: np.ndarray) -> np.ndarray:
        ours, theirs = new(weights), reference(weights)
        return np.column_stack([ours - theirs, 1 - safe_ratio(ours, theirs)])

    return statistic


def number_claim(
    comparisons: pd.DataFrame,
    metrics: pd.DataFrame,
    target: Mapping[str, Any],
    *,
    margin: float,
    confidence: float,
) -> dict[str, Any]:
    """Return the sentence of the primary comparison, warnings, and what the intervals are.

    *adds*: the interval of the relative reduction of the error lies above 0. *does not add*: it
    ends below the margin. Otherwise *inconclusive*.

    Parameters
    ----------
    comparisons, metrics : pandas.DataFrame
        Of :func:`number_comparisons` and :func:`evaluation.regression.regression_table`.
    target : mapping
        `label, unit` of the number.
    margin : float
        Smallest reduction worth having, a share of the error of the mean, declared beforehand.
    confidence : float
        Level of the intervals, for the sentence.

    Returns
    -------
    dict
        ``verdict, sentence, margin, warnings, intervals``, as of an outcome.
    """
    row = comparisons[comparisons["is_primary"] & (comparisons["metric"] == ERROR_REDUCTION)]
    found = row.iloc[0]
    errors = metrics[metrics["metric"] == "mean_absolute_error"].set_index("variant")["estimate"]
    name, unit = variant_style(str(found["new"]))["label"], str(target["unit"])
    low, high = found["ci_low"], found["ci_high"]
    numbers = (
        f"mean absolute error {_with_unit(errors[found['new']], unit)} against "
        f"{_with_unit(errors[TRAINING_MEAN], unit)}, reduced by "
        f"{_percent(found['estimate'])}; {confidence:.0%} interval {_percent(low)} to "
        f"{_percent(high)}; n = {found['n']} patients"
    )
    of = f"{target['label']} than the mean of the training patients"
    if low > 0:
        verdict, sentence = ADDS, f"{name} is closer to {of} ({numbers})."
        if high < margin:
            sentence += f" The gain is smaller than the declared margin of {_percent(margin)}."
    elif high < margin:
        verdict = DOES_NOT_ADD
        sentence = f"{name} is not {_percent(margin)} or more closer to {of} ({numbers})."
    else:
        verdict = INCONCLUSIVE
        sentence = (
            f"Inconclusive whether {name} is closer to {of} ({numbers}; declared margin "
            f"{_percent(margin)}). This is not evidence of no difference."
        )
    return {
        "verdict": verdict,
        "sentence": sentence,
        "margin": margin,
        "warnings": _warnings(comparisons, metrics),
        "intervals": (
            f"{found['n']} patients with a measured value. {confidence:.0%} intervals by bootstrap "
            "of patients, conditional on the fitted models: they do not contain the spread between "
            "training runs."
        ),
    }


def _with_unit(value: float, unit: str) -> str:
    return f"{value:.2f} {unit}".rstrip()


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %".replace("-0 %", "0 %")


def _warnings(comparisons: pd.DataFrame, metrics: pd.DataFrame) -> list[str]:
    """Say which variants were not shown to beat the mean, and which are badly calibrated."""
    found: list[str] = []
    gains = comparisons[comparisons["metric"] == ERROR_REDUCTION]
    gains = gains[gains["reference"] == TRAINING_MEAN]
    if names := _labels(gains.loc[~(gains["ci_low"] > 0), "new"]):
        found.append(
            f"Not shown to be closer than the mean of the training patients in this run: {names}. "
            "Such a model has learnt little or nothing that shows here."
        )
    slopes = metrics[metrics["metric"] == "calibration_slope"]
    if names := _labels(slopes.loc[slopes["ci_high"] < 1, "variant"]):
        found.append(
            f"Predicted values lie further apart than the measured ones bear out (calibration "
            f"slope below 1): {names}."
        )
    n = int(gains["n"].min())
    if n < FEW_PATIENTS:
        found.append(f"{n} patients: too few for limits of agreement or a slope to be relied on.")
    return found


def _labels(variants: pd.Series) -> str:
    return ", ".join(variant_style(str(name))["label"] for name in variants)
