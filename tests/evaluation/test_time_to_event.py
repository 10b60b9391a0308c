"""The tables of the time to the event: who counts, what is primary, and what is not said."""

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

from evaluation.resampling import BootstrapPlan
from evaluation.scores import status_at_horizon
from evaluation.summary import EvaluationSettings, evaluate
from evaluation.survival import FollowUp, concordance_statistic, horizon_auroc_statistic
from evaluation.survival_figures import plot_horizon_auroc, plot_risk_group_curves
from evaluation.survival_tables import COMPARISON_COLUMNS, METRIC_COLUMNS
from evaluation.time_to_event import NO_COMPETING, NO_DATES, TimeToEventSettings, time_to_event

SETTINGS = TimeToEventSettings(BootstrapPlan(100, method="percentile"))
NOISES = {"clinical": 1.2, "ecg_covariates": 0.5}


def make_patients(*, n=200, n_repeats=1, n_folds=3, hazard_days=4000.0, dies=True, seed=0):
    """Return patient scores; a third is lost before the horizon of 1,000 days."""
    rng = np.random.default_rng(seed)
    z = rng.normal(size=n)
    days = [hazard_days * np.exp(-z), np.full(n, 6000.0 if dies else 1e12), np.full(n, 2500.0)]
    times = np.ceil(rng.exponential(days))
    about = {
        "target": "sva",
        "patient_id": [f"P{k:04d}" for k in range(n)],
        "horizon_days": 1000.0,
        "event": np.array([1, 2, 0])[times.argmin(axis=0)],
        "duration_days": times.min(axis=0),
    }
    parts = []
    for repeat in range(n_repeats):
        fold_of = rng.permutation(n) % n_folds
        for variant, noise in NOISES.items():
            for fold in range(n_folds):
                score = expit(-2 + z + noise * rng.normal(size=n) + 0.5 * fold)
                role = np.where(fold_of == fold, "test", "validation")
                part = pd.DataFrame(about | {"y_score": score, "role": role})
                parts.append(part.assign(variant=variant, repeat=repeat, fold=fold))
    table = pd.concat(parts, ignore_index=True)
    table["y_true"] = status_at_horizon(table)
    return table[(table["role"] == "test") | table["y_true"].notna()].reset_index(drop=True)


@pytest.fixture(scope="module")
def patients():
    return make_patients()


@pytest.fixture(scope="module")
def tables(patients):
    return time_to_event(patients, SETTINGS)


def metric(tables, name, *, variant="ecg_covariates", horizon_days=1000):
    rows = tables["survival_metrics"]
    is_wanted = (rows["metric"] == name) & (rows["variant"] == variant)
    (row,) = rows[is_wanted & (rows["horizon_days"] == horizon_days)].to_dict("records")
    return row


def test_the_primary_figures_are_means_within_folds(patients, tables):
    rows = patients[(patients["variant"] == "ecg_covariates") & (patients["role"] == "test")]
    per_fold, pooled = [], None
    for part in [*(part for _, part in rows.groupby("fold")), rows]:
        follow_up = FollowUp(part["duration_days"], part["event"])
        options = {"horizon_days": 1000.5}
        values = [
            concordance_statistic(follow_up, part["y_score"], **options),
            concordance_statistic(follow_up, part["y_score"], is_weighted=False, **options),
            horizon_auroc_statistic(follow_up, part["y_score"], horizon_days=1000),
        ]
        pooled = [one(np.ones((1, len(part))))[0] for one in values]
        per_fold.append(pooled)
    means = np.mean(per_fold[:-1], axis=0)
    for name, within, all_ in zip(
        ("uno_c", "harrell_c", "horizon_auroc"), means, pooled, strict=True
    ):
        row = metric(tables, f"{name}_mean_within_fold")
        assert row["estimate"] == pytest.approx(within)
        assert row["method"].startswith("mean of 3 folds; bootstrap of patients")
        assert row["ci_low"] < within < row["ci_high"]
        assert metric(tables, f"{name}_pooled")["estimate"] == pytest.approx(all_)


def test_all_patients_count_those_of_unknown_status_too(patients, tables):
    row = metric(tables, "uno_c_pooled")
    first = patients.drop_duplicates("patient_id")
    is_lost = (first["event"] == 0) & (first["duration_days"] < 1000)
    assert (row["n"], row["n_unknown"]) == (200, int(is_lost.sum()))
    assert row["n_events"] == ((first["event"] == 1) & (first["duration_days"] <= 1000)).sum()
    assert list(tables["survival_metrics"]) == METRIC_COLUMNS
    assert f"{is_lost.sum()} of 200 patients were lost" in " ".join(tables["notes"]["note"])


def test_the_binary_evaluation_leaves_them_out_and_stays_as_it_was(patients):
    predictions = patients.assign(record_id=patients["patient_id"], seed=0)
    settings = EvaluationSettings(n_resamples=100, interval="percentile")
    both = evaluate(predictions, settings)["metrics"]
    known = predictions[predictions["y_true"].notna()].astype({"y_true": int})
    pd.testing.assert_frame_equal(both, evaluate(known, settings)["metrics"])
    assert (both["n"] < 200).all()


def test_shorter_horizons_only_with_ten_events_by_then(tables):
    rows = tables["survival_metrics"]
    counted = rows[rows["metric"] == "horizon_auroc_pooled"].drop_duplicates("horizon_days")
    assert counted["horizon_days"].tolist() == [250, 500, 1000]
    few = time_to_event(make_patients(n=60, hazard_days=20_000), SETTINGS)
    rows = few["survival_metrics"]
    assert rows["horizon_days"].unique().tolist() == [1000]
    assert rows["n_events"].max() < 10
    assert few["notes"]["note"].iloc[0].startswith("Only ")
    assert few["cox"]["method"].str.startswith("not estimated:").all()


def test_without_any_event_nothing_is_estimated_and_the_curves_are_flat():
    tables = time_to_event(make_patients(n=60, hazard_days=1e9), SETTINGS)
    rows = tables["survival_metrics"]
    ranking = rows[rows["metric"].str.contains("uno|harrell|auroc")]
    assert ranking["estimate"].isna().all()
    assert ranking["method"].str.startswith("not estimable: no events to compare").all()
    assert tables["notes"]["note"].iloc[0].startswith("0 events: no discrimination")
    ax = plot_risk_group_curves(tables["cumulative_incidence"], variant="clinical")
    assert ax.get_ylim() == (0, 5)


def test_differences_are_paired_and_have_one_primary(tables):
    rows = tables["survival_comparisons"]
    assert list(rows) == COMPARISON_COLUMNS
    assert rows.loc[rows["is_primary"], "metric"].tolist() == ["delta_uno_c_mean_within_fold"]
    assert set(zip(rows["new"], rows["reference"], strict=True)) == {("ecg_covariates", "clinical")}
    for name in ("uno_c_mean_within_fold", "harrell_c_pooled", "horizon_auroc_mean_within_fold"):
        row = rows[rows["metric"] == f"delta_{name}"].iloc[0]
        one, other = (metric(tables, name, variant=v) for v in ("ecg_covariates", "clinical"))
        assert row["estimate"] == pytest.approx(one["estimate"] - other["estimate"])
        # Paired: narrower than the difference of two unrelated samples would be.
        widths = [r["ci_high"] - r["ci_low"] for r in (one, other)]
        assert row["ci_high"] - row["ci_low"] < np.hypot(*widths)


def test_variants_of_different_patients_are_refused(patients):
    gone = (patients["variant"] == "clinical") & (patients["patient_id"] == "P0003")
    with pytest.raises(ValueError, match="patients must be identical in a paired comparison"):
        time_to_event(patients[~gone], SETTINGS)


def test_a_cohort_without_dates_has_a_reason_and_risk_groups(patients):
    known = patients[patients["y_true"].notna()].drop(columns=["event", "duration_days"])
    tables = time_to_event(known.assign(horizon_days=0), SETTINGS)
    assert tables["notes"]["note"].tolist() == [NO_DATES]
    empty = ("survival_metrics", "survival_comparisons", "cox", "cumulative_incidence")
    assert [len(tables[name]) for name in empty] == [0] * 4
    assert list(tables["survival_metrics"]) == METRIC_COLUMNS
    assert tables["risk_groups"]["group"].tolist() == ["low", "medium", "high"] * 2


def test_without_competing_events_the_page_says_what_the_incidence_is(tables):
    assert NO_COMPETING not in tables["notes"]["note"].tolist()
    alone = time_to_event(make_patients(dies=False), SETTINGS)
    assert NO_COMPETING in alone["notes"]["note"].tolist()
    curves = alone["cumulative_incidence"].set_index("curve")["estimate"]
    np.testing.assert_allclose(curves["event"], 1 - curves["event-free"])


def test_repeats_are_averaged_not_stacked():
    tables = time_to_event(make_patients(n=120, n_repeats=2), SETTINGS)
    row = metric(tables, "uno_c_pooled")
    assert row["n"] == 120
    assert "mean of 2 repeats" in row["method"]
    assert tables["risk_groups"].groupby(["variant", "repeat"])["n"].sum().eq(120).all()


def test_above_the_most_patients_of_a_concordance_it_says_so(patients, monkeypatch):
    monkeypatch.setattr("evaluation.survival_tables.MAX_PAIRWISE_ROWS", 100)
    tables = time_to_event(patients, SETTINGS)
    assert metric(tables, "uno_c_pooled")["method"] == "not estimated: 200 patients, at most 100"
    assert np.isfinite(metric(tables, "uno_c_mean_within_fold")["estimate"])


def test_a_share_beyond_the_horizon_is_refused():
    with pytest.raises(
        ValueError, match=r"horizon_shares must lie between 0 and 1, got 0\.5, 1\. "
    ):
        TimeToEventSettings(horizon_shares=(0.5, 1.0))


@pytest.mark.parametrize("curve", ["event", "competing event", "event-free"])
def test_curves_are_drawn_with_bands_and_numbers_at_risk(patients, tables, curve):
    table = tables["cumulative_incidence"]
    ax = plot_risk_group_curves(table, variant="clinical", curve=curve)
    assert len(ax.lines) == len(ax.collections) == 3
    assert "n = 200 patients" in ax.get_title()
    texts = [text.get_text() for text in ax.texts]
    assert texts[0] == "Number at risk"
    assert [texts[k] for k in (1, 5, 9)] == ["low", "medium", "high"]  # ticks at 0, 365, 730
    at_start, at_end = (sum(int(texts[k]) for k in (2 + i, 6 + i, 10 + i)) for i in (0, 2))
    first = patients.drop_duplicates("patient_id")
    assert (at_start, at_end) == (200, (first["duration_days"] >= 730).sum())


def test_a_curve_that_is_not_there_is_refused(tables):
    with pytest.raises(ValueError, match="must hold the curve 'event' of variant 'ecg', got no"):
        plot_risk_group_curves(tables["cumulative_incidence"], variant="ecg")


def test_the_auroc_is_drawn_at_each_horizon(tables):
    ax = plot_horizon_auroc(tables["survival_metrics"])
    lines = {line.get_label(): line for line in ax.lines}
    assert len(lines["ECG + covariates"].get_xdata()) == 3
    expected = metric(tables, "horizon_auroc_mean_within_fold")["estimate"]
    assert lines["ECG + covariates"].get_ydata()[-1] == pytest.approx(expected)
    assert "200 patients" in ax.get_title()
