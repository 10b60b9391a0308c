"""Every guard is shown a planted leak, and something innocent."""

import numpy as np
import pandas as pd
import pytest

from data_processing import near_identical
from data_processing.cohort import read_brugada_huca
from data_processing.leakage import (
    LeakageError,
    check_covariate_dates,
    check_fitted_on,
    check_records_before_event,
    check_splits,
    find_identical_files,
    find_near_identical,
)
from data_processing.preparation import prepare_signals
from data_processing.signals import SignalChain
from data_processing.splits import hash_splits, make_splits


@pytest.fixture
def patients():
    outcome = np.repeat([0, 1], [60, 20])
    ids = [f"P{k:04d}" for k in range(80)]
    return pd.DataFrame({"patient_id": ids, "outcome": pd.array(outcome, dtype="Int8")})


@pytest.fixture
def splits(patients):
    return make_splits(patients, n_folds=5, n_repeats=2, n_inner_folds=4, seed=1)


def test_cross_validation_tests_everyone_once_a_repeat_with_equal_events(patients, splits):
    check_splits(splits)
    tested = splits[splits["role"] == "test"].merge(patients, on="patient_id")
    assert len(tested) == 160
    assert (tested.groupby(["repeat", "fold"])["outcome"].sum() == 4).all()
    validation = splits[splits["role"] == "validation"].merge(patients, on="patient_id")
    assert (validation.groupby(["repeat", "fold"])["outcome"].sum() == 4).all()
    assert ((splits["inner_fold"] == -1) == (splits["role"] == "test")).all()
    assert set(splits["inner_fold"]) == {-1, 0, 1, 2, 3}


def test_hold_out_is_one_stratified_fold(patients):
    splits = make_splits(patients, protocol="hold_out", test_fraction=0.25)
    assert splits[["repeat", "fold"]].drop_duplicates().to_numpy().tolist() == [[0, 0]]
    tested = splits[splits["role"] == "test"].merge(patients, on="patient_id")
    assert (len(tested), tested["outcome"].sum()) == (20, 5)


def test_splits_depend_on_the_seed_and_not_on_the_order_of_patients(patients, splits):
    again = make_splits(
        patients.sample(frac=1, random_state=3), n_repeats=2, n_inner_folds=4, seed=1
    )
    assert hash_splits(again) == hash_splits(splits)
    other = make_splits(patients, n_repeats=2, n_inner_folds=4, seed=2)
    assert hash_splits(other) != hash_splits(splits)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"n_folds": 21},
            "n_folds must be at most the number of patients with the event (20), got",
        ),
        ({"n_inner_folds": 17}, "with the event outside the test set (16), got 17. Use fewer"),
        ({"n_folds": 1}, "n_folds must be at least 2, got 1."),
        ({"protocol": "bootstrap"}, "protocol must be one of cross_validation, hold_out, leave_"),
        ({"test_fraction": 1.0}, "test_fraction must be between 0 and 1, got 1.0."),
        ({"n_repeats": 0}, "n_repeats must be at least 1, got 0."),
    ],
)
def test_impossible_splits_are_errors(patients, changes, message):
    with pytest.raises(ValueError) as error:  # noqa: PT011
        make_splits(patients, **changes)
    assert message in str(error.value)


def test_splitting_records_is_an_error(patients):
    with pytest.raises(ValueError, match="patients must have one row each, got 80 repeated"):
        make_splits(pd.concat([patients, patients]))


@pytest.fixture
def with_unknown(patients):
    """Return the patients with others between them whose status at the horizon is unknown."""
    ids = [f"P{k:04d}x" for k in range(0, 69, 3)]
    unknown = pd.DataFrame({"patient_id": ids, "outcome": pd.array([pd.NA] * 23, dtype="Int8")})
    return pd.concat([patients, unknown])


@pytest.mark.parametrize("protocol", ["cross_validation", "hold_out"])
def test_unknown_patients_do_not_move_the_split_of_the_others(patients, with_unknown, protocol):
    settings = {"protocol": protocol, "n_repeats": 2, "n_inner_folds": 4, "seed": 1}
    both = make_splits(with_unknown, **settings)
    check_splits(both)
    of_known = both[both["patient_id"].isin(patients["patient_id"])]
    assert hash_splits(of_known) == hash_splits(make_splits(patients, **settings))


def test_unknown_patients_are_tested_once_and_never_fitted_on(with_unknown):
    splits = make_splits(with_unknown, n_repeats=2, n_inner_folds=4, seed=1)
    unknown = splits[splits["patient_id"].str.endswith("x")]
    assert set(unknown["role"]) == {"test", "unlabelled"}
    assert (unknown["inner_fold"] == -1).all()
    tested = unknown[unknown["role"] == "test"]
    assert (tested.groupby(["repeat", "patient_id"]).size() == 1).all()
    assert len(tested) == 2 * 23
    sizes = tested.groupby(["repeat", "fold"]).size()
    assert set(sizes) == {4, 5}
    folds = tested.pivot(index="patient_id", columns="repeat", values="fold")
    assert (folds[0] != folds[1]).any()


def test_a_hold_out_tests_the_same_share_of_unknown_patients(with_unknown):
    splits = make_splits(with_unknown, protocol="hold_out", test_fraction=0.25)
    unknown = splits[splits["patient_id"].str.endswith("x")]
    assert (unknown["role"] == "test").sum() in (5, 6)


def test_an_unknown_patient_in_training_is_found(with_unknown):
    splits = make_splits(with_unknown)
    first = splits.index[splits["role"] == "unlabelled"][0]
    splits.loc[first, ["role", "inner_fold"]] = ["train", 1]
    with pytest.raises(LeakageError, match="unlabelled wherever it is not tested, got 1 also"):
        check_splits(splits)


def test_a_patient_in_two_roles_is_found(splits):
    leak = splits.iloc[[5]].assign(role="train", inner_fold=1)
    with pytest.raises(LeakageError, match="one role in each fold, got 1 with several: P0005"):
        check_splits(pd.concat([splits, leak]))


def test_a_patient_tested_in_two_folds_is_found(splits):
    first = splits.index[(splits["fold"] == 0) & (splits["role"] == "train")][0]
    splits.loc[first, ["role", "inner_fold"]] = ["test", -1]
    with pytest.raises(LeakageError, match="tested once a repeat, got 1 tested in several"):
        check_splits(splits)


def test_a_validation_patient_of_another_inner_fold_is_found(splits):
    splits.loc[splits.index[splits["role"] == "validation"][0], "inner_fold"] = 2
    with pytest.raises(LeakageError, match="inner_fold must be -1 for test and unlabelled, 0 for"):
        check_splits(splits)


def test_a_record_without_a_split_is_found(splits):
    records = pd.DataFrame({"record_id": ["R00001", "R00002"], "patient_id": ["P0001", "P9999"]})
    with pytest.raises(LeakageError, match=r"got 1 records without: R00002. Make the splits"):
        check_splits(splits, records)


def test_fitting_on_test_or_validation_patients_is_found(splits):
    here = splits[(splits["repeat"] == 0) & (splits["fold"] == 2)]
    train = here.loc[here["role"] == "train", "patient_id"]
    check_fitted_on(train, splits, repeat=0, fold=2)
    for role in ("test", "validation"):
        stranger = here.loc[here["role"] == role, "patient_id"].iloc[0]
        with pytest.raises(LeakageError, match=rf"got 1 others \(1 {role}\): {stranger}"):
            check_fitted_on([*train, stranger], splits, repeat=0, fold=2)
    both = here.loc[here["role"] != "test", "patient_id"]
    check_fitted_on(both, splits, repeat=0, fold=2, allowed_roles=("train", "validation"))
    with pytest.raises(LeakageError, match="repeat and fold must be in the splits"):
        check_fitted_on(train, splits, repeat=7, fold=0)


def test_ecgs_after_the_event_and_late_covariates_are_found():
    patients = pd.DataFrame(
        {
            "patient_id": ["P1", "P2"],
            "index_date": pd.to_datetime(["2020-01-01"] * 2),
            "covariates_date": pd.to_datetime(["2019-12-31", None]),
            "event_date": pd.to_datetime(["2020-06-01", None]),
        }
    )
    records = pd.DataFrame(
        {
            "record_id": ["R1", "R2", "R3", "R4"],
            "patient_id": ["P1", "P1", "P1", "P2"],
            "recorded_at": pd.to_datetime(["2020-05-31", "2020-06-01", None, "2022-01-01"]),
        }
    )
    with pytest.raises(LeakageError, match=r"got 1 on or after its day: R2. Remove"):
        check_records_before_event(records, patients)
    check_records_before_event(records[records["record_id"] != "R2"], patients)
    check_covariate_dates(patients)
    patients.loc[1, "covariates_date"] = pd.Timestamp("2020-01-02")
    with pytest.raises(LeakageError, match="got 1 patients with later ones: P2"):
        check_covariate_dates(patients)


def test_identical_files_are_found_across_patients_only():
    records = pd.DataFrame(
        {
            "record_id": list("abcde"),
            "patient_id": ["P1", "P1", "P2", "P3", "P4"],
            "file_sha256": ["x", "x", "x", "y", ""],
        }
    )
    assert find_identical_files(records) == [("a", "c")]


def records_of(n, *, patients=None):
    ids = patients if patients is not None else [f"P{k}" for k in range(n)]
    names = [f"R{k:05d}" for k in range(n)]
    return pd.DataFrame({"record_id": names, "patient_id": ids, "signal_row": range(n)})


def noisy(signal, rng):
    return signal + 0.03 * rng.standard_normal(signal.shape)


def rescaled(signal, rng):
    return 1.6 * signal


def shifted(signal, rng):
    n = int(rng.integers(-1000, 1000))  # samples at 500 Hz
    return signal[max(0, n) : len(signal) + min(0, n)]


def refiltered(signal, rng):
    return SignalChain(rate_hz=500, low_cut_hz=0.05, high_cut_hz=30).apply(signal, 500)


@pytest.mark.parametrize("change", [noisy, rescaled, shifted, refiltered])
def test_changed_copies_are_found_and_only_they(make_ecg, change):
    rng = np.random.default_rng(0)
    chain = SignalChain(pad_short=True)
    originals = [make_ecg(seed) for seed in range(12)]
    signals = np.stack(
        [chain.apply(one, 500) for one in [*originals, *(change(one, rng) for one in originals)]]
    )
    found = find_near_identical(signals, records_of(24), rate_hz=100)
    assert found == [(f"R{k:05d}", f"R{k + 12:05d}") for k in range(12)]


def test_copies_of_one_patient_are_no_leak(make_ecg):
    signals = np.stack([SignalChain().apply(make_ecg(0), 500)] * 2)
    assert find_near_identical(signals, records_of(2, patients=["P1", "P1"]), rate_hz=100) == []


def test_the_search_works_in_blocks(make_ecg, monkeypatch):
    chain = SignalChain()
    signals = np.stack([chain.apply(make_ecg(seed % 20), 500) for seed in range(40)])
    whole = find_near_identical(signals, records_of(40), rate_hz=100)
    monkeypatch.setattr(near_identical, "_BLOCK", 16)
    monkeypatch.setattr(near_identical, "_READ_BLOCK", 20)
    assert find_near_identical(signals, records_of(40), rate_hz=100) == whole
    assert len(whole) == 20


def test_flat_and_too_short_signals_are_no_matches():
    assert find_near_identical(np.zeros((3, 1000, 12)), records_of(3), rate_hz=100) == []
    assert find_near_identical(np.zeros((3, 300, 12)), records_of(3), rate_hz=100) == []


@pytest.mark.parametrize(
    ("n_lost_seconds", "n_different", "is_same"),
    [(0, 0, True), (0, 1, True), (0, 2, False), (2, 1, True), (3, 0, True), (3, 1, False)],
)
def test_one_second_may_differ_where_enough_are_in_common(n_lost_seconds, n_different, is_same):
    rng = np.random.default_rng(0)
    whole = rng.standard_normal((4000, 8))  # at 400 Hz
    other = whole.copy()
    for second in range(4, 4 + n_different):
        other[400 * second : 400 * (second + 1)] += 2 * rng.standard_normal((400, 8))
    found = near_identical._is_same_recording(
        whole, other[400 * n_lost_seconds :], -50 * n_lost_seconds, 0.97
    )
    assert found is is_same


def test_three_seconds_in_common_prove_nothing():
    whole = np.random.default_rng(0).standard_normal((2000, 8))  # 5 s at 400 Hz
    assert near_identical._is_same_recording(whole, whole, 0, 0.97)
    assert not near_identical._is_same_recording(whole, whole[800:], -100, 0.97)


@pytest.mark.real_data
def test_brugada_has_five_recordings_under_two_numbers(data_root, tmp_path):
    cohort = read_brugada_huca(data_root / "brugada_huca", atypical="negative")
    records, rejected, _ = prepare_signals(cohort.records, SignalChain(), tmp_path, n_workers=1)
    # Four files store an aVF that is not II - I/2 (off by 0.36 to 0.46 of the limb leads' size).
    assert len(rejected) == 0
    assert records["quality"].str.contains("aVF").sum() >= 4
    assert rejected["reason"].str.contains("aVF").all()
    original = cohort.identifiers.set_index("record_id")["original_patient_id"]

    def numbers(pairs):
        return {tuple(sorted((original[a], original[b]), key=int)) for a, b in pairs}

    identical = {
        ("841869", "844915"),
        ("972330", "1220716"),
        ("1228746", "1366050"),
        ("1303729", "1307673"),
    }
    # The fifth is moved by a fraction of a sample and scaled by 0.86: a linear filter fitted on
    # one half predicts the other half of it with R2 = 0.99999. Its two diagnoses differ.
    signals = np.load(tmp_path / "signals.npy", mmap_mode="r")
    assert numbers(find_identical_files(records)) == identical
    found = numbers(find_near_identical(signals, records, rate_hz=100))
    assert found == identical | {("1371554", "1381534")}
