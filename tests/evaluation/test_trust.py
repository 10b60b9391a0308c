from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from evaluation import trust
from evaluation.resampling import BootstrapPlan
from evaluation.trust import coverage_table, interval_trust, study_method, trust_table

IN_FOLDS = "mean of 5 folds; bootstrap of patients within strata, bca, 2000 resamples"
DELONG = "DeLong, logit scale, conditional on the fitted models"


def row(n_patients, events, coverage, *, auroc=0.75, method="DeLong, logit", **more):
    values = {"metric": "auroc_pooled", "method": method, "n_patients": n_patients}
    values |= {"expected_events": events, "auroc": auroc, "spread": 1.0, "n_ecgs": 1}
    return values | {"coverage": coverage, "n_simulations": 500} | more


@pytest.fixture
def study(monkeypatch):
    """A small study: few events fail, many hold, AUROC near 1 fails in the middle."""
    rows = [
        row(63, 6.3, 0.88),
        row(63, 10.7, 0.935),
        row(314, 53.4, 0.95),
        row(314, 53.4, 0.91, auroc=0.95),
        row(2000, 340.0, 0.952),
        row(2000, 340.0, 0.948, auroc=0.95),
        row(63, 10.7, 0.99, method="Newcombe"),
        row(63, 10.7, 0.6, method="bootstrap of patients, bca", metric="auroc_records"),
    ]
    monkeypatch.setattr(trust, "coverage_table", lambda: pd.DataFrame(rows))


@pytest.mark.parametrize(
    ("metric", "method", "expected"),
    [
        ("auroc_mean_within_fold", IN_FOLDS, "bootstrap within outcome, bca"),
        ("delta_auroc_pooled", "paired: DeLong, t, conditional on", "DeLong, t"),
        ("delta_brier", "paired: bootstrap of patients, percentile, 200", "bootstrap, percentile"),
        ("auroc_records", "bootstrap of patients within strata, bca", "bootstrap of patients, bca"),
        ("auroc_pooled", DELONG, "DeLong, logit"),
        ("delta_auroc_pooled", "paired: DeLong, conditional on", "DeLong"),
        ("sensitivity", "threshold: Youden index; Wilson", "Wilson"),
        ("calibration_slope", "logistic model, Wald", "Wald"),
        ("auroc_pooled", "DeLong, logit scale; no interval: no variance", ""),
    ],
)
def test_methods_in_words_are_those_of_the_study(metric, method, expected):
    assert study_method(metric, method) == expected


@pytest.mark.usefixtures("study")
class TestRule:
    def test_enough_events_pass_in_silence(self):
        assert interval_trust("auroc_pooled", DELONG, 2500, 350) == ""

    def test_the_worst_auroc_speaks(self):
        assert interval_trust("auroc_pooled", DELONG, 314, 53) == (
            "In simulation with 314 patients, about 53 events and a true AUROC of 0.95, such 95 % "
            "intervals held the truth in 91 %: too narrow."
        )

    def test_cells_with_more_patients_or_events_do_not_vouch(self):
        assert interval_trust("auroc_pooled", DELONG, 70, 12) != ""  # 6.3 events are near enough
        assert "63 patients, about 6 events" in interval_trust("auroc_pooled", DELONG, 70, 9)
        assert "314 patients" in interval_trust("auroc_pooled", DELONG, 1500, 300)

    def test_the_noise_of_the_simulation_is_granted(self, monkeypatch):
        for coverage, is_silent in ((0.922, True), (0.918, False)):  # 0.93 less 0.0114
            table = pd.DataFrame([row(314, 53.4, coverage)])
            monkeypatch.setattr(trust, "coverage_table", lambda table=table: table)
            assert (interval_trust("auroc_pooled", DELONG, 314, 53) == "") == is_silent

    def test_below_the_smallest_the_smallest_speaks(self):
        assert "in 88 %" in interval_trust("auroc_pooled", DELONG, 20, 2)

    def test_overcoverage_is_called_safe(self):
        text = interval_trust("auroc_pooled", "Newcombe", 63, 11)
        assert text.endswith("in 99 %: wider than need be, on the safe side.")

    def test_what_was_not_simulated_says_so(self):
        expected = "The coverage of this interval was not simulated."
        assert interval_trust("auroc_pooled", "credible", 63, 11) == expected
        assert interval_trust("prevalence", "Wilson", 63, 11) == expected

    def test_table_gains_two_columns(self):
        rows = pd.DataFrame(
            {
                "metric": ["auroc_pooled", "auroc_pooled", "auroc_pooled"],
                "level": ["patient", "patient", "record"],
                "method": [
                    DELONG,
                    "not estimable: one outcome class",
                    "bootstrap of patients, bca",
                ],
                "n": [63, 63, 315],
                "n_events": [11, 11, 55],
            }
        )
        table = trust_table(rows)
        np.testing.assert_array_equal(table["coverage"], [0.88, np.nan, 0.6])
        assert table["trust"].str.len().gt(0).to_list() == [True, False, True]
        assert table["n"].to_list() == [63, 63, 315]


def test_the_study_that_ships_is_whole():
    table = coverage_table()
    assert table["coverage"].dropna().between(0, 1).all()
    assert (table["n_simulations"] >= 500).all()
    keys = ["metric", "method", "n_patients", "prevalence", "n_ecgs", "auroc", "spread"]
    assert not table.duplicated(keys).any()


@pytest.mark.parametrize("kind", ["bca", "percentile"])
def test_the_study_knows_the_default_intervals(kind):
    assert BootstrapPlan(method=kind).method == kind
    method = f"bootstrap of patients within strata, {kind}, 2000 resamples"
    assert study_method("auroc_pooled", method) in set(coverage_table()["method"])
