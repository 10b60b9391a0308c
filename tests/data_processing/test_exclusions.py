"""Rules in plain words: what they leave out, and what they may not see."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import yaml

from data_processing.cohort import cohort_of_tables, read_cohort
from data_processing.cohort_definition import CohortDefinition
from data_processing.definitions import nicm_definition
from data_processing.errors import CohortTableError, LeakageError, MappingError
from data_processing.exclusions import ExclusionRule, doubtful, judge
from data_processing.mapping import read_mapping
from data_processing.selection import select_cohort
from data_processing.tables import Problems

INDEX = pd.Series(pd.Timestamp("2015-01-10"), index=range(2, 7))
NUMBERS = ["49", "50", "51,5", "", "NA"]
DATES = ["2014-01-01", "2015-01-10", "2015-01-11", "", "2015-01-09T23:00:00"]
WORDS = ["CAD", "1.0", " unknown", "", "dilated"]
NA = None


def verdict(operator, value, cells, *, index_date=INDEX):
    rule = ExclusionRule("label", "column", operator, value)
    cells = pd.Series(cells, index=range(2, 7), name="column").str.strip()
    problems = Problems()
    found, note = judge(
        rule, cells, table="t.csv", problems=problems, index_date=index_date, date_format="iso"
    )
    problems.raise_if_any()
    return (
        [NA if value is pd.NA else bool(value) for value in found],
        list(rule.applies(found)),
        note,
    )


@pytest.mark.parametrize(
    ("operator", "value", "cells", "verdicts", "applied"),
    [
        ("above", 50.0, NUMBERS, [False, False, True, NA, NA], [0, 0, 1, 0, 0]),
        ("below", 50.0, NUMBERS, [True, False, False, NA, NA], [1, 0, 0, 0, 0]),
        ("is", ("cad", "1"), WORDS, [True, True, NA, NA, False], [1, 1, 0, 0, 0]),
        ("is", ("unknown",), WORDS, [False, False, True, NA, False], [0, 0, 1, 0, 0]),
        ("is_not", ("dilated",), WORDS, [True, True, NA, NA, False], [1, 1, 0, 0, 0]),
        ("is_missing", True, WORDS, [False, False, NA, NA, False], [0, 0, 1, 1, 0]),
        ("is_missing", False, WORDS, [True, True, NA, NA, True], [1, 1, 0, 0, 1]),
        # A date after the index date was not known on that day.
        ("is_missing", True, DATES, [False, False, NA, NA, False], [0, 0, 1, 1, 0]),
        ("before", "index_date", DATES, [True, False, NA, NA, True], [1, 0, 0, 0, 1]),
        ("before", "2015-01-09", DATES, [True, False, NA, NA, False], [1, 0, 0, 0, 0]),
        ("after", "2015-01-08", DATES, [False, True, NA, NA, True], [0, 1, 0, 0, 1]),
    ],
)
def test_a_rule_by_hand(operator, value, cells, verdicts, applied):
    found, left_out, _ = verdict(operator, value, cells)
    assert found == verdicts
    assert left_out == [bool(value) for value in applied]


def test_without_an_index_date_every_date_is_known():
    found, _, _ = verdict("is_missing", True, DATES, index_date=None)
    assert found == [False, False, False, NA, False]


def test_words_that_occur_nowhere_are_noted():
    assert verdict("is", ("cad", "ischemic"), WORDS)[2] == (
        "occurs nowhere: ischemic; check the spelling"
    )
    assert verdict("is", ("cad",), WORDS)[2] == ""


@pytest.mark.parametrize(
    ("operator", "value", "cells", "message"),
    [
        ("above", 50.0, WORDS, "t.csv rows 2, 6: column must be a number or empty"),
        ("before", "index_date", WORDS, "t.csv rows 2, 3, 6: column must be a date YYYY-MM-DD"),
    ],
)
def test_cells_a_rule_cannot_judge_are_named_by_row(operator, value, cells, message):
    with pytest.raises(CohortTableError) as error:
        verdict(operator, value, cells)
    assert message in str(error.value)
    assert "dilated" not in str(error.value)


@pytest.mark.parametrize(
    ("column", "operator", "value", "message"),
    [
        ("event_date", "is_missing", False, "got event_date, which is the outcome's or its follow"),
        ("last_contact_date", "before", "2016-01-01", "which is the outcome's or its follow-up's"),
        ("icd_date", "after", "index_date", "with what came after the index date"),
    ],
)
def test_a_rule_that_looks_ahead_is_refused(column, operator, value, message):
    rule = ExclusionRule("label", column, operator, value)
    with pytest.raises(LeakageError, match=message):
        CohortDefinition("a", "A", "b", event_types=("vt",), exclusions=(rule,))


def test_a_rule_that_only_finds_events_is_doubted():
    assert "was this known at the index date?" in doubtful(5, 5)
    assert doubtful(5, 4) == doubtful(4, 4) == ""


RULES = """
title: t
target: sva
tables: {patients: patients.csv, ecgs: ecgs.csv}
columns: {patient: patient_id, ecg_file: ecg_file, ecg_date: recorded_at}
missing_files: reject
outcome:
  {event_type: event_type, events: [sustained_vt], competing: [death_other],
   event_date: event_date, last_contact: last_contact_date, index_date: index_date}
"""


def mapping_with(folder, rules):
    path = folder / "my.yaml"
    path.write_text(RULES + yaml.safe_dump({"exclusions": rules}))
    return read_mapping(path)


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ({"column": "a", "above": 1}, "exclusions[1].label must be given"),
        ({"label": "A", "above": 1}, "exclusions[1].column must be given"),
        ({"label": "A", "column": "a"}, "must have one of is, is_not, above, below, before, after"),
        ({"label": "A", "column": "a", "above": 1, "is": ["b"]}, "is_missing, got is and above"),
        ({"label": "A", "column": "a", "is": []}, "exclusions[1].is must be one word or more"),
        ({"label": "A", "column": "a", "abov": 1}, "'abov' is not a key. Did you mean 'above'?"),
        ({"label": "A", "column": "a", "above": "x"}, "exclusions[1].above must be a number"),
        ({"label": "A", "column": "a", "is": [True]}, 'is must be words such as ["no", "yes"]'),
        ({"label": "A", "column": "a", "is_missing": "x"}, "is_missing must be true or false"),
        ({"label": "A", "column": "a", "before": "x"}, "before must be index_date or a date YYYY-"),
        ({"label": "A", "column": "a", "is": ["x"], "table": "ecg"}, "Did you mean 'ecgs'?"),
        (
            {"label": "A", "column": "event_type", "is": ["x"]},
            "exclusions[1]: column 'event_type' is the outcome's or its follow-up's, which nobody",
        ),
        (
            {"label": "A", "column": "icd", "after": "index_date"},
            "exclusions[1]: column 'icd' would be compared with what came after the index date",
        ),
    ],
)
def test_a_wrong_rule_says_what_must_be(tmp_path, rule, message):
    with pytest.raises(MappingError) as error:
        mapping_with(tmp_path, [rule])
    assert message in str(error.value)


def test_rules_of_one_label_are_refused(tmp_path):
    rule = {"label": "A", "column": "a", "above": 1}
    with pytest.raises(MappingError, match="exclusions: label 'A' must occur once, it repeats"):
        mapping_with(tmp_path, [rule, rule])


def test_a_column_that_is_not_there_is_named_with_the_nearest(
    tmp_path, hospital_tables, write_hospital
):
    folder = write_hospital(*hospital_tables)
    definition, _ = mapping_with(
        tmp_path,
        [
            {"label": "LVEF above 50 %", "column": "lvef_procent", "above": 50},
            {"label": "Paced", "column": "recordet_at", "is_missing": True, "table": "ecgs"},
        ],
    )
    with pytest.raises(CohortTableError) as error:
        read_cohort(folder, definition)
    assert "must have the columns lvef_procent (did you mean 'lvef_percent'?)" in str(error.value)
    assert "must have the columns recordet_at (did you mean 'recorded_at'?)" in str(error.value)


def test_rules_are_applied_in_their_order_and_events_lost_are_counted(
    hospital_tables, write_hospital
):
    rules = (
        ExclusionRule("Young", "age_years", "below", 50.5),
        ExclusionRule("Female", "sex", "is", ("female",)),
    )
    both = []
    for order in (rules, rules[::-1]):
        definition = replace(nicm_definition(), exclusions=order)
        cohort = read_cohort(write_hospital(*hospital_tables), definition)
        flow = select_cohort(cohort).flow
        both.append([(row["n_patients"], row["n_events"], row["n_missing"]) for row in flow[:3]])
        assert "rule_0" not in select_cohort(cohort).patients
    # Under 50.5: rows 2 (with the event), 5 and 6; the age of row 4 is missing. Women: 3, 5, 7, 9.
    assert both[0] == [(8, 1, 0), (5, 0, 1), (2, 0, 0)]
    assert both[1] == [(8, 1, 0), (4, 1, 0), (2, 0, 1)]


def test_in_one_table_a_rule_must_not_contradict_itself(tmp_path):
    table = pd.DataFrame(
        {
            "pid": [f"K{k // 2}" for k in range(8)],
            "file": [f"E{k}" for k in range(8)],
            "aetiology": ["CAD", "CAD", "", "CAD", "dilated", "", "dilated", "dilated"],
            "rhythm": ["sinus", "paced"] * 4,
            "vt": [str(k // 2 % 2) for k in range(8)],
        }
    )
    definition = CohortDefinition(
        "one",
        "One",
        "vt",
        outcome_column="vt",
        patients_file="t.csv",
        ecgs_file="t.csv",
        patient_column="pid",
        ecg_file_column="file",
        recorded_at_column="",
        exclusions=(
            ExclusionRule("Ischaemic", "aetiology", "is", ("CAD",)),
            ExclusionRule("Paced", "rhythm", "is", ("paced",), table="ecgs"),
        ),
    )
    table.to_csv(tmp_path / "t.csv", index=False)
    flow = select_cohort(read_cohort(tmp_path, definition)).flow
    assert [(row["n_patients"], row["n_records"]) for row in flow[:3]] == [(4, 8), (2, 4), (2, 2)]
    table.loc[1, "aetiology"] = "dilated"
    table.to_csv(tmp_path / "t.csv", index=False)
    with pytest.raises(CohortTableError, match=r"t.csv row 3: aetiology must be the same in all"):
        read_cohort(tmp_path, definition)


def test_reading_in_any_order_gives_the_same_verdicts(hospital_tables, write_hospital):
    rule = ExclusionRule("Late", "recorded_at", "before", "index_date", table="ecgs")
    definition = replace(nicm_definition(), exclusions=(rule,))
    patients, ecgs = hospital_tables
    ecgs["recorded_at"] = np.where(np.arange(8) < 3, "2015-01-10", ecgs["recorded_at"])
    first = read_cohort(write_hospital(patients, ecgs), definition).records
    again = read_cohort(write_hospital(patients[::-1], ecgs[::-1]), definition).records
    assert first["rule_0"].tolist() == again["rule_0"].tolist()
    assert first["rule_0"].sum() == 5


@pytest.mark.real_data
def test_rules_on_ptb_xl_leave_out_whom_pandas_leaves_out(data_root):
    columns = ["patient_id", "age", "sex", "filename_lr", "pacemaker", "recording_date"]
    table = pd.read_csv(data_root / "ptbxl_wfdb" / "ptbxl_database.csv", dtype=str)[columns]
    table = table.dropna(subset=["patient_id", "filename_lr"]).drop_duplicates("patient_id")
    normal = table.fillna("").set_axis(range(2, len(table) + 2))
    normal["vt"] = np.where(normal["sex"] == "1", "1", "0")
    rules = (
        ExclusionRule("Old", "age", "above", 89.0),
        ExclusionRule("Pacemaker", "pacemaker", "is_missing", False, table="ecgs"),
        ExclusionRule("Before 1986", "recording_date", "before", "1986-01-01", table="ecgs"),
    )
    definition = CohortDefinition(
        *("p", "P", "vt"),
        outcome_column="vt",
        patients_file="p.csv",
        ecgs_file="p.csv",
        ecg_file_column="filename_lr",
        recorded_at_column="recording_date",
        exclusions=rules,
    )
    tables = {"p.csv": normal}
    cohort = cohort_of_tables(tables, data_root / "ptbxl_wfdb", definition, Problems())
    flow = select_cohort(cohort).flow
    age = pd.to_numeric(table["age"])
    young = table[~(age > 89)]
    assert flow[1]["n_patients"] == len(young)
    assert flow[1]["n_missing"] == age.isna().sum()
    unpaced = young[young["pacemaker"].isna()]
    assert flow[2]["n_records"] == len(unpaced)
    late = pd.to_datetime(unpaced["recording_date"]) >= "1986-01-01"
    assert flow[3]["n_records"] == late.sum()
    assert len(young) > flow[2]["n_records"] > flow[3]["n_records"]
