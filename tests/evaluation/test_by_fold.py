"""Fold by fold, and over sites: worked by hand and by a second implementation."""

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import brentq
from scipy.special import expit, logit
from scipy.stats import t
from sklearn.metrics import roc_auc_score

from evaluation.by_fold import by_fold_table, plot_by_fold, pooled_over_sites
from evaluation.metrics import discrimination_rows
from evaluation.resampling import BootstrapPlan
from evaluation.samples import ScoredRows
from evaluation.scores import patient_scores


@pytest.fixture
def patients(make_predictions):
    return patient_scores(make_predictions(n=240, n_folds=4, noises={"ecg": 0.8}))


def test_each_fold_has_its_own_auroc_and_their_mean_is_the_primary_figure(patients):
    table = by_fold_table(patients)
    test = patients[patients["role"] == "test"]
    for row in table.itertuples():
        part = test[test["fold"] == row.fold]
        assert row.auroc == pytest.approx(roc_auc_score(part["y_true"], part["y_score"]))
        assert row.o_e == pytest.approx(part["y_true"].sum() / part["y_score"].sum())
        assert (row.n, row.n_events) == (len(part), part["y_true"].sum())
        assert row.ci_low < row.auroc < row.ci_high
        assert row.label == f"fold {row.fold + 1}"
    primary, *_ = [
        row
        for row in discrimination_rows(ScoredRows(test), BootstrapPlan(100, method="percentile"))
        if row["metric"] == "auroc_mean_within_fold"
    ]
    assert table["auroc"].mean() == pytest.approx(primary["estimate"])


def test_a_small_site_is_counted_and_told(patients):
    few = patients[(patients["fold"] != 1) | (patients["y_true"] == 0)]
    events = patients.query("fold == 2 and role == 'test' and y_true == 1").index[4:]
    notes = by_fold_table(few.drop(events)).set_index("fold")["note"]
    assert notes[1] == "one outcome class"
    assert notes[2] == "fewer than 10 events"
    assert notes[0] == ""


def test_sites_name_the_folds(patients):
    first = patients[patients["role"] == "test"].drop_duplicates("patient_id")
    labels = first.set_index("patient_id")["fold"].map(lambda fold: f"site {fold}")
    table = by_fold_table(patients, labels=labels)
    assert table["label"].tolist() == [f"site {fold}" for fold in table["fold"]]
    with pytest.raises(ValueError, match=r"labels must be one for all patients of a fold, got 2"):
        by_fold_table(
            patients, labels=labels.replace("site 1", "site 0").where(labels.index > "P01", "x")
        )


def random_effects(effect, error):
    """Paule-Mandel, Hartung-Knapp-Sidik-Jonkman and the prediction interval, as printed."""

    def excess(tau2):
        weight = 1 / (error**2 + tau2)
        mean = (weight * effect).sum() / weight.sum()
        return (weight * (effect - mean) ** 2).sum() - (len(effect) - 1)

    tau2 = brentq(excess, 0, 10) if excess(0) > 0 else 0.0
    weight = 1 / (error**2 + tau2)
    mean = (weight * effect).sum() / weight.sum()
    k = len(effect)
    scale = (weight * (effect - mean) ** 2).sum() / (k - 1)
    half = t.ppf(0.975, k - 1) * np.sqrt(scale / weight.sum())
    ahead = t.ppf(0.975, k - 2) * np.sqrt(tau2 + 1 / weight.sum())
    return mean, half, ahead, tau2


@pytest.mark.parametrize("spread", [0.05, 0.9])
def test_the_mean_of_sites_agrees_with_a_second_implementation(spread):
    rng = np.random.default_rng(3)
    error = rng.uniform(0.15, 0.5, 7)
    effect = 1.0 + spread * rng.normal(size=7)
    table = pd.DataFrame(
        {"target": "sva", "variant": "ecg", "auroc": expit(effect), "se_logit": error}
    )
    found = pooled_over_sites(table).iloc[0]
    mean, half, ahead, tau2 = random_effects(effect, error)
    assert logit(found["auroc"]) == pytest.approx(mean, abs=1e-4)
    assert logit([found["ci_low"], found["ci_high"]]) == pytest.approx(
        [mean - half, mean + half], abs=1e-3
    )
    assert logit([found["prediction_low"], found["prediction_high"]]) == pytest.approx(
        [mean - ahead, mean + ahead], abs=1e-3
    )
    assert found["tau"] == pytest.approx(np.sqrt(tau2), abs=1e-3)
    assert (tau2 > 0) == (spread > 0.5)


def test_two_sites_have_no_spread_between_them():
    table = pd.DataFrame({"target": "sva", "variant": "ecg", "auroc": [0.7, 0.8, 1.0]})
    found = pooled_over_sites(table.assign(se_logit=[0.2, 0.3, np.nan])).iloc[0]
    assert found["reason"] == "2 sites with an interval, at least 3 are needed"
    assert (found["n_sites"], found["n_left_out"]) == (2, 1)
    assert np.isnan(found["auroc"])


def test_the_figure_shows_every_site_and_what_a_new_one_may_expect(patients):
    table = by_fold_table(patients)
    ax = plot_by_fold(table, variant="ecg", pooled=pooled_over_sites(table))
    labels = [label.get_text() for label in ax.get_yticklabels()]
    assert len(labels) == 4 + 2
    assert labels[-1] == "a new site, prediction interval"
    assert "n = 240 patients" in ax.get_title()
