"""Subgroups: cut where clinicians cut, counted when small, adjusted when many."""

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

from evaluation.discrimination import auroc
from evaluation.resampling import BootstrapPlan
from evaluation.subgroups import adjusted, subgroup_labels, subgroup_rows

PLAN = BootstrapPlan(n_resamples=200, method="percentile")
COVARIATES = [
    {"name": "age_years", "label": "Age", "unit": "years", "kind": "number"},
    {"name": "is_male", "label": "Male sex", "kind": "binary", "column": "sex"},
    {"name": "lvef_percent", "label": "LVEF", "unit": "%", "kind": "number"},
    {"name": "pathogenic_variant", "label": "Pathogenic variant", "kind": "binary"},
    {"name": "bmi", "label": "BMI", "unit": "kg/m²", "kind": "number"},
    {"name": "absent", "label": "Absent", "unit": "", "kind": "number"},
]


def test_labels_are_words_and_clinical_limits():
    patients = pd.DataFrame(
        {
            "patient_id": list("abcd"),
            "age_years": [49.9, 50.0, 65.0, np.nan],
            "sex": ["male", "female", None, "male"],
            "lvef_percent": [34.0, 35.0, 36.0, 20.0],
            "pathogenic_variant": [0.0, 1.0, np.nan, 0.0],
            "bmi": [20.0, 24.0, 28.0, 32.0],
            "has_icd_at_index": np.array([0, 0, 1, 0], dtype=np.int8),
            "site": ["x", "x", "x", "x"],
        }
    )
    labels = subgroup_labels(patients, COVARIATES)
    ages = ["below 50 years", "50 to below 65 years", "65 or more years", None]
    assert labels["Age"].tolist() == ages
    assert labels["LVEF"].tolist()[:2] == ["below 35 %", "35 or more %"]
    assert labels["Sex"].tolist() == ["male", "female", None, "male"]
    assert labels["Pathogenic variant"].tolist() == ["no", "yes", None, "no"]
    assert labels["BMI"].tolist() == ["below 26 kg/m²"] * 2 + ["26 or more kg/m²"] * 2
    assert labels["ICD at index"].tolist() == ["no", "no", "yes", "no"]
    assert "Site" not in labels  # one site is no subgroup


@pytest.fixture(scope="module")
def cohort():
    rng = np.random.default_rng(4)
    n = 600
    is_man = rng.random(n) < 0.5
    z = rng.normal(size=n)
    y_true = (rng.random(n) < expit(-1 + 2 * z * is_man)).astype(int)
    ids = [f"P{k:03d}" for k in range(n)]
    columns = {"patient_id": ids, "repeat": 0, "fold": 0, "y_true": y_true}
    labels = pd.DataFrame({"Sex": np.where(is_man, "male", "female")}, index=ids)
    return pd.DataFrame({**columns, "y_score": expit(-1 + 2 * z)}), labels


def test_a_model_for_men_only_is_seen(cohort):
    test, labels = cohort
    table = subgroup_rows(test, labels, PLAN)
    rows = table[table["metric"] == "auroc_pooled"].set_index("subgroup")
    is_man = test["patient_id"].map(labels["Sex"]) == "male"
    expected = auroc(test["y_true"][is_man], test["y_score"][is_man])
    assert rows.loc["Sex: male", "estimate"] == pytest.approx(expected)
    assert rows.loc["Sex: female", "ci_low"] < 0.5 < rows.loc["Sex: female", "ci_high"]
    gap = table[table["metric"] == "auroc_minus_others"].set_index("subgroup")
    assert gap.loc["Sex: male", "estimate"] == pytest.approx(-gap.loc["Sex: female", "estimate"])
    assert (gap["q_value"] < 0.001).all()
    assert rows["n"].sum() == len(test)
    slope = table[table["metric"] == "calibration_slope"].set_index("subgroup")
    assert slope.loc["Sex: female", "ci_high"] < 0.5


def test_small_cells_are_counted_not_analysed(cohort):
    test, _ = cohort
    first = test["patient_id"].iloc[:12]
    labels = pd.DataFrame({"Rare": ["yes"] * 12}, index=first).reindex(test["patient_id"])
    labels["Rare"] = labels["Rare"].where(labels["Rare"].notna(), "no").astype(object)
    table = subgroup_rows(test, labels, PLAN)
    rare = table[table["subgroup"] == "Rare: yes"]
    assert rare["estimate"].isna().all()
    assert (
        rare["method"]
        .str.startswith("not analysed: fewer than 10 patients with or without the event")
        .all()
    )
    assert (rare["n"] == 12).all()


def test_no_characteristic_gives_an_empty_table(cohort):
    test, _ = cohort
    assert subgroup_rows(test, pd.DataFrame(index=test["patient_id"]), PLAN).empty


def test_adjusted_p_values_by_hand():
    # Benjamini-Hochberg: p (m / rank), made monotone from the largest down.
    found = adjusted(pd.Series([0.01, np.nan, 0.04, 0.03]))
    np.testing.assert_allclose(found, [0.03, np.nan, 0.04, 0.04])
