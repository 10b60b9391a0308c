"""Planted truth: does the workflow find what was planted, and nothing where nothing was.

    python benchmarks/planted_truth.py                    # about forty minutes on two cores
    python benchmarks/planted_truth.py --n-train 400 --n-pool 2000 --n-simulations 100   # minutes

Everything here is SYNTHETIC. For the planted ECG effect 1 and for effect 0:

1. A ResNet-50 of full depth (narrow) with ECG and covariates is trained on a simulated cohort that
   is large enough to learn the signs from, and frozen.
2. Its AUROC on a pool of 20,000 fresh patients (all their ECGs, mean logit) is the truth.
3. Cohorts of the published size are drawn from the pool again and again; every one gets its
   intervals. Coverage is the share that holds the truth; nominal is 0.95.
4. Maps of the same fresh ECGs: share of their mass in the planted windows and leads, against the
   same windows shifted in time, against the share of the ECG's own amplitude there (a map that
   follows the size of the deflections has that share and has found nothing), and against the
   networks of the other effect. Above all, the signed map in the window must rise with the sign
   that was planted in the patient, more than it does in shifted windows, and by more logits than in
   several networks that were trained where the ECG has no effect.
5. Shapley values of the covariates: rank correlation with the planted weights.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import expit
from scipy.stats import spearmanr
from tqdm.auto import tqdm

from data_processing.chain import SignalChain
from data_processing.covariates import encode_covariates
from data_processing.definitions import nicm_definition
from data_processing.synthetic import (
    SyntheticSettings,
    planted_mask,
    simulate_ecgs,
    simulate_patients,
    status_at_horizon,
)
from data_processing.synthetic_truth import SIGNATURES
from evaluation.discrimination import auroc, delong_covariance, delong_interval
from evaluation.intervals import bootstrap_interval
from evaluation.resampling import BootstrapPlan
from evaluation.weighted import auroc_statistic
from explainability.attribution import grad_cam, integrated_gradients
from explainability.resolution import resize_map, step_centres
from explainability.sanity_checks import follows_sign, shifted_window_null
from explainability.shap_values import ShapSettings, explain_covariates
from models_training.inputs import TrainingData
from models_training.settings import ArchitectureSettings, TrainingSettings
from models_training.training import NetworkTrainer

RATE_HZ = 100
SPEC = nicm_definition(is_synthetic=True).covariates
CHUNK = 2000
COHORT_SIZES = (63, 314)
MAP_SEED = 3


def fresh_patients(n_patients: int, effect: float, seed: int) -> pd.DataFrame:
    """Simulate patients whose status at the horizon is known, as the cohort's rules leave them."""
    settings = SyntheticSettings(
        n_patients=n_patients, effect_size=effect, rate_hz=RATE_HZ, seed=seed
    )
    patients = simulate_patients(settings)
    outcome = status_at_horizon(patients, settings.horizon_days)
    return patients.assign(outcome=outcome)[outcome >= 0].reset_index(drop=True)


def encoded(patients: pd.DataFrame) -> pd.DataFrame:
    """Return the covariates as observed, encoded."""
    observed = patients.filter(like="observed_").rename(columns=lambda n: n[len("observed_") :])
    return encode_covariates(observed.assign(patient_id=patients["patient_id"]), SPEC)


def ecgs_of(rows: pd.DataFrame, seed: int) -> tuple[np.ndarray, pd.DataFrame]:
    """Simulate one ECG a row and bring it through the default signal chain."""
    settings = SyntheticSettings(rate_hz=RATE_HZ, seed=seed)
    signals, truth = simulate_ecgs(rows, settings)
    chain = SignalChain(rate_hz=RATE_HZ)
    return np.stack([chain.apply(signal, RATE_HZ) for signal in signals]), truth


def all_ecgs(patients: pd.DataFrame, seed: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield the rows of `patients` and their ECGs, some thousand at a time; memory stays flat."""
    owner = np.repeat(np.arange(len(patients)), patients["n_ecgs"])
    number = np.arange(len(owner)) - np.searchsorted(owner, owner)
    for start in tqdm(range(0, len(owner), CHUNK), desc="fresh ECGs"):
        part = slice(start, start + CHUNK)
        rows = patients.iloc[owner[part]].reset_index(drop=True)
        yield owner[part], ecgs_of(rows.assign(ecg_number=number[part]), seed)[0]


def train(patients: pd.DataFrame, seed: int, n_epochs: int) -> NetworkTrainer:
    """Train the narrow ResNet-50, one random ECG a patient an epoch; a sixth stops it."""
    parts = list(all_ecgs(patients, seed))
    owner = np.concatenate([rows for rows, _ in parts])
    signals = np.concatenate([ecgs for _, ecgs in parts])
    ids = patients["patient_id"].astype(str)
    records = pd.DataFrame({"patient_id": ids.iloc[owner], "signal_row": range(len(owner))})
    records["record_id"] = records["signal_row"].astype(str)
    table = pd.DataFrame({"patient_id": ids, "outcome": patients["outcome"]})
    data = TrainingData(signals, records, table, encoded(patients))
    architecture = ArchitectureSettings(width=8)
    settings = TrainingSettings(
        n_epochs=n_epochs, patience=5, records_per_patient=1, architecture=architecture
    )
    trainer = NetworkTrainer(data, settings)
    is_validation = owner % 6 == 0
    with tqdm(total=n_epochs, desc="epochs") as bar:
        trainer.fit(
            np.flatnonzero(~is_validation),
            np.flatnonzero(is_validation),
            n_epochs=n_epochs,
            seed=(0, 0),
            bar=bar,
        )
    return trainer


def score_pool(trainer: NetworkTrainer, patients: pd.DataFrame, seed: int) -> np.ndarray:
    """Return the mean logit of each patient's ECGs, (n_patients,)."""
    covariates = encoded(patients).to_numpy("float32")
    total, count = np.zeros(len(patients)), np.zeros(len(patients))
    for rows, signals in all_ecgs(patients, seed):
        inputs = {"ecg": signals, "covariates": covariates[rows]}
        found = trainer.network.predict(inputs, batch_size=100, verbose=0)
        np.add.at(total, rows, found[:, 0])
        np.add.at(count, rows, 1.0)
    return total / count


def coverage(y_true: np.ndarray, logits: np.ndarray, n: int, n_simulations: int) -> dict:
    """Return the share of cohorts of size n whose interval holds the AUROC of the whole pool."""
    truth, rng = auroc(y_true, logits), np.random.default_rng(n)
    held, widths = {"DeLong": [], "bootstrap_BCa": []}, []
    for number in tqdm(range(n_simulations), desc=f"cohorts of {n}"):
        rows = rng.choice(len(y_true), n, replace=False)
        outcome, score = y_true[rows], logits[rows]
        if outcome.sum() in (0, n):
            continue
        values, covariance = delong_covariance(outcome, score[:, None])
        low, high = delong_interval(float(values[0]), float(covariance[0, 0]))
        held["DeLong"].append(low <= truth <= high)
        plan = BootstrapPlan(1000, 0.95, "bca", number)
        found = bootstrap_interval(
            auroc_statistic(outcome, expit(score)), range(n), plan=plan, strata=outcome
        )
        if np.isfinite(found.ci_low):
            held["bootstrap_BCa"].append(found.ci_low <= truth <= found.ci_high)
            widths.append(found.ci_high - found.ci_low)
    return {name: (np.mean(values), len(values)) for name, values in held.items()} | {
        "width": (float(np.median(widths)), len(widths))
    }


def report_maps(trainer: NetworkTrainer, patients: pd.DataFrame, label: str) -> dict[str, float]:
    """Print what the maps hold in the planted windows; return the share of each sign's window."""
    signals, truth = ecgs_of(patients, MAP_SEED)
    inputs = {"ecg": signals, "covariates": encoded(patients).to_numpy("float32")}
    maps = integrated_gradients(trainer.model, inputs, n_steps=64)
    print(f"figure {label}_ig_complete {maps.table['is_complete'].mean():.3f} share of ECGs")
    layer = "conv3_block4_out"
    cam = grad_cam(trainer.model, inputs, layer_name=layer)
    cam = resize_map(cam, signals.shape[1], step_centres(trainer.model, layer))
    ids, shares = patients["patient_id"].astype(str), {}
    for sign in SIGNATURES:
        masks = np.stack(
            [sign_mask(row, sign.name, signals.shape[1]) for row in truth.itertuples()]
        )
        amplitude = shifted_window_null(signals, masks, patient_ids=ids)
        for kind, values, windows in (("ig", maps.ecg, masks), ("cam", cam, masks.any(axis=2))):
            test = shifted_window_null(values, windows, patient_ids=ids)
            print(
                f"figure {label}_{kind}_mass_{sign.name} {test.enrichment:.2f} times the shifted "
                f"window (share {test.share:.3f}, p = {test.p_value:.3f}, "
                f"{test.n_patients} patients)"
            )
            if kind == "ig":
                shares[sign.name] = test.share
                ratio = test.share / amplitude.share
                print(f"figure {label}_ig_mass_{sign.name}_vs_amplitude {ratio:.2f} times")
        follow = follows_sign(maps.ecg, masks, patients[f"z_{sign.name}"], patient_ids=ids)
        print(
            f"figure {label}_ig_follows_{sign.name} {follow.correlation:.2f} Spearman correlation "
            f"(shifted windows {follow.null_low:.2f} to {follow.null_high:.2f}, "
            f"p = {follow.p_value:.3f}, {follow.n_patients} patients)"
        )
        print(f"figure {label}_ig_slope_{sign.name} {follow.slope:.3f} logit per SD of the sign")
    return shares


def sign_mask(row: Any, name: str, n_samples: int) -> np.ndarray:
    """Return where one planted sign lies in an ECG, mirror leads included."""
    return planted_mask(
        row.r_peak_seconds,
        rate_hz=RATE_HZ,
        n_samples=n_samples,
        is_ectopic=row.is_ectopic,
        signatures=(name,),
        with_mirror_leads=True,
    )


def report_covariates(trainer: NetworkTrainer, patients: pd.DataFrame, label: str) -> None:
    """Print how the Shapley values rank the covariates, beside the planted effect of each."""
    signals, _ = ecgs_of(patients, MAP_SEED)
    table = encoded(patients)
    ids = patients["patient_id"].astype(str)
    records = pd.DataFrame({"record_id": ids, "patient_id": ids})
    background = trainer.data.covariates.sample(100, random_state=0).to_numpy(float)
    found = explain_covariates(
        trainer.model,
        {"ecg": signals, "covariates": table.to_numpy("float32")},
        records,
        settings=ShapSettings(background=background, names=list(table)),
    )
    by_covariate = found.assign(name=found["covariate"].map(group_of))
    by_covariate = by_covariate.groupby(["record_id", "name"])["shap_logit"].sum().unstack()
    importance = by_covariate.abs().mean()
    planted = planted_importance(patients)
    for name in planted.sort_values(ascending=False).index:
        print(
            f"figure {label}_shap_{name} {importance[name]:.3f} mean |logit| "
            f"(planted {planted[name]:.3f} SD of the clinical risk)"
        )
    rank = spearmanr(importance[planted.index], planted).statistic
    print(f"figure {label}_shap_rank {rank:.2f} Spearman correlation with the planted order")


def group_of(column: str) -> str:
    """Return the covariate of an encoded column; presence and pattern of LGE are one."""
    return "lge" if column.startswith("lge_") else column


def planted_importance(patients: pd.DataFrame) -> pd.Series:
    """Return the mean absolute contribution of each covariate to the declared clinical risk.

    The risk is linear in the complete covariates, so least squares finds its terms exactly.
    """
    table = encode_covariates(patients, SPEC).drop(columns="lge_present").astype(float)
    centred = table - table.mean()
    risk = patients["clinical_latent"] - patients["clinical_latent"].mean()
    weights, *_ = np.linalg.lstsq(centred.to_numpy(), risk.to_numpy(), rcond=None)
    terms = (centred * weights).T.groupby(group_of).sum().T
    assert np.allclose(terms.sum(axis=1), risk, atol=0.01)
    return terms.abs().mean()


def main() -> None:
    """Run both effects and print one line a figure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--n-train", type=int, default=6000)
    parser.add_argument("--n-epochs", type=int, default=15)
    parser.add_argument("--n-pool", type=int, default=20_000)
    parser.add_argument("--n-simulations", type=int, default=1000)
    parser.add_argument("--n-maps", type=int, default=400)
    parser.add_argument("--effects", type=float, nargs="+", default=[1.0, 0.0])
    parser.add_argument("--n-null", type=int, default=2, help="more networks without effect")
    options = parser.parse_args()
    some, shares = fresh_patients(options.n_maps, 1.0, MAP_SEED), {}
    for effect in options.effects:
        label = f"effect{effect:g}"
        print(f"SYNTHETIC, ECG effect {effect:g}", flush=True)
        trainer = train(fresh_patients(options.n_train, effect, 1), 1, options.n_epochs)
        pool = fresh_patients(options.n_pool, effect, 2)
        y_true = pool["outcome"].to_numpy(int)
        logits = score_pool(trainer, pool, 2)
        oracle = {name: auroc(y_true, pool[f"{name}_latent"]) for name in ("clinical", "ecg")}
        print(f"figure {label}_truth {auroc(y_true, logits):.3f} AUROC ({len(pool)} patients)")
        print(f"figure {label}_oracle_clinical {oracle['clinical']:.3f} AUROC")
        print(f"figure {label}_oracle_ecg {oracle['ecg']:.3f} AUROC")
        latent = spearmanr(logits, pool["ecg_latent"]).statistic
        print(f"figure {label}_score_and_ecg_latent {latent:.3f} Spearman correlation", flush=True)
        for n in COHORT_SIZES:
            for name, (value, count) in coverage(y_true, logits, n, options.n_simulations).items():
                unit = "AUROC" if name == "width" else "share, nominal 0.95"
                print(f"figure {label}_coverage_{name}_n{n} {value:.3f} {unit} ({count} cohorts)")
        shares[effect] = report_maps(trainer, some, label)
        report_covariates(trainer, some, label)
    for number in range(options.n_null):
        seed = 11 + number
        trainer = train(fresh_patients(options.n_train, 0.0, seed), seed, options.n_epochs)
        report_maps(trainer, some, f"null{number + 1}")
    if {0.0, 1.0} <= shares.keys():
        for name, share in shares[1.0].items():
            print(f"figure ratio_ig_mass_{name}_effect1_vs_effect0 {share / shares[0.0][name]:.2f}")


if __name__ == "__main__":
    main()
