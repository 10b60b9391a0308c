"""What the ECG and what the covariates give to the logit, patient by patient.

With a patient's own ECG and the covariates of background patients the network gives a mean logit:
that is the ECG's part. The Shapley values of the patient's own covariates add up to the rest. What
both give *to everybody* depends on the background and says little; what differs between patients
does not: the variance of the logit is shared out.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

INPUTS = ("ecg", "covariates")


def input_contributions(shap: pd.DataFrame, records: pd.DataFrame) -> pd.DataFrame:
    """Return the contributions of the two inputs to each patient's logit.

    Parameters
    ----------
    shap : DataFrame
        Of `shap_values.explain_covariates`: ``record_id, patient_id, base_value, shap_logit``. A
        patient's records are averaged.
    records : DataFrame
        ``record_id, repeat, fold``: which network explained a record.

    Returns
    -------
    DataFrame
        ``patient_id, ecg_logit, covariates_logit, ecg_share_percent, n_records``: against the mean
        patient of the same network, so both columns have the mean 0 in every fold. A fold of one
        patient is left out. The share is |ecg| / (|ecg| + |covariates|), NaN where both are 0.
        What ECG and covariates do together only counts as the covariates'.

    Notes
    -----
    Networks of different folds have different offsets, which are no difference between patients.
    """
    by_record = shap.groupby(["patient_id", "record_id"], sort=False).agg(
        ecg_logit=("base_value", "first"), covariates_logit=("shap_logit", "sum")
    )
    of_network = records.set_index("record_id")[["repeat", "fold"]]
    keys = ["repeat", "fold", "patient_id"]
    grouped = by_record.reset_index().join(of_network, on="record_id").groupby(keys, sort=False)
    means = grouped[["ecg_logit", "covariates_logit"]].mean()
    networks = means.groupby(["repeat", "fold"])
    means = (means - networks.transform("mean"))[networks["ecg_logit"].transform("size") > 1]
    size = means.abs()
    total = size.sum(axis=1)
    means["ecg_share_percent"] = (100 * size["ecg_logit"] / total).where(total > 0)
    found = means.assign(n_records=grouped.size()).reset_index()
    return found.drop(columns=["repeat", "fold"])


def is_divisible(contributions: pd.DataFrame) -> bool:
    """Return whether three patients or more are there, with different logits."""
    total = contributions[[f"{name}_logit" for name in INPUTS]].sum(axis=1).to_numpy()
    return len(total) >= 3 and np.ptp(total) > 0


def variance_shares(
    contributions: pd.DataFrame, *, n_resamples: int = 2000, seed: int = 0
) -> pd.DataFrame:
    """Return how the variance of the logit between patients divides between the inputs.

    Parameters
    ----------
    contributions : DataFrame
        From `input_contributions`, see `is_divisible`.
    n_resamples, seed
        Of the bootstrap over patients (percentile, 95 %).

    Returns
    -------
    DataFrame
        ``input, share_percent, ci_low, ci_high, n_patients``; the shares add to 100. A negative
        share means that the input works against the other.

    Raises
    ------
    ValueError
        If there are fewer than three patients or the logit is the same for all.

    Notes
    -----
    100 cov(x_i, x_1 + x_2) / var(x_1 + x_2), the covariance decomposition of a sum (Shorrocks
    1982, doi 10.2307/1912634).
    """
    values = contributions[[f"{name}_logit" for name in INPUTS]].to_numpy(dtype=np.float64)
    n_patients = len(values)
    if not is_divisible(contributions):
        raise ValueError(
            f"contributions must hold three patients or more with different logits, got "
            f"{n_patients}. Explain more patients."
        )
    rng = np.random.default_rng(seed)
    drawn = rng.multinomial(n_patients, np.full(n_patients, 1 / n_patients), size=n_resamples)
    weights = np.vstack([np.ones(n_patients), drawn]) / n_patients
    total = values.sum(axis=1)
    mean_total = weights @ total
    variance = weights @ total**2 - mean_total**2
    covariance = weights @ (values * total[:, None]) - (weights @ values) * mean_total[:, None]
    shares = np.full(covariance.shape, np.nan)
    np.divide(100 * covariance, variance[:, None], out=shares, where=variance[:, None] > 1e-12)
    low, high = np.nanquantile(shares[1:], [0.025, 0.975], axis=0)
    return pd.DataFrame(
        {
            "input": INPUTS,
            "share_percent": shares[0],
            "ci_low": low,
            "ci_high": high,
            "n_patients": n_patients,
        }
    )
