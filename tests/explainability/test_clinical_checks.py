"""Networks of folds are asked about held-out ECGs, beside training ECGs of the fold only."""

from __future__ import annotations

import keras
import numpy as np
import pandas as pd
import pytest

from explainability.clinical_checks import FoldAccess, ask_networks

RATE, N_SAMPLES = 100, 600
RNG = np.random.default_rng(0)


def ecg_of(t_height):
    """Return six seconds of P, QRS and T with limb leads after Einthoven."""
    time = np.arange(N_SAMPLES) / RATE
    lead = np.zeros(N_SAMPLES)
    for peak in np.arange(0.5, 6, 0.8):
        for at, width, height in ((-0.16, 0.02, 0.1), (0, 0.015, 1.0), (0.28, 0.04, t_height)):
            lead += height * np.exp(-0.5 * ((time - peak - at) / width) ** 2)
    gains = np.array([0.5, 1.0, 0.5, -0.75, 0.0, 0.75, -0.5, 0.4, 0.8, 1.2, 1.1, 0.9])
    return lead[:, None] * gains + RNG.normal(0, 0.005, (N_SAMPLES, 12))


def network(seed):
    """Return a network whose logit is the mean of V5 times a weight of the fold, and a trunk."""
    ecg = keras.Input((N_SAMPLES, 12), name="ecg")
    pooled = keras.layers.GlobalAveragePooling1D(name="avg_pool")(ecg)
    logit = keras.layers.Dense(1, name="logit", dtype="float32")(pooled)
    model = keras.Model(ecg, keras.layers.Activation("sigmoid", name="risk")(logit))
    kernel = np.zeros((12, 1), np.float32)
    kernel[10] = 10.0 * (seed + 1)
    model.get_layer("logit").set_weights([kernel, np.zeros(1, np.float32)])
    return model


@pytest.fixture(scope="module")
def asked():
    heights = np.linspace(-0.4, 0.4, 12)
    signals = np.stack([ecg_of(height) for height in heights]).astype(np.float32)
    everyone = pd.DataFrame(
        {
            "record_id": [f"R{k:05d}" for k in range(12)],
            "patient_id": [f"P{k:04d}" for k in range(12)],
            "signal_row": range(12),
            "y_true": (heights < 0).astype(int),
            "fold": np.arange(12) % 2,
            "repeat": 0,
        }
    )
    networks = {fold: network(fold) for fold in (0, 1)}
    access = FoldAccess(
        load_model=lambda repeat, fold: networks[fold],
        trunk=lambda model: keras.Model(model.input, model.get_layer("avg_pool").output),
        training=lambda repeat, fold: everyone[everyone["fold"] != fold],
        read=lambda rows: signals[rows],
        rate_hz=RATE,
    )
    chosen = everyone.iloc[[1, 10, 4, 7]]
    inputs = {"ecg": signals[[1, 10, 4, 7]]}
    return everyone, chosen, access, inputs, ask_networks(chosen, inputs, access, n_neighbours=2)


def test_neighbours_come_from_the_training_patients_of_the_fold(asked):
    everyone, chosen, _, _, answers = asked
    fold = everyone.set_index("record_id")["fold"]
    near = answers.neighbours
    assert len(near) == 8
    assert (
        fold[near["record_id"]].to_numpy() != fold[near["neighbour_record_id"]].to_numpy()
    ).all()
    # the T wave is what differs, so those with the next T waves are nearest
    of_first = near[near["record_id"] == chosen["record_id"].iloc[0]]
    assert set(of_first["neighbour_record_id"]) == {"R00000", "R00002"}
    shown = near[near["record_id"].isin(chosen["record_id"].iloc[[0, -1]])]
    assert set(answers.neighbour_beats) == set(shown["neighbour_record_id"])


def test_each_fold_answers_by_its_own_network(asked):
    _, chosen, _, inputs, answers = asked
    found = answers.replacements.drop_duplicates("record_id").set_index("record_id")
    weight = 10.0 * (chosen["fold"].to_numpy() + 1)
    expected = weight * inputs["ecg"][:, :, 10].mean(axis=1)
    np.testing.assert_allclose(found.loc[chosen["record_id"], "logit"], expected, rtol=1e-4)
    changed = answers.replacements.set_index(["wave", "leads", "record_id"])
    low = changed.loc[("T", "V4 to V6", "R00001")]
    assert low["risk_after"] > low["risk"] + 0.05  # an upright T wave raises the mean of V5
    none = changed.loc[("T", "V1 to V3", "R00001")]
    assert none["risk_after"] == pytest.approx(none["risk"])


def test_records_must_fit_the_inputs(asked):
    _, chosen, access, inputs, _ = asked
    with pytest.raises(ValueError, match=r"one row for each of the 4 ECGs .* got 3"):
        ask_networks(chosen.iloc[:3], inputs, access)


def test_a_fold_without_patients_free_of_the_event_is_refused(asked):
    everyone, chosen, access, inputs, _ = asked
    only_events = FoldAccess(
        access.load_model,
        access.trunk,
        lambda repeat, fold: everyone[everyone["fold"] != fold].assign(y_true=1),
        access.read,
        RATE,
    )
    with pytest.raises(ValueError, match="patients without the event, got none of 6 in fold"):
        ask_networks(chosen, inputs, only_events)
