"""The facts of a prepared cohort, stated once: the content of ``dataset.json``."""

from __future__ import annotations

from typing import Any

import pandas as pd

from data_processing.chain import SignalChain
from data_processing.cohort_definition import CohortDefinition
from data_processing.leads import LEADS
from data_processing.outcome import count_components, count_same_day


def describe_dataset(
    definition: CohortDefinition,
    patients: pd.DataFrame,
    records: pd.DataFrame,
    chain: SignalChain,
    *,
    horizon_days: int,
    landmark_days: int = 0,
    protocol: str,
    n_folds: int,
    **more: Any,
) -> dict[str, Any]:
    """Return the facts later notebooks and the report read instead of declaring them again.

    Parameters
    ----------
    definition
        What the cohort's columns mean.
    patients, records
        The final tables. Patients, ECGs and events are counted where the outcome is known, the
        patients whose status at the horizon is not apart.
    chain
        Filter, rate and length of the prepared ECGs.
    horizon_days, landmark_days
        Of the outcome; 0 is written where the cohort has no dates.
    protocol, n_folds
        Of the split.
    **more
        Further facts, kept as they are.
    """
    known = patients[patients["outcome"].notna()]
    horizon, landmark = (horizon_days, landmark_days) if definition.has_dates else (0, 0)
    label = definition.target_label or definition.target
    if horizon:
        label += f" within {horizon} days"
    if landmark:
        label += f" of a landmark {landmark} days after the index date"
    split = {
        "cross_validation": f"Every patient is scored out of fold ({n_folds} folds by patient).",
        "leave_one_site_out": "Every patient is scored by a model that saw nobody of that site.",
        "hold_out": "One hold-out of patients is scored; one split cannot carry a claim.",
    }[protocol]
    return {
        "cohort": definition.name,
        "title": definition.title,
        "is_synthetic": definition.is_synthetic,
        "licence": definition.licence or "the owner's",
        "citation": definition.citation or "not published",
        "contains": list(definition.contains),
        "target": definition.target,
        "target_label": label,
        "horizon_days": horizon,
        "landmark_days": landmark,
        "components": count_components(patients, definition, horizon),
        "n_first_events_same_day": count_same_day(patients, definition),
        "exclusions": [f"{rule.label}: {rule.in_words()}" for rule in definition.exclusions],
        "protocol": protocol,
        "protocol_label": split,
        "description": (
            f"ECGs: leads {', '.join(LEADS)} in millivolts, {chain.duration_seconds:g} s at "
            f"{chain.rate_hz:g} Hz, {_filter_words(chain)}. {_ecgs_a_patient(records)}"
        ),
        "leads": list(LEADS),
        "rate_hz": chain.rate_hz,
        "n_samples": chain.n_samples,
        "signal_chain": chain.to_dict(),
        "covariates": list(definition.covariates),
        "n_patients": len(known),
        "n_unknown_at_horizon": len(patients) - len(known),
        "n_records": int(records["patient_id"].isin(known["patient_id"]).sum()),
        "n_events": int(patients["outcome"].sum()),
        **more,
    }


def _filter_words(chain: SignalChain) -> str:
    """Return the filter in words."""
    edges = [
        f"{name} {value:g} Hz"
        for name, value in (("high-pass", chain.low_cut_hz), ("low-pass", chain.high_cut_hz))
        if value
    ]
    return f"zero-phase {' and '.join(edges)}" if edges else "unfiltered"


def _ecgs_a_patient(records: pd.DataFrame) -> str:
    """Return how many ECGs the patients have."""
    counts = records["patient_id"].value_counts()
    return f"{counts.min()} to {counts.max()} ECGs a patient, median {counts.median():g}."
