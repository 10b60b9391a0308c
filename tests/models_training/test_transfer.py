"""Weights from elsewhere, frozen layers, and changed batches."""

import dataclasses

import numpy as np
import pytest

from models_training.inputs import EpochBatches
from models_training.training import NetworkTrainer


def weights_of(trainer, prefix):
    return [
        value
        for layer in trainer.network.layers
        if layer.name.startswith(prefix)
        for value in layer.get_weights()
    ]


def test_a_training_begins_with_the_given_weights_and_says_which(make_data, tiny):
    data = make_data()
    source = NetworkTrainer(data, dataclasses.replace(tiny, seed=5))
    trainer = NetworkTrainer(data, tiny)
    own_logit = weights_of(trainer, "logit")
    trainer.start_from(source.model)
    trainer.reset(np.arange(30))
    for ours, theirs in zip(weights_of(trainer, "conv"), weights_of(source, "conv"), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    np.testing.assert_array_equal(weights_of(trainer, "logit")[0], own_logit[0])
    assert len(trainer.started_from) == 64
    other = NetworkTrainer(data, dataclasses.replace(tiny, seed=6))
    trainer.start_from(other.model)
    again = trainer.started_from
    trainer.start_from(source.model)
    assert trainer.started_from != again


def test_frozen_layers_stay_and_slower_ones_move_less(make_data, tiny):
    data, rows = make_data(), np.arange(60)
    trainer = NetworkTrainer(data, tiny)
    trainer.reset(rows)
    start = {prefix: weights_of(trainer, prefix) for prefix in ("conv2", "conv5", "logit")}

    def moved(rates, **options):
        trainer.set_rates(rates, **options)
        trainer.fit(rows, None, n_epochs=1, seed=(0,))
        return {
            prefix: max(
                float(np.abs(now - then).max())
                for now, then in zip(weights_of(trainer, prefix), before, strict=True)
            )
            for prefix, before in start.items()
        }

    free = moved({})
    assert all(distance > 0 for distance in free.values())
    probe = moved({"": 0.0, "logit": 1.0})
    assert probe["conv2"] == probe["conv5"] == 0  # means and variances of the batches included
    assert probe["logit"] > 0
    partial = moved({"": 0.0, "conv5": 0.1, "logit": 1.0}, freeze_statistics=True)
    assert partial["conv2"] == 0
    assert 0 < partial["conv5"] < free["conv5"]
    again = moved({})
    assert again == free


def test_a_network_without_a_layer_of_the_name_gives_no_weights(make_data, tiny):
    import keras

    trainer = NetworkTrainer(make_data(), tiny)
    ecg = keras.Input((8, 12), name="ecg")
    source = keras.Model(ecg, keras.layers.Dense(1, name="elsewhere")(ecg))
    with pytest.raises(ValueError, match="source must have layers named like the network's"):
        trainer.start_from(source)


def test_batches_are_changed_by_seed_epoch_and_number_alone(make_data):
    data = make_data()

    def noisy(inputs, rng):
        return inputs | {"ecg": inputs["ecg"] + rng.normal(size=(len(inputs["ecg"]), 1, 1))}

    def batch(number, epoch):
        batches = EpochBatches(
            data, np.arange(60), batch_size=8, records_per_patient=0, seed=(0,), transform=noisy
        )
        batches.start_epoch(epoch)
        return batches[number][0]["ecg"] - data.inputs(batches.rows[batches._order[:8]])["ecg"]

    np.testing.assert_array_equal(batch(0, 3), batch(0, 3))
    assert not np.array_equal(batch(0, 3), batch(0, 4))


def test_the_rate_of_an_epoch_falls_along_a_cosine(make_data, tiny):
    trainer = NetworkTrainer(make_data(), tiny)
    rates = [trainer.learning_rate_at(epoch, 10) for epoch in range(10)]
    assert rates[0] == tiny.learning_rate
    assert rates[5] == pytest.approx(tiny.learning_rate / 2)
    assert (np.diff(rates) < 0).all()
