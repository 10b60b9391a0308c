"""The parameters of the notebook that evaluates a predicted number."""

from __future__ import annotations

from dataclasses import dataclass

from workflow.parameter_rules import parameter


@dataclass(frozen=True)
class NumberParameters:
    """Parameters of ``03_evaluate_numbers``, which is ``03_evaluate`` of a regression."""

    run_directory: str = parameter(
        "runs/quickstart", "folder of this run, below the project's root or absolute"
    )
    target: str = parameter("", "which of several numbers; empty: the first")
    primary_variant: str = parameter(
        "",
        "held against the mean of the training patients; empty: the first",
        choices=("", "ecg", "ecg_age", "ecg_covariates"),
    )
    margin_share: float = parameter(
        0.1, "share by which that mean's error must fall to be of use", above=0.0, below=1.0
    )
    confidence: float = parameter(0.95, "level of all intervals", above=0.5, below=1.0)
    n_resamples: int = parameter(2000, "bootstrap resamples of patients", minimum=100)
    seed: int = parameter(0, "seed of the bootstrap", minimum=0)
