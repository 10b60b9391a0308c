"""How much of a network's score ordinary ECG measurements explain together."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from sklearn.impute import SimpleImputer
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import KFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from explainability.concepts import TAILS, AssociationSettings

__all__ = ["ExplainedScore", "explained_by_measurements"]

_N_FOLDS, _N_REPEATS = 5, 5
_PENALTIES = np.logspace(-1, 5, 13)
_FEWEST_PATIENTS = 30


@dataclass(frozen=True)
class ExplainedScore:
    """Share of the differences in the score between patients that measurements predict.

    Attributes
    ----------
    r_squared, ci_low, ci_high : float
        1 - squared error / squared deviation, of patients not used in the fit; at or below 0 the
        measurements say nothing. The interval is conditional on the fitted networks and on the
        fits of the cross-fitting.
    n_patients, n_measurements : int
        What was used.
    """

    r_squared: float
    ci_low: float
    ci_high: float
    n_patients: int
    n_measurements: int

    def sentence(self) -> str:
        """Say it in plain words."""
        size = f"{self.n_measurements} measurements, {self.n_patients} patients"
        interval = f"95 % interval {100 * self.ci_low:.0f} to {100 * self.ci_high:.0f} %"
        if not np.isfinite(self.r_squared):
            return f"How far ordinary measurements explain the score is not known: {size}."
        if self.r_squared <= 0:
            return (
                "Ordinary ECG measurements do not predict the network's score by a linear rule "
                f"({size}; {interval})."
            )
        return (
            f"Ordinary ECG measurements explain {100 * self.r_squared:.0f} % of the differences in "
            f"the network's score ({interval}; {size}) by a linear rule. The rest is what they do "
            "not hold, or hold in another form, and noise."
        )


def explained_by_measurements(
    values: pd.Series, measurements: pd.DataFrame, *, settings: AssociationSettings | None = None
) -> ExplainedScore:
    """Return the cross-fitted share of the score's variance that measurements explain.

    Parameters
    ----------
    values : Series
        Score, one row a patient.
    measurements : DataFrame
        Same index. Missing values are filled with the median of the fitting patients, with a
        column that says so; columns never measured are left out. Axes enter as sine and cosine.
    settings : AssociationSettings, optional
        Resamples and seed.

    Returns
    -------
    ExplainedScore
        NaN below 30 patients.

    Notes
    -----
    Ridge regression, the penalty chosen within the fitting patients, five folds of patients,
    repeated five times; R2 = 1 - sum (y - f(x))^2 / sum (y - mean of the fitting patients)^2,
    averaged over the repeats. Percentile bootstrap of patients.
    """
    settings = settings or AssociationSettings()
    is_known = values.notna().to_numpy()
    used = measurements.loc[is_known].dropna(axis=1, how="all")
    y, x = values[is_known].to_numpy(float), _design(used)
    nan = float("nan")
    if len(y) < _FEWEST_PATIENTS or np.ptp(y) == 0:
        return ExplainedScore(nan, nan, nan, len(y), used.shape[1])
    pairs = [_squares(x, y, settings.seed + repeat) for repeat in range(_N_REPEATS)]
    error, deviation = (np.stack(part) for part in zip(*pairs, strict=True))
    rng = np.random.default_rng(settings.seed)
    draws = rng.multinomial(len(y), np.full(len(y), 1 / len(y)), size=settings.n_bootstrap)
    weights = np.vstack([np.ones(len(y)), draws])
    found = (1 - (weights @ error.T) / (weights @ deviation.T)).mean(axis=1)
    low, high = np.quantile(found[1:], TAILS)
    return ExplainedScore(float(found[0]), float(low), float(high), len(y), used.shape[1])


def _design(table: pd.DataFrame) -> pd.DataFrame:
    """Return the columns of the regression: axes as sine and cosine, the rest as they are."""
    columns = {}
    for name, column in table.items():
        if str(name).endswith("axis_degrees"):
            angle = np.deg2rad(column)
            columns |= {f"{name}_sine": np.sin(angle), f"{name}_cosine": np.cos(angle)}
        else:
            columns[name] = column
    return pd.DataFrame(columns)


def _squares(x: pd.DataFrame, y: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return squared errors and squared deviations of every patient, out of fold."""
    error, deviation = np.zeros(len(y)), np.zeros(len(y))
    for fit, rest in KFold(_N_FOLDS, shuffle=True, random_state=seed).split(x):
        measured = x.columns[x.iloc[fit].notna().any()]
        model = make_pipeline(
            SimpleImputer(strategy="median", add_indicator=True),
            StandardScaler(),
            RidgeCV(alphas=_PENALTIES),
        )
        model.fit(x.iloc[fit][measured], y[fit])
        error[rest] = (y[rest] - model.predict(x.iloc[rest][measured])) ** 2
        deviation[rest] = (y[rest] - y[fit].mean()) ** 2
    return error, deviation
