"""The clinical comparator: a prespecified linear LASSO logistic regression on the same folds."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd

from models_training.clinical_process import mean_imputed, moments
from models_training.penalised_logistic import fit_paths


@dataclass(frozen=True)
class ClinicalModel:
    """A fitted model as plain numbers: what is missing is replaced by the training mean.

    Risk = expit(intercept + sum_j coefficient_j (x_j - mean_j) / scale_j); a missing x_j counts
    as its mean. Means and scales are those of the training patients, without the outcome.
    """

    names: tuple[str, ...]
    mean: tuple[float, ...]
    scale: tuple[float, ...]
    coefficients: tuple[float, ...]
    intercept: float
    penalty_c: float

    def to_dict(self) -> dict[str, Any]:
        """Return the model as plain data, for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> ClinicalModel:
        """Return the model from `to_dict`'s content."""
        return cls(**{k: tuple(v) if isinstance(v, list) else v for k, v in content.items()})

    def logits(self, covariates: pd.DataFrame) -> np.ndarray:
        """Return the logit of each row, (n,).

        Raises
        ------
        ValueError
            If a column is missing.
        """
        absent = [name for name in self.names if name not in covariates]
        if absent:
            raise ValueError(
                f"covariates must have the columns {', '.join(self.names)}, missing: "
                f"{', '.join(absent)}. Encode the same covariates."
            )
        values = covariates[list(self.names)].to_numpy(float)
        scaled = (values - np.array(self.mean)) / np.array(self.scale)
        return np.nan_to_num(scaled) @ np.array(self.coefficients) + self.intercept


def fit_clinical(
    covariates: pd.DataFrame, y_true: np.ndarray, *, penalty_c: float
) -> ClinicalModel:
    """Fit the LASSO at one penalty.

    Parameters
    ----------
    covariates : DataFrame of shape (n_patients, n_columns)
        Encoded, NaN for missing.
    y_true : int array of shape (n_patients,)
        Both outcomes must occur.
    penalty_c : float
        Inverse strength of the penalty.

    References
    ----------
    Tibshirani 1996, doi 10.1111/j.2517-6161.1996.tb02080.x.
    """
    values, weights = covariates.to_numpy(float), np.ones((1, len(covariates)))
    mean, scale = moments(values, weights)
    path = fit_paths(mean_imputed(values, weights), y_true, weights, penalties_c=[penalty_c])
    return ClinicalModel(
        tuple(covariates.columns),
        tuple(mean[0].tolist()),
        tuple(scale[0].tolist()),
        tuple(path[0, 0, 1:].tolist()),
        float(path[0, 0, 0]),
        float(penalty_c),
    )
