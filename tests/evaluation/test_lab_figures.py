"""Figures of the lab: what they show, and that they say which column a table lacks."""

import matplotlib.pyplot as plt
import pandas as pd
import pytest

from evaluation import lab_figures
from evaluation.published import compared_aurocs
from evaluation.single_split import simulate_block
from evaluation.single_split_tables import (
    best_of_table,
    interval_table,
    reported_aurocs,
    share_table,
    spread_table,
)
from evaluation.surrogate import Protocol

PROTOCOL = Protocol(n_dimensions=2, n_resamples=100)


@pytest.fixture(scope="module")
def simulated():
    options = {"cohorts": range(4), "n_splits": 5, "n_repeated": 2}
    blocks = [simulate_block(PROTOCOL, 2 * t - 1, truth=t, **options) for t in (0.65, 0.85)]
    return pd.concat(blocks, ignore_index=True)


@pytest.fixture(autouse=True)
def _close():
    yield
    plt.close("all")


def labels_of(ax):
    return ax.get_legend_handles_labels()[1]


def test_the_histogram_names_the_share_it_shows(simulated):
    reported = reported_aurocs(simulated)
    ax = lab_figures.plot_reported(reported, truth=0.65, published=0.5)
    shares = share_table(reported, published=0.5).set_index(["truth", "method"])["share"]
    assert labels_of(ax) == [
        f"one 80/20 split: {shares[0.65, 'one split']:.0%} at 0.5 or more",
        f"5-fold, grouped: {shares[0.65, '5-fold']:.0%} at 0.5 or more",
    ]
    assert "4 cohorts" in ax.get_title()


def test_shares_have_a_row_for_each_way_of_reporting(simulated):
    shares = share_table(reported_aurocs(simulated, best_of=(1, 5)), published=0.86)
    ax = lab_figures.plot_shares(shares, published=0.86)
    names = [label.get_text().split("\n")[0] for label in ax.get_yticklabels()]
    assert names == ["one split", "best of 5 splits", "5-fold", "10 x 5-fold"]
    assert labels_of(ax) == ["truth 0.65", "truth 0.85"]


def test_the_best_of_more_splits_is_never_lower(simulated):
    ax = lab_figures.plot_best_of(best_of_table(simulated), published=0.86)
    values = ax.lines[0].get_ydata()
    assert len(values) == 5
    assert (values[1:] >= values[:-1]).all()
    assert "published 0.86" in labels_of(ax)


def test_coverage_is_drawn_for_every_kind_of_interval(simulated):
    ax = lab_figures.plot_coverage(interval_table(simulated))
    assert labels_of(ax) == list(lab_figures.INTERVAL_NAMES.values())


def test_networks_are_drawn_one_by_one(simulated):
    networks = pd.DataFrame(
        {"auroc_patient": [0.7, 0.8], "true_patient": 0.7, "n_test": 63, "n_test_events": 13}
    )
    spread = spread_table(networks, simulated)
    ax = lab_figures.plot_networks(networks, simulated, spread)
    assert ax.lines[0].get_xdata() == pytest.approx([0.0, 0.1])
    assert "63 test patients, 13 events" in ax.get_title()


def test_the_difference_is_drawn_for_each_number_of_events():
    table = compared_aurocs(0.86, 0.53, n_patients=63, n_events=[2, 3])
    assert labels_of(lab_figures.plot_difference(table)) == ["2 events", "3 events"]


def test_a_table_without_a_column_is_refused():
    with pytest.raises(ValueError, match=r"table must have the columns \['low', 'high'\]"):
        lab_figures.plot_best_of(
            pd.DataFrame({"truth": [0.7], "n_splits": [1], "median": [0.7]}), published=0.86
        )
