"""The craft of training inside the trainer: batches, averages, seeds, search, recalibration."""

import dataclasses
import re

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit, logit

from models_training.batch_changes import changed_batch, check_settings, crop_samples
from models_training.bundle import load_bundle, save_bundle
from models_training.crops import network_scores
from models_training.fold_store import Checkpoint
from models_training.hazard_head import HazardHead
from models_training.heads import BinaryHead
from models_training.inputs import EpochBatches
from models_training.network_folds import recalibrated
from models_training.settings import ArchitectureSettings, TrainingSettings
from models_training.training import NetworkTrainer
from models_training.variants import VariantTraining
from models_training.weight_averaging import WeightAverage


@pytest.fixture
def small(tiny):
    """Return settings of three convolutions."""
    architecture = ArchitectureSettings(name="fcn_wang", width=2, kernel_samples=3)
    return dataclasses.replace(tiny, architecture=architecture, rate_hz=32.0)


def batch(n=8, n_filling=2):
    rng = np.random.default_rng(0)
    inputs = {"ecg": rng.normal(size=(n, 64, 12)).astype("float32"), "covariates": np.ones((n, 2))}
    y_true = (np.arange(n) % 2).astype("float32")[:, None]
    return inputs, y_true, np.repeat([1.0, 0.0], [n - n_filling, n_filling]).astype("float32")


def test_without_settings_a_batch_is_left_as_it_is(small):
    given = batch()
    found = changed_batch(given, settings=small, n_samples=64, rng=np.random.default_rng(0))
    assert found[0]["ecg"] is given[0]["ecg"]
    np.testing.assert_array_equal(found[1], given[1])
    assert found[2] is given[2]


def test_pieces_noise_mixtures_and_smoothing_come_together(small):
    options = {"augment_strength": 1.0, "mixup_alpha": 0.4, "label_smoothing": 0.1}
    settings = dataclasses.replace(small, crop_seconds=1.0, **options)
    assert crop_samples(settings, 64) == 32
    rng = np.random.default_rng(0)
    inputs, y_true, weights = changed_batch(batch(), settings=settings, n_samples=32, rng=rng)
    assert inputs["ecg"].shape == (8, 32, 12)
    assert inputs["covariates"].shape == (8, 2)
    assert y_true.min() >= 0.05 - 1e-6
    assert y_true.max() <= 0.95 + 1e-6
    assert ((y_true > 0.06) & (y_true < 0.94)).any()
    assert (weights[6:] == 0).all()
    assert weights[:6] == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"crop_seconds": 1.0, "rate_hz": 0.0}, "rate_hz must be above 0 for crops and augment"),
        ({"crop_seconds": 3.0}, "crop_seconds must be at most the 2 seconds of an ECG, got 3."),
        ({"n_crops": 4}, "n_crops must be 1 for networks that see whole ECGs, got 4. Set crop_"),
    ],
)
def test_pieces_that_do_not_fit_are_refused(small, settings, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        crop_samples(dataclasses.replace(small, **settings), 64)


def test_a_head_whose_targets_cannot_be_mixed_or_recalibrated_says_so():
    check_settings(TrainingSettings(imbalance="oversample", mixup_alpha=0.2), BinaryHead())
    for name, value in (("mixup_alpha", 0.2), ("label_smoothing", 0.1)):
        with pytest.raises(ValueError, match=f"{name} must be 0 for HazardHead, got {value}"):
            check_settings(TrainingSettings(**{name: value}), HazardHead([365]))
    with pytest.raises(ValueError, match="imbalance must be none for HazardHead, got 'oversamp"):
        check_settings(TrainingSettings(imbalance="oversample"), HazardHead([365]))


@pytest.mark.parametrize("records_per_patient", [0, 1])
@pytest.mark.parametrize("imbalance", ["class_weights", "oversample", "undersample"])
def test_both_outcomes_weigh_the_same_in_an_epoch(make_data, imbalance, records_per_patient):
    data = make_data()  # ten events in forty patients
    rows = np.arange(len(data.records))
    options = {"records_per_patient": records_per_patient, "imbalance": imbalance}
    batches = EpochBatches(data, rows, batch_size=8, seed=(0,), **options)
    patient = data.patient_row[batches.rows[batches._order]]
    weight = pd.Series(batches._epoch_weight[batches._order]).groupby(patient).sum()
    is_event = data.patients["outcome"].iloc[weight.index].to_numpy() == 1
    assert weight[is_event].sum() == pytest.approx(weight[~is_event].sum())
    assert is_event.sum() == 10
    assert len(weight) == (20 if imbalance == "undersample" else 40)
    first = batches._order
    batches.start_epoch(1)
    assert not np.array_equal(first, batches._order)


@pytest.mark.parametrize("kind", ["ema", "swa"])
def test_what_is_kept_is_the_average_and_a_stopped_training_goes_on_with_it(
    make_data, small, tmp_path, monkeypatch, kind
):
    data = make_data()
    rows = np.arange(len(data.records))
    settings = dataclasses.replace(small, weight_averaging=kind, n_epochs=3)
    fold = {"n_epochs": 3, "seed": (0, 0)}
    taken = []
    update = WeightAverage.update
    monkeypatch.setattr(
        WeightAverage,
        "update",
        lambda self, weights: (taken.append(1), update(self, weights)),
    )
    whole = NetworkTrainer(data, settings)
    history = whole.fit(rows[::2], rows[1::2], **fold)
    n_steps = 3 * -(-len(rows[::2]) // settings.batch_size)
    assert len(taken) == (n_steps if kind == "ema" else 1)
    assert history["is_kept"].sum() == 1
    kept = history.loc[history["is_kept"]].iloc[0]
    if kind == "swa":
        assert kept["epoch"] == 3
    assert whole._validation(rows[1::2])["val_loss"] == pytest.approx(kept["val_loss"])
    checkpoint = Checkpoint(tmp_path / "epoch.npz", "mark")
    train_epoch = NetworkTrainer._train_epoch

    def killed(self, batches, epoch, n_epochs):
        if epoch == 2:
            raise KeyboardInterrupt
        return train_epoch(self, batches, epoch, n_epochs)

    monkeypatch.setattr(NetworkTrainer, "_train_epoch", killed)
    with pytest.raises(KeyboardInterrupt):
        NetworkTrainer(data, settings).fit(rows[::2], rows[1::2], **fold, checkpoint=checkpoint)
    monkeypatch.setattr(NetworkTrainer, "_train_epoch", train_epoch)
    resumed = NetworkTrainer(data, settings)
    again = resumed.fit(rows[::2], rows[1::2], **fold, checkpoint=checkpoint)
    pd.testing.assert_frame_equal(
        again.drop(columns="seconds"), history.drop(columns="seconds"), check_exact=True
    )
    np.testing.assert_array_equal(resumed.logits(rows), whole.logits(rows))


def test_pieces_are_scored_by_their_mean_logit_in_the_trainer_and_from_the_bundle(
    make_data, small, tmp_path
):
    data = make_data(12)
    rows = np.arange(len(data.records))
    settings = dataclasses.replace(small, crop_seconds=1.0, n_crops=3, n_epochs=1)
    trainer = NetworkTrainer(data, settings)
    trainer.fit(rows, None, n_epochs=1, seed=(0,))
    parts = []
    for start in (0, 16, 32):
        inputs = data.inputs(rows)
        inputs["ecg"] = inputs["ecg"][:, start : start + 32]
        parts.append(logit(np.asarray(trainer.model(inputs, training=False), "float64")))
    np.testing.assert_allclose(trainer.logits(rows), np.mean(parts, axis=0), atol=1e-4)
    needed = dict.fromkeys(("signal_chain", "target", "horizon_days", "threshold"), 1)
    names = list(data.covariates)
    save_bundle(tmp_path, trainer.model, needed | {"covariate_names": names, "n_crops": 3})
    model, card = load_bundle(tmp_path)
    found = network_scores(model, data.inputs(rows), n_crops=card["n_crops"])
    np.testing.assert_allclose(found, expit(trainer.logits(rows)), rtol=1e-4)


def test_every_seed_scores_every_patient_and_the_bundle_is_their_ensemble(
    make_data, make_splits, small, tmp_path
):
    data = make_data(16)
    splits = make_splits(data)
    settings = dataclasses.replace(small, n_epochs=1, n_seeds=2, seed=5)
    fit = VariantTraining("ecg", data, splits, settings).fit(tmp_path)
    test = fit.predictions.query("role == 'test'")
    assert sorted(test["seed"].unique()) == [5, 6]
    for _, rows in test.groupby("seed"):
        assert sorted(rows["record_id"]) == sorted(data.records["record_id"])
    assert test.groupby("record_id")["y_score"].nunique().min() == 2
    assert set(fit.history["seed"]) == {5, 6}
    assert fit.about["n_seeds"] == 2
    names = {layer.name for layer in fit.model.layers}
    assert {"logit", "seed0_logit", "seed1_logit"} <= names
    alone = VariantTraining("ecg", data, splits, dataclasses.replace(settings, n_seeds=1))
    single = alone.fit(tmp_path / "single").predictions
    first = fit.predictions.query("seed == 5").reset_index(drop=True)
    pd.testing.assert_frame_equal(first, single, rtol=1e-5)


@pytest.mark.parametrize("imbalance", ["class_weights", "undersample"])
def test_risks_after_class_weights_are_recalibrated_by_training_patients_alone(
    make_data, make_splits, small, tmp_path, imbalance
):
    data = make_data(40)
    splits = make_splits(data)
    settings = dataclasses.replace(small, n_epochs=2, imbalance=imbalance)
    fit = VariantTraining("ecg", data, splits, settings).fit(tmp_path)
    patients = fit.predictions.assign(logit=logit(fit.predictions["y_score"]))
    patients = patients.groupby(["fold", "role", "patient_id"])[["logit", "y_true"]].mean()
    for fold in (0, 1):
        inner = patients.loc[fold, "validation"]
        mean = expit(inner["logit"].to_numpy(float)).mean()
        assert mean == pytest.approx(inner["y_true"].mean(), abs=1e-3)
    about = fit.about["recalibration"]
    assert len(about["folds"]) == 2
    assert about["n"] == 40
    assert about["n_events"] == 10
    weights = fit.model.get_layer("logit").get_weights()
    assert all(np.isfinite(weight).all() for weight in weights)


def test_a_fold_is_recalibrated_without_a_look_at_its_test_outcomes():
    rng = np.random.default_rng(0)
    table = pd.DataFrame(
        {
            "patient_id": [f"P{k}" for k in range(80)] * 2,
            "repeat": 0,
            "fold": np.repeat([0, 1], 80),
            "role": (["validation"] * 40 + ["test"] * 40) + (["test"] * 40 + ["validation"] * 40),
            "y_true": pd.array(np.tile(rng.integers(0, 2, 80), 2), dtype="Int8"),
            "y_score": rng.uniform(0.3, 0.99, 160),
        }
    )
    found, about = recalibrated(table)
    is_test = table["role"] == "test"
    changed = table.assign(y_true=table["y_true"].where(~is_test, 1 - table["y_true"]))
    other, _ = recalibrated(changed)
    np.testing.assert_array_equal(found["y_score"], other["y_score"])
    assert found.index.equals(table.index)
    rank = found.groupby(["fold"])["y_score"].rank()
    assert rank.equals(table.groupby("fold")["y_score"].rank())
    assert about["n"] == 80


def test_a_search_sees_training_patients_alone_and_its_values_are_used(
    make_data, make_splits, small, tmp_path, monkeypatch
):
    pytest.importorskip("optuna")
    data = make_data(16)
    splits = make_splits(data)
    seen, train = [], NetworkTrainer.fit

    def watched(self, train_rows, validation_rows, **options):
        seen.append((options["seed"], self.settings, train_rows, validation_rows))
        return train(self, train_rows, validation_rows, **options)

    monkeypatch.setattr(NetworkTrainer, "fit", watched)
    settings = dataclasses.replace(small, n_epochs=1, n_trials=2)
    job = VariantTraining("ecg", data, splits, settings)
    assert "7 trainings" in job.estimate()
    fit = job.fit(tmp_path)
    assert len(seen) == 2 * 2 + 2 + 1
    ids = data.records["patient_id"].to_numpy()
    for key, _, train_rows, validation_rows in seen[:-1]:
        here = splits[(splits["fold"] == key[1])]
        tested = set(here[here["role"] == "test"]["patient_id"])
        for rows in (train_rows, validation_rows):
            assert not tested & set(ids[rows])
    trials = fit.trials
    assert trials.groupby("fold").size().tolist() == [2, 2]
    best = trials[trials["is_best"]].set_index("fold")
    used = {key[1]: settings for key, settings, *_ in seen[4:6]}
    for fold in (0, 1):
        assert used[fold].learning_rate == best.loc[fold, "learning_rate"]
        assert used[fold].architecture.dropout == best.loc[fold, "dropout"]
    assert seen[-1][1].weight_decay == pytest.approx(best["weight_decay"].median())
    VariantTraining("ecg", data, splits, settings).fit(tmp_path)
    assert len(seen) == 8  # nothing but the model for new patients is trained again


def test_two_deterministic_trainings_agree_to_the_last_bit(make_data, small):
    from tensorflow.python.framework import config

    from models_training.determinism import make_deterministic

    data = make_data(16)
    rows = np.arange(len(data.records))
    settings = dataclasses.replace(small, n_epochs=2, run_eagerly=False, augment_strength=1.0)
    weights = []
    try:
        for _ in range(2):
            make_deterministic(3)
            trainer = NetworkTrainer(data, settings)
            trainer.fit(rows, None, n_epochs=2, seed=(0,))
            weights.append(trainer.model.get_weights())
    finally:
        config.disable_op_determinism()
    for one, other in zip(*weights, strict=True):
        np.testing.assert_array_equal(one, other)
