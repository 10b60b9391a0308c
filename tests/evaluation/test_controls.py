"""Negative controls: a planted shortcut is found, chance is not called a finding."""

import numpy as np
import pandas as pd
import pytest

from evaluation.controls import (
    control_rows,
    control_table,
    control_warning,
    record_traits,
    score_row,
)
from evaluation.discrimination import auroc
from evaluation.resampling import BootstrapPlan

PLAN = BootstrapPlan(n_resamples=300, method="percentile")
N = 200


@pytest.fixture(scope="module")
def outcomes():
    rng = np.random.default_rng(5)
    return pd.Series((rng.random(N) < 0.3).astype(int), index=[f"P{k:03d}" for k in range(N)])


@pytest.fixture(scope="module")
def test_rows(outcomes):
    fold = np.random.default_rng(6).permutation(np.arange(N) % 5)
    columns = {"patient_id": outcomes.index, "repeat": 0, "fold": fold}
    return pd.DataFrame({**columns, "y_true": outcomes.to_numpy()})


def records_of(outcomes, *, more_ecgs_for_events=False, device_of_events=""):
    """Return a table of ECGs; a shortcut can be planted."""
    rng = np.random.default_rng(8)
    rows = []
    for patient, outcome in outcomes.items():
        n = rng.integers(1, 4) + 2 * outcome * more_ecgs_for_events
        for _ in range(n):
            is_telling = device_of_events and outcome and rng.random() < 0.7
            rows.append(
                {
                    "patient_id": patient,
                    "recorded_at": pd.Timestamp(2010, 1, 1) + pd.Timedelta(days=rng.integers(900)),
                    "rate_hz": 500.0,
                    "source_format": device_of_events if is_telling else "WFDB",
                    "heart_rate_bpm": rng.normal(75, 12),
                    "quality": "good" if rng.random() < 0.8 else "flagged: noise: V1",
                }
            )
    table = pd.DataFrame(rows)
    return table.assign(signal_row=rng.permutation(len(table)))


def table_of(test_rows, outcomes, records):
    return pd.DataFrame(control_rows(test_rows, outcomes, record_traits(records), PLAN))


def test_without_a_shortcut_nothing_is_found(test_rows, outcomes):
    table = table_of(test_rows, outcomes, records_of(outcomes))
    assert table["what"].tolist() == [
        "number of ECGs",
        "date of the ECGs",
        "share of flagged ECGs",
        "order of the files",
        "heart rate",
    ]
    assert (table["p_value"] > 0.05).all()
    assert control_warning(table) == ""
    assert (table["n"] == N).all()


def test_more_ecgs_of_the_sick_are_found(test_rows, outcomes):
    table = table_of(test_rows, outcomes, records_of(outcomes, more_ecgs_for_events=True))
    row = table.set_index("what").loc["number of ECGs"]
    assert row["estimate"] > 0.85
    assert row["p_value"] < 0.02
    assert control_warning(table).startswith(
        "The outcome can be told without looking at the ECG, from number of ECGs (AUROC 0.9"
    )


def test_a_device_of_the_sick_is_found_though_it_is_a_word(test_rows, outcomes):
    table = table_of(test_rows, outcomes, records_of(outcomes, device_of_events="DICOM"))
    row = table.set_index("what").loc["file format"]
    assert row["ci_low"] > 0.6
    assert row["p_value"] < 0.02


def test_a_trait_is_learnt_outside_the_test_fold(outcomes):
    # In each fold the trait points the other way: learnt elsewhere it must do worse than chance.
    fold = np.arange(N) % 2
    rows = pd.DataFrame({"patient_id": outcomes.index, "repeat": 0, "fold": fold})
    rows["y_true"] = outcomes.to_numpy()
    values = np.where(fold == 0, outcomes, -outcomes) + 0.01 * np.arange(N) / N
    traits = pd.DataFrame({"turning": values}, index=outcomes.index)
    (row,) = control_rows(rows, outcomes, traits, PLAN)
    assert row["estimate"] < 0.1


def test_the_permutation_of_frozen_scores(test_rows):
    rng = np.random.default_rng(2)
    noise = rng.random(N)
    useless = score_row("ECG", test_rows.assign(y_score=noise), PLAN)
    assert useless["p_value"] > 0.05
    useful = score_row("ECG", test_rows.assign(y_score=noise + test_rows["y_true"]), PLAN)
    assert useful["p_value"] == pytest.approx(1 / 1001)
    by_fold = test_rows.assign(y_score=noise).groupby("fold")
    mean = np.mean([auroc(rows["y_true"], rows["y_score"]) for _, rows in by_fold])
    assert useless["estimate"] == pytest.approx(mean)


def test_p_values_of_unrelated_scores_are_uniform(test_rows):
    rng = np.random.default_rng(3)
    plan = BootstrapPlan(n_resamples=100, method="percentile")
    found = [
        score_row("ECG", test_rows.assign(y_score=rng.random(N)), plan)["p_value"]
        for _ in range(60)
    ]
    assert 0.35 < np.mean(found) < 0.65
    assert np.mean(np.array(found) < 0.2) < 0.4


def test_traits_are_tried_in_the_repeats_all_variants_have(test_rows, outcomes):
    rng = np.random.default_rng(4)
    scored = test_rows.assign(y_score=rng.random(N))
    both = {"clinical": pd.concat([scored, scored.assign(repeat=1)]), "ecg": scored}
    traits = record_traits(records_of(outcomes))
    table = control_table(both, outcomes, traits, PLAN).set_index("what")
    alone = control_table({"ecg": scored}, outcomes, traits, PLAN).set_index("what")
    for what in traits:
        assert table.loc[what, "estimate"] == alone.loc[what, "estimate"]
