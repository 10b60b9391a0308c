"""Tiny flat networks with known answers, and their inputs."""

from __future__ import annotations

import keras
import numpy as np
import pytest

N_SAMPLES, N_LEADS = 64, 12


def _join(pooled, covariates):
    filled = keras.ops.where(
        keras.ops.isnan(covariates), keras.ops.zeros_like(covariates) + 0.5, covariates
    )
    return keras.layers.Concatenate(name="join")([pooled, filled])


@pytest.fixture(scope="session")
def build_network():
    """Return a builder of residual networks with the project's layer names."""

    def build(n_covariates: int = 0, *, is_head_linear: bool = True, seed: int = 0) -> keras.Model:
        keras.utils.set_random_seed(seed)
        layers = keras.layers
        ecg = keras.Input((N_SAMPLES, N_LEADS), name="ecg")
        scaling = layers.Normalization(mean=[0.1] * N_LEADS, variance=[0.5] * N_LEADS)
        scaling.name = "ecg_scaling"
        x = scaling(ecg)
        x = layers.Conv1D(6, 5, strides=2, padding="same", use_bias=False, name="conv1_conv")(x)
        x = layers.BatchNormalization(name="conv1_bn")(x)
        x = layers.ReLU(name="conv1_relu")(x)
        x = layers.MaxPooling1D(3, strides=2, padding="same", name="pool1_pool")(x)
        y = layers.Conv1D(6, 3, padding="same", name="conv2_block3_1_conv")(x)
        x = layers.Add(name="conv2_block3_add")([x, y])
        x = layers.ReLU(name="conv2_block3_out")(x)
        y = layers.Conv1D(8, 3, strides=2, padding="same", name="conv5_block3_1_conv")(x)
        x = layers.ReLU(name="conv5_block3_out")(y)
        x = layers.GlobalAveragePooling1D(name="avg_pool")(x)
        inputs = [ecg]
        if n_covariates:
            inputs.append(keras.Input((n_covariates,), name="covariates"))
            x = _join(x, inputs[1])
        if not is_head_linear:
            x = layers.Dense(8, activation="tanh", name="head")(x)
        logit = layers.Dense(1, dtype="float32", name="logit")(x)
        risk = layers.Activation("sigmoid", dtype="float32", name="risk")(logit)
        model = keras.Model(inputs if n_covariates else ecg, risk)
        head = model.get_layer("logit")
        kernel = np.linspace(1.0, -0.5, head.kernel.shape[0], dtype=np.float32)
        head.set_weights([kernel[:, None], np.zeros(1, np.float32)])  # most maps are not empty
        return model

    return build


@pytest.fixture(scope="session")
def make_inputs():
    """Return a maker of inputs with one missing covariate in the first record."""

    def make(n_records: int = 5, n_covariates: int = 0, seed: int = 1) -> dict[str, np.ndarray]:
        rng = np.random.default_rng(seed)
        inputs = {"ecg": rng.normal(size=(n_records, N_SAMPLES, N_LEADS)).astype(np.float32)}
        if n_covariates:
            inputs["covariates"] = rng.normal(size=(n_records, n_covariates)).astype(np.float32)
            inputs["covariates"][0, 0] = np.nan
        return inputs

    return make


@pytest.fixture
def stored_again(build_network, tmp_path):
    """Return a function that saves and loads a two-covariate network, as it is or in bfloat16."""

    def store(model: keras.Model, state: str) -> keras.Model:
        other = model
        if state == "mixed_bfloat16":
            keras.mixed_precision.set_global_policy("mixed_bfloat16")
            try:
                other = build_network(2)
            finally:
                keras.mixed_precision.set_global_policy("float32")
            other.set_weights(model.get_weights())
            assert other.get_layer("conv5_block3_out").compute_dtype == "bfloat16"
        other.save(tmp_path / "model.keras")
        return keras.saving.load_model(tmp_path / "model.keras")

    return store
