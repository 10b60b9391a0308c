from __future__ import annotations

import re

import numpy as np
import pytest

from evaluation.net_benefit import decision_curve, net_benefit, treat_all_statistic

Y_TRUE = np.array([0, 0, 0, 1, 0, 1])
RISK = np.array([0.05, 0.1, 0.2, 0.2, 0.6, 0.9])


@pytest.mark.parametrize(
    ("threshold", "expected"),
    [
        # >= .2: 2 true, 2 false positives of 6, odds 1/4.
        (0.2, 2 / 6 - 2 / 6 / 4),
        # >= .5: 1 true, 1 false, odds 1.
        (0.5, 0.0),
        # >= .75: 1 true, none false.
        (0.75, 1 / 6),
        (0.95, 0.0),
    ],
)
def test_six_patients_by_hand(threshold, expected):
    assert net_benefit(Y_TRUE, RISK, [threshold])[0] == pytest.approx(expected)


def test_treat_all_by_hand():
    values = treat_all_statistic(Y_TRUE, [0.2, 0.5])(np.ones((1, 6)))[0]
    np.testing.assert_allclose(values, [2 / 6 - 4 / 6 / 4, 2 / 6 - 4 / 6])


@pytest.mark.parametrize("seed", range(3))
def test_closed_formula_equals_dcurves(seed):
    rng = np.random.default_rng(seed)
    y_true = (rng.random(200) < 0.2).astype(int)
    scores = {
        "ecg": np.round(rng.random(200), 2),  # ties with the thresholds
        "all": np.where(rng.random(200) < 0.1, 0.0, rng.random(200) ** 2),  # a reserved name
    }
    thresholds = np.arange(0.05, 0.51, 0.05)
    curves = decision_curve(y_true, scores, thresholds)
    for name, risk in scores.items():
        ours = net_benefit(y_true, risk, thresholds)
        theirs = curves.loc[curves["variant"] == name, "net_benefit"]
        np.testing.assert_allclose(ours, theirs, atol=1e-12)
    everybody = treat_all_statistic(y_true, thresholds)(np.ones((1, 200)))[0]
    theirs = curves.loc[curves["variant"] == "treat all", "net_benefit"]
    np.testing.assert_allclose(everybody, theirs, atol=1e-12)
    assert (curves.loc[curves["variant"] == "treat none", "net_benefit"] == 0).all()


def test_weights_equal_repeating_the_rows():
    from evaluation.net_benefit import net_benefit_statistic

    drawn = np.array([0, 0, 3, 3, 4, 5])
    weights = np.bincount(drawn, minlength=6)[None]
    ours = net_benefit_statistic(Y_TRUE, RISK, [0.1, 0.3])(weights)[0]
    np.testing.assert_allclose(ours, net_benefit(Y_TRUE[drawn], RISK[drawn], [0.1, 0.3]))


@pytest.mark.parametrize(
    ("y_true", "thresholds", "message"),
    [
        (
            Y_TRUE,
            [0.0, 0.1],
            "thresholds must be risks between 0 and 1 (exclusive), got [0.0, 0.1]",
        ),
        (Y_TRUE, [], "thresholds must be risks between 0 and 1 (exclusive), got []. Declare the"),
        (np.zeros(6), [0.1], "y_true must hold events and non-events, got 0 events in 6 rows. A "),
    ],
)
def test_bad_input_is_refused(y_true, thresholds, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}"):
        decision_curve(y_true, {"ecg": RISK}, thresholds)
