"""Leave-one-site-out: the folds are the sites, and no hospital's name leaves the private folder."""

import numpy as np
import pandas as pd
import pytest
import yaml

from data_processing.cohort import read_cohort
from data_processing.leakage import check_splits
from data_processing.mapping import read_mapping
from data_processing.selection import select_cohort
from data_processing.splits import make_splits, site_names
from data_processing.synthetic import SyntheticSettings, write_hospital_folder


@pytest.fixture
def patients():
    """80 patients of four sites; the smallest has one event."""
    names = np.repeat(["site 10", "site 2", "site 1", "site 3"], [30, 25, 20, 5])
    outcome = (np.arange(80) % 4 == 0).astype(int)
    outcome[75:] = [1, 0, 0, 0, 0]
    ids = [f"P{number:04d}" for number in range(80)]
    return pd.DataFrame({"patient_id": ids, "outcome": outcome, "site": names})


def test_each_site_is_one_test_fold_in_the_order_of_its_number(patients):
    splits = make_splits(patients, protocol="leave_one_site_out", n_inner_folds=3)
    check_splits(splits)
    assert site_names(patients) == ["site 1", "site 2", "site 3", "site 10"]
    tested = splits[splits["role"] == "test"].merge(patients, on="patient_id")
    assert tested.groupby("fold")["site"].unique().map(list).tolist() == [
        ["site 1"], ["site 2"], ["site 3"], ["site 10"],
    ]  # fmt: skip
    assert len(tested) == len(patients)  # also the site with a single event
    rest = splits[splits["role"] != "test"]
    assert set(rest["inner_fold"]) == {0, 1, 2}
    for fold, rows in rest.groupby("fold"):
        inside = set(rows["patient_id"]) & set(tested.loc[tested["fold"] == fold, "patient_id"])
        assert not inside


def test_the_order_of_the_rows_changes_nothing(patients):
    settings = {"protocol": "leave_one_site_out", "n_inner_folds": 3, "seed": 2}
    again = make_splits(patients.sample(frac=1, random_state=1), **settings)
    pd.testing.assert_frame_equal(make_splits(patients, **settings), again)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda p: p.drop(columns="site"),
            "site_column must be a column of the patients, got none",
        ),
        (lambda p: p.assign(site="a"), "site must be known .* got 1 sites and 0 patients without"),
        (
            lambda p: p.assign(site=p["site"].mask(p.index < 3)),
            "got 4 sites and 3 patients without",
        ),
    ],
)
def test_sites_that_are_not_known_are_an_error(patients, change, message):
    with pytest.raises(ValueError, match=message):
        make_splits(change(patients), protocol="leave_one_site_out")


def test_several_repeats_of_the_same_sites_are_an_error(patients):
    with pytest.raises(ValueError, match=r"n_repeats must be 1 for leave_one_site_out, got 3"):
        make_splits(patients, protocol="leave_one_site_out", n_repeats=3)


@pytest.fixture(scope="module")
def hospital(tmp_path_factory):
    """A simulated folder whose patients come from three named hospitals, and its mapping."""
    folder = tmp_path_factory.mktemp("sites") / "hospital"
    write_hospital_folder(folder, SyntheticSettings(n_patients=30, seed=1))
    table = pd.read_csv(folder / "patients.csv", dtype=str, keep_default_na=False)
    table["clinic"] = np.resize(["Santa Maria", "Charite", "Kantonsspital"], len(table))
    table.to_csv(folder / "patients.csv", index=False)
    mapping = {
        "title": "Three hospitals",
        "target": "sva",
        "folder": "hospital",
        "tables": {"patients": "patients.csv", "ecgs": "ecgs.csv"},
        "columns": {
            "patient": "patient_id",
            "ecg_file": "ecg_file",
            "ecg_date": "recorded_at",
            "site": "clinic",
        },
        "outcome": {
            "event_type": "event_type",
            "events": sorted(set(table["event_type"]) - {""}),
            "event_date": "event_date",
            "last_contact": "last_contact_date",
            "index_date": "index_date",
            "covariates_date": "covariates_date",
        },
    }
    path = folder.parent / "three.yaml"
    path.write_text(yaml.safe_dump(mapping))
    return path


def test_the_name_of_a_hospital_stays_in_the_private_table(hospital):
    definition, folder = read_mapping(hospital)
    cohort = read_cohort(folder, definition)
    selected = select_cohort(cohort, ecgs_after_event="drop")
    assert sorted(selected.patients["site"].unique()) == ["site 1", "site 2", "site 3"]
    for table in (cohort.patients, cohort.records, selected.patients, selected.records_to_read):
        assert not table.astype(str).isin(["Santa Maria", "Charite", "Kantonsspital"]).any().any()
    known = cohort.identifiers.merge(cohort.patients[["patient_id", "site"]], on="patient_id")
    pairs = known[["original_site", "site"]].drop_duplicates()
    assert len(pairs) == 3
    assert set(pairs["original_site"]) == {"Santa Maria", "Charite", "Kantonsspital"}


def test_a_covariate_must_not_take_the_name_of_the_label(hospital, tmp_path):
    content = yaml.safe_load(hospital.read_text())
    content["covariates"] = [{"name": "site", "kind": "number", "label": "Site"}]
    path = tmp_path / "clash.yaml"
    path.write_text(yaml.safe_dump(content))
    with pytest.raises(ValueError, match=r"covariates\[1\].column must not be"):
        read_mapping(path)
