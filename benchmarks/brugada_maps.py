"""Brugada-HUCA: whether the maps sit on the ST segment of V1 to V3, where the syndrome shows.

    python -m workflow run --cohort brugada_huca --name brugada      # or --profile smoke
    python benchmarks/brugada_maps.py brugada

Every ECG is explained by the network of the fold that had not seen its patient. Two maps, since
one method may mislead: integrated gradients (share of the absolute values) and occlusion (a wave in
a group of leads is replaced by a straight line; share of the absolute change of the logit over all
such parts). The share in ST of V1 to V3 stands beside

* the share of the time (a map without preference),
* the share of the ECG's own amplitude (a map that follows the size of the deflections),
* the same windows shifted in time (integrated gradients only).

By outcome and by basal pattern: most patients with the syndrome have a normal ECG at rest. Then
what the score goes together with, in measurements. Intervals: bootstrap of patients, 95 %,
conditional on the fitted networks.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from evaluation.intervals import BootstrapPlan, bootstrap_interval
from evaluation.weighted import auroc_statistic
from explainability.attribution import integrated_gradients
from explainability.concept_panels import one_network
from explainability.concepts import AssociationSettings, associations, by_patient, within_fold_score
from explainability.delineation import WaveWindows, wave_windows
from explainability.ecg_measurements import measure_ecgs
from explainability.explained_variance import explained_by_measurements
from explainability.figure_style import COLOURS, INK, tidy
from explainability.model_access import batches, to_numpy
from explainability.r_peaks import LEADS
from explainability.record_beats import find_beats
from explainability.replacement import replace_by_lines
from explainability.sanity_checks import shifted_window_null, window_mass
from explainability.scores import score_function
from models_training.fold_models import FoldModels
from workflow.artifacts import Artifacts

LEAD_GROUPS = {"limb": LEADS[:6], "V1-V3": LEADS[6:9], "V4-V6": LEADS[9:]}
WAVES = ("P", "QRS", "ST", "T")
TARGET = ("ST", "V1-V3")
VARIANT = "ecg"


def held_out_records(run: Artifacts) -> pd.DataFrame:
    """Return one held-out row a record, of the first repeat and the first network."""
    scores = one_network(run.read_table("predictions", VARIANT).query("role == 'test'"))
    places = run.read_table("records")[["record_id", "signal_row"]]
    patients = run.read_table("patients")[["patient_id", "basal_pattern", "outcome"]]
    table = scores.merge(places, on="record_id").merge(patients, on="patient_id")
    return table.dropna(subset="outcome").sort_values("record_id").reset_index(drop=True)


def cell_masks(windows: WaveWindows) -> dict[tuple[str, str], np.ndarray]:
    """Return the masks of every wave in every group of leads, (n_records, n_samples, 12)."""
    return {
        (wave, group): windows.masks[wave][..., None] & np.isin(LEADS, leads)
        for wave in WAVES
        for group, leads in LEAD_GROUPS.items()
    }


def explain_folds(
    records: pd.DataFrame,
    ecg: np.ndarray,
    models: FoldModels,
    masks: dict[tuple[str, str], np.ndarray],
    n_steps: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Return integrated gradients, and the change of the logit without each part."""
    errors = []
    maps = np.zeros(ecg.shape, np.float32)
    falls = np.zeros((len(ecg), len(masks)))
    folds = records.groupby(["repeat", "fold"])
    for (repeat, fold), part in tqdm(folds, desc="folds", total=len(folds)):
        rows = part.index.to_numpy()
        model = models.load(repeat, fold)
        found = integrated_gradients(model, {"ecg": ecg[rows]}, n_steps=n_steps)
        maps[rows] = found.ecg
        errors.append(found.table["completeness_error"].abs())
        full = logits(model, ecg[rows])
        for column, mask in enumerate(masks.values()):
            falls[rows, column] = full - logits(model, replace_by_lines(ecg[rows], mask[rows]))
    error = pd.concat(errors).quantile(0.9)
    print(f"completeness of the gradients: 90 % of the records within {error:.3f}, {n_steps} steps")
    return maps, falls


def logits(model, ecg: np.ndarray) -> np.ndarray:
    """Return the logits of ECGs."""
    function, _ = score_function(model, None)
    pairs = batches({"ecg": ecg}, batch_size=64)
    return np.concatenate([to_numpy(function([batch["ecg"]])) for _, batch in pairs])


def record_table(
    ecg: np.ndarray, maps: np.ndarray, falls: np.ndarray, masks: dict[tuple[str, str], np.ndarray]
) -> pd.DataFrame:
    """Return per cent of each record's maps, amplitude and time in ST of V1 to V3."""
    mask, names = masks[TARGET], list(masks)
    height = np.abs(ecg - np.median(ecg, axis=1, keepdims=True))
    sizes = np.abs(falls)
    # Of occlusion only what lies in a wave is divided, so its expectations are as well.
    in_waves = np.any(list(masks.values()), axis=0)
    found = {
        "gradients": window_mass(maps, mask),
        "gradients_by_time": mask.mean(axis=(1, 2)),
        "gradients_by_amplitude": window_mass(height, mask),
        "occlusion": sizes[:, names.index(TARGET)] / sizes.sum(axis=1),
        "occlusion_by_time": mask.sum(axis=(1, 2)) / in_waves.sum(axis=(1, 2)),
        "occlusion_by_amplitude": window_mass(np.where(in_waves, height, 0.0), mask),
    }
    table = 100 * pd.DataFrame(found)
    table["gradients_signed_sum"] = np.where(mask, maps, 0.0).sum(axis=(1, 2))
    return table.assign(occlusion_fall=falls[:, names.index(TARGET)])


def groups_of(records: pd.DataFrame) -> dict[str, np.ndarray]:
    """Return which records are in which group."""
    has_event = (records["outcome"] == 1).to_numpy()
    has_pattern = (records["basal_pattern"].astype(float) > 0).to_numpy()
    return {
        "all": np.ones(len(records), dtype=bool),
        "Brugada, normal basal pattern": has_event & ~has_pattern,
        "Brugada, abnormal basal pattern": has_event & has_pattern,
        "no Brugada, normal basal pattern": ~has_event & ~has_pattern,
        "no Brugada, abnormal basal pattern": ~has_event & has_pattern,
    }


def group_rows(
    table: pd.DataFrame, maps: np.ndarray, mask: np.ndarray, records: pd.DataFrame, n_draws: int
) -> pd.DataFrame:
    """Return one row a group and map: share, expectations, excess, shifted windows."""
    rows = []
    for group, chosen in groups_of(records).items():
        if not chosen.any():
            continue
        ids = records.loc[chosen, "patient_id"].to_numpy()
        part = by_patient(table[chosen], ids)
        null = shifted_window_null(maps[chosen], mask[chosen], patient_ids=ids, seed=0)
        for method in ("gradients", "occlusion"):
            share, height = part[method], part[f"{method}_by_amplitude"]
            low, high = mean_interval(share, n_draws)
            excess_low, excess_high = mean_interval(share - height, n_draws)
            shifted = (
                (100 * null.null_mean, null.p_value) if method == "gradients" else (np.nan,) * 2
            )
            rows.append(
                {
                    "group": group,
                    "map": method,
                    "share_percent": share.mean(),
                    "ci_low": low,
                    "ci_high": high,
                    "by_time_percent": part[f"{method}_by_time"].mean(),
                    "by_amplitude_percent": height.mean(),
                    "excess_over_amplitude": (share - height).mean(),
                    "excess_low": excess_low,
                    "excess_high": excess_high,
                    "shifted_windows_percent": shifted[0],
                    "shifted_windows_p": shifted[1],
                    "n_patients": len(part),
                }
            )
    return pd.DataFrame(rows)


def mean_interval(values: pd.Series, n_draws: int) -> tuple[float, float]:
    """Return the percentile bootstrap interval of a mean over patients."""
    known = values.dropna().to_numpy()
    draws = np.random.default_rng(0).integers(0, len(known), size=(n_draws, len(known)))
    low, high = np.quantile(known[draws].mean(axis=1), [0.025, 0.975])
    return float(low), float(high)


def plot_groups(table: pd.DataFrame, *, ax, n_events: int) -> None:
    """Draw the share of each group beside what time and amplitude alone would give."""
    names = list(dict.fromkeys(table["group"]))
    for number, (method, rows) in enumerate(table.groupby("map", sort=False)):
        rows = rows.set_index("group").loc[names]
        y = np.arange(len(names)) + 0.32 * number - 0.16
        colour = COLOURS[number]
        ax.hlines(y, rows["ci_low"], rows["ci_high"], color=colour, linewidth=2.5)
        ax.plot(
            rows["share_percent"], y, "o", color=colour, label=f"{method}: share, 95 % interval"
        )
        for column, marker in (("by_time_percent", "|"), ("by_amplitude_percent", "x")):
            text = {"|": "expected by time", "x": "expected by amplitude"}[marker]
            ax.plot(rows[column], y, marker, color=INK, ms=9, label=None if number else text)
    sizes = table.drop_duplicates("group").set_index("group")["n_patients"]
    ax.set_yticks(range(len(names)), [f"{name}\n{sizes[name]} patients" for name in names])
    ax.set_ylim(len(names) - 0.4, -0.6)
    ax.set_xlim(left=0.0)
    ax.set_xlabel("share of the map in the ST segment of V1 to V3 (%)")
    ax.set_title(
        f"Brugada-HUCA, {sizes['all']} patients, {n_events} with the syndrome", fontsize=11
    )
    ax.legend(fontsize=9, frameon=False, loc="upper left", bbox_to_anchor=(1.01, 1))
    tidy(ax)


def print_discrimination(records: pd.DataFrame, score: pd.Series, n_draws: int) -> None:
    """Print the AUROC against patients without the syndrome, by basal pattern."""
    patients = by_patient(
        records[["outcome", "basal_pattern"]].astype(float), records["patient_id"]
    )
    plan = BootstrapPlan(n_draws, 0.95, "percentile", 0)
    for name, kept in (
        ("all", patients["outcome"] >= 0),
        ("normal_basal_pattern", patients["basal_pattern"] == 0),
        ("abnormal_basal_pattern", patients["basal_pattern"] > 0),
    ):
        y = patients.loc[kept, "outcome"].to_numpy(int)
        if len(np.unique(y)) < 2:
            continue
        statistic = auroc_statistic(y, score[kept.to_numpy()].to_numpy())
        found = bootstrap_interval(statistic, np.arange(len(y)), plan=plan, strata=y)
        print(
            f"figure auroc_{name} {found.estimate:.3f} AUROC ({found.ci_low:.3f} to "
            f"{found.ci_high:.3f}; n = {len(y)}, events = {y.sum()})"
        )


def main() -> None:
    """Write tables and a figure below the run, and print one line a figure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", help="name of a finished run of the cohort brugada_huca")
    parser.add_argument("--n-bootstrap", type=int, default=2000)
    parser.add_argument("--n-steps", type=int, default=32)
    options = parser.parse_args()
    run = Artifacts(Path("runs") / options.run)
    rate_hz = run.read_document("dataset")["rate_hz"]
    models = FoldModels(run.path("02_models") / VARIANT)
    records = held_out_records(run)
    ecg = models.middle_of(run.signals()[records["signal_row"].to_numpy()]).astype(np.float32)
    windows = wave_windows(ecg, rate_hz)
    print("waves:", ", ".join(f"{n} records {name}" for name, n in windows.n_by_method.items()))
    masks = cell_masks(windows)
    maps, falls = explain_folds(records, ecg, models, masks, options.n_steps)
    table = record_table(ecg, maps, falls, masks)
    groups = group_rows(table, maps, masks[TARGET], records, options.n_bootstrap)
    measured = by_patient(measure_ecgs(find_beats(ecg, rate_hz)), records["patient_id"])
    values = pd.DataFrame({"score": within_fold_score(records)})
    score = by_patient(values, records["patient_id"])["score"]
    settings = AssociationSettings(options.n_bootstrap)
    found = associations(
        score, measured, covariates=measured[["heart_rate_bpm"]], settings=settings
    )
    for row in groups.itertuples():
        name = row.group.replace(", ", "_").replace(" ", "_")
        print(
            f"figure share_st_v1_v3_{row.map}_{name} "
            f"{row.share_percent:.2f} % ({row.ci_low:.2f} to {row.ci_high:.2f}; by time "
            f"{row.by_time_percent:.2f}, by amplitude {row.by_amplitude_percent:.2f}, excess "
            f"{row.excess_low:.2f} to {row.excess_high:.2f}, shifted windows "
            f"{row.shifted_windows_percent:.2f} (p {row.shifted_windows_p:.3f}); "
            f"n = {row.n_patients})"
        )
    print_discrimination(records, score, options.n_bootstrap)
    print(explained_by_measurements(score, measured, settings=settings).sentence())
    folder = run.path(f"04_explanations/{VARIANT}")
    folder.mkdir(parents=True, exist_ok=True)
    groups.to_csv(folder / "brugada_st_v1_v3.csv", index=False)
    found.to_csv(folder / "brugada_associations.csv", index=False)
    figure, ax = plt.subplots(figsize=(11, 4.8), layout="constrained")
    plot_groups(groups, ax=ax, n_events=int(records.drop_duplicates("patient_id")["outcome"].sum()))
    figure.savefig(folder / "brugada_st_v1_v3.png", dpi=120)
    print(f"written: {folder.name}/brugada_st_v1_v3.csv, .png and brugada_associations.csv")


if __name__ == "__main__":
    main()
