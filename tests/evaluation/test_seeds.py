"""Ensembles of seeds: their score, their spread, and what is refused."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit, logit
from sklearn.metrics import roc_auc_score

from evaluation.scores import check_predictions, mean_over_seeds, patient_scores
from evaluation.seeds import plot_seed_spread, seed_scores, seed_spread, seed_summary
from evaluation.summary import EvaluationSettings, evaluate


@pytest.fixture
def several(make_predictions):
    """Return predictions of one seed for `clinical`, and of three for `ecg`."""
    first = make_predictions(n=60, noises={"clinical": 1.0, "ecg": 1.0})
    is_ecg = first["variant"] == "ecg"
    parts, rng = [first], np.random.default_rng(1)
    for seed in (1, 2):
        moved = logit(first.loc[is_ecg, "y_score"]) + rng.normal(0, 0.7, is_ecg.sum())
        parts.append(first[is_ecg].assign(seed=seed, y_score=expit(moved)))
    return pd.concat(parts)  # row labels repeat, as in the notebook


def test_an_ensemble_scores_by_the_mean_logit_over_seeds_and_records(several):
    table = patient_scores(several).set_index(["variant", "patient_id", "fold", "role"])
    for variant in ("ecg", "clinical"):
        row = table.loc[variant].iloc[5]
        keys = several[["variant", "patient_id", "fold", "role"]]
        mine = several[(keys == [variant, *row.name]).all(axis=1).to_numpy()]
        assert row["y_score"] == pytest.approx(expit(logit(mine["y_score"]).mean()))
        assert row["n_records"] == mine["record_id"].nunique()


def test_a_single_seed_is_left_as_it_is_to_the_last_digit(several):
    clinical = several[several["variant"] == "clinical"]
    assert mean_over_seeds(clinical) is clinical
    both = mean_over_seeds(several)
    assert not both.duplicated(["variant", "record_id", "fold", "role"]).any()
    kept = both[both["variant"] == "clinical"]
    pd.testing.assert_frame_equal(kept, clinical)


def test_the_evaluation_sees_the_ensemble_once(several):
    settings = EvaluationSettings.declared(n_resamples=100, new_variant="ecg")
    whole = evaluate(several, settings)["metrics"]
    averaged = evaluate(mean_over_seeds(several), settings)["metrics"]
    pd.testing.assert_frame_equal(whole, averaged)
    assert set(whole.query("level == 'record'")["n"]) == {several["record_id"].nunique()}


@pytest.mark.parametrize(
    ("plant", "message"),
    [
        (
            lambda table: table.iloc[:-1],
            "seed must be the same set for all records of a fold, got 2 of 3 seeds in 2 of",
        ),
        (
            lambda table: pd.concat([table, table.iloc[-1:]]),
            "predictions must hold one row a record, variant, target, repeat, fold, role and seed",
        ),
    ],
)
def test_a_seed_that_lacks_records_or_has_them_twice_is_refused(several, plant, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        check_predictions(plant(several))


def test_the_spread_is_that_of_the_seeds(several):
    scores = seed_scores(several)
    assert set(scores["variant"]) == {"ecg"}
    assert scores.groupby("patient_id").size().unique().tolist() == [3]
    spread = seed_spread(scores, threshold=0.2).set_index("patient_id")
    for patient, mine in scores.groupby("patient_id"):
        row, risks = spread.loc[patient], mine["y_score"]
        assert (row["low"], row["high"]) == pytest.approx((risks.min(), risks.max()))
        # the mean logit of the seeds, as each patient has the same ECGs in all of them
        assert row["original"] == pytest.approx(expit(logit(risks).mean()))
        assert row["mape"] == pytest.approx((risks - row["original"]).abs().mean())
        changed = (risks >= 0.2) != (row["original"] >= 0.2)
        assert row["changed"] == pytest.approx(changed.mean())


def test_the_summary_holds_the_aurocs_of_networks_and_ensemble(several):
    scores = seed_scores(several)
    found = seed_summary(scores, threshold=0.2).set_index("measure")
    assert set(found["n_seeds"]) == {3}
    single = found.loc["AUROC of a single network"]
    aurocs = [
        np.mean([roc_auc_score(r["y_true"], r["y_score"]) for _, r in part.groupby("fold")])
        for _, part in scores.groupby("seed")
    ]
    assert single[["value", "low", "high"]].tolist() == pytest.approx(
        [np.median(aurocs), min(aurocs), max(aurocs)]
    )
    once = scores[scores["seed"] == 0]
    expected = np.mean([roc_auc_score(r["y_true"], r["ensemble"]) for _, r in once.groupby("fold")])
    assert found.loc["AUROC of the ensemble", "value"] == pytest.approx(expected)
    assert found.loc["classification instability at 0.2", "value"] > 0
    assert "calibration slope of a single network" in found.index


def test_one_seed_gives_empty_tables(make_predictions):
    scores = seed_scores(make_predictions(n=30))
    assert scores.empty
    assert seed_spread(scores).empty
    assert seed_summary(scores).columns.tolist()[:3] == ["target", "variant", "measure"]
    assert seed_summary(scores).empty


def test_the_figure_draws_one_line_a_patient(several):
    spread = seed_spread(seed_scores(several))
    ax = plot_seed_spread(spread, title="Variant ecg")
    assert len(ax.collections[0].get_segments()) == 60
    assert sum(len(line.get_xdata()) for line in ax.lines) == 60
    assert "60" in ax.get_title()
