"""The parameters of the notebook that evaluates a predicted number."""

from __future__ import annotations

from dataclasses import dataclass

from workflow.parameter_rules import parameter, same_as
from workflow.parameters import EvaluationParameters


@dataclass(frozen=True)
class NumberParameters:
    """Parameters of ``03_evaluate_numbers``, which is ``03_evaluate`` of a regression."""

    run_directory: str = same_as(EvaluationParameters, "run_directory")
    evaluated_target: str = same_as(EvaluationParameters, "evaluated_target")
    primary_variant: str = parameter(
        "",
        "held against the mean of the training patients; empty: the first",
        choices=("", "ecg", "ecg_age", "ecg_covariates"),
    )
    margin_share: float = parameter(
        0.1, "share by which that mean's error must fall to be of use", above=0.0, below=1.0
    )
    confidence: float = same_as(EvaluationParameters, "confidence")
    n_resamples: int = same_as(EvaluationParameters, "n_resamples")
    seed: int = same_as(EvaluationParameters, "seed")
