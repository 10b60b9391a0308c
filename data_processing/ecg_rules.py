"""Which ECGs of a patient count: their time, the device they were recorded with, and how many."""

from __future__ import annotations

import numpy as np
import pandas as pd

from data_processing.cohort_definition import DEVICES, PACED, CohortDefinition
from data_processing.cohort_flow import COUNTED, Selection

ECG_ORDERS = ("nearest", "first", "last")


def with_days_and_device(
    records: pd.DataFrame, patients: pd.DataFrame, definition: CohortDefinition
) -> pd.DataFrame:
    """Return the ECGs with their day and device.

    Parameters
    ----------
    records
        ``patient_id, recorded_at``.
    patients
        ``patient_id, index_date``, and ``device_<name>`` where declared.
    definition
        With the devices.

    Returns
    -------
    DataFrame
        With ``days_from_index`` (negative before the index date, NaN if undated) and, where devices
        are declared, ``device_at_ecg``: ``none``, ``icd``, ``crt``, ``pacemaker``, or several
        joined by ``+``. On the day of implantation the order is unknown, so the device counts.
    """
    dates = patients.set_index("patient_id")
    owner, day = records["patient_id"], records["recorded_at"].dt.normalize()
    index_day = owner.map(dates["index_date"]).dt.normalize()
    records = records.assign(days_from_index=(day - index_day).dt.days.astype(np.float64))
    declared = [name for name in DEVICES if name in dict(definition.device_columns)]
    if not declared:
        return records
    worn = pd.DataFrame(
        {name: owner.map(dates[f"device_{name}"]).dt.normalize() <= day for name in declared},
        index=records.index,
    )
    named = ["+".join(worn.columns[row]) or "none" for row in worn.to_numpy(dtype=bool)]
    return records.assign(device_at_ecg=pd.Series(named, index=records.index, dtype=object))


def has_device(records: pd.DataFrame, device: str) -> pd.Series:
    """Return which ECGs were recorded with a device, or are called paced."""
    if device == PACED:
        return (records["is_paced"] == 1).fillna(False).astype(bool)
    return records["device_at_ecg"].str.split("+").map(lambda names: device in names)


def keep_timely_ecgs(
    selection: Selection, definition: CohortDefinition, baseline_window_days: int
) -> None:
    """Keep the dated ECGs up to time zero that lie inside the baseline window.

    Parameters
    ----------
    selection
        Its patients have ``index_date`` and ``time_zero``; its ECGs get the columns of
        ``with_days_and_device``.
    definition
        With the devices.
    baseline_window_days
        Counted back from the index date.
    """
    patients = selection.patients
    dated = selection.records_to_read["recorded_at"].notna()
    selection.keep_records(dated, "ECG dated", "no recording date", stage=COUNTED)
    records = with_days_and_device(selection.records_to_read, patients, definition)
    selection.records_to_read = records
    landmark = (patients["time_zero"] - patients["index_date"].dt.normalize()).dt.days
    last_day = int(landmark.max()) if len(landmark) else 0
    step = "ECG up to time zero" if last_day else "ECG up to index"
    reason = "ECG after time zero" if last_day else "ECG after the index date"
    selection.keep_records(records["days_from_index"] <= last_day, step, reason, stage=COUNTED)
    reason = f"ECG more than {baseline_window_days} days before the index date"
    is_inside = selection.records_to_read["days_from_index"] >= -baseline_window_days
    selection.keep_records(is_inside, "ECG in the baseline window", reason, stage=COUNTED)


def remove_devices(selection: Selection, definition: CohortDefinition) -> None:
    """Remove ECGs recorded with the devices that are to be dropped."""
    for device in definition.dropped_devices:
        records = selection.records_to_read
        name = {"icd": "an ICD", "crt": "a CRT device", "pacemaker": "a pacemaker"}.get(device)
        step = f"ECG without {name}" if name else "ECG not paced"
        reason = f"ECG after implantation of {name}" if name else "ECG paced"
        n_missing = int(records["is_paced"].isna().sum()) if device == PACED else 0
        more = {"n_missing": n_missing, "stage": COUNTED}
        selection.keep_records(~has_device(records, device), step, reason, **more)


def choose_ecgs(records: pd.DataFrame, *, most: int, order: str) -> pd.DataFrame:
    """Return at most so many ECGs of each patient, in the order of the table.

    Parameters
    ----------
    records
        ``record_id, patient_id, recorded_at``, for ``nearest`` also ``days_from_index``.
    most
        ECGs a patient; 0: all.
    order
        ``nearest`` to the index date (of two equally near ones the earlier day, and on one day the
        later time), ``first`` or ``last``. ECGs without a date come after the others.
    """
    if most == 0:
        return records
    seconds = records["recorded_at"].astype("int64").where(records["recorded_at"].notna())
    keys = {"late": -seconds, "id": records["record_id"]}
    if order == "nearest":
        days = records["days_from_index"]
        keys = {"distance": days.abs(), "day": days, **keys}
    elif order == "first":
        keys = {"early": seconds, **keys}
    ranked = pd.DataFrame(keys).sort_values(list(keys), na_position="last").index
    place = records.loc[ranked].groupby("patient_id").cumcount()
    return records[place.reindex(records.index) < most].reset_index(drop=True)
