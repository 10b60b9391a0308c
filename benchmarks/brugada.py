"""Brugada-HUCA out of fold: the networks of a run beside two baselines on the same folds.

    python -m workflow run --cohort brugada_huca --name brugada      # or with --profile thorough
    pip install -e ".[benchmarks]"                                   # aeon, for the random kernels
    python benchmarks/brugada.py brugada

Baselines see the same training patients (train and validation together: they stop by no
validation loss) and score the same test patients.

* random kernels: MiniRocket (Dempster 2021, doi 10.1145/3447548.3467231) of all leads, then ridge
  regression with its penalty chosen on the training patients.
* heart rate only: logistic regression on the mean heart rate. What it finds is not the syndrome.

Every line is the mean within-fold AUROC with its bootstrap interval over patients, conditional on
the fitted models.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
from aeon.transformations.collection.convolution_based import MiniRocket
from scipy.special import expit
from sklearn.linear_model import LogisticRegression, RidgeClassifierCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from tqdm.auto import tqdm

from evaluation.comparison import compare_variants
from evaluation.intervals import BootstrapPlan
from evaluation.metrics import discrimination_rows, metrics_frame
from evaluation.samples import ScoredRows
from evaluation.scores import patient_scores
from explainability.r_peaks import detect_r_peaks
from workflow.artifacts import Artifacts

METRIC = "auroc_mean_within_fold"


def heart_rates(signals: np.ndarray, rate_hz: float) -> np.ndarray:
    """Return the mean heart rate of each ECG, beats a minute; the median where none is found."""
    rates = np.full(len(signals), np.nan)
    for row, signal in enumerate(tqdm(signals, desc="heart rates", unit="ECG")):
        peaks = detect_r_peaks(signal, rate_hz).r_peaks
        if len(peaks) > 1:
            rates[row] = 60.0 * rate_hz / np.diff(peaks).mean()
    return np.where(np.isfinite(rates), rates, np.nanmedian(rates))


def baseline_predictions(run: Artifacts, features: np.ndarray, model, name: str) -> pd.DataFrame:
    """Return the test predictions of a baseline that is fitted anew in every fold."""
    records = run.read_table("records").merge(run.read_table("patients"), on="patient_id")
    parts = []
    splits = run.read_table("splits")
    trained = run.read_table("predictions", run.trained_variants()[0])["repeat"].unique()
    splits = splits[splits["repeat"].isin(trained)]
    for (repeat, fold), split in splits.groupby(["repeat", "fold"]):
        rows = records.merge(split[["patient_id", "role"]], on="patient_id")
        is_test = (rows["role"] == "test").to_numpy()
        x, y = features[rows["signal_row"]], rows["outcome"].to_numpy(int)
        model.fit(x[~is_test], y[~is_test])
        part = rows.loc[is_test, ["record_id", "patient_id", "role"]].assign(
            repeat=repeat,
            fold=fold,
            seed=0,
            variant=name,
            target="outcome",
            horizon_days=0,
            y_true=y[is_test],
            y_score=expit(model.decision_function(x[is_test])),
        )
        parts.append(part)
    return pd.concat(parts, ignore_index=True)


def main() -> None:
    """Print one line a model and one a paired difference with the random kernels."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", help="name of a finished run of the cohort brugada_huca")
    parser.add_argument("--n-bootstrap", type=int, default=2000)
    options = parser.parse_args()
    run = Artifacts(Path("runs") / options.run)
    signals = np.asarray(run.signals())
    plan = BootstrapPlan(options.n_bootstrap, 0.95, "percentile", 0)
    kernels = MiniRocket(random_state=0).fit_transform(signals.transpose(0, 2, 1))
    rates = heart_rates(signals, run.read_document("dataset")["rate_hz"])[:, None]
    ridge = make_pipeline(StandardScaler(), RidgeClassifierCV(alphas=np.logspace(-1, 6, 15)))
    logistic = make_pipeline(StandardScaler(), LogisticRegression())
    models = {
        name: run.read_table("predictions", name).query("role == 'test'").assign(target="outcome")
        for name in run.trained_variants()
    }
    models["random_kernels"] = baseline_predictions(run, kernels, ridge, "random_kernels")
    models["heart_rate"] = baseline_predictions(run, rates, logistic, "heart_rate")
    scores = {name: patient_scores(frame) for name, frame in models.items()}
    for name, frame in scores.items():
        rows = metrics_frame(discrimination_rows(ScoredRows(frame), plan))
        rows = rows.drop_duplicates("metric").set_index("metric")  # the interval to be read
        print_line(f"auroc_{name}", rows.loc[METRIC])
        if name != "random_kernels":
            table = compare_variants(frame, scores["random_kernels"], plan=plan, risk_thresholds=())
            table = table.drop_duplicates("metric").set_index("metric")
            print_line(f"delta_auroc_{name}_vs_random_kernels", table.loc[f"delta_{METRIC}"])


def print_line(name: str, row: pd.Series) -> None:
    """Print one figure with its interval."""
    print(
        f"figure {name} {row['estimate']:.3f} AUROC "
        f"({row['ci_low']:.3f} to {row['ci_high']:.3f}; n = {row['n']}, events = {row['n_events']})"
    )


if __name__ == "__main__":
    main()
