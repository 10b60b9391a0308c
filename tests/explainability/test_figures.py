"""Figures say what they show: counts, units, windows, missing values."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from explainability import (
    beat_figures,
    covariate_panels,
    panels,
    patient_figures,
    shap_figures,
    share_figures,
)
from explainability.beats import WINDOWS, beat_seconds, group_mean_beats
from explainability.delineation import wave_windows
from explainability.figure_style import mark_failed, unit_map
from explainability.input_shares import input_contributions, variance_shares
from explainability.r_peaks import LEADS
from explainability.wave_shares import PARTS, share_table, wave_shares

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


def test_beeswarm_greys_missing_values_and_draws_each_patient_once(ax, shap_frame):
    shap_figures.plot_shap_beeswarm(shap_frame, ax=ax)
    missing, known = ax.collections[0], ax.collections[1]
    assert len(missing.get_offsets()) == 2  # two patients, both records without age
    np.testing.assert_allclose(missing.get_facecolors()[0][:3], [0.6] * 3, atol=0.01)
    assert len(known.get_offsets()) == 8
    first = known.get_offsets().copy()
    again = shap_figures.plot_shap_beeswarm(shap_frame, ax=Figure().subplots())
    np.testing.assert_array_equal(first, again.collections[1].get_offsets())


# --- maps that failed their checks --------------------------------------------------------------


def test_a_failed_map_is_hatched_and_says_why(ax):
    image = ax.imshow(np.eye(3))
    ax.figure.colorbar(image, ax=ax)
    assert mark_failed(ax.figure, "seeds disagree (0.31)") is ax.figure
    assert ax.figure.texts[0].get_text() == "FAILED ITS CHECKS: seeds disagree (0.31)"
    hatched = [[patch.get_hatch() for patch in one.patches] for one in ax.figure.axes]
    assert hatched[0] == [None, "//"]
    assert "//" not in hatched[1]  # the colour bar
    ax.figure.draw_without_rendering()


def test_axes_can_be_marked_alone(ax):
    assert mark_failed(ax, "nearly the same with random weights") is ax
    words = ax.texts[0].get_text().replace("\n", " ")
    assert words == "FAILED ITS CHECKS: nearly the same with random weights"
    with pytest.raises(ValueError, match=r"^reason must be a sentence, got nothing\. Say which"):
        mark_failed(ax, " ")


# --- beats by lead ------------------------------------------------------------------------------


def test_twelve_panels_are_in_paper_order_and_print_their_shares():
    shares = np.zeros((12, 5))
    shares[LEADS.index("V2"), PARTS.index("T")] = 100
    rng = np.random.default_rng(0)
    beat = rng.normal(size=(len(SECONDS), 12))
    figure = beat_figures.plot_median_beats(
        beat, beat, SECONDS, shares=shares, title="Mean of 3 patients"
    )
    titles = [ax.get_title(loc="left") for ax in figure.axes[:12]]
    assert titles[:4] == ["I: 0.0 %", "aVR: 0.0 %", "V1: 0.0 %", "V4: 0.0 %"]
    panel = figure.axes[titles.index("V2: 100.0 %")]
    assert "100.0" in [text.get_text() for text in panel.texts]
    assert figure.axes[12].get_ylabel().startswith("map (change of the logit")
    figure.draw_without_rendering()


def test_a_trace_is_coloured_where_the_map_is():
    map_ = np.zeros((len(SECONDS), 12))
    map_[30, 0], map_[40, 0] = 2.0, -1.0
    figure = beat_figures.plot_median_beats(np.zeros_like(map_), map_, SECONDS)
    lines = figure.axes[0].collections[0]
    np.testing.assert_allclose(lines.get_array()[[29, 30, 39, 40]], [1, 1, -0.5, -0.5])
    assert np.argmax(lines.get_linewidths()) in (29, 30)
    assert not figure.axes[1].collections[0].get_array().any()


def test_groups_by_lead_have_a_column_a_lead():
    figure = beat_figures.plot_group_leads(
        make_groups(12), make_groups(), SECONDS, leads=("I", "V1")
    )
    assert [ax.get_title() for ax in figure.axes[:2]] == ["I", "V1"]
    assert [text.get_text() for text in figure.axes[0].texts] == list(WINDOWS)
    assert figure.axes[2].get_xlabel() == "time from R peak (s)"
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert legend == ["low risk: 3 patients, 6 records", "high risk: 3 patients, 6 records"]
    figure.draw_without_rendering()
    with pytest.raises(ValueError, match=r"^leads must be among I, .*, got 'V9'"):
        beat_figures.plot_group_leads(make_groups(12), make_groups(), SECONDS, leads=("V9",))
    with pytest.raises(ValueError, match=r"^maps must hold the same 1 to 6 groups as beats, got"):
        beat_figures.plot_group_leads(make_groups(12), make_groups()[:1], SECONDS)


def test_unit_maps_keep_signs_and_end_at_one():
    rng = np.random.default_rng(0)
    map_ = rng.normal(size=(1000, 12))
    scaled = unit_map(map_, rate_hz=100, smooth_seconds=0)
    assert np.abs(scaled).max() == 1
    np.testing.assert_array_equal(np.sign(scaled), np.sign(map_))
    assert not unit_map(np.zeros(10), rate_hz=100).any()
    ramp = np.arange(100.0)
    np.testing.assert_allclose(unit_map(ramp, rate_hz=100, quantile=1)[5:-5], ramp[5:-5] / 98.4)


# --- tables and inputs --------------------------------------------------------------------------


def test_the_share_table_prints_what_adds_to_a_hundred(ax):
    rng = np.random.default_rng(0)
    maps, ecg = rng.normal(size=(2, 6, 40, 12))
    masks = {name: np.zeros((6, 40), dtype=bool) for name in PARTS[:4]}
    masks["QRS"][:, 5:15] = True
    table = share_table(wave_shares(maps, ecg, masks, list("aabbcc")), n_resamples=100)
    share_figures.plot_share_table(table, ax=ax, title="Gradients")
    cells = [text.get_text() for text in ax.texts]
    assert len(cells) == 60
    assert sum(float(cell.split()[0]) for cell in cells) == pytest.approx(100)
    assert sum(float(cell.split("(")[1].rstrip(")")) for cell in cells) == pytest.approx(100)
    assert ax.get_title() == "Gradients\nLeads and waves; 3 patients, 6 records"


def test_a_waterfall_leads_from_the_base_to_the_logit(ax, shap_frame):
    row = shap_frame["record_id"] == "R5"
    total = shap_frame.loc[row, "shap_logit"].sum()
    frame = shap_frame.assign(base_value=-1.0, prediction_logit=total - 1.0)
    patient_figures.plot_shap_waterfall(frame, "R5", ax=ax, labels={"age": "age (years)"})
    bars = ax.patches
    assert bars[0].get_x() == pytest.approx(-1.0)
    last = bars[len(bars) - 1]
    ends = {last.get_x(), last.get_x() + last.get_width()}
    assert any(end == pytest.approx(total - 1.0) for end in ends)
    words = [text.get_text() for text in ax.texts]
    assert words[0] == "base -1.00 (risk 0.27)"
    assert any(word.startswith("this ECG") for word in words)
    names = [tick.get_text() for tick in ax.get_yticklabels()]
    assert any(name.startswith("age (years) = ") for name in names)
    missing = patient_figures.plot_shap_waterfall(frame, "R0", ax=Figure().subplots())
    assert "age: missing" in [tick.get_text() for tick in missing.get_yticklabels()]


def test_sampled_values_say_so(ax, shap_frame):
    shap_figures.plot_shap_beeswarm(shap_frame.assign(method="permutation"), ax=ax)
    assert ax.get_title().endswith("sampled, not exact")


def test_dependence_shows_missing_values_apart(ax, shap_frame):
    patient_figures.plot_shap_dependence(shap_frame, "age", ax=ax, label="age (years)")
    known, gone = ax.collections
    assert len(known.get_offsets()) == 8
    assert len(gone.get_offsets()) == 2
    assert gone.get_offsets()[:, 0].max() < known.get_offsets()[:, 0].min()
    assert ax.get_title() == "8 patients with the value, 2 without"
    references = {"gene": "none_found"}
    other = patient_figures.plot_shap_dependence(
        shap_frame, "gene", ax=Figure().subplots(), references=references
    )
    labels = [tick.get_text() for tick in other.get_xticklabels()]
    assert labels == ["none found", "TTN", "LMNA"]


def test_the_ecg_against_the_covariates(ax):
    shap = pd.DataFrame({"record_id": range(8), "patient_id": range(8), "shap_logit": 0.0})
    shap["base_value"] = np.random.default_rng(0).normal(size=8)
    networks = pd.DataFrame({"record_id": range(8), "repeat": 0, "fold": 0})
    contributions = input_contributions(shap, networks)
    shares = variance_shares(contributions, n_resamples=100)
    y_true = dict.fromkeys(range(8), 0) | {3: 1}
    patient_figures.plot_input_contributions(contributions, shares, ax=ax, y_true=y_true)
    assert "ECG 100 % (100 to 100); covariates 0 % (0 to 0)" in ax.get_title()
    legend = [text.get_text() for text in ax.get_legend().get_texts()]
    assert legend == ["no event: 7", "event: 1"]


# --- panels of the notebook ---------------------------------------------------------------------


@pytest.fixture(scope="module")
def view():
    times = np.arange(1000) / 100
    trace = sum(
        height * np.exp(-0.5 * ((times[:, None] - np.arange(0.8, 9.6, 0.9) - at) / width) ** 2)
        for at, width, height in ((-0.17, 0.022, 0.15), (0, 0.016, 1.2), (0.3, 0.045, 0.35))
    ).sum(axis=1)
    rng = np.random.default_rng(0)
    ecg = trace[None, :, None] * rng.uniform(0.5, 1.5, (6, 1, 12))
    ecg += rng.normal(0, 0.005, ecg.shape)
    records = pd.DataFrame(
        {
            "record_id": list("uvwxyz"),
            "patient_id": list("aabbcc"),
            "group": np.repeat(["low risk", "high risk"], 3),
        }
    )
    maps = {"gradients": ecg * rng.normal(size=ecg.shape), "Grad-CAM": np.abs(ecg[..., 0])}
    failed = {"Grad-CAM": "no weights"}
    return panels.look_at_beats(ecg, maps, records, wave_windows(ecg, 100), 100, failed=failed)


@pytest.mark.parametrize("name", ["gradients", "Grad-CAM"])
def test_panels_of_maps_come_with_caption_and_table(view, name):
    made = [panels.group_leads(view, name), panels.leads_and_waves(view, name)]
    made += [panels.median_beat(view, name)] if name == "gradients" else []
    for figure, caption, table in made:
        words = [text.get_text() for text in figure.texts]
        assert any(word.startswith("FAILED") for word in words) == (name == "Grad-CAM")
        assert name in caption
        assert len(table)
        figure.draw_without_rendering()


def test_the_view_tells_beats_and_waves(view):
    assert set(view.spans) == {"P", "QRS", "ST", "T"}
    assert "delineated in 6" in view.sentence()
    assert view.table[["n_used", "n_t"]].gt(5).all(axis=None)


def test_panels_of_covariates(shap_frame):
    for figure, caption, table in (
        covariate_panels.beeswarm(shap_frame, {}),
        covariate_panels.waterfalls(shap_frame, ["R1", "R6"], {}),
        covariate_panels.dependence(shap_frame, {}),
    ):
        assert caption.endswith(".")
        assert len(table)
        figure.draw_without_rendering()
