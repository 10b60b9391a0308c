"""Who is in the study, which ECGs count, and what the outcome is; with every exclusion counted.

Binary outcome at a horizon of h days after the index date (the cumulative-incidence definition):

* 1 if the event of interest came at or before h;
* 0 if the patient was followed event-free to h, or died of another cause before h: the
  arrhythmia can no longer come, so it did not come;
* unknown if follow-up ended before h without either: excluded and counted, never a negative.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from data_processing.cohort import Cohort
from data_processing.duplicates import resolve_duplicates
from data_processing.leakage import check_covariate_dates, check_records_before_event
from data_processing.signal_store import SIGNALS_FILE, keep_rows

__all__ = ["Selection", "finish_cohort", "select_cohort"]


@dataclass
class Selection:
    """The patients and ECGs that meet the rules, before any ECG was opened.

    Parameters
    ----------
    patients
        ``patient_id``, covariates, descriptive columns, ``outcome`` (Int8) and, where follow-up is
        known, ``event`` (0 censored, 1 event, 2 competing death) and ``duration_days``.
    records_to_read
        ``record_id, patient_id, recorded_at, table_row, path, record``; for ``prepare_signals``.
    flow
        One dict a step: ``step, n_patients, n_records`` (left after it), ``reason``.
    """

    patients: pd.DataFrame
    records_to_read: pd.DataFrame
    flow: list[dict[str, Any]] = field(default_factory=list)

    def note(self, step: str, reason: str) -> None:
        """Append the present counts to the flow."""
        self.flow.append(flow_step(step, self.patients, self.records_to_read, reason))

    def keep_patients(self, is_kept: pd.Series, step: str, reason: str) -> None:
        """Keep some patients with their ECGs, and count."""
        self.patients = self.patients[is_kept.to_numpy(dtype=bool)].reset_index(drop=True)
        known = self.records_to_read["patient_id"].isin(self.patients["patient_id"])
        self.records_to_read = self.records_to_read[known].reset_index(drop=True)
        self.note(step, reason)

    def keep_records(self, is_kept: pd.Series, step: str, reason: str) -> None:
        """Keep some ECGs, and count."""
        kept = self.records_to_read[is_kept.to_numpy(dtype=bool)]
        self.records_to_read = kept.reset_index(drop=True)
        self.note(step, reason)


def flow_step(
    step: str, patients: pd.DataFrame, records: pd.DataFrame, reason: str
) -> dict[str, Any]:
    """Return one row of the flow: what is left after a step, and why."""
    return {
        "step": step,
        "n_patients": len(patients),
        "n_records": len(records),
        "reason": reason,
    }


def select_cohort(
    cohort: Cohort,
    *,
    horizon_days: int = 1095,
    baseline_window_days: int = 365,
    ecgs_after_event: str = "stop",
) -> Selection:
    """Apply the rules of selection to a cohort and define the outcome.

    Parameters
    ----------
    cohort
        As read.
    horizon_days
        Horizon of the outcome after the index date; without meaning where the cohort has an
        outcome column instead of dates.
    baseline_window_days
        ECGs from so many days before the index date up to that day count.
    ecgs_after_event
        ``stop`` or ``drop`` ECGs recorded on or after the day of the event.

    Returns
    -------
    Selection

    Raises
    ------
    LeakageError
        If an ECG follows the event (and ``ecgs_after_event`` is ``stop``), or covariates were
        collected after the index date.
    ValueError
        If a parameter is out of range or nobody is left.
    """
    for name, value, low in (
        ("horizon_days", horizon_days, 1),
        ("baseline_window_days", baseline_window_days, 0),
    ):
        if cohort.definition.has_dates and value < low:
            raise ValueError(f"{name} must be at least {low}, got {value}. Give it in days.")
    if ecgs_after_event not in ("stop", "drop"):
        raise ValueError(
            f"ecgs_after_event must be stop or drop, got {ecgs_after_event!r}. Choose one."
        )
    selection = Selection(cohort.patients.copy(), cohort.records.copy())
    selection.note("read", f"rows of {' and '.join(cohort.definition.source_files)}")
    if cohort.definition.has_dates:
        _apply_dates(selection, baseline_window_days, ecgs_after_event)
    has_ecg = selection.patients["patient_id"].isin(selection.records_to_read["patient_id"])
    selection.keep_patients(has_ecg, "with an ECG", "no ECG left that counts")
    if cohort.definition.has_dates:
        _define_outcome(selection, cohort, horizon_days)
    else:
        known = selection.patients["outcome"].notna()
        selection.keep_patients(known, "outcome known", "outcome uncertain or not stated")
    if selection.patients.empty:
        raise ValueError(
            "cohort must keep at least one patient, got none after the rules of selection. Last "
            f"step: {selection.flow[-1]['step']}. Check dates, horizon and baseline window."
        )
    private = ["table_row", "index_date", "covariates_date", "event_type", "event_date"]
    private += ["last_contact_date"]
    selection.patients = selection.patients.drop(columns=private, errors="ignore")
    return selection


def _apply_dates(selection: Selection, baseline_window_days: int, ecgs_after_event: str) -> None:
    """Remove prior events and ECGs outside the baseline window; stop at leaks."""
    patients = selection.patients
    check_covariate_dates(patients)
    prior = patients["event_date"].dt.normalize() <= patients["index_date"].dt.normalize()
    reason = "event on or before the index date"
    selection.keep_patients(~prior, "event-free at index", reason)
    dates = selection.patients.set_index("patient_id")
    if ecgs_after_event == "stop":
        check_records_before_event(selection.records_to_read, selection.patients)
    else:
        event_day = selection.records_to_read["patient_id"].map(dates["event_date"]).dt.normalize()
        is_before = ~(selection.records_to_read["recorded_at"] >= event_day)
        selection.keep_records(is_before, "ECG before the event", "ECG on or after the event")
    dated = selection.records_to_read["recorded_at"].notna()
    selection.keep_records(dated, "ECG dated", "no recording date")
    records = selection.records_to_read
    index_day = records["patient_id"].map(dates["index_date"]).dt.normalize()
    days_before = (index_day - records["recorded_at"].dt.normalize()).dt.days
    selection.keep_records(days_before >= 0, "ECG up to index", "ECG after the index date")
    days_before = days_before[days_before >= 0]
    reason = f"ECG more than {baseline_window_days} days before the index date"
    is_inside = days_before <= baseline_window_days
    selection.keep_records(is_inside, "ECG in the baseline window", reason)


def _define_outcome(selection: Selection, cohort: Cohort, horizon_days: int) -> None:
    """Add event, duration and outcome; exclude who was censored before the horizon."""
    patients = selection.patients
    is_event = patients["event_type"].isin(cohort.definition.event_types).to_numpy()
    is_competing = patients["event_type"].isin(cohort.definition.competing_types).to_numpy()
    event = np.where(is_event, 1, np.where(is_competing, 2, 0)).astype(np.int8)
    end = patients["event_date"].where(event > 0, patients["last_contact_date"])
    start = patients["index_date"].dt.normalize()
    duration = (end.dt.normalize() - start).dt.days.to_numpy(dtype=np.float64)
    outcome = np.where((event == 1) & (duration <= horizon_days), 1, 0)
    is_unknown = (event == 0) & (duration < horizon_days)
    patients = patients.assign(event=event, duration_days=duration)
    patients["outcome"] = pd.array(outcome, dtype="Int8")
    patients.loc[is_unknown, "outcome"] = pd.NA
    selection.patients = patients
    selection.keep_patients(
        patients["outcome"].notna(),
        "outcome known",
        f"follow-up ended before {horizon_days} days without an event",
    )


def finish_cohort(
    selection: Selection,
    records: pd.DataFrame,
    directory: str | Path,
    *,
    rate_hz: float,
    duplicates: str = "stop",
) -> tuple[pd.DataFrame, pd.DataFrame, list[dict[str, Any]]]:
    """Close the cohort once the ECGs were read: refused files, duplicates, patients left over.

    Parameters
    ----------
    selection
        Of ``select_cohort``.
    records
        Of ``prepare_signals``.
    directory
        Holds ``signals.npy``; rows of removed records are taken out of it.
    rate_hz
        Rate of the prepared signals.
    duplicates
        ``stop``, ``merge`` or ``drop`` recordings filed under two patients; see
        ``resolve_duplicates``.

    Returns
    -------
    patients, records, flow
        The final tables; ``signal_row`` counts the rows of the store from 0.

    Raises
    ------
    LeakageError
        If there are duplicates and they are to stop the run, or merged patients contradict one
        another.
    """
    directory = Path(directory)
    flow = list(selection.flow)
    patients = selection.patients
    flow.append(flow_step("ECG readable", patients, records, "file refused, see rejected.csv"))
    signals = np.load(directory / SIGNALS_FILE, mmap_mode="r")
    patients, kept, reason = resolve_duplicates(
        patients, records, signals, rate_hz=rate_hz, policy=duplicates
    )
    if len(kept) < len(records):
        flow.append(flow_step("no duplicates", patients, kept, reason))
    is_left = patients["patient_id"].isin(kept["patient_id"])
    patients = patients[is_left].reset_index(drop=True)
    flow.append(flow_step("analysed", patients, kept, "no readable ECG left"))
    del signals  # Windows cannot replace a mapped file
    return patients, keep_rows(directory, kept), flow
