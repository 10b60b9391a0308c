"""Time-to-event statistics against scikit-survival's numbers, lifelines, and by hand."""

import numpy as np
import pytest
from lifelines import AalenJohansenFitter, KaplanMeierFitter

from evaluation.discrimination import auroc
from evaluation.survival import (
    FollowUp,
    concordance_statistic,
    horizon_auroc_statistic,
    horizon_brier_statistic,
    observed_risk_statistic,
    uncensored_probability,
)

ONCE = np.ones((1, 120), dtype=np.int32)


@pytest.fixture(scope="module")
def simulated():
    """Return follow-up without competing events, a score and a risk."""
    rng = np.random.default_rng(7)
    score = rng.normal(size=120)
    event = np.round(rng.exponential(1500 * np.exp(-0.8 * score)), 3) + 0.5
    censoring = np.round(rng.uniform(100, 3000, 120), 3)
    follow_up = FollowUp(np.minimum(event, censoring), (event <= censoring).astype(int))
    return follow_up, score, 1 / (1 + np.exp(-(score - 0.5)))


@pytest.fixture(scope="module")
def competing():
    """Return follow-up in whole days with many ties and all three states, and a score."""
    rng = np.random.default_rng(3)
    score = rng.normal(size=120)
    times = np.ceil(rng.exponential([900 * np.exp(-score), np.full(120, 2000.0)]) / 50) * 50
    censoring = np.ceil(rng.uniform(200, 2500, 120) / 50) * 50
    duration = np.minimum(times.min(axis=0), censoring)
    status = np.where(duration == times[0], 1, np.where(duration == times[1], 2, 0))
    return FollowUp(duration, status), score


# scikit-survival 0.28 on the data of `simulated`: concordance_index_ipcw(tau=1095),
# concordance_index_censored, cumulative_dynamic_auc and brier_score at 365 and 1095 days.
@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda f, x, _: concordance_statistic(f, x, horizon_days=1095), 0.6893486467188873),
        (lambda f, x, _: concordance_statistic(f, x, is_weighted=False), 0.6893424036281179),
        (lambda f, x, _: horizon_auroc_statistic(f, x, horizon_days=365), 0.68652737),
        (lambda f, x, _: horizon_auroc_statistic(f, x, horizon_days=1095), 0.74145997),
        (lambda f, _, r: horizon_brier_statistic(f, r, horizon_days=365), 0.18272271),
        (lambda f, _, r: horizon_brier_statistic(f, r, horizon_days=1095), 0.24458416),
    ],
)
def test_the_numbers_of_scikit_survival(simulated, make, expected):
    assert make(*simulated)(ONCE)[0] == pytest.approx(expected, abs=1e-8)


def test_the_probability_of_not_being_censored_is_kaplan_meiers(simulated):
    follow_up = simulated[0]
    fitter = KaplanMeierFitter().fit(follow_up.duration_days, follow_up.status == 0)
    before, at_horizon = uncensored_probability(follow_up, ONCE, 1095.0)
    assert at_horizon[0] == pytest.approx(fitter.predict(1095.0))
    expected = fitter.predict(follow_up.duration_days - 1e-6)
    np.testing.assert_allclose(before[0], expected)


def test_the_observed_risk_is_aalen_johansens(competing):
    follow_up, _ = competing
    jittered = follow_up.duration_days + np.where(follow_up.status == 0, 0.01, 0.0)
    with pytest.warns(Warning, match="Tied event times"):
        fitter = AalenJohansenFitter(calculate_variance=False, seed=0).fit(
            jittered, follow_up.status, event_of_interest=1
        )
    for horizon_days in (525.0, 1095.0):
        ours = observed_risk_statistic(follow_up, horizon_days=horizon_days)(ONCE)[0]
        assert ours == pytest.approx(fitter.predict(horizon_days), abs=1e-4)


def test_without_censoring_the_weighted_auroc_is_the_plain_one(competing):
    follow_up, score = competing
    follow_up = FollowUp(follow_up.duration_days, np.maximum(follow_up.status, 1))
    outcome = (follow_up.status == 1) & (follow_up.duration_days <= 700)
    ours = horizon_auroc_statistic(follow_up, score, horizon_days=700)(ONCE)[0]
    assert ours == pytest.approx(auroc(outcome.astype(int), score))


def test_by_hand_one_censored_before_the_horizon():
    # G is 1 up to day 200 and 2/3 after it: the two later ones stand for 1.5 patients each.
    follow_up = FollowUp([100, 200, 300, 500], [1, 0, 1, 0])
    score = [4.0, 3.0, 1.0, 2.0]
    once = np.ones((1, 4), dtype=np.int32)
    # cases: day 100 (weight 1, above the control), day 300 (weight 1.5, below): 1 of 2.5
    assert horizon_auroc_statistic(follow_up, score, horizon_days=400)(once)[0] == pytest.approx(
        1 / 2.5
    )
    risk = np.array([0.9, 0.5, 0.2, 0.4])
    expected = (0.1**2 + 1.5 * 0.8**2 + 1.5 * 0.4**2) / 4
    brier = horizon_brier_statistic(follow_up, risk, horizon_days=400)(once)[0]
    assert brier == pytest.approx(expected)
    assert observed_risk_statistic(follow_up, horizon_days=400)(once)[0] == pytest.approx(2.5 / 4)


def test_harrells_c_by_hand_with_a_competing_death():
    # Pairs: (1,2) (1,3) (1,4), and (3,4); the competing death of patient 2 precedes the event of
    # patient 3 and counts for it: (3,2).
    follow_up = FollowUp([1, 2, 3, 4], [1, 2, 1, 0])
    score = [3.0, 4.0, 2.0, 1.0]  # right: (1,3) (1,4) (3,4)
    c = concordance_statistic(follow_up, score, is_weighted=False)(np.ones((1, 4)))[0]
    assert c == pytest.approx(3 / 5)


@pytest.mark.parametrize("make", ["auroc", "uno", "risk"])
def test_weights_are_the_same_as_repeated_rows(competing, make):
    follow_up, score = competing
    counts = np.random.default_rng(1).integers(0, 4, 120)
    rows = np.repeat(np.arange(120), counts)
    twice = FollowUp(follow_up.duration_days[rows], follow_up.status[rows])

    def statistic(one, x):
        return {
            "auroc": lambda: horizon_auroc_statistic(one, x, horizon_days=800),
            "uno": lambda: concordance_statistic(one, x, horizon_days=800),
            "risk": lambda: observed_risk_statistic(one, horizon_days=800),
        }[make]()

    ours = statistic(follow_up, score)(counts[None])[0]
    theirs = statistic(twice, score[rows])(np.ones((1, rows.size)))[0]
    assert ours == pytest.approx(theirs)


def test_weighting_removes_the_bias_of_leaving_out_or_miscalling_those_lost_to_follow_up():
    horizon_days, bias = 1000.0, []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        score = rng.normal(size=800)
        event = rng.exponential(2500 * np.exp(-2 * score))
        censoring = rng.exponential(500, size=800)  # two thirds are lost before the horizon
        follow_up = FollowUp(np.minimum(event, censoring), (event <= censoring).astype(int))
        weighted = horizon_auroc_statistic(follow_up, score, horizon_days=horizon_days)
        is_event = ((follow_up.status == 1) & (event <= horizon_days)).astype(int)
        is_known = (follow_up.status == 1) | (follow_up.duration_days >= horizon_days)
        found = [
            weighted(np.ones((1, 800)))[0],
            auroc(is_event[is_known], score[is_known]),
            auroc(is_event, score),
        ]
        bias.append(np.array(found) - auroc((event <= horizon_days).astype(int), score))
    of_weighted, of_left_out, of_negatives = np.mean(bias, axis=0)
    error = np.std(bias, axis=0) / np.sqrt(40)
    assert abs(of_weighted) < 0.01
    assert of_left_out > 0.015 > 4 * error[1]
    assert of_negatives < -0.025 < -4 * error[2]


def test_where_nobody_reaches_the_horizon_there_is_no_number(competing):
    follow_up, score = competing
    after_all = follow_up.duration_days.max() + 1
    assert np.isnan(horizon_auroc_statistic(follow_up, score, horizon_days=after_all)(ONCE)[0])


def test_the_censored_before_the_horizon_are_counted(competing):
    follow_up, _ = competing
    by_hand = sum(
        time < 800 and status == 0
        for time, status in zip(follow_up.duration_days, follow_up.status, strict=True)
    )
    assert follow_up.n_unknown(800) == by_hand > 0


@pytest.mark.parametrize(
    ("duration", "status", "message"),
    [
        ([1.0, 0.0], [0, 1], "duration_days must be above 0 in every row, got 1 others"),
        ([1.0, np.nan], [0, 1], "duration_days must be above 0 in every row, got 1 others"),
        ([1.0, 2.0], [0, 3], r"status must be 0 \(censored\), 1 \(event\) or 2"),
        ([1.0, 2.0], [0], "must be of one shape"),
    ],
)
def test_wrong_follow_up_is_refused(duration, status, message):
    with pytest.raises(ValueError, match=message):
        FollowUp(duration, status)
