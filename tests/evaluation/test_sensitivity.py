"""The table of sensitivity analyses: figures of each form and differences to the primary."""

import numpy as np
import pandas as pd
import pytest

from evaluation.discrimination import auroc
from evaluation.resampling import BootstrapPlan
from evaluation.sensitivity import PRIMARY, sensitivity_table

PLAN = BootstrapPlan(n_resamples=200, method="percentile")


@pytest.fixture(scope="module")
def predictions():
    rng = np.random.default_rng(0)
    y_true = (np.arange(120) % 4 == 0).astype(int)
    parts = []
    for repeat in range(2):
        fold = rng.permutation(np.arange(120) % 3)
        for model, noise in (("other", 3.0), (PRIMARY, 1.0)):
            score = 1 / (1 + np.exp(1 - y_true - noise * rng.normal(size=120)))
            part = {"patient_id": [f"P{k:03d}" for k in range(120)], "repeat": repeat, "fold": fold}
            part |= {"role": "test", "model": model, "y_true": y_true, "y_score": score}
            parts.append(pd.DataFrame(part))
    return pd.concat(parts, ignore_index=True)


def test_the_primary_comes_first_and_differences_are_differences(predictions):
    table = sensitivity_table(predictions, PLAN).set_index(["model", "metric"])
    assert table.index[0][0] == PRIMARY
    means = {
        model: np.mean(
            [auroc(p["y_true"], p["y_score"]) for _, p in rows.groupby(["repeat", "fold"])]
        )
        for model, rows in predictions.groupby("model")
    }
    name = "auroc_mean_within_fold"
    for model, mean in means.items():
        assert table.loc[(model, name), "estimate"] == pytest.approx(mean)
    delta = table.loc[("other", f"delta_{name}")]
    assert delta["estimate"] == pytest.approx(means["other"] - means[PRIMARY])
    assert delta["ci_high"] < 0
    assert (PRIMARY, "delta_brier") not in table.index
    assert table["n"].unique().tolist() == [120]


def test_a_missing_primary_is_named(predictions):
    others = predictions[predictions["model"] != PRIMARY]
    with pytest.raises(ValueError, match=r"^predictions must hold the model LASSO"):
        sensitivity_table(others, PLAN)


def test_training_rows_are_refused(predictions):
    with pytest.raises(ValueError, match="role must be test in every row"):
        sensitivity_table(predictions.assign(role="validation"), PLAN)
