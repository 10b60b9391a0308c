"""Public collections: their published layouts made small here, and the samples on this machine."""

import h5py
import numpy as np
import pandas as pd
import pytest

from data_processing.chain import SignalChain
from data_processing.errors import CohortTableError
from data_processing.preparation import prepare_signals
from data_processing.public.challenge2021 import read_challenge2021
from data_processing.public.code import read_code15, read_sami_trop
from data_processing.public.ludb import read_ludb
from data_processing.public.ptbxl import read_ptbxl
from data_processing.record_preparation import Reading
from data_processing.selection import select_cohort
from data_processing.sources import open_cohort


def prepare(cohort, folder, *, horizon_days=365, **settings):
    """Select and read a cohort; return the selection, the records and the refused ones."""
    selection = select_cohort(cohort, horizon_days=horizon_days)
    chain = SignalChain(**{"duration_seconds": 7.0, **settings})
    reading = Reading(cohort.definition.signals)
    records, rejected, _ = prepare_signals(
        selection.records_to_read, chain, folder, reading=reading, n_workers=1
    )
    return selection, records, rejected


def steps(selection):
    return {step["step"]: (step["n_patients"], step["n_records"]) for step in selection.flow}


@pytest.fixture
def ptbxl(tmp_path, make_ecg, write_wfdb):
    """Return a folder in PTB-XL's layout: 5 ECGs of 4 patients, one file not there."""
    codes = ["{'NORM': 100.0, 'SR': 0.0}", "{'IMI': 0.0}", "{'AMI': 50.0, 'AFIB': 0.0}"]
    codes += ["{'LVH': 100.0}", "{'NORM': 80.0}"]
    table = pd.DataFrame(
        {
            "ecg_id": range(1, 6),
            "patient_id": ["11.0", "12.0", "13.0", "12.0", "14.0"],
            "age": ["56.0", "300.0", "", "300.0", "30.0"],
            "sex": ["0", "1", "0", "1", "1"],
            "recording_date": [f"1990-01-0{k} 09:17:34" for k in (5, 4, 3, 2, 1)],
            "scp_codes": codes,
            "strat_fold": [1, 2, 3, 2, 4],
            "filename_lr": [f"records100/00000/0000{k}_lr" for k in range(1, 6)],
            "filename_hr": [f"records500/00000/0000{k}_hr" for k in range(1, 6)],
        }
    )
    table.to_csv(tmp_path / "ptbxl_database.csv", index=False)
    statements = "NORM,n,1.0,NORM\nIMI,i,1.0,MI\nAMI,a,1.0,MI\nLVH,l,1.0,HYP\nSR,s,,\nAFIB,f,,\n"
    text = ",description,diagnostic,diagnostic_class\n" + statements
    (tmp_path / "scp_statements.csv").write_text(text)
    for k, row in enumerate(table.itertuples()):
        if k < 4:
            write_wfdb(tmp_path / row.filename_lr, make_ecg(k, rate_hz=100), rate_hz=100)
            write_wfdb(tmp_path / row.filename_hr, make_ecg(k), rate_hz=500)
    return tmp_path


def test_ptbxl_takes_the_first_ecg_of_each_patient_that_is_here(ptbxl, tmp_path):
    cohort = read_ptbxl(ptbxl, target="MI")
    selection, records, rejected = prepare(cohort, tmp_path / "out")
    assert steps(selection) == {
        "published": (4, 5),
        "file on this machine": (3, 4),
        "one ECG a patient": (3, 3),
        "read": (3, 3),
        "with an ECG": (3, 3),
        "outcome known": (3, 3),
    }
    assert (len(records), len(rejected)) == (3, 0)
    found = cohort.patients.sort_values("table_row")
    assert found["table_row"].tolist() == [2, 4, 5]  # of patient 12 the earlier ECG, in row 5
    assert found["outcome"].tolist() == [0, 1, 0]
    assert found["sex"].tolist() == ["male", "male", "female"]
    assert found["age_years"].tolist()[::2] == [56.0, 90.0]
    assert found["strat_fold"].tolist() == ["1", "3", "2"]


@pytest.mark.parametrize(
    ("target", "outcome"),
    [("NORM", [1, 0, 0]), ("HYP", [0, 0, 1]), ("AFIB", [0, 1, 0]), ("SR", [1, 0, 0])],
)
def test_ptbxl_counts_a_statement_whatever_its_likelihood(ptbxl, target, outcome):
    found = read_ptbxl(ptbxl, target=target).patients.sort_values("table_row")
    assert found["outcome"].tolist() == outcome


def test_ptbxl_is_published_at_two_rates(ptbxl, tmp_path):
    for rate_hz in (100, 500):
        cohort = read_ptbxl(ptbxl, source_rate_hz=rate_hz)
        _, records, _ = prepare(cohort, tmp_path / str(rate_hz))
        assert set(records["rate_hz"]) == {rate_hz}
    with pytest.raises(ValueError, match="source_rate_hz must be 100 or 500 for PTB-XL, got 250"):
        read_ptbxl(ptbxl, source_rate_hz=250)


def test_an_unknown_target_names_the_known_ones(ptbxl):
    with pytest.raises(
        ValueError, match=r"must be a label of PTB-XL, got 'XX'. Choose one of: NOR"
    ):
        read_ptbxl(ptbxl, target="XX")


def test_ptbxl_rows_that_cannot_be_read_are_named_by_their_number(ptbxl):
    table = pd.read_csv(ptbxl / "ptbxl_database.csv", dtype=str, keep_default_na=False)
    table.loc[1, "scp_codes"] = "__import__('os').getcwd()"
    table.to_csv(ptbxl / "ptbxl_database.csv", index=False)
    with pytest.raises(CohortTableError, match="row 3: scp_codes must be a list of statements"):
        read_ptbxl(ptbxl)


def test_a_collection_without_its_ecgs_says_so(ptbxl):
    for path in (ptbxl / "records100").rglob("*"):
        if path.is_file():
            path.unlink()
    with pytest.raises(FileNotFoundError, match=r"PTB-XL 1.0.3 must have ECG files beside .* of 5"):
        read_ptbxl(ptbxl)


def write_challenge(folder, make_ecg, write_wfdb):
    comments = (
        "56\n# Sex: Male\n# Dx: 1,2",
        "NaN\n#Sex: F\n#Dx: 2",
        "300\n# Sex: Unknown\n# Dx: 3",
    )
    for k, text in enumerate(comments):
        header = write_wfdb(folder / "training" / "x" / "g1" / f"E{k}", make_ecg(k))
        header.write_text(header.read_text() + f"# Age: {text}\n")
    return folder


def test_the_challenge_is_read_from_its_headers(tmp_path, make_ecg, write_wfdb):
    folder = write_challenge(tmp_path, make_ecg, write_wfdb)
    cohort = read_challenge2021(folder, target="1 3")
    found = cohort.patients.sort_values("table_row")
    assert found["outcome"].tolist() == [1, 0, 1]
    np.testing.assert_array_equal(found["age_years"], [56, np.nan, np.nan])
    assert found["sex"].tolist() == ["male", "female", None]
    assert cohort.definition.target_label == "the diagnosis with SNOMED CT code 1 or 3"
    assert len(prepare(cohort, tmp_path / "out")[1]) == 3
    for target in ("4", "atrial fibrillation"):
        with pytest.raises(ValueError, match=r"must be a label of Challenge 2021, .* one of: 2, 1"):
            read_challenge2021(folder, target=target)
    assert cohort.definition.contains == ()
    for end in (".hea", ".dat"):
        folder.joinpath("training/x/g1", f"E2{end}").rename(folder / f"HR00001{end}")
    assert read_challenge2021(folder, target="1 3").definition.contains == ("ptbxl",)


def write_code(folder, make_ecg, *, has_ids=True):
    """Write five exams of four patients in CODE-15 %'s layout, or SaMi-Trop's."""
    tracings = np.zeros((5, 4096, 12), dtype=np.float32)
    for k in range(5):
        short = make_ecg(k, rate_hz=400, seconds=7.335)
        tracings[k, 581 : 581 + len(short)] = 10 * short  # units of 1e-4 V
    exams = pd.DataFrame(
        {
            "exam_id": [500, 100, 300, 200, 400],
            "age": [50, 60, 70, 80, 55],
            "is_male": ["True", "False", "True", "False", "True"],
            "nn_predicted_age": 50.1,
            "normal_ecg": ["True", "False", "False", "True", "False"],
            "death": ["False", "True", "True", "", "False"],
            "timey": ["2.0", "0.5", "3.0", "", "0.25"],
        }
    )
    if has_ids:
        flags = dict.fromkeys(("1dAVb", "RBBB", "LBBB", "SB", "ST"), "False")
        flags |= {"AF": ["True", "False", "False", "True", "False"]}
        exams = exams.assign(patient_id=[1, 2, 3, 2, 4], trace_file="exams_part0.hdf5", **flags)
        rows = np.array([3, 1, 4, 0, 2])  # the file has another order than the table
        tracings[rows] = tracings.copy()
        identifiers = np.zeros(5, dtype=np.int64)
        identifiers[rows] = exams["exam_id"]
    exams.to_csv(folder / "exams.csv", index=False)
    with h5py.File(folder / ("exams_part0.hdf5" if has_ids else "exams.hdf5"), "w") as file:
        file["tracings"] = tracings
        if has_ids:
            file["exam_id"] = identifiers
    return folder


@pytest.mark.parametrize("has_ids", [True, False])
def test_code_and_sami_trop_read_the_right_row_of_each_exam(tmp_path, make_ecg, has_ids):
    folder = write_code(tmp_path, make_ecg, has_ids=has_ids)
    cohort = read_code15(folder) if has_ids else read_sami_trop(folder)
    settings = {"rate_hz": 400, "low_cut_hz": 0.0, "high_cut_hz": 0.0, "duration_seconds": 7.0}
    _, records, rejected = prepare(cohort, tmp_path / "out", **settings)
    signals = np.load(tmp_path / "out" / "signals.npy")
    rows = cohort.records.set_index("record_id")["table_row"]
    assert (len(records), len(rejected)) == (4, 0)
    for record in records.itertuples():
        expected = make_ecg(rows[record.record_id] - 2, rate_hz=400, seconds=7.335)[67:-67]
        np.testing.assert_allclose(signals[record.signal_row], expected, atol=1e-5)
        assert "1162 samples of padding cut off" in record.quality


def test_death_is_dated_from_the_exam(tmp_path, make_ecg):
    cohort = read_code15(write_code(tmp_path, make_ecg))
    selection = select_cohort(cohort, horizon_days=365)
    counted = steps(selection)
    assert counted["published"] == (4, 5)
    assert counted["follow-up known"] == (4, 4)
    assert counted["read"] == counted["with an ECG"] == (4, 4)
    assert counted["followed after time zero"] == (4, 4)
    found = selection.patients.sort_values("age_years")
    is_unknown = found["outcome"].isna()  # one was followed for three months only
    assert found.loc[is_unknown, "duration_days"].between(85, 95).tolist() == [True]
    found = found[~is_unknown]
    assert found["age_years"].tolist() == [50, 60, 70]
    assert found["duration_days"].tolist() == [730, 183, 1096]
    assert found["event"].tolist() == [0, 1, 1]
    assert found["outcome"].tolist() == [0, 1, 0]


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("death", "perhaps", "row 3: death must be true, false or empty"),
        ("timey", "-1", "row 3: timey must be years from 0 on, or empty"),
        ("timey", "long", "row 3: timey must be years from 0 on, or empty"),
        ("is_male", "perhaps", "row 3: sex must be one of female, male, or empty"),
        ("age", "530", "row 3: age_years must be between 0 and 120 years"),
    ],
)
def test_a_wrong_cell_is_named_by_its_row(tmp_path, make_ecg, column, value, message):
    path = write_code(tmp_path, make_ecg) / "exams.csv"
    table = pd.read_csv(path, dtype=str, keep_default_na=False)
    table.loc[1, column] = value
    table.to_csv(path, index=False)
    with pytest.raises(CohortTableError, match=message):
        read_code15(tmp_path)


def test_a_label_counts_for_the_exam_that_has_follow_up(tmp_path, make_ecg):
    cohort = read_code15(write_code(tmp_path, make_ecg), target="AF")
    assert [step["step"] for step in cohort.flow] == ["published", "one ECG a patient"]
    found = cohort.patients.sort_values("table_row")
    assert found["table_row"].tolist() == [2, 3, 4, 6]
    assert found["outcome"].tolist() == [1, 0, 0, 0]
    with pytest.raises(ValueError, match=r"a label of CODE-15 %, got 'MI'. .*: death, 1dAVb"):
        read_code15(tmp_path, target="MI")


def test_ludb_reads_a_diagnosis_by_its_words(tmp_path, make_ecg, write_wfdb):
    (tmp_path / "ludb.csv").write_text(
        'ID,Sex,Age,Rhythms,Hypertrophies\n1,"F\n","51\n",Sinus rhythm,"Left atrial\nLVH"\n'
        '2,"M\n",>89,Atrial fibrillation,\n'
    )
    for k in (1, 2):
        write_wfdb(tmp_path / "data" / str(k), make_ecg(k))
    cohort = read_ludb(tmp_path, target="atrial fib")
    found = cohort.patients.sort_values("table_row")
    assert found["outcome"].tolist() == [0, 1]
    assert found["age_years"].tolist() == [51, 90]
    with pytest.raises(ValueError, match=r"must be a label of LUDB, got 'x'. Choose one of: Sinus"):
        read_ludb(tmp_path, target="x")


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("name", "options", "n_read", "n_rejected", "n_events"),
    [
        ("ptbxl", {}, 407, 0, 59),
        ("ptbxl", {"target": "AFIB", "source_rate_hz": 500}, 111, 0, 1),
        ("ludb", {}, 60, 0, 34),
        ("challenge2021", {}, 40, 0, 20),
        ("code15", {}, 7, 0, 0),
        ("code15", {"target": "RBBB"}, 10, 0, 3),
    ],
)
def test_the_samples_here_are_read_whole(
    parameters, data_root, tmp_path, name, options, n_read, n_rejected, n_events
):
    settings = parameters(cohort=name, data_root=str(data_root), **options)
    cohort = open_cohort(settings, private_directory=tmp_path)
    selection, records, rejected = prepare(cohort, tmp_path / "out")
    assert (len(records), len(rejected)) == (n_read, n_rejected)
    assert int(selection.patients["outcome"].sum()) == n_events
    assert len(cohort.definition.covariates) == 2


@pytest.mark.real_data
def test_a_rate_of_another_collection_is_refused(parameters, data_root, tmp_path):
    settings = parameters(cohort="ludb", data_root=str(data_root), source_rate_hz=500)
    with pytest.raises(ValueError, match="source_rate_hz must be 0 for ludb, got 500"):
        open_cohort(settings, private_directory=tmp_path)
