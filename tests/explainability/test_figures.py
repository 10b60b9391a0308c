"""Figures say what they show: counts, units, windows, missing values."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from explainability import figures
from explainability.beats import LEADS, WINDOWS, beat_seconds, group_mean_beats, window_shares
from explainability.sanity_checks import shifted_window_null

SECONDS = beat_seconds(100)


@pytest.fixture
def ax():
    return Figure(figsize=(5, 4)).subplots()


@pytest.fixture
def shap_frame():
    rng = np.random.default_rng(0)
    n_records, columns = 20, ["age", "gene=TTN", "gene=LMNA"]
    values = rng.normal(size=(n_records, 3))
    values[:, 1:] = values[:, 1:] > 0
    values[:4, 0] = np.nan
    return pd.DataFrame(
        {
            "record_id": np.repeat([f"R{row}" for row in range(n_records)], 3),
            "patient_id": np.repeat([f"P{row // 2}" for row in range(n_records)], 3),
            "covariate": ["age", "gene", "gene"] * n_records,
            "column": columns * n_records,
            "value": values.ravel(),
            "shap_logit": (np.nan_to_num(values) * [3, 0.5, -1]).ravel(),
            "base_value": 0.0,
            "prediction_logit": 0.0,
            "method": "exact",
        }
    )


def make_groups(n_leads=0):
    shape = (12, len(SECONDS), n_leads) if n_leads else (12, len(SECONDS))
    beats = np.random.default_rng(0).normal(size=shape)
    groups = np.repeat(["low risk", "high risk"], 6)
    return group_mean_beats(beats, groups, np.arange(12) // 2)


def test_mean_beats_name_windows_units_and_counts():
    figure = figures.plot_mean_beat_attribution(
        make_groups(12), make_groups(), SECONDS, lead=1, note="one value every 0.32 s"
    )
    top, bottom = figure.axes
    assert [text.get_text() for text in top.texts] == list(WINDOWS)
    assert top.get_ylabel() == "lead II (mV)"
    assert bottom.get_xlabel() == "time from R peak (s)"
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert legend == ["low risk: 3 patients, 6 records", "high risk: 3 patients, 6 records"]
    assert "one value every 0.32 s" in figure.get_suptitle()
    figure.draw_without_rendering()


def test_lead_bars_sum_to_a_hundred(ax):
    maps = np.random.default_rng(0).normal(size=(6, 50, 12))
    maps[5] = 0  # an empty map has no shares
    figures.plot_lead_attribution(maps, list("aabbcc"), lead_names=LEADS, ax=ax)
    heights = [bar.get_height() for bar in ax.patches]
    assert sum(heights) == pytest.approx(100)
    assert [tick.get_text() for tick in ax.get_xticklabels()] == list(LEADS)
    assert "3 patients, 5 records" in ax.get_title()


def test_window_figures(ax):
    maps = np.random.default_rng(0).random((6, len(SECONDS)))
    shares = window_shares(maps, SECONDS)
    figures.plot_window_shares(shares, list("aabbcc"), ax=ax)
    assert sum(bar.get_height() for bar in ax.patches) == pytest.approx(100)
    test = shifted_window_null(maps, np.tile(SECONDS > 0.2, (6, 1)), patient_ids=list("aabbcc"))
    other = Figure().subplots()
    figures.plot_window_mass({"T": test}, ax=other)
    assert other.texts[0].get_text() == f"×{test.enrichment:.2f}, p = {test.p_value:.3f}"
    assert "3 patients, 6 records" in other.get_title()
    other.figure.draw_without_rendering()


def test_shap_bars_are_per_covariate_and_sorted(ax, shap_frame):
    figures.plot_shap_bar(shap_frame, ax=ax, labels={"age": "age (years)"})
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["age (years)", "gene"]
    assert "logit" in ax.get_xlabel()
    assert "10 patients, 20 records" in ax.get_title()


def test_beeswarm_greys_missing_values_and_draws_each_patient_once(ax, shap_frame):
    figures.plot_shap_beeswarm(shap_frame, ax=ax)
    missing, known = ax.collections[0], ax.collections[1]
    assert len(missing.get_offsets()) == 2  # two patients, both records without age
    np.testing.assert_allclose(missing.get_facecolors()[0][:3], [0.6] * 3, atol=0.01)
    assert len(known.get_offsets()) == 8
    first = known.get_offsets().copy()
    again = figures.plot_shap_beeswarm(shap_frame, ax=Figure().subplots())
    np.testing.assert_array_equal(first, again.collections[1].get_offsets())


def test_sampled_values_say_so(ax, shap_frame):
    figures.plot_shap_bar(shap_frame.assign(method="permutation"), ax=ax)
    assert ax.get_title().endswith("sampled, not exact")


def test_refusals(ax):
    groups = make_groups(12)
    with pytest.raises(ValueError, match=r"^maps must hold the same 1 to 6 groups as beats, got"):
        figures.plot_mean_beat_attribution(groups, groups[:1], SECONDS)
    with pytest.raises(ValueError, match=r"^lead must be a column from 0 to 11, got None. Choose"):
        figures.plot_mean_beat_attribution(groups, groups, SECONDS)
    with pytest.raises(
        ValueError, match=r"^attribution must be of shape \(2, n_samples, 12\), got"
    ):
        figures.plot_lead_attribution(np.ones((3, 5, 12)), ["a", "b"], lead_names=LEADS, ax=ax)
    with pytest.raises(ValueError, match=r"^attribution must not be zero everywhere"):
        figures.plot_lead_attribution(np.zeros((1, 5, 12)), ["a"], lead_names=LEADS, ax=ax)
    with pytest.raises(ValueError, match=r"^tests must hold at least one window, got none"):
        figures.plot_window_mass({}, ax=ax)
