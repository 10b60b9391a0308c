"""Limits of risk groups come from training patients; rates from patients of known status."""

import numpy as np
import pandas as pd
import pytest
from statsmodels.stats.proportion import proportion_confint

from evaluation.risk_groups import risk_group_table, risk_groups


@pytest.fixture
def patients():
    """Return two folds; training scores 0.1 to 0.6 in fold 0 and half of these in fold 1."""
    rows = []
    for fold, factor in ((0, 1.0), (1, 0.5)):
        rows += [("validation", fold, f"T{fold}{k}", k % 2, factor * k / 10) for k in range(1, 7)]
        scores = (0.05, 0.3, 0.31, 0.9)
        rows += [("test", fold, f"P{fold}{k}", k % 2, score) for k, score in enumerate(scores)]
    columns = ["role", "fold", "patient_id", "y_true", "y_score"]
    table = pd.DataFrame(rows, columns=columns).astype({"y_true": "Int8"})
    return table.assign(target="sva", variant="ecg", repeat=0, horizon_days=100.0)


def test_the_limits_are_quantiles_of_the_training_scores_of_the_fold(patients):
    grouped = risk_groups(patients)
    assert (grouped["role"] == "test").all()
    limits = grouped.drop_duplicates("fold")[["medium_from", "high_from"]].to_numpy()
    # thirds of 0.1 ... 0.6, by linear interpolation
    np.testing.assert_allclose(limits, [[0.8 / 3, 1.3 / 3], [0.4 / 3, 0.65 / 3]])
    assert grouped["group"].tolist() == ["low", "medium", "medium", "high", "low", *["high"] * 3]


def test_the_scores_of_test_patients_do_not_move_the_limits(patients):
    changed = patients.copy()
    changed.loc[changed["role"] == "test", "y_score"] = 0.99
    names = ["medium_from", "high_from"]
    pd.testing.assert_frame_equal(risk_groups(changed)[names], risk_groups(patients)[names])


def test_rates_by_hand_with_wilson_intervals(patients):
    lost = patients["patient_id"].isin(["P12"])
    patients.loc[lost, "y_true"] = pd.NA
    table = risk_group_table(risk_groups(patients)).set_index("group")
    assert table.index.tolist() == ["low", "medium", "high"]
    assert table[["n", "n_known", "n_events"]].to_numpy().tolist() == [
        [2, 2, 0],
        [2, 2, 1],
        [4, 3, 3],
    ]
    assert table["event_rate"].tolist() == [0, 0.5, 1]
    assert table["share_of_events"].tolist() == [0, 0.25, 0.75]
    expected = proportion_confint(1, 2, method="wilson")
    assert table.loc["medium", ["ci_low", "ci_high"]].tolist() == pytest.approx(expected)
    assert table.loc["high", "mean_risk"] == pytest.approx((0.9 + 0.3 + 0.31 + 0.9) / 4)
    assert "incidence" not in table


def test_follow_up_adds_the_incidence_of_all_patients(patients):
    # high: 40 and 60 days with the event, one lost on day 50, one followed to day 100
    days = {"P03": 40.0, "P11": 60.0, "P12": 50.0, "P13": 100.0}
    patients["duration_days"] = patients["patient_id"].map(days).fillna(100.0)
    patients["event"] = patients["patient_id"].isin(["P03", "P11"]).astype(int)
    patients["y_true"] = patients["event"].astype("Int8").mask(patients["patient_id"] == "P12")
    row = risk_group_table(risk_groups(patients)).set_index("group").loc["high"]
    assert (row["n"], row["n_known"], row["n_unknown"], row["n_competing"]) == (4, 3, 1, 0)
    assert row["event_rate"] == pytest.approx(2 / 3)  # leaving out the lost one is too high
    assert row["incidence"] == pytest.approx(1 / 4 + 3 / 4 * 1 / 2)


@pytest.mark.parametrize("quantiles", [(0.6, 0.4), (0.0, 0.5), (0.5, 1.0)])
def test_quantiles_out_of_order_are_refused(patients, quantiles):
    with pytest.raises(ValueError, match="quantiles must satisfy 0 < low < high < 1, got"):
        risk_groups(patients, quantiles=quantiles)


def test_a_fold_without_training_rows_is_refused(patients):
    is_out = (patients["fold"] == 1) & (patients["role"] == "validation")
    with pytest.raises(ValueError, match="must cover every fold, got none for 4 of 8 patient rows"):
        risk_groups(patients[~is_out])
