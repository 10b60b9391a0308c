"""Which layers learn on each rung, on a tiny ResNet-50."""

import math
import re

import pytest

from models_training.architectures import build_network
from models_training.embeddings import trunk_of
from models_training.rungs import (
    RATE_STEP,
    check_rung,
    layer_rates,
    n_trained,
    rung_plan,
    stages_of,
)
from models_training.settings import ArchitectureSettings

STAGES = ["conv1", "conv2", "conv3", "conv4", "conv5"]


@pytest.fixture(scope="module")
def network():
    settings = ArchitectureSettings(width=2, stage_blocks=(1, 1, 1, 1), stem_stride=1)
    return build_network(n_samples=32, covariate_names=["age_years"], settings=settings)


def learning(network, rung, phase=-1, n_epochs=20):
    """Return the stages, and head layers, whose weights learn in a phase."""
    plan = rung_plan(rung, STAGES, n_epochs)
    rates = layer_rates(trunk_of(network), plan.rates[phase])
    layers = [layer for layer in network.layers if layer.trainable_weights]
    found = [layer for layer in layers if rates.get(layer.name, rates[""])]
    n = sum(math.prod(weight.shape) for layer in found for weight in layer.trainable_weights)
    assert n_trained(network, rates) == n
    return {layer.name.split("_block")[0] for layer in found}


def test_the_stages_are_those_of_the_layer_names(network):
    stages = stages_of(trunk_of(network))
    assert list(stages) == STAGES
    assert stages["conv1"] == ["conv1_conv", "conv1_bn"]
    assert "conv5_block1_2_conv" in stages["conv5"]
    n_scaling_and_head = 2 + 2  # ecg and covariate scaling; covariate_dense and logit
    with_weights = [layer for layer in network.layers if layer.weights]
    assert sum(map(len, stages.values())) == len(with_weights) - n_scaling_and_head


HEAD_LAYERS = {"covariate_dense", "logit"}
STEM = {"conv1_conv", "conv1_bn"}


@pytest.mark.parametrize(
    ("rung", "expected"),
    [
        ("probe", HEAD_LAYERS),
        ("partial", HEAD_LAYERS | {"conv5"}),
        ("progressive", HEAD_LAYERS | {"conv5", "conv4", "conv3", "conv2"}),
        ("full", HEAD_LAYERS | STEM | {"conv5", "conv4", "conv3", "conv2"}),
        ("scratch", HEAD_LAYERS | STEM | {"conv5", "conv4", "conv3", "conv2"}),
    ],
)
def test_what_learns_at_last(network, rung, expected):
    assert learning(network, rung) == expected
    is_frozen = rung in ("probe", "partial", "progressive")
    assert rung_plan(rung, STAGES, 20).is_norm_frozen is is_frozen


def test_progressive_frees_from_the_head_down_and_slower_towards_the_ecg(network):
    plan = rung_plan("progressive", STAGES, 16)
    assert plan.starts == (0, 2, 4, 6, 8)
    freed = [learning(network, "progressive", phase) - HEAD_LAYERS for phase in range(5)]
    assert freed == [set(STAGES[5 - n :]) for n in range(5)]
    last = plan.rates[-1]
    assert last["head"] == 1.0
    for near, far in zip(STAGES[2:], STAGES[1:-1], strict=True):
        assert last[near] / last[far] == pytest.approx(RATE_STEP)
    found = [plan.rates.index(plan.rates_at(epoch)) for epoch in (0, 1, 2, 5, 8, 15)]
    assert found == [0, 0, 1, 2, 4, 4]
    assert plan.earliest_stop == 8


def test_with_few_epochs_phases_are_skipped_and_never_out_of_order():
    for n_epochs in (1, 2, 3, 5):
        plan = rung_plan("progressive", STAGES, n_epochs)
        phases = [plan.rates.index(plan.rates_at(epoch)) for epoch in range(n_epochs)]
        assert phases == sorted(phases)
        assert plan.earliest_stop <= n_epochs // 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("probes", "", "resnet50"), "rung must be one of embedding, probe, partial, "),
        (
            ("probe", "", "resnet50"),
            "pretrained must name an encoder for rung probe, got ''. Name one, or use rung "
            "scratch, or embedding with architecture random_kernels.",
        ),
        (("choose", "", "resnet50"), "pretrained must name an encoder for rung choose, got ''."),
        (
            ("scratch", "name", "resnet50"),
            "pretrained must be empty with rung scratch, got 'name'. Choose a rung that starts "
            "from the encoder, such as full.",
        ),
        (
            ("full", "", "random_kernels"),
            "rung must be embedding with architecture random_kernels, got full.",
        ),
        (
            ("embedding", "name", "random_kernels"),
            "pretrained must be empty with architecture random_kernels, got 'name'.",
        ),
    ],
)
def test_rungs_that_cannot_be_are_refused(arguments, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        check_rung(*arguments)


def test_rungs_that_can_be_are_not():
    check_rung("scratch", "", "resnet50")
    check_rung("embedding", "", "random_kernels")
    for rung in ("embedding", "probe", "partial", "progressive", "full", "choose"):
        check_rung(rung, "some_encoder", "resnet50")
