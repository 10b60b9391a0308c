"""Scaling layers against NumPy, and the statistics that training rows write into a network."""

import numpy as np
import pytest

from models_training.architectures import build_network
from models_training.layers import LeadAmplitude, RecordScale, TrainingScale
from models_training.settings import ArchitectureSettings
from models_training.training_statistics import set_training_statistics


def test_a_constant_column_becomes_0():
    layer = TrainingScale()
    layer.build((None, 2))
    layer.set_statistics(np.float32([1, 2]), np.float32([0, 4]))
    np.testing.assert_allclose(np.asarray(layer(np.float32([[3, 10]]))), [[0, 2]])


def test_every_lead_of_every_record_has_mean_0_and_sd_1():
    ecg = np.random.default_rng(0).normal(2, [0.1, 1, 5], (4, 200, 3)).astype("float32")
    scaled = np.asarray(RecordScale()(ecg))
    expected = (ecg - ecg.mean(1, keepdims=True)) / ecg.std(1, keepdims=True)
    np.testing.assert_allclose(scaled, expected, atol=2e-5)
    np.testing.assert_allclose(np.asarray(LeadAmplitude()(ecg)), np.log(ecg.std(1)), atol=1e-5)


def test_flat_leads_become_0_and_missing_samples_their_leads_mean():
    ecg = np.random.default_rng(0).normal(size=(1, 100, 4)).astype("float32")
    ecg[:, :, 0], ecg[:, :, 1] = 0.7, np.nan
    ecg[0, 5:9, 2] = np.nan
    scaled, amplitude = np.asarray(RecordScale()(ecg)), np.asarray(LeadAmplitude()(ecg))
    np.testing.assert_allclose(scaled[0, :, :2], 0, atol=1e-4)
    np.testing.assert_allclose(amplitude[0, :2], np.log(0.01), rtol=1e-5)
    np.testing.assert_array_equal(scaled[0, 5:9, 2], 0)
    known = np.delete(ecg[0, :, 2], slice(5, 9))
    expected = (known - known.mean()) / known.std()
    np.testing.assert_allclose(np.delete(scaled[0, :, 2], slice(5, 9)), expected, atol=1e-5)
    np.testing.assert_allclose(amplitude[0, 2], np.log(known.std()), rtol=1e-4)
    assert np.isfinite(scaled).all()


@pytest.mark.parametrize("normalisation", ["cohort", "record"])
def test_statistics_are_those_of_the_training_rows_alone(make_data, normalisation):
    data = make_data()
    rows = np.arange(20)
    settings = ArchitectureSettings(
        name="random_kernels",
        n_random_features=84,
        normalisation=normalisation,
        use_amplitude=True,
    )
    model = build_network(
        n_samples=64, covariate_names=list(data.covariates.columns), settings=settings
    )
    other = data.signals.copy()
    other[20:] = 1e3
    found = []
    for signals in (data.signals, other):
        object.__setattr__(data, "signals", signals)
        set_training_statistics(model, data, rows, seed=1)
        found.append(model.get_weights())
    for first, second in zip(*found, strict=True):
        np.testing.assert_array_equal(first, second)
    train = data.signals[:20]
    if normalisation == "cohort":
        scaling = model.get_layer("ecg_scaling")
        np.testing.assert_allclose(np.asarray(scaling.mean), train.mean((0, 1)), atol=1e-6)
        np.testing.assert_allclose(np.asarray(scaling.scale), train.std((0, 1)), rtol=1e-5)
    logs = np.log(train.std(1))
    scaling = model.get_layer("amplitude_scaling")
    np.testing.assert_allclose(np.asarray(scaling.mean), logs.mean(0), rtol=1e-5)
    np.testing.assert_allclose(np.asarray(scaling.scale), np.maximum(logs.std(0), 0.01), rtol=1e-3)
    seen = data.covariates.iloc[np.unique(data.patient_row[rows])]
    scaling = model.get_layer("covariate_scaling")
    np.testing.assert_allclose(np.asarray(scaling.mean), seen.mean(), rtol=1e-5)
    np.testing.assert_allclose(np.asarray(scaling.scale), seen.std(ddof=0), rtol=1e-5)
    assert np.asarray(model.get_layer("random_kernels").biases).any()


def test_a_missing_sample_leaves_the_statistics_of_its_lead(make_data):
    data = make_data()
    data.signals[3, 5:9, 2] = np.nan
    model = build_network(n_samples=64, settings=ArchitectureSettings(width=2))
    set_training_statistics(model, data, np.arange(20))
    scaling, train = model.get_layer("ecg_scaling"), data.signals[:20]
    np.testing.assert_allclose(np.asarray(scaling.mean), np.nanmean(train, (0, 1)), atol=1e-6)
    np.testing.assert_allclose(np.asarray(scaling.scale), np.nanstd(train, (0, 1)), rtol=1e-5)


@pytest.mark.parametrize("constant", [0.1, np.nan])
def test_a_covariate_that_is_constant_in_training_says_nothing_of_test_patients(
    make_data, constant
):
    data = make_data()
    seen = np.unique(data.patient_row[:20])
    data.covariates.loc[seen, "age_years"] = constant
    model = build_network(
        n_samples=64,
        covariate_names=list(data.covariates.columns),
        settings=ArchitectureSettings(width=2),
    )
    set_training_statistics(model, data, np.arange(20))
    values = data.covariates.to_numpy("float32")
    scaled = np.asarray(model.get_layer("covariate_scaling")(values))
    assert (scaled[:, 0] == 0).all()
    assert scaled[:, 1].any()
