"""Every pair of variants, and the verdict on the one comparison that was declared beforehand."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from evaluation.added_value import added_value
from evaluation.claims import ADDS, INCONCLUSIVE, Difference, events_warning, judge
from evaluation.comparison import compare_variants
from evaluation.subgroups import adjusted

if TYPE_CHECKING:
    from evaluation.summary import EvaluationSettings

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
    "q_value",
    "n",
    "n_events",
)
CLAIM_COLUMNS = ("target", "new", "reference", "margin", "verdict", "sentence", "warning")


def compare_all(
    test: pd.DataFrame, settings: EvaluationSettings
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the paired differences of all variants, and the claim of each target.

    Parameters
    ----------
    test : pandas.DataFrame
        Test patients of all targets and variants.
    settings : EvaluationSettings
        With the declared comparison and its margin.

    Returns
    -------
    comparisons, claims : pandas.DataFrame
        With several targets `q_value` holds the p-values (DeLong, pooled) of the declared
        comparison, adjusted for the number of targets (Benjamini & Hochberg), and *adds* needs one
        below 1 - confidence as well.
    """
    tables, claims = [], []
    for target, rows in test.groupby("target", sort=False):
        found = _of_target(rows, settings).assign(target=target)
        tables.append(found)
        primary = found[found["is_primary"]]
        claims.append(_claim(rows, primary, settings) | {"target": target})
    comparisons = pd.concat(tables, ignore_index=True).reindex(columns=list(COMPARISON_COLUMNS))
    verdicts = pd.DataFrame(claims, columns=list(CLAIM_COLUMNS))
    if len(claims) > 1:
        _adjust_for_targets(comparisons, verdicts, settings)
    return comparisons, verdicts


def _of_target(rows: pd.DataFrame, settings: EvaluationSettings) -> pd.DataFrame:
    by_variant = dict(tuple(rows.groupby("variant", sort=False)))
    primary = (settings.new_variant, settings.reference_variant)
    tables = [pd.DataFrame({"is_primary": pd.Series(dtype=bool)})]
    for reference, new in combinations(by_variant, 2):
        pair = primary if {new, reference} == set(primary) else (new, reference)
        sides = [by_variant[name] for name in pair]
        risks = settings.comparison_risks
        parts = [compare_variants(*sides, plan=settings.plan, risk_thresholds=risks)]
        if pair[1] == settings.reference_variant:
            level = settings.reclassification_risk
            parts.append(added_value(*sides, plan=settings.plan, reclassification_risk=level))
        table = pd.concat(parts, ignore_index=True)
        # Of several intervals of the difference the first is judged.
        is_primary = (table.index == 0) & (pair == primary)
        tables.append(table.assign(new=pair[0], reference=pair[1], is_primary=is_primary))
    return pd.concat(tables[1:] or tables, ignore_index=True)


def _claim(rows: pd.DataFrame, primary: pd.DataFrame, settings: EvaluationSettings) -> dict:
    new, reference = settings.new_variant, settings.reference_variant
    claim = {"new": new, "reference": reference, "margin": settings.margin}
    if primary.empty:
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
    row = primary.iloc[0]
    verdict = judge(difference_of(row), margin=settings.margin, confidence=settings.confidence)
    return claim | vars(verdict)


def difference_of(row: pd.Series) -> Difference:
    """Return a row of the comparisons as the difference that the rule judges."""
    return Difference(
        row["new"],
        row["reference"],
        estimate=float(row["estimate"]),
        ci_low=float(row["ci_low"]),
        ci_high=float(row["ci_high"]),
        n=int(row["n"]),
        n_events=int(row["n_events"]),
    )


def _adjust_for_targets(
    comparisons: pd.DataFrame, claims: pd.DataFrame, settings: EvaluationSettings
) -> None:
    is_test = (
        (comparisons["metric"] == "delta_auroc_pooled")
        & comparisons["p_value"].notna()
        & (comparisons["new"] == settings.new_variant)
        & (comparisons["reference"] == settings.reference_variant)
    )
    comparisons.loc[is_test, "q_value"] = adjusted(comparisons.loc[is_test, "p_value"])
    q_of = comparisons[is_test].set_index("target")["q_value"]
    for index, claim in claims.iterrows():
        q_value = q_of.get(claim["target"], np.nan)
        if claim["verdict"] == ADDS and not q_value < 1 - settings.confidence:
            claims.loc[index, "verdict"] = INCONCLUSIVE
            claims.loc[index, "sentence"] = (
                f"Inconclusive after looking at {len(claims)} targets (adjusted p {q_value:.3f}). "
                f"Alone: {claim['sentence']}"
            )
