"""Training by fold: reset, order, what is fitted on what, resuming, learning."""

import dataclasses
import re

import numpy as np
import pandas as pd
import pytest

from models_training.fold_store import Checkpoint
from models_training.inputs import EpochBatches, TrainingData
from models_training.settings import resolved_precision
from models_training.training import NetworkTrainer
from models_training.variant_inputs import columns_of, skipped_variants
from models_training.variants import VariantTraining


def fit_variant(variant, data, splits, settings, directory):
    return VariantTraining(variant, data, splits, settings).fit(directory)


def batches_of(data, **options):
    rows = np.arange(len(data.records))
    settings = {"batch_size": 8, "records_per_patient": 0, "seed": (0,)} | options
    return EpochBatches(data, rows, **settings)


def test_every_patient_weighs_the_same_whatever_the_number_of_ecgs(make_data):
    data = make_data()
    batches = batches_of(data)
    weight = np.concatenate([batches[k][2] for k in range(len(batches))])
    assert (weight[len(batches._order) :] == 0).all()
    weight = weight[: len(batches._order)]
    rows = batches.rows[batches._order]
    by_patient = pd.Series(weight).groupby(data.patient_row[rows]).sum()
    np.testing.assert_allclose(by_patient, by_patient.iloc[0], rtol=1e-5)
    assert weight.mean() == pytest.approx(1.0)


def test_one_random_ecg_a_patient_is_another_one_in_another_epoch(make_data):
    data = make_data()
    batches = batches_of(data, records_per_patient=1)
    drawn = []
    for epoch in range(6):
        batches.start_epoch(epoch)
        rows = batches.rows[batches._order]
        assert sorted(data.patient_row[rows]) == list(range(len(data.patients)))
        drawn.append(tuple(sorted(rows)))
    assert len(set(drawn)) > 1


def test_the_order_is_a_function_of_seed_and_epoch_alone(make_data):
    first, second = batches_of(make_data()), batches_of(make_data())
    for epoch in (1, 2, 3):
        first.start_epoch(epoch)
    second.start_epoch(3)
    np.testing.assert_array_equal(first._order, second._order)


def test_a_fold_does_not_depend_on_what_was_trained_before(make_data, tiny):
    data = make_data()
    rows = np.arange(len(data.records))
    alone = NetworkTrainer(data, tiny)
    alone.fit(rows[10:60], rows[:10], n_epochs=2, seed=(0, 1))
    after = NetworkTrainer(data, tiny)
    after.fit(rows[30:], rows[:20], n_epochs=2, seed=(0, 0))
    after.fit(rows[10:60], rows[:10], n_epochs=2, seed=(0, 1))
    np.testing.assert_allclose(alone.logits(rows), after.logits(rows), rtol=1e-4, atol=1e-5)


def test_nothing_inside_the_network_sees_a_test_row(make_data, tiny):
    data = make_data()
    rows = np.arange(len(data.records))
    train, others = rows[:40], rows[40:]
    trainer = NetworkTrainer(data, tiny)
    trainer.reset(train)
    before = trainer.network.get_weights()
    signals = data.signals.copy()
    signals[others] += 5.0
    covariates = data.covariates.copy()
    covariates.iloc[np.setdiff1d(data.patient_row, data.patient_row[train])] = 1e6
    changed = TrainingData(signals, data.records, data.patients, covariates)
    other = NetworkTrainer(changed, tiny)
    other.reset(train)
    for a, b in zip(before, other.network.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("imbalance", ["none", "class_weights"])
def test_the_loss_of_an_epoch_is_the_weighted_mean_of_its_records(make_data, tiny, imbalance):
    """19 ECGs in batches of 16: the last batch has 3 and is filled up with 13 of weight 0."""
    data = make_data(10)
    rows = np.arange(19)
    plain = dataclasses.replace(tiny.architecture, dropout=0.0)
    settings = dataclasses.replace(
        tiny, learning_rate=1e-12, weight_decay=0.0, imbalance=imbalance, architecture=plain
    )
    trainer = NetworkTrainer(data, settings)
    # batch normalisation that does not look at the batch, so that a record has one loss
    for layer in trainer.network.layers:
        if "is_frozen" in dir(layer):
            layer.is_frozen = True
    found = trainer.fit(rows, None, n_epochs=1, seed=(0,))["loss"].iloc[0]
    batches = trainer._batches(rows, (0,))
    weights = pd.concat([pd.Series(batches[k][2]) for k in range(len(batches))])
    logits, y_true = trainer.logits(rows)[:, 0], data.y_true[rows, 0]
    losses = np.log1p(np.exp(-np.where(y_true == 1, 1, -1) * logits))
    order = batches._order
    expected = np.average(losses[order], weights=weights.to_numpy()[: len(order)])
    assert (len(batches), len(order)) == (2, 19)
    assert found == pytest.approx(expected, rel=1e-5)


def test_scores_of_nobody_are_refused(make_data, tiny):
    trainer = NetworkTrainer(make_data(8), tiny)
    nobody = np.array([], int)
    with pytest.raises(ValueError, match="rows must name at least one record, got none"):
        trainer.logits(nobody)
    with pytest.raises(ValueError, match="rows must name at least one record, got none"):
        trainer.fit(np.arange(8), nobody, n_epochs=1, seed=(0,))


def test_it_learns_what_is_plain_to_see(make_data, tiny):
    data = make_data(80)
    settings = dataclasses.replace(tiny, records_per_patient=1, learning_rate=0.003)
    trainer = NetworkTrainer(data, settings)
    is_train = data.patient_row < 60
    history = trainer.fit(np.flatnonzero(is_train), None, n_epochs=25, seed=(0,))
    logits, y_true = trainer.logits(np.flatnonzero(~is_train)), data.y_true[~is_train]
    assert history["loss"].iloc[-1] < history["loss"].iloc[0]
    assert np.median(logits[y_true == 1]) > np.median(logits[y_true == 0]) + 1


@pytest.mark.parametrize("variant", ["ecg", "ecg_covariates", "clinical"])
def test_every_patient_is_tested_once_and_never_fitted_on(
    make_data, make_splits, tiny, tmp_path, variant
):
    data = make_data()
    splits = make_splits(data)
    settings = dataclasses.replace(tiny, n_epochs=1)
    fit = fit_variant(variant, data, splits, settings, tmp_path)
    test = fit.predictions.query("role == 'test'")
    assert sorted(test["record_id"]) == sorted(data.records["record_id"])
    assert fit.predictions["y_score"].between(0, 1).all()
    for (repeat, fold), seen in fit.fitted_on.items():
        here = splits[(splits["repeat"] == repeat) & (splits["fold"] == fold)]
        allowed = here[here["role"].isin(fit.fitted_roles)]["patient_id"]
        assert set(seen) <= set(allowed)
    assert fit.about["bundle_kind"] == "refit_all"


def with_unknown(data, splits):
    """Return the cohort with two more patients without a known outcome, unlike all the others."""
    ids = ["P9998", "P9999"]
    patients = pd.concat([data.patients, pd.DataFrame({"patient_id": ids, "outcome": pd.NA})])
    records = pd.DataFrame({"record_id": ["R99998", "R99999"], "patient_id": ids, "signal_row": 0})
    odd = pd.DataFrame(1e4, index=[0, 1], columns=data.covariates.columns)
    tables = [pd.concat([data.records, records]), patients.astype({"outcome": "Int8"})]
    tables = [
        table.reset_index(drop=True) for table in (*tables, pd.concat([data.covariates, odd]))
    ]
    roles = {"P9998": ["test", "unlabelled"], "P9999": ["unlabelled", "test"]}
    rows = [(one, 0, fold, -1, roles[one][fold]) for one in ids for fold in (0, 1)]
    more = pd.DataFrame(rows, columns=["patient_id", "repeat", "fold", "inner_fold", "role"])
    return TrainingData(data.signals, *tables), pd.concat([splits, more], ignore_index=True)


@pytest.mark.parametrize("variant", ["clinical", "ecg_covariates"])
def test_patients_of_unknown_status_are_scored_out_of_fold_and_move_nothing(
    make_data, make_splits, tiny, tmp_path, variant
):
    data = make_data()
    splits = make_splits(data)
    more_data, more_splits = with_unknown(data, splits)
    settings = dataclasses.replace(tiny, n_epochs=1)
    alone = fit_variant(variant, data, splits, settings, tmp_path / "alone")
    both = fit_variant(variant, more_data, more_splits, settings, tmp_path / "both")
    is_unknown = both.predictions["patient_id"].isin(["P9998", "P9999"])
    unknown = both.predictions[is_unknown]
    assert unknown[["patient_id", "fold", "role"]].to_numpy().tolist() == [
        ["P9998", 0, "test"],
        ["P9999", 1, "test"],
    ]
    assert unknown["y_true"].isna().all()
    assert unknown["y_score"].between(0, 1).all()
    known = both.predictions[~is_unknown].reset_index(drop=True)
    assert known["y_true"].notna().all()
    pd.testing.assert_frame_equal(known, alone.predictions.reset_index(drop=True))
    assert both.fitted_on == alone.fitted_on
    if variant == "clinical":  # the refit for new patients, means and scales included
        np.testing.assert_array_equal(
            both.model.logits(data.covariates), alone.model.logits(data.covariates)
        )
    else:
        one, other = (fit.model.get_weights() for fit in (both, alone))
        assert all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def test_training_on_a_patient_of_unknown_status_is_refused(make_data, make_splits):
    data, _ = with_unknown(make_data(), make_splits(make_data()))
    with pytest.raises(ValueError, match="rows must be of patients with a known outcome, got 2"):
        batches_of(data)


def test_a_stopped_run_continues_after_the_last_finished_fold(
    make_data, make_splits, tiny, tmp_path, monkeypatch
):
    data = make_data()
    splits = make_splits(data)
    whole = fit_variant("ecg", data, splits, tiny, tmp_path / "whole")
    fitted, train = [], NetworkTrainer.fit

    def stopping(self, rows, *args, **options):
        fitted.append(options["seed"])
        if len(fitted) == 2:
            raise KeyboardInterrupt
        return train(self, rows, *args, **options)

    monkeypatch.setattr(NetworkTrainer, "fit", stopping)
    with pytest.raises(KeyboardInterrupt):
        fit_variant("ecg", data, splits, tiny, tmp_path / "stopped")
    again = fit_variant("ecg", data, splits, tiny, tmp_path / "stopped")
    assert fitted.count((0, 0)) == 1
    pd.testing.assert_frame_equal(whole.predictions, again.predictions, rtol=1e-4)


def test_a_training_stopped_after_an_epoch_ends_as_if_it_had_not_been(
    make_data, tiny, tmp_path, monkeypatch
):
    data = make_data()
    rows = np.arange(len(data.records))
    settings = dataclasses.replace(tiny, records_per_patient=1, n_epochs=5)
    fold = {"n_epochs": 5, "seed": (0, 0)}
    whole = NetworkTrainer(data, settings)
    undisturbed = whole.fit(rows[::2], rows[1::2], **fold)
    checkpoint = Checkpoint(tmp_path / "epoch.npz", "mark")
    train_epoch = NetworkTrainer._train_epoch

    def killed_in_the_third(self, batches, epoch, n_epochs):
        if epoch == 2:
            train_epoch(self, batches, epoch, n_epochs)  # its work is lost
            raise KeyboardInterrupt
        return train_epoch(self, batches, epoch, n_epochs)

    stopped = NetworkTrainer(data, settings)
    monkeypatch.setattr(stopped, "_train_epoch", killed_in_the_third.__get__(stopped))
    with pytest.raises(KeyboardInterrupt):
        stopped.fit(rows[::2], rows[1::2], **fold, checkpoint=checkpoint)
    resumed = NetworkTrainer(data, settings)
    resumed.seconds_a_record()  # as the estimate does before training
    history = resumed.fit(rows[::2], rows[1::2], **fold, checkpoint=checkpoint)
    pd.testing.assert_frame_equal(
        history.drop(columns="seconds"), undisturbed.drop(columns="seconds"), check_exact=True
    )
    np.testing.assert_array_equal(resumed.logits(rows), whole.logits(rows))


def test_a_state_of_other_settings_or_damaged_by_a_crash_is_not_continued(tmp_path):
    arrays = [np.arange(3.0), np.ones((2, 2))]
    state = {
        "variables": arrays,
        "optimizer": arrays[:1],
        "best_weights": [],
        "history": [{"a": 1}],
    }
    stored = Checkpoint(tmp_path / "epoch.npz", "mark")
    stored.save(**state)
    loaded = stored.load()
    assert loaded is not None
    assert loaded["history"] == [{"a": 1}]
    for name in ("variables", "optimizer", "best_weights"):
        assert len(loaded[name]) == len(state[name])
        for found, given in zip(loaded[name], state[name], strict=True):
            np.testing.assert_array_equal(found, given)
    assert Checkpoint(stored.path, "other").load() is None
    stored.path.write_bytes(stored.path.read_bytes()[:200])
    assert stored.load() is None


def test_a_fold_of_other_settings_is_not_reused(make_data, make_splits, tiny, tmp_path):
    data = make_data()
    first = fit_variant("ecg", data, make_splits(data), tiny, tmp_path)
    other = dataclasses.replace(tiny, n_epochs=1)
    second = fit_variant("ecg", data, make_splits(data), other, tmp_path)
    assert len(second.history) < len(first.history)


def test_variants_a_cohort_cannot_serve_have_a_reason():
    assert set(skipped_variants([])) == {"ecg_age", "ecg_covariates", "clinical"}
    assert skipped_variants(["age_years", "lvef_percent"]) == {}
    assert columns_of("ecg", ["age_years"]) == []
    assert columns_of("clinical", ["age_years", "is_male", "lge_pattern=ring_like"]) == [
        "age_years",
        "lge_pattern=ring_like",
    ]
    with pytest.raises(
        ValueError, match="variant ecg_age cannot be trained: the cohort has no age"
    ):
        columns_of("ecg_age", [])
    with pytest.raises(ValueError, match="variant must be one of ecg, ecg_age"):
        columns_of("egc", [])


def test_the_estimate_names_trainings_minutes_and_memory(make_data, make_splits, tiny):
    data = make_data()
    job = VariantTraining("ecg", data, make_splits(data), tiny)
    assert "3 trainings of at most 3 epochs" in job.estimate()
    assert re.search(
        r"(minutes|seconds) at \d+ ECGs a second, about \d\.\d GiB of memory", job.estimate()
    )


def test_precision_is_checked():
    assert resolved_precision("float32") == "float32"
    assert resolved_precision("auto") in ("float32", "mixed_bfloat16")
    with pytest.raises(ValueError, match="precision must be auto, float32 or mixed_bfloat16"):
        resolved_precision("float16")


def test_tables_that_do_not_belong_together_are_refused(make_data):
    data = make_data()
    with pytest.raises(ValueError, match="records must belong to patients of the cohort"):
        dataclasses.replace(
            data, patients=data.patients.iloc[1:], covariates=data.covariates.iloc[1:]
        )
    with pytest.raises(ValueError, match="covariates must have one row for each"):
        dataclasses.replace(data, covariates=data.covariates.iloc[1:])
