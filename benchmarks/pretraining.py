"""How good is an encoder on folds of PTB-XL it has not seen, beside random kernels.

    python benchmarks/pretraining.py --architecture resnet50 --held-out 7,8
    python benchmarks/pretraining.py --architecture random_kernels --held-out 1,2 3,4 5,6 7,8
    python benchmarks/pretraining.py --width 16 --epochs 50 --self-supervised 100
    python benchmarks/pretraining.py --encoder ptbxl_resnet50 --corpus ptbxl --held-out 10

Trains on folds 1 to 8 without the held-out ones (a group each), scores those, and prints, for every
model below `--output` that scored the same records, the macro-AUROC over the five superclasses with
the interval of resampled patients, and the difference to the `--reference`. A model and group has a
folder of its own there: a training that was stopped goes on, a finished one is not repeated. Fold 9
is scored with `--held-out 9` alone, once, when nothing is left to choose.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import numpy as np
import pandas as pd

from data_processing.pretraining_corpus import CLASSES, Corpus, open_corpus
from evaluation.multilabel import MACRO, macro_auroc_table
from evaluation.resampling import BootstrapPlan

PLAN = BootstrapPlan(n_resamples=2000, method="percentile")


def scores_of_encoder(corpus: Corpus, rows: dict[str, np.ndarray], folder: Path, options) -> None:
    """Train an encoder on `rows["train"]` and write the scores of `rows["test"]`."""
    from models_training.pretraining import Pretrainer
    from models_training.pretraining_recipe import multi_task_data, recipe
    from models_training.self_supervision import begin_unlabelled

    settings = recipe(options.architecture, width=options.width, n_epochs=options.epochs)
    labels = corpus.labels[[*CLASSES, *corpus.statements(rows["train"])]]
    data = multi_task_data(corpus.signals, labels, corpus.records, n_classes=len(CLASSES))
    trainer = Pretrainer(data, settings)
    begin = {"n_epochs": options.self_supervised, "store": folder / "self_supervised.npz"}
    begin_unlabelled(trainer, rows["train"], **begin)
    history = trainer.fit(rows["train"], store=folder / "epoch.npz")
    history.to_csv(folder / "history.csv", index=False)
    write_scores(folder, trainer.predict(rows["test"])[:, : len(CLASSES)], corpus, rows["test"])


def scores_of_random_kernels(corpus: Corpus, rows: dict[str, np.ndarray], folder: Path, _) -> None:
    """Fit ridge on random kernels of `rows["train"]`; penalty by its folds of patients."""
    from sklearn.linear_model import RidgeCV
    from sklearn.model_selection import LeaveOneGroupOut
    from sklearn.preprocessing import StandardScaler

    from models_training.random_kernels import RandomKernels

    layer = RandomKernels(9996)
    layer.build((None, *corpus.signals.shape[1:]))
    train = rows["train"]
    layer.fit(lambda chosen: corpus.signals[train[chosen]], len(train), seed=0)

    def features(chosen: np.ndarray) -> np.ndarray:
        parts = [chosen[start : start + 16] for start in range(0, len(chosen), 16)]
        return np.concatenate([np.asarray(layer(corpus.signals[part])) for part in parts])

    scaler = StandardScaler()
    x_train, x_test = (
        scaler.fit_transform(features(train)),
        scaler.transform(features(rows["test"])),
    )
    y_train = corpus.labels[CLASSES].to_numpy(float)[train]
    # No patient is in two folds of PTB-XL, whereas patients' numbers are known of a part only.
    parts = LeaveOneGroupOut().split(x_train, groups=corpus.records["fold"].to_numpy()[train])
    ridge = RidgeCV(np.logspace(2, 6, 13), cv=list(parts)).fit(x_train, y_train)
    write_scores(folder, ridge.predict(x_test), corpus, rows["test"])


def scores_of_stored(corpus: Corpus, rows: dict[str, np.ndarray], folder: Path, options) -> None:
    """Score `rows["test"]` with a stored encoder, unless it was trained on any of them."""
    from models_training.pretrained import load_pretrained
    from models_training.pretraining import stored_probabilities

    encoder = load_pretrained(options.encoder)
    trained = set(encoder.card["trained_on"]["record_ids"])
    seen = trained & set(corpus.records["record_id"].iloc[rows["test"]])
    if seen:
        raise SystemExit(
            f"held-out folds must hold no ECG the encoder was trained on, got {len(seen)}. "
            f"It was trained on folds {encoder.card['trained_on']['folds']}."
        )
    found = stored_probabilities(encoder, corpus.signals[rows["test"]])
    write_scores(folder, found[CLASSES].to_numpy(), corpus, rows["test"])


def write_scores(folder: Path, scores: np.ndarray, corpus: Corpus, rows: np.ndarray) -> None:
    """Write what `compare` reads."""
    table = pd.DataFrame(scores, columns=CLASSES)
    table.insert(0, "record_id", corpus.records["record_id"].to_numpy()[rows])
    table.to_csv(folder / "scores.csv", index=False)


def compare(corpus: Corpus, held_out: str, output: Path, reference: str) -> None:
    """Print the macro-AUROC of every model that scored these folds, and their differences."""
    found = {
        path.parent.parent.name: pd.read_csv(path, dtype={"record_id": str})
        for path in sorted(output.glob(f"*/{held_out.replace(',', '-')}/scores.csv"))
    }
    records = corpus.records.set_index("record_id")
    y_of = corpus.labels[CLASSES].set_index(records.index)
    baseline = found.get(reference)
    for name, table in found.items():
        of = {
            "names": CLASSES,
            "patients": records.loc[table["record_id"], "patient"],
            "plan": PLAN,
        }
        y_true, scores = y_of.loc[table["record_id"]].to_numpy(int), table[CLASSES].to_numpy()
        result = macro_auroc_table(y_true, scores, **of)
        print(f"\n{name}, folds {held_out}\n{result.drop(columns='method').round(4).to_string()}")
        row = result.set_index("label").loc[MACRO]
        key = f"{name}_folds_{held_out.replace(',', '_')}"
        print(f"figure macro_auroc_{key} {row['estimate']:.4f} AUROC")
        print(f"  95 % interval {row['ci_low']:.4f} to {row['ci_high']:.4f}, {row['method']}")
        if baseline is not None and name != reference:
            other = baseline.set_index("record_id").loc[table["record_id"], CLASSES].to_numpy()
            gain = macro_auroc_table(y_true, scores, reference=other, **of).iloc[-1]
            print(f"figure gain_over_{reference}_{key} {gain['estimate']:.4f} AUROC")
            print(f"  95 % interval {gain['ci_low']:.4f} to {gain['ci_high']:.4f}")


def main() -> None:
    """Train what is not there yet, then compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=_Formatter)
    parser.add_argument("--architecture", default="resnet50")
    parser.add_argument("--width", type=int, default=0, help="0: the family's own")
    parser.add_argument("--epochs", type=int, default=0, help="0: as the shipped encoder")
    parser.add_argument("--self-supervised", type=int, default=0, help="epochs without labels")
    parser.add_argument("--encoder", default="", help="a stored encoder, instead of training one")
    parser.add_argument("--reference", default="random_kernels", help="what all are compared with")
    parser.add_argument("--held-out", nargs="+", default=["7,8"], help="groups of folds")
    parser.add_argument("--corpus", default="mirror", choices=["mirror", "ptbxl"])
    parser.add_argument("--data-root", default=os.environ.get("ECG_DATA_ROOT", ""))
    parser.add_argument("--output", type=Path, default=Path("runs/pretraining"))
    options = parser.parse_args()
    corpus = open_corpus(options.corpus, options.data_root, options.output / "ptbxl_scaled.npy")
    fold = corpus.records["fold"].to_numpy()
    width = f"_width{options.width}" if options.width else ""
    before = f"_after_{options.self_supervised}_unlabelled" if options.self_supervised else ""
    options.name = f"{options.architecture}{width}{before}"
    score = scores_of_encoder
    if options.architecture == "random_kernels":
        score = scores_of_random_kernels
    if options.encoder:
        options.name, score = Path(options.encoder).name, scores_of_stored
    for held_out in options.held_out:
        is_test = np.isin(fold, [int(part) for part in held_out.split(",")])
        rows = {"train": np.flatnonzero((fold <= 8) & ~is_test), "test": np.flatnonzero(is_test)}
        folder = options.output / options.name / held_out.replace(",", "-")
        folder.mkdir(parents=True, exist_ok=True)
        if not (folder / "scores.csv").exists():
            score(corpus, rows, folder, options)
        compare(corpus, held_out, options.output, options.reference)


class _Formatter(argparse.RawDescriptionHelpFormatter):
    """Keeps the lines of the module's text."""


if __name__ == "__main__":
    main()
