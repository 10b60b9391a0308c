"""From predictions to all tables of the evaluation: :func:`evaluate`."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd

from evaluation import curves
from evaluation.claims import Difference, events_warning, judge
from evaluation.comparison import compare_variants
from evaluation.metrics import (
    calibration_rows,
    decision_rows,
    discrimination_rows,
    metrics_frame,
    record_rows,
)
from evaluation.net_benefit import as_risk_thresholds
from evaluation.resampling import BootstrapPlan
from evaluation.samples import ScoredRows
from evaluation.scores import TRAINING_ROLES, patient_scores
from evaluation.thresholds import apply_thresholds, check_rule, choose_thresholds

PRIMARY_METRIC = "delta_auroc_mean_within_fold"
NOT_ASSESSED = "not assessed"
COMPARISON_COLUMNS = (
    "target",
    "new",
    "reference",
    "is_primary",
    "metric",
    "method",
    "threshold",
    "estimate",
    "ci_low",
    "ci_high",
    "p_value",
    "n",
    "n_events",
)


@dataclass(frozen=True)
class EvaluationSettings:
    """What is declared before the evaluation; nothing here may follow from its results."""

    seed: int = 0  # of the bootstrap
    n_resamples: int = 2000  # 2000 or more for a report
    confidence: float = 0.95  # of every interval
    interval: str = "bca"  # bca or percentile, of scalar bootstrap intervals
    threshold_rule: str = "youden"  # youden, sensitivity or specificity, on training folds
    threshold_target: float | None = None  # for the last two, for example 0.9
    risk_low: float = 0.05  # decision curve: lowest risk at which one might act
    risk_high: float = 0.5  # and the highest
    risk_step: float = 0.01
    comparison_risks: tuple[float, ...] = (0.1, 0.2, 0.3)  # where net benefit is compared
    new_variant: str = "ecg_covariates"  # the one primary comparison
    reference_variant: str = "clinical"
    margin: float = 0.05  # smallest difference in AUROC worth having
    n_bins: int = 20  # of the risk histogram

    def __post_init__(self):
        check_rule(self.threshold_rule, self.threshold_target)
        as_risk_thresholds(self.comparison_risks or (0.5,))
        if not 0 < self.risk_low < self.risk_high < 1 or not self.risk_step > 0:
            raise ValueError(
                "risk_low, risk_high and risk_step must satisfy 0 < low < high < 1 and step > 0, "
                f"got {self.risk_low:g}, {self.risk_high:g}, {self.risk_step:g}. "
                "Declare the risks between which the decision is open."
            )
        if not self.margin > 0:
            raise ValueError(
                f"margin must be above 0, got {self.margin:g}. Declare the smallest difference "
                "in AUROC that would change practice."
            )
        if self.n_bins < 2:
            raise ValueError(f"n_bins must be at least 2, got {self.n_bins}. Use 20.")
        _ = self.plan

    @property
    def plan(self) -> BootstrapPlan:
        """The bootstrap plan these settings ask for."""
        return BootstrapPlan(self.n_resamples, self.confidence, self.interval, self.seed)

    @property
    def risk_thresholds(self) -> np.ndarray:
        """Risks of the decision curve, shape (n_thresholds,)."""
        n_steps = int(round((self.risk_high - self.risk_low) / self.risk_step, 6))
        return as_risk_thresholds(self.risk_low + self.risk_step * np.arange(n_steps + 1))

    @property
    def rule_text(self) -> str:
        """The threshold rule in words."""
        if self.threshold_rule == "youden":
            return "threshold: Youden index on training-fold scores"
        return f"threshold: {self.threshold_rule} {self.threshold_target:g} on training-fold scores"


def evaluate(
    predictions: pd.DataFrame,
    settings: EvaluationSettings,
    *,
    thresholds: pd.DataFrame | None = None,
) -> dict[str, pd.DataFrame]:
    """Return every table of the evaluation.

    Patients are scored once (mean logit of their records) before anything is measured. With
    several repeats every metric is the mean over repeats, and a resample draws a patient with
    the rows of all repeats.

    Parameters
    ----------
    predictions : pandas.DataFrame
        Predictions of all variants, concatenated; one row a record x repeat x fold x role x
        variant x target.
    settings : EvaluationSettings
        Declared beforehand.
    thresholds : pandas.DataFrame, optional
        Thresholds that were fixed before, of a frozen model, in the layout of
        :func:`evaluation.thresholds.choose_thresholds`; then no training rows are needed.

    Returns
    -------
    dict of pandas.DataFrame
        `metrics` (`variant, target, level, subgroup, metric, method, threshold, estimate, ci_low,
        ci_high, n, n_events`), `comparisons`, `claims`, `thresholds`, `patients` (test scores and
        decisions), `roc`, `precision_recall`, `calibration_curve`, `decision_curve`,
        `risk_histogram`. All start with `target` and `variant` (or `new, reference`).

    Raises
    ------
    ValueError
        If the predictions are malformed or leak, if there are no test rows, or if two variants
        hold different test patients.
    """
    patients = patient_scores(predictions)
    is_test = patients["role"] == "test"
    if not is_test.any():
        raise ValueError(
            "predictions must hold rows with role 'test', got none. Write the test predictions "
            "of stage 02."
        )
    if thresholds is None:
        thresholds = choose_thresholds(
            patients[patients["role"].isin(TRAINING_ROLES)],
            rule=settings.threshold_rule,
            target=settings.threshold_target,
        )
    test = apply_thresholds(patients[is_test], thresholds)
    test = _in_order_of(predictions, test)
    records = predictions[predictions["role"] == "test"]
    collected: dict[str, list[pd.DataFrame]] = {}
    for (target, variant), rows in test.groupby(["target", "variant"], sort=False):
        of_key = (records["target"] == target) & (records["variant"] == variant)
        tables = _variant_tables(ScoredRows(rows), ScoredRows(records[of_key]), settings)
        for name, table in tables.items():
            collected.setdefault(name, []).append(
                _with_first_columns(table, variant=variant, target=target)
            )
    result = {name: pd.concat(parts, ignore_index=True) for name, parts in collected.items()}
    comparisons, claims = _compare(test, settings)
    return result | {
        "comparisons": comparisons,
        "claims": claims,
        "thresholds": thresholds,
        "patients": test,
    }


def _in_order_of(predictions: pd.DataFrame, test: pd.DataFrame) -> pd.DataFrame:
    # The report keeps the order of the predictions, not that of the alphabet.
    keys = predictions[["target", "variant"]].drop_duplicates().reset_index(drop=True)
    rank = test[["target", "variant"]].merge(keys.reset_index(), how="left")["index"]
    return test.iloc[np.argsort(rank.to_numpy(), kind="stable")].reset_index(drop=True)


def _with_first_columns(table: pd.DataFrame, **values) -> pd.DataFrame:
    others = [name for name in table.columns if name not in values]
    return table.assign(**values)[[*values, *others]]


def _variant_tables(
    sample: ScoredRows, records: ScoredRows, settings: EvaluationSettings
) -> dict[str, pd.DataFrame]:
    plan = settings.plan
    rows = discrimination_rows(sample, plan)
    rows += decision_rows(sample, plan, rule=settings.rule_text)
    rows += calibration_rows(sample, plan)
    by_level = [
        _with_first_columns(metrics_frame(part), level=level, subgroup="all")
        for level, part in (("patient", rows), ("record", record_rows(records, plan)))
    ]
    metrics = pd.concat(by_level, ignore_index=True)
    return {
        "metrics": metrics,
        "roc": curves.roc_table(sample),
        "precision_recall": curves.precision_recall_table(sample),
        "calibration_curve": curves.calibration_table(sample, plan),
        "decision_curve": curves.decision_table(sample, plan, thresholds=settings.risk_thresholds),
        "risk_histogram": curves.histogram_table(sample, n_bins=settings.n_bins),
    }


def _compare(test: pd.DataFrame, settings: EvaluationSettings):
    comparisons, claims = [], []
    for target, rows in test.groupby("target", sort=False):
        by_variant = dict(tuple(rows.groupby("variant", sort=False)))
        primary = (settings.new_variant, settings.reference_variant)
        primary_row = None
        for reference, new in combinations(by_variant, 2):
            pair = primary if {new, reference} == set(primary) else (new, reference)
            table = compare_variants(
                by_variant[pair[0]],
                by_variant[pair[1]],
                plan=settings.plan,
                risk_thresholds=settings.comparison_risks,
            )
            is_primary = (table["metric"] == PRIMARY_METRIC) & (pair == primary)
            if is_primary.any():
                primary_row = table[is_primary].iloc[0]
            comparisons.append(
                table.assign(target=target, new=pair[0], reference=pair[1], is_primary=is_primary)[
                    list(COMPARISON_COLUMNS)
                ]
            )
        claims.append(_claim(rows, primary_row, settings) | {"target": target})
    columns = ["target", "new", "reference", "margin", "verdict", "sentence", "warning"]
    frame = pd.DataFrame(columns=COMPARISON_COLUMNS)
    if comparisons:
        frame = pd.concat(comparisons, ignore_index=True)
    return frame, pd.DataFrame(claims)[columns]


def _claim(rows: pd.DataFrame, primary_row, settings: EvaluationSettings) -> dict:
    new, reference = settings.new_variant, settings.reference_variant
    claim = {"new": new, "reference": reference, "margin": settings.margin}
    if primary_row is None:
        present = list(rows["variant"].unique())
        counts = rows.drop_duplicates("patient_id")["y_true"]
        return claim | {
            "verdict": NOT_ASSESSED,
            "sentence": (
                f"Whether {new} adds to {reference} was not assessed: there are predictions of "
                f"{', '.join(present)} only."
            ),
            "warning": events_warning(int(counts.sum()), len(counts)),
        }
    seen = Difference(
        new,
        reference,
        estimate=float(primary_row["estimate"]),
        ci_low=float(primary_row["ci_low"]),
        ci_high=float(primary_row["ci_high"]),
        n=int(primary_row["n"]),
        n_events=int(primary_row["n_events"]),
    )
    verdict = judge(seen, margin=settings.margin, confidence=settings.confidence)
    return claim | vars(verdict)
