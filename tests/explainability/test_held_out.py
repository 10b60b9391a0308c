"""Held-out ECGs are explained by the network of their own fold, and by no other."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from explainability.attribution import integrated_gradients
from explainability.held_out import (
    HeldOutSettings,
    choose_records,
    explain_held_out,
)
from explainability.methods import MethodSettings, attribute

LAYER = "conv2_block3_out"


def scores_of(n=30):
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "record_id": [f"R{k:05d}" for k in range(2 * n)],
            "patient_id": np.repeat([f"P{k:04d}" for k in range(n)], 2),
            "repeat": 0,
            "fold": np.repeat(np.arange(n) % 3, 2),
            "y_true": 0,
            "y_score": rng.random(2 * n),
        }
    )


def test_one_ecg_a_patient_from_both_ends_of_the_risk_within_the_fold():
    scores = scores_of()
    chosen = choose_records(scores, n_records=12, seed=0)
    assert chosen["patient_id"].is_unique
    assert chosen["group"].value_counts().to_dict() == {"high risk": 6, "low risk": 6}
    assert (chosen.loc[chosen["group"] == "high risk", "rank"] > 2 / 3).all()
    pd.testing.assert_frame_equal(chosen, choose_records(scores, n_records=12, seed=0))
    with pytest.raises(ValueError, match="must hold three patients or more, got 2"):
        choose_records(scores.iloc[:4], n_records=2, seed=0)


def test_every_fold_is_explained_by_its_own_network(build_network, make_inputs):
    inputs = make_inputs(4)
    networks = {fold: build_network(seed=fold) for fold in (0, 1)}
    asked = []

    def load(repeat, fold):
        asked.append((repeat, fold))
        return networks[fold]

    records = scores_of().iloc[:4].assign(fold=[1, 0, 1, 0])
    found = explain_held_out(
        records,
        inputs,
        load_model=load,
        background=lambda repeat, fold: np.zeros((2, 0)),
        settings=HeldOutSettings(LAYER, 100.0, n_steps=16),
    )
    assert asked == [(0, 0), (0, 1)]
    alone = integrated_gradients(networks[1], {"ecg": inputs["ecg"][[0, 2]]}, n_steps=16)
    np.testing.assert_allclose(found.ecg[[0, 2]], alone.ecg, rtol=1e-4, atol=1e-6)
    assert found.grad_cam.shape == inputs["ecg"].shape[:2]
    assert found.shap.empty
    assert found.resolution.receptive_field_seconds is not None
    assert found.table["record_id"].tolist() == records["record_id"].tolist()


def test_more_methods_are_explained_by_the_networks_of_the_folds(build_network, make_inputs):
    inputs = make_inputs(4)
    networks = {fold: build_network(seed=fold) for fold in (0, 1)}
    mask = np.arange(64)[None] // 8 % 4 == np.arange(4)[:, None]
    methods = ("occlusion_by_wave", "shap_gradient", "gradient_x_input")
    records = scores_of().iloc[:4].assign(fold=[1, 0, 1, 0])
    found = explain_held_out(
        records,
        inputs,
        load_model=lambda repeat, fold: networks[fold],
        background=lambda repeat, fold: np.zeros((2, 0)),
        settings=HeldOutSettings("", 100.0, methods=methods, windows={"T": mask}),
        training_inputs=lambda repeat, fold: {"ecg": np.full((1, 64, 12), fold, np.float32)},
    )
    assert list(found.maps) == list(methods)
    assert found.resolution is None
    settings = MethodSettings(100.0, windows={"T": mask[[0, 2]]}, is_strict=False)
    settings = replace(settings, background={"ecg": np.ones((1, 64, 12), np.float32)})
    rows = {"ecg": inputs["ecg"][[0, 2]]}
    for method in methods:
        alone = attribute(networks[1], rows, method=method, settings=settings)
        np.testing.assert_allclose(found.maps[method].maps[[0, 2]], alone.maps, atol=1e-6)
        if len(alone.table):
            ours = found.maps[method].table.iloc[[0, 2]].astype(float)
            np.testing.assert_allclose(ours, alone.table.astype(float), rtol=1e-3, atol=1e-5)


def test_rows_that_do_not_fit_are_refused(build_network, make_inputs):
    with pytest.raises(ValueError, match="records must have one row for each of the 4 ECGs"):
        explain_held_out(
            scores_of().iloc[:3],
            make_inputs(4),
            load_model=lambda r, f: build_network(),
            background=lambda r, f: np.zeros((2, 0)),
            settings=HeldOutSettings(LAYER, 100.0),
        )
