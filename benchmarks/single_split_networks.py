"""Real networks on one 80/20 split: is the surrogate of the lab `reproduce_086` a fair stand-in.

    python benchmarks/single_split_networks.py            # 24 trainings, about half an hour

Everything here is SYNTHETIC. For each seed a cohort of the published size is simulated, four fifths
of its patients are resampled as in the lab (events up, the others down, ECG by ECG) and train a
small 1D ResNet; the rest is its test set. The AUROC of the same network on a large pool of fresh
patients is its truth. One row a network is written to `notebooks/labs/single_split_networks.csv`;
the lab compares the spread of (reported - true) with that of its surrogate.

Beside the one test set, 2,000 test sets of the published size with three events are drawn from the
pool: what one split of so few events would report of this network.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import pandas as pd
from planted_truth import all_ecgs, fresh_patients
from tqdm.auto import tqdm

from evaluation.discrimination import auroc
from evaluation.single_split import random_splits
from evaluation.surrogate import balanced_counts
from models_training.inputs import TrainingData
from models_training.settings import ArchitectureSettings, TrainingSettings, parse_stage_blocks
from models_training.training import NetworkTrainer

OUTPUT = Path(__file__).parents[1] / "notebooks" / "labs" / "single_split_networks.csv"
POOL_SEED = 1_000_000
N_DRAWS, FEW_EVENTS, TEST_PATIENTS = 2000, 3, 63


class Ecgs:
    """Patients with all their ECGs: `signals` (n_ecgs, n_samples, 12), `patient`, `outcome`."""

    def __init__(self, patients: pd.DataFrame, seed: int) -> None:
        parts = list(all_ecgs(patients, seed))
        self.patient = np.concatenate([rows for rows, _ in parts])
        self.signals = np.concatenate([signals for _, signals in parts])
        self.outcome = patients["outcome"].to_numpy(int)


def cohort(options: argparse.Namespace, seed: int) -> Ecgs:
    """Simulate a cohort of exactly the declared numbers of patients and events."""
    n_events = round(options.event_rate * options.n_patients)
    wanted = {1: n_events, 0: options.n_patients - n_events}
    patients = fresh_patients(3 * options.n_patients, options.effect, seed)
    parts = [patients[patients["outcome"] == y].head(n) for y, n in wanted.items()]
    return Ecgs(pd.concat(parts, ignore_index=True), seed)


def training_data(ecgs: Ecgs, rows: np.ndarray) -> TrainingData:
    """Return some ECGs, each as if it were a patient: the published protocol counts ECGs."""
    ids = pd.Series(np.arange(rows.size).astype(str))
    records = pd.DataFrame({"record_id": ids, "patient_id": ids, "signal_row": rows})
    patients = pd.DataFrame({"patient_id": ids, "outcome": ecgs.outcome[ecgs.patient[rows]]})
    return TrainingData(ecgs.signals, records, patients, pd.DataFrame(index=ids.index))


def logits(trainer: NetworkTrainer, ecgs: Ecgs, *, n_at_once: int = 128) -> np.ndarray:
    """Return the logit of every ECG, in batches of one size so that the graph is traced once."""
    parts = []
    for start in range(0, len(ecgs.signals), n_at_once):
        part = ecgs.signals[start : start + n_at_once]
        padded = np.resize(part, (n_at_once, *part.shape[1:]))
        found = np.asarray(trainer.network.predict_on_batch({"ecg": padded}))
        parts.append(found[: len(part), 0])
    return np.concatenate(parts)


def spread_of_few_events(y_true: np.ndarray, score: np.ndarray, seed: int) -> float:
    """Return the SD of the AUROC over test sets with `FEW_EVENTS` events drawn from the pool."""
    rng = np.random.default_rng(seed)
    events, others = score[y_true == 1], score[y_true == 0]
    n_others = TEST_PATIENTS - FEW_EVENTS
    found = [
        (rng.choice(events, FEW_EVENTS)[:, None] > rng.choice(others, n_others)).mean()
        for _ in range(N_DRAWS)
    ]
    return float(np.std(found))


def run_one(options: argparse.Namespace, pool: Ecgs, seed: int) -> dict[str, float]:
    """Train one network on four fifths of one cohort; return what it reports and its truth."""
    begin = time.perf_counter()
    ecgs = cohort(options, seed)
    rng = np.random.default_rng([seed, 1])
    (held,) = random_splits(ecgs.outcome, n_splits=1, test_share=0.2, rng=rng)
    train = np.flatnonzero(~held[ecgs.patient])
    counts = balanced_counts(ecgs.outcome[ecgs.patient[train]], rng)
    architecture = ArchitectureSettings(
        width=options.width, stage_blocks=parse_stage_blocks(options.stage_blocks)
    )
    settings = TrainingSettings(n_epochs=options.n_epochs, seed=seed, architecture=architecture)
    data = training_data(ecgs, np.repeat(train, counts))
    trainer = NetworkTrainer(data, settings)
    trainer.fit(np.arange(counts.sum()), None, n_epochs=options.n_epochs, seed=(seed,))
    by_ecg, by_pool = logits(trainer, ecgs), logits(trainer, pool)
    score = np.bincount(ecgs.patient, by_ecg) / np.bincount(ecgs.patient)
    pool_score = np.bincount(pool.patient, by_pool) / np.bincount(pool.patient)
    rows = held[ecgs.patient]
    return {
        "seed": seed,
        "effect": options.effect,
        "n_patients": ecgs.outcome.size,
        "n_events": int(ecgs.outcome.sum()),
        "n_test": int(held.sum()),
        "n_test_events": int(ecgs.outcome[held].sum()),
        "n_pool": pool.outcome.size,
        "n_pool_events": int(pool.outcome.sum()),
        "true_patient": auroc(pool.outcome, pool_score),
        "true_ecg": auroc(pool.outcome[pool.patient], by_pool),
        "auroc_patient": auroc(ecgs.outcome[held], score[held]),
        "auroc_ecg": auroc(ecgs.outcome[ecgs.patient[rows]], by_ecg[rows]),
        "sd_of_three_events": spread_of_few_events(pool.outcome, pool_score, seed),
        "seconds": time.perf_counter() - begin,
    }


def main() -> None:
    """Train the networks, write the table, and print one line a figure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--n-runs", type=int, default=24)
    parser.add_argument("--n-patients", type=int, default=314)
    parser.add_argument("--event-rate", type=float, default=0.2)
    parser.add_argument("--effect", type=float, default=3.0, help="planted ECG effect")
    parser.add_argument("--n-pool", type=int, default=2000)
    parser.add_argument("--n-epochs", type=int, default=15)
    parser.add_argument("--width", type=int, default=8)
    parser.add_argument("--stage-blocks", default="1-1-1-1")
    parser.add_argument("--output", type=Path, default=OUTPUT)
    options = parser.parse_args()
    pool = Ecgs(fresh_patients(options.n_pool, options.effect, POOL_SEED), POOL_SEED)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    rows, table = [], pd.DataFrame()
    for seed in tqdm(range(options.n_runs), desc="networks"):
        rows.append(run_one(options, pool, seed))
        table = pd.DataFrame(rows).round(4)
        table.to_csv(options.output, index=False)  # what is done stays, if it is stopped
    error = table["auroc_patient"] - table["true_patient"]
    print(f"figure networks_mean_truth {table['true_patient'].mean():.3f} AUROC")
    print(f"figure networks_mean_reported {table['auroc_patient'].mean():.3f} AUROC")
    print(f"figure networks_sd_reported_minus_true {error.std():.3f} AUROC ({len(table)} networks)")
    print(f"figure networks_sd_three_events {table['sd_of_three_events'].mean():.3f} AUROC")


if __name__ == "__main__":
    main()
