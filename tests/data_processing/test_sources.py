"""Opening a cohort by its name."""

import pytest

from data_processing.chain import SignalChain
from data_processing.description import describe_dataset
from data_processing.preparation import prepare_signals
from data_processing.selection import select_cohort
from data_processing.sources import declared_truth, open_cohort


def test_the_simulated_hospital_is_read_like_any_other(parameters, tmp_path):
    simulated = open_cohort(parameters(), private_directory=tmp_path)
    assert simulated.definition.is_synthetic
    assert len(simulated.patients) == 25
    folder = open_cohort(
        parameters(cohort="folder", data_root=str(tmp_path / "hospital")),
        private_directory=tmp_path,
    )
    assert not folder.definition.is_synthetic
    assert folder.records["record_id"].tolist() == simulated.records["record_id"].tolist()
    assert declared_truth(tmp_path)["settings"]["n_patients"] == 25


def test_it_is_simulated_anew_only_when_the_settings_change(parameters, tmp_path):
    open_cohort(parameters(), private_directory=tmp_path)
    table = tmp_path / "hospital" / "patients.csv"
    before = table.stat().st_mtime_ns
    open_cohort(parameters(), private_directory=tmp_path)
    assert table.stat().st_mtime_ns == before
    other = open_cohort(parameters(n_patients=22), private_directory=tmp_path)
    assert len(other.patients) == 22


def test_wrong_names_and_folders_say_what_to_do(parameters, tmp_path):
    with pytest.raises(ValueError, match="cohort must be synthetic_nicm, brugada_huca, ptb"):
        open_cohort(parameters(cohort="nicm"), private_directory=tmp_path)
    with pytest.raises(ValueError, match="data_root must be the folder of your cohort, got ''"):
        open_cohort(parameters(cohort="folder"), private_directory=tmp_path)
    with pytest.raises(FileNotFoundError):
        open_cohort(
            parameters(cohort="brugada_huca", data_root=str(tmp_path / "no")),
            private_directory=tmp_path,
        )


@pytest.mark.real_data
def test_brugada_is_found_by_its_root_or_its_own_folder(parameters, data_root, tmp_path):
    for root in (data_root, data_root / "brugada_huca"):
        cohort = open_cohort(
            parameters(cohort="brugada_huca", data_root=str(root)), private_directory=tmp_path
        )
        assert len(cohort.patients) == 363
        assert cohort.definition.covariates == ()


def test_the_facts_of_a_dataset_are_stated_once(parameters, tmp_path):
    selected = select_cohort(open_cohort(parameters(), private_directory=tmp_path))
    chain = SignalChain(rate_hz=100)
    records, _, _ = prepare_signals(selected.records_to_read, chain, tmp_path, n_workers=1)
    cohort = open_cohort(parameters(), private_directory=tmp_path)
    facts = describe_dataset(
        cohort.definition,
        selected.patients,
        records,
        chain,
        horizon_days=1095,
        protocol="hold_out",
        n_folds=5,
        extra=1,
    )
    assert facts["n_events"] == int(selected.patients["outcome"].sum())
    n_unknown = int(selected.patients["outcome"].isna().sum())
    assert facts["n_unknown_at_horizon"] == n_unknown
    assert facts["n_patients"] == len(selected.patients) - n_unknown
    known = selected.patients.loc[selected.patients["outcome"].notna(), "patient_id"]
    assert facts["n_records"] == records["patient_id"].isin(known).sum()
    first = {row["name"]: row["n_within_horizon"] for row in facts["components"]}
    assert first.pop("death_other") >= 0
    assert sum(first.values()) == facts["n_events"]
    assert (facts["landmark_days"], facts["exclusions"]) == (0, [])
    assert facts["target_label"].endswith("within 1095 days")
    assert facts["n_samples"] == 1000
    assert facts["extra"] == 1
    assert "one split cannot carry a claim" in facts["protocol_label"]
