"""Measures of stability, worked by hand; figures draw what the tables say."""

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt

from evaluation.discrimination import auroc
from evaluation.stability import (
    instability_summary,
    optimism_table,
    patient_instability,
    permutation_p_value,
    refit_arrays,
)
from evaluation.stability_figures import plot_stability

ORIGINAL = [0.1, 0.5]
REFITS = [[0.1, 0.2, 0.3, 0.0], [0.5, 0.1, 0.5, 0.9]]


def test_patients_worked_by_hand():
    table = patient_instability(ORIGINAL, REFITS, threshold=0.25)
    # |0, .1, .2, .1| and |0, .4, 0, .4|; one refit of each falls on the other side of 0.25.
    np.testing.assert_allclose(table["mape"], [0.1, 0.2])
    np.testing.assert_allclose(table["changed"], [0.25, 0.25])
    # Quantiles at 0.025 * 3 = 0.075 steps from the ends of 0, .1, .2, .3.
    np.testing.assert_allclose(table.loc[0, ["low", "high"]].astype(float), [0.0075, 0.2925])


def test_the_summary_is_the_mean_over_patients():
    table = instability_summary(ORIGINAL, REFITS, threshold=0.25).set_index("measure")
    assert table.loc["average MAPE", "value"] == pytest.approx(0.15)
    assert table.loc["classification instability at 0.25", "value"] == pytest.approx(0.25)
    assert (table["n_refits"] == 4).all()


def test_the_calibration_slope_of_refits():
    rng = np.random.default_rng(0)
    logit = rng.normal(size=4000)
    y_true = (rng.random(4000) < 1 / (1 + np.exp(-logit))).astype(int)
    refits = 1 / (1 + np.exp(-logit[:, None] * np.array([1.0, 2.0, 2.0])))
    table = instability_summary(refits[:, 0], refits, y_true).set_index("measure")
    # Logits twice too large have half the slope.
    assert table.loc["calibration slope of a refit", "value"] == pytest.approx(0.5, abs=0.06)


def test_identical_refits_are_stable():
    table = patient_instability(ORIGINAL, np.tile(np.array(ORIGINAL)[:, None], 7), threshold=0.3)
    assert (table[["mape", "changed"]] == 0).all().all()


@pytest.mark.parametrize(
    ("refits", "message"),
    [
        ([[0.1], [0.2], [0.3]], r"refits must have one row for each of the 2 patients .*\(3, 1\)"),
        ([0.1, 0.2], r"refits must have one row for each of the 2 patients .*\(2,\)"),
        ([[0.1], [np.nan]], "refits must be between 0 and 1, got values outside or missing."),
        ([[0.1], [1.2]], "refits must be between 0 and 1, got values outside or missing."),
    ],
)
def test_refits_of_other_patients_or_scales_are_refused(refits, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        patient_instability(ORIGINAL, refits)


def test_optimism_is_own_sample_minus_all_patients():
    rng = np.random.default_rng(1)
    y_true = np.tile([0, 1, 0], 20)
    original, refits = rng.random(60), rng.random((60, 3))
    n_drawn = rng.multinomial(60, np.full(60, 1 / 60), size=3).T
    table = optimism_table(y_true, original, refits, n_drawn).set_index("metric")
    gaps, briers = [], []
    for risk, count in zip(refits.T, n_drawn.T, strict=True):
        rows = np.repeat(np.arange(60), count)
        gaps.append(auroc(y_true[rows], risk[rows]) - auroc(y_true, risk))
        error = (risk - y_true) ** 2
        briers.append(error[rows].mean() - error.mean())
    assert table.loc["auroc", "optimism"] == pytest.approx(np.mean(gaps))
    assert table.loc["auroc", "apparent"] == pytest.approx(auroc(y_true, original))
    assert table.loc["brier", "optimism"] == pytest.approx(np.mean(briers))
    np.testing.assert_allclose(table["corrected"], table["apparent"] - table["optimism"])


def test_refits_without_a_slope_are_counted_out():
    refits = np.column_stack([np.full(6, 0.3), [0.1, 0.6, 0.2, 0.3, 0.5, 0.4]])
    table = optimism_table([0, 1, 0, 1, 0, 1], refits[:, 1], refits, np.ones((6, 2), int))
    assert table.set_index("metric")["n_refits"].to_dict() == {
        "auroc": 2,
        "brier": 2,
        "calibration_slope": 1,
    }


def test_the_p_value_counts_the_observed_deal():
    assert permutation_p_value(0.9, np.linspace(0.4, 0.6, 199)) == pytest.approx(1 / 200)
    assert permutation_p_value(0.5, [0.5, 0.4]) == pytest.approx(2 / 3)
    assert permutation_p_value(0.3, [0.5, 0.4]) == 1.0


@pytest.fixture
def tables():
    rng = np.random.default_rng(2)
    ids = [f"P{k}" for k in range(30)]
    refits = pd.DataFrame(
        {
            "patient_id": np.tile(ids, 6),
            "refit": np.repeat(np.arange(6), 30),
            "n_drawn": 1,
            "y_true": np.tile(np.arange(30) % 3 == 0, 6).astype(int),
            "y_score": rng.random(180),
        }
    )
    curve = {"n_patients": np.repeat([10, 20], 5), "n_events": 4, "draw": np.tile(range(5), 2)}
    curve = pd.DataFrame(curve).assign(auroc=rng.random(10), auroc_training=rng.random(10))
    permutations = pd.DataFrame({"permutation": range(11), "auroc": [0.9, *[0.5] * 10]})
    return {"refits": refits, "learning_curve": curve, "permutations": permutations}


def test_refits_come_back_as_arrays_in_one_order(tables):
    arrays = refit_arrays(tables["refits"].sample(frac=1, random_state=0))
    assert arrays["refits"].shape == arrays["n_drawn"].shape == (30, 5)
    first = tables["refits"].set_index(["patient_id", "refit"])["y_score"]
    assert arrays["original"][0] == first[("P0", 0)]
    assert arrays["refits"][1, 3] == first[("P1", 4)]


def test_figures_say_patients_events_and_p(tables):
    figure, axes = plt.subplots(2, 2)
    plot_stability(tables, axes)
    assert all("n = 30 patients, 10 events" in ax.get_title() for ax in axes.flat)
    assert "observed 0.900 (p = 0.091)" in axes[1, 1].get_legend_handles_labels()[1]
    plt.close(figure)
    figure, axes = plt.subplots(2, 2)
    plot_stability({**tables, "learning_curve": tables["learning_curve"].iloc[:0]}, axes)
    assert not axes[1, 0].axison
    plt.close(figure)
