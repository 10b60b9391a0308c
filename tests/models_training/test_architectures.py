"""Every network by name: size as published, named layers, inputs, saving, precision, refusals."""

import keras
import numpy as np
import pytest

from models_training.architectures import ARCHITECTURES, build_network
from models_training.bundle import load_bundle, save_bundle
from models_training.settings import (
    FAMILIES,
    ArchitectureSettings,
    parse_stage_blocks,
    training_settings,
)
from models_training.wide_resnet import stage_strides
from workflow.parameters import ARCHITECTURES as CHOICES

TINY = ArchitectureSettings(width=4, stage_blocks=(1, 1, 1, 1))
NAMES = [name for name in FAMILIES if name != "resnet34"]  # shrunken it is resnet18
COVARIATES = ("age_years", "lvef_percent")
CARD = dict.fromkeys(("signal_chain", "covariate_names", "target", "horizon_days", "threshold"))


def shrunken(name, **options):
    """Return settings of a network that builds in less than a second."""
    n_stages = len(FAMILIES[name].get("stage_blocks", ()))
    return ArchitectureSettings(
        name=name, width=4, stage_blocks=(1,) * n_stages, n_random_features=168, **options
    )


def some_inputs(n_samples, n=3, is_with_covariates=False):
    rng = np.random.default_rng(0)
    inputs = {"ecg": rng.normal(size=(n, n_samples, 12)).astype("float32")}
    if is_with_covariates:
        inputs["covariates"] = np.float32([[50, 30], [np.nan, 20], [70, np.nan]])[:n]
    return inputs


def with_random_weights(model, seed=0):
    """Give every weight a value, so that no branch is silent (gains of blocks start at 0)."""
    rng = np.random.default_rng(seed)
    for variable in model.variables:
        if variable.dtype == "float32" and "lead_sets" not in variable.path:
            variable.assign(0.1 + np.abs(rng.normal(0, 0.2, variable.shape)))
    return model


def test_the_registry_the_settings_and_the_parameter_name_the_same_networks():
    assert tuple(ARCHITECTURES) == tuple(FAMILIES) == CHOICES


# Counted on the published designs built in PyTorch 2.15 (weights, gains, shifts, moving
# statistics) for 12 leads, without the scaling of the ECG and the last layer.
PUBLISHED = {
    "resnet18": (3_858_432, 512),
    "resnet34": (7_240_192, 512),
    "resnet50": (16_012_288, 2048),
    "wide_resnet": (6_394_912, 320),
    "fcn_wang": (276_480, 128),
    "xresnet1d": (899_456, 512),
    "inception_time": (493_824, 128),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_by_default_a_network_has_the_weights_of_the_published_one(name):
    model = build_network(n_samples=1000, settings=ArchitectureSettings(name=name))
    n_weights, n_features = PUBLISHED[name]
    assert model.count_params() == n_weights + 24 + n_features + 1
    assert model.get_layer(ARCHITECTURES[name].features).output.shape == (None, n_features)


def test_xresnet1d101_by_its_blocks():
    settings = ArchitectureSettings(name="xresnet1d", stage_blocks=(3, 4, 23, 3))
    assert build_network(n_samples=250, settings=settings).count_params() == 1_830_784 + 24 + 513


def test_resnet50_has_keras_layer_names():
    model = build_network(n_samples=1000, settings=ArchitectureSettings(width=4))
    outs = [layer.name for layer in model.layers if layer.name.endswith("_out")]
    expected = [
        f"conv{stage}_block{block}_out"
        for stage, n_blocks in zip((2, 3, 4, 5), (3, 4, 6, 3), strict=True)
        for block in range(1, n_blocks + 1)
    ]
    assert outs == expected
    steps = [model.get_layer(f"conv{k}_block{n}_out").output.shape[1] for k, n in
             ((2, 3), (3, 4), (4, 6), (5, 3))]  # fmt: skip
    assert steps == [250, 125, 63, 32]


@pytest.mark.parametrize("name", [name for name in NAMES if name != "random_kernels"])
def test_every_stage_ends_in_a_layer_one_can_address_and_the_graph_is_flat(name):
    model = build_network(n_samples=250, settings=shrunken(name))
    names = [layer.name for layer in model.layers]
    first = 1 if name in ("fcn_wang", "inception_time") else 2
    stages = range(first, first + len(FAMILIES[name]["stage_blocks"]))
    assert {f"conv{stage}_block1_out" for stage in stages} <= set(names)
    assert all(len(model.get_layer(end).output.shape) == 3 for end in names if "_out" in end)
    assert not [layer for layer in model.layers if isinstance(layer, keras.Model)]


def test_wide_resnet_shortens_as_published_and_by_less_for_shorter_ecgs():
    assert stage_strides(4096, 4) == [4, 4, 4, 4]
    assert stage_strides(1000, 4) == [4, 4, 2, 2]
    assert stage_strides(250, 4) == [2, 2, 2, 2]
    assert stage_strides(16, 4) == [1, 1, 1, 1]
    assert stage_strides(10**6, 4) == [4, 4, 4, 4]
    settings = shrunken("wide_resnet")
    model = build_network(n_samples=4096, settings=settings)
    steps = [model.get_layer(f"conv{stage}_block1_out").output.shape[1] for stage in (2, 3, 4, 5)]
    assert steps == [1024, 256, 64, 16]


@pytest.mark.parametrize(
    ("n_samples", "precision", "covariate_names", "options"),
    [
        (250, "mixed_bfloat16", (), {}),
        (5000, "float32", COVARIATES, {"normalisation": "record", "use_amplitude": True}),
    ],
)
@pytest.mark.parametrize("name", NAMES)
def test_reloaded_it_gives_the_same_risk(
    tmp_path, name, n_samples, precision, covariate_names, options
):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(precision)
    settings = shrunken(name, **options)
    model = build_network(n_samples=n_samples, covariate_names=covariate_names, settings=settings)
    keras.config.set_dtype_policy(before)
    with_random_weights(model)
    inputs = some_inputs(n_samples, is_with_covariates=bool(covariate_names))
    risk = np.asarray(model(inputs, training=False))
    assert risk.dtype == np.float32
    assert ((risk >= 0) & (risk <= 1)).all()
    save_bundle(tmp_path, model, CARD)
    again, _ = load_bundle(tmp_path)
    # logits: random weights bring risks so near to 1 that any two would be equal
    logits = [
        np.asarray(keras.Model(one.inputs, one.get_layer("logit").output)(inputs, training=False))
        for one in (model, again)
    ]
    assert np.isfinite(logits[0]).all()
    np.testing.assert_array_equal(logits[1], logits[0])
    assert [layer.name for layer in again.layers] == [layer.name for layer in model.layers]


@pytest.mark.parametrize("name", NAMES)
def test_ecgs_of_ten_seconds_at_250_hz(name):
    model = build_network(n_samples=2500, settings=shrunken(name))
    assert np.isfinite(np.asarray(model(some_inputs(2500, n=2), training=False))).all()


@pytest.mark.parametrize("name", NAMES)
def test_missing_covariates_leave_finite_gradients(name):
    import tensorflow as tf

    settings = shrunken(name, normalisation="record", use_amplitude=True)
    model = build_network(n_samples=1000, covariate_names=("a",), settings=settings)
    ecg = np.random.default_rng(0).normal(size=(4, 1000, 12)).astype("float32")
    ecg[0, :, 3] = 0.0
    inputs = {"ecg": tf.constant(ecg), "covariates": tf.fill((4, 1), np.nan)}
    with tf.GradientTape() as tape:
        tape.watch(inputs["ecg"])
        loss = tf.reduce_sum(model(inputs, training=True))
    gradients = tape.gradient(loss, [*model.trainable_variables, inputs["ecg"]])
    assert all(bool(tf.reduce_all(tf.math.is_finite(g))) for g in gradients)


def test_a_missing_covariate_counts_as_the_training_mean():
    model = build_network(n_samples=128, covariate_names=("a", "b"), settings=TINY)
    model.get_layer("covariate_scaling").set_statistics([50.0, 30.0], [10.0, 5.0])
    ecg = np.random.default_rng(0).normal(size=(1, 128, 12)).astype("float32")
    missing = model({"ecg": ecg, "covariates": np.array([[np.nan, 20.0]], "float32")})
    at_mean = model({"ecg": ecg, "covariates": np.array([[50.0, 20.0]], "float32")})
    np.testing.assert_allclose(np.asarray(missing), np.asarray(at_mean), rtol=1e-6)


@pytest.mark.parametrize(
    ("options", "does_change"),
    [
        ({"normalisation": "record"}, False),
        ({"normalisation": "record", "use_amplitude": True}, True),
        ({"normalisation": "cohort"}, True),
    ],
)
def test_scaled_by_the_record_only_the_amplitude_input_knows_the_amplitude(options, does_change):
    model = with_random_weights(
        build_network(n_samples=128, settings=shrunken("fcn_wang", **options))
    )
    logit = keras.Model(model.inputs, model.get_layer("logit").output)
    ecg = some_inputs(128)["ecg"]
    found = [np.asarray(logit({"ecg": factor * ecg}, training=False)) for factor in (1, 2)]
    assert np.allclose(*found, rtol=1e-4) != does_change


def test_the_seed_decides_the_weights():
    weights = [
        build_network(n_samples=128, settings=TINY, seed=seed).get_weights() for seed in (1, 1, 2)
    ]
    assert all(np.array_equal(a, b) for a, b in zip(weights[0], weights[1], strict=True))
    assert any(not np.array_equal(a, b) for a, b in zip(weights[0], weights[2], strict=True))


@pytest.mark.parametrize("text", ["3-4-6-", "3-4-6-0", "a-b-c-d", "-", "3.5"])
def test_wrong_stage_blocks_are_refused(text):
    with pytest.raises(ValueError, match="must be positive numbers joined by -"):
        parse_stage_blocks(text)


def test_parameters_become_settings_with_the_sizes_of_the_family():
    settings = training_settings(
        {"architecture": "resnet18", "width": 8, "stage_blocks": "1-1-1-1", "seed": 3, "other": 1}
    )
    assert settings.seed == 3
    assert settings.architecture == ArchitectureSettings(
        name="resnet18",
        width=8,
        stage_blocks=(1, 1, 1, 1),
        stem_stride=2,
        stem_kernel_samples=7,
        kernel_samples=3,
    )
    assert ArchitectureSettings(stage_blocks=parse_stage_blocks("")) == ArchitectureSettings()
    assert ArchitectureSettings(name="random_kernels", width=8).width == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": "vgg"}, "architecture must be one of resnet18, .*, random_kernels, got 'vgg'"),
        ({"normalisation": "lead"}, "normalisation must be one of cohort, record, got 'lead'"),
        ({"stage_blocks": (3, 4, 6)}, "stage_blocks must be 4 numbers for resnet50, got 3. Leave"),
        (
            {"name": "random_kernels", "stage_blocks": (1,)},
            "stage_blocks must be 0 numbers for random_kernels, got 1",
        ),
    ],
)
def test_wrong_settings_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        ArchitectureSettings(**options)


@pytest.mark.parametrize(
    ("name", "least"),
    [
        ("resnet50", 32),
        ("resnet18", 32),
        ("xresnet1d", 32),
        ("wide_resnet", 16),
        ("fcn_wang", 8),
        ("inception_time", 40),
        ("random_kernels", 9),
    ],
)
def test_an_ecg_that_is_too_short_is_refused_by_each_family_at_its_own_length(name, least):
    settings = shrunken(name)
    message = f"n_samples must be at least {least} for {name}, got {least - 1}. Use longer ECGs"
    with pytest.raises(ValueError, match=message):
        build_network(n_samples=least - 1, settings=settings)
    model = build_network(n_samples=least, settings=settings)
    assert np.isfinite(np.asarray(model(some_inputs(least, n=2), training=False))).all()
