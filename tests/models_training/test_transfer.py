"""Layers that learn slowly, or not at all, and the rate of an epoch."""

import numpy as np
import pytest

from models_training.rungs import RungPlan
from models_training.training import NetworkTrainer
from models_training.transfer import set_layer_rates


def weights_of(trainer, prefix):
    return [
        value
        for layer in trainer.network.layers
        if layer.name.startswith(prefix)
        for value in layer.get_weights()
    ]


def test_frozen_layers_stay_and_slower_ones_move_less(make_data, tiny):
    data, rows = make_data(), np.arange(60)
    trainer = NetworkTrainer(data, tiny)
    trainer.reset(rows)
    start = {prefix: weights_of(trainer, prefix) for prefix in ("conv2", "conv5", "logit")}

    def moved(rates, **options):
        trainer.reset(rows)
        set_layer_rates(trainer.network, rates, **options)
        trainer._train_epoch(trainer._batches(rows, (0,)), 0, 1)
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


def test_the_rate_of_an_epoch_falls_along_a_cosine(make_data, tiny):
    trainer = NetworkTrainer(make_data(), tiny)
    rates = [trainer.learning_rate_at(epoch, 10) for epoch in range(10)]
    assert rates[0] == tiny.learning_rate
    assert rates[5] == pytest.approx(tiny.learning_rate / 2)
    assert (np.diff(rates) < 0).all()


def test_no_gradient_is_computed_for_what_never_learns(make_data, tiny):
    trainer = NetworkTrainer(make_data(), tiny)
    n_all = len(trainer.network.trainable_variables)
    trainer.follow(RungPlan((0,), ({"head": 1.0, "conv5": 0.1},), is_norm_frozen=True))
    learning = {variable.path.split("/")[0] for variable in trainer.network.trainable_variables}
    assert all(name.startswith(("conv5", "covariate", "logit")) for name in learning)
    assert len(trainer.network.optimizer.variables) > 0
    assert len(trainer.network.trainable_variables) < n_all / 2
