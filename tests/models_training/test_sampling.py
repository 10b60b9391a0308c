"""Which patients an epoch sees, and risks brought back afterwards."""

import re

import numpy as np
import pytest
import statsmodels.api as sm
from scipy.special import expit, logit

from models_training.recalibration import LogitLine, fit_line, write_into_network
from models_training.sampling import check_imbalance, class_weights, drawn_patients

Y_TRUE = np.array([0] * 70 + [1] * 12)


def test_up_sampling_makes_both_outcomes_as_frequent_and_spares_no_patient():
    times = drawn_patients(Y_TRUE, imbalance="oversample", rng=np.random.default_rng(0))
    assert (times[:70] == 1).all()
    assert times[70:].sum() == 70
    assert set(times[70:]) == {5, 6}


def test_down_sampling_draws_other_patients_in_every_epoch():
    rng = np.random.default_rng(0)
    draws = [drawn_patients(Y_TRUE, imbalance="undersample", rng=rng) for _ in range(60)]
    assert all((times[70:] == 1).all() and times[:70].sum() == 12 for times in draws)
    share = np.mean(draws, axis=0)[:70]
    assert share.min() > 0
    assert share.max() < 0.5


@pytest.mark.parametrize("imbalance", ["none", "class_weights"])
def test_else_every_patient_counts_once(imbalance):
    times = drawn_patients(Y_TRUE, imbalance=imbalance, rng=np.random.default_rng(0))
    assert (times == 1).all()


def test_class_weights_balance_the_outcomes_and_keep_the_sum():
    weights = class_weights(Y_TRUE, imbalance="class_weights")
    assert weights[70:].sum() == pytest.approx(weights[:70].sum())
    assert weights.sum() == pytest.approx(len(Y_TRUE))
    for y_true, imbalance in ((Y_TRUE, "none"), (np.zeros(5), "class_weights")):
        assert (class_weights(y_true, imbalance=imbalance) == 1).all()


def test_an_unknown_name_is_refused():
    message = "imbalance must be one of none, class_weights, oversample, undersample, got 'smote'."
    with pytest.raises(ValueError, match=re.escape(message)):
        check_imbalance("smote")


def test_recalibration_restores_the_mean_risk_and_the_slope_of_inflated_scores():
    rng = np.random.default_rng(0)
    true_logit = rng.normal(-2.5, 1.0, 40_000)
    y_true = (rng.random(40_000) < expit(true_logit)).astype(float)
    share = y_true[:20_000].mean()
    # what a model balanced by class weights says: the log odds moved by those of the share
    inflated = 1.6 * (true_logit - logit(share))
    line = fit_line(inflated[:20_000], y_true[:20_000])
    assert line.method == "logistic"
    assert line.slope == pytest.approx(1 / 1.6, rel=0.05)
    new, held_out = line.apply(inflated[20_000:]), y_true[20_000:]
    assert expit(inflated[20_000:]).mean() > 3 * held_out.mean()
    assert expit(new).mean() == pytest.approx(held_out.mean(), abs=0.005)
    design = sm.add_constant(new)
    found = sm.GLM(held_out, design, family=sm.families.Binomial()).fit().params
    assert found == pytest.approx([0.0, 1.0], abs=0.1)


@pytest.mark.parametrize(
    "logits",
    [
        np.zeros(6),  # no slope
        np.array([-2.0, -1.0, -0.5, 0.5, 1.0, 2.0]),  # separated
        np.array([2.0, 1.0, -2.0, -1.0, 0.5, -0.5]),  # higher scores had fewer events
    ],
)
def test_without_a_slope_above_0_the_intercept_alone_is_moved(logits):
    y_true = np.array([0.0, 0.0, 0.0, 1.0, 0.0, 1.0])
    y_true = np.tile(np.sort(y_true) if logits[-1] == 2.0 else y_true, 5)
    line = fit_line(np.tile(logits, 5), y_true)
    assert (line.method, line.slope, line.n, line.n_events) == ("intercept", 1.0, 30, 10)
    assert expit(line.apply(logits)).mean() == pytest.approx(2 / 6, abs=1e-6)


@pytest.mark.parametrize(("n_events", "n"), [(1, 7), (9, 60), (51, 60), (10, 60), (50, 60)])
def test_a_slope_needs_ten_patients_of_the_rarer_outcome(n_events, n):
    rng = np.random.default_rng(1)
    y_true = (np.arange(n) < n_events).astype(float)
    line = fit_line(y_true + rng.normal(0, 1, n), y_true)
    has_slope = min(n_events, n - n_events) >= 10
    assert line.method == ("logistic" if has_slope else "intercept")
    assert (line.slope != 1.0) == has_slope
    assert line.n_events == n_events


def test_one_outcome_alone_is_refused():
    with pytest.raises(ValueError, match="recalibration must see patients with and without"):
        fit_line(np.arange(4.0), np.zeros(4))


def test_the_network_itself_gives_the_recalibrated_risk(make_data, tiny):
    from models_training.architectures import build_network

    data = make_data(8)
    network = build_network(n_samples=64, settings=tiny.architecture)
    inputs = data.inputs(np.arange(6))
    before = logit(np.asarray(network(inputs), "float64"))
    line = LogitLine("logistic", -1.5, 0.5, 10, 3)
    write_into_network(network, line)
    np.testing.assert_allclose(
        logit(np.asarray(network(inputs), "float64")), -1.5 + 0.5 * before, atol=1e-5
    )
