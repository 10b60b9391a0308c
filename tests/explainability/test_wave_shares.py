"""Shares add to 100, follow the map, and stand beside what the ECG alone suggests."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from explainability.input_shares import input_contributions, variance_shares
from explainability.r_peaks import LEADS
from explainability.wave_shares import (
    PARTS,
    record_shares,
    round_to_hundred,
    share_table,
    wave_shares,
)

N_SAMPLES = 40


def windows(n_records):
    """Return four windows of five samples each; the other half is "rest"."""
    masks = {name: np.zeros((n_records, N_SAMPLES), dtype=bool) for name in PARTS[:4]}
    for number, mask in enumerate(masks.values()):
        mask[:, 5 * number : 5 * number + 5] = True
    return masks


@pytest.fixture
def random_parts():
    rng = np.random.default_rng(0)
    maps = rng.normal(size=(8, N_SAMPLES, 12))
    ecg = rng.normal(size=(8, N_SAMPLES, 12))
    return maps, ecg, windows(8), np.array(list("aabbccdd"))


def test_every_record_adds_to_a_hundred(random_parts):
    shares = record_shares(random_parts[0], random_parts[2])
    assert shares.shape == (8, 12, 5)
    np.testing.assert_allclose(shares.sum(axis=(1, 2)), 100, rtol=1e-12)


def test_planted_mass_is_found_in_its_lead_and_wave():
    maps = np.zeros((1, N_SAMPLES, 12))
    maps[0, 15:20, LEADS.index("V5")] = [-3, 1, -1, 1, 2]  # T; the sign does not count
    maps[0, 30, LEADS.index("I")] = 2
    shares = record_shares(maps, windows(1))[0]
    assert shares[LEADS.index("V5"), PARTS.index("T")] == 80
    assert shares[LEADS.index("I"), PARTS.index("rest")] == 20


def test_a_map_that_is_the_ecg_has_no_excess(random_parts):
    _, ecg, masks, ids = random_parts
    maps = np.abs(ecg - np.median(ecg, axis=1, keepdims=True))
    table = share_table(wave_shares(maps, ecg, masks, ids), n_resamples=100)
    np.testing.assert_allclose(table["excess_percent_points"], 0, atol=1e-12)
    np.testing.assert_allclose(table["share_percent"], table["expected_by_amplitude_percent"])


def test_a_constant_map_has_the_share_of_the_time(random_parts):
    _, ecg, masks, ids = random_parts
    table = share_table(wave_shares(np.ones_like(ecg), ecg, masks, ids), n_resamples=100)
    np.testing.assert_allclose(table["share_percent"], table["expected_by_duration_percent"])
    assert table.loc[table["wave"] == "rest", "share_percent"].sum() == pytest.approx(50)


def test_the_table_adds_to_a_hundred_by_cell_wave_and_lead(random_parts):
    shares = wave_shares(*random_parts)
    assert (shares.n_records, shares.n_left_out, len(shares.patient_ids)) == (8, 0, 4)
    cells = share_table(shares)
    assert len(cells) == 60
    for by in ("lead and wave", "wave", "lead"):
        table = share_table(shares, by=by)
        for column in ("share_percent", "expected_by_duration_percent"):
            assert table[column].sum() == pytest.approx(100)
        assert table["expected_by_amplitude_percent"].sum() == pytest.approx(100)
        assert (table["ci_low"] <= table["share_percent"]).all()
        assert (table["share_percent"] <= table["ci_high"]).all()
        assert (table["n_patients"] == 4).all()
    waves = share_table(shares, by="wave").set_index("wave")["share_percent"]
    summed = cells.groupby("wave")["share_percent"].sum()
    np.testing.assert_allclose(waves[list(PARTS)], summed[list(PARTS)])


def test_the_patient_is_the_unit(random_parts):
    """Ten copies of one patient's record change nothing."""
    maps, ecg, masks, _ = random_parts
    rows = [0, 1, 2, *[3] * 10]
    copied = {name: mask[rows] for name, mask in masks.items()}
    one = share_table(wave_shares(maps[:4], ecg[:4], windows(4), list("abcd")), n_resamples=200)
    ten = share_table(
        wave_shares(maps[rows], ecg[rows], copied, list("abc") + ["d"] * 10), n_resamples=200
    )
    columns = ["share_percent", "ci_low", "ci_high", "excess_low"]
    np.testing.assert_allclose(one[columns], ten[columns])


def test_intervals_agree_with_resampling_one_by_one(random_parts):
    shares = wave_shares(*random_parts)
    table = share_table(shares, by="wave", n_resamples=4000, seed=1)
    by_patient = shares.attribution.sum(axis=1)
    rng = np.random.default_rng(5)
    means = [by_patient[rng.integers(0, 4, 4)].mean(axis=0) for _ in range(4000)]
    low, high = np.quantile(means, [0.025, 0.975], axis=0)
    np.testing.assert_allclose(table["ci_low"], low, atol=0.15)
    np.testing.assert_allclose(table["ci_high"], high, atol=0.15)


def test_maps_without_leads_have_waves_only(random_parts):
    maps, ecg, masks, ids = random_parts
    shares = wave_shares(np.abs(maps[..., 0]), ecg, masks, ids)
    table = share_table(shares, n_resamples=100)
    assert table["lead"].unique().tolist() == ["all leads"]
    assert table["wave"].tolist() == list(PARTS)
    assert table["share_percent"].sum() == pytest.approx(100)


def test_empty_maps_are_left_out_and_counted(random_parts):
    maps, ecg, masks, ids = random_parts
    maps[0] = 0
    shares = wave_shares(maps, ecg, masks, ids)
    assert (shares.n_records, shares.n_left_out, len(shares.patient_ids)) == (7, 1, 4)


def test_one_patient_has_no_interval(random_parts):
    maps, ecg, _, _ = random_parts
    table = share_table(wave_shares(maps[:1], ecg[:1], windows(1), ["a"]))
    assert table[["ci_low", "ci_high", "excess_low", "excess_high"]].isna().all(axis=None)


@pytest.mark.parametrize("decimals", [0, 1, 2])
def test_what_is_printed_adds_to_a_hundred(decimals):
    percent = 100 * np.random.default_rng(0).dirichlet(np.ones(60)).reshape(12, 5)
    rounded = round_to_hundred(percent, decimals=decimals)
    assert round(rounded.sum(), 6) == 100
    assert np.abs(rounded - percent).max() < 10.0**-decimals


def test_refusals(random_parts):
    maps, ecg, masks, ids = random_parts
    with pytest.raises(ValueError, match=r"^windows must be of shape \(8, 40\) like the maps, got"):
        record_shares(maps, windows(3))
    with pytest.raises(ValueError, match=r"^mass must be finite, got NaN"):
        record_shares(np.full((8, N_SAMPLES), np.nan), masks)
    with pytest.raises(ValueError, match=r"^maps, ecg and patient_ids must hold the same records"):
        wave_shares(maps, ecg, masks, ids[:3])
    with pytest.raises(ValueError, match=r"^maps must hold at least one that is not zero, got 0"):
        wave_shares(np.zeros_like(maps), ecg, masks, ids)
    with pytest.raises(ValueError, match=r"^by must be one of \['lead and wave', 'wave', 'lead'\]"):
        share_table(wave_shares(maps, ecg, masks, ids), by="beat")
    with pytest.raises(ValueError, match=r"^percent must add to 100, got 50\. Pass all the parts"):
        round_to_hundred(np.array([50.0]))
    masks["P"][:] = True
    with pytest.raises(ValueError, match=r"^windows must not overlap, got samples in two"):
        record_shares(maps, masks)


# --- the ECG against the covariates -------------------------------------------------------------


def shap_frame(ecg_logit, covariates_logit, patient_ids):
    """Return Shapley values of two covariates whose sum is given, and base values."""
    n = len(ecg_logit)
    halves = np.column_stack([covariates_logit, covariates_logit]) / 2
    return pd.DataFrame(
        {
            "record_id": np.repeat([f"R{row}" for row in range(n)], 2),
            "patient_id": np.repeat(patient_ids, 2),
            "base_value": np.repeat(ecg_logit, 2),
            "shap_logit": halves.ravel(),
        }
    )


def networks_of(shap, folds):
    ids = shap["record_id"].drop_duplicates()
    return pd.DataFrame({"record_id": ids, "repeat": 0, "fold": folds})


def test_contributions_are_against_the_mean_patient():
    shap = shap_frame([1.0, 3.0, 4.0], np.array([0.5, 0.5, 3.0]), ["a", "a", "b"])
    frame = input_contributions(shap, networks_of(shap, 0))
    assert frame["patient_id"].tolist() == ["a", "b"]
    np.testing.assert_allclose(frame["ecg_logit"], [-1, 1])  # means 2 and 4
    np.testing.assert_allclose(frame["covariates_logit"], [-1.25, 1.25])  # 0.5 and 3
    np.testing.assert_allclose(frame["ecg_share_percent"], 100 / 2.25)
    assert frame["n_records"].tolist() == [2, 1]


def test_offsets_of_the_networks_are_no_contribution():
    rng = np.random.default_rng(0)
    fold = np.repeat([0, 1, 2], [20, 20, 1])
    ecg, others = rng.normal(size=41), rng.normal(size=41)
    same = shap_frame(ecg, others, np.arange(41))
    moved = shap_frame(ecg + 5.0 * fold, others - 3.0 * fold, np.arange(41))
    expected = input_contributions(same, networks_of(same, fold))
    pd.testing.assert_frame_equal(input_contributions(moved, networks_of(moved, fold)), expected)
    assert expected["patient_id"].tolist() == list(range(40))  # nothing to compare the last with


def test_shares_of_the_variance_are_those_of_independent_inputs():
    rng = np.random.default_rng(0)
    n = 20_000
    shap = shap_frame(3 * rng.normal(size=n), rng.normal(size=n), np.arange(n))
    shares = variance_shares(input_contributions(shap, networks_of(shap, 0)), n_resamples=100)
    np.testing.assert_allclose(shares["share_percent"], [90, 10], atol=1)
    assert shares["share_percent"].sum() == pytest.approx(100)
    assert (shares["ci_low"] < shares["share_percent"]).all()


def test_too_few_patients_are_refused():
    shap = shap_frame(np.ones(2), np.ones(2), ["a", "b"])
    frame = input_contributions(shap, networks_of(shap, 0))
    with pytest.raises(ValueError, match=r"^contributions must hold three patients or more"):
        variance_shares(frame)
