"""How much a patient's risk depends on which patients, or which seed, the model was fitted with.

Arrays only: the same functions serve bootstrap refits of the clinical model and seeds of a network.
Riley & Collins 2023 (doi 10.1002/bimj.202200302) define the measures of instability, Harrell et al.
1996 (doi 10.1002/(SICI)1097-0258(19960229)15:4<361::AID-SIM168>3.0.CO;2-4) the optimism.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from evaluation.arrays import as_outcome, as_risk
from evaluation.calibration import calibration_line_statistic
from evaluation.weighted import Statistic, auroc_statistic, brier_statistic


def patient_instability(
    original, refits, *, threshold: float | None = None, confidence: float = 0.95
) -> pd.DataFrame:
    """Return the spread of each patient's risk over refits.

    Parameters
    ----------
    original : array-like, shape (n_patients,)
        Risks by the model in question; for an ensemble of seeds their mean.
    refits : array-like, shape (n_patients, n_refits)
        Risks of the same patients by refitted models (bootstrap samples, seeds).
    threshold : float, optional
        Risk from which a patient is treated.
    confidence : float
        Share of the refits within `low` to `high`.

    Returns
    -------
    pandas.DataFrame
        `original, low, high, mape` (mean absolute difference to the original risk, in risk units)
        and, with a threshold, `changed`: the share of refits that decide otherwise.

    Raises
    ------
    ValueError
        If an array is malformed or the shapes do not belong together.

    Examples
    --------
    >>> table = patient_instability([0.25], [[0.125, 0.5]], threshold=0.3)
    >>> table[["mape", "changed"]].iloc[0].tolist()
    [0.1875, 0.5]
    """
    risk, drawn = _checked(original, refits)
    tail = (1 - confidence) / 2
    low, high = np.quantile(drawn, [tail, 1 - tail], axis=1)
    table = {"original": risk, "low": low, "high": high}
    table["mape"] = np.abs(drawn - risk[:, None]).mean(axis=1)
    if threshold is not None:
        is_treated = (risk >= threshold)[:, None]
        table["changed"] = ((drawn >= threshold) != is_treated).mean(axis=1)
    return pd.DataFrame(table)


def instability_summary(
    original, refits, y_true=None, *, threshold: float | None = None
) -> pd.DataFrame:
    """Return the instability of a model in a few numbers.

    Parameters
    ----------
    original, refits, threshold
        As for :func:`patient_instability`.
    y_true : array-like, shape (n_patients,), optional
        Outcomes, for the instability of calibration.

    Returns
    -------
    pandas.DataFrame
        `measure, value, low, high, n, n_refits`. Average MAPE with the 2.5 and 97.5 % quantile over
        patients; the classification instability index (mean share of refits that decide otherwise);
        the median width of the patients' 95 % ranges; the calibration slope of the refits in these
        patients with its 2.5 and 97.5 % quantile over refits. These are ranges, not confidence
        intervals.
    """
    risk, drawn = _checked(original, refits)
    patients = patient_instability(risk, drawn, threshold=threshold)
    width = patients["high"] - patients["low"]
    found = [
        ("average MAPE", patients["mape"].mean(), *_range(patients["mape"])),
        ("median width of the 95 % range", width.median(), *_range(width)),
    ]
    if threshold is not None:
        changed = patients["changed"]
        name = f"classification instability at {threshold:.3g}"
        found.append((name, changed.mean(), *_range(changed)))
    if y_true is not None:
        slopes = np.array([_slope(y_true, column) for column in drawn.T])
        known = slopes[np.isfinite(slopes)]
        if known.size:
            found.append(("calibration slope of a refit", np.median(known), *_range(known)))
    table = pd.DataFrame(found, columns=["measure", "value", "low", "high"])
    return table.assign(n=risk.size, n_refits=drawn.shape[1])


def optimism_table(y_true, original, refits, n_drawn) -> pd.DataFrame:
    """Return apparent and optimism-corrected AUROC, Brier score and calibration slope.

    Optimism is the mean over bootstrap samples of (performance of the refit in its own sample -
    performance of the refit in all patients); corrected = apparent - optimism.

    Parameters
    ----------
    y_true : array-like, shape (n_patients,)
        Outcomes.
    original : array-like, shape (n_patients,)
        Risks by the model fitted on all patients.
    refits : array-like, shape (n_patients, n_refits)
        Risks of all patients by the model of each bootstrap sample.
    n_drawn : array-like of int, shape (n_patients, n_refits)
        How often each sample holds each patient.

    Returns
    -------
    pandas.DataFrame
        `metric, apparent, optimism, corrected, n_refits`; refits where a metric is undefined (every
        patient has the same risk) are left out of it and `n_refits` counts the others.
    """
    risk, drawn = _checked(original, refits)
    outcome, counts = as_outcome(y_true), np.asarray(n_drawn).T
    everyone = np.ones((1, risk.size))
    factories = {
        "auroc": auroc_statistic,
        "brier": brier_statistic,
        "calibration_slope": _slope_statistic,
    }
    rows = []
    for metric, factory in factories.items():
        gaps = []
        for column, count in zip(drawn.T, counts, strict=True):
            statistic = factory(outcome, column)
            in_sample, in_all = statistic(np.vstack([count, everyone]))
            gaps.append(in_sample - in_all)
        gaps = np.array(gaps)[np.isfinite(gaps)]
        apparent = float(factory(outcome, risk)(everyone)[0])
        optimism = float(gaps.mean()) if gaps.size else float("nan")
        rows.append((metric, apparent, optimism, apparent - optimism, gaps.size))
    return pd.DataFrame(rows, columns=["metric", "apparent", "optimism", "corrected", "n_refits"])


def stability_table(tables: Mapping[str, pd.DataFrame], *, threshold: float) -> pd.DataFrame:
    """Return all that refitting tells of a model: instability, optimism, permutation.

    Parameters
    ----------
    tables : mapping of str to DataFrame
        `refits` (`patient_id, refit, n_drawn, y_true, y_score`) and `permutations`
        (`permutation, auroc`; 0 is the observed); either may be absent.
    threshold : float
        Risk at which a decision is made.

    Returns
    -------
    pandas.DataFrame
        `measure, value, low, high, n_refits`; ranges over patients or refits, not confidence
        intervals.
    """
    columns = ["measure", "value", "low", "high", "n_refits"]
    parts = [pd.DataFrame(columns=columns)]
    if "refits" in tables:
        arrays = refit_arrays(tables["refits"])
        drawn = (arrays["original"], arrays["refits"], arrays["y_true"])
        parts.append(instability_summary(*drawn, threshold=threshold))
        for row in optimism_table(**arrays).itertuples():
            values = {
                f"{row.metric}, apparent": row.apparent,
                f"{row.metric}, optimism": row.optimism,
                f"{row.metric}, corrected for optimism": row.corrected,
            }
            found = pd.DataFrame({"measure": list(values), "value": list(values.values())})
            parts.append(found.assign(n_refits=row.n_refits))
    if "permutations" in tables:
        drawn = tables["permutations"]["auroc"].to_numpy()
        p_value = permutation_p_value(drawn[0], drawn[1:])
        found = pd.DataFrame(
            {
                "measure": ["auroc with permuted outcomes", "p of the permutation, refitted"],
                "value": [float(np.nanmedian(drawn[1:])), p_value],
            }
        )
        found.loc[0, ["low", "high"]] = _range(drawn[1:][np.isfinite(drawn[1:])])
        parts.append(found.assign(n_refits=drawn.size - 1))
    kept = [part.reindex(columns=columns) for part in parts if len(part)]
    return pd.concat(kept, ignore_index=True) if kept else parts[0]


def permutation_p_value(observed: float, permuted) -> float:
    """Return (1 + number of permuted values at or above the observed) / (1 + number of them).

    One-sided; the observed deal is one of the possible ones (Phipson & Smyth 2010, doi
    10.2202/1544-6115.1585).

    Examples
    --------
    >>> permutation_p_value(0.7, [0.5, 0.6, 0.8])
    0.5
    """
    values = np.asarray(permuted, dtype=np.float64)
    # Equal AUROCs may differ by rounding.
    return float((1 + (values >= observed - 1e-12).sum()) / (1 + values.size))


def refit_arrays(refits: pd.DataFrame) -> dict[str, np.ndarray]:
    """Return `y_true, original, refits, n_drawn` from the long table of the clinical refits.

    Parameters
    ----------
    refits : pandas.DataFrame
        `patient_id, refit, n_drawn, y_true, y_score`; refit 0 is the original.
    """
    wide = refits.pivot(index="patient_id", columns="refit")
    scores, counts = wide["y_score"].to_numpy(), wide["n_drawn"].to_numpy()
    return {
        "y_true": wide["y_true"].to_numpy()[:, 0],
        "original": scores[:, 0],
        "refits": scores[:, 1:],
        "n_drawn": counts[:, 1:],
    }


def _checked(original, refits) -> tuple[np.ndarray, np.ndarray]:
    risk = as_risk(original, n_rows=len(original), name="original")
    drawn = np.asarray(refits, dtype=np.float64)
    if drawn.ndim != 2 or len(drawn) != risk.size or not drawn.shape[1]:
        raise ValueError(
            f"refits must have one row for each of the {risk.size} patients and a column a refit, "
            f"got shape {drawn.shape}. Score the same patients with every refit."
        )
    if not ((drawn >= 0) & (drawn <= 1)).all():
        raise ValueError(
            "refits must be between 0 and 1, got values outside or missing. Pass risks, not logits."
        )
    return risk, drawn


def _slope_statistic(y_true, y_score) -> Statistic:
    if np.ptp(y_score) < 1e-9:  # the LASSO left everything out: no slope
        return lambda weights: np.full(len(weights), np.nan)
    lines = calibration_line_statistic(y_true, y_score)
    return lambda weights: lines(weights)[:, 1]


def _slope(y_true, y_score) -> float:
    return float(_slope_statistic(y_true, y_score)(np.ones((1, len(y_score))))[0])


def _range(values) -> tuple[float, float]:
    low, high = np.quantile(values, [0.025, 0.975])
    return float(low), float(high)
