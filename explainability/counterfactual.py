"""What would the network's risk be with another P, QRS, ST or T: a question to the network.

The answer says how the network uses a wave. It does not say that the patient's risk would change,
and it means little where the altered ECG is unlike anything the network has seen.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.special import expit

from explainability.concepts import TAILS, AssociationSettings
from explainability.explained import RISK, Explained
from explainability.model_access import ECG_INPUT, Inputs
from explainability.neighbours import FeatureSpace
from explainability.record_beats import RecordBeats
from explainability.wave_replacement import (
    LEAD_GROUPS,
    REPLACEABLE,
    ReferenceWaves,
    replace_wave,
)

__all__ = ["FoldNetwork", "change_table", "describe_change", "score_replacements"]

ABOUT = "This is a statement about the network, not about the disease."


@dataclass(frozen=True)
class FoldNetwork:
    """What one fold's network is asked for.

    Attributes
    ----------
    logits : callable
        From inputs (``ecg`` in mV, perhaps ``covariates``) to logits (n_records,).
    features : callable
        From ECGs (n_records, n_samples, 12) to pooled features (n_records, n_features).
    space : FeatureSpace
        The fold's training ECGs in these features.
    reference : ReferenceWaves
        Mean waves of the fold's training patients without the event.
    told : callable
        From logits to what a reader is told: a risk, or a number in its unit.
    """

    logits: Callable[[Inputs], np.ndarray]
    features: Callable[[np.ndarray], np.ndarray]
    space: FeatureSpace
    reference: ReferenceWaves
    told: Callable[[np.ndarray], np.ndarray] = expit


def score_replacements(
    records: pd.DataFrame, inputs: Inputs, beats: RecordBeats, network: FoldNetwork
) -> pd.DataFrame:
    """Return the network's logit and risk with every wave replaced in every group of leads.

    Parameters
    ----------
    records : DataFrame, n_records rows
        ``record_id, patient_id`` of held-out ECGs.
    inputs : mapping of str to array
        ``ecg`` (n_records, n_samples, 12) in mV and, for two-input networks, ``covariates``.
    beats : RecordBeats
        Of the same records.
    network : FoldNetwork
        Of the fold that held them out.

    Returns
    -------
    DataFrame
        One row a record, ``wave`` and ``leads``: ``logit, logit_after, risk, risk_after,
        is_replaced, is_outside_training_range, was_outside_training_range``. ``risk`` is what
        `FoldNetwork.told` makes of the logit: of a number, the number. Values after are NaN where
        the wave was not found in the record. ``was`` tells of the ECG as it is.
    """
    before = network.logits(inputs)
    was_outside = network.space.is_outside(network.features(inputs[ECG_INPUT]))
    parts = []
    n_groups = len(LEAD_GROUPS)
    repeated = {name: np.concatenate([values] * n_groups) for name, values in inputs.items()}
    for wave in REPLACEABLE:
        changed = [
            replace_wave(inputs[ECG_INPUT], beats, network.reference, wave=wave, leads=leads)
            for leads in LEAD_GROUPS.values()
        ]
        together = np.concatenate([altered for altered, _ in changed])  # few large batches
        after = np.split(network.logits({**repeated, ECG_INPUT: together}), n_groups)
        outside = np.split(network.space.is_outside(network.features(together)), n_groups)
        for place, group in enumerate(LEAD_GROUPS):
            is_replaced = changed[place][1]
            logit_after = np.where(is_replaced, after[place], np.nan)
            values = {
                "wave": wave,
                "leads": group,
                "logit": before,
                "logit_after": logit_after,
                "risk": network.told(before),
                "risk_after": network.told(logit_after),
                "is_replaced": is_replaced,
                "is_outside_training_range": outside[place] & is_replaced,
                "was_outside_training_range": was_outside,
            }
            names = records[["record_id", "patient_id"]].reset_index(drop=True)
            parts.append(names.assign(**values))
    return pd.concat(parts, ignore_index=True)


def describe_change(row: pd.Series, explained: Explained = RISK) -> str:
    """Say in one sentence what a replacement does to one record's risk, or number.

    Parameters
    ----------
    row : Series
        A row of `score_replacements`.
    explained : Explained
        What the score is.
    """
    what = "ST segment and T wave" if row["wave"] == "ST and T" else row["wave"]
    what = f"{what} wave" if row["wave"] in ("P", "T") else what
    what = "ST segment" if row["wave"] == "ST" else what
    where = f"in {row['leads']}"
    if not row["is_replaced"]:
        return f"{row['record_id']}: the {what} could not be replaced, it was not found."
    before, after = (explained.value(row[name]) for name in ("risk", "risk_after"))
    text = (
        f"{row['record_id']}: with the mean {what} of training patients {explained.without} "
        f"{where}, the network's {explained.told} would be {after} instead of {before}. {ABOUT}"
    )
    if row["is_outside_training_range"]:
        text += " The altered ECG is unlike the training ECGs: do not rely on the figure."
    return text


def change_table(
    replacements: pd.DataFrame, *, settings: AssociationSettings | None = None
) -> pd.DataFrame:
    """Return the mean change by wave and group of leads, over patients.

    Parameters
    ----------
    replacements : DataFrame
        Of `score_replacements`, of any number of folds.
    settings : AssociationSettings, optional
        Resamples and seed.

    Returns
    -------
    DataFrame
        ``wave, leads, change_logit, ci_low, ci_high, size_logit, size_low, size_high,
        change_risk_percent_points, n_patients, n_not_replaced, n_outside_training_range,
        n_outside_before, method``. The change tells of the direction, the size (mean absolute
        change) how much the network uses the part, whatever the direction. Intervals: percentile
        bootstrap of patients, conditional on the networks.
    """
    settings = settings or AssociationSettings()
    used = replacements.assign(
        change=replacements["logit_after"] - replacements["logit"],
        risk_change=100 * (replacements["risk_after"] - replacements["risk"]),
    )
    used["size"] = used["change"].abs()
    rows = []
    for (wave, leads), part in used.groupby(["wave", "leads"], sort=False):
        columns = part.groupby("patient_id")[["change", "size", "risk_change"]].mean().dropna()
        low, high = _intervals(columns.to_numpy(), settings)
        means = columns.mean()
        rows.append(
            {
                "wave": wave,
                "leads": leads,
                "change_logit": means["change"],
                "ci_low": low[0],
                "ci_high": high[0],
                "size_logit": means["size"],
                "size_low": low[1],
                "size_high": high[1],
                "change_risk_percent_points": means["risk_change"],
                "n_patients": len(columns),
                "n_not_replaced": int((~part["is_replaced"]).sum()),
                "n_outside_training_range": int(part["is_outside_training_range"].sum()),
                "n_outside_before": int(part["was_outside_training_range"].sum()),
                "method": f"bootstrap of patients, percentile, {settings.n_bootstrap} resamples",
            }
        )
    return pd.DataFrame(rows)


def _intervals(values: np.ndarray, settings: AssociationSettings) -> tuple[np.ndarray, np.ndarray]:
    """Return 95 % intervals of the means of columns (n_patients, k); NaN below two patients."""
    n = len(values)
    if n < 2:
        nothing = np.full(values.shape[1], np.nan)
        return nothing, nothing
    rng = np.random.default_rng(settings.seed)
    drawn = rng.multinomial(n, np.full(n, 1 / n), size=settings.n_bootstrap)
    low, high = np.quantile(drawn @ values / n, TAILS, axis=0)
    return low, high
