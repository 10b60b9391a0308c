"""Shapley values against closed forms and brute force."""

from __future__ import annotations

from itertools import permutations

import keras
import numpy as np
import pandas as pd
import pytest

from explainability.shap_values import (
    ShapSettings,
    explain_covariates,
    explain_function,
    importance,
    mean_over_records,
    sum_by_covariate,
)

WEIGHTS = np.array([1.0, 0.5, -2.0])
NAMES = ("age", "lvef", "lge")


def filled(covariates, value=0.3):
    return np.where(np.isnan(covariates), value, covariates)


def linear(covariates):
    return filled(covariates) @ WEIGHTS


def records_table(n_records, per_patient=1):
    return pd.DataFrame(
        {
            "record_id": [f"R{row:06d}" for row in range(n_records)],
            "patient_id": [f"P{row // per_patient:04d}" for row in range(n_records)],
        }
    )


@pytest.fixture
def cohort():
    rng = np.random.default_rng(0)
    background, covariates = rng.normal(size=(30, 3)), rng.normal(size=(8, 3))
    covariates[2, 1] = background[4, 2] = np.nan
    return background, covariates


def matrix(frame, n_columns=3):
    return frame["shap_logit"].to_numpy().reshape(-1, n_columns)


def brute_force(function, row, background):
    """Average over all orders in which the covariates may join."""
    phi = np.zeros(len(row))
    orders = list(permutations(range(len(row))))
    for order in orders:
        rows = background.copy()
        value = function(rows).mean()
        for column in order:
            rows[:, column] = row[column]
            phi[column] += function(rows).mean() - value
            value = function(rows).mean()
    return phi / len(orders)


# --- plain functions ----------------------------------------------------------------------------


def test_a_linear_function_gives_weight_times_distance_from_the_mean(cohort):
    background, covariates = cohort
    frame = explain_function(
        linear, covariates, records_table(8), settings=ShapSettings(background, NAMES)
    )
    expected = WEIGHTS * (filled(covariates) - filled(background).mean(axis=0))
    np.testing.assert_allclose(matrix(frame), expected, atol=1e-12)
    np.testing.assert_allclose(frame["base_value"], linear(background).mean())
    np.testing.assert_allclose(frame["prediction_logit"][::3], linear(covariates))
    assert frame["value"].isna().sum() == 1
    assert set(frame["method"]) == {"exact"}


def test_an_interaction_agrees_with_brute_force(cohort):
    background, covariates = cohort

    def function(rows):
        x = filled(rows)
        return np.tanh(x[:, 0] * x[:, 1]) + np.isnan(rows[:, 1]) * x[:, 2] ** 2

    frame = explain_function(
        function, covariates, records_table(8), settings=ShapSettings(background, NAMES)
    )
    expected = [brute_force(function, row, background) for row in covariates]
    np.testing.assert_allclose(matrix(frame), expected, atol=1e-12)


def test_all_background_rows_count():
    """shap would keep 100 of them without a word."""
    background = np.arange(300.0)[:, None]
    frame = explain_function(
        lambda rows: rows[:, 0], [[0.0]], records_table(1), settings=ShapSettings(background, ["a"])
    )
    assert frame["base_value"][0] == pytest.approx(149.5)


def test_more_than_ten_columns_are_sampled_and_say_so():
    rng = np.random.default_rng(1)
    weights, background, rows = rng.normal(size=12), rng.normal(size=(20, 12)), np.ones((2, 12))
    rows[0, 3] = np.nan
    frame = explain_function(
        lambda x: filled(x) @ weights,
        rows,
        records_table(2),
        settings=ShapSettings(background, [f"c{number}" for number in range(12)]),
    )
    assert set(frame["method"]) == {"permutation"}
    expected = weights * (filled(rows) - background.mean(axis=0))
    np.testing.assert_allclose(matrix(frame, 12), expected, atol=1e-9)


def test_one_hot_columns_add_up_to_their_covariate(cohort):
    background, _ = cohort
    covariates = np.array([[1.0, 0, 0], [2.0, 0, 1], [3.0, 1, 0], [4.0, np.nan, np.nan]])
    frame = explain_function(
        linear,
        covariates,
        records_table(4, per_patient=2),
        settings=ShapSettings(background, ("age", "gene=TTN", "gene=LMNA")),
    )
    summed = sum_by_covariate(frame)
    gene = summed[summed["covariate"] == "gene"]
    np.testing.assert_allclose(gene["shap_logit"], matrix(frame)[:, 1:].sum(axis=1))
    np.testing.assert_array_equal(gene["value"], [0, 2, 1, np.nan])
    age = summed[summed["covariate"] == "age"]
    np.testing.assert_array_equal(age["value"], [1, 2, 3, 4])
    total = summed.groupby("record_id")["shap_logit"].sum().to_numpy()
    np.testing.assert_allclose(total, linear(covariates) - linear(background).mean())


def test_a_category_moves_as_one_when_asked(cohort):
    """A function that punishes being two categories at once must never be asked about it."""
    rng = np.random.default_rng(3)
    background = np.column_stack([rng.normal(size=20), np.eye(3)[rng.integers(0, 3, 20)][:, 1:]])
    rows = np.array([[1.0, 0, 1], [0.5, 0, 0], [np.nan, 1, 0], [1, np.nan, np.nan]])

    def function(covariates):
        x = filled(covariates, 0)
        assert (x[:, 1] + x[:, 2] <= 1).all()
        return x[:, 0] * (1 + 2 * x[:, 1] - x[:, 2]) + x[:, 2]

    frame = explain_function(
        function,
        rows,
        records_table(4),
        settings=ShapSettings(background, ("age", "g=TTN", "g=LMNA"), players="covariate"),
    )
    assert frame["column"].tolist() == frame["covariate"].tolist() == ["age", "g"] * 4
    np.testing.assert_array_equal(frame["value"], [1, 2, 0.5, 0, np.nan, 1, 1, np.nan])
    for row, found in zip(rows, matrix(frame, 2), strict=True):

        def mean(age, gene, row=row):
            x = background.copy()
            x[:, 0] = row[0] if age else x[:, 0]
            x[:, 1:] = row[1:] if gene else x[:, 1:]
            return function(x).mean()

        v00, v10, v01, v11 = mean(0, 0), mean(1, 0), mean(0, 1), mean(1, 1)
        np.testing.assert_allclose(
            found, [(v10 - v00 + v11 - v01) / 2, (v01 - v00 + v11 - v10) / 2], atol=1e-12
        )
    assert sum_by_covariate(frame)["value"].tolist()[1] == 2


def test_numpys_global_generator_is_left_alone(cohort):
    background, covariates = cohort
    np.random.seed(5)  # noqa: NPY002
    expected = np.random.get_state()[1].copy()  # noqa: NPY002
    explain_function(
        linear, covariates[:1], records_table(1), settings=ShapSettings(background, NAMES)
    )
    np.testing.assert_array_equal(np.random.get_state()[1], expected)  # noqa: NPY002


def test_patients_are_means_of_their_records(cohort):
    background, covariates = cohort
    frame = explain_function(
        linear,
        covariates,
        records_table(8, per_patient=2),
        settings=ShapSettings(background, NAMES),
    )
    patients = mean_over_records(sum_by_covariate(frame))
    assert set(patients["n_records"]) == {2}
    first = patients[patients["patient_id"] == "P0000"]
    np.testing.assert_allclose(first["shap_logit"], matrix(frame)[:2].mean(axis=0))
    logit = first["base_value"].iloc[0] + first["shap_logit"].sum()
    assert logit == pytest.approx(linear(covariates[:2]).mean())


def test_the_planted_covariate_ranks_first():
    rng = np.random.default_rng(2)
    frame = explain_function(
        lambda rows: np.sin(rows[:, 2]) * 3 + 0.2 * rows[:, 0],
        rng.normal(size=(20, 3)),
        records_table(20),
        settings=ShapSettings(rng.normal(size=(30, 3)), NAMES),
    )
    ranked = importance(frame)
    assert ranked["covariate"].tolist() == ["lge", "age", "lvef"]
    assert ranked["mean_abs_shap_logit"].iloc[2] < 1e-12
    assert ranked["n_patients"].tolist() == [20, 20, 20]


# --- networks -----------------------------------------------------------------------------------


def test_a_linear_head_gives_weight_times_distance_whatever_the_ecg(build_network, make_inputs):
    model, inputs = build_network(3), make_inputs(6, 3)
    background = make_inputs(20, 3, seed=5)["covariates"]
    frame = explain_covariates(
        model, inputs, records_table(6), settings=ShapSettings(background, NAMES), batch_size=4
    )
    weights = model.get_layer("logit").get_weights()[0][-3:, 0]
    known = [filled(values, 0.5) for values in (inputs["covariates"], background)]
    expected = weights * (known[0] - known[1].mean(axis=0))
    np.testing.assert_allclose(matrix(frame), expected, atol=1e-5)
    logits = keras.Model(model.inputs, model.get_layer("logit").output)
    predicted = logits([inputs["ecg"], inputs["covariates"]]).numpy()[:, 0]
    np.testing.assert_allclose(frame["prediction_logit"][::3], predicted, atol=1e-5)
    assert frame["value"].isna().sum() == 1
    assert frame["base_value"].nunique() == 6  # given the ECG: each record has its own


def test_values_are_conditional_on_the_patients_own_ecg(build_network, make_inputs):
    """With a non-linear head, the same covariates count differently beside another ECG."""
    model, inputs = build_network(3, is_head_linear=False), make_inputs(4, 3)
    inputs["covariates"][:] = inputs["covariates"][1]
    inputs["ecg"] *= np.array([0.1, 1, 3, 6], np.float32)[:, None, None]
    background = make_inputs(15, 3, seed=5)["covariates"].astype(float)
    frame = explain_covariates(
        model, inputs, records_table(4), settings=ShapSettings(background, NAMES)
    )
    logits = keras.Model(model.inputs, model.get_layer("logit").output)

    def given_ecg(row):
        def function(rows):
            ecg = np.repeat(inputs["ecg"][row : row + 1], len(rows), axis=0)
            return logits([ecg, rows.astype(np.float32)]).numpy()[:, 0].astype(float)

        return function

    for row in (0, 3):
        covariates = inputs["covariates"][row].astype(float)
        expected = brute_force(given_ecg(row), covariates, background)
        np.testing.assert_allclose(matrix(frame)[row], expected, atol=2e-6)
    assert np.abs(matrix(frame)[0] - matrix(frame)[3]).max() > 1e-3


@pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy")
def test_the_explained_model_can_be_saved_and_explained_again(build_network, make_inputs, tmp_path):
    model, inputs = build_network(3), make_inputs(2, 3)
    settings = ShapSettings(make_inputs(5, 3, seed=5)["covariates"], NAMES)
    first = explain_covariates(model, inputs, records_table(2), settings=settings)
    model.save(tmp_path / "model.keras")
    reloaded = keras.saving.load_model(tmp_path / "model.keras")
    again = explain_covariates(reloaded, inputs, records_table(2), settings=settings)
    np.testing.assert_allclose(matrix(first), matrix(again), atol=1e-6)


# --- refusals -----------------------------------------------------------------------------------

SETTINGS = ShapSettings(np.zeros((4, 3)), NAMES)


def test_a_function_that_is_not_deterministic_is_refused():
    rng = np.random.default_rng(0)
    with pytest.raises(ArithmeticError, match=r"^base value plus Shapley values must give the log"):
        explain_function(
            lambda rows: rng.normal(size=len(rows)),
            np.ones((1, 3)),
            records_table(1),
            settings=SETTINGS,
        )


def test_small_errors_of_small_risks_are_refused_too():
    """An absolute tolerance of 0.01 would let this pass: all values are below it."""
    calls = []

    def drifting(rows):
        calls.append(1)
        return 0.001 * rows[:, 0] + 0.0005 * len(calls)

    with pytest.raises(ArithmeticError):
        explain_function(drifting, np.ones((1, 3)), records_table(1), settings=SETTINGS)


BAD = {
    "background": (
        lambda: ShapSettings(np.zeros((4, 2)), NAMES),
        "background must be of shape (n_background, 3), got (4, 2). "
        "Encode training patients as the model's covariates.",
    ),
    "no background": (
        lambda: ShapSettings(np.zeros((0, 3)), NAMES),
        "background must be of shape (n_background, 3), got (0, 3). "
        "Encode training patients as the model's covariates.",
    ),
    "players": (
        lambda: ShapSettings(np.zeros((4, 3)), NAMES, players="gene"),
        "players must be 'column' or 'covariate', got 'gene'. Choose what is exchanged at a time.",
    ),
    "names": (
        lambda: ShapSettings(np.zeros((4, 2)), ["age", "age"]),
        "names must be unique, got ['age', 'age']. Rename the repeated column.",
    ),
    "columns": (
        lambda: explain_function(linear, np.zeros((1, 2)), records_table(1), settings=SETTINGS),
        "covariates must be of shape (n_records, 3), got (1, 2). Encode them like the background.",
    ),
    "rows": (
        lambda: explain_function(linear, np.zeros((2, 3)), records_table(1), settings=SETTINGS),
        "records must have 2 rows with record_id and patient_id, got 1 rows with "
        "['record_id', 'patient_id']. Select the same rows.",
    ),
    "output": (
        lambda: explain_function(
            lambda rows: rows[:, :1], np.zeros((1, 3)), records_table(1), settings=SETTINGS
        ),
        "function must return one logit a row, shape (1,), got (1, 1). Drop the last axis.",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_refusals(case):
    call, message = BAD[case]
    with pytest.raises(ValueError, match=r".") as refusal:
        call()
    assert str(refusal.value) == message


def test_one_input_networks_are_refused(build_network, make_inputs):
    with pytest.raises(ValueError, match=r"^inputs must hold 'covariates', got the ECG alone"):
        explain_covariates(build_network(), make_inputs(2), records_table(2), settings=SETTINGS)
