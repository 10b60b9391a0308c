"""What the training of one variant leaves for the notebook."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pandas as pd

FITTED_ROLES = ("train", "validation")  # of models tuned by inner folds


@dataclass
class VariantFit:
    """What one variant's training leaves.

    Attributes
    ----------
    variant : str
        Its name.
    covariate_names : list of str
        Encoded columns it sees.
    history : DataFrame
        ``repeat, fold`` and a row an epoch (networks) or a penalty (clinical).
    predictions : DataFrame
        ``record_id, patient_id, repeat, fold, role, seed, variant, y_true, y_score`` and, where
        targets were named, ``target, horizon_days``; roles ``validation`` (training patients, by
        models that left them out) and ``test``. ``y_true`` is Int8, <NA> for tested patients whose
        status at the horizon is unknown; a number's is float64.
    fitted_on : dict
        From (repeat, fold) to the patients anything was fitted on.
    fitted_roles : tuple of str
        The roles these patients may have: ``train``; for the clinical model, whose inner folds
        cover all training patients, ``validation`` as well.
    model : keras.Model or ClinicalModel
        The one for new patients.
    about : dict
        Facts for the card: number of weights, epochs or penalty, kind of bundle.
    coefficients : DataFrame or None
        Of the clinical model, see `coefficient_table`.
    trials : DataFrame or None
        Of a search for hyper-parameters, with ``repeat, fold``; see `models_training.search`.
    """

    variant: str
    covariate_names: list[str]
    history: pd.DataFrame
    predictions: pd.DataFrame
    fitted_on: dict[tuple[int, int], list[str]]
    fitted_roles: tuple[str, ...]
    model: Any
    about: dict[str, Any] = field(default_factory=dict)
    coefficients: pd.DataFrame | None = None
    trials: pd.DataFrame | None = None
