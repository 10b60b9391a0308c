"""Simulated single splits: designs, seeds, calibration, and what the tables count."""

import numpy as np
import pandas as pd
import pytest

from evaluation.discrimination import auroc
from evaluation.single_split import (
    FOLD,
    SPLIT,
    _aurocs,
    calibrate,
    random_folds,
    random_splits,
    simulate_block,
)
from evaluation.single_split_tables import (
    best_of_table,
    interval_table,
    reported_aurocs,
    share_table,
    spread_table,
)
from evaluation.surrogate import Protocol

SMALL = Protocol(n_dimensions=4, n_resamples=100)


@pytest.fixture(scope="module")
def simulated():
    """Return twelve cohorts each at three separations."""
    blocks = [
        simulate_block(
            SMALL, separation, truth=truth, cohorts=range(12), n_splits=6, n_repeated=3, seed=1
        )
        for truth, separation in ((0.5, 0.0), (0.75, 1.0), (0.98, 3.0))
    ]
    return pd.concat(blocks, ignore_index=True)


def test_splits_hold_a_fifth_of_each_class_and_folds_part_the_patients():
    outcome = SMALL.outcome
    rng = np.random.default_rng(0)
    splits = random_splits(outcome, n_splits=3, test_share=0.2, rng=rng)
    assert (splits.sum(axis=1) == 63).all()
    assert (splits[:, outcome == 1].sum(axis=1) == SMALL.n_test_events).all()
    assert not (splits[0] == splits[1]).all()
    folds = random_folds(outcome, n_folds=5, rng=rng)
    assert (folds.sum(axis=0) == 1).all()
    assert folds[:, outcome == 1].sum(axis=1).min() >= 3


def test_the_fast_auroc_is_the_auroc():
    rng = np.random.default_rng(0)
    outcome = SMALL.outcome
    scores = rng.standard_normal((2, outcome.size))
    held = random_splits(outcome, n_splits=2, test_share=0.2, rng=rng)
    expected = [auroc(outcome[h], s[h]) for s, h in zip(scores, held, strict=True)]
    assert _aurocs(outcome, scores, held) == pytest.approx(expected)


def test_a_cohort_is_the_same_in_whatever_block_it_is_simulated(simulated):
    again = simulate_block(
        SMALL, 1.0, truth=0.75, cohorts=[5], n_splits=6, n_repeated=3, seed=1
    ).reset_index(drop=True)
    of_block = simulated[(simulated["truth"] == 0.75) & (simulated["cohort"] == 5)]
    pd.testing.assert_frame_equal(again, of_block.reset_index(drop=True))


def test_every_cohort_has_its_splits_and_folds(simulated):
    counts = simulated.groupby(["truth", "cohort", "design"]).size().unstack()
    assert (counts[SPLIT] == 6).all()
    assert sorted(counts[FOLD].unique()) == [5, 50]


def test_calibration_reaches_the_truth_in_other_cohorts():
    separation = calibrate(SMALL, 0.75, n_cohorts=60, seed=3)
    fresh = simulate_block(SMALL, separation, truth=0.75, cohorts=range(60), n_splits=2, seed=4)
    splits = fresh[fresh["design"] == SPLIT]
    assert splits["true_patient"].mean() == pytest.approx(0.75, abs=0.02)


def test_a_truth_no_model_can_have_is_refused():
    with pytest.raises(ValueError, match=r"truth must be above 0\.\d+ and below .* got 0\.4\."):
        calibrate(SMALL, 0.4, n_cohorts=2)


def test_without_signal_the_truth_is_chance(simulated):
    null = simulated[simulated["truth"] == 0.5]
    assert null["true_patient"].to_numpy() == pytest.approx(0.5)
    assert null["auroc_patient"].mean() == pytest.approx(0.5, abs=0.05)


def test_the_share_rises_with_the_truth_and_with_the_number_of_splits(simulated):
    shares = share_table(reported_aurocs(simulated, best_of=(1, 6)), published=0.8)
    table = shares.pivot_table("share", index="truth", columns="method")
    assert table.columns.tolist() == ["10 x 5-fold", "5-fold", "best of 6 splits", "one split"]
    assert (table.diff().iloc[1:] >= 0).all(axis=None)
    assert (table["best of 6 splits"] >= table["one split"]).all()
    assert table.loc[0.98, "one split"] > table.loc[0.5, "one split"]
    assert shares["share"].between(shares["share_low"] - 1e-9, shares["share_high"] + 1e-9).all()


def test_cross_validation_spreads_less_than_one_split(simulated):
    shares = share_table(reported_aurocs(simulated), published=0.8)
    spread = shares.pivot_table("sd", index="truth", columns="method")
    assert (spread["5-fold"] < spread["one split"]).loc[[0.5, 0.75]].all()


def test_the_tables_against_numbers_worked_by_hand():
    ends = {f"{name}_{end}": np.nan for name in ("patient_bootstrap", "patient_delong")
            for end in ("low", "high")}  # fmt: skip
    rows = [
        (0, SPLIT, 0, 0.9, 0.7, 0.6, 0.95),
        (0, SPLIT, 1, 0.8, 0.6, np.nan, np.nan),
        (0, FOLD, 0, 0.6, 0.65, np.nan, np.nan),
        (0, FOLD, 1, 0.8, 0.75, np.nan, np.nan),
        (1, SPLIT, 0, 0.5, 0.7, 0.4, 0.6),
        (1, SPLIT, 1, 0.95, 0.8, np.nan, np.nan),
        (1, FOLD, 0, 0.7, 0.7, np.nan, np.nan),
        (1, FOLD, 1, 0.9, 0.7, np.nan, np.nan),
    ]
    names = ["cohort", "design", "number", "auroc_patient", "true_patient"]
    table = pd.DataFrame(rows, columns=[*names, "ecg_bootstrap_low", "ecg_bootstrap_high"])
    table = table.assign(
        truth=0.7, auroc_ecg=table["auroc_patient"], true_ecg=table["true_patient"], **ends
    )
    shares = share_table(reported_aurocs(table, best_of=(1, 2)), published=0.86)
    assert dict(zip(shares["method"], shares["share"], strict=True)) == {
        "one split": 0.5,
        "best of 2 splits": 1.0,
        "2-fold": 0.0,
    }
    assert shares.set_index("method").loc["best of 2 splits", "mean_true"] == pytest.approx(0.75)
    assert best_of_table(table)["median"].tolist() == pytest.approx([0.7, 0.925])
    intervals = interval_table(table).set_index("interval")
    ecg = intervals.loc["ecg_bootstrap"]
    assert (ecg["coverage"], ecg["share_with_half"]) == (0.5, 0.5)
    assert ecg["median_width"] == pytest.approx(0.275)
    assert intervals.loc["patient_delong", "n_without"] == 2


def test_the_spread_of_networks_stands_beside_that_of_the_surrogate(simulated):
    networks = pd.DataFrame({"auroc_patient": [0.7, 0.8, 0.9], "true_patient": [0.7, 0.7, 0.7]})
    spread = spread_table(networks, simulated).set_index("source")
    found = spread.loc["networks"]
    assert (found["n_models"], found["sd_error"]) == (3, pytest.approx(0.1))
    # chi squared with 2 degrees of freedom has the quantiles -2 log(1 - p)
    limits = 0.1 * np.sqrt(2 / (-2 * np.log([0.025, 0.975])))
    assert (found["sd_low"], found["sd_high"]) == pytest.approx(tuple(limits))
    assert spread.loc["surrogate", "n_models"] == 36
