"""The synthetic hospital folder: schema, labels, bytes, dates; and the settings."""

import json
import re

import numpy as np
import pandas as pd
import pytest
import wfdb

from data_processing.synthetic import (
    ECG_COLUMNS,
    LEADS,
    LGE_PATTERNS,
    PATIENT_COLUMNS,
    SYNTHETIC_LABEL,
    SyntheticSettings,
    draw_ecg_table,
    planted_windows,
    simulate_ecgs,
    simulate_patients,
    write_hospital_folder,
)

SETTINGS = SyntheticSettings(n_patients=25, seed=3)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_hospital_folder(tmp_path_factory.mktemp("synthetic") / "hospital", SETTINGS)


@pytest.fixture(scope="module")
def tables(folder):
    text = {"lge_present": str, "pathogenic_variant": str, "lvef_percent": str}
    patients = pd.read_csv(folder / "patients.csv", dtype=text, keep_default_na=False)
    return patients, pd.read_csv(folder / "ecgs.csv")


@pytest.mark.parametrize(
    ("values", "error", "message"),
    [
        (
            {"n_patients": 0},
            ValueError,
            "n_patients must be between 1 and 2000000, got 0. Choose a value in that range.",
        ),
        (
            {"effect_size": -0.5},
            ValueError,
            "effect_size must be between 0.0 and 5.0, got -0.5. Choose a value in that range.",
        ),
        (
            {"clinical_effect_size": float("nan")},
            ValueError,
            "clinical_effect_size must be between 0.0 and 5.0, got nan. "
            "Choose a value in that range.",
        ),
        (
            {"rate_hz": 50},
            ValueError,
            "rate_hz must be between 100 and 1000, got 50. Choose a value in that range.",
        ),
        (
            {"horizon_days": 5},
            ValueError,
            "horizon_days must be between 30 and 2920, got 5. Choose a value in that range.",
        ),
        (
            {"n_patients": 31.4},
            TypeError,
            "n_patients must be a whole number, got 31.4. Write it without a point.",
        ),
        (
            {"seed": True},
            TypeError,
            "seed must be a whole number, got True. Write it without a point.",
        ),
        (
            {"duration_seconds": "10"},
            TypeError,
            "duration_seconds must be a number, got '10'. Give it as int or float.",
        ),
    ],
)
def test_bad_settings_are_refused(values, error, message):
    with pytest.raises(error, match=f"^{re.escape(message)}$"):
        SyntheticSettings(**values)


def test_patients_table(tables):
    patients, _ = tables
    assert tuple(patients.columns) == PATIENT_COLUMNS
    assert len(patients) == 25
    assert patients["patient_id"].str.fullmatch(r"SYN-\d{5}").all()
    assert set(patients["sex"]) == {"male", "female"}
    assert set(patients["lge_present"]) <= {"0", "1", ""}
    assert set(patients["pathogenic_variant"]) <= {"0", "1", ""}
    assert set(patients["lge_pattern"]) <= {*LGE_PATTERNS, ""}
    assert patients["lvef_percent"].str.fullmatch(r"\d*").all()
    for name in ("index_date", "covariates_date", "last_contact_date"):
        assert patients[name].str.fullmatch(r"\d{4}-\d\d-\d\d").all()
    assert ((patients["event_type"] == "") == (patients["event_date"] == "")).all()


def test_no_hidden_value_is_handed_over(tables):
    patients, ecgs = tables
    truth = simulate_patients(SETTINGS)
    names = {*patients.columns, *ecgs.columns}
    assert not names & {"true_risk", "ecg_latent", "clinical_latent", "event", "n_ecgs"}
    pattern = patients["lge_pattern"].replace("", None)
    assert pattern.isna().sum() >= truth["lge_pattern"].isna().sum()


def test_ecgs_table(folder, tables):
    patients, ecgs = tables
    assert tuple(ecgs.columns) == ECG_COLUMNS
    counts = ecgs["patient_id"].value_counts()
    assert set(counts.index) == set(patients["patient_id"])
    assert counts.between(1, 6).all()
    joined = ecgs.merge(patients, on="patient_id", validate="many_to_one")
    day = pd.to_datetime(joined["recorded_at"]).dt.normalize()
    before = (pd.to_datetime(joined["index_date"]) - day).dt.days
    assert before.between(0, 365).all()
    assert before.groupby(joined["patient_id"]).min().le(30).all()
    assert ecgs["ecg_file"].is_unique
    assert ecgs["ecg_file"].str.fullmatch(r"ecg/SYN-E\d{6}").all()
    assert all((folder / f"{name}.hea").is_file() for name in ecgs["ecg_file"])
    assert len(list((folder / "ecg").iterdir())) == 2 * len(ecgs)


def test_file_names_do_not_know_patient_or_outcome():
    settings = SyntheticSettings(n_patients=2000)
    patients = simulate_patients(settings)
    table = draw_ecg_table(patients, settings)
    number = table["ecg_file"].str[-6:].astype(int)
    event = patients["event"].to_numpy()[table["patient_number"]] == 1
    assert abs(np.corrcoef(number, event)[0, 1]) < 0.04
    assert abs(np.corrcoef(number, table["patient_number"])[0, 1]) < 0.04
    assert (
        abs(np.corrcoef(patients["patient_id"].str[4:].astype(int), patients["true_risk"])[0, 1])
        < 0.07
    )


def test_wfdb_gives_back_what_was_simulated(folder):
    patients = simulate_patients(SETTINGS)
    table = draw_ecg_table(patients, SETTINGS).iloc[:3]
    rows = patients.iloc[table["patient_number"].to_numpy()].assign(
        ecg_number=table["ecg_number"].to_numpy()
    )
    signals, _ = simulate_ecgs(rows, SETTINGS)
    for signal, ecg in zip(signals, table.itertuples(), strict=True):
        record = wfdb.rdrecord(str(folder / ecg.ecg_file))
        assert record.fs == 500
        assert tuple(record.sig_name) == LEADS
        assert record.units == ["mV"] * 12
        assert record.comments == [SYNTHETIC_LABEL]
        assert record.base_datetime == ecg.recorded_at
        np.testing.assert_allclose(record.p_signal, signal, atol=0.000502)
        one, two, three = record.p_signal[:, :3].T
        assert np.abs(three - (two - one)).max() < 0.0016
        assert np.abs(record.p_signal[:, 3:6].sum(axis=1)).max() < 0.0016


def test_our_wfdb_writer_agrees_with_the_wfdb_package(folder, tmp_path):
    path = sorted((folder / "ecg").glob("*.hea"))[0].with_suffix("")
    ours = wfdb.rdrecord(str(path), physical=False)
    wfdb.wrsamp(
        path.name, fs=500, units=["mV"] * 12, sig_name=list(LEADS), d_signal=ours.d_signal,
        fmt=["16"] * 12, adc_gain=[1000.0] * 12, baseline=[0] * 12, comments=[SYNTHETIC_LABEL],
        base_time=ours.base_time, base_date=ours.base_date, write_dir=str(tmp_path),
    )  # fmt: skip
    theirs = wfdb.rdrecord(str(tmp_path / path.name), physical=False)
    assert path.with_suffix(".dat").read_bytes() == (tmp_path / f"{path.name}.dat").read_bytes()
    for name in ("checksum", "init_value", "adc_gain", "baseline", "adc_zero", "fmt", "sig_len"):
        assert getattr(ours, name) == getattr(theirs, name), name


def test_same_settings_same_bytes_and_other_seed_others(tmp_path):
    small = SyntheticSettings(n_patients=4, duration_seconds=2.0, seed=6)
    one, two = (write_hospital_folder(tmp_path / name, small) for name in ("one", "two"))
    files = sorted(path.relative_to(one) for path in one.rglob("*") if path.is_file())
    assert files == sorted(path.relative_to(two) for path in two.rglob("*") if path.is_file())
    assert all((one / name).read_bytes() == (two / name).read_bytes() for name in files)
    other = SyntheticSettings(n_patients=4, duration_seconds=2.0, seed=7)
    three = write_hospital_folder(tmp_path / "three", other)
    assert (one / "patients.csv").read_bytes() != (three / "patients.csv").read_bytes()


def test_truth_and_readme_say_synthetic(folder):
    truth = json.loads((folder / "truth.json").read_text(encoding="utf-8"))
    assert truth["label"] == SYNTHETIC_LABEL
    assert SyntheticSettings(**truth["settings"]) == SETTINGS
    assert truth["oracle_auroc"]["ecg"] == pytest.approx(0.75, abs=0.01)
    assert truth["oracle_auroc"]["clinical"] == pytest.approx(0.68, abs=0.01)
    assert [row["signature"] for row in truth["planted_windows"]] == list(
        planted_windows()["signature"]
    )
    assert truth["n_patients"] == 25
    assert (folder / "README.txt").read_text(encoding="utf-8").startswith("SYNTHETIC")


def test_a_folder_that_holds_something_is_refused(folder):
    message = (
        "directory must be new or empty, got 'hospital', which holds something. "
        "Choose another folder or remove this one."
    )
    with pytest.raises(FileExistsError, match=f"^{re.escape(message)}$"):
        write_hospital_folder(folder, SETTINGS)


def test_an_interrupted_write_leaves_nothing(tmp_path):
    def stop(n_written: int, n_ecgs: int) -> None:
        raise KeyboardInterrupt

    small = SyntheticSettings(n_patients=3, duration_seconds=2.0)
    with pytest.raises(KeyboardInterrupt):
        write_hospital_folder(tmp_path / "cohort", small, progress=stop)
    assert list(tmp_path.iterdir()) == []
