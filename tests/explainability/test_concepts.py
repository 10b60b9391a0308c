"""Associations against second implementations, and networks whose concept is known."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from scipy.stats import rankdata, spearmanr
from statsmodels.stats.multitest import multipletests

from explainability.concept_figures import plot_associations, plot_map_associations
from explainability.concepts import (
    AssociationSettings,
    associations,
    attribution_associations,
    by_patient,
    within_fold_score,
)
from explainability.ecg_measurements import MEASUREMENTS
from explainability.explained_variance import explained_by_measurements
from explainability.r_peaks import LEADS

FEW = AssociationSettings(n_bootstrap=300)


def patients(n=120, seed=0):
    """Return a score that reads the T wave; QT only follows it, rate has nothing to do with it."""
    rng = np.random.default_rng(seed)
    t_wave = rng.normal(size=n)
    table = pd.DataFrame(
        {
            "t_v5_mv": t_wave,
            "qt_ms": 400 + 20 * (t_wave + rng.normal(size=n)),
            "heart_rate_bpm": rng.normal(70, 10, size=n),
        },
        index=[f"P{k:04d}" for k in range(n)],
    )
    return -2 * table["t_v5_mv"] + rng.normal(0, 0.3, size=n), table


def residual_partial(y, x, given):
    """Return Spearman's partial correlation as that of the residuals of the ranks."""
    design = np.column_stack([np.ones(len(y)), *(rankdata(column) for column in given.T)])
    left = []
    for values in (y, x):
        ranks = rankdata(values)
        left.append(ranks - design @ np.linalg.lstsq(design, ranks, rcond=None)[0])
    return np.corrcoef(*left)[0, 1]


def test_correlations_agree_with_second_implementations():
    score, table = patients()
    given = table[["t_v5_mv", "heart_rate_bpm"]]
    found = associations(score, table, covariates=given, settings=FEW)
    alone = found[found["adjusted_for"] == ""].set_index("measurement")
    for name in table:
        reference = spearmanr(score, table[name])
        assert alone.loc[name, "correlation"] == pytest.approx(reference.statistic)
        assert alone.loc[name, "p_value"] == pytest.approx(reference.pvalue)
    expected = multipletests(alone["p_value"], method="fdr_bh")[1]
    np.testing.assert_allclose(alone["q_value"], expected)
    adjusted = found[found["adjusted_for"] != ""].set_index("measurement")
    reference = residual_partial(score.to_numpy(), table["qt_ms"].to_numpy(), given.to_numpy())
    assert adjusted.loc["qt_ms", "correlation"] == pytest.approx(reference)
    assert adjusted.loc["t_v5_mv", "adjusted_for"] == "heart rate (beats a minute)"  # not itself


def test_what_only_follows_the_cause_disappears_given_the_cause():
    score, table = patients()
    found = associations(score, table, covariates=table[["t_v5_mv"]], settings=FEW)
    row = found.set_index(["measurement", "adjusted_for"]).loc["qt_ms"]
    assert row.loc["", "ci_high"] < -0.4
    assert abs(row.loc["T wave in V5 (mV)", "correlation"]) < 0.25
    assert row.loc["T wave in V5 (mV)", "ci_low"] < 0 < row.loc["T wave in V5 (mV)", "ci_high"]


def test_the_bootstrap_interval_is_that_of_fisher_for_normal_data():
    rng = np.random.default_rng(3)
    x = rng.normal(size=400)
    index = pd.RangeIndex(400)
    y = pd.Series(0.6 * x + 0.8 * rng.normal(size=400), index=index)
    row = associations(y, pd.DataFrame({"qt_ms": x}), settings=AssociationSettings(2000)).iloc[0]
    # Spearman under normality: standard error of atanh about sqrt((1 + r^2 / 2) / (n - 3))
    half = 1.96 * np.sqrt((1 + row["correlation"] ** 2 / 2) / 397)
    centre = np.arctanh(row["correlation"])
    assert row["ci_low"] == pytest.approx(np.tanh(centre - half), abs=0.02)
    assert row["ci_high"] == pytest.approx(np.tanh(centre + half), abs=0.02)


def test_missing_constant_and_too_few_have_no_estimate_but_counts():
    score, table = patients(30)
    table["qt_ms"] = 400.0
    table.iloc[:25, 0] = np.nan
    found = associations(score, table, settings=FEW).set_index("measurement")
    assert found.loc["t_v5_mv", ["n_patients", "n_missing"]].tolist() == [5, 25]
    assert found.loc["t_v5_mv", "method"] == "fewer than 10 patients"
    assert found.loc["qt_ms", "method"] == "does not vary"
    assert found.loc[["t_v5_mv", "qt_ms"], ["correlation", "q_value"]].isna().all(axis=None)
    assert np.isfinite(found.loc["heart_rate_bpm", "q_value"])


def test_unlike_rows_are_refused():
    score, table = patients(30)
    with pytest.raises(ValueError, match=r"must have the index of values .* got 29 and 30 rows"):
        associations(score, table.iloc[1:])


def test_scores_are_compared_within_the_fold_and_patients_averaged():
    scores = pd.DataFrame(
        {"repeat": 0, "fold": [0, 0, 1, 1, 2, 2], "y_score": [0.1, 0.2, 0.8, 0.9, 0.5, 0.5]}
    )
    found = within_fold_score(scores)
    np.testing.assert_allclose(found[:4], np.array([-1, 1, -1, 1]) / np.sqrt(2))
    assert np.isnan(found[4:]).all()
    mean = by_patient(
        pd.DataFrame({"qt_ms": [1.0, np.nan, 3.0, 5.0]}), np.array(["a", "a", "b", "b"])
    )
    assert mean["qt_ms"].to_dict() == {"a": 1.0, "b": 4.0}


def test_explained_variance_of_a_score_made_of_measurements_and_of_noise():
    score, table = patients(200)
    found = explained_by_measurements(score, table, settings=FEW)
    # variance 4 from the T wave, 0.09 from noise, less what the fit costs
    assert found.r_squared == pytest.approx(1 - 0.09 / 4.09, abs=0.02)
    assert found.ci_low < found.r_squared < found.ci_high
    assert "explain 97 % of the differences" in found.sentence()
    noise = pd.Series(np.random.default_rng(5).normal(size=200), index=score.index)
    nothing = explained_by_measurements(noise, table, settings=FEW)
    assert nothing.r_squared < 0.05
    few = explained_by_measurements(score.iloc[:20], table.iloc[:20], settings=FEW)
    assert np.isnan(few.r_squared)
    assert "is not known: 3 measurements, 20 patients" in few.sentence()


def test_an_axis_is_no_number_on_a_line():
    rng = np.random.default_rng(1)
    angle = rng.uniform(-180, 180, size=300)
    index = pd.RangeIndex(300)
    score = pd.Series(np.cos(np.deg2rad(angle)) + 0.1 * rng.normal(size=300), index=index)
    table = pd.DataFrame({"qrs_axis_degrees": angle})
    assert explained_by_measurements(score, table, settings=FEW).r_squared > 0.9


def test_the_map_of_a_network_that_reads_one_t_wave_follows_that_t_wave():
    rng = np.random.default_rng(2)
    n, place = 60, np.zeros(100, dtype=bool)
    place[40:60] = True
    height = rng.normal(size=n)
    maps = rng.normal(0, 0.001, size=(n, 100, 12))
    maps[:, place, LEADS.index("V5")] += -0.05 * height[:, None]  # weight times T wave
    masks = {name: np.zeros((n, 100), dtype=bool) for name in ("P", "QRS", "ST", "T")}
    masks["T"][:, place] = True
    masks["ST"][:, 20:40] = True
    measured = pd.DataFrame({"t_v5_mv": height, "st_v5_mv": rng.normal(size=n)})
    # The maps of the second fold's network are larger and lie higher; its patients are alike.
    fold = np.arange(n) // (n // 2)
    maps *= np.where(fold == 1, 10.0, 1.0)[:, None, None]
    maps[:, place] += 3.0 * fold[:, None, None]
    records = pd.DataFrame({"patient_id": range(n), "repeat": 0, "fold": fold})
    found = attribution_associations(maps, masks, measured, records, settings=FEW)
    found = found.set_index(["measurement", "of"])
    assert found.loc[("t_v5_mv", "signed sum"), "correlation"] < -0.98
    assert abs(found.loc[("st_v5_mv", "signed sum"), "correlation"]) < 0.4
    assert found.loc[("t_v5_mv", "share"), ["wave", "leads"]].tolist() == ["T", "V5"]
    with pytest.raises(ValueError, match=r"maps must be of shape .*Grad-CAM has no lead axis"):
        attribution_associations(maps[..., 0], masks, measured, records)


def test_the_forest_names_and_orders_the_strongest():
    score, table = patients()
    found = associations(score, table, covariates=table[["heart_rate_bpm"]], settings=FEW)
    figure, ax = plt.subplots()
    assert plot_associations(found, ax=ax, n_rows=2, n_events=9) is ax
    shown = [label.get_text() for label in ax.get_yticklabels()]
    by_name = {item.name: item.label for item in MEASUREMENTS}
    assert shown == [by_name["t_v5_mv"], by_name["qt_ms"]]
    assert "120 patients, 9 events" in ax.get_title()
    plt.close(figure)


def test_the_forest_of_the_map_says_where_the_map_was_read():
    rows = {
        "measurement": ["pr_ms", "t_v5_mv", "cornell_mv"] * 2,
        "label": ["PR interval (ms)", "T wave in V5 (mV)", "Cornell voltage (mV)"] * 2,
        "of": ["signed sum"] * 3 + ["share"] * 3,
        "wave": ["P", "T", "QRS"] * 2,
        "leads": [" ".join(LEADS), "V5", "aVL V3"] * 2,
        "correlation": [0.3, -0.8, np.nan, 0.9, 0.0, 0.1],
        "ci_low": -0.9, "ci_high": 0.9, "q_value": [0.3, 0.01, np.nan, 0.01, 0.9, 0.8],
        "n_patients": 40,
    }  # fmt: skip
    figure, ax = plt.subplots()
    plot_map_associations(pd.DataFrame(rows), ax=ax, n_rows=5, n_events=7)
    assert [label.get_text() for label in ax.get_yticklabels()] == [
        "T wave in V5 (mV)",
        "PR interval (ms)\nmap in P, all leads",
    ]
    assert "2 strongest of 3 measurements; up to 40 patients, 7 events" in ax.get_title()
    points = {tuple(line.get_xdata()) for line in ax.get_lines() if line.get_marker() == "o"}
    assert points == {(-0.8,), (0.3,)}
    assert len(figure.legends[0].get_texts()) == 2
    nothing = pd.DataFrame(rows).assign(correlation=np.nan)
    empty = plot_map_associations(nothing, ax=plt.subplots()[1])
    assert empty.texts[0].get_text() == "too few patients, or too few measured, for a correlation"
    plt.close("all")
