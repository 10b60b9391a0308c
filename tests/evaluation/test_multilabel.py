"""Macro-AUROC against scikit-learn, its intervals against one label's, and paired differences."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from evaluation.intervals import bootstrap_interval
from evaluation.multilabel import macro_auroc_table
from evaluation.resampling import BootstrapPlan
from evaluation.weighted import auroc_statistic

PLAN = BootstrapPlan(n_resamples=200)


@pytest.fixture
def scored():
    rng = np.random.default_rng(0)
    y_true = rng.random((120, 3)) < (0.5, 0.3, 0.2)
    return y_true.astype(int), y_true + rng.normal(size=(120, 3)), np.arange(120) // 2


def table_of(y_true, y_score, patients, **options):
    names = list("abc")[: y_true.shape[1]]
    return macro_auroc_table(y_true, y_score, names=names, patients=patients, plan=PLAN, **options)


def test_estimates_are_those_of_scikit_learn(scored):
    y_true, y_score, _ = scored
    table = table_of(*scored)
    assert table["label"].tolist() == ["a", "b", "c", "macro"]
    expected = [roc_auc_score(y_true[:, k], y_score[:, k]) for k in range(3)]
    np.testing.assert_allclose(table["estimate"], [*expected, np.mean(expected)])
    assert table["n_events"].tolist() == [*y_true.sum(axis=0), y_true.sum()]
    assert (table["ci_low"] < table["estimate"]).all()
    assert (table["estimate"] < table["ci_high"]).all()


def test_one_label_has_the_interval_of_its_auroc_with_patients_drawn(scored):
    y_true, y_score, patients = scored
    table = table_of(y_true[:, :1], y_score[:, :1], patients)
    expected = bootstrap_interval(auroc_statistic(y_true[:, 0], y_score[:, 0]), patients, plan=PLAN)
    for row in (0, 1):  # the mean of one label is that label
        found = table.loc[row, ["estimate", "ci_low", "ci_high"]].to_numpy(float)
        np.testing.assert_allclose(found, [expected.estimate, expected.ci_low, expected.ci_high])


def test_differences_are_paired(scored):
    y_true, y_score, patients = scored
    worse = np.random.default_rng(1).normal(size=y_score.shape)
    table = table_of(y_true, y_score, patients, reference=worse)
    alone = [table_of(y_true, scores, patients)["estimate"] for scores in (y_score, worse)]
    np.testing.assert_allclose(table["estimate"], alone[0] - alone[1])
    same = table_of(y_true, y_score, patients, reference=2 * y_score)
    np.testing.assert_array_equal(same["estimate"], 0)
