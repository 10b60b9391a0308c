"""The clinical LASSO: against scikit-learn, and fitted on what it may see."""

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from models_training.clinical_model import ClinicalModel, fit_clinical


@pytest.fixture
def cohort():
    rng = np.random.default_rng(0)
    x = pd.DataFrame({"age_years": rng.normal(50, 10, 300), "lvef_percent": rng.normal(30, 7, 300)})
    y = (rng.random(300) < expit(-1 - 0.15 * (x["lvef_percent"] - 30))).to_numpy(int)
    return x, y


def test_complete_data_give_the_scores_of_scikit_learn(cohort):
    x, y = cohort
    ours = fit_clinical(x, y, penalty_c=0.3).logits(x)
    lasso = LogisticRegression(C=0.3, l1_ratio=1.0, solver="saga", max_iter=20_000, tol=1e-8)
    theirs = make_pipeline(StandardScaler(), lasso).fit(x, y)
    np.testing.assert_allclose(ours, theirs.decision_function(x), atol=1e-5)


def test_the_planted_covariate_is_kept_and_the_idle_one_dropped(cohort):
    x, y = cohort
    model = fit_clinical(x, y, penalty_c=0.05)
    coefficients = dict(zip(model.names, model.coefficients, strict=True))
    assert coefficients["age_years"] == 0
    assert coefficients["lvef_percent"] < 0


def test_a_missing_value_counts_as_the_training_mean(cohort):
    x, y = cohort
    model = fit_clinical(x, y, penalty_c=1.0)
    missing = x.iloc[:1].assign(lvef_percent=np.nan)
    at_mean = x.iloc[:1].assign(lvef_percent=x["lvef_percent"].mean())
    np.testing.assert_allclose(model.logits(missing), model.logits(at_mean))


def test_written_as_json_and_read_it_is_the_same(cohort):
    import json

    x, y = cohort
    model = fit_clinical(x, y, penalty_c=1.0)
    again = ClinicalModel.from_dict(json.loads(json.dumps(model.to_dict())))
    np.testing.assert_array_equal(again.logits(x), model.logits(x))


def test_a_missing_column_is_named(cohort):
    x, y = cohort
    model = fit_clinical(x, y, penalty_c=1.0)
    with pytest.raises(ValueError, match="missing: lvef_percent"):
        model.logits(x[["age_years"]])
