"""A network of several targets asked about one: its score, its numbers, and complete maps."""

import keras
import numpy as np
import pandas as pd
import pytest
from scipy.special import logit

from explainability.explained import RISK, Explained
from explainability.methods import MethodSettings, attribute
from explainability.model_access import private_copy
from explainability.weight_randomisation import weighted_layers
from models_training.columns_head import ColumnsHead
from models_training.hazard_head import HazardHead
from models_training.heads import BinaryHead
from models_training.one_target import EVERY_LOGIT, one_target, take_weights

HEADS = {
    "binary": (BinaryHead(), 0),
    "several": (ColumnsHead(["binary", "binary"]), 1),
    "number": (ColumnsHead(["continuous", "continuous"]), 1),
    "hazard": (HazardHead([90, 365, 1095]), 1),
    "first horizon": (HazardHead([90, 365, 1095], n_causes=2), 0),
    "competing": (HazardHead([90, 365, 1095], n_causes=2), 2),
}


@pytest.fixture
def network_of(build_network):
    """Return a maker of a small network with the head of a name, and the head's column."""

    def make(name: str, seed: int = 0):
        head, column = HEADS[name]
        base = build_network(seed=seed)
        x = base.get_layer("avg_pool").output
        x = keras.layers.Dense(head.n_outputs, dtype="float32", name="logit")(x)
        model = keras.Model(base.inputs, head.risk(x))
        rng = np.random.default_rng(seed)
        layer = model.get_layer("logit")
        layer.set_weights([rng.normal(size=values.shape) for values in layer.get_weights()])
        if name == "number":
            model.get_layer("risk").set_statistics([50.0, 30.0], [10.0, 8.0])
        return model, head, column

    return make


def outputs(model, inputs):
    return keras.ops.convert_to_numpy(model([inputs["ecg"]], training=False))


def scores(model, inputs):
    part = keras.Model(model.inputs, model.get_layer("logit").output)
    return outputs(part, inputs)[:, 0]


@pytest.mark.parametrize("name", HEADS)
def test_what_is_told_is_the_column_of_the_whole_network(network_of, make_inputs, name):
    model, head, column = network_of(name)
    inputs = make_inputs(4)
    expected = outputs(model, inputs)[:, column]
    found = one_target(model, head.config(), column)
    np.testing.assert_allclose(outputs(found, inputs)[:, 0], expected, rtol=2e-5)
    assert found.output_shape == (None, 1)


@pytest.mark.parametrize("name", [name for name in HEADS if name != "number"])
def test_the_score_is_the_log_odds_of_what_is_told(network_of, make_inputs, name):
    model, head, column = network_of(name)
    inputs = make_inputs(4)
    expected = logit(outputs(model, inputs)[:, column].astype(float))
    found = one_target(model, head.config(), column)
    np.testing.assert_allclose(scores(found, inputs), expected, rtol=1e-3, atol=1e-4)


def test_the_score_of_a_number_is_in_standard_deviations(network_of, make_inputs):
    model, head, column = network_of("number")
    inputs = make_inputs(4)
    expected = (outputs(model, inputs)[:, 1] - 30.0) / 8.0
    found = one_target(model, head.config(), column)
    np.testing.assert_allclose(scores(found, inputs), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", HEADS)
def test_integrated_gradients_add_up_to_the_change_of_the_score(network_of, make_inputs, name):
    model, head, column = network_of(name)
    inputs = make_inputs(3)
    found = one_target(model, head.config(), column)
    settings = MethodSettings(100.0, n_steps=300, batch_size=3)
    maps = attribute(found, inputs, method="integrated_gradients", settings=settings)
    silent = {"ecg": np.zeros_like(inputs["ecg"])}
    change = scores(found, inputs) - scores(found, silent)
    assert np.ptp(change) > 0.01
    np.testing.assert_allclose(maps.maps.sum(axis=(1, 2)), change, rtol=0.02, atol=0.01)
    assert maps.table["is_complete"].all()


@pytest.mark.parametrize("n_causes", [1, 2])
def test_a_risk_next_to_0_or_1_keeps_score_and_gradient(n_causes):
    head = HazardHead([90, 365], n_causes=n_causes)
    inputs = keras.Input((head.n_outputs,), name="ecg")
    same = keras.layers.Dense(head.n_outputs, name="logit", dtype="float32")
    model = keras.Model(inputs, head.risk(same(inputs)))
    same.set_weights([np.eye(head.n_outputs), np.zeros(head.n_outputs)])
    found = one_target(model, head.config(), 1)
    points = np.full((2, head.n_outputs), 40.0, "float32") * np.array([[-1], [1]])
    points[1, 1::2] = -40.0 if n_causes == 2 else 40.0  # the competing event never comes
    values = scores(found, {"ecg": points})
    assert np.isfinite(values).all()
    assert values[0] < -35
    assert values[1] > 35
    assert np.isfinite(scores(found, {"ecg": points * 2})).all()


def test_another_fold_s_weights_are_taken_over(network_of, make_inputs):
    model, head, column = network_of("number")
    found, inputs = one_target(model, head.config(), column), make_inputs(3)
    other, _, _ = network_of("number", seed=5)
    other.get_layer("risk").set_statistics([1.0, 2.0], [3.0, 4.0])
    model.set_weights(other.get_weights())
    take_weights(found, model, column)
    np.testing.assert_allclose(
        outputs(found, inputs)[:, 0], outputs(other, inputs)[:, 1], rtol=1e-5
    )


def test_a_binary_network_is_left_as_it_is(network_of):
    model, head, column = network_of("binary")
    assert one_target(model, head.config(), column) is model


@pytest.mark.parametrize("name", ["number", "competing"])
def test_it_can_be_copied_and_its_random_layers_begin_at_the_logits(network_of, make_inputs, name):
    model, head, column = network_of(name)
    found, inputs = one_target(model, head.config(), column), make_inputs(2)
    np.testing.assert_allclose(outputs(private_copy(found), inputs), outputs(found, inputs))
    assert weighted_layers(found)[0] == EVERY_LOGIT


def test_the_words_are_true_for_each_kind_of_target():
    patients = pd.DataFrame({"target_lvef": [20.0, 30.0, 41.0, np.nan]})
    number = {"kind": "continuous", "label": "LVEF", "unit": "%", "column": "target_lvef"}
    record = pd.Series({"record_id": "R1", "y_score": 31.21, "y_true": 1})
    lvef = Explained.of_target(number, patients)
    assert lvef.heading(record) == "R1: predicted LVEF = 31.2 %, measured above 30.0 %"
    assert lvef.scores([20.0, 40.0]).tolist() == [20.0, 40.0]
    assert "risk" not in lvef.sentence() + lvef.without + lvef.had + lvef.told
    timed = Explained.of_target({"kind": "time_to_event", "horizon_days": 365}, patients)
    risk = record.replace(31.21, 0.2)
    assert timed.heading(risk) == "R1: risk by day 365 = 0.20, event by day 365"
    assert timed.scores([0.2])[0] == pytest.approx(logit(0.2))
    assert Explained.of_target({"kind": "binary"}, patients) == RISK
    assert RISK.heading(risk) == "R1: risk = 0.20, event"
