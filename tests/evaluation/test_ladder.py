"""The ladder's table: each number is that of the function it names, compared on shared repeats."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import brier_score_loss, roc_auc_score

from evaluation.comparison import compare_variants
from evaluation.ladder import ladder_table, plot_ladder
from evaluation.resampling import BootstrapPlan
from evaluation.scores import patient_scores

PLAN = BootstrapPlan(n_resamples=100)
COSTS = pd.DataFrame(
    {"rung": ["kernels", "embedding", "full"], "seconds_a_fit": [1.0, 2.0, 300.0]}
).assign(n_trained=[85, 2049, 16_000_000])


@pytest.fixture(scope="module")
def predictions(make_predictions):
    """Return three rungs; the cheap ones in two repeats, ``full`` in the first."""
    noises = {"kernels": 2.0, "embedding": 0.5, "full": 1.0}
    made = make_predictions(n=120, n_folds=3, n_repeats=2, noises=noises, seed=3)
    return made[(made["variant"] != "full") | (made["repeat"] == 0)]


@pytest.fixture(scope="module")
def table(predictions):
    return ladder_table(predictions, COSTS, reference="kernels", plan=PLAN).set_index("rung")


def test_the_auroc_is_the_mean_within_folds_and_brier_the_mean_over_repeats(predictions, table):
    scores = patient_scores(predictions[predictions["role"] == "test"])
    for rung, mine in scores.groupby("variant"):
        folds = [
            roc_auc_score(part["y_true"], part["y_score"])
            for _, part in mine.groupby(["repeat", "fold"])
        ]
        assert table.loc[rung, "auroc"] == pytest.approx(np.mean(folds))
        brier = [
            brier_score_loss(part["y_true"], part["y_score"]) for _, part in mine.groupby("repeat")
        ]
        assert table.loc[rung, "brier"] == pytest.approx(np.mean(brier))
        assert table.loc[rung, "auroc_low"] < table.loc[rung, "auroc"]
    assert table["n_repeats"].to_dict() == {"kernels": 2, "embedding": 2, "full": 1}
    assert (table["n"] == 120).all()
    assert table["n_trained"].to_dict()["full"] == 16_000_000


def test_the_gain_is_the_paired_difference_on_the_repeats_both_have(predictions, table):
    scores = patient_scores(predictions[predictions["role"] == "test"])
    parts = dict(list(scores.groupby("variant")))
    for rung in ("embedding", "full"):
        expected = compare_variants(parts[rung], parts["kernels"], plan=PLAN).iloc[0]
        found = table.loc[rung, ["gain", "gain_low", "gain_high"]]
        np.testing.assert_allclose(
            found.to_numpy(float), expected[["estimate", "ci_low", "ci_high"]].to_numpy(float)
        )
    assert table["gain_on"].to_dict() == {"kernels": 0, "embedding": 2, "full": 1}
    assert np.isnan(table.loc["kernels", "gain"])


def test_a_rung_without_predictions_is_refused(predictions):
    part = predictions[predictions["variant"] != "full"]
    with pytest.raises(ValueError, match="of every rung, got none of full, scratch"):
        ladder_table(part, COSTS, reference="scratch", plan=PLAN)


def test_the_figure_shows_every_rung_and_the_size(table):
    figure, axes = plt.subplots(1, 2, figsize=(12, 3.5), layout="constrained")
    plot_ladder(table.reset_index(), axes, reference="kernels")
    figure.canvas.draw()
    assert [label.get_text() for label in axes[0].get_yticklabels()] == list(COSTS["rung"])
    assert "n = 120 patients" in axes[0].get_title()
    assert axes[1].texts[0].get_text() == "reference"
    squares = [line.get_xdata()[0] for line in axes[1].lines if line.get_marker() == "s"]
    np.testing.assert_allclose(squares, table["gain"].dropna())
    plt.close(figure)
