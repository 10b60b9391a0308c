from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest

from evaluation.scores import patient_scores
from evaluation.thresholds import apply_thresholds, choose_threshold, choose_thresholds


def rows(y_true, y_score, role="validation"):
    return pd.DataFrame({"role": role, "y_true": y_true, "y_score": y_score})


SIX = rows([0, 0, 1, 0, 1, 1], [0.1, 0.2, 0.3, 0.4, 0.5, 0.6])


@pytest.mark.parametrize(
    ("rule", "target", "expected"),
    [
        # >= .3: sens 1, spec 2/3; >= .5: sens 2/3, spec 1: equal, the lower one favours events.
        ("youden", None, 0.3),
        ("sensitivity", 1.0, 0.3),
        ("sensitivity", 0.6, 0.5),
        ("sensitivity", 0.2, 0.6),
        ("specificity", 1.0, 0.5),
        ("specificity", 0.5, 0.3),
        ("specificity", 0.3, 0.2),
    ],
)
def test_thresholds_by_hand(rule, target, expected):
    assert choose_threshold(SIX, rule=rule, target=target) == expected


def test_specificity_that_only_nobody_positive_reaches():
    table = rows([1, 0, 0], [0.2, 0.3, 0.9])
    threshold = choose_threshold(table, rule="specificity", target=1.0)
    assert threshold > 0.9
    assert not (table["y_score"] >= threshold).any()


def test_a_single_test_row_is_refused():
    table = SIX.copy()
    table.loc[4, "role"] = "test"
    message = (
        "role must be one of ('validation', 'inner') to choose a threshold, got 'test' in 1 of 6 "
        "rows. A threshold chosen on test patients is optimistic: pass only scores of the training "
        "folds."
    )
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        choose_threshold(table)
    with pytest.raises(ValueError, match="got 'test' in 1 of 6 rows"):
        choose_thresholds(table.assign(target="t", variant="v", repeat=0, fold=0))


@pytest.mark.parametrize(
    ("table", "arguments", "message"),
    [
        (SIX, {"rule": "f1"}, "rule must be one of ('youden', 'sensitivity', 'specificity'), got"),
        (SIX, {"rule": "sensitivity"}, "target must be a sensitivity above 0 and at most 1, got"),
        (
            SIX,
            {"rule": "specificity", "target": 90},
            "target must be a specificity above 0 and at most 1, got 90. Pass for example 0.9.",
        ),
        (
            rows([0, 0], [0.1, 0.2]),
            {},
            "training rows must hold events and non-events, got 0 events in 2 patients.",
        ),
        (SIX.assign(role="train"), {}, "role must be one of ('validation', 'inner') to choose"),
        (SIX.drop(columns="role"), {}, "training rows must have the columns ['role'], got"),
    ],
)
def test_bad_input_is_refused(table, arguments, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}"):
        choose_threshold(table, **arguments)


def test_each_fold_gets_the_threshold_of_its_own_training_rows(make_predictions):
    patients = patient_scores(make_predictions(n_repeats=2))
    training, test = (patients[patients["role"] == role] for role in ("validation", "test"))
    thresholds = choose_thresholds(training)
    assert len(thresholds) == 3 * 2 * 3
    decided = apply_thresholds(test, thresholds)
    for key, group in decided.groupby(["variant", "repeat", "fold"]):
        same = (training[["variant", "repeat", "fold"]] == list(key)).all(axis=1)
        assert (group["threshold"] == choose_threshold(training[same])).all()
        assert (group["decision"] == (group["y_score"] >= group["threshold"])).all()


def test_changing_test_outcomes_changes_no_threshold(make_predictions):
    patients = patient_scores(make_predictions())
    training = patients[patients["role"] == "validation"]
    before = choose_thresholds(training)
    test = patients[patients["role"] == "test"]
    flipped = test.assign(y_true=1 - test["y_true"])
    kept = ["target", "variant", "repeat", "fold", "patient_id", "decision"]
    pd.testing.assert_frame_equal(
        apply_thresholds(test, before)[kept], apply_thresholds(flipped, before)[kept]
    )


def test_a_fold_without_events_has_no_threshold_and_no_decisions(make_predictions):
    patients = patient_scores(make_predictions())
    training = patients[patients["role"] == "validation"].copy()
    training.loc[training["fold"] == 1, "y_true"] = 0
    thresholds = choose_thresholds(training)
    lost = thresholds[thresholds["fold"] == 1]
    assert lost["threshold"].isna().all()
    assert set(lost["reason"]) == {"one outcome class among the training-fold patients"}
    decided = apply_thresholds(patients[patients["role"] == "test"], thresholds)
    assert decided.loc[decided["fold"] == 1, "decision"].isna().all()
    assert decided.loc[decided["fold"] != 1, "decision"].notna().all()


def test_a_fold_without_thresholds_is_an_error(make_predictions):
    patients = patient_scores(make_predictions())
    training, test = (patients[patients["role"] == role] for role in ("validation", "test"))
    n_lost = int((test["fold"] == 2).sum())
    message = (
        f"thresholds must cover every fold, got none for {n_lost} of {len(test)} patient rows. "
        "Write validation predictions for each fold too."
    )
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        apply_thresholds(test, choose_thresholds(training[training["fold"] != 2]))
    nothing = choose_thresholds(training.iloc[:0])
    assert nothing.empty
    with pytest.raises(ValueError, match="thresholds must cover every fold"):
        apply_thresholds(test, nothing)


def test_inner_rows_are_training_rows():
    assert choose_threshold(SIX.assign(role="inner")) == choose_threshold(SIX)
    assert np.isfinite(choose_threshold(SIX))
