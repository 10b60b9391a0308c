"""Coefficients of the clinical model in clinical units, and how they vary over the folds."""

from __future__ import annotations

import numpy as np
import pandas as pd

from models_training.clinical_model import ClinicalModel
from models_training.clinical_process import Fitted, moments

# The step for which an odds ratio is given, by the unit at the end of the covariate's name.
STEPS = {
    "_years": (10.0, "10 years"),
    "_percent": (5.0, "5 %"),
    "_ms": (10.0, "10 ms"),
    "_mv": (0.1, "0.1 mV"),
    "_bpm": (10.0, "10 beats a minute"),
}


def coefficient_table(
    model: ClinicalModel, found: Fitted, values: np.ndarray, weights: np.ndarray
) -> pd.DataFrame:
    """Return one row a covariate: effect per SD and per clinical step, and how often it is kept.

    Parameters
    ----------
    model : ClinicalModel
        Fitted on all patients.
    found : Fitted
        The models of the folds.
    values : array of shape (n_patients, p)
        Covariates, NaN for missing.
    weights : array of shape (n_folds, n_patients)
        Training patients of the folds.

    Returns
    -------
    DataFrame
        ``covariate, sd`` (after imputation, its unit), ``log_odds_ratio_per_sd``, its lowest and
        highest value over the folds (``fold_low, fold_high``), ``step`` (10 years, 5 %; from no to
        yes for 0/1 columns), ``odds_ratio_per_step`` with ``step_fold_low, step_fold_high``,
        ``share_selected`` (folds with a coefficient other than 0), ``n_folds``. Ranges, not
        intervals; penalised coefficients have no p-values.
    """
    of_folds = found.coefficients[:, 1:]
    per_unit = of_folds / moments(values, weights)[1]
    rows = []
    for number, name in enumerate(model.names):
        size, step = _step(name, values[:, number])
        of_model = model.coefficients[number] / model.scale[number]
        steps = np.exp(per_unit[:, number] * size)
        rows.append(
            {
                "covariate": name,
                "sd": model.scale[number],
                "log_odds_ratio_per_sd": model.coefficients[number],
                "fold_low": of_folds[:, number].min(),
                "fold_high": of_folds[:, number].max(),
                "step": step,
                "odds_ratio_per_step": float(np.exp(of_model * size)),
                "step_fold_low": steps.min(),
                "step_fold_high": steps.max(),
                "share_selected": float((of_folds[:, number] != 0).mean()),
                "n_folds": len(of_folds),
            }
        )
    return pd.DataFrame(rows)


def _step(name: str, values: np.ndarray) -> tuple[float, str]:
    if np.isin(values[np.isfinite(values)], (0.0, 1.0)).all():
        return 1.0, "yes against no"
    found = next((step for suffix, step in STEPS.items() if name.endswith(suffix)), None)
    return found or (1.0, "1 unit")
