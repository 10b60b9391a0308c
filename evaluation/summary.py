"""From predictions to all tables of the evaluation: :func:`evaluate`."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from evaluation import curves
from evaluation.metrics import (
    calibration_rows,
    decision_rows,
    discrimination_rows,
    metrics_frame,
    record_rows,
)
from evaluation.net_benefit import as_risk_thresholds
from evaluation.operating_points import explorer_table, operating_points
from evaluation.pairs import compare_all
from evaluation.resampling import BootstrapPlan
from evaluation.samples import ScoredRows
from evaluation.scores import TRAINING_ROLES, known_at_horizon, patient_scores
from evaluation.subgroups import subgroup_rows
from evaluation.thresholds import apply_thresholds, check_rule, choose_thresholds
from evaluation.trust import NOMINAL, trust_table


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
    reclassification_risk: float | None = None  # risk of IDI and reclassification; None: not made
    explored_risks: tuple[float, ...] = (0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4)  # of the explorer
    least_events: int = 10  # with and without the event, for a subgroup to be analysed
    n_bins: int = 20  # of the risk histogram

    def __post_init__(self):
        check_rule(self.threshold_rule, self.threshold_target)
        for risks in (self.comparison_risks, self.explored_risks):
            as_risk_thresholds(risks or (0.5,))
        if self.reclassification_risk is not None:
            as_risk_thresholds(self.reclassification_risk)
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

    @classmethod
    def declared(cls, **parameters) -> EvaluationSettings:
        """Return the settings among a notebook's parameters; 0 stands for "not used" there."""
        names = cls.__dataclass_fields__
        values = {name: value for name, value in parameters.items() if name in names}
        if not values.get("reclassification_risk"):
            values["reclassification_risk"] = None
        return cls(**values)

    @property
    def plan(self) -> BootstrapPlan:
        """The bootstrap plan these settings ask for."""
        return BootstrapPlan(self.n_resamples, self.confidence, self.interval, self.seed)

    @property
    def secondary_plan(self) -> BootstrapPlan:
        """The plan of analyses that nothing is decided by: at most 1,000 resamples, for time."""
        return replace(self.plan, n_resamples=min(self.n_resamples, 1000))

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
    rule: tuple[str, pd.Series] | None = None,
    subgroups: pd.DataFrame | None = None,
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
    rule : tuple of str and Series, optional
        A simple clinical rule for the decision curve; see
        :func:`evaluation.net_benefit.limit_rule`.
    subgroups : pandas.DataFrame, optional
        Labels by patient; see :func:`evaluation.subgroups.subgroup_labels`.
    thresholds : pandas.DataFrame, optional
        Thresholds that were fixed before, of a frozen model, in the layout of
        :func:`evaluation.thresholds.choose_thresholds`; then no training rows are needed.

    Returns
    -------
    dict of pandas.DataFrame
        `metrics` (`variant, target, level, subgroup, metric, method, threshold, estimate, ci_low,
        ci_high, n, n_events` and, at 95 %, `coverage, trust`: what a simulation says of such
        intervals), `comparisons`, `claims`, `thresholds`, `patients` (test scores and
        decisions), `roc`, `precision_recall`, `calibration_curve`, `decision_curve`,
        `risk_histogram`, `explorer`, `operating_points` (not with given thresholds), `subgroups`
        (also in `metrics`, without p-values). All start with `target` and
        `variant` (or `new, reference`).

    Raises
    ------
    ValueError
        If the predictions are malformed or leak, if there are no test rows, or if two variants
        hold different test patients.
    """
    predictions = known_at_horizon(predictions)
    patients = patient_scores(predictions)
    is_test = patients["role"] == "test"
    if not is_test.any():
        raise ValueError(
            "predictions must hold rows with role 'test', got none. Write the test predictions "
            "of stage 02."
        )
    chosen = {}
    if thresholds is None:
        thresholds = choose_thresholds(
            patients[patients["role"].isin(TRAINING_ROLES)],
            rule=settings.threshold_rule,
            target=settings.threshold_target,
        )
        chosen = {"operating_points": operating_points(patients, plan=settings.plan)}
    test = _in_order_of(predictions, apply_thresholds(patients[is_test], thresholds))
    records = predictions[predictions["role"] == "test"]
    collected: dict[str, list[pd.DataFrame]] = {}
    for (target, variant), rows in test.groupby(["target", "variant"], sort=False):
        of_key = (records["target"] == target) & (records["variant"] == variant)
        tables = _variant_tables(
            ScoredRows(rows), ScoredRows(records[of_key]), settings, rule, subgroups
        )
        for name, table in tables.items():
            collected.setdefault(name, []).append(
                _with_first_columns(table, variant=variant, target=target)
            )
    result = {name: pd.concat(parts, ignore_index=True) for name, parts in collected.items()}
    comparisons, claims = compare_all(test, settings)
    if settings.confidence == NOMINAL:
        result["metrics"], comparisons = (trust_table(t) for t in (result["metrics"], comparisons))
    result |= chosen
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
    sample: ScoredRows,
    records: ScoredRows,
    settings: EvaluationSettings,
    rule: tuple[str, pd.Series] | None,
    subgroups: pd.DataFrame | None,
) -> dict[str, pd.DataFrame]:
    plan = settings.plan
    rows = discrimination_rows(sample, plan)
    rows += decision_rows(sample, plan, rule=settings.rule_text)
    rows += calibration_rows(sample, plan)
    by_level = [
        _with_first_columns(metrics_frame(part), level=level, subgroup="all")
        for level, part in (("patient", rows), ("record", record_rows(records, plan)))
    ]
    tables = {}
    if subgroups is not None:
        least = settings.least_events
        tables["subgroups"] = subgroup_rows(sample.frame, subgroups, plan, least_events=least)
        if len(tables["subgroups"]):
            by_level.append(
                tables["subgroups"].drop(columns=["p_value", "q_value"]).assign(level="patient")
            )
    return tables | {
        "metrics": pd.concat(by_level, ignore_index=True),
        "explorer": explorer_table(sample, settings.explored_risks, plan),
        "roc": curves.roc_table(sample),
        "precision_recall": curves.precision_recall_table(sample),
        "calibration_curve": curves.calibration_table(sample, plan),
        "decision_curve": curves.decision_table(
            sample, plan, thresholds=settings.risk_thresholds, rule=rule
        ),
        "risk_histogram": curves.histogram_table(sample, n_bins=settings.n_bins),
    }
