"""Heads: losses worked by hand, what is unknown costs nothing, risks that only rise."""

import dataclasses
import json

import lifelines
import numpy as np
import pandas as pd
import pytest
from scipy.special import expit
from statsmodels.duration.survfunc import CumIncidenceRight

from models_training.architectures import build_network
from models_training.bundle import load_bundle, save_bundle
from models_training.columns_head import ColumnsHead
from models_training.discrete_time import encode_intervals, status_at
from models_training.hazard_head import HazardHead
from models_training.head_choice import choose_head, head_from_config
from models_training.heads import BinaryHead
from models_training.settings import ArchitectureSettings
from models_training.training import NetworkTrainer

NAN = np.nan
HORIZONS = [90, 180, 365, 730]


def loss_of(head, encoded, logits):
    encoded, logits = np.asarray(encoded, "float64"), np.asarray(logits, "float64")
    return np.asarray(head.loss(encoded, logits))


def gradient_of(head, encoded, logits):
    import tensorflow as tf

    values = tf.constant(logits, tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(values)
        loss = tf.reduce_sum(head.loss(tf.constant(encoded, tf.float32), values))
    return np.asarray(tape.gradient(loss, values))


def test_what_is_unknown_costs_nothing_and_moves_nothing():
    head = ColumnsHead(["binary", "continuous", "binary"])
    encoded, logits = [[1.0, NAN, NAN], [NAN, 0.5, 0.0]], [[0.3, 9.0, 9.0], [9.0, 2.0, -1.0]]
    expected = [np.log1p(np.exp(-0.3)) / 3, (0.5 * 1.5**2 + np.log1p(np.exp(-1.0))) / 3]
    np.testing.assert_allclose(loss_of(head, encoded, logits), expected)
    gradient = gradient_of(head, encoded, logits)
    np.testing.assert_array_equal(gradient == 0, np.isnan(encoded))
    assert np.isfinite(gradient).all()


def test_a_large_error_costs_linearly_with_huber():
    head = ColumnsHead(["continuous"], huber_delta=1.0)
    loss = loss_of(head, [[0.0], [0.0], [NAN]], [[0.5], [4.0], [4.0]])
    np.testing.assert_allclose(loss, [0.125, 3.5, 0.0])


def test_numbers_are_learnt_standardised_and_told_in_their_unit():
    head = ColumnsHead(["continuous", "binary"])
    y_true = np.array([[20, 1], [30, 0], [NAN, 1], [40, NAN]], "float32")
    mean, scale = head.fit(y_true)
    np.testing.assert_allclose(mean, [30, 0])
    np.testing.assert_allclose(scale, [np.std([20, 30, 40]), 1], rtol=1e-6)
    np.testing.assert_allclose(head.encode(y_true)[:, 1], y_true[:, 1])
    bias = head.start_bias(y_true)
    np.testing.assert_allclose(head.scores(bias[None])[0], [30, 2 / 3], rtol=1e-6)
    truth = np.array([[20, 1], [30, 0], [40, 0]], "float32")
    logits = np.column_stack([head.encode(truth)[:, 0], [2.0, -1.0, 0.0]])
    assert head.metrics(truth, logits) == pytest.approx({"auroc": 1.0, "r2": 1.0})


def test_a_column_nobody_knows_in_training_starts_at_one_half():
    head = ColumnsHead(["binary", "continuous"])
    nothing = np.full((3, 2), NAN, "float32")
    assert head.fit(nothing)[1].tolist() == [1, 1]
    assert head.start_bias(nothing).tolist() == [0, 0]
    assert np.isnan(list(head.metrics(nothing, np.zeros((3, 2))).values())).all()


def test_the_likelihood_of_hazards_worked_by_hand():
    duration = [100, 60, 400, 300, 40, 180, 800, 0]
    event = [1, 0, 0, 2, 0, 2, 1, 1]
    encoded = encode_intervals(np.array(duration), np.array(event), [90, 180, 365])
    expected = [
        [0, 1, NAN], [0, NAN, NAN], [0, 0, 0], [0, 0, 2], [NAN] * 3, [0, 2, NAN], [0, 0, 0],
        [NAN] * 3,
    ]  # fmt: skip
    np.testing.assert_array_equal(encoded, expected)
    head = HazardHead([90, 180, 365], n_causes=2)
    logits = np.tile([-1.0, -2.0, 0.5, -1.5, 0.0, 1.0], (8, 1))
    weights = np.exp([[0, -1.0, -2.0], [0, 0.5, -1.5], [0, 0.0, 1.0]])
    p = weights / weights.sum(axis=1, keepdims=True)
    by_hand = [
        p[0, 0] * p[1, 1], p[0, 0], p[0, 0] * p[1, 0] * p[2, 0], p[0, 0] * p[1, 0] * p[2, 2], 1.0,
        p[0, 0] * p[1, 2], p[0, 0] * p[1, 0] * p[2, 0], 1.0,
    ]  # fmt: skip
    np.testing.assert_allclose(loss_of(head, encoded, logits), -np.log(by_hand))
    gradient = gradient_of(head, encoded, logits).reshape(8, 3, 2)
    np.testing.assert_array_equal((gradient == 0).all(axis=2), np.isnan(encoded))
    incidence = [p[0, 1], p[0, 1] + p[0, 0] * p[1, 1]]
    incidence.append(incidence[-1] + p[0, 0] * p[1, 0] * p[2, 1])
    np.testing.assert_allclose(head.scores(logits)[0], incidence)


def test_one_interval_without_censoring_is_the_binary_head():
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(20, 1))
    y_true = np.column_stack([rng.choice([30, 400], 20), np.ones(20)]).astype("float32")
    head, binary = HazardHead([365]), BinaryHead()
    outcome = head.outcomes(y_true)
    np.testing.assert_array_equal(outcome[:, 0], y_true[:, 0] == 30)
    np.testing.assert_allclose(
        loss_of(head, head.encode(y_true), logits), loss_of(binary, outcome, logits)
    )
    np.testing.assert_allclose(head.scores(logits), expit(logits))
    np.testing.assert_allclose(head.start_bias(y_true), binary.start_bias(outcome))


def on_the_grid(encoded):
    """Return durations and events of what the intervals say, for estimators in continuous time."""
    n_seen = np.isfinite(encoded).sum(axis=1)
    ends = np.append(0, HORIZONS)
    return ends[n_seen], np.nan_to_num(encoded).max(axis=1).astype(int)


def simulated(n_causes, n=400):
    rng = np.random.default_rng(1)
    duration, event = np.ceil(rng.exponential(600, n)), rng.integers(0, n_causes + 1, n)
    return np.column_stack([duration, event]).astype("float32")


def test_without_inputs_the_fitted_hazards_are_kaplan_meier():
    head, y_true = HazardHead(HORIZONS), simulated(1)
    risk = head.scores(head.start_bias(y_true)[None])[0]  # the closed form of the fit
    duration, event = on_the_grid(head.encode(y_true))
    fitter = lifelines.KaplanMeierFitter().fit(duration, event)
    np.testing.assert_allclose(1 - risk, fitter.predict(HORIZONS), rtol=1e-6)
    gradient = gradient_of(head, head.encode(y_true), np.tile(head.start_bias(y_true), (400, 1)))
    np.testing.assert_allclose(gradient.sum(axis=0), 0, atol=1e-3)  # and it is the best one


def test_without_inputs_the_fitted_incidence_is_aalen_johansen():
    head, y_true = HazardHead(HORIZONS, n_causes=2), simulated(2)
    bias = head.start_bias(y_true)[None]
    duration, event = on_the_grid(head.encode(y_true))
    is_seen = duration > 0
    fitted = CumIncidenceRight(duration[is_seen], event[is_seen])
    assert fitted.times.tolist() == HORIZONS
    np.testing.assert_allclose(head.scores(bias)[0], fitted.cinc[0], rtol=1e-6)
    both = head.incidences(bias)[0].sum(axis=1)
    survival = lifelines.KaplanMeierFitter().fit(duration, event > 0).predict(HORIZONS)
    np.testing.assert_allclose(1 - both, survival, rtol=1e-6)


def test_risks_rise_with_the_horizon_and_causes_share_one():
    logits = np.random.default_rng(0).normal(0, 3, (50, 8))
    head = HazardHead(HORIZONS, n_causes=2)
    assert (np.diff(head.scores(logits), axis=1) >= 0).all()
    assert (head.incidences(logits).sum(axis=2) <= 1 + 1e-12).all()


def test_the_status_at_a_horizon_is_never_guessed():
    found = status_at(np.array([100, 100, 100, 0]), np.array([1, 0, 2, 0]), [50, 100, 200])
    np.testing.assert_array_equal(found, [[0, 1, 1], [0, 0, NAN], [0, 0, 0], [NAN] * 3])


@pytest.mark.parametrize(
    ("head", "match"),
    [
        (lambda: HazardHead([90, 90]), r"horizons_days must rise from above 0, got \[90, 90\]"),
        (lambda: HazardHead([]), "horizons_days must rise"),
        (lambda: HazardHead([90], n_causes=3), "n_causes must be 1 or 2, got 3"),
        (lambda: HazardHead([90]).encode(np.array([[5, 2]])), "event must be at most 1, got a com"),
        (lambda: ColumnsHead(["word"]), "kinds must be binary or continuous, got word"),
        (lambda: ColumnsHead([]), "kinds must be binary or continuous, got no column"),
        (lambda: head_from_config({"kind": "odd"}), "kind of a head must be one of binary, colu"),
    ],
)
def test_wrong_heads_are_refused(head, match):
    with pytest.raises(ValueError, match=match):
        head()


HEADS = [BinaryHead(), ColumnsHead(["binary", "continuous"], huber_delta=2.0)]
HEADS += [HazardHead([90, 180]), HazardHead([90, 180], n_causes=2)]


@pytest.mark.parametrize("head", HEADS, ids=lambda head: json.dumps(head.config())[:40])
def test_saved_and_reloaded_it_gives_the_scores_of_its_head(head, tmp_path):
    settings = ArchitectureSettings(width=4, stage_blocks=(1, 1, 1, 1))
    model = build_network(n_samples=64, settings=settings, head=head)
    statistics = head.fit(np.array([[0, 20], [1, 40]], "float32"))
    if statistics is not None:
        model.get_layer("risk").set_statistics(*statistics)
    card = {"signal_chain": {}, "covariate_names": [], "target": "", "horizon_days": 0}
    save_bundle(tmp_path, model, card | {"threshold": {}, "head": head.config()})
    again, card = load_bundle(tmp_path)
    ecg = np.random.default_rng(0).normal(size=(3, 64, 12)).astype("float32")
    risk = np.asarray(again({"ecg": ecg}, training=False))
    np.testing.assert_array_equal(risk, np.asarray(model({"ecg": ecg}, training=False)))
    rebuilt = head_from_config(card["head"])
    assert rebuilt.config() == head.config()
    dense = again.get_layer("logit")
    import keras

    logits = keras.Model(again.inputs, dense.output)({"ecg": ecg}, training=False)
    np.testing.assert_allclose(risk, head.scores(np.asarray(logits, "float64")), rtol=1e-4)


def test_the_head_follows_from_the_targets():
    patients = pd.DataFrame({"event": [0, 1, 2]})
    days = [{"kind": "time_to_event", "horizon_days": 90}]
    assert choose_head(patients, days).config()["n_causes"] == 2
    assert choose_head(patients[:2], days).config()["n_causes"] == 1
    assert isinstance(choose_head(patients, [{"kind": "binary"}]), BinaryHead)
    assert choose_head(patients, [{"kind": "continuous"}]).config()["kinds"] == ["continuous"]


def test_a_number_is_learnt_and_told_in_its_unit(make_data, tiny):
    data = make_data(80)
    lvef = 30 - 12 * data.patients["outcome"] + np.random.default_rng(0).normal(0, 1, 80)
    lvef[::9] = NAN
    table = pd.DataFrame({"lvef": lvef, "outcome": data.patients["outcome"]})
    data = dataclasses.replace(data, target_table=table, covariates=data.covariates[[]])
    settings = dataclasses.replace(tiny, records_per_patient=1, learning_rate=0.003)
    trainer = NetworkTrainer(data, settings, ColumnsHead(["continuous", "binary"]))
    is_train = data.patient_row < 60
    train, test = np.flatnonzero(is_train), np.flatnonzero(~is_train)
    history = trainer.fit(train, test, n_epochs=12, seed=(0,))
    assert {"val_loss", "val_auroc", "val_r2"} <= set(history)
    targets = [
        {"name": "lvef", "kind": "continuous", "horizon_days": 0},
        {"name": "event", "kind": "binary", "horizon_days": 0},
    ]
    found = trainer.predictions(test, targets)
    assert found["target"].value_counts().to_dict() == {"lvef": len(test), "event": len(test)}
    lvef_rows = found[found["target"] == "lvef"].dropna()
    low = lvef_rows["y_true"] < 24
    assert lvef_rows["y_score"][low].median() < lvef_rows["y_score"][~low].median() - 4
    assert found.loc[found["target"] == "event", "y_score"].between(0, 1).all()
    risk = np.asarray(trainer.model(data.inputs(test[:4]), training=False))
    np.testing.assert_allclose(risk[:, 0], found["y_score"].iloc[:4], rtol=1e-4)
