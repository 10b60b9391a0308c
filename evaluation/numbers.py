"""Every table of the evaluation of a predicted number, from predictions to the claim."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from evaluation.number_comparison import (
    TRAINING_MEAN,
    number_claim,
    number_comparisons,
    with_training_mean,
)
from evaluation.regression import calibration_lines, patient_values, regression_table
from evaluation.resampling import BootstrapPlan

# One value for everybody has an error; its agreement and calibration say nothing.
_OF_THE_MEAN = ("mean_absolute_error", "root_mean_squared_error")


@dataclass(frozen=True)
class NumberSettings:
    """What is declared before the numbers are seen.

    Parameters
    ----------
    primary_variant : str
        Compared with the mean of the training patients; empty: the first of the trained ones.
    margin_share : float
        Smallest reduction of that mean's error worth having, 0 to 1.
    confidence, n_resamples, seed
        Of the bootstrap of patients.
    """

    primary_variant: str = ""
    margin_share: float = 0.1
    confidence: float = 0.95
    n_resamples: int = 2000
    seed: int = 0

    def plan(self, method: str = "percentile") -> BootstrapPlan:
        """Return the bootstrap plan."""
        return BootstrapPlan(self.n_resamples, self.confidence, method, self.seed)


@dataclass(frozen=True)
class NumberEvaluation:
    """What is known of the predictions of one number.

    Attributes
    ----------
    by_patient : pandas.DataFrame
        :func:`evaluation.regression.patient_values` of held-out patients, the mean of the training
        patients among the variants.
    metrics, comparisons, lines : pandas.DataFrame
        Of :func:`evaluation.regression.regression_table`,
        :func:`evaluation.number_comparison.number_comparisons` and
        :func:`evaluation.regression.calibration_lines`.
    claim : dict
        Of :func:`evaluation.number_comparison.number_claim`.
    """

    by_patient: pd.DataFrame
    metrics: pd.DataFrame
    comparisons: pd.DataFrame
    lines: pd.DataFrame
    claim: dict[str, Any]

    @property
    def of_models(self) -> pd.DataFrame:
        """The values without those of the mean."""
        return self.by_patient[self.by_patient["variant"] != TRAINING_MEAN]


def evaluate_number(
    predictions: pd.DataFrame,
    patients: pd.DataFrame,
    splits: pd.DataFrame,
    target: Mapping[str, Any],
    settings: NumberSettings,
) -> NumberEvaluation:
    """Return error, agreement and calibration of all variants, and what may be claimed.

    Parameters
    ----------
    predictions : pandas.DataFrame
        Of all variants; rows of other targets are left out.
    patients : pandas.DataFrame
        `patient_id` and the column of the target.
    splits : pandas.DataFrame
        `patient_id, repeat, fold, role`.
    target : mapping
        Of :func:`evaluation.targets.chosen_number`: `name, column, label, unit`.
    settings : NumberSettings
        Declared beforehand.

    Raises
    ------
    ValueError
        If predictions are malformed, or the primary variant was not trained.
    """
    mine = patient_values(predictions[predictions["target"] == target["name"]])
    measured = patients.set_index("patient_id")[target["column"]]
    values = with_training_mean(mine, measured, splits)
    metrics = regression_table(values, settings.plan("bca"))
    is_empty = (metrics["variant"] == TRAINING_MEAN) & ~metrics["metric"].isin(_OF_THE_MEAN)
    metrics = metrics[~is_empty].reset_index(drop=True).assign(unit=target["unit"])
    is_model = values["variant"] != TRAINING_MEAN
    primary = settings.primary_variant or str(values.loc[is_model, "variant"].iloc[0])
    comparisons = number_comparisons(values, primary, settings.plan())
    comparisons = comparisons.assign(target=target["name"])
    rule = {"margin": settings.margin_share, "confidence": settings.confidence}
    claim = number_claim(comparisons, metrics, target, **rule)
    lines = calibration_lines(values[is_model], settings.plan())
    return NumberEvaluation(values, metrics, comparisons, lines, claim)
