"""Aalen-Johansen and Kaplan-Meier by hand, with ties, against lifelines, and in their limits."""

import numpy as np
import pytest
from lifelines import AalenJohansenFitter, KaplanMeierFitter

from evaluation.incidence import incidence_at, incidence_curves
from evaluation.survival import FollowUp, observed_risk_statistic


@pytest.fixture(scope="module")
def followed():
    """Return 200 patients with untied times and all three states."""
    rng = np.random.default_rng(5)
    times = rng.exponential([[900.0], [1500.0], [1800.0]], size=(3, 200))
    return FollowUp(times.min(axis=0), np.array([1, 2, 0])[times.argmin(axis=0)])


def curve_of(table, name):
    return table[table["curve"] == name].set_index("time_days")


def test_ties_of_all_three_states_by_hand():
    # Day 1: 5 at risk, event and competing: F = 1/5, all-cause survival 3/5. Day 2: 3 at risk, an
    # event and a censoring: F = 1/5 + 3/5 x 1/3 = 2/5, survival 2/5. Day 3: F = 2/5 + 2/5 x 1.
    follow_up = FollowUp([1, 1, 2, 2, 3], [1, 2, 0, 1, 1])
    table = incidence_curves(follow_up, horizon_days=3)
    event = curve_of(table, "event")
    assert event.loc[[0, 1, 2, 3], "estimate"].tolist() == pytest.approx([0, 0.2, 0.4, 0.8])
    assert event["n_at_risk"].tolist() == [5, 5, 3, 1]
    competing = curve_of(table, "competing event")["estimate"]
    assert competing.tolist() == pytest.approx([0, 0.2, 0.2, 0.2])
    # Kaplan-Meier: 4/5, then 2/3 of it, then nothing.
    free = curve_of(table, "event-free")["estimate"]
    assert free.tolist() == pytest.approx([1, 4 / 5, 8 / 15, 0])


def test_it_is_the_aalen_johansen_estimate_of_lifelines_with_its_interval(followed):
    table = curve_of(incidence_curves(followed, horizon_days=1000), "event")
    fitter = AalenJohansenFitter(seed=0).fit(followed.duration_days, followed.status, 1)
    expected = fitter.predict(table.index.to_numpy())
    np.testing.assert_allclose(table["estimate"], expected, atol=1e-12)
    # The variance estimators differ a little; the intervals by less than a hundredth.
    low, high = fitter.confidence_interval_.loc[:1000].iloc[-1]
    assert table["ci_low"].iloc[-1] == pytest.approx(low, abs=0.01)
    assert table["ci_high"].iloc[-1] == pytest.approx(high, abs=0.01)


def test_the_interval_is_as_wide_as_that_of_resampled_patients(followed):
    _, low, high = incidence_at(followed, 800)
    rng = np.random.default_rng(0)
    weights = rng.multinomial(200, np.full(200, 1 / 200), size=4000)
    drawn = observed_risk_statistic(followed, horizon_days=800)(weights)
    assert high - low == pytest.approx(2 * 1.96 * drawn.std(), rel=0.05)


def test_kaplan_meier_is_that_of_lifelines(followed):
    table = curve_of(incidence_curves(followed, horizon_days=1000), "event-free")
    fitter = KaplanMeierFitter().fit(followed.duration_days, followed.status == 1)
    expected = fitter.survival_function_at_times(table.index.to_numpy())
    np.testing.assert_allclose(table["estimate"], expected)
    low, high = fitter.confidence_interval_.loc[:1000].iloc[-1]
    assert table[["ci_low", "ci_high"]].iloc[-1].tolist() == pytest.approx([low, high])


def test_without_competing_events_it_is_one_minus_kaplan_meier(followed):
    only = FollowUp(followed.duration_days, np.where(followed.status == 2, 0, followed.status))
    table = incidence_curves(only, horizon_days=1000)
    event, free = curve_of(table, "event"), curve_of(table, "event-free")
    np.testing.assert_allclose(event["estimate"], 1 - free["estimate"])
    late = event.index > 300
    np.testing.assert_allclose(event.loc[late, "ci_low"], 1 - free.loc[late, "ci_high"], atol=0.03)
    assert (curve_of(table, "competing event")["estimate"] == 0).all()


def test_with_competing_events_one_minus_kaplan_meier_is_too_high(followed):
    table = incidence_curves(followed, horizon_days=1000)
    event, free = curve_of(table, "event"), curve_of(table, "event-free")
    assert event["estimate"].iloc[-1] < 1 - free["estimate"].iloc[-1] - 0.05


@pytest.mark.parametrize("horizon_days", [300.0, 800.0])
def test_the_weighted_mean_of_survival_is_the_same_number(followed, horizon_days):
    value, *_ = incidence_at(followed, horizon_days)
    ours = observed_risk_statistic(followed, horizon_days=horizon_days)(np.ones((1, 200)))[0]
    assert value == pytest.approx(ours)


def test_the_order_of_patients_does_not_matter_among_ties():
    rng = np.random.default_rng(2)
    duration, status = rng.integers(1, 8, 60), rng.integers(0, 3, 60)
    order = rng.permutation(60)
    one = incidence_at(FollowUp(duration, status), 5)
    assert one == incidence_at(FollowUp(duration[order], status[order]), 5)


@pytest.mark.parametrize(
    ("duration", "status", "expected"),
    [
        ([10, 20, 30], [0, 0, 0], (0.0, False)),  # nobody had it, all followed
        ([10, 20, 30], [0, 1, 0], (0.5, True)),
        ([10, 20, 24], [1, 0, 0], (np.nan, False)),  # nobody is followed to day 25
        ([10, 20, 24], [1, 1, 2], (2 / 3, False)),  # nobody is left, and nobody was lost
    ],
)
def test_limits(duration, status, expected):
    value, low, high = incidence_at(FollowUp(duration, status), 25)
    assert value == pytest.approx(expected[0], nan_ok=True)
    assert np.isfinite([low, high]).tolist() == [expected[1]] * 2
