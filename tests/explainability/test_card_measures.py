"""Measures by hand; a network that found the planted sign passes, an untrained one fails."""

from __future__ import annotations

import keras
import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from explainability.attribution import integrated_gradients
from explainability.card_data import CardData, CardSettings, MapMethod
from explainability.card_measures import measure_maps
from explainability.card_values import (
    likeness,
    neighbour_of_other_patient,
    planted_shares,
    rank_biserial,
    relative_change,
)
from explainability.replacement import (
    mean_height,
    ranks_from_top,
    replace_by_lines,
    replacement_curves,
    segment_means,
    top_mask,
)
from explainability.report_card import map_verdict, report_card
from explainability.sanity_checks import shifted_window_null
from explainability.weight_randomisation import map_correlation

RATE_HZ, N_SAMPLES, LEAD = 50, 200, 7
HEIGHT_MV = 0.2  # QRS complexes are four times as high: the ECG itself points elsewhere
BEAT, ST = 40, slice(5, 12)  # samples between beats; where the ST segment lies after R


def test_lines_join_the_neighbours_and_a_lead_that_is_gone_becomes_its_median():
    ecg = np.array([[[1.0, 9.0], [5.0, 2.0], [5.0, 4.0], [4.0, 3.0], [8.0, 5.0]]])
    mask = np.zeros(ecg.shape, bool)
    mask[0, 1:3, 0], mask[0, :, 1] = True, True
    found = replace_by_lines(ecg, mask)
    np.testing.assert_allclose(found[0, :, 0], [1, 2, 3, 4, 8])
    np.testing.assert_allclose(found[0, :, 1], 4.0)
    ends = np.array([True, False, False, False, True]).reshape(1, 5, 1)
    np.testing.assert_allclose(replace_by_lines(ecg, ends)[0, :, 0], [5, 5, 5, 4, 4])
    np.testing.assert_array_equal(replace_by_lines(ecg, np.zeros(ecg.shape, bool)), ecg)


def test_segments_are_ranked_and_marked():
    maps = np.array([[1.0, 3.0, 9.0, 9.0, 5.0]])
    means = segment_means(maps, 2)
    np.testing.assert_allclose(means[..., 0], [[2, 9, 5]])  # the last one holds a single sample
    ranks = ranks_from_top(means, np.random.default_rng(0))
    assert ranks[0, :, 0].tolist() == [2, 0, 1]
    marked = top_mask(ranks, 0.67, 2, 5)[0, :, 0]
    assert marked.tolist() == [False, False, True, True, True]
    assert top_mask(ranks, 0.01, 2, 5).sum() == 2
    ties = [
        ranks_from_top(np.zeros((1, 6)), np.random.default_rng(s))[0].argmin() for s in range(9)
    ]
    assert len(set(ties)) > 2


def test_curves_of_a_linear_score_are_those_by_hand():
    ecg = np.zeros((1, 6, 1))
    ecg[0, :, 0] = [0, 4, 0, 2, 0, 0]

    def logits_of(signals, rows):
        return signals.sum(axis=(1, 2))

    order = {"map": np.array([[4, 0, 3, 1, 2, 5]])[..., None]}
    found = replacement_curves(logits_of, ecg, order, n_segment_samples=1, shares=(1 / 6, 2 / 6))
    np.testing.assert_allclose(found["deletion"]["map"], [[4, 6]])
    # one sample alone is held over the record: 6 times 4; two are joined by the line 4, 3, 2
    np.testing.assert_allclose(found["insertion"]["map"], [[24, 4 + 4 + 3 + 2 + 2 + 2]])
    assert mean_height(np.array([[4.0, 6.0]]), (0.5, 1.0))[0] == pytest.approx(1 + 2.5)


def test_values_by_hand():
    rng = np.random.default_rng(0)
    maps, others = rng.normal(size=(3, 20, 2)), rng.normal(size=(3, 20, 2))
    expected = [np.corrcoef(a.ravel(), b.ravel())[0, 1] for a, b in zip(maps, others, strict=True)]
    np.testing.assert_allclose(map_correlation(maps, others), expected)
    np.testing.assert_allclose(likeness(maps, -maps), 1)
    np.testing.assert_allclose(likeness(maps, np.exp(3 * maps)), 1)  # the ranks are kept
    assert np.isnan(map_correlation(maps, np.ones_like(maps))).all()
    np.testing.assert_allclose(relative_change(maps, 3 * maps), 2)
    assert neighbour_of_other_patient(["a", "a"]).tolist() == [-1, -1]
    mask = rng.random((3, 20)) < 0.4
    total = np.abs(maps).sum(axis=2)
    auc = [roc_auc_score(m, t) for m, t in zip(mask, total, strict=True)]
    np.testing.assert_allclose(rank_biserial(np.abs(maps), mask), 2 * np.array(auc) - 1)


def test_expected_share_of_planted_windows_is_that_of_all_shifts():
    rng = np.random.default_rng(1)
    mass, windows = rng.random((1, 30, 3)), rng.random((1, 30, 3)) < 0.3
    test = shifted_window_null(mass, windows)
    enrichment, above = planted_shares(mass, windows, mass)
    assert enrichment[0] == pytest.approx(test.enrichment)
    assert above[0] == 0
    assert np.isnan(planted_shares(mass, np.zeros_like(windows), mass)).all()


def make_ecgs(n_patients, seed):
    """Return ECGs whose ST segment in one lead is up with the event and down without."""
    rng = np.random.default_rng(seed)
    y_true = np.arange(n_patients) % 2
    ecg = rng.normal(0, 0.02, (n_patients, N_SAMPLES, 12))
    qrs = np.zeros((n_patients, N_SAMPLES), bool)
    planted = np.zeros(ecg.shape, bool)
    heights = rng.normal(0.8, 0.3, (n_patients, 12))
    for row in range(n_patients):
        for peak in range(rng.integers(5, BEAT), N_SAMPLES - ST.stop, BEAT):
            ecg[row, peak - 1 : peak + 2] += np.outer([0.5, 1.0, 0.5], heights[row])
            qrs[row, peak - 2 : peak + 3] = True
            ecg[row, peak + ST.start : peak + ST.stop, LEAD] += (
                HEIGHT_MV if y_true[row] else -HEIGHT_MV
            )
            planted[row, peak + ST.start : peak + ST.stop, LEAD] = True
    return ecg.astype(np.float32), y_true, qrs, planted


def make_network(seed):
    keras.utils.set_random_seed(seed)
    ecg = keras.Input((N_SAMPLES, 12), name="ecg")
    x = keras.layers.Conv1D(8, 7, padding="same", activation="relu", name="conv1_conv")(ecg)
    x = keras.layers.Conv1D(8, 3, padding="same", activation="relu", name="conv2_conv")(x)
    x = keras.layers.GlobalAveragePooling1D(name="avg_pool")(x)
    logit = keras.layers.Dense(1, name="logit")(x)
    risk = keras.layers.Activation("sigmoid", name="risk")(logit)
    return keras.Model(ecg, risk)


@pytest.fixture(scope="module")
def trained():
    """Return two networks that differ in their seed, trained on the planted sign."""
    ecg, y_true, _, _ = make_ecgs(64, seed=0)
    networks = {}
    for seed in (0, 1):
        network = make_network(seed)
        network.compile(keras.optimizers.Adam(0.02), "binary_crossentropy", jit_compile=False)
        for _ in range(30):
            network.train_on_batch(ecg, y_true)
        networks[seed] = network
    return networks


@pytest.fixture(scope="module")
def held_out():
    """Return the data of a card on patients nobody was trained on, with their outcomes."""
    ecg, y_true, qrs, planted = make_ecgs(16, seed=1)
    records = pd.DataFrame({"record_id": [f"R{k}" for k in range(16)]})
    records["patient_id"] = [f"P{k}" for k in range(16)]
    records = records.assign(repeat=0, fold=0, seed=0)
    peers = pd.concat([records, records.assign(seed=1)])
    return CardData(records, {"ecg": ecg}, RATE_HZ, qrs, planted, peers), y_true


def gradients(model, inputs):
    return integrated_gradients(model, inputs, n_steps=8).ecg


QUICK = CardSettings(n_draws=1, depths=(0.5, 1.0), n_random=3, shares=(0.1, 0.5))
INTEGRATED = MapMethod("integrated_gradients", gradients)


def card_of(networks, held_out, method=INTEGRATED):
    data, y_true = held_out
    measured = measure_maps(data, method, lambda repeat, fold, seed: networks[seed], settings=QUICK)
    risk = np.asarray(networks[0](data.inputs["ecg"]))[:, 0]
    scores = data.records.assign(y_true=y_true, y_score=risk)
    return report_card(measured.table, scores=scores), measured


def test_a_network_that_found_the_planted_sign_passes(trained, held_out):
    card, measured = card_of(trained, held_out)
    verdicts = card.set_index("check")["verdict"]
    assert map_verdict(card).verdict == "pass", card.to_string()
    assert verdicts["planted_truth"] == verdicts["planted_above_size"] == "pass"
    assert verdicts["random_labels"] == verdicts["repeat_agreement"] == "not made"
    assert measured.window_test.p_value < 0.01


def test_an_untrained_network_fails(held_out):
    card, _ = card_of({seed: make_network(seed + 7) for seed in (0, 1)}, held_out)
    verdicts = card.set_index("check")["verdict"]
    assert map_verdict(card).verdict == "fail"
    for check in ("network_learnt", "seed_agreement", "size"):
        assert verdicts[check] == "fail"


def test_a_map_of_the_ecg_itself_fails(trained, held_out):
    ecg_itself = MapMethod("the ECG", lambda model, inputs: inputs["ecg"])
    card, _ = card_of(trained, held_out, ecg_itself)
    found = card.set_index("check")
    for check in ("random_weights", "random_upper_weights", "size"):
        assert found.loc[check, "verdict"] == "fail"
    assert found.loc["random_weights", "estimate"] == pytest.approx(1)
    assert found.loc["time_shift", "estimate"] == pytest.approx(0)  # it does move along


def test_a_map_fixed_in_time_does_not_move_along(trained, held_out):
    shape = np.exp(-0.5 * ((np.arange(N_SAMPLES) - 100) / 5.0) ** 2)
    fixed = MapMethod("fixed", lambda model, inputs: np.tile(shape, (len(inputs["ecg"]), 1)))
    card, measured = card_of(trained, held_out, fixed)
    found = card.set_index("check")
    assert found.loc["time_shift", "verdict"] == "fail"
    assert found.loc["seed_above_floor", "verdict"] == "fail"
    assert found.loc["seed_agreement", "estimate"] == pytest.approx(1)
    again = card_of(trained, held_out, fixed)[1].table
    pd.testing.assert_frame_equal(again, measured.table)  # the same seeds, the same digits


def test_shuffled_outcomes_and_other_repeats_are_compared(trained, held_out):
    data, _ = held_out
    few = slice(0, 12)
    records = data.records.iloc[few]
    peers = records.iloc[:11].assign(repeat=1, fold=3)
    inputs = {"ecg": data.inputs["ecg"][few]}
    part = CardData(records, inputs, RATE_HZ, data.qrs[few], None, peers)
    asked = []

    def load(*key):
        asked.append(key)
        return trained[1 if key[0] else 0]

    def load_shuffled(repeat, fold):
        asked.append((repeat, fold))
        return trained[0]

    measured = measure_maps(
        part,
        MapMethod("the ECG", lambda model, inputs: inputs["ecg"]),
        load,
        load_shuffled=load_shuffled,
        settings=QUICK,
    )
    assert asked == [(0, 0, 0), (1, 3, 0), (0, 0)]
    assert measured.window_test is None
    counts = measured.table.groupby("measure")["record_id"].nunique()
    assert counts["repeat_agreement"] == 11
    card = report_card(measured.table).set_index("check")
    assert card.loc["random_labels", "estimate"] == pytest.approx(1)
    assert card.loc["random_labels", "verdict"] == "fail"
    assert card.loc["repeat_agreement", "n"] == 11
    assert card.loc["planted_truth", "reason"].startswith("Not made: the cohort has no planted")


def test_grad_cam_mass_is_its_positive_part():
    maps = np.array([[-2.0, 1.0]])
    assert MapMethod("cam", gradients, is_positive=True).mass(maps).tolist() == [[0, 1]]
    assert MapMethod("ig", gradients).mass(maps).tolist() == [[2, 1]]


def test_data_that_do_not_fit_are_refused(held_out):
    data, _ = held_out
    with pytest.raises(ValueError, match="records must have one row for each of the 16 ECGs"):
        CardData(data.records.iloc[:3], data.inputs, RATE_HZ, data.qrs)
    with pytest.raises(ValueError, match=r"qrs must be boolean of shape \(16, 200\), got float64"):
        CardData(data.records, data.inputs, RATE_HZ, data.qrs * 1.0)
    with pytest.raises(ValueError, match=r"planted must be boolean of shape \(16, 200, 12\)"):
        CardData(data.records, data.inputs, RATE_HZ, data.qrs, data.qrs)
    leak = data.records.assign(fold=1)
    with pytest.raises(ValueError, match="got 16 of another fold of the same repeat"):
        CardData(data.records, data.inputs, RATE_HZ, data.qrs, peers=leak)
    with pytest.raises(ValueError, match=r"depths must hold 0.5 and 1.0, got \(0.3,\)"):
        CardSettings(depths=(0.3,))
