"""The words of page one follow from the numbers."""

import numpy as np
import pandas as pd
import pytest

from evaluation.page_one import page_one
from evaluation.summary import EvaluationSettings, evaluate


def predictions(separation, n=80, n_events=20, n_folds=2):
    rng = np.random.default_rng(0)
    parts = []
    for variant, shift in (("clinical", 0.0), ("ecg_covariates", separation)):
        for fold in range(n_folds):
            y_true = (np.arange(n) < n_events).astype(int)
            is_test = np.arange(n) % n_folds == fold
            logit = rng.normal(0, 1, n) + shift * y_true
            parts.append(
                pd.DataFrame(
                    {
                        "record_id": [f"R{k}" for k in range(n)],
                        "patient_id": [f"P{k}" for k in range(n)],
                        "repeat": 0,
                        "fold": fold,
                        "role": np.where(is_test, "test", "validation"),
                        "seed": 0,
                        "variant": variant,
                        "target": "sva",
                        "horizon_days": 1095,
                        "y_true": y_true,
                        "y_score": 1 / (1 + np.exp(-logit)),
                    }
                )
            )
    return pd.concat(parts, ignore_index=True)


@pytest.mark.parametrize(
    ("separation", "verdict", "n_at_chance"), [(4.0, "adds", 1), (0.0, "inconclusive", 2)]
)
def test_the_verdict_and_the_warnings(separation, verdict, n_at_chance):
    settings = EvaluationSettings(n_resamples=200)
    page = page_one(evaluate(predictions(separation), settings), settings)
    assert page["verdict"] == verdict
    assert "80 patients, 20 events" in page["intervals"]
    (chance,) = [text for text in page["warnings"] if "Not above chance" in text]
    assert chance.count("ECG") == n_at_chance - 1


def test_few_events_in_a_fold_are_told():
    settings = EvaluationSettings(n_resamples=200)
    page = page_one(evaluate(predictions(2.0, n_events=12), settings), settings)
    assert any("smallest test fold has 6 events" in text for text in page["warnings"])


def test_a_model_of_several_repeats_is_told():
    settings = EvaluationSettings(n_resamples=200)
    once = predictions(2.0)
    again = once[once["variant"] == "clinical"].assign(repeat=1)
    page = page_one(evaluate(pd.concat([once, again]), settings), settings)
    assert page["intervals"].endswith("Clinical: mean of 2 repeats of the folds.")
    assert "repeats" not in page_one(evaluate(once, settings), settings)["intervals"]


def test_an_interval_that_covers_too_little_is_told():
    settings = EvaluationSettings(n_resamples=200)
    tables = evaluate(predictions(2.0), settings)
    tables["metrics"]["trust"] = "In simulation it held the truth in 80 %: too narrow."
    assert any("too narrow" in text for text in page_one(tables, settings)["warnings"])
