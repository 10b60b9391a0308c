"""A cohort while its rules are applied: who is left after each step, and why the others are not."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pandas as pd

ELIGIBLE, COUNTED = "eligible", "with ECGs that count"  # stages of the flow
STATUS_KNOWN = "status at the horizon known"  # the last step; the others stay, without an outcome


@dataclass
class Selection:
    """The patients and ECGs that meet the rules, before any ECG was opened.

    Parameters
    ----------
    patients
        ``patient_id``, covariates, descriptive columns, ``outcome`` (Int8) and, where follow-up is
        known, the columns of ``define_outcome``.
    records_to_read
        ``record_id, patient_id, recorded_at, table_row, path, record``; for ``prepare_signals``.
        With dates ``days_from_index``, and where declared ``device_at_ecg`` and ``is_paced``.
    flow
        One dict a step: ``step, n_patients, n_records, n_events`` (left after it; events within the
        horizon), ``n_missing`` (kept although the rule found no value), ``reason``, ``note`` (what
        to check), ``stage`` (of several steps that a figure shows as one).
    most_ecgs, ecg_order
        The ECGs of a patient that count, chosen by ``finish_cohort`` among those that are readable.
    horizon_days
        Of the outcome; 0 where the cohort has no dates.
    """

    patients: pd.DataFrame
    records_to_read: pd.DataFrame
    flow: list[dict[str, Any]] = field(default_factory=list)
    most_ecgs: int = 0
    ecg_order: str = "nearest"
    horizon_days: int = 0

    def note(self, step: str, reason: str, **more: Any) -> None:
        """Append the present counts to the flow; ``more`` are ``n_missing`` and ``stage``."""
        self.flow.append(flow_step(step, self.patients, self.records_to_read, reason) | more)

    def keep_patients(self, is_kept: pd.Series, step: str, reason: str, **more: Any) -> None:
        """Keep some patients with their ECGs, and count."""
        self.patients = self.patients[is_kept.to_numpy(dtype=bool)].reset_index(drop=True)
        known = self.records_to_read["patient_id"].isin(self.patients["patient_id"])
        self.records_to_read = self.records_to_read[known].reset_index(drop=True)
        self.note(step, reason, **more)

    def keep_records(self, is_kept: pd.Series, step: str, reason: str, **more: Any) -> None:
        """Keep some ECGs, and count."""
        kept = self.records_to_read[is_kept.to_numpy(dtype=bool)]
        self.records_to_read = kept.reset_index(drop=True)
        self.note(step, reason, **more)


def flow_step(
    step: str, patients: pd.DataFrame, records: pd.DataFrame, reason: str
) -> dict[str, Any]:
    """Return one row of the flow: what is left after a step, and why."""
    return {
        "step": step,
        "n_patients": len(patients),
        "n_records": len(records),
        "n_events": int((patients["outcome"] == 1).sum()),
        "n_missing": 0,
        "reason": reason,
        "note": "",
        "stage": "",
    }
