"""Sample size against the published examples and by simulation."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss, roc_auc_score

from evaluation.sample_size import (
    auroc_standard_error,
    count_parameters,
    cox_snell_r2,
    expected_shrinkage,
    required_patients,
    sample_size_table,
    supported_parameters,
)


def test_the_example_of_pmsampsize():
    # 24 parameters, prevalence 0.174, Cox-Snell R squared 0.288 (Riley et al. 2019, Chagas disease)
    table = required_patients(24, prevalence=0.174, r2=0.288)
    assert table["n_patients"].tolist() == [623, 662, 221]
    assert table["n_events"].max() == 116


def test_the_r2_of_an_auroc_is_what_a_fitted_model_has():
    rng = np.random.default_rng(0)
    outcome = (rng.random(200_000) < 0.174).astype(int)
    x = rng.normal(size=200_000) + outcome * np.sqrt(2) * 1.2265  # AUROC 0.89
    model = LogisticRegression(C=np.inf).fit(x[:, None], outcome)
    risk = model.predict_proba(x[:, None])[:, 1]
    gain = log_loss(outcome, np.full(outcome.size, outcome.mean())) - log_loss(outcome, risk)
    auroc = roc_auc_score(outcome, risk)
    assert auroc == pytest.approx(0.89, abs=0.002)
    assert cox_snell_r2(auroc, outcome.mean()) == pytest.approx(1 - np.exp(-2 * gain), abs=0.002)


def test_a_better_model_and_more_patients_support_more_parameters():
    few = supported_parameters(314, prevalence=0.15, auroc=0.72)
    more = supported_parameters(314, prevalence=0.15, auroc=0.78)
    assert few < more < supported_parameters(700, prevalence=0.15, auroc=0.78)
    # as many as are supported fit, one more does not
    r2 = cox_snell_r2(0.78, 0.15)
    assert required_patients(more, prevalence=0.15, r2=r2)["n_patients"].max() <= 314
    assert required_patients(more + 1, prevalence=0.15, r2=r2)["n_patients"].max() > 314
    assert supported_parameters(50, prevalence=0.15, auroc=0.78) == 0


def test_the_shrinkage_is_090_where_the_first_criterion_says_so():
    r2 = cox_snell_r2(0.78, 0.2)
    n = required_patients(8, prevalence=0.2, r2=r2)["n_patients"][0]
    assert expected_shrinkage(n, 8, prevalence=0.2, auroc=0.78) == pytest.approx(0.9, abs=0.001)
    assert expected_shrinkage(n // 3, 8, prevalence=0.2, auroc=0.78) < 0.8
    assert 0 < expected_shrinkage(20, 40, prevalence=0.2, auroc=0.6) < 0.1


def test_the_standard_error_is_the_spread_of_aurocs():
    rng = np.random.default_rng(1)
    n_patients, prevalence, auroc = 300, 0.2, 0.75
    distance = np.sqrt(2) * 0.67449
    found = []
    for _ in range(800):
        outcome = np.zeros(n_patients, dtype=int)
        outcome[:60] = 1
        found.append(roc_auc_score(outcome, rng.normal(size=n_patients) + distance * outcome))
    expected = auroc_standard_error(auroc, n_patients=n_patients, prevalence=prevalence)
    assert np.std(found) == pytest.approx(expected, rel=0.1)


def test_the_table_says_what_314_patients_allow():
    covariates = [
        {"kind": "number"},
        {"kind": "binary"},
        {"kind": "category", "categories": "abcd"},
    ]
    assert count_parameters(covariates) == 5
    table = sample_size_table(314, 50, n_parameters=5)
    assert table["half_width"].between(0.04, 0.1).all()
    assert table["half_width"].is_monotonic_decreasing
    fits = table["supported_parameters"] >= 5
    assert ((table["needed_patients"] <= 314) == fits).all()
    assert ((table["expected_shrinkage"] >= 0.9) | ~fits).all()
    # the published hold-out: 63 patients with three events or so
    assert sample_size_table(63, 3, n_parameters=5)["half_width"].min() > 0.2


@pytest.mark.parametrize(
    ("work", "message"),
    [
        (lambda: cox_snell_r2(0.5, 0.2), "auroc must be above 0.5 and below 1, got 0.5"),
        (lambda: cox_snell_r2(0.8, 0.0), "prevalence must be above 0 and below 1, got 0"),
        (
            lambda: required_patients(5, prevalence=0.1, r2=0.6),
            r"r2 between 0 and 0.478 \(the highest at this prevalence\), got 5 and 0.6",
        ),
    ],
)
def test_impossible_expectations_are_refused(work, message):
    with pytest.raises(ValueError, match=message):
        work()
