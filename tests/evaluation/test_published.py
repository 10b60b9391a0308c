"""What published numbers allow: worked by hand, there and back, and bad input."""

import math

import pytest
from scipy.stats import norm

from evaluation.claims import INCONCLUSIVE
from evaluation.published import (
    FORMULAS,
    allowed_sentences,
    compared_aurocs,
    hanley_mcneil_error,
    implied_events,
    least_correlation,
    smallest_detectable_gain,
)

Z = norm.ppf(0.975)


def test_the_formula_of_hanley_and_mcneil_worked_by_hand():
    # A = 0.8, 10 and 20 patients: Q1 = 2/3, Q2 = 1.28/1.8
    variance = (0.16 + 9 * (2 / 3 - 0.64) + 19 * (1.28 / 1.8 - 0.64)) / 200
    found = hanley_mcneil_error(0.8, n_patients=30, prevalence=1 / 3)
    assert found == pytest.approx(math.sqrt(variance))


@pytest.mark.parametrize("name", FORMULAS)
@pytest.mark.parametrize("n_events", [3, 7, 20])
def test_the_events_behind_an_interval_are_found_again(name, n_events):
    error = FORMULAS[name](0.7, n_patients=100, prevalence=n_events / 100)
    low, high = 0.7 - Z * error, 0.7 + Z * error
    table = implied_events(0.7, low, min(high, 1.0), 100)
    found = table[(table["formula"] == name) & (table["reading"] == "lower half")]
    assert found["n_events"].item() == pytest.approx(n_events)
    assert found["standard_error"].item() == pytest.approx(error)


def test_the_logit_reading_is_left_out_where_the_interval_ends_at_one():
    assert set(implied_events(0.86, 0.57, 1.0, 63)["reading"]) == {"lower half", "whole width"}
    assert "logit" in set(implied_events(0.86, 0.57, 0.97, 63)["reading"])


def test_an_interval_too_narrow_for_any_number_of_events_has_none():
    assert implied_events(0.86, 0.855, 0.865, 63)["n_events"].isna().all()


@pytest.mark.parametrize("numbers", [(0.86, 0.9, 1.0), (0.86, 0.5, 0.8), (0.4, 0.3, 0.5)])
def test_numbers_that_are_no_auroc_in_its_interval_are_refused(numbers):
    with pytest.raises(ValueError, match="Copy the three numbers as published"):
        implied_events(*numbers, 63)


def test_a_difference_worked_by_hand():
    table = compared_aurocs(0.8, 0.6, n_patients=100, n_events=[20], correlations=(0.0, 0.5))
    first, second = (FORMULAS["Newcombe"](a, n_patients=100, prevalence=0.2) for a in (0.8, 0.6))
    error = math.sqrt(first**2 + second**2)
    row = table.iloc[0]
    assert row["ci_low"] == pytest.approx(0.2 - Z * error)
    assert row["p_value"] == pytest.approx(2 * norm.sf(0.2 / error))
    assert row["power"] == pytest.approx(norm.cdf(0.2 / error - Z) + norm.cdf(-0.2 / error - Z))
    assert row["verdict"] == "adds"
    half = math.sqrt(first**2 + second**2 - first * second)
    assert table.iloc[1]["standard_error"] == pytest.approx(half)


def test_under_ten_events_every_comparison_is_inconclusive():
    table = compared_aurocs(0.86, 0.53, n_patients=63, n_events=[2, 3, 9])
    assert set(table["verdict"]) == {INCONCLUSIVE}


def test_a_correlation_narrows_the_interval():
    table = compared_aurocs(0.86, 0.53, n_patients=63, n_events=[3])
    assert table["standard_error"].is_monotonic_decreasing


def test_the_smallest_detectable_gain_has_the_stated_power():
    table = smallest_detectable_gain(0.7, n_patients=1000, n_events=[200], correlations=(0.5,))
    gain = table["smallest_detectable"].item()
    seen = compared_aurocs(0.7 + gain, 0.7, n_patients=1000, n_events=[200], correlations=(0.5,))
    assert seen["power"].item() == pytest.approx(0.8, abs=0.005)


def test_three_events_cannot_show_any_gain_on_top_of_086():
    table = smallest_detectable_gain(0.86, n_patients=63, n_events=[3])
    assert table["smallest_detectable"].isna().all()


def test_at_the_least_correlation_p_is_005():
    size = {"n_patients": 63, "n_events": 3}
    rho = least_correlation(0.86, 0.53, **size)
    seen = compared_aurocs(0.86, 0.53, n_patients=63, n_events=[3], correlations=(rho,))
    assert seen["p_value"].item() == pytest.approx(0.05)


def test_the_published_numbers_in_words():
    lines = allowed_sentences(0.86, 0.57, 1.0, 0.53, n_patients=63)
    assert lines[0] == (
        "AUROC 0.86 (0.57 to 1) is compatible with about 2 to 5 events among 63 test patients."
    )
    assert "With 2 events, 0.86 against 0.53" in lines[1]
    assert "p is below 0.05 if they correlate at more than 0.59." in lines[1]
    assert "p is below 0.05 whatever the correlation." in lines[2]
    assert all("By the rule of this project: inconclusive." in line for line in lines[1:3])
    assert "not even to a perfect 1" in lines[3]


def test_many_patients_have_a_smallest_gain_in_words():
    lines = allowed_sentences(0.7, 0.66, 0.74, 0.6, n_patients=2000)
    assert "smaller ones are not excluded" in lines[-1]


def test_an_interval_no_number_of_events_gives_is_refused():
    with pytest.raises(ValueError, match="Check the number of test patients"):
        allowed_sentences(0.86, 0.855, 0.865, 0.53, n_patients=63)
