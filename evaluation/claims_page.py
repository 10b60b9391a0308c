"""Sentences one would like to write, and whether this run's numbers carry them.

Every sentence has its rule here, fixed before any numbers are seen; with fewer than ten patients
with or without the event no sentence is carried. *Not supported* means that the numbers speak
against it, *inconclusive* that they do not decide: an interval that covers zero is not evidence of
no difference.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from evaluation.claims import ADDS, DOES_NOT_ADD, INCONCLUSIVE, MIN_EVENTS, judge
from evaluation.pairs import PRIMARY_METRIC, difference_of
from evaluation.style import variant_style
from evaluation.summary import EvaluationSettings

SUPPORTED, NOT_SUPPORTED, NOT_ASSESSED = "supported", "not supported", "not assessed"
_VERDICTS = {ADDS: SUPPORTED, DOES_NOT_ADD: NOT_SUPPORTED, INCONCLUSIVE: INCONCLUSIVE}
# A slope or ratio of events within these limits would hardly change a decision; Van Calster et al.
# 2019 (doi 10.1186/s12916-019-1466-7) give no limits, so these are ours.
CALIBRATED = (0.8, 1.25)


def claims_page(
    tables: Mapping[str, pd.DataFrame],
    settings: EvaluationSettings,
    *,
    n_seeds: int = 1,
) -> pd.DataFrame:
    """Return the sentences with their verdicts.

    Parameters
    ----------
    tables : mapping of str to DataFrame
        `metrics, comparisons, claims, decision_curve` of :func:`evaluation.summary.evaluate`, of
        one target.
    settings : EvaluationSettings
        Those it was made with.
    n_seeds : int
        Trainings of each network with other seeds.

    Returns
    -------
    pandas.DataFrame
        `sentence, verdict, evidence`; the declared comparison first.
    """
    metrics = tables["metrics"]
    metrics = metrics[(metrics["level"] == "patient") & (metrics["subgroup"] == "all")]
    rows = [_declared(tables, settings)]
    rows += _other_pairs(tables["comparisons"], settings)
    for variant, part in metrics.groupby("variant", sort=False):
        found = part.drop_duplicates("metric").set_index("metric")
        label = variant_style(str(variant))["label"]
        curve = tables["decision_curve"]
        curve = curve[(curve["variant"] == variant) & (curve["strategy"] == "model")]
        few = min(found["n_events"].iloc[0], (found["n"] - found["n_events"]).iloc[0]) < MIN_EVENTS
        of_variant = [
            _above_chance(label, found.loc["auroc_mean_within_fold"], settings.margin),
            _calibrated(label, found.loc["calibration_slope"], found.loc["o_e"]),
            *_useful(label, curve, settings.comparison_risks),
        ]
        rows += [(s, INCONCLUSIVE if few else v, e) for s, v, e in of_variant]
    rows += _beyond(n_seeds)
    return pd.DataFrame(rows, columns=["sentence", "verdict", "evidence"])


def _declared(tables: Mapping[str, pd.DataFrame], settings: EvaluationSettings):
    claim = tables["claims"].iloc[0]
    new, reference = (variant_style(claim[side])["label"] for side in ("new", "reference"))
    verdict = _VERDICTS.get(claim["verdict"], NOT_ASSESSED)
    primary = tables["comparisons"]
    primary = primary[primary["is_primary"].astype(bool)]
    evidence = _numbers(primary.iloc[0], "AUROC difference") if len(primary) else claim["sentence"]
    sentence = f"{new} adds to {reference} (the declared comparison, margin {settings.margin:g})."
    return sentence, verdict, evidence


def _other_pairs(comparisons: pd.DataFrame, settings: EvaluationSettings) -> list[tuple]:
    rows = []
    declared = (settings.new_variant, settings.reference_variant)
    is_declared = (comparisons[["new", "reference"]] == declared).all(axis=1)
    is_other = (comparisons["metric"] == PRIMARY_METRIC) & ~is_declared
    for _, row in comparisons[is_other].drop_duplicates(["new", "reference"]).iterrows():
        claim = judge(difference_of(row), margin=settings.margin, confidence=settings.confidence)
        new, reference = (variant_style(row[side])["label"] for side in ("new", "reference"))
        sentence = f"{new} tells patients apart better than {reference}."
        rows.append((sentence, _VERDICTS[claim.verdict], _numbers(row, "AUROC difference")))
    for _, row in comparisons[comparisons["metric"] == "odds_ratio_per_sd"].iterrows():
        new, reference = (variant_style(row[side])["label"] for side in ("new", "reference"))
        sentence = f"The score of {new} carries information that {reference} has not."
        is_shown = row["p_value"] < 1 - settings.confidence and row["estimate"] > 1
        evidence = _numbers(row, "odds ratio per standard deviation", signed=False)
        evidence += f", p {row['p_value']:.3f}" if np.isfinite(row["p_value"]) else ""
        rows.append((sentence, SUPPORTED if is_shown else INCONCLUSIVE, evidence))
    return rows


def _above_chance(label: str, row: pd.Series, margin: float):
    verdict = INCONCLUSIVE
    if row["ci_low"] > 0.5:
        verdict = SUPPORTED
    elif row["ci_high"] < 0.5 + margin:
        verdict = NOT_SUPPORTED
    sentence = f"{label} tells patients with and without the event apart better than chance."
    return sentence, verdict, _numbers(row, "AUROC", signed=False)


def _calibrated(label: str, slope: pd.Series, ratio: pd.Series):
    verdict = INCONCLUSIVE
    bounds = np.array([[row["ci_low"], row["ci_high"]] for row in (slope, ratio)], dtype=float)
    if ((bounds[:, 0] > 1) | (bounds[:, 1] < 1)).any():
        verdict = NOT_SUPPORTED
    elif ((bounds[:, 0] >= CALIBRATED[0]) & (bounds[:, 1] <= CALIBRATED[1])).all():
        verdict = SUPPORTED
    names = ("calibration slope", "observed to expected events")
    evidence = [_numbers(*pair, signed=False) for pair in zip((slope, ratio), names, strict=True)]
    return f"The risks of {label} mean what they say.", verdict, "; ".join(evidence)


def _useful(label: str, curve: pd.DataFrame, risks) -> list[tuple]:
    """Return the sentences on net benefit, each at the declared risks that the curve holds."""
    nearest = curve[np.isin(curve["threshold"].round(6), np.round(risks, 6))]
    if nearest.empty:
        return []
    peers = {"": "nobody", "minus_all": "everybody", "minus_rule": "by the simple rule"}
    rows = []
    for column, whom in peers.items():
        low, high = (
            nearest[f"{column}{end}" if column else f"ci{end}"] for end in ("_low", "_high")
        )
        if low.isna().all():
            continue
        verdict = INCONCLUSIVE
        if (low > 0).all():
            verdict = SUPPORTED
        elif (high <= 0).all():
            verdict = NOT_SUPPORTED
        gains = nearest[column or "net_benefit"]
        evidence = "; ".join(
            f"at {risk:.0%}: {gain:+.3f} ({a:+.3f} to {b:+.3f})"
            for risk, gain, a, b in zip(nearest["threshold"], gains, low, high, strict=True)
        )
        sentence = f"Treating by {label} does more good than treating {whom}."
        rows.append((sentence, verdict, "net benefit difference " + evidence))
    return rows


def _beyond(n_seeds: int) -> list[tuple]:
    again = "A network trained again with another seed would say the same."
    rows = [
        (
            "The same holds in another hospital.",
            NOT_ASSESSED,
            "needs patients from elsewhere: python -m workflow validate",
        ),
        (
            "Deciding by this model helps patients.",
            NOT_ASSESSED,
            "no analysis of recorded patients can show it: that takes a trial",
        ),
    ]
    if n_seeds == 1:
        rows.insert(0, (again, NOT_ASSESSED, "trained once; intervals are for these trainings"))
    return rows


def _numbers(row: pd.Series, name: str, *, signed: bool = True) -> str:
    sign = "+" if signed else ""
    if not np.isfinite(row["estimate"]):
        return f"{name} not estimable"
    text = f"{name} {row['estimate']:{sign}.2f}"
    if np.isfinite(row["ci_low"]):
        text += f" ({row['ci_low']:{sign}.2f} to {row['ci_high']:{sign}.2f})"
    return f"{text}, {int(row['n_events'])} events in {int(row['n'])} patients"
