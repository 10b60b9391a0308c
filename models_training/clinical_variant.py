"""The clinical model by the same folds as the networks, for every outcome or horizon."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
from scipy.special import expit

from models_training.clinical_coefficients import coefficient_table
from models_training.clinical_model import fit_clinical
from models_training.clinical_process import PENALTIES, fit_processes, fold_samples
from models_training.inputs import TrainingData
from models_training.prediction_rows import prediction_rows, with_place
from models_training.targets import Targets, main_target, target_outcomes
from models_training.variant_fit import FITTED_ROLES, VariantFit


def fit_clinical_variant(
    data: TrainingData, splits: pd.DataFrame, targets: Targets = ()
) -> VariantFit:
    """Fit the clinical model in every fold, to each outcome or at each horizon anew.

    Parameters
    ----------
    data : TrainingData
        With the covariates of the model.
    splits : DataFrame
        ``patient_id, repeat, fold, inner_fold, role``.
    targets : sequence of mappings
        ``targets`` of ``dataset.json``; without, the column ``outcome``. Risks at several horizons
        come from separate models: that at a later one may be the lower.

    Returns
    -------
    VariantFit
        Predictions and history of all outcomes; the model kept is that of the first outcome, or of
        the longest horizon. ``about`` names targets with too few events to be fitted, and why.

    Raises
    ------
    ValueError
        If that model cannot be fitted.
    """
    if not targets:
        return _fit_outcome(data, splits, ())
    truth, fits, unfitted = target_outcomes(data.patients, targets), [], {}
    for number, item in enumerate(targets):
        outcome = pd.array(truth[:, number].astype("float64"), dtype="Int8")
        patients = data.patients.assign(outcome=outcome)
        one = replace(data, patients=patients, target_table=None)
        try:
            fits.append((item["name"], _fit_outcome(one, splits, [item])))
        except ValueError as error:  # too few events by an early horizon, or of a rare outcome
            unfitted[item["name"]] = str(error)
    if main_target(targets) in unfitted:
        raise ValueError(unfitted[main_target(targets)])
    main = dict(fits)[main_target(targets)]
    main.about["unfitted_targets"] = unfitted
    histories = [fit.history.assign(target=name) for name, fit in fits]
    fits = [fit for _, fit in fits]
    main.history = pd.concat(histories, ignore_index=True) if len(fits) > 1 else main.history
    main.predictions = pd.concat([fit.predictions for fit in fits], ignore_index=True)
    for key in main.fitted_on:
        main.fitted_on[key] = sorted({one for fit in fits for one in fit.fitted_on[key]})
    return main


def _fit_outcome(data: TrainingData, splits: pd.DataFrame, targets: Targets) -> VariantFit:
    """Fit the LASSO in every fold; the penalty is chosen inside the training patients."""
    keys, samples = fold_samples(splits, data.patients)
    values = data.covariates.to_numpy(float)
    found = fit_processes(values, samples, progress="clinical folds")
    predictions, fitted_on = [], {}
    ids, row_of = data.patients["patient_id"].to_numpy(), data.patient_row
    tested = splits[splits["role"] == "test"].groupby(["repeat", "fold"])["patient_id"]
    for number, key in enumerate(keys):
        train_rows = np.flatnonzero((samples.weights[number] > 0)[row_of])
        test_rows = data.rows_of(tested.get_group(key))
        inner, logits = (
            part[number][row_of][:, None] for part in (found.inner_logits, found.logits)
        )
        scored = (("validation", train_rows, inner), ("test", test_rows, logits))
        for role, rows, part in scored:
            table = prediction_rows(data, rows, expit(part[rows]), data.y_true[rows], targets)
            predictions.append(with_place(table, role, *key))
        fitted_on[key] = sorted(ids[samples.weights[number] > 0])
    history = pd.DataFrame(
        {
            "repeat": np.repeat([repeat for repeat, _ in keys], len(PENALTIES)),
            "fold": np.repeat([fold for _, fold in keys], len(PENALTIES)),
            "penalty_c": np.tile(PENALTIES, len(keys)),
            "val_loss": found.losses.ravel(),
        }
    )
    penalty_c = np.array(PENALTIES)[found.best[:, 1]]
    is_known = data.patients["outcome"].notna().to_numpy()
    y_true = data.patients.loc[is_known, "outcome"].to_numpy(int)
    final = fit_clinical(data.covariates[is_known], y_true, penalty_c=float(np.median(penalty_c)))
    about = {"bundle_kind": "refit_all", "penalty_c": final.penalty_c, "recalibration": "none"}
    table = pd.concat(predictions, ignore_index=True)
    coefficients = coefficient_table(final, found, values, samples.weights)
    return VariantFit("", [], history, table, fitted_on, FITTED_ROLES, final, about, coefficients)
