"""A frozen model elsewhere: thresholds, folds for updating, case mix, precision."""

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit, logit

from evaluation.before_after import before_after, fitted_maps, with_updates
from evaluation.external import (
    case_mix_table,
    describe_side,
    folds_for_updating,
    frozen_thresholds,
    precision_table,
    why_no_update,
)
from evaluation.external_figures import plot_case_mix
from evaluation.recalibration import recalibrated
from evaluation.resampling import BootstrapPlan
from evaluation.sample_size import auroc_standard_error, events_for_width
from evaluation.scores import patient_scores
from evaluation.summary import EvaluationSettings, evaluate


@pytest.fixture
def predictions(make_predictions):
    """An external cohort: test rows only, one fold."""
    table = make_predictions(n=150, n_folds=2)
    return table[table["role"] == "test"].assign(fold=0)


def test_frozen_thresholds_decide_and_no_training_row_is_needed(predictions):
    cards = {name: {"threshold": {"value": 0.3}} for name in ("ecg", "ecg_covariates")}
    cards["clinical"] = {"threshold": {"value": None}}
    thresholds = frozen_thresholds(cards, target="sva")
    settings = EvaluationSettings(n_resamples=100, interval="percentile")
    tables = evaluate(predictions, settings, thresholds=thresholds)
    ecg = tables["patients"].query("variant == 'ecg'")
    assert (ecg["decision"] == (ecg["y_score"] >= 0.3)).all()
    rows = tables["metrics"].set_index(["variant", "metric"]).sort_index()
    expected = ecg.loc[ecg["y_true"] == 1, "decision"].mean()
    assert rows.loc[("ecg", "sensitivity"), "estimate"].item() == pytest.approx(expected)
    assert np.isnan(rows.loc[("clinical", "sensitivity"), "estimate"].item())
    assert "no threshold" in rows.loc[("clinical", "sensitivity"), "method"].item()


def test_updating_sees_four_fifths_and_is_judged_on_the_other(predictions):
    whole = patient_scores(predictions)
    folded = folds_for_updating(whole, n_folds=5, seed=1)
    tested = folded[folded["role"] == "test"]
    assert not tested.duplicated(["variant", "patient_id"]).any()
    assert len(tested) == len(whole)
    per_patient = tested.groupby("patient_id")["fold"].nunique()
    assert (per_patient == 1).all()  # the same folds for all variants
    one = folded.query("variant == 'ecg' and fold == 0")
    assert not set(one.query("role == 'test'")["patient_id"]) & set(
        one.query("role == 'validation'")["patient_id"]
    )
    flipped = folded.copy()
    is_hidden = (folded["fold"] == 0) & (folded["role"] == "test")
    flipped.loc[is_hidden, "y_true"] = 1 - flipped.loc[is_hidden, "y_true"]
    first, second = (recalibrated(table, "logistic")[1] for table in (folded, flipped))
    pd.testing.assert_frame_equal(first, second)


def test_a_cohort_too_small_to_update_says_so(predictions):
    whole = patient_scores(predictions)
    events = whole.query("y_true == 1")["patient_id"].unique()[3:]
    few = whole[~whole["patient_id"].isin(events)]
    reason = "3 patients of the rarer outcome are fewer than 5 folds"
    assert why_no_update(few, n_folds=5) == reason
    with pytest.raises(ValueError, match=f"got 5: {reason}"):
        folds_for_updating(few, n_folds=5)
    assert fitted_maps(few, []).empty
    table = before_after(few, [], BootstrapPlan(100, method="percentile"))
    assert set(table["recalibration"]) == {"none"}


def test_rows_of_the_frozen_and_the_updated_model_are_told_apart(predictions):
    plan = BootstrapPlan(100, method="percentile")
    settings = EvaluationSettings(n_resamples=100, interval="percentile")
    cards = {name: {"threshold": {"value": 0.3}} for name in predictions["variant"].unique()}
    frozen = frozen_thresholds(cards, target="sva")
    metrics = evaluate(predictions, settings, thresholds=frozen)["metrics"]
    folded = folds_for_updating(patient_scores(predictions))
    both = with_updates(metrics, before_after(folded, ["intercept"], plan))
    assert both["recalibration"].value_counts().to_dict() == {
        "none": len(metrics),
        "intercept": 3 * 7,
    }
    same = both.query("recalibration == 'none' and variant == 'ecg' and metric == 'brier'")
    again = before_after(folded, [], plan).query("variant == 'ecg' and metric == 'brier'")
    assert same["estimate"].item() == pytest.approx(again["estimate"].item())


def test_case_mix_by_hand():
    risks = pd.DataFrame({"variant": "ecg", "repeat": 0, "y_score": expit([0.0, 1.0, 2.0])})
    theirs = describe_side([0, 0, 1], pd.DataFrame({"age": [40.0, 50.0, 60.0]}), risks)
    more = risks.assign(y_score=expit([1.0, 3.0, 5.0]))
    ours = describe_side([1, 1, 0], pd.DataFrame({"age": [60.0, np.nan, 70.0]}), more)
    table = case_mix_table(theirs, ours).set_index("what")
    assert table.loc["event", "mean_external"] == pytest.approx(2 / 3)
    assert table.loc["age", ["n_external", "n_missing_external"]].tolist() == [2, 1]
    predictor = table.loc["linear predictor"]
    assert predictor["mean_development"] == pytest.approx(1.0)
    assert predictor["sd_ratio"] == pytest.approx(2.0)
    # (3 - 1) / sqrt((2^2 + 1^2) / 2)
    assert predictor["standardised_difference"] == pytest.approx(2 / np.sqrt(2.5))


def test_only_the_first_repeat_counts_as_the_linear_predictor():
    risks = pd.DataFrame(
        {"variant": "ecg", "repeat": [0, 0, 1, 1], "y_score": [0.2, 0.4, 0.9, 0.9]}
    )
    table = describe_side([0, 1], pd.DataFrame(index=[0, 1]), risks).set_index("what")
    assert table.loc["linear predictor", "n"] == 2
    expected = np.mean(logit([0.2, 0.4]))
    assert table.loc["linear predictor", "mean"] == pytest.approx(expected)


def test_without_the_training_patients_their_side_is_empty():
    risks = pd.DataFrame({"variant": "ecg", "repeat": 0, "y_score": [0.2, 0.4, 0.5]})
    ours = describe_side([0, 1, 1], pd.DataFrame({"age": [40.0, 50.0, 70.0]}), risks)
    table = case_mix_table(None, ours)
    assert table["mean_external"].notna().all()
    assert table[["mean_development", "standardised_difference", "sd_ratio"]].isna().all().all()
    ax = plot_case_mix(table, n_events=2)
    assert [text.get_text() for text in ax.texts] == ["not known"] * 3
    assert ax.get_title().endswith("n = 3 external patients, 2 events")


def test_events_for_a_width_as_the_published_package_has_them():
    # pmvalsampsize 0.1.0 (GPL, not used here), its own tests: prevalence 0.018, c 0.8, width 0.1
    assert events_for_width(0.1, auroc=0.8, prevalence=0.018) == (4252, 77)


@pytest.mark.parametrize(("auroc", "prevalence", "width"), [(0.7, 0.1, 0.2), (0.9, 0.5, 0.3)])
def test_one_patient_fewer_would_be_too_wide(auroc, prevalence, width):
    n, _ = events_for_width(width, auroc=auroc, prevalence=prevalence)
    widths = [
        2 * 1.959964 * auroc_standard_error(auroc, n_patients=size, prevalence=prevalence)
        for size in (n - 1, n)
    ]
    assert widths[0] > width >= widths[1]


def test_a_width_of_nothing_is_refused():
    with pytest.raises(ValueError, match=r"width must be above 0 and below 1, got 0. Pass"):
        events_for_width(0.0, auroc=0.8, prevalence=0.1)


def test_the_precision_table_asks_for_more_events_the_narrower_the_interval():
    table = precision_table(300, 40, aurocs=(0.7, 0.8), widths=(0.1, 0.2))
    for _, part in table.groupby("expected_auroc"):
        assert part["needed_events"].is_monotonic_decreasing
    row = table.iloc[0]
    error = auroc_standard_error(0.7, n_patients=300, prevalence=40 / 300)
    assert row["width_here"] == pytest.approx(2 * 1.959964 * error)
