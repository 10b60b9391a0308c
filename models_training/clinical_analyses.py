"""All analyses around the clinical model that need it fitted again."""

from __future__ import annotations

import pandas as pd

from models_training.clinical_refits import bootstrap_refits, learning_curve, permuted_refits
from models_training.clinical_sensitivity import sensitivity_predictions
from models_training.inputs import TrainingData
from models_training.variant_inputs import prespecified_columns


def clinical_analyses(
    data: TrainingData, splits: pd.DataFrame, *, n_refits: int, seed: int
) -> dict[str, pd.DataFrame]:
    """Return the refits of the clinical model and its sensitivity analyses.

    Parameters
    ----------
    data : TrainingData
        The cohort with all its encoded covariates; patients of unknown outcome are left out.
    splits : DataFrame
        ``patient_id, repeat, fold, inner_fold, role``.
    n_refits : int
        Bootstrap samples and permutations; 0 skips them and the learning curve.
    seed : int
        Of samples, permutations and draws.

    Returns
    -------
    dict of DataFrame
        ``sensitivity`` and, with refits, ``refits, permutations, learning_curve``; see the
        functions that make them.
    """
    is_known = data.patients["outcome"].notna().to_numpy()
    y_true = data.patients.loc[is_known, "outcome"].to_numpy(int)
    ids = pd.Index(data.patients.loc[is_known, "patient_id"], name="patient_id")
    covariates = data.covariates[is_known].set_axis(ids)
    tables = {"sensitivity": sensitivity_predictions(covariates, y_true, splits)}
    if not n_refits:
        return tables
    chosen = covariates[prespecified_columns(list(covariates.columns))]
    permuted = permuted_refits(chosen, y_true, splits, n_permutations=n_refits, seed=seed)
    return tables | {
        "refits": bootstrap_refits(chosen, y_true, n_refits=n_refits, seed=seed),
        "permutations": permuted,
        "learning_curve": learning_curve(chosen, y_true, seed=seed),
    }
