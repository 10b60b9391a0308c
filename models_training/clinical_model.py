"""The clinical comparator: a prespecified linear LASSO logistic regression on the same folds."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import expit
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss

PENALTIES = tuple(np.logspace(-2.0, 1.0, 13))  # inverse strength C; small = strong


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
    mean = covariates.mean().fillna(0.0)
    # The SD after mean imputation, as the regression will see it.
    scale = covariates.fillna(mean).std(ddof=0)
    scale = scale.where(scale > 0, 1.0)
    scaled = ((covariates - mean) / scale).fillna(0.0).to_numpy(float)
    model = LogisticRegression(
        C=penalty_c, l1_ratio=1.0, solver="saga", max_iter=20_000, tol=1e-4, random_state=0
    )
    model.fit(scaled, np.asarray(y_true, int))
    return ClinicalModel(
        tuple(covariates.columns),
        tuple(mean.tolist()),
        tuple(scale.tolist()),
        tuple(model.coef_[0].tolist()),
        float(np.ravel(model.intercept_)[0]),
        float(penalty_c),
    )


def tune_clinical(
    covariates: pd.DataFrame, y_true: np.ndarray, inner_fold: np.ndarray
) -> tuple[ClinicalModel, np.ndarray, pd.DataFrame]:
    """Choose the penalty by inner folds of the training patients and fit on all of them.

    Parameters
    ----------
    covariates, y_true
        As for `fit_clinical`, training patients only.
    inner_fold : int array of shape (n_patients,)
        Inner fold of each.

    Returns
    -------
    model, inner_logits, history
        The model at the best penalty; each training patient's logit from the inner fold that left
        it out (n_patients,); ``penalty_c, val_loss`` (mean log loss of the left-out patients).
    """
    y_true = np.asarray(y_true, int)
    out_of_fold = np.zeros((len(PENALTIES), len(y_true)))
    for fold in np.unique(inner_fold):
        left_out = inner_fold == fold
        for row, penalty_c in enumerate(PENALTIES):
            model = fit_clinical(covariates[~left_out], y_true[~left_out], penalty_c=penalty_c)
            out_of_fold[row, left_out] = model.logits(covariates[left_out])
    losses = [log_loss(y_true, expit(logits), labels=[0, 1]) for logits in out_of_fold]
    best = int(np.argmin(losses))
    history = pd.DataFrame({"penalty_c": PENALTIES, "val_loss": losses})
    model = fit_clinical(covariates, y_true, penalty_c=PENALTIES[best])
    return model, out_of_fold[best], history
