"""How often the 95 % intervals of the evaluation hold the truth, in simulated cohorts.

    python benchmarks/coverage.py

A cell is a number of patients, a prevalence, a number of ECGs a patient, a true AUROC and a
spread. Scores are binormal: N(0, 1) without the event, N(d, spread) with it, so that the logit of
the true risk is linear in the score (at spread 1) and every truth is known in closed form or by
quadrature. The risks that are scored are overconfident on purpose (true calibration slope 0.8):
an ICI whose truth is 0 could not be covered. With several ECGs, record scores share 0.8 of their
variance within a patient, and the patient's score is their mean. A reference score with an AUROC
lower by 0.05 and correlation 0.5 serves the paired differences. Folds hold events evenly; no model
is refitted, as the intervals are conditional on the fitted models. Cohorts with fewer than two
events are drawn again. Finished cells are kept in a folder aside: a second call goes on.
"""

from __future__ import annotations

import argparse
import zlib
from dataclasses import asdict, astuple, dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.optimize import brentq
from scipy.special import expit, logit, ndtri, stdtrit
from scipy.stats import norm
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

SLOPE, N_FOLDS, CORRELATION, INTRA_PATIENT = 0.8, 5, 0.5, 0.8
TABLE = Path(__file__).resolve().parents[1] / "evaluation" / "coverage.csv"


@dataclass(frozen=True)
class Cell:
    """One situation of the study, with its truths."""

    n_patients: int
    prevalence: float
    n_ecgs: int
    auroc: float
    spread: float = 1.0
    is_full: bool = False  # with calibration line and ICI, which are slow

    @cached_property
    def shift(self) -> float:
        """Distance of the two means, in standard deviations of scores without the event."""
        return ndtri(self.auroc) * np.sqrt(1 + self.spread**2)

    @cached_property
    def reference_auroc(self) -> float:
        """AUROC of the score that the paired differences compare with."""
        return max(0.5, self.auroc - 0.05)

    def risk(self, score: np.ndarray, shift: float) -> np.ndarray:
        """Return the overconfident risk of a score: logits are stretched about the prevalence."""
        return expit(logit(self.prevalence) + (shift * score - shift**2 / 2) / SLOPE)

    @cached_property
    def truth(self) -> dict[str, float]:
        """The value that each interval should hold."""
        values = self._truths_of(self.shift)
        reference = self._truths_of(ndtri(self.reference_auroc) * np.sqrt(2))
        records = self.shift * np.sqrt(INTRA_PATIENT + (1 - INTRA_PATIENT) / self.n_ecgs)
        gap = self.auroc - self.reference_auroc
        return values | {
            "auroc_pooled": self.auroc,
            "auroc_mean_within_fold": self.auroc,
            "auroc_records": float(norm.cdf(records / np.sqrt(2))),
            "delta_auroc_pooled": gap,
            "delta_auroc_mean_within_fold": gap,
            "delta_brier": values["brier"] - reference["brier"],
            "delta_net_benefit": values["net_benefit"] - reference["net_benefit"],
        }

    def _truths_of(self, shift: float) -> dict[str, float]:
        x = np.linspace(-9, 9 + shift, 40_001)
        step, share = x[1] - x[0], self.prevalence
        events, controls = share * norm.pdf(x - shift) * step, (1 - share) * norm.pdf(x) * step
        risk, everybody = self.risk(x, shift), events + controls
        cut = shift / 2  # where the risk is the prevalence
        tp, fp = share * norm.sf(cut - shift), (1 - share) * norm.sf(cut)
        above = share * norm.sf(x - shift)
        error = np.abs(events / everybody - risk)
        order = np.argsort(error)
        reached = np.cumsum(everybody[order])
        brier = float((events * (1 - risk) ** 2 + controls * risk**2).sum())
        stretched = logit(risk)

        def gap(a: float) -> float:
            return float((everybody * expit(a + stretched)).sum() - share)

        return {
            "prevalence": share,
            "sensitivity": tp / share,
            "specificity": 1 - fp / (1 - share),
            "ppv": tp / (tp + fp),
            "npv": (1 - share - fp) / (1 - tp - fp),
            "auprc": float((events / share * above / (above + (1 - share) * norm.sf(x))).sum()),
            "brier": brier,
            "scaled_brier": 1 - brier / (share * (1 - share)),
            "o_e": share / float((everybody * risk).sum()),
            "net_benefit": tp - fp * share / (1 - share),
            "calibration_slope": SLOPE,
            "calibration_intercept": brentq(gap, -5, 5),
            "ici": float((everybody * error).sum()),
            "e50": float(error[order][np.searchsorted(reached, 0.5)]),
            "e90": float(error[order][np.searchsorted(reached, 0.9)]),
        }


@dataclass(frozen=True)
class Cohort:
    """One simulated cohort, a row a patient; `records` holds the scores of its ECGs."""

    y_true: np.ndarray
    score: np.ndarray
    reference: np.ndarray
    folds: np.ndarray
    records: np.ndarray


def draw_cohort(cell: Cell, rng: np.random.Generator) -> Cohort:
    """Return one cohort with at least two events."""
    y_true = np.zeros(cell.n_patients, dtype=np.int8)
    while y_true.sum() < 2:
        y_true = (rng.random(cell.n_patients) < cell.prevalence).astype(np.int8)
    size = cell.n_patients
    shared, other = rng.normal(size=(2, size))
    noise = rng.normal(size=(size, cell.n_ecgs)) * np.sqrt(1 - INTRA_PATIENT)
    # In units of the patient's mean, whose spread is then 1 for any number of ECGs.
    records = np.sqrt(INTRA_PATIENT) * shared[:, None] + noise
    records /= np.sqrt(INTRA_PATIENT + (1 - INTRA_PATIENT) / cell.n_ecgs)
    reference = CORRELATION * records.mean(axis=1) + np.sqrt(1 - CORRELATION**2) * other
    reference += ndtri(cell.reference_auroc) * np.sqrt(2) * y_true
    records *= np.where(y_true == 1, cell.spread, 1)[:, None]
    records += cell.shift * y_true[:, None]
    folds = np.empty(size, dtype=np.int64)
    for label in (0, 1):
        rows = rng.permutation(np.flatnonzero(y_true == label))
        folds[rows] = np.arange(rows.size) % N_FOLDS
    return Cohort(y_true, records.mean(axis=1), reference, folds, records)


class Bounds:
    """Intervals of one cohort: (metric, method) -> (low, high)."""

    def __init__(self, plan: BootstrapPlan):
        self.plan = plan
        self.of: dict[tuple[str, str], tuple[float, float]] = {}

    def bootstrap(self, statistics: dict, clusters, *, strata=None, name="bootstrap", bca=True):
        """Percentile and BCa intervals of statistics that share their resamples."""

        def columns(weights):
            return np.column_stack([statistic(weights) for statistic in statistics.values()])

        estimates = columns(np.ones((1, clusters.size)))[0]
        draws = bootstrap_draws(columns, clusters, plan=self.plan, strata=strata)
        left_out = patient_jackknife(columns, clusters, estimates.size) if bca else None
        metrics = [m for key in statistics for m in key.split(",")]
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


def discrimination_bounds(bounds: Bounds, cohort: Cohort) -> None:
    """AUROC pooled and within folds, and their paired differences."""
    y, both = cohort.y_true, np.column_stack([cohort.score, cohort.reference])
    rows, n_events = np.arange(y.size), int(y.sum())
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
    for metric, folds in (("auroc_pooled", None), (name, cohort.folds)):
        auc, covariance = delong_covariance(y, both, folds=folds)
        bounds.auroc(metric, auc, covariance, n_events, y.size - n_events)


def risk_bounds(bounds: Bounds, cohort: Cohort, cell: Cell) -> None:
    """Everything that needs a risk: proportions, Brier, calibration, net benefit."""
    y, rows = cohort.y_true, np.arange(cohort.y_true.size)
    risk = cell.risk(cohort.score, cell.shift)
    old = cell.risk(cohort.reference, ndtri(cell.reference_auroc) * np.sqrt(2))
    at = [cell.prevalence]
    benefit, benefit_old = (net_benefit_statistic(y, value, at) for value in (risk, old))
    statistics = {
        "auprc": average_precision_statistic(y, risk),
        "brier": brier_statistic(y, risk),
        "scaled_brier": scaled_brier_statistic(y, risk),
        "o_e": observed_expected_statistic(y, risk),
        "net_benefit": benefit,
        "delta_brier": difference(brier_statistic(y, risk), brier_statistic(y, old)),
        "delta_net_benefit": difference(benefit, benefit_old),
    }
    bounds.bootstrap(statistics, rows)
    if cell.is_full:
        statistics = {
            "calibration_intercept,calibration_slope": calibration_line_statistic(y, risk),
            "ici,e50,e90": calibration_error_statistic(y, risk),
        }
        bounds.bootstrap(statistics, rows, bca=y.size < 1000)
        line = calibration_line(y, risk)
        bounds.of["calibration_slope", "Wald"] = line.slope_low, line.slope_high
        bounds.of["calibration_intercept", "Wald"] = line.intercept_low, line.intercept_high
    positive, event = risk >= cell.prevalence, y == 1
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


def simulate(cell: Cell, *, n_simulations: int, n_resamples: int) -> pd.DataFrame:
    """Return coverage and width of every interval in one cell."""
    rng = np.random.default_rng([zlib.crc32(repr(astuple(cell)).encode())])
    found: dict[tuple[str, str], list] = {}
    for number in tqdm(range(n_simulations), desc="simulations", leave=False):
        cohort = draw_cohort(cell, rng)
        bounds = Bounds(BootstrapPlan(n_resamples, seed=number))
        discrimination_bounds(bounds, cohort)
        if cell.n_ecgs > 1:
            record_bounds(bounds, cohort)
        elif cell.spread == 1:
            risk_bounds(bounds, cohort, cell)
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


def all_cells() -> list[Cell]:
    """Return the cells, those that carry most first, so that an unfinished study is of use."""
    core = [(314, 0.17), (63, 0.17), (63, 0.10), (314, 0.05), (125, 0.10)]
    others = [(63, 0.3), (125, 0.05), (125, 0.17), (125, 0.3), (314, 0.10), (314, 0.3)]
    aurocs = (0.85, 0.75, 0.95, 0.65, 0.55)
    cells = [Cell(*pair, 1, auroc, is_full=auroc == 0.85) for auroc in aurocs[:3] for pair in core]
    cells += [Cell(63, 0.17, 5, 0.75), Cell(314, 0.17, 5, 0.75), Cell(1000, 0.05, 1, 0.75)]
    cells += [Cell(314, 0.17, 1, auroc, spread=1.5) for auroc in (0.75, 0.95)]
    cells += [Cell(2000, 0.05, 1, 0.75), Cell(1000, 0.05, 1, 0.95)]
    for auroc in aurocs:
        cells += [Cell(*pair, 1, auroc, is_full=auroc in (0.65, 0.85)) for pair in core]
        cells += [Cell(*pair, 1, auroc, is_full=auroc in (0.65, 0.85)) for pair in others]
        for pair in core:
            cells += [Cell(*pair, 5, auroc), Cell(*pair, 1, auroc, spread=1.5)]
        for pair in ((1000, 0.05), (1000, 0.17), (2000, 0.05), (2000, 0.17)):
            cells.append(Cell(*pair, 1, auroc, is_full=pair == (1000, 0.05) and auroc == 0.85))
    cells += [Cell(1000, 0.17, 5, 0.75), Cell(2000, 0.05, 5, 0.75)]
    return list(dict.fromkeys(cells))


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
        name = "_".join(f"{value:g}" for value in astuple(cell))
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
