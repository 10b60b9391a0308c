"""From a hospital's tables to patients with an outcome: right ones, wrong ones, and the rules."""

import numpy as np
import pandas as pd
import pytest

from data_processing.cohort import nicm_definition, read_brugada_huca, read_hospital_folder
from data_processing.cohort_flow import STATUS_KNOWN
from data_processing.errors import CohortTableError, LeakageError
from data_processing.preparation import prepare_signals
from data_processing.selection import finish_cohort, select_cohort
from data_processing.signals import SignalChain


def outcomes(cohort, selection):
    """Return the outcome by the row of the table."""
    row = cohort.patients.set_index("patient_id")["table_row"]
    table = selection.patients
    return dict(zip(table["patient_id"].map(row), table["outcome"], strict=True))


def test_the_outcome_at_the_horizon_by_hand(hospital_tables, write_hospital):
    cohort = read_hospital_folder(write_hospital(*hospital_tables))
    selection = select_cohort(cohort, horizon_days=1095)
    # row 2: VT after 365 days; 4: died of another cause; 5: lost after 325 days, so unknown;
    # 6: VT after 1451 days, so event-free at 1095; the others were followed up beyond.
    found = outcomes(cohort, selection)
    assert found.pop(5) is pd.NA
    assert found == {2: 1, 3: 0, 4: 0, 6: 0, 7: 0, 8: 0, 9: 0}
    by_row = selection.patients.assign(
        row=selection.patients["patient_id"].map(
            cohort.patients.set_index("patient_id")["table_row"]
        )
    ).set_index("row")
    assert by_row.loc[[2, 4, 6, 3], "event"].tolist() == [1, 2, 1, 0]
    assert by_row.loc[[2, 4, 6, 5], "duration_days"].tolist() == [365, 142, 1451, 325]
    assert selection.flow[-1] == {
        "step": "followed after time zero",
        "n_patients": 8,
        "n_records": 8,
        "n_events": 1,
        "n_missing": 0,
        "reason": "no follow-up after time zero",
        "note": "1 lost before 1095 days without an event: status unknown, kept for the time to "
        "event only",
        "stage": "",
    }


def test_patients_whose_status_is_unknown_stay_and_are_counted(
    hospital_tables, write_hospital, tmp_path
):
    selection = select_cohort(
        read_hospital_folder(write_hospital(*hospital_tables, has_files=True))
    )
    records, _, _ = prepare_signals(selection.records_to_read, SignalChain(), tmp_path, n_workers=1)
    patients, records, flow = finish_cohort(selection, records, tmp_path, rate_hz=100)
    assert (len(patients), patients["outcome"].isna().sum(), len(records)) == (8, 1, 8)
    analysed, known = flow[-2:]
    assert (analysed["step"], analysed["n_patients"]) == ("analysed", 8)
    assert (known["step"], known["n_patients"], known["n_records"]) == (STATUS_KNOWN, 7, 7)
    assert known["reason"] == "follow-up ended before 1095 days without an event"


def test_a_cohort_of_patients_with_an_unknown_status_alone_is_refused(
    hospital_tables, write_hospital
):
    patients, ecgs = hospital_tables
    patients[["event_type", "event_date"]] = ""
    cohort = read_hospital_folder(write_hospital(patients, ecgs))
    with pytest.raises(ValueError, match="at least one patient with a known outcome, got none"):
        select_cohort(cohort, horizon_days=20_000)


def test_a_longer_horizon_makes_the_late_event_count(hospital_tables, write_hospital):
    cohort = read_hospital_folder(write_hospital(*hospital_tables))
    found = outcomes(cohort, select_cohort(cohort, horizon_days=1460))
    assert found[6] == 1
    assert found[4] == 0  # a death of another cause before the horizon is no event, never unknown


def test_covariates_are_typed_and_missing_stays_missing(hospital_tables, write_hospital):
    patients = read_hospital_folder(write_hospital(*hospital_tables)).patients
    by_row = patients.set_index("table_row").sort_index()
    np.testing.assert_array_equal(by_row["age_years"].to_numpy()[:3], [50, 61.5, np.nan])
    assert by_row["lge_pattern"].tolist()[:3] == ["ring_like", "none", None]
    assert by_row["sex"].tolist()[:2] == ["male", "female"]


def test_semicolons_decimal_commas_and_a_byte_order_mark_are_read(hospital_tables, write_hospital):
    patients, ecgs = hospital_tables
    folder = write_hospital(patients, ecgs)
    patients["age_years"] = patients["age_years"].str.replace(".", ",")
    patients.to_csv(folder / "patients.csv", sep=";", index=False, encoding="utf-8-sig")
    cohort = read_hospital_folder(folder)
    assert 61.5 in cohort.patients["age_years"].tolist()


def test_pseudonyms_hold_nothing_of_the_hospital_and_do_not_depend_on_order(
    hospital_tables, write_hospital
):
    patients, ecgs = hospital_tables
    first = read_hospital_folder(write_hospital(patients, ecgs))
    again = read_hospital_folder(
        write_hospital(patients[::-1], ecgs.sample(frac=1, random_state=0))
    )
    pd.testing.assert_frame_equal(first.identifiers, again.identifiers)
    assert set(first.patients["patient_id"]) == {f"P000{k}" for k in range(1, 9)}
    assert set(first.records["record_id"]) == {f"R0000{k}" for k in range(1, 9)}
    shown = first.patients.to_csv() + first.records.drop(columns="path").to_csv()
    assert "HOSP" not in shown
    assert "HOSP" not in repr(first)


BAD = {
    "age_years": (1, "140", "row 3: age_years must be between 0 and 120 years"),
    "lvef_percent": (2, "Smith", "row 4: lvef_percent must be a number or empty"),
    "sex": (3, "m", "row 5: sex must be one of female, male, or empty"),
    "lge_present": (4, "2", "row 6: lge_present must be 1, 0 or empty"),
    "lge_pattern": (5, "patchy", "lge_pattern must be one of none, midwall_septal, subepicardial"),
    "index_date": (6, "10/01/2015", "row 8: index_date must be a date YYYY-MM-DD"),
    "patient_id": (7, "HOSP-1", "row 9: patient_id must occur once, it repeats"),
    "event_type": (0, "syncope", "row 2: event_type must be one of sustained_vt, appropriate_icd"),
    "event_date": (4, "", "row 6: event_type must come with event_date, which is empty"),
    "last_contact_date": (3, "2014-01-01", "row 5: last_contact_date must not be before index_da"),
    "covariates_date": (1, "2015-13-40", "row 3: covariates_date must be a date YYYY-MM-DD"),
}


@pytest.mark.parametrize("column", BAD)
def test_a_bad_cell_is_named_by_row_without_its_content(hospital_tables, write_hospital, column):
    patients, ecgs = hospital_tables
    row, value, message = BAD[column]
    patients.loc[row, column] = value
    with pytest.raises(CohortTableError) as error:
        read_hospital_folder(write_hospital(patients, ecgs))
    assert message in str(error.value)
    assert "HOSP" not in str(error.value)
    assert "Smith" not in str(error.value)


def test_all_problems_of_both_tables_come_at_once(hospital_tables, write_hospital):
    patients, ecgs = hospital_tables
    for column, (row, value, _) in BAD.items():
        patients.loc[row, column] = value
    ecgs.loc[0, "patient_id"] = "HOSP-unknown"
    ecgs.loc[1, "recorded_at"] = "yesterday"
    ecgs.loc[2, "ecg_file"] = ecgs.loc[3, "ecg_file"]
    with pytest.raises(CohortTableError) as error:
        read_hospital_folder(write_hospital(patients.drop(columns="pathogenic_variant"), ecgs))
    lines = str(error.value).splitlines()
    assert "- patients.csv: must have the columns pathogenic_variant" in lines
    assert "- ecgs.csv rows 2, 9: patient_id must occur in patients.csv" in lines
    assert "- ecgs.csv row 5: ecg_file must occur once, it repeats" in lines
    assert len(lines) >= len(BAD) + 4
    assert "HOSP" not in str(error.value)


def test_a_missing_table_says_what_to_do(tmp_path):
    with pytest.raises(
        FileNotFoundError, match=r"cohort folder must hold patients.csv, got no such"
    ):
        read_hospital_folder(tmp_path)


def test_an_ecg_after_the_event_stops_or_is_dropped_and_counted(hospital_tables, write_hospital):
    patients, ecgs = hospital_tables
    late = ecgs.iloc[[0]].assign(ecg_file="ecg/late", recorded_at="2016-01-10T09:00:00")
    cohort = read_hospital_folder(write_hospital(patients, pd.concat([ecgs, late])))
    with pytest.raises(LeakageError, match="ECGs must be recorded before the event, got 1 on or"):
        select_cohort(cohort)
    flow = select_cohort(cohort, ecgs_after_event="drop").flow
    step = {row["step"]: row for row in flow}
    assert step["read"]["n_records"] - step["ECG before the event"]["n_records"] == 1


def test_covariates_of_later_days_stop(hospital_tables, write_hospital):
    patients, ecgs = hospital_tables
    patients.loc[2, "covariates_date"] = "2015-01-11"
    with pytest.raises(LeakageError, match="covariates must be collected by the index date, got 1"):
        select_cohort(read_hospital_folder(write_hospital(patients, ecgs)))


def test_every_exclusion_is_counted(hospital_tables, write_hospital):
    patients, ecgs = hospital_tables
    patients.loc[0, "event_date"] = "2015-01-10"  # on the index date: a prior event
    ecgs.loc[1, "recorded_at"] = "2013-01-01"  # too old
    ecgs.loc[2, "recorded_at"] = "2015-01-11"  # after index, before the death
    ecgs.loc[5, "recorded_at"] = ""
    flow = select_cohort(read_hospital_folder(write_hospital(patients, ecgs))).flow
    counts = [(row["step"], row["n_patients"], row["n_records"]) for row in flow]
    assert counts == [
        ("read", 8, 8),
        ("event-free at index", 7, 7),
        ("ECG dated", 7, 6),
        ("ECG up to index", 7, 5),
        ("ECG in the baseline window", 7, 4),
        ("with an ECG", 4, 4),
        ("followed after time zero", 4, 4),
    ]


@pytest.mark.parametrize("n_workers", [1, 2])
def test_refused_files_are_listed_and_leave_no_gap(
    hospital_tables, write_hospital, tmp_path, n_workers
):
    folder = write_hospital(*hospital_tables, has_files=True)
    (folder / "ecg" / "E1.dat").unlink()
    (folder / "ecg" / "E6.hea").unlink()
    selection = select_cohort(read_hospital_folder(folder))
    out = tmp_path / "out"
    seen = []
    records, rejected, _ = prepare_signals(
        selection.records_to_read,
        SignalChain(),
        out,
        n_workers=n_workers,
        progress=lambda *counts: seen.append(counts),
    )
    signals = np.load(out / "signals.npy", mmap_mode="r")
    assert signals.shape == (6, 1000, 12)
    assert signals.dtype == np.float32
    assert records["signal_row"].tolist() == list(range(6))
    assert (np.ptp(signals, axis=1) > 0.05).all()
    assert sorted(rejected["table_row"]) == [3, 8]
    assert rejected["reason"].str.contains("must").all()
    assert not rejected.to_csv().count("HOSP")
    assert seen[-1] == (8, 8)
    assert [path.name for path in out.iterdir()] == ["signals.npy"]
    patients, kept, flow = finish_cohort(selection, records, out, rate_hz=100)
    assert (len(patients), len(kept)) == (6, 6)
    steps = {row["step"]: (row["n_patients"], row["n_records"]) for row in flow}
    assert steps["ECG readable"] == (8, 6)
    assert steps["analysed"] == (6, 6)
    assert steps[STATUS_KNOWN] == (5, 5)


def test_if_nothing_can_be_read_the_commonest_reason_is_said(
    hospital_tables, write_hospital, tmp_path
):
    selection = select_cohort(read_hospital_folder(write_hospital(*hospital_tables)))
    with pytest.raises(
        ValueError, match=r"got 8 refused files. The commonest reason: path must be"
    ):
        prepare_signals(selection.records_to_read, SignalChain(), tmp_path / "out", n_workers=1)
    assert list((tmp_path / "out").iterdir()) == []


def copy_first_ecg(folder, *, scale):
    """File the ECG of row 2 under row 3 too, scaled, as another hospital system might."""
    for suffix in (".dat", ".hea"):
        source = (folder / "ecg" / f"E0{suffix}").read_bytes()
        if suffix == ".hea":
            source = source.replace(b"E0", b"E1").replace(b" 1000(0)", f" {scale}(0)".encode())
        (folder / "ecg" / f"E1{suffix}").write_bytes(source)


@pytest.mark.parametrize("scale", [1000, 800])
@pytest.mark.parametrize(
    ("policy", "reason"),
    [
        ("drop", "recording filed under two patients, all copies dropped"),
        (
            "merge",
            "recording filed under two patients: 0 merged, "
            "1 left out because the two outcomes contradict",
        ),
    ],
)
def test_a_recording_under_two_patients_with_two_outcomes_stops_or_is_left_out(
    hospital_tables, write_hospital, tmp_path, scale, policy, reason
):
    folder = write_hospital(*hospital_tables, has_files=True)
    copy_first_ecg(folder, scale=scale)
    selection = select_cohort(read_hospital_folder(folder))
    records, _, _ = prepare_signals(selection.records_to_read, SignalChain(), tmp_path, n_workers=1)
    with pytest.raises(LeakageError, match=r"one patient, got 1 filed under two: R0000. = R0000."):
        finish_cohort(selection, records, tmp_path, rate_hz=100)
    patients, kept, flow = finish_cohort(
        selection, records, tmp_path, rate_hz=100, duplicates=policy
    )
    assert (len(patients), len(kept)) == (6, 6)
    assert flow[-3]["reason"] == reason
    assert len(np.load(tmp_path / "signals.npy")) == 6


def test_merging_keeps_one_recording_and_fills_what_is_missing(
    hospital_tables, write_hospital, tmp_path
):
    patients, ecgs = hospital_tables
    patients.loc[0, ["event_type", "event_date"]] = ""
    patients.loc[0, "age_years"] = ""
    folder = write_hospital(patients, ecgs, has_files=True)
    copy_first_ecg(folder, scale=1000)
    cohort = read_hospital_folder(folder, nicm_definition())
    selection = select_cohort(cohort)
    records, _, _ = prepare_signals(selection.records_to_read, SignalChain(), tmp_path, n_workers=1)
    final, kept, _ = finish_cohort(selection, records, tmp_path, rate_hz=100, duplicates="merge")
    assert (len(final), len(kept)) == (7, 7)
    assert 61.5 in final["age_years"].tolist()
    assert set(kept["patient_id"]) == set(final["patient_id"])
    assert final.dtypes.to_dict() == selection.patients.dtypes.to_dict()


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("atypical", "n", "n_positive"),
    [("exclude", 356, 69), ("positive", 363, 76), ("negative", 363, 69)],
)
def test_brugada_counts(data_root, atypical, n, n_positive):
    cohort = read_brugada_huca(data_root / "brugada_huca", atypical=atypical)
    selection = select_cohort(cohort)
    assert len(selection.patients) == n
    assert selection.patients["outcome"].sum() == n_positive
    assert "event" not in selection.patients
    assert cohort.definition.covariates == ()
    assert "basal_pattern" in selection.patients
