"""A small cohort whose outcome is plain to see in the ECG, and tiny settings."""

import numpy as np
import pandas as pd
import pytest

from models_training.inputs import TrainingData
from models_training.settings import ArchitectureSettings, TrainingSettings

N_SAMPLES = 64


@pytest.fixture
def make_data():
    """Return a function that makes a cohort of `n` patients with 1 to 3 ECGs each."""

    def make(n=40, seed=0):
        rng = np.random.default_rng(seed)
        ids = [f"P{number:04d}" for number in range(n)]
        outcome = (np.arange(n) % 4 == 0).astype(int)
        counts = 1 + np.arange(n) % 3
        owner = np.repeat(np.arange(n), counts)
        signals = rng.normal(0, 0.2, (len(owner), N_SAMPLES, 12)).astype("float32")
        signals[outcome[owner] == 1, 20:40, 6] += 1.0
        records = pd.DataFrame(
            {
                "record_id": [f"R{number:05d}" for number in range(len(owner))],
                "patient_id": np.array(ids)[owner],
                "signal_row": np.arange(len(owner)),
            }
        )
        patients = pd.DataFrame({"patient_id": ids, "outcome": outcome})
        covariates = pd.DataFrame(
            {
                "age_years": rng.normal(50, 10, n),
                "is_male": rng.integers(0, 2, n).astype(float),
                "lvef_percent": rng.normal(30, 6, n) - 6 * outcome,
            }
        )
        covariates.loc[::7, "lvef_percent"] = np.nan
        return TrainingData(signals, records, patients, covariates)

    return make


@pytest.fixture
def make_splits():
    """Return a function that splits patients into stratified folds with two inner folds."""

    def make(data, n_folds=2):
        parts = []
        order = data.patients.assign(
            rank=data.patients.groupby("outcome").cumcount(),
        )
        for fold in range(n_folds):
            part = order[["patient_id"]].assign(repeat=0, fold=fold)
            is_test = (order["rank"] % n_folds == fold).to_numpy()
            part["inner_fold"] = np.where(is_test, -1, (order["rank"] // n_folds) % 2)
            part["role"] = np.select(
                [is_test, part["inner_fold"] == 0], ["test", "validation"], "train"
            )
            parts.append(part)
        return pd.concat(parts, ignore_index=True)

    return make


@pytest.fixture
def tiny():
    """Return settings of a network that builds in a second."""
    architecture = ArchitectureSettings(width=4, stage_blocks=(1, 1, 1, 1), stem_stride=1)
    return TrainingSettings(
        n_epochs=3,
        patience=3,
        batch_size=16,
        learning_rate=0.01,
        precision="float32",
        run_eagerly=True,
        architecture=architecture,
    )
