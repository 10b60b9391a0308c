from __future__ import annotations

import re

import matplotlib.pyplot as plt
import numpy as np
import pytest

from evaluation import figures, forest
from evaluation.style import variant_style
from evaluation.summary import EvaluationSettings, evaluate

QUICK = EvaluationSettings(n_resamples=100, risk_step=0.15)
DRAW = {
    "roc": lambda r, ax: figures.plot_roc(r["roc"], metrics=r["metrics"], ax=ax),
    "precision_recall": lambda r, ax: figures.plot_precision_recall(
        r["precision_recall"], metrics=r["metrics"], ax=ax
    ),
    "calibration": lambda r, ax: figures.plot_calibration(
        r["calibration_curve"], metrics=r["metrics"], patients=r["patients"], ax=ax
    ),
    "histogram": lambda r, ax: figures.plot_risk_histogram(
        r["risk_histogram"], variant="ecg", ax=ax
    ),
    "decision": lambda r, ax: figures.plot_decision_curve(r["decision_curve"], ax=ax),
    "forest": lambda r, ax: forest.plot_auroc_forest(r["metrics"], ax=ax),
}


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def result(make_predictions):
    return evaluate(make_predictions(n=60), QUICK)


@pytest.fixture(scope="module")
def awkward_results(make_predictions):
    """Several repeats; and no event among the test patients."""
    predictions = make_predictions(n=60)
    is_kept = (predictions["role"] != "test") | (predictions["y_true"] == 0)
    return [
        evaluate(table, QUICK)
        for table in (make_predictions(n=60, n_repeats=2), predictions[is_kept])
    ]


@pytest.mark.parametrize("name", DRAW)
class TestEveryFigure:
    def test_draws_on_the_given_axes_with_names_and_sizes(self, name, result):
        ax = plt.subplots(layout="constrained")[1]
        assert DRAW[name](result, ax) is ax
        n_events = result["metrics"]["n_events"].iloc[0]
        assert f"n = 60 patients, {n_events} events" in ax.get_title()
        assert ax.get_xlabel()
        assert ax.get_ylabel() or name == "forest"
        ax.figure.canvas.draw()

    def test_makes_its_own_axes(self, name, result):
        assert DRAW[name](result, None).figure is not None

    def test_survives_repeats_and_one_class(self, name, awkward_results):
        for result in awkward_results:
            DRAW[name](result, None).figure.canvas.draw()


def test_a_variant_keeps_its_colour_in_every_figure(result):
    colour = variant_style("ecg_covariates")["color"]
    for name in ("roc", "calibration", "decision"):
        ax = DRAW[name](result, plt.subplots()[1])
        lines = [h for h in ax.lines if str(h.get_label()).startswith("ECG + covariates")]
        assert [h.get_color() for h in lines] == [colour], name


def test_styles_are_fixed_and_distinct():
    known = ["ecg", "ecg_covariates", "ecg_age", "clinical"]
    assert len({variant_style(name)["color"] for name in known}) == 4
    assert len({variant_style(name)["linestyle"] for name in known}) == 4
    assert variant_style("fcn") == variant_style("fcn")
    assert variant_style("fcn")["color"] not in {variant_style(k)["color"] for k in known}


def test_curves_are_those_of_the_table(result):
    table = result["roc"].query("variant == 'ecg'")
    ax = figures.plot_roc(table)
    drawn = next(line for line in ax.lines if str(line.get_label()).startswith("ECG"))
    np.testing.assert_array_equal(drawn.get_xdata(), table["fpr"])
    np.testing.assert_array_equal(drawn.get_ydata(), table["tpr"])


def test_calibration_prints_slope_and_intercept(result):
    ax = DRAW["calibration"](result, None)
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert all("slope" in label and "intercept" in label for label in labels)


def test_several_variants_need_a_choice(result):
    message = "variant must be one of ['ecg', 'ecg_covariates', 'clinical'], got None. Draw a panel"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}"):
        figures.plot_risk_histogram(result["risk_histogram"])


def test_two_targets_and_missing_columns_are_refused(result):
    table = result["roc"].copy()
    table.loc[0, "target"] = "death"
    with pytest.raises(ValueError, match=r"^table must hold one target, got \['death', 'sva'\]\."):
        figures.plot_roc(table)
    with pytest.raises(ValueError, match=r"^table must have the columns \['tpr'\], got"):
        figures.plot_roc(table.drop(columns="tpr"))
    with pytest.raises(ValueError, match=r"^metric must be one of \["):
        forest.plot_auroc_forest(result["metrics"], metric="accuracy")
