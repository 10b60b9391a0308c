"""What a score adds: against statsmodels' own test, by hand, and under the null."""

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf
from scipy.special import expit, logit
from scipy.stats import chi2

from evaluation.added_value import RECLASSIFICATION_WARNING, added_value, likelihood_ratio_test
from evaluation.resampling import BootstrapPlan

PLAN = BootstrapPlan(n_resamples=200, method="percentile")


def patients(n=300, *, gain=1.0, seed=0):
    """Return outcome, a reference risk and a new risk that sees `gain` more."""
    rng = np.random.default_rng(seed)
    known, hidden = rng.normal(size=(2, n))
    y_true = (rng.random(n) < expit(-1.2 + known + gain * hidden)).astype(int)
    return y_true, expit(-1.2 + hidden + 0.3 * rng.normal(size=n)), expit(-1.2 + known)


def as_rows(y_true, y_score):
    ids = [f"P{k:03d}" for k in range(len(y_true))]
    columns = {"patient_id": ids, "repeat": 0, "fold": np.arange(len(y_true)) % 4}
    return pd.DataFrame({**columns, "y_true": y_true, "y_score": y_score})


def test_it_is_the_test_of_nested_models():
    y_true, new, reference = patients(seed=1)
    table = pd.DataFrame({"y": y_true, "r": logit(reference), "z": logit(new)})
    small = smf.logit("y ~ r", table).fit(disp=0)
    large = smf.logit("y ~ r + z", table).fit(disp=0)
    found = likelihood_ratio_test(y_true, new, reference)
    expected = 2 * (large.llf - small.llf)
    assert found["chi2"] == pytest.approx(expected)
    assert found["p_value"] == pytest.approx(chi2.sf(expected, 1))
    spread = table["z"].std(ddof=0)
    assert np.log(found["odds_ratio"]) == pytest.approx(large.params["z"] * spread)
    bounds = large.conf_int().loc["z"] * spread
    np.testing.assert_allclose(np.log([found["ci_low"], found["ci_high"]]), bounds, rtol=1e-5)


def test_a_score_without_information_is_seldom_called_one():
    found = []
    for seed in range(200):
        y_true, _, reference = patients(150, gain=0.0, seed=seed)
        noise = np.random.default_rng(1000 + seed).random(150)
        found.append(likelihood_ratio_test(y_true, noise, reference)["p_value"])
    assert np.mean(np.array(found) < 0.05) == pytest.approx(0.05, abs=0.04)


def test_few_events_give_no_test():
    y_true = np.r_[np.ones(9), np.zeros(60)].astype(int)
    score = np.random.default_rng(0).random(69)
    found = likelihood_ratio_test(y_true, score, score)
    assert np.isnan(found["p_value"])
    assert found["reason"] == "fewer than 10 patients with or without the event"


def test_reclassification_only_on_request_and_by_hand():
    y_true = np.array([1, 1, 1, 1, 0, 0, 0, 0, 0] * 3)
    new = np.array([0.6, 0.6, 0.6, 0.1, 0.1, 0.1, 0.6, 0.1, 0.1] * 3)
    reference = np.array([0.6, 0.1, 0.1, 0.1, 0.1, 0.6, 0.1, 0.6, 0.1] * 3)
    sides = as_rows(y_true, new), as_rows(y_true, reference)
    assert added_value(*sides, plan=PLAN)["metric"].tolist() == ["odds_ratio_per_sd"]
    table = added_value(*sides, plan=PLAN, reclassification_risk=0.5).set_index("metric")
    assert table.loc["nri_events", "estimate"] == pytest.approx(3 / 4 - 1 / 4)
    assert table.loc["nri_non_events", "estimate"] == pytest.approx(4 / 5 - 3 / 5)
    slope = (np.mean([0.6, 0.6, 0.6, 0.1]) - 0.2) - (np.mean([0.6, 0.1, 0.1, 0.1]) - 0.3)
    assert table.loc["idi", "estimate"] == pytest.approx(slope)
    assert table.loc["idi", "method"].endswith(RECLASSIFICATION_WARNING)
    assert (table["n_events"] == 12).all()
