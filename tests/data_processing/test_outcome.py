"""The outcome from dates: which event came first, time zero, devices, and which ECGs then count."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import yaml

from data_processing.cohort import nicm_definition, read_cohort, read_hospital_folder
from data_processing.cohort_definition import CohortDefinition
from data_processing.ecg_rules import choose_ecgs, has_device, with_days_and_device
from data_processing.errors import CohortTableError, LeakageError, MappingError
from data_processing.event_dates import with_first_event
from data_processing.mapping import read_mapping
from data_processing.outcome import count_components, count_same_day, define_outcome, events_by_icd
from data_processing.selection import select_cohort

DEFINITION = CohortDefinition(
    "own",
    "Own",
    "sva",
    event_types=("vt", "shock", "sudden_death"),
    competing_types=("death", "transplant"),
    component_columns=(("vt", "a"), ("shock", "b"), ("sudden_death", "c")),
    competing_columns=(("death", "d"), ("transplant", "e")),
)
NAMES = [name for name, _ in DEFINITION.dated_events]


def typed(*rows):
    """Return typed patients from rows of {event: days after the index date}."""
    index = pd.Timestamp("2015-01-10")
    table = pd.DataFrame({"index_date": [index] * len(rows)})
    for name in (*NAMES, "last", "icd"):
        days = [row.get(name, 2000 if name == "last" else np.nan) for row in rows]
        column = {"last": "last_contact_date", "icd": "device_icd"}.get(name, f"date_of_{name}")
        table[column] = index + pd.to_timedelta(days, unit="D")
    return with_first_event(table, DEFINITION)


@pytest.mark.parametrize(
    ("row", "landmark", "expected"),
    [
        ({"vt": 400, "shock": 30}, 0, ("shock", 1, 30, 1)),
        ({"sudden_death": 90, "death": 90}, 0, ("sudden_death", 1, 90, 1)),  # filed twice
        ({"shock": 90, "vt": 90}, 0, ("vt", 1, 90, 1)),  # the order of the definition
        ({"transplant": 50, "vt": 60}, 0, ("transplant", 2, 50, 0)),
        ({"vt": 1000}, 0, ("vt", 1, 1000, 1)),
        ({"vt": 1001}, 0, ("vt", 1, 1001, 0)),  # after the horizon of 1000 days
        ({"vt": 1001}, 1, ("vt", 1, 1000, 1)),  # the horizon counts from time zero
        ({"vt": 0}, 0, ("vt", 1, 0, None)),
        ({"vt": 30}, 30, ("vt", 1, 0, None)),
        ({"last": 999}, 0, (None, 0, 999, None)),
        ({"last": 1000}, 0, (None, 0, 1000, 0)),
        ({"last": 1000}, 1, (None, 0, 999, None)),
        ({"death": 999}, 0, ("death", 2, 999, 0)),
    ],
)
def test_the_outcome_of_one_patient_by_hand(row, landmark, expected):
    found = define_outcome(typed(row), DEFINITION, horizon_days=1000, landmark_days=landmark)
    one = found.iloc[0]
    value = None if one["outcome"] is pd.NA else int(one["outcome"])
    assert (one["event_component"], one["event"], one["duration_days"], value) == expected


def test_first_events_add_up_and_components_do_not():
    rows = [{"vt": 10, "shock": 20}, {"shock": 5, "vt": 5}, {"sudden_death": 2000, "death": 2000}]
    rows += [{"death": 50}, {"transplant": 40, "vt": 45, "death": 300}, {}]
    patients = define_outcome(typed(*rows), DEFINITION, horizon_days=1000, landmark_days=0)
    counts = {row["name"]: row for row in count_components(patients, DEFINITION, 1000)}
    first = {name: (row["n_events"], row["n_within_horizon"]) for name, row in counts.items()}
    assert first == {
        "vt": (2, 2),
        "shock": (0, 0),
        "sudden_death": (1, 0),
        "death": (1, 1),
        "transplant": (1, 1),
    }
    anyhow = {name: row["n_any_within_horizon"] for name, row in counts.items()}
    assert anyhow == {"vt": 3, "shock": 2, "sudden_death": 0, "death": 2, "transplant": 1}
    events = sum(row["n_within_horizon"] for row in counts.values() if row["role"] == "event")
    assert events == patients["outcome"].sum()
    assert count_same_day(patients, DEFINITION) == 2


def test_who_carried_an_icd_and_when():
    rows = [{"icd": -3, "shock": 20}, {"icd": 0, "vt": 30}, {"icd": 10, "shock": 20}]
    rows += [{"icd": 40, "vt": 30}, {"vt": 30}, {"icd": 5}]
    patients = define_outcome(typed(*rows), DEFINITION, horizon_days=1000, landmark_days=0)
    assert patients["has_icd_at_index"].tolist() == [1, 1, 0, 0, 0, 0]
    assert patients["icd_during_follow_up"].tolist() == [0, 0, 1, 0, 0, 1]
    table = events_by_icd(patients, DEFINITION)
    assert table.loc["vt"].tolist() == [1, 0, 2]  # implanted after the VT: none when it came
    assert table.loc["shock"].tolist() == [1, 1, 0]
    assert table.loc["no event"].tolist() == [0, 1, 0]
    assert int(table.to_numpy().sum()) == 6
    assert events_by_icd(patients.drop(columns="has_icd_at_index"), DEFINITION).empty


def test_a_therapy_without_an_icd_is_a_problem_in_the_other_layout_too(
    hospital_tables, write_hospital
):
    patients, ecgs = hospital_tables
    patients.loc[[0, 4], "event_type"] = "appropriate_icd_therapy"
    patients["icd_date"] = ["2016-01-10"] + [""] * 3 + ["2018-12-31"] + [""] * 3
    definition = nicm_definition(is_synthetic=True)
    assert len(read_cohort(write_hospital(patients, ecgs), definition).patients) == 8
    patients.loc[4, "icd_date"] = "2019-01-01"
    with pytest.raises(CohortTableError) as error:
        read_cohort(write_hospital(patients, ecgs), definition)
    rule = "event_date of an ICD therapy must come with icd_date on or before it"
    assert f"patients.csv row 6: {rule}" in str(error.value)


ECGS = pd.DataFrame(
    {
        "record_id": ["R1", "R2", "R3", "R4", "R5", "R6"],
        "patient_id": ["P1"] * 5 + ["P2"],
        "recorded_at": pd.to_datetime(
            ["2015-01-05", "2014-06-01", "2015-01-15", "2015-01-05T12:00", None, "2010-01-01"],
            format="ISO8601",
        ),
    }
)
PATIENTS = pd.DataFrame({"patient_id": ["P1", "P2"], "index_date": pd.Timestamp("2015-01-10")})


@pytest.mark.parametrize(
    ("most", "order", "kept"),
    [
        (0, "nearest", ["R1", "R2", "R3", "R4", "R5", "R6"]),
        (1, "nearest", ["R4", "R6"]),  # five days before and after: before; then the later time
        (2, "nearest", ["R1", "R4", "R6"]),
        (1, "first", ["R2", "R6"]),
        (1, "last", ["R3", "R6"]),
        (4, "last", ["R1", "R2", "R3", "R4", "R6"]),  # R5 has no date
        (9, "first", ["R1", "R2", "R3", "R4", "R5", "R6"]),
    ],
)
def test_the_ecgs_of_a_patient_that_count(most, order, kept):
    records = with_days_and_device(ECGS, PATIENTS, DEFINITION)
    assert choose_ecgs(records, most=most, order=order)["record_id"].tolist() == kept
    shuffled = records.sample(frac=1, random_state=1)
    assert sorted(choose_ecgs(shuffled, most=most, order=order)["record_id"]) == kept


def test_the_device_of_an_ecg_counts_from_the_day_of_implantation():
    definition = replace(DEFINITION, device_columns=(("crt", "f"), ("icd", "g")))
    dates = {"device_icd": ["2015-01-05T18:00", None], "device_crt": ["2015-01-15", None]}
    patients = PATIENTS.assign(
        **{name: pd.to_datetime(days, format="ISO8601") for name, days in dates.items()}
    )
    records = with_days_and_device(ECGS, patients, definition)
    assert records["device_at_ecg"].tolist() == ["icd", "none", "icd+crt", "icd", "none", "none"]
    assert has_device(records, "crt").tolist() == [False, False, True, False, False, False]
    assert has_device(records, "icd").sum() == 3


def test_with_a_landmark_later_ecgs_count_and_early_events_do_not(hospital_tables, write_hospital):
    patients, ecgs = hospital_tables
    patients.loc[0, "event_date"] = "2015-02-09"  # on day 30
    patients.loc[3, "last_contact_date"] = "2015-01-20"
    patients["covariates_date"] = "2015-02-01"
    ecgs["recorded_at"] = "2015-02-01"
    cohort = read_hospital_folder(write_hospital(patients, ecgs))
    selection = select_cohort(cohort, landmark_days=30)
    counts = {row["step"]: (row["n_patients"], row["n_records"]) for row in selection.flow}
    assert counts == {
        "read": (8, 8),
        "event-free at time zero": (7, 7),
        "ECG dated": (7, 7),
        "ECG up to time zero": (7, 7),
        "ECG in the baseline window": (7, 7),
        "with an ECG": (7, 7),
        "followed after time zero": (6, 6),  # row 5 was lost before time zero
    }
    assert selection.records_to_read["days_from_index"].eq(22).all()
    assert sorted(selection.patients["duration_days"])[0] == 142 - 30
    with pytest.raises(LeakageError, match="covariates must be collected by"):
        select_cohort(cohort, landmark_days=20)


def test_devices_are_dropped_or_flagged(hospital_tables, write_hospital):
    patients, ecgs = hospital_tables
    patients["icd_date"] = ["2014-01-01", "2015-01-02", "2015-01-03"] + [""] * 5
    ecgs["paced"] = ["0", "1", "", "1", "no", "0", "0", "0"]
    definition = nicm_definition(is_synthetic=True)
    definition = replace(definition, ecg_paced_column="paced", dropped_devices=("paced",))
    kept = select_cohort(read_cohort(write_hospital(patients, ecgs), definition))
    step = next(row for row in kept.flow if row["step"] == "ECG not paced")
    assert (step["n_records"], step["n_missing"]) == (6, 1)
    flags = kept.records_to_read["device_at_ecg"].value_counts().to_dict()
    assert flags == {"none": 5, "icd": 1}  # the other carrier's ECG is paced
    definition = replace(definition, dropped_devices=("icd",))
    kept = select_cohort(read_cohort(write_hospital(patients, ecgs), definition))
    step = next(row for row in kept.flow if row["step"] == "ECG without an ICD")
    assert step["n_records"] == 6
    assert "device_icd" not in kept.patients
    assert kept.patients["has_icd_at_index"].sum() == 1  # row 4: implanted the day after its ECG


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"landmark_days": -1}, "landmark_days must be at least 0, got -1. Give it in days."),
        ({"ecg_choice": (-1, "last")}, "most_ecgs must be at least 0, got -1. Give it as a number"),
        ({"ecg_choice": (1, "best")}, "ecg_order must be one of nearest, first, last, got 'best'"),
    ],
)
def test_parameters_out_of_range(hospital_tables, write_hospital, changes, message):
    cohort = read_hospital_folder(write_hospital(*hospital_tables))
    with pytest.raises(ValueError, match=message):
        select_cohort(cohort, **changes)


BASE = {
    "title": "t",
    "target": "sva",
    "tables": {"patients": "p.csv", "ecgs": "e.csv"},
    "columns": {"patient": "a", "ecg_file": "b", "ecg_date": "c"},
    "outcome": {"components": {"vt": "vt_date"}, "last_contact": "d", "index_date": "e"},
}
UNDATED = {"outcome": {"column": "x"}}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"outcome": {"components": ["vt"]}}, "outcome.components must be a block of `name: COL"),
        ({"outcome": {"components": {"vt": None}}}, "outcome.components.vt must be a column"),
        ({"outcome": {"components": {"V T": "x"}}}, "components.name must be lower-case letters"),
        ({"outcome": {"components": {"vt": "x"}, "events": ["vt"]}}, "events must be left out whe"),
        (
            {"outcome": {"components": {"vt": "x"}, "competing": {"vt": "y"}}},
            "outcome: name 'vt' must occur once, it repeats",
        ),
        (
            {"outcome": {"components": {"vt": "x"}, "competing": {"death": "x"}}},
            "outcome: column 'x' must occur once, it repeats",
        ),
        ({"outcome": {"column": "x", "prior_event": "y"}}, "got column and prior_event"),
        ({"devices": {"idc": "x"}}, "devices: 'idc' is not a key. Did you mean 'icd'?"),
        ({**UNDATED, "devices": {"icd": "x"}}, "devices must be left out where the outcome has no"),
        ({"ecgs_with_device": {"icd": "drop"}}, "icd must come with devices.icd, its column"),
        ({"ecgs_with_device": {"paced": "drop"}}, "must come with columns.ecg_paced, its column"),
        (
            {"devices": {"icd": "x"}, "ecgs_with_device": {"icd": "remove"}},
            "ecgs_with_device.icd must be one of keep, drop, got 'remove'",
        ),
        (
            {"covariates": [{"name": "age", "kind": "number", "birth_date": "g"}]},
            "covariates[1].birth_date must stand with the name age_years",
        ),
        (
            {**UNDATED, "covariates": [{"name": "age_years", "kind": "number", "birth_date": "g"}]},
            "covariates: birth_date needs an index date, the outcome has no dates",
        ),
        (
            {"covariates": [{"name": "days_to_vt", "kind": "number"}]},
            "must not be called 'days_to_vt'",
        ),
        (
            {"covariates": [{"name": "ef", "kind": "number", "unit": "%", "unit_in_table": "mm"}]},
            "covariates[1].unit_in_table must be one of fraction for the unit '%', got 'mm'",
        ),
        (
            {"exclusions": [{"label": "A", "column": "vt_date", "is_missing": False}]},
            "exclusions[1]: column 'vt_date' is the outcome's",
        ),
        (
            {**UNDATED, "exclusions": [{"label": "A", "column": "g", "before": "index_date"}]},
            "column 'g' needs an index date, and the outcome has no dates",
        ),
    ],
)
def test_a_wrong_mapping_says_what_must_be(tmp_path, changes, message):
    (tmp_path / "my.yaml").write_text(yaml.safe_dump(BASE | changes))
    with pytest.raises(MappingError) as error:
        read_mapping(tmp_path / "my.yaml")
    assert message in str(error.value)


def test_nearest_needs_an_index_date(tmp_path):
    pd.DataFrame({"pid": ["a", "b"], "f": ["x", "y"], "o": ["0", "1"]}).to_csv(tmp_path / "t.csv")
    definition = CohortDefinition(
        *("n", "N", "o"),
        outcome_column="o",
        patients_file="t.csv",
        ecgs_file="t.csv",
        patient_column="pid",
        ecg_file_column="f",
        recorded_at_column="",
    )
    cohort = read_cohort(tmp_path, definition)
    with pytest.raises(ValueError, match="ecg_order must be first or last where the cohort has no"):
        select_cohort(cohort, ecg_choice=(1, "nearest"))
    assert count_components(select_cohort(cohort).patients, definition, 0) == []
