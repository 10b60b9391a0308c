"""Who is in the study and which ECGs count; with every exclusion counted.

Time zero is the index date, or a landmark some days after it where ECGs recorded shortly after the
index date are to count: an ECG after time zero would tell that the patient lived to have it. So
with a landmark event, horizon and follow-up count from it, and who had an event or left before it
is left out (Anderson et al. 1983, doi:10.1200/JCO.1983.1.11.710).

Who was lost to follow-up before the horizon without an event stays, with the outcome missing: never
a negative, never trained on, but scored and counted in the time to event. Leaving such patients out
of that would bias it, since those who are followed long enough are not those who were enrolled.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from data_processing.cohort import Cohort
from data_processing.cohort_flow import COUNTED, ELIGIBLE, STATUS_KNOWN, Selection, flow_step
from data_processing.duplicates import resolve_duplicates
from data_processing.ecg_rules import ECG_ORDERS, choose_ecgs, keep_timely_ecgs, remove_devices
from data_processing.exclusions import doubtful
from data_processing.leakage import check_covariate_dates, check_records_before_event
from data_processing.outcome import define_outcome
from data_processing.signal_store import SIGNALS_FILE, keep_rows

__all__ = ["Selection", "finish_cohort", "select_cohort"]

_PRIVATE = ("table_row", "index_date", "covariates_date", "event_type", "event_date", "time_zero")
_PRIVATE = (*_PRIVATE, "last_contact_date", "prior_event")
_PRIVATE_PREFIXES = ("date_of_", "device_", "rule_")
_OF_ECGS = ("days_from_index", "device_at_ecg", "is_paced")


def select_cohort(
    cohort: Cohort,
    *,
    horizon_days: int = 1095,
    baseline_window_days: int = 365,
    landmark_days: int = 0,
    ecgs_after_event: str = "stop",
    ecg_choice: tuple[int, str] = (0, "nearest"),
) -> Selection:
    """Apply the rules of selection to a cohort and define the outcome.

    Parameters
    ----------
    cohort
        As read.
    horizon_days
        Horizon of the outcome after time zero; without meaning where the cohort has an outcome
        column instead of dates, like the next two.
    baseline_window_days
        ECGs from so many days before the index date up to time zero count.
    landmark_days
        Time zero is so many days after the index date.
    ecgs_after_event
        ``stop`` or ``drop`` ECGs recorded on or after the day of the event.
    ecg_choice
        At most so many ECGs of a patient count (0: all), and which: ``nearest`` to the index date,
        ``first`` or ``last``. They are chosen once it is known which are readable.

    Returns
    -------
    Selection

    Raises
    ------
    LeakageError
        If an ECG follows the event (and ``ecgs_after_event`` is ``stop``), or covariates were
        collected after time zero.
    ValueError
        If a parameter is out of range or nobody is left.
    """
    most_ecgs, ecg_order = ecg_choice
    limits = {"most_ecgs": (most_ecgs, 0)}
    if cohort.definition.has_dates:
        limits |= {"horizon_days": (horizon_days, 1), "landmark_days": (landmark_days, 0)}
        limits |= {"baseline_window_days": (baseline_window_days, 0)}
    _check_parameters(cohort, limits, ecgs_after_event, ecg_order)
    patients = cohort.patients.copy()
    if cohort.definition.has_dates:
        days = {"horizon_days": horizon_days, "landmark_days": landmark_days}
        patients = define_outcome(patients, cohort.definition, **days)
    selection = Selection(patients, cohort.records.copy(), list(cohort.flow), most_ecgs, ecg_order)
    selection.note("read", f"rows of {' and '.join(cohort.definition.source_files)}")
    _apply_exclusions(selection, cohort)
    if cohort.definition.has_dates:
        _remove_prior_events(selection, landmark_days)
        _stop_at_leaks(selection, ecgs_after_event)
        keep_timely_ecgs(selection, cohort.definition, baseline_window_days)
    remove_devices(selection, cohort.definition)
    has_ecg = selection.patients["patient_id"].isin(selection.records_to_read["patient_id"])
    selection.keep_patients(has_ecg, "with an ECG", "no ECG left that counts", stage=COUNTED)
    if cohort.definition.has_dates:
        selection.horizon_days = horizon_days
        _keep_followed(selection)
    else:
        is_known = selection.patients["outcome"].notna()
        selection.keep_patients(is_known, "outcome known", "outcome uncertain or not stated")
    if not selection.patients["outcome"].notna().any():
        raise ValueError(
            "cohort must keep at least one patient with a known outcome, got none after the rules "
            f"of selection. Last step: {selection.flow[-1]['step']}. Check rules, dates, horizon "
            "and baseline window."
        )
    selection.patients = selection.patients[_shown(selection.patients)]
    selection.records_to_read = selection.records_to_read[_shown(selection.records_to_read, ())]
    return selection


def _keep_followed(selection: Selection) -> None:
    """Leave out who has no follow-up; say how many have an unknown status at the horizon."""
    is_followed = selection.patients["duration_days"] > 0
    selection.keep_patients(is_followed, "followed after time zero", "no follow-up after time zero")
    n_unknown = int(selection.patients["outcome"].isna().sum())
    if n_unknown:
        selection.flow[-1]["note"] = (
            f"{n_unknown} lost before {selection.horizon_days} days without an event: status "
            "unknown, kept for the time to event only"
        )


def _check_parameters(
    cohort: Cohort, limits: dict[str, tuple[int, int]], ecgs_after_event: str, ecg_order: str
) -> None:
    for name, (value, low) in limits.items():
        if value < low:
            unit = "as a number" if name == "most_ecgs" else "in days"
            raise ValueError(f"{name} must be at least {low}, got {value}. Give it {unit}.")
    if ecgs_after_event not in ("stop", "drop"):
        raise ValueError(
            f"ecgs_after_event must be stop or drop, got {ecgs_after_event!r}. Choose one."
        )
    if ecg_order not in ECG_ORDERS:
        raise ValueError(
            f"ecg_order must be one of {', '.join(ECG_ORDERS)}, got {ecg_order!r}. Choose one."
        )
    if limits["most_ecgs"][0] and ecg_order == "nearest" and not cohort.definition.has_dates:
        raise ValueError(
            "ecg_order must be first or last where the cohort has no index date, got 'nearest'. "
            "Choose one, or set most_ecgs = 0."
        )


def _shown(table: pd.DataFrame, private: tuple[str, ...] = _PRIVATE) -> list[str]:
    """Return the columns that go on; device dates are private, the device at an ECG is not."""
    return [
        name
        for name in table.columns.astype(str)
        if name == "device_at_ecg" or not (name in private or name.startswith(_PRIVATE_PREFIXES))
    ]


def _apply_exclusions(selection: Selection, cohort: Cohort) -> None:
    """Leave out patients and ECGs by the rules of the definition, in their order."""
    notes = cohort.rule_notes
    for number, rule in enumerate(cohort.definition.exclusions):
        is_patients = rule.table == "patients"
        table = selection.patients if is_patients else selection.records_to_read
        verdict = table[f"rule_{number}"]
        is_out = rule.applies(verdict)
        n_missing = int((verdict.isna() & ~is_out).sum())
        before = selection.flow[-1]
        keep = selection.keep_patients if is_patients else selection.keep_records
        keep(~is_out, rule.label, rule.label, n_missing=n_missing, stage=ELIGIBLE)
        row = selection.flow[-1]
        lost = {name: before[name] - row[name] for name in ("n_patients", "n_events")}
        remarks = (notes[number] if notes else "", doubtful(**lost))
        row["note"] = "; ".join(remark for remark in remarks if remark)
        row["reason"] += f" ({rule.in_words()})"


def _remove_prior_events(selection: Selection, landmark_days: int) -> None:
    """Leave out who had the event before time zero."""
    if "prior_event" in selection.patients:
        prior = selection.patients["prior_event"]
        selection.keep_patients(
            prior != 1,
            "no event before the study",
            "event before the study",
            n_missing=int(prior.isna().sum()),
            stage=ELIGIBLE,
        )
    patients = selection.patients
    is_prior = patients["event_date"].dt.normalize() <= patients["time_zero"]
    step, reason = "event-free at index", "event on or before the index date"
    if landmark_days:
        step, reason = "event-free at time zero", "event on or before time zero"
        reason += f" ({landmark_days} days after the index date)"
    selection.keep_patients(~is_prior, step, reason, stage=ELIGIBLE)


def _stop_at_leaks(selection: Selection, ecgs_after_event: str) -> None:
    """Stop at covariates after time zero, and stop at ECGs after the event or drop them."""
    patients = selection.patients
    check_covariate_dates(patients.assign(index_date=patients["time_zero"]))
    if ecgs_after_event == "stop":
        check_records_before_event(selection.records_to_read, patients)
        return
    event_date = patients.set_index("patient_id")["event_date"]
    records = selection.records_to_read
    event_day = records["patient_id"].map(event_date).dt.normalize()
    is_before = ~(records["recorded_at"] >= event_day)
    step, reason = "ECG before the event", "ECG on or after the event"
    selection.keep_records(is_before, step, reason, stage=COUNTED)


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
        The final tables; ``signal_row`` counts the rows of the store from 0. With dates the last
        step of the flow counts those with a known outcome; the others stay in the tables.

    Raises
    ------
    LeakageError
        If there are duplicates and they are to stop the run, or merged patients contradict one
        another.
    """
    directory = Path(directory)
    flow = list(selection.flow)
    patients = selection.patients
    facts = [name for name in ("record_id", *_OF_ECGS) if name in selection.records_to_read]
    records = records.merge(selection.records_to_read[facts], on="record_id", how="left")
    flow.append(flow_step("ECG readable", patients, records, "file refused, see rejected.csv"))
    signals = np.load(directory / SIGNALS_FILE, mmap_mode="r")
    patients, kept, reason = resolve_duplicates(
        patients, records, signals, rate_hz=rate_hz, policy=duplicates
    )
    if len(kept) < len(records):
        flow.append(flow_step("no duplicates", patients, kept, reason))
    if selection.most_ecgs:
        kept = choose_ecgs(kept, most=selection.most_ecgs, order=selection.ecg_order)
        n = f"{selection.most_ecgs} {'ECG' if selection.most_ecgs == 1 else 'ECGs'}"
        order = {"nearest": "nearest to the index date"}.get(selection.ecg_order)
        reason = f"not among the {n} of a patient that count: {order or selection.ecg_order}"
        flow.append(flow_step(f"at most {n} a patient", patients, kept, reason))
    is_left = patients["patient_id"].isin(kept["patient_id"])
    patients = patients[is_left].reset_index(drop=True)
    flow.append(flow_step("analysed", patients, kept, "no readable ECG left"))
    if selection.horizon_days:
        reason = f"follow-up ended before {selection.horizon_days} days without an event"
        known = patients[patients["outcome"].notna()]
        of_known = kept[kept["patient_id"].isin(known["patient_id"])]
        flow.append(flow_step(STATUS_KNOWN, known, of_known, reason))
    del signals  # Windows cannot replace a mapped file
    return patients, keep_rows(directory, kept), flow
