from __future__ import annotations

import dataclasses
import re

import numpy as np
import pytest
from scipy import stats

from evaluation.intervals import (
    bca_interval,
    bootstrap_interval,
    bootstrap_intervals,
    percentile_interval,
)
from evaluation.resampling import (
    BootstrapPlan,
    bootstrap_draws,
    cluster_codes,
    jackknife_values,
    resample_weights,
)
from evaluation.weighted import auroc_statistic, ratio_statistic


def mean_of(values):
    return ratio_statistic(values, np.ones(len(values)))


class TestResampling:
    def test_counts_sum_to_the_size_of_each_stratum(self):
        strata = np.array([0, 1, 0, 1, 1, 2])
        weights = resample_weights(strata, n_resamples=50, rng=np.random.default_rng(0))
        for label, size in ((0, 2), (1, 3), (2, 1)):
            assert (weights[:, strata == label].sum(axis=1) == size).all()

    def test_every_patient_is_drawn_once_on_average(self):
        weights = resample_weights(np.zeros(20), n_resamples=4000, rng=np.random.default_rng(0))
        np.testing.assert_allclose(weights.mean(axis=0), 1, atol=0.08)

    def test_records_of_a_patient_are_drawn_together(self):
        clusters = np.array([0, 0, 0, 1, 2, 2])
        seen = []
        bootstrap_draws(
            lambda w: seen.append(w) or w[:, 0], clusters, plan=BootstrapPlan(n_resamples=100)
        )
        weights = np.concatenate(seen)
        assert (weights[:, 0] == weights[:, 1]).all()
        assert (weights[:, 4] == weights[:, 5]).all()
        assert (weights[:, [0, 3, 4]].sum(axis=1) == 3).all()

    def test_blocks_bound_the_memory_and_the_seed_fixes_the_draws(self, monkeypatch):
        monkeypatch.setattr("evaluation.resampling.MAX_BLOCK_ENTRIES", 100)
        values, sizes = np.arange(30.0), []
        statistic = mean_of(values)

        def watched(weights):
            sizes.append(weights.size)
            return statistic(weights)

        plan = BootstrapPlan(n_resamples=100, seed=5)
        first = bootstrap_draws(watched, np.arange(30), plan=plan)
        assert max(sizes) <= 100
        assert first.shape == (100,)
        np.testing.assert_array_equal(first, bootstrap_draws(statistic, np.arange(30), plan=plan))
        np.testing.assert_allclose(
            jackknife_values(statistic, np.arange(30)), (values.sum() - values) / 29
        )

    def test_codes_count_distinct_rows(self):
        assert cluster_codes(["b", "a", "b"], [0, 0, 1]).tolist() == [1, 0, 2]


def peer_bca(data, statistic, draws):
    """SciPy's BCa interval of our own draws: what is left is the formula, not the noise."""
    start = stats.bootstrap(data, statistic, n_resamples=10, method="percentile", rng=0)
    ours = dataclasses.replace(start, bootstrap_distribution=draws)
    done = stats.bootstrap(data, statistic, n_resamples=0, method="BCa", bootstrap_result=ours)
    return done.confidence_interval.low, done.confidence_interval.high


class TestAgainstScipy:
    @pytest.mark.parametrize("seed", range(3))
    def test_bca_of_a_skewed_mean(self, seed):
        values = np.random.default_rng(seed).exponential(size=40)
        statistic, rows = mean_of(values), np.arange(40)
        draws = bootstrap_draws(statistic, rows, plan=BootstrapPlan())
        ours = bca_interval(draws, values.mean(), jackknife_values(statistic, rows))
        np.testing.assert_allclose(ours, peer_bca((values,), np.mean, draws), rtol=1e-6)

    def test_bca_of_two_strata(self):
        rng = np.random.default_rng(0)
        events, controls = rng.normal(1, 1, 25), rng.normal(0, 1, 50)
        y_true = np.r_[np.ones(25, int), np.zeros(50, int)]
        statistic, rows = auroc_statistic(y_true, np.r_[events, controls]), np.arange(75)
        plan = BootstrapPlan()
        ours = bootstrap_interval(statistic, rows, plan=plan, strata=y_true)

        def peer_auroc(a, b, axis=-1):
            return (a[..., :, None] > b[..., None, :]).mean(axis=(-2, -1))

        draws = bootstrap_draws(statistic, rows, plan=plan, strata=y_true)
        expected = peer_bca((events, controls), peer_auroc, draws)
        np.testing.assert_allclose((ours.ci_low, ours.ci_high), expected, rtol=1e-3)


class TestIntervals:
    def test_estimate_is_that_of_the_sample_for_any_seed(self):
        values = np.random.default_rng(0).normal(size=25)
        for seed in (0, 1):
            interval = bootstrap_interval(
                mean_of(values), np.arange(25), plan=BootstrapPlan(seed=seed)
            )
            assert interval.estimate == pytest.approx(values.mean())

    @pytest.mark.parametrize("method", ["percentile", "bca"])
    def test_permuting_rows_changes_nothing_but_noise(self, method):
        rng = np.random.default_rng(1)
        values = rng.normal(size=60)
        plan = BootstrapPlan(n_resamples=4000, method=method)
        one = bootstrap_interval(mean_of(values), np.arange(60), plan=plan)
        two = bootstrap_interval(mean_of(rng.permutation(values)), np.arange(60), plan=plan)
        assert one.ci_low == pytest.approx(two.ci_low, abs=0.03)
        assert one.ci_high == pytest.approx(two.ci_high, abs=0.03)

    def test_the_jackknife_of_many_patients_is_spared(self, monkeypatch):
        values = np.random.default_rng(0).normal(size=300)
        full = bootstrap_interval(mean_of(values), np.arange(300), plan=BootstrapPlan())
        monkeypatch.setattr("evaluation.intervals.MAX_JACKKNIFE_PATIENTS", 299)
        spared = bootstrap_interval(mean_of(values), np.arange(300), plan=BootstrapPlan())
        assert spared.ci_low == pytest.approx(full.ci_low, abs=0.005)
        assert spared.ci_high == pytest.approx(full.ci_high, abs=0.005)

    def test_columns_share_resamples_and_equal_the_scalar(self):
        values = np.random.default_rng(0).normal(size=(30, 2))

        def both(weights):
            return weights @ values / weights.sum(axis=1, keepdims=True)

        pair = bootstrap_intervals(both, np.arange(30), plan=BootstrapPlan())
        alone = bootstrap_interval(mean_of(values[:, 1]), np.arange(30), plan=BootstrapPlan())
        assert pair[1].ci_low == pytest.approx(alone.ci_low, abs=1e-12)
        assert pair[1].method == alone.method == "bootstrap of patients, bca, 2000 resamples"

    def test_perfect_separation_claims_no_interval(self):
        y_true = [0, 0, 0, 1, 1, 1]
        statistic = auroc_statistic(y_true, [0.1, 0.2, 0.3, 0.4, 0.5, 0.6])
        interval = bootstrap_interval(statistic, np.arange(6), plan=BootstrapPlan(), strata=y_true)
        assert interval.estimate == 1
        assert np.isnan([interval.ci_low, interval.ci_high]).all()
        assert interval.method.endswith("no interval: every resample gives the same value")

    def test_mostly_undefined_resamples_claim_no_interval(self):
        # One event in three patients: unstratified, 30 % of the resamples lose it.
        statistic = auroc_statistic([0, 0, 1], [0.1, 0.3, 0.2])
        interval = bootstrap_interval(statistic, np.arange(3), plan=BootstrapPlan())
        assert np.isnan(interval.ci_low)
        assert "no interval: defined in " in interval.method
        low, _ = percentile_interval(np.column_stack([[1.0, np.nan], [1.0, 2.0]]))
        np.testing.assert_array_equal(np.isnan(low), [True, False])

    def test_an_interval_without_its_estimate_is_withheld(self):
        values = np.random.default_rng(0).normal(size=400)

        def distance_from_zero(weights):
            # Noise on top of noise: resamples are further from zero than the sample is.
            parts = (weights * (values - values.mean())).reshape(len(weights), 40, 10).sum(axis=2)
            return np.abs(parts).mean(axis=1)

        plan = BootstrapPlan(method="percentile")
        draws = bootstrap_draws(distance_from_zero, np.arange(400), plan=plan)
        interval = bootstrap_interval(
            lambda weights: distance_from_zero(weights) - (weights == 1).all(axis=1) * 9.0,
            np.arange(400),
            plan=plan,
        )
        assert draws.min() > interval.estimate
        assert np.isnan(interval.ci_low)
        assert interval.method.endswith("no interval: the bias of the bootstrap exceeds its width")

    def test_stratified_intervals_of_a_proportion_would_have_no_width(self):
        y_true = np.r_[np.ones(10, int), np.zeros(40, int)]
        free = bootstrap_draws(mean_of(y_true), np.arange(50), plan=BootstrapPlan())
        fixed = bootstrap_draws(mean_of(y_true), np.arange(50), plan=BootstrapPlan(), strata=y_true)
        assert np.ptp(fixed) == 0
        assert free.std() == pytest.approx(np.sqrt(0.2 * 0.8 / 50), rel=0.1)


def simulate_coverage(n_simulations=250):
    """63 patients x 5 records, 15 events, intra-patient correlation 0.8."""
    rng = np.random.default_rng(11)
    y_true = np.r_[np.ones(15, int), np.zeros(48, int)]
    patients = np.repeat(np.arange(63), 5)
    truth = stats.norm.cdf(1.1 / np.sqrt(2))
    widths, covered = np.zeros(2), np.zeros(2)
    for seed in range(n_simulations):
        score = (1.1 * y_true + np.sqrt(0.8) * rng.normal(size=63))[patients]
        score = score + np.sqrt(0.2) * rng.normal(size=score.size)
        statistic = auroc_statistic(y_true[patients], score)
        plan = BootstrapPlan(n_resamples=300, seed=seed, method="percentile")
        for k, (clusters, strata) in enumerate(
            [(patients, y_true), (np.arange(315), y_true[patients])]
        ):
            interval = bootstrap_interval(statistic, clusters, plan=plan, strata=strata)
            widths[k] += interval.ci_high - interval.ci_low
            covered[k] += interval.ci_low <= truth <= interval.ci_high
    return widths / n_simulations, covered / n_simulations


def test_resampling_records_gives_intervals_that_are_far_too_narrow():
    widths, covered = simulate_coverage()
    assert widths[0] > 1.5 * widths[1]
    assert 0.86 <= covered[0] <= 0.985
    assert covered[1] < 0.75


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_resamples": 50}, "n_resamples must be at least 100, got 50. Use 2000 or more for a"),
        ({"confidence": 95}, "confidence must be in [0.5, 1), got 95. Use 0.95."),
        (
            {"method": "normal"},
            "method must be one of ('percentile', 'bca'), got 'normal'. Use 'bca'.",
        ),
    ],
)
def test_bad_plans_are_refused(arguments, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}"):
        BootstrapPlan(**arguments)


def test_strata_are_one_a_patient():
    message = "strata must hold one label a patient, shape (2,), got (3,). Build it from one row"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}"):
        bootstrap_draws(mean_of([1, 2, 3]), [0, 0, 1], plan=BootstrapPlan(), strata=[0, 0, 1])
