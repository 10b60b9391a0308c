"""The synthetic patients: declared discrimination, incidence, covariates, dates."""

import numpy as np
import pandas as pd
import pytest

from data_processing.synthetic import (
    EVENT_TYPES,
    SyntheticSettings,
    oracle_auroc,
    simulate_patients,
    status_at_horizon,
)

COVARIATES = ("age_years", "lvef_percent", "lge_present", "pathogenic_variant")


@pytest.fixture(scope="module")
def many() -> pd.DataFrame:
    return simulate_patients(SyntheticSettings(n_patients=100_000, seed=21))


@pytest.fixture(scope="module")
def cohort() -> pd.DataFrame:
    return simulate_patients(SyntheticSettings())


def aalen_johansen(patients: pd.DataFrame, horizon_days: float) -> float:
    """Cumulative incidence of event 1 with event 2 competing, by the textbook formula."""
    days = np.arange(1, int(horizon_days) + 1)
    duration, event = patients["duration_days"].to_numpy(), patients["event"].to_numpy()
    at_risk = len(duration) - np.searchsorted(np.sort(duration), days)
    counts = [
        np.bincount(duration[event == kind].astype(int), minlength=4000)[days] for kind in (1, 2)
    ]
    survival = np.cumprod(1 - (counts[0] + counts[1]) / at_risk)
    return float(np.sum(np.r_[1.0, survival[:-1]] * counts[0] / at_risk))


def test_oracle_auroc_is_as_declared():
    oracle = oracle_auroc(SyntheticSettings(), n_patients=150_000, seed=5)
    assert oracle["clinical"] == pytest.approx(0.68, abs=0.01)
    assert oracle["ecg"] == pytest.approx(0.75, abs=0.01)
    assert oracle["both"] > oracle["ecg"] + 0.03


def test_effect_zero_is_a_null_for_the_ecg_only():
    oracle = oracle_auroc(SyntheticSettings(effect_size=0.0), n_patients=150_000, seed=5)
    assert oracle["ecg"] == pytest.approx(0.5, abs=0.008)
    assert oracle["clinical"] == pytest.approx(oracle["both"], abs=0.01)


def test_clinical_effect_zero_leaves_the_ecg():
    settings = SyntheticSettings(clinical_effect_size=0.0)
    oracle = oracle_auroc(settings, n_patients=150_000, seed=5)
    # below 0.5 by a hair: the old and the sick die of something else first
    assert oracle["clinical"] == pytest.approx(0.5, abs=0.015)
    assert oracle["ecg"] > 0.74


def test_larger_effects_discriminate_better():
    aurocs = [
        oracle_auroc(SyntheticSettings(effect_size=size), n_patients=40_000)["ecg"]
        for size in (0.0, 0.5, 1.0, 2.0)
    ]
    assert np.all(np.diff(aurocs) > 0.05)


@pytest.mark.parametrize("effect_size", [0.0, 1.0, 2.0])
def test_true_risk_is_calibrated_and_incidence_does_not_move_with_the_effect(effect_size):
    settings = SyntheticSettings(n_patients=60_000, effect_size=effect_size, seed=2)
    patients = simulate_patients(settings)
    assert patients["true_risk"].mean() == pytest.approx(0.165, abs=0.005)
    assert aalen_johansen(patients, 1095) == pytest.approx(patients["true_risk"].mean(), abs=0.006)
    upper = patients[patients["true_risk"] > patients["true_risk"].quantile(0.8)]
    assert aalen_johansen(upper, 1095) == pytest.approx(upper["true_risk"].mean(), abs=0.015)


def test_covariates_have_the_published_medians_and_shares(many):
    assert many["age_years"].median() == pytest.approx(50.4, abs=0.5)
    assert many["lvef_percent"].median() == pytest.approx(28, abs=1)
    assert (many["sex"] == "male").mean() == pytest.approx(0.685, abs=0.01)
    assert many["lvef_percent"].between(5, 60).all()
    assert many["age_years"].between(17, 86).all()


def test_covariates_are_correlated_as_in_the_disease(many):
    carriers = many["pathogenic_variant"] == 1
    assert many.loc[carriers, "age_years"].mean() < many.loc[~carriers, "age_years"].mean() - 2
    assert (
        many.loc[carriers, "lge_present"].mean() > many.loc[~carriers, "lge_present"].mean() + 0.1
    )
    assert ((many["lge_pattern"] == "none") == (many["lge_present"] == 0)).all()


def test_ecg_latents_are_independent_of_everything_but_the_arrhythmia(many):
    numbers = many.filter(regex="^z_|ecg_latent").join(
        many[[*COVARIATES, "n_ecgs", "clinical_latent"]]
    )
    numbers["is_male"] = many["sex"] == "male"
    numbers["unobserved"] = many["observed_lge_present"].isna()
    latents = [name for name in numbers if name.startswith("z_")]
    others = [name for name in numbers if name not in (*latents, "ecg_latent")]
    correlation = numbers.corr().loc[latents]
    assert correlation[others].abs().to_numpy().max() < 0.015
    assert numbers["ecg_latent"].std() == pytest.approx(1.0, abs=0.01)
    assert many["clinical_latent"].std() == pytest.approx(1.0, abs=0.02)


def test_missingness_is_plausible_and_does_not_know_the_outcome(many):
    missing = {name: many[f"observed_{name}"].isna() for name in COVARIATES}
    assert not missing["age_years"].any()
    assert 0.01 < missing["lvef_percent"].mean() < 0.04
    assert 0.12 < missing["lge_present"].mean() < 0.28
    assert 0.2 < missing["pathogenic_variant"].mean() < 0.4
    within = many["age_years"].between(48, 52) & many["lvef_percent"].between(25, 31)
    for name in ("lge_present", "pathogenic_variant"):
        shares = missing[name][within].groupby(many["event"][within] == 1).mean()
        assert abs(shares[True] - shares[False]) < 0.05


def test_counts_of_a_cohort_of_314():
    events, unknown, deaths = [], [], []
    for seed in range(20):
        patients = simulate_patients(SyntheticSettings(seed=seed))
        status = status_at_horizon(patients, 1095)
        events.append((status == 1).sum())
        unknown.append((status == -1).sum())
        deaths.append((patients["event"] == 2).sum())
    assert 42 < np.mean(events) < 54
    assert 25 < np.mean(unknown) < 60
    assert 20 < np.mean(deaths) < 50
    assert min(events) > 25


def test_rows_dates_and_types(cohort):
    assert len(cohort) == 314
    assert cohort["patient_id"].is_unique
    assert cohort["n_ecgs"].between(1, 6).all()
    assert set(cohort["n_ecgs"]) == {1, 2, 3, 4, 5, 6}
    has_event = cohort["event"] > 0
    assert cohort["event_date"].notna().equals(has_event)
    assert (cohort.loc[has_event, "event_date"] > cohort.loc[has_event, "index_date"]).all()
    assert (cohort.loc[has_event, "event_date"] <= cohort.loc[has_event, "last_contact_date"]).all()
    assert (cohort["covariates_date"] <= cohort["index_date"]).all()
    assert (cohort["last_contact_date"] <= pd.Timestamp("2023-12-31")).all()
    followed = (cohort["last_contact_date"] - cohort["index_date"]).dt.days
    assert (followed >= cohort["duration_days"]).all()
    assert followed.max() <= 8 * 366
    assert set(cohort.loc[cohort["event"] == 1, "event_type"]) <= set(EVENT_TYPES)
    assert set(cohort.loc[cohort["event"] == 2, "event_type"]) == {"death_other"}
    assert cohort.loc[cohort["event"] == 0, "event_type"].isna().all()
    sudden = cohort["event_type"] == "sudden_cardiac_death"
    assert (cohort["event_date"] == cohort["last_contact_date"])[sudden].all()


def test_same_seed_same_patients_and_other_seed_others(cohort):
    pd.testing.assert_frame_equal(cohort, simulate_patients(SyntheticSettings()))
    other = simulate_patients(SyntheticSettings(seed=1))
    assert not np.allclose(other["age_years"], cohort["age_years"])


def test_the_effect_changes_outcomes_but_not_patients(cohort):
    null = simulate_patients(SyntheticSettings(effect_size=0.0))
    same = [*COVARIATES, "sex", "z_lateral_t", "n_ecgs"]
    pd.testing.assert_frame_equal(null[same], cohort[same])
    assert not null["duration_days"].equals(cohort["duration_days"])


def test_status_at_horizon_by_hand():
    patients = pd.DataFrame(
        {"event": [1, 1, 2, 0, 0, 0], "duration_days": [100, 101, 50, 99, 100, 500]}
    )
    assert status_at_horizon(patients, 100).tolist() == [1, 0, 0, -1, 0, 0]


def test_whoever_had_therapy_of_an_icd_had_one_and_the_others_whatever_their_risk(many):
    days = (many["icd_date"] - many["index_date"]).dt.days
    until_event = (many["icd_date"] - many["event_date"]).dt.days
    therapy = many["event_type"] == "appropriate_icd_therapy"
    assert until_event[therapy].le(0).all()
    assert days[therapy].le(0).mean() == pytest.approx(0.65, abs=0.02)
    assert days.le(many["duration_days"])[days.notna()].all()
    others = many[many["event"] == 0]
    is_carrier = others["icd_date"] <= others["index_date"]
    assert is_carrier.mean() == pytest.approx(0.35, abs=0.01)
    for latent in ("ecg_latent", "clinical_latent"):
        assert abs(np.corrcoef(is_carrier, others[latent])[0, 1]) < 0.015  # 4 standard errors
