"""Small made-up predictions with a known answer; figures are drawn without a screen."""

from __future__ import annotations

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

mpl.use("Agg")

COLUMNS = ["record_id", "patient_id", "repeat", "fold", "role"]
COLUMNS += ["seed", "variant", "target", "horizon_days", "y_true", "y_score"]


def _fold_of(y_true, n_folds, rng):
    fold = np.empty(y_true.size, dtype=int)
    for outcome in (0, 1):
        members = rng.permutation(np.flatnonzero(y_true == outcome))
        fold[members] = np.arange(members.size) % n_folds
    return fold


@pytest.fixture(scope="session")
def make_predictions():
    """Predictions of patients whose true logit is -1.5 + 1.5 z; a variant sees z with noise."""

    def make(*, n=90, n_folds=3, n_repeats=1, noises=None, seed=0):
        rng = np.random.default_rng(seed)
        noises = noises or {"ecg": 1.5, "ecg_covariates": 0.3, "clinical": 1.0}
        z = rng.normal(size=n)
        y_true = (rng.random(n) < expit(-1.5 + 1.5 * z)).astype(int)
        n_records = rng.integers(1, 5, size=n)
        rows = []
        for repeat in range(n_repeats):
            fold_of = _fold_of(y_true, n_folds, rng)
            for fold in range(n_folds):
                rest = np.flatnonzero(fold_of != fold)
                sides = {"test": np.flatnonzero(fold_of == fold), "validation": rest[::2]}
                for role, members in sides.items():
                    for variant, noise in noises.items():
                        for i in members:
                            seen = z[i] + noise * rng.normal()
                            for k in range(n_records[i]):
                                score = expit(-1.5 + 1.5 * seen + 0.2 * rng.normal())
                                ids = (f"R{i:04d}{k}", f"P{i:04d}", repeat, fold, role)
                                what = (0, variant, "sva", 1826.0, y_true[i], score)
                                rows.append(ids + what)
        return pd.DataFrame(rows, columns=COLUMNS)

    return make


@pytest.fixture
def naive_delong():
    """DeLong's covariance as printed in 1988: every pair of event and non-event, O(n^2)."""

    def compute(y_true, scores):
        events, controls = scores[y_true == 1], scores[y_true == 0]
        psi = (events[:, None] > controls[None]) + 0.5 * (events[:, None] == controls[None])
        v10, v01 = psi.mean(axis=1), psi.mean(axis=0)
        auc = psi.mean(axis=(0, 1))
        m, n = len(events), len(controls)
        s10 = (v10 - auc).T @ (v10 - auc) / (m - 1)
        s01 = (v01 - auc).T @ (v01 - auc) / (n - 1)
        return auc, s10 / m + s01 / n

    return compute
