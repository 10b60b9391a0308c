"""The report card of Grad-CAM and integrated gradients on the networks of a finished run.

    python benchmarks/map_report_card.py brugada --variant ecg
    python benchmarks/map_report_card.py quickstart --shuffled-epochs 10    # trains, a fold each

Prints a line a check, the verdict of each map, and with --out writes cards and pictures. On the
synthetic cohort the planted windows are those that the sampling rate shows, around the R peaks that
were found; premature beats are taken for conducted ones.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from data_processing.covariates import encode_covariates
from data_processing.synthetic import planted_in
from explainability.beats import beat_window_mask
from explainability.card_data import CardData
from explainability.card_figures import card_panel
from explainability.card_measures import measure_maps
from explainability.card_methods import card_methods
from explainability.held_out import choose_records
from explainability.r_peaks import detect_r_peaks
from explainability.report_card import map_verdict, report_card
from models_training.fold_models import FoldModels
from models_training.shuffled_labels import networks_of_run
from workflow.artifacts import Artifacts


def held_out_ecgs(
    run: Artifacts, variant: str, scores: pd.DataFrame, models: FoldModels, n_records: int
) -> CardData:
    """Return the chosen ECGs with their QRS complexes and planted windows."""
    dataset = run.read_document("dataset")
    rate_hz = dataset["rate_hz"]
    chosen = choose_records(scores, n_records=n_records, seed=0)
    chosen = chosen.merge(run.read_table("records")[["record_id", "signal_row"]], on="record_id")
    ecg = models.middle_of(run.signals()[chosen["signal_row"]])
    inputs = {"ecg": ecg}
    names = run.read_document("training", variant)["covariate_names"]
    if names:
        patients = run.read_table("patients").set_index("patient_id", drop=False)
        encoded = encode_covariates(patients, dataset["covariates"])[names]
        inputs["covariates"] = encoded.loc[chosen["patient_id"]].to_numpy()
    peaks = [detect_r_peaks(signal, rate_hz).r_peaks for signal in ecg]
    n = ecg.shape[1]
    qrs = np.stack([beat_window_mask(found, rate_hz, n, name="QRS") for found in peaks])
    planted = planted_in(dataset.get("truth"), peaks, rate_hz, n)
    return CardData(chosen, inputs, rate_hz, qrs, planted)


def shuffled(run: Artifacts, variant: str, n_epochs: int):
    """Return the trainer of networks on shuffled outcomes; None for no epochs."""
    records, patients = run.read_table("records"), run.read_table("patients")
    names = run.read_document("training", variant)["covariate_names"]
    encoded = encode_covariates(patients, run.read_document("dataset")["covariates"])[names]
    cohort = (run.signals(), records, patients, encoded)
    return networks_of_run(
        run.path("02_models") / variant, cohort, run.read_table("splits"), n_epochs
    )


def main() -> None:
    """Print the cards."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", help="name or folder of a finished run")
    parser.add_argument("--variant", default="ecg")
    parser.add_argument("--layer", default="conv3_block4_out", help="layer of Grad-CAM")
    parser.add_argument("--folds", type=int, nargs="+", help="explain these alone; all by default")
    parser.add_argument("--n-records", type=int, default=40)
    parser.add_argument("--n-steps", type=int, default=32)
    parser.add_argument("--shuffled-epochs", type=int, default=0, help="0: not made")
    parser.add_argument("--out", type=Path, help="folder for cards and pictures")
    options = parser.parse_args()
    folder = Path(options.run) if Path(options.run).is_dir() else Path("runs") / options.run
    run, variant = Artifacts(folder.resolve()), options.variant
    scores = run.read_table("predictions", variant).query("role == 'test'")
    models = FoldModels(run.path("02_models") / variant)
    known = scores.dropna(subset="y_true")
    known = known[known["fold"].isin(options.folds or known["fold"].unique())]
    data = held_out_ecgs(run, variant, known, models, options.n_records)
    data = replace(data, peers=scores)
    title = run.read_document("dataset")["title"]
    own = scores[(scores["seed"] == models.first_seed) & (scores["repeat"] == 0)]
    for method in card_methods(options.layer, n_steps=options.n_steps):
        load_shuffled = shuffled(run, variant, options.shuffled_epochs)
        measured = measure_maps(data, method, models.load, load_shuffled=load_shuffled)
        card = report_card(measured.table, scores=own)
        print_card(card, method.name)
        if options.out:
            options.out.mkdir(parents=True, exist_ok=True)
            heading = f"{method.name}, variant {variant}: {title}"
            figure, _, _ = card_panel(card, measured.table, title=heading)
            figure.savefig(options.out / f"{method.name}.png", dpi=100)
            card.to_csv(options.out / f"{method.name}.csv", index=False)


def print_card(card: pd.DataFrame, method: str) -> None:
    """Print a line a check and the verdict."""
    for row in card.itertuples():
        print(
            f"figure {method}_{row.check} {row.estimate:.3f} {row.unit} "
            f"({row.ci_low:.3f} to {row.ci_high:.3f}; n = {row.n}; to be {row.side} {row.limit}; "
            f"{row.verdict}, {row.role})"
        )
    print(map_verdict(card).sentence, flush=True)


if __name__ == "__main__":
    main()
