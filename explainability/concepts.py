"""Is what the network reads known to cardiology: the score and the maps against measurements.

The patient is the unit. Scores of different folds come from different networks, so they are
compared within the fold. Associations say what goes together with the score, not what the network
computes, and nothing about the disease.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import false_discovery_control, rankdata
from scipy.stats import t as student_t

from explainability.ecg_measurements import MEASUREMENTS, labels
from explainability.explained import RISK, Explained
from explainability.r_peaks import LEADS

__all__ = [
    "AssociationSettings",
    "associations",
    "attribution_associations",
    "by_patient",
    "within_fold_score",
]

TAILS = (0.025, 0.975)  # of 95 % intervals
_FEWEST_PATIENTS = 10
_CHUNK = 250  # resamples ranked together
_COLUMNS = ("correlation", "ci_low", "ci_high", "p_value")
_COUNTS = ("n_patients", "n_missing", "method")


@dataclass(frozen=True)
class AssociationSettings:
    """How associations are judged.

    Parameters
    ----------
    n_bootstrap : int
        Resamples of patients.
    seed : int
        Of the resamples.
    """

    n_bootstrap: int = 1000
    seed: int = 0


def within_fold_score(scores: pd.DataFrame, explained: Explained = RISK) -> np.ndarray:
    """Return each record's score (a risk's logit) in standard deviations within its fold.

    Parameters
    ----------
    scores : DataFrame, n_records rows
        ``repeat, fold, y_score``, the risk in 0 to 1 or a number.
    explained : Explained
        Which of them.

    Returns
    -------
    array of shape (n_records,)
        Mean 0 in every fold: networks of different folds are on different scales. NaN in a fold
        whose scores are all the same.
    """
    return within_fold(explained.scores(scores["y_score"]), scores)


def within_fold(values: np.ndarray, records: pd.DataFrame) -> np.ndarray:
    """Return a value of each record in standard deviations within its fold, (n_records,).

    `records` has the columns ``repeat, fold``; missing values stay out, and a fold where the value
    does not vary, or with a single record, has NaN.
    """
    table = records[["repeat", "fold"]].reset_index(drop=True).assign(value=np.asarray(values))
    groups = table.groupby(["repeat", "fold"])["value"]
    spread = groups.transform("std")
    centred = table["value"] - groups.transform("mean")
    return (centred / spread.where(spread > 0)).to_numpy()


def by_patient(table: pd.DataFrame, patient_ids: pd.Series | np.ndarray) -> pd.DataFrame:
    """Return the mean over each patient's records, indexed by patient; missing ones left out."""
    return table.reset_index(drop=True).groupby(np.asarray(patient_ids)).mean()


def associations(
    values: pd.Series,
    measurements: pd.DataFrame,
    *,
    covariates: pd.DataFrame | None = None,
    settings: AssociationSettings | None = None,
) -> pd.DataFrame:
    """Return the rank correlation of a value with every measurement, alone and given covariates.

    Parameters
    ----------
    values : Series
        Score of each patient, indexed by patient.
    measurements : DataFrame
        Same index, one column a measurement, NaN for missing.
    covariates : DataFrame, optional
        Same index: what is held fixed in the partial correlation, for example age, sex and heart
        rate. A covariate that is the measurement itself is left out for that measurement.
    settings : AssociationSettings, optional
        Resamples and seed.

    Returns
    -------
    DataFrame
        One row a measurement and ``adjusted_for`` (empty: nothing): ``measurement, label,
        adjusted_for, correlation, ci_low, ci_high, p_value, q_value, n_patients, n_missing,
        method``. No estimate below ten patients or where one side does not vary.

    Raises
    ------
    ValueError
        If the indices differ.

    Notes
    -----
    Spearman's correlation; the partial one is that of the ranks, -P_xy / sqrt(P_xx P_yy) with P the
    inverse of their correlation matrix. Intervals: percentile bootstrap of patients, conditional on
    the fitted networks. p: t distribution with n - 2 - k degrees of freedom, k covariates; q:
    Benjamini & Hochberg 1995, doi 10.1111/j.2517-6161.1995.tb02031.x, over all measurements with
    the same adjustment.
    """
    settings = settings or AssociationSettings()
    others = pd.DataFrame(index=values.index) if covariates is None else covariates
    if not (values.index.equals(measurements.index) and values.index.equals(others.index)):
        raise ValueError(
            "measurements and covariates must have the index of values (one row a patient), got "
            f"{len(measurements)} and {len(others)} rows for {len(values)}. Use by_patient."
        )
    rows = []
    for name in measurements:
        given = [column for column in others if column != name]
        for chosen in ([], given) if given else ([],):
            columns = np.column_stack([values, measurements[name], others[chosen]]).astype(float)
            found = _one_association(columns, settings)
            text = ", ".join(labels().get(column, column) for column in chosen)
            rows.append({"measurement": name, "adjusted_for": text, **found})
    table = pd.DataFrame(rows)
    table.insert(1, "label", [labels().get(name, name) for name in table["measurement"]])
    is_adjusted = table["adjusted_for"] != ""
    q_values = pd.concat([_q_values(table.loc[is_adjusted == side]) for side in (False, True)])
    table["q_value"] = q_values
    return table[["measurement", "label", "adjusted_for", *_COLUMNS, "q_value", *_COUNTS]]


def _one_association(
    columns: np.ndarray, settings: AssociationSettings
) -> dict[str, float | int | str]:
    """Return the correlation of column 0 with column 1 given the others, with its interval."""
    is_complete = np.isfinite(columns).all(axis=1)
    used = columns[is_complete]
    n, n_given = len(used), columns.shape[1] - 2
    counts = {"n_patients": n, "n_missing": int((~is_complete).sum())}
    method = f"bootstrap of patients, percentile, {settings.n_bootstrap} resamples"
    nothing = dict.fromkeys(_COLUMNS, float("nan"))
    if n < _FEWEST_PATIENTS + n_given:
        return nothing | counts | {"method": f"fewer than {_FEWEST_PATIENTS} patients"}
    estimate = float(_rank_correlation(used[None])[0])
    if not np.isfinite(estimate):
        return nothing | counts | {"method": "does not vary"}
    rng = np.random.default_rng(settings.seed)
    draws = np.concatenate(
        [
            _rank_correlation(used[rng.integers(0, n, size=(size, n))])
            for size in _chunks(settings.n_bootstrap)
        ]
    )
    # Above a tenth of resamples without a value the interval would be conditional on luck.
    is_enough = np.isfinite(draws).mean() >= 0.9
    low, high = np.nanquantile(draws, TAILS) if is_enough else (np.nan, np.nan)
    freedom = n - 2 - n_given
    ratio = estimate * np.sqrt(freedom / max(1.0 - estimate**2, 1e-15))
    p_value = 2.0 * float(student_t.sf(abs(ratio), freedom))
    found = dict(zip(_COLUMNS, (estimate, float(low), float(high), p_value), strict=True))
    return found | counts | {"method": method}


def _chunks(n: int) -> list[int]:
    return [min(_CHUNK, n - start) for start in range(0, n, _CHUNK)]


def _rank_correlation(samples: np.ndarray) -> np.ndarray:
    """Return the (partial) rank correlation of columns 0 and 1, (n_resamples,).

    `samples` is (n_resamples, n_patients, 2 + n_given); NaN where a column does not vary.
    """
    ranks = rankdata(samples, axis=1)
    ranks -= ranks.mean(axis=1, keepdims=True)
    norms = np.linalg.norm(ranks, axis=1, keepdims=True)
    varies = (norms > 0).all(axis=(1, 2))
    scaled = np.divide(ranks, norms, out=np.zeros_like(ranks), where=norms > 0)
    together = scaled.transpose(0, 2, 1) @ scaled
    if samples.shape[2] == 2:
        return np.where(varies, together[:, 0, 1], np.nan)
    precision = np.linalg.pinv(together, hermitian=True)
    scale = np.sqrt(np.maximum(precision[:, 0, 0] * precision[:, 1, 1], 0.0))
    known = varies & (scale > 0)
    return np.divide(-precision[:, 0, 1], scale, out=np.full(len(scale), np.nan), where=known)


def _q_values(table: pd.DataFrame) -> pd.Series:
    """Return the false discovery rate at which each row would be called."""
    p_values = table["p_value"].dropna()
    found = pd.Series(np.nan, index=table.index)
    if len(p_values):
        found[p_values.index] = false_discovery_control(p_values)
    return found


def attribution_associations(
    maps: np.ndarray,
    masks: Mapping[str, np.ndarray],
    measurements: pd.DataFrame,
    records: pd.DataFrame,
    *,
    settings: AssociationSettings | None = None,
) -> pd.DataFrame:
    """Return the rank correlation of each measurement with the map in the wave it is made in.

    Parameters
    ----------
    maps : array of shape (n_records, n_samples, 12)
        Signed maps with a lead axis, in logits.
    masks : mapping of str to bool array of shape (n_records, n_samples)
        The waves ``P, QRS, ST, T``.
    measurements : DataFrame, n_records rows
        Of `ecg_measurements.measure_ecgs`.
    records : DataFrame, n_records rows
        ``patient_id, repeat, fold``. Maps of different folds come from different networks, so the
        map is compared within the fold; a patient's records are averaged.
    settings : AssociationSettings, optional
        Resamples and seed.

    Returns
    -------
    DataFrame
        As `associations`, with ``of`` ("signed sum": does the map push the risk up where the
        measurement is large; "share": is more of the absolute map there), ``wave`` and ``leads``.

    Raises
    ------
    ValueError
        If the maps have no lead axis.
    """
    if np.ndim(maps) != 3 or np.shape(maps)[2] != len(LEADS):
        raise ValueError(
            f"maps must be of shape (n_records, n_samples, {len(LEADS)}), got {np.shape(maps)}. "
            "Use integrated gradients; Grad-CAM has no lead axis."
        )
    patient_ids = records["patient_id"].to_numpy()
    patients = by_patient(measurements, patient_ids)
    total = np.abs(maps).sum(axis=(1, 2), dtype=np.float64)
    tables = []
    for item in MEASUREMENTS:
        if not item.wave or item.name not in measurements:
            continue
        columns = [LEADS.index(lead) for lead in item.leads]
        inside = np.where(masks[item.wave][..., None], maps[..., columns], 0.0).astype(np.float64)
        is_known = masks[item.wave].any(axis=1) & (total > 0)
        mass = np.abs(inside).sum(axis=(1, 2)) / np.where(is_known, total, np.nan)
        both = {"signed sum": np.where(is_known, inside.sum(axis=(1, 2)), np.nan), "share": mass}
        compared = {kind: within_fold(values, records) for kind, values in both.items()}
        of_patient = by_patient(pd.DataFrame(compared), patient_ids)
        for kind in both:
            found = associations(of_patient[kind], patients[[item.name]], settings=settings)
            where = {"of": kind, "wave": item.wave, "leads": " ".join(item.leads)}
            tables.append(found.assign(**where))
    table = pd.concat(tables, ignore_index=True)
    parts = [_q_values(part) for _, part in table.groupby("of")]
    return table.assign(q_value=pd.concat(parts)).drop(columns="adjusted_for")
