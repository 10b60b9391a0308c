"""Nearest training patients worked by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from explainability.neighbours import FeatureSpace, nearest_training, plot_neighbours

# Standard deviations 2 and 0 (left out): scaled places 0, 0.5, 1.5, 2.5.
FEATURES = np.array([[0.0, 7.0], [1.0, 7.0], [3.0, 7.0], [5.0, 7.0]])
TRAINING = pd.DataFrame(
    {
        "record_id": ["R1", "R2", "R3", "R4"],
        "patient_id": ["A", "A", "B", "C"],
        "y_true": [1, 1, 0, 1],
    }
)


def space():
    return FeatureSpace.of_training(FEATURES, TRAINING)


def test_each_patient_counts_once_by_the_nearest_ecg():
    deviation = FEATURES[:, 0].std()
    queries = pd.DataFrame({"record_id": ["Q1"], "patient_id": ["X"]})
    found = nearest_training(space(), np.array([[1.5, 9.0]]), queries, n_neighbours=3)
    assert found["neighbour_record_id"].tolist() == ["R2", "R3", "R4"]
    assert found["neighbour_y_true"].tolist() == [1, 0, 1]
    np.testing.assert_allclose(found["distance"], np.array([0.5, 1.5, 3.5]) / deviation)
    # to the nearest ECG of another patient: 3, 2, 2, 2
    usual = np.percentile([3, 2, 2, 2], 95) / deviation
    assert found["usual_distance"].to_numpy() == pytest.approx(usual)
    assert not found["is_outside_training_range"].any()
    assert space().is_outside(np.array([[30.0, 7.0]])).tolist() == [True]


def test_rescaling_a_feature_changes_nothing():
    queries = pd.DataFrame({"record_id": ["Q1"], "patient_id": ["X"]})
    rng = np.random.default_rng(0)
    features, query = rng.normal(size=(4, 3)), rng.normal(size=(1, 3))
    first, second = (
        nearest_training(
            FeatureSpace.of_training(features * scale, TRAINING), query * scale, queries
        )
        for scale in (np.ones(3), np.array([1.0, 50.0, 0.1]))
    )
    pd.testing.assert_frame_equal(first, second)


def test_a_held_out_patient_among_the_training_patients_is_refused():
    queries = pd.DataFrame({"record_id": ["Q1"], "patient_id": ["B"]})
    with pytest.raises(ValueError, match="must be of patients outside the training set"):
        nearest_training(space(), np.array([[1.5, 9.0]]), queries)


@pytest.mark.parametrize("n", [0, 4])
def test_the_number_of_neighbours_is_checked(n):
    queries = pd.DataFrame({"record_id": ["Q1"], "patient_id": ["X"]})
    with pytest.raises(ValueError, match=f"from 1 to the 3 training patients, got {n}"):
        nearest_training(space(), np.array([[1.5, 9.0]]), queries, n_neighbours=n)


def test_bad_spaces_are_refused():
    with pytest.raises(ValueError, match="features must vary, got constants only"):
        FeatureSpace.of_training(np.ones((4, 2)), TRAINING)
    with pytest.raises(ValueError, match=r"three patients or more, got 2 of 1\. Select"):
        FeatureSpace.of_training(FEATURES[:2], TRAINING.iloc[:2])


def test_the_figure_has_a_column_a_record_and_a_row_a_lead():
    beats = np.random.default_rng(0).normal(size=(3, 20, 12))
    figure = plot_neighbours(beats, np.linspace(-0.3, 0.6, 20), ["a", "b", "c"], note="SYNTHETIC")
    assert len(figure.axes) == 9
    assert "SYNTHETIC" in figure.get_suptitle()
