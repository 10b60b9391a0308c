"""How often the 95 % intervals of the evaluation hold the truth, in simulated cohorts.

    python benchmarks/interval_coverage.py

A cell is a number of patients, a prevalence, a number of ECGs a patient, a true AUROC and a
spread (see coverage_cohorts.py). Coverage is that of the intervals that could be made; the share
that could not has its own column. Finished cells are kept in a folder aside: a second call goes
on, and the table holds what is finished. All cells take about an hour of one quiet core.
"""

from __future__ import annotations

import argparse
import zlib
from dataclasses import asdict, astuple
from pathlib import Path

import numpy as np
import pandas as pd
from coverage_cohorts import N_FOLDS, Cell, Cohort, all_cells, draw_cohort
from scipy.special import ndtri, stdtrit
from tqdm.auto import tqdm

from evaluation.auroc_intervals import auroc_interval, newcombe_interval
from evaluation.calibration import (
    calibration_error_statistic,
    calibration_line,
    calibration_line_statistic,
)
from evaluation.discrimination import (
    delong_covariance,
    delong_interval,
    exact_interval,
    wilson_interval,
)
from evaluation.intervals import (
    bca_interval,
    patient_jackknife,
    percentile_interval,
    why_withheld,
)
from evaluation.net_benefit import net_benefit_statistic
from evaluation.resampling import BootstrapPlan, bootstrap_draws, cluster_codes
from evaluation.weighted import (
    auroc_statistic,
    average_precision_statistic,
    brier_statistic,
    difference,
    mean_over_parts,
    observed_expected_statistic,
    scaled_brier_statistic,
)

TABLE = Path(__file__).resolve().parents[1] / "evaluation" / "coverage.csv"


class Bounds:
    """Intervals of one cohort: (metric, method) -> (low, high)."""

    def __init__(self, plan: BootstrapPlan):
        self.plan = plan
        self.of: dict[tuple[str, str], tuple[float, float]] = {}

    def bootstrap(self, statistics: dict, clusters, *, strata=None, name="bootstrap", bca=True):
        """Percentile and BCa intervals of statistics (one name a column), resampled together."""

        def columns(weights):
            return np.column_stack([statistic(weights) for statistic in statistics.values()])

        estimates = columns(np.ones((1, clusters.size)))[0]
        draws = bootstrap_draws(columns, clusters, plan=self.plan, strata=strata)
        left_out = patient_jackknife(columns, clusters, estimates.size) if bca else None
        metrics = ",".join(statistics).split(",")
        for k, metric in enumerate(metrics):
            found = {"percentile": percentile_interval(draws[:, k])}
            if left_out is not None:
                both = bca_interval(draws[:, k], estimates[k], left_out[:, k], strata=strata)
                found["bca"] = both if np.isfinite(both[0]) else found["percentile"]
            for kind, (low, high) in found.items():
                if why_withheld(draws[:, k], estimates[k], low, high):
                    low = high = float("nan")
                self.of[metric, f"{name}, {kind}"] = float(low), float(high)

    def auroc(self, metric: str, auc, covariance, n_events: int, n_controls: int):
        """Every interval of an AUROC and of a difference that needs no resampling."""
        counts = n_events, n_controls
        freedom = min(counts) - 1
        name = "DeLong within folds" if "fold" in metric else "DeLong"
        value, variance = auc[0], covariance[0, 0]
        self.of[metric, f"{name}, logit"] = delong_interval(value, variance)
        self.of[metric, f"{name}, logit, t"] = delong_interval(
            value, variance, degrees_of_freedom=freedom
        )
        self.of[metric, "Newcombe"] = newcombe_interval(value, *counts)
        self.of[metric, f"wider of {name} and Newcombe"] = auroc_interval(value, variance, *counts)
        gap = auc[0] - auc[1]
        error = np.sqrt(variance + covariance[1, 1] - 2 * covariance[0, 1])
        for suffix, quantile in (("", ndtri(0.975)), (", t", stdtrit(freedom, 0.975))):
            bounds = gap - quantile * error, gap + quantile * error
            self.of[f"delta_{metric}", name + suffix] = bounds


def auroc_bounds(bounds: Bounds, cohort: Cohort) -> None:
    """AUROC pooled and within folds, and their paired differences, without resampling."""
    y, both = cohort.y_true, np.column_stack([cohort.score, cohort.reference])
    n_events = int(y.sum())
    for metric, folds in (("auroc_pooled", None), ("auroc_mean_within_fold", cohort.folds)):
        auc, covariance = delong_covariance(y, both, folds=folds)
        bounds.auroc(metric, auc, covariance, n_events, y.size - n_events)


def auroc_bootstrap(bounds: Bounds, cohort: Cohort) -> None:
    """AUROC pooled and within folds, and their paired differences, by bootstrap."""
    y, rows = cohort.y_true, np.arange(cohort.y_true.size)
    scores = {"": cohort.score, "reference": cohort.reference}
    pooled = {key: auroc_statistic(y, value) for key, value in scores.items()}
    parts = [np.flatnonzero(cohort.folds == fold) for fold in range(N_FOLDS)]
    parts = [part for part in parts if 0 < y[part].sum() < part.size]
    within = {
        key: mean_over_parts([(part, auroc_statistic(y[part], value[part])) for part in parts])
        for key, value in scores.items()
    }
    name = "auroc_mean_within_fold"
    folded = {name: within[""], f"delta_{name}": difference(*within.values())}
    whole = {"auroc_pooled": pooled[""], "delta_auroc_pooled": difference(*pooled.values())}
    bounds.bootstrap(whole | folded, rows, strata=y, name="bootstrap within outcome")
    strata = cluster_codes(cohort.folds, y)
    bounds.bootstrap(folded, rows, strata=strata, name="bootstrap within fold and outcome")


def proportion_bounds(bounds: Bounds, cohort: Cohort, cell: Cell) -> None:
    """Sensitivity, specificity, PPV, NPV at the risk that is the prevalence; and prevalence."""
    positive = cell.risk(cohort.score, cell.shift) >= cell.prevalence
    event = cohort.y_true == 1
    counts = {
        "sensitivity": (positive & event, event),
        "specificity": (~positive & ~event, ~event),
        "ppv": (positive & event, positive),
        "npv": (~positive & ~event, ~positive),
        "prevalence": (event, event | True),
    }
    for metric, (hits, among) in counts.items():
        pair = int(hits.sum()), int(among.sum())
        bounds.of[metric, "Wilson"] = wilson_interval(*pair)
        bounds.of[metric, "exact (Clopper-Pearson)"] = exact_interval(*pair)


def risk_bootstrap(bounds: Bounds, cohort: Cohort, cell: Cell) -> None:
    """AUPRC, Brier, O:E, net benefit at the risk that is the prevalence, paired differences."""
    y, at = cohort.y_true, [cell.prevalence]
    risk = cell.risk(cohort.score, cell.shift)
    old = cell.risk(cohort.reference, cell.reference_shift)
    benefit, benefit_old = (net_benefit_statistic(y, value, at) for value in (risk, old))
    brier = brier_statistic(y, risk)
    statistics = {
        "auprc": average_precision_statistic(y, risk),
        "brier": brier,
        "scaled_brier": scaled_brier_statistic(y, risk),
        "o_e": observed_expected_statistic(y, risk),
        "net_benefit": benefit,
        "delta_brier": difference(brier, brier_statistic(y, old)),
        "delta_net_benefit": difference(benefit, benefit_old),
    }
    bounds.bootstrap(statistics, np.arange(y.size))


def calibration_bounds(bounds: Bounds, cohort: Cohort, cell: Cell) -> None:
    """Calibration line by Wald and by bootstrap, and the errors of the flexible curve."""
    y, risk = cohort.y_true, cell.risk(cohort.score, cell.shift)
    line = calibration_line(y, risk)
    bounds.of["calibration_slope", "Wald"] = line.slope_low, line.slope_high
    bounds.of["calibration_intercept", "Wald"] = line.intercept_low, line.intercept_high
    statistics = {
        "calibration_intercept,calibration_slope": calibration_line_statistic(y, risk),
        "ici,e50,e90": calibration_error_statistic(y, risk),
    }
    bounds.bootstrap(statistics, np.arange(y.size))


def record_bounds(bounds: Bounds, cohort: Cohort) -> None:
    """Record-level AUROC: patients drawn with all records, and rows drawn as if independent."""
    n_patients, n_ecgs = cohort.records.shape
    clusters = np.repeat(np.arange(n_patients), n_ecgs)
    statistic = {"auroc_records": auroc_statistic(cohort.y_true[clusters], cohort.records.ravel())}
    bounds.bootstrap(statistic, clusters, strata=cohort.y_true, name="bootstrap of patients")
    rows = np.arange(clusters.size)
    bounds.bootstrap(
        statistic, rows, strata=cohort.y_true[clusters], name="bootstrap of rows", bca=False
    )


def intervals_of(cell: Cell, bounds: Bounds, cohort: Cohort) -> None:
    """Fill in the intervals that the cell asks for; risks are calibratable at spread 1 only."""
    if cell.kind == "calibration":
        calibration_bounds(bounds, cohort, cell)
    elif cell.kind == "closed form":
        auroc_bounds(bounds, cohort)
        if cell.spread == 1:
            proportion_bounds(bounds, cohort, cell)
    elif cell.n_ecgs > 1:
        record_bounds(bounds, cohort)
    else:
        auroc_bootstrap(bounds, cohort)
        if cell.spread == 1:
            risk_bootstrap(bounds, cohort, cell)


def simulate(cell: Cell, *, n_simulations: int, n_resamples: int) -> pd.DataFrame:
    """Return coverage and width of every interval in one cell."""
    rng = np.random.default_rng([zlib.crc32(repr(astuple(cell)).encode())])
    found: dict[tuple[str, str], list] = {}
    for number in tqdm(range(n_simulations), desc="simulations", leave=False, mininterval=5):
        cohort = draw_cohort(cell, rng)
        bounds = Bounds(BootstrapPlan(n_resamples, seed=number))
        intervals_of(cell, bounds, cohort)
        for key, interval in bounds.of.items():
            found.setdefault(key, []).append(interval)
    rows = []
    for (metric, method), intervals in found.items():
        low, high = np.asarray(intervals, dtype=np.float64).T
        is_given = np.isfinite(low) & np.isfinite(high)
        truth, n_given = cell.truth[metric], int(is_given.sum())
        is_held = (low <= truth + 1e-12) & (truth - 1e-12 <= high)
        rows.append(
            {
                "metric": metric,
                "method": method,
                "n_patients": cell.n_patients,
                "prevalence": cell.prevalence,
                "expected_events": round(cell.n_patients * cell.prevalence, 1),
                "n_ecgs": cell.n_ecgs,
                "auroc": cell.auroc,
                "spread": cell.spread,
                "coverage": round(is_held[is_given].mean(), 4) if n_given else np.nan,
                "n_simulations": n_simulations,
                "mean_width": round((high - low)[is_given].mean(), 3) if n_given else np.nan,
                "share_without_interval": round(1 - n_given / n_simulations, 4),
            }
        )
    return pd.DataFrame(rows)


def finished(folder: Path, n_simulations: int) -> pd.DataFrame:
    """Return the rows of all finished cells."""
    parts = [pd.read_csv(path) for path in sorted(folder.glob(f"{n_simulations}_*.csv"))]
    keys = ["metric", "method", "n_patients", "prevalence", "n_ecgs", "spread", "auroc"]
    return pd.concat(parts, ignore_index=True).sort_values(keys, ignore_index=True)


def report(table: pd.DataFrame) -> None:
    """Print mean and worst coverage a metric and method, and one line a figure."""
    n_simulations = int(table["n_simulations"].min())
    error = 100 * np.sqrt(0.95 * 0.05 / n_simulations)
    print(f"{n_simulations} simulations a cell: Monte-Carlo error {error:.1f} points (1 SE)")
    percent = table.assign(coverage=100 * table["coverage"])
    grouped = percent.groupby(["metric", "method", "n_patients"])["coverage"]
    print(grouped.agg(["mean", "min"]).round(1).unstack().to_string())
    for (metric, method), rows in percent.groupby(["metric", "method"]):
        large = rows[(rows["n_patients"] >= 314) & (rows["expected_events"] >= 50)]
        name = f"{metric}_{method}".lower().replace(", ", "_").replace(" ", "_")
        for label, part in (("all", rows), ("314_patients_50_events", large)):
            if len(part):
                print(f"figure lowest_coverage_{label}_{name} {part['coverage'].min():.1f} percent")
    print(f"figure cells {len(table.drop_duplicates(list(table.columns[2:8])))} cells")


def main() -> None:
    """Run the cells that are not finished, write the table, print it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--n-simulations", type=int, default=500)
    parser.add_argument("--n-resamples", type=int, default=500)
    parser.add_argument("--cells", help="which, for example 'n_patients == 314 and n_ecgs == 1'")
    parser.add_argument("--aside", type=Path, default=Path("runs/coverage"), help="finished cells")
    parser.add_argument("--table", type=Path, default=TABLE)
    options = parser.parse_args()
    options.aside.mkdir(parents=True, exist_ok=True)
    cells = pd.DataFrame({"cell": all_cells()})
    cells = cells.join(pd.DataFrame([asdict(cell) for cell in cells["cell"]]))
    if options.cells:
        cells = cells.query(options.cells)
    for cell in tqdm(cells["cell"], desc="cells"):
        name = "_".join(str(value) for value in astuple(cell)).replace(" ", "-")
        path = options.aside / f"{options.n_simulations}_{name}.csv"
        if not path.exists():
            rows = simulate(
                cell, n_simulations=options.n_simulations, n_resamples=options.n_resamples
            )
            rows.to_csv(path.with_suffix(".part"), index=False)
            path.with_suffix(".part").rename(path)
    table = finished(options.aside, options.n_simulations)
    table.to_csv(options.table, index=False)
    report(table)


if __name__ == "__main__":
    main()
