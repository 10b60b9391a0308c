"""What the ECG and what the covariates give to the logit, patient by patient.

Integrated gradients share out the change of the logit from the baseline (a flat ECG, covariates at
their own baseline) among all inputs. How much the ECG gives *to everybody* depends on that baseline
and says little. What differs between patients does not: the variance of the logit is shared out.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

INPUTS = ("ecg", "covariates")


def input_contributions(
    ecg_map: np.ndarray, attribution_sum: np.ndarray, patient_ids: Sequence[str] | np.ndarray
) -> pd.DataFrame:
    """Return the contributions of the two inputs to each patient's logit.

    Parameters
    ----------
    ecg_map : array of shape (n_records, n_samples, n_leads)
        Integrated gradients of the ECG, in logits.
    attribution_sum : array of shape (n_records,)
        Sum over both inputs, from the table of `integrated_gradients`.
    patient_ids : sequence of str, shape (n_records,)
        A patient's records are averaged.

    Returns
    -------
    DataFrame
        ``patient_id, ecg_logit, covariates_logit, ecg_share_percent, n_records``: against the mean
        patient of the table, so both columns have the mean 0. The share is |ecg| / (|ecg| +
        |covariates|), NaN where both are 0.

    Raises
    ------
    ValueError
        If lengths differ.
    """
    if not len(ecg_map) == len(attribution_sum) == len(patient_ids):
        raise ValueError(
            f"ecg_map, attribution_sum and patient_ids must hold the same records, got "
            f"{len(ecg_map)}, {len(attribution_sum)} and {len(patient_ids)}. Select the same rows."
        )
    ecg = np.asarray(ecg_map).sum(axis=(1, 2), dtype=np.float64)
    frame = pd.DataFrame(
        {
            "patient_id": np.asarray(patient_ids),
            "ecg_logit": ecg,
            "covariates_logit": np.asarray(attribution_sum, dtype=np.float64) - ecg,
        }
    )
    grouped = frame.groupby("patient_id", sort=False)
    means = grouped.mean() - grouped.mean().mean()
    size = means.abs()
    total = size.sum(axis=1)
    means["ecg_share_percent"] = (100 * size["ecg_logit"] / total).where(total > 0)
    return means.assign(n_records=grouped.size()).reset_index()


def variance_shares(
    contributions: pd.DataFrame, *, n_resamples: int = 2000, seed: int = 0
) -> pd.DataFrame:
    """Return how the variance of the logit between patients divides between the inputs.

    Parameters
    ----------
    contributions : DataFrame
        From `input_contributions`, three patients or more.
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
    if n_patients < 3 or not np.ptp(values.sum(axis=1)) > 0:
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
