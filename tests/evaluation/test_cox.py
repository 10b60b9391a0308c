"""Hazard ratios against statsmodels, and when they are refused."""

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit
from statsmodels.duration.hazard_regression import PHReg

from evaluation.arrays import risk_to_logit
from evaluation.cox import COX_COLUMNS, cox_table


@pytest.fixture(scope="module")
def wide():
    """Return 240 patients, a score that raises the hazard of the event, and another like it."""
    rng = np.random.default_rng(8)
    z = rng.normal(size=240)
    times = np.ceil(
        rng.exponential([1500 * np.exp(-z), np.full(240, 3000.0), np.full(240, 2500.0)])
    )
    risks = {name: expit(-2 + z + rng.normal(0, s, 240)) for name, s in (("ecg", 0.5), ("old", 1))}
    return pd.DataFrame(
        {
            "patient_id": [f"P{k}" for k in range(240)],
            "repeat": 0,
            "event": np.array([1, 2, 0])[times.argmin(axis=0)],
            "duration_days": times.min(axis=0),
            **risks,
        }
    )


def hazard_ratios(wide, names, kind, horizon_days=1e9):
    """Return hazard ratios and p values of statsmodels, an independent implementation."""
    logits = risk_to_logit(wide[names])
    status = (wide["event"] == kind) & (wide["duration_days"] <= horizon_days)
    days = wide["duration_days"].clip(upper=horizon_days)
    x = (logits - logits.mean(axis=0)) / logits.std(axis=0, ddof=1)
    found = PHReg(days, x, status=status, ties="efron").fit()
    return np.exp(found.params), found.pvalues, np.exp(found.conf_int())


@pytest.mark.parametrize("horizon_days", [600.0, 1e9])
@pytest.mark.parametrize(("hazard_of", "kind"), [("event", 1), ("competing event", 2)])
def test_the_numbers_of_statsmodels(wide, hazard_of, kind, horizon_days):
    table = cox_table(wide, target="sva", horizon_days=horizon_days, pair=("ecg", "old"))
    assert list(table) == COX_COLUMNS
    of_kind = table[table["hazard_of"] == hazard_of]
    for names in (["ecg"], ["old"], ["old", "ecg"]):
        rows = of_kind[of_kind["model"] == " + ".join(names)]
        assert rows["term"].tolist() == names
        ratio, p_value, bounds = hazard_ratios(wide, names, kind, horizon_days)
        np.testing.assert_allclose(rows["hazard_ratio"], ratio, rtol=1e-3)
        np.testing.assert_allclose(rows["p_value"], p_value, rtol=0.02)
        np.testing.assert_allclose(rows[["ci_low", "ci_high"]], bounds, rtol=2e-3)


def test_a_hazard_that_fades_is_found_not_proportional():
    rng = np.random.default_rng(4)
    z = rng.normal(size=600)
    early = rng.exponential(400 * np.exp(-2 * z))  # the score tells the early events only
    event = np.where(early < 200, early, 200 + rng.exponential(800, 600))
    wide = pd.DataFrame({"patient_id": range(600), "repeat": 0, "event": 1, "duration_days": event})
    table = cox_table(wide.assign(ecg=expit(z)), target="sva", horizon_days=1000)
    assert table["proportional_hazards_p"].iloc[0] < 0.001
    assert "scaled Schoenfeld" in table["method"].iloc[0]


def test_repeats_do_not_make_more_patients(wide):
    once = cox_table(wide, target="sva", horizon_days=1e9)
    again = pd.concat([wide.assign(repeat=k) for k in range(4)], ignore_index=True)
    repeated = cox_table(again, target="sva", horizon_days=1e9)
    assert (repeated["n"] == 240).all()
    np.testing.assert_allclose(repeated["hazard_ratio"], once["hazard_ratio"], rtol=5e-3)
    width = np.log(once["ci_high"] / once["ci_low"])
    np.testing.assert_allclose(np.log(repeated["ci_high"] / repeated["ci_low"]), width, rtol=0.25)
    assert "variance by patient" in repeated["method"].iloc[0]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"event": [1] * 9 + [0] * 231}, "not estimated: 9 events, 10 needed"),
        ({"ecg": 0.2}, "not estimated: a score is the same in all patients"),
    ],
)
def test_what_cannot_be_estimated_says_why(wide, change, reason):
    table = cox_table(wide.drop(columns="old").assign(**change), target="sva", horizon_days=1e9)
    row = table.iloc[0]
    assert row["method"] == reason
    assert np.isnan([row["hazard_ratio"], row["ci_low"], row["p_value"]]).all()


def test_a_score_that_separates_all_events_is_refused(wide):
    is_event = (wide["event"] == 1) & (wide["duration_days"] < 200)
    n_events = int(is_event.sum())
    days = wide["duration_days"].where(is_event, 5000.0)
    perfect = wide.drop(columns="old").assign(event=is_event.astype(int), duration_days=days)
    perfect["ecg"] = expit(-days / 500)
    row = cox_table(perfect, target="sva", horizon_days=1e9).iloc[0]
    assert n_events >= 10
    assert row["method"] == "not estimated: the fit does not converge"


def test_a_network_of_one_repeat_beside_a_model_of_three(wide):
    repeats = [wide.assign(repeat=k, ecg=wide["ecg"] if k == 0 else np.nan) for k in range(3)]
    many = cox_table(pd.concat(repeats), target="sva", horizon_days=1e9, pair=("ecg", "old"))
    once = cox_table(wide, target="sva", horizon_days=1e9, pair=("ecg", "old"))
    keys = ["model", "term", "hazard_of"]
    many, once = (table.set_index(keys)["hazard_ratio"] for table in (many, once))
    assert many.notna().all()
    np.testing.assert_allclose(many["ecg"], once["ecg"], rtol=1e-6)
    np.testing.assert_allclose(many["old"], once["old"], rtol=5e-3)  # its SD is of 3 n rows
