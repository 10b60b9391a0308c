"""Every rung on a tiny ResNet-50: what stays as the encoder has it, what learns, what is chosen."""

import dataclasses
import re

import numpy as np
import pandas as pd
import pytest

from models_training.architectures import build_network
from models_training.bundle import save_bundle
from models_training.embedding_variant import set_head
from models_training.embeddings import embed, trunk_of
from models_training.fold_models import FoldModels
from models_training.pretrained import Pretrained
from models_training.ridge import Ridge
from models_training.rung_choice import choice_table
from models_training.rung_training import make_trainer
from models_training.rungs import RUNGS, stages_of
from models_training.settings import ArchitectureSettings
from models_training.training import NetworkTrainer
from models_training.variants import VariantTraining


@pytest.fixture(scope="module")
def encoder():
    """Return an encoder whose weights, scaling and batch-norm statistics are nobody's default."""
    settings = ArchitectureSettings(width=2, stage_blocks=(1, 1, 1, 1), stem_stride=1)
    trunk = trunk_of(build_network(n_samples=32, settings=settings, seed=5))
    rng = np.random.default_rng(0)
    weights = {
        layer.name: [
            np.abs(np.array(weight) + rng.normal(0, 0.1, weight.shape)).astype("float32")
            if "variance" in weight.path or "scale" in weight.path
            else (np.array(weight) + rng.normal(0, 0.1, weight.shape)).astype("float32")
            for weight in layer.weights
        ]
        for layer in trunk.layers
        if layer.weights
    }
    card = {"trained_on": {"cohorts": ["other"], "file_sha256": ["aa"]}, "licence": "CC BY 4.0"}
    return Pretrained("tiny", card, weights, "0" * 64)


@pytest.fixture
def settings(tiny):
    network = dataclasses.replace(tiny.architecture, width=2)
    return dataclasses.replace(tiny, architecture=network, n_epochs=2, batch_size=32)


def weights_of(model):
    return {layer.name: layer.get_weights() for layer in model.layers if layer.weights}


def changed_layers(trainer, encoder):
    """Return the stages and layers of the head that differ from the encoder or their start."""
    start = weights_of(trainer.model)
    rows = np.arange(len(trainer.data.records))
    trainer.fit(rows[::2], None, n_epochs=2, seed=(0, 0))
    end = weights_of(trainer.model)
    in_trunk = {layer.name for layer in trunk_of(trainer.model).layers}
    assert set(encoder.weights) <= in_trunk
    found = set()
    for name, weights in end.items():
        before = encoder.weights.get(name, start[name])
        if not all(np.array_equal(a, b) for a, b in zip(weights, before, strict=True)):
            found.add(name.split("_block")[0] if name in in_trunk else name)
    return found, start, end


@pytest.mark.parametrize(
    ("rung", "stages"),
    [
        ("probe", set()),
        ("partial", {"conv5"}),
        ("progressive", {"conv5", "conv4", "conv3", "conv2"}),
        ("full", {"conv5", "conv4", "conv3", "conv2", "conv1_conv", "conv1_bn"}),
    ],
)
def test_frozen_weights_stay_to_the_bit_and_others_move(make_data, settings, encoder, rung, stages):
    data = make_data(16)
    trainer = make_trainer(data, dataclasses.replace(settings, rung=rung), encoder)
    found, start, end = changed_layers(trainer, encoder)
    head = {"logit", "covariate_dense", "covariate_scaling"}
    assert found - stages <= head
    assert stages <= found
    assert {"logit", "covariate_dense"} <= found
    for name in ("ecg_scaling",):  # the encoder's, not this cohort's
        np.testing.assert_array_equal(end[name], encoder.weights[name])
    for name, weights in end.items():
        if name.endswith("_bn") and rung != "full":  # gain, shift, mean, variance
            np.testing.assert_array_equal(weights[2:], encoder.weights[name][2:])
    if rung == "full":
        assert not np.array_equal(end["conv1_bn"][2], encoder.weights["conv1_bn"][2])
    assert start.keys() == end.keys()


@pytest.mark.parametrize("rung", ["probe", "progressive", "full"])
def test_amplitudes_join_an_encoder_that_never_saw_them(make_data, settings, encoder, rung):
    data = make_data(16)
    network = dataclasses.replace(settings.architecture, use_amplitude=True)
    changed = dataclasses.replace(settings, rung=rung, architecture=network)
    trainer = make_trainer(data, changed, encoder)
    found, _, end = changed_layers(trainer, encoder)
    assert {"amplitude_scaling", "amplitude_dense", "logit"} <= found
    if rung == "probe":
        assert not any(name.startswith("conv") for name in found)
    logs = np.log(data.signals[::2].std(axis=1))
    np.testing.assert_allclose(end["amplitude_scaling"][0], logs.mean(axis=0), rtol=1e-4)
    np.testing.assert_array_equal(end["ecg_scaling"], encoder.weights["ecg_scaling"])


def test_a_training_ends_the_same_after_another_and_after_an_estimate(make_data, settings, encoder):
    data = make_data(16)
    rows = np.arange(len(data.records))
    ends = []
    for is_second in (False, True):
        trainer = make_trainer(data, dataclasses.replace(settings, rung="progressive"), encoder)
        if is_second:
            trainer.seconds_a_record()
            trainer.fit(rows[1::2], None, n_epochs=2, seed=(0, 1))
        trainer.fit(rows[::2], None, n_epochs=2, seed=(0, 0))
        ends.append(trainer.logits(rows))
    np.testing.assert_allclose(*ends, rtol=1e-4, atol=1e-5)


def test_patience_begins_when_the_last_stage_is_free(make_data, settings, encoder, monkeypatch):
    data = make_data(16)
    rows = np.arange(len(data.records))
    changed = dataclasses.replace(settings, rung="progressive", n_epochs=12, patience=2)
    trainer = make_trainer(data, changed, encoder)
    monkeypatch.setattr(trainer, "_train_epoch", lambda *_: 1.0)
    losses = iter(range(100))
    monkeypatch.setattr(trainer, "_validation", lambda _: {"val_loss": next(losses)})
    history = trainer.fit(rows[::2], rows[1::2], n_epochs=12, seed=(0, 0))
    assert len(history) == trainer.plan.earliest_stop + 2 == 8


def test_scratch_is_the_network_without_a_plan(make_data, settings):
    trainer = make_trainer(make_data(16), settings, None)
    assert trainer.plan is None
    assert trainer.started_from == ""


@pytest.mark.parametrize(
    ("rung", "has_encoder", "message"),
    [
        ("probe", False, "pretrained must name an encoder for rung probe, got ''."),
        ("scratch", True, "pretrained must be empty with rung scratch, got 'tiny'."),
    ],
)
def test_combinations_that_cannot_be_are_refused_before_a_network_is_built(
    make_data, settings, encoder, monkeypatch, rung, has_encoder, message
):
    monkeypatch.setattr(NetworkTrainer, "__init__", None)
    changed, encoder = dataclasses.replace(settings, rung=rung), encoder if has_encoder else None
    data = make_data(16)
    with pytest.raises(ValueError, match=re.escape(message)):
        make_trainer(data, changed, encoder)


def test_the_head_gives_the_logits_of_the_regression(make_data, settings):
    data = make_data(16)
    n = data.covariates.shape[1]
    model = build_network(
        n_samples=data.signals.shape[1],
        covariate_names=list(data.covariates),
        settings=settings.architecture,
    )
    trunk = trunk_of(model)
    trunk.run_eagerly = True
    features = embed(trunk, data)
    rng = np.random.default_rng(2)
    mean = np.r_[features.mean(0), data.covariates.mean()]
    fit = Ridge(-0.7, rng.normal(0, 0.5, features.shape[1] + n), mean, 1.0)
    set_head(model, fit, features.shape[1])
    rows = np.arange(len(data.records))
    covariates = data.covariates.to_numpy(float)[data.patient_row]
    expected = 1 / (1 + np.exp(-fit.logits(np.hstack([features, covariates]))))
    found = np.asarray(model(data.inputs(rows), training=False))[:, 0]
    assert np.isnan(covariates).any()
    np.testing.assert_allclose(found, expected, atol=1e-4)
    narrow = dataclasses.replace(settings.architecture, covariate_units=5)
    small = build_network(
        n_samples=data.signals.shape[1], covariate_names=list(data.covariates), settings=narrow
    )
    with pytest.raises(ValueError, match="covariate_units must be at least 6 for 3 covariates"):
        set_head(small, fit, features.shape[1])


def card_of(fit):
    card = {"signal_chain": {}, "target": "t", "horizon_days": 1, "threshold": {}}
    return card | {"covariate_names": fit.covariate_names}


@pytest.mark.parametrize("rung", ["embedding", "random_kernels", "amplitude"])
def test_embedding_tests_every_patient_once_and_leaves_networks_that_give_its_scores(
    make_data, make_splits, settings, encoder, tmp_path, rung
):
    data = make_data(40)
    splits = make_splits(data)
    other = splits.assign(repeat=1, fold=splits["fold"] + (splits["patient_id"] < "P0020"))
    splits = pd.concat([splits, other.assign(fold=other["fold"] % 2)], ignore_index=True)
    changed = dataclasses.replace(settings, rung="embedding")
    if rung == "random_kernels":
        network = ArchitectureSettings(name="random_kernels", n_random_features=168)
        changed, encoder = dataclasses.replace(changed, architecture=network), None
    if rung == "amplitude":
        network = dataclasses.replace(settings.architecture, use_amplitude=True)
        changed = dataclasses.replace(changed, architecture=network)
        n_pooled = len(encoder.weights["conv5_block1_3_bn"][0])
    job = VariantTraining("ecg_covariates", data, splits, changed, encoder=encoder)
    assert "frozen features of" in job.estimate()
    fit = job.fit(tmp_path)
    test = fit.predictions.query("role == 'test'")
    assert sorted(test["record_id"]) == sorted([*data.records["record_id"]] * 2)
    for (repeat, fold), seen in fit.fitted_on.items():
        here = splits[(splits["fold"] == fold) & (splits["repeat"] == repeat)]
        assert set(seen) == set(here[here["role"].isin(fit.fitted_roles)]["patient_id"])
    save_bundle(tmp_path, fit.model, card_of(fit))
    models = FoldModels(tmp_path)
    for (repeat, fold), part in test.groupby(["repeat", "fold"]):
        rows = data.records.index[data.records["record_id"].isin(part["record_id"])].to_numpy()
        model = models.load(repeat, fold)
        scores = np.asarray(model(data.inputs(rows), training=False))[:, 0]
        np.testing.assert_allclose(scores, part["y_score"], atol=1e-4)
    assert fit.about["rung"] == "embedding"
    assert fit.about["n_trained"] == fit.about["n_features"] + 3 + 1
    if rung == "amplitude":
        assert fit.about["n_features"] == n_pooled + 12
        with np.load(tmp_path / "features.npz") as stored:
            amplitudes = stored["features"][:, n_pooled:]
        np.testing.assert_allclose(amplitudes, np.log(data.signals.std(axis=1)) + 10, atol=1e-4)
    if encoder is not None:
        assert (tmp_path / "features.npz").exists()
        first, *others = sorted(tmp_path.glob("folds/*/weights.npz"))
        assert all(path.stat().st_size < 0.2 * first.stat().st_size for path in others)
        assert fit.about["encoder"]["name"] == "tiny"


@pytest.mark.parametrize("name", ["encoder", "random_kernels"])
def test_test_patients_do_not_move_an_embedding(
    make_data, make_splits, settings, encoder, tmp_path, name
):
    data = make_data(40)
    splits = make_splits(data).query("fold == 0")
    changed = dataclasses.replace(settings, rung="embedding")
    if name == "random_kernels":
        network = ArchitectureSettings(name="random_kernels", n_random_features=84)
        changed, encoder = dataclasses.replace(changed, architecture=network), None
    tested = splits[splits["role"] == "test"]["patient_id"]
    planted = data.signals.copy()
    planted[data.records["patient_id"].isin(tested)] *= 7
    found = []
    for number, signals in enumerate((data.signals, planted)):
        one = dataclasses.replace(data, signals=signals)
        fit = VariantTraining("ecg", one, splits, changed, encoder=encoder).fit(
            tmp_path / str(number)
        )
        found.append(fit.predictions.query("role == 'validation'")["y_score"].to_numpy())
    np.testing.assert_array_equal(*found)


@pytest.mark.slow
def test_choose_fits_every_rung_and_one_network_serves_all_folds(
    make_data, make_splits, settings, encoder, tmp_path
):
    data = make_data(40)
    splits = make_splits(data)
    changed = dataclasses.replace(settings, rung="choose", n_epochs=1)
    fit = VariantTraining("ecg_covariates", data, splits, changed, encoder=encoder).fit(tmp_path)
    table = choice_table(fit.history)
    assert list(table.columns[2:-2]) == list(RUNGS)
    losses = table[list(RUNGS)].astype(float)
    chosen = [losses.loc[row, rung] for row, rung in table["chosen"].items()]
    assert (chosen <= losses[RUNGS[0]]).all()
    assert fit.about["rung"] in RUNGS
    save_bundle(tmp_path, fit.model, card_of(fit))
    models = FoldModels(tmp_path)
    for fold, part in fit.predictions.query("role == 'test'").groupby("fold"):
        rows = data.records.index[data.records["record_id"].isin(part["record_id"])].to_numpy()
        scores = np.asarray(models.load(0, fold)(data.inputs(rows), training=False))[:, 0]
        np.testing.assert_allclose(scores, part["y_score"], atol=1e-4)
    assert stages_of(trunk_of(fit.model))
