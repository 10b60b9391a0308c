"""Richer or other forms of the clinical model on the same folds: sensitivity analyses.

None of them replaces the prespecified LASSO, whatever it scores. Missing values of the LASSO are
replaced by the training mean, without the outcome: a rule that fits on the model's card and needs
no other covariates of a new patient. Imputation by regression is one of the analyses here.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
from scipy.special import expit
from sklearn.exceptions import ConvergenceWarning
from sklearn.experimental import enable_iterative_imputer  # noqa: F401  # sklearn asks for it
from sklearn.impute import IterativeImputer

from models_training.clinical_process import (
    Design,
    Fitted,
    fit_processes,
    fold_samples,
    mean_imputed,
)
from models_training.variant_inputs import prespecified_columns

PRIMARY = "LASSO (primary)"
L1_RATIOS = (0.1, 0.5, 0.9)
KNOT_QUANTILES = (0.1, 0.5, 0.9)  # three knots: Harrell, Regression Modeling Strategies, 2015
CURVED = ("age_years", "lvef_percent")
INTERACTION = ("lge_present", "pathogenic_variant")
ECG_RULES = re.compile(r"(^|_)(qrs|qtc|qt|voltage|sokolow|cornell)(_|$)", re.IGNORECASE)

# From covariates (n, p) and which rows train (n,) to columns (n, q), still unscaled.
Build = Callable[[np.ndarray, np.ndarray], np.ndarray]


def ecg_rule_columns(columns: Sequence[str]) -> list[str]:
    """Return the columns that hold conventional ECG measures: QRS duration, QTc, voltages.

    Examples
    --------
    >>> ecg_rule_columns(["age_years", "qrs_duration_ms", "qtc_ms", "sokolow_lyon_mv"])
    ['qrs_duration_ms', 'qtc_ms', 'sokolow_lyon_mv']
    """
    return [name for name in columns if ECG_RULES.search(name.split("=")[0])]


def sensitivity_predictions(
    covariates: pd.DataFrame, y_true: np.ndarray, splits: pd.DataFrame
) -> pd.DataFrame:
    """Return out-of-fold risks of the primary model and of every sensitivity analysis.

    Each is tuned over the same penalties in the same inner folds.

    Parameters
    ----------
    covariates : DataFrame of shape (n_patients, n_columns)
        All encoded covariates, indexed by patient, NaN for missing.
    y_true : int array of shape (n_patients,)
        The outcomes, all known.
    splits : DataFrame
        ``patient_id, repeat, fold, inner_fold``.

    Returns
    -------
    DataFrame
        ``patient_id, repeat, fold, role, model, y_true, y_score``; role is ``test``. Models are
        the LASSO, ``elastic net``, ``splines and interaction``, ``missing indicators`` (where
        values are missing), ``regression imputation`` (likewise), ``ECG rules`` (where there are
        such columns).
    """
    patients = pd.DataFrame({"patient_id": covariates.index, "outcome": np.asarray(y_true, int)})
    keys, samples = fold_samples(splits, patients)
    clinical = covariates[prespecified_columns(list(covariates.columns))]
    tables = []

    def add(model: str, table: pd.DataFrame, design: Design = mean_imputed, **tuning) -> None:
        values = table.to_numpy(float)
        found = fit_processes(values, samples, design=design, progress=model, **tuning)
        tables.append(_test_rows(found, keys, samples.weights, patients).assign(model=model))

    add(PRIMARY, clinical)
    add("elastic net", clinical, l1_ratios=L1_RATIOS)
    add("splines and interaction", clinical, _each_set(_curved(list(clinical.columns))))
    if clinical.isna().to_numpy().any():
        add("missing indicators", clinical, _each_set(_with_indicators))
        add("regression imputation", clinical, _each_set(_regression_imputed))
    rules = ecg_rule_columns(list(covariates.columns))
    if rules:
        add("ECG rules", covariates[rules])
    return pd.concat(tables, ignore_index=True)


def _test_rows(
    found: Fitted, keys: list[tuple[int, int]], weights: np.ndarray, patients: pd.DataFrame
) -> pd.DataFrame:
    parts = []
    for (repeat, fold), weight, logits in zip(keys, weights, found.logits, strict=True):
        is_test = weight == 0
        part = patients[is_test].rename(columns={"outcome": "y_true"})
        where = {"repeat": repeat, "fold": fold, "role": "test"}
        parts.append(part.assign(**where, y_score=expit(logits[is_test])))
    return pd.concat(parts, ignore_index=True)


def _each_set(build: Build) -> Design:
    """Return a design that is built by the training rows of each set, then scaled by them."""

    def design(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
        return np.stack(
            [mean_imputed(build(values, weight > 0), weight[None])[0] for weight in weights]
        )

    return design


def _curved(names: list[str]) -> Build:
    """Return a build that adds the bend of each curved covariate, and the interaction."""

    def build(values: np.ndarray, is_training: np.ndarray) -> np.ndarray:
        columns = [values]
        for name in CURVED:
            if name in names:
                columns.append(spline_bend(values[:, names.index(name)], is_training)[:, None])
        if all(name in names for name in INTERACTION):
            pair = values[:, [names.index(name) for name in INTERACTION]]
            columns.append(pair.prod(axis=1, keepdims=True))
        return np.hstack(columns)

    return build


def spline_bend(values: np.ndarray, is_training: np.ndarray) -> np.ndarray:
    """Return the second column of a restricted cubic spline with three knots, (n,).

    With knots a < b < c at the 10, 50 and 90 % quantiles of the training rows and (u)+ = max(u, 0):
    ((x - a)+^3 - (x - b)+^3 (c - a) / (c - b) + (x - c)+^3 (b - a) / (c - b)) / (c - a)^2, linear
    beyond the outer knots. Zero where the knots coincide; NaN where a value is missing.

    References
    ----------
    Harrell 2015, doi 10.1007/978-3-319-19425-7, section 2.4.5.
    """
    known = values[is_training & np.isfinite(values)]
    if not known.size:
        return np.zeros(len(values))
    a, b, c = np.quantile(known, KNOT_QUANTILES)
    if not a < b < c:
        return np.zeros(len(values))
    cubes = [np.clip(values - knot, 0, None) ** 3 for knot in (a, b, c)]
    return (cubes[0] - cubes[1] * (c - a) / (c - b) + cubes[2] * (b - a) / (c - b)) / (c - a) ** 2


def _with_indicators(values: np.ndarray, is_training: np.ndarray) -> np.ndarray:
    """Return the columns and, for each that lacks values, whether it is missing."""
    is_missing = np.isnan(values)
    # Which columns get one must not differ between the sets of a fold: their number is fixed.
    return np.hstack([values, is_missing[:, is_missing.any(axis=0)].astype(float)])


def _regression_imputed(values: np.ndarray, is_training: np.ndarray) -> np.ndarray:
    """Return the columns with missing values predicted from the others (Bayesian ridge)."""
    known = values[is_training]
    if np.isnan(known).all(axis=0).any():
        return values  # nothing to learn a column from: the mean rule takes over
    low, high = np.nanmin(known, axis=0), np.nanmax(known, axis=0)
    high = np.maximum(high, low + 1e-9)  # scikit-learn refuses equal bounds of a constant column
    imputer = IterativeImputer(max_iter=3, min_value=low, max_value=high)
    with warnings.catch_warnings():
        # Three rounds of chained regressions are the declared rule, converged or not.
        warnings.simplefilter("ignore", ConvergenceWarning)
        imputer.fit(known)
        return np.asarray(imputer.transform(values))
