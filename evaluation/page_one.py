"""The words of page one: what the numbers support, and what they cannot carry."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import pandas as pd

from evaluation.controls import control_warning
from evaluation.style import VARIANT_STYLES, variant_style
from evaluation.summary import EvaluationSettings

CHANCE = 0.5


def page_one(tables: Mapping[str, pd.DataFrame], settings: EvaluationSettings) -> dict[str, Any]:
    """Return the sentence of the primary comparison, the warnings, and what the intervals are.

    Parameters
    ----------
    tables : mapping of str to DataFrame
        From :func:`evaluation.summary.evaluate`, of one target; `controls` of
        :func:`evaluation.controls.control_table` where they were made.
    settings : EvaluationSettings
        Those it was made with.

    Returns
    -------
    dict
        ``verdict``, ``sentence``, ``margin``, ``warnings`` (list of sentences), ``intervals``.
    """
    claim = tables["claims"].iloc[0]
    metrics = tables["metrics"]
    primary = metrics[
        (metrics["metric"] == "auroc_mean_within_fold") & (metrics["level"] == "patient")
    ].drop_duplicates("variant")  # the first interval is the one to read
    warnings = [claim["warning"], _not_above_chance(primary), _few_events_a_fold(tables)]
    warnings.append(_not_trusted(primary))
    if "controls" in tables:
        warnings.append(control_warning(tables["controls"]))
    first = primary.iloc[0]
    return {
        "verdict": claim["verdict"],
        "sentence": with_labels(claim["sentence"]),
        "margin": settings.margin,
        "warnings": [text for text in warnings if text],
        "intervals": (
            f"{first['n']} patients, {first['n_events']} events. AUROC: mean within test folds. "
            f"{settings.confidence:.0%} intervals, conditional on the fitted models: they do not "
            "contain the spread between training runs. Sensitivity and specificity at "
            f"the {settings.rule_text}.{_repeats(tables)}"
        ),
    }


def with_labels(sentence: str) -> str:
    """Write the variants as the figures name them."""
    names = "|".join(sorted(VARIANT_STYLES, key=len, reverse=True))
    return re.sub(rf"\b({names})\b", lambda found: variant_style(found[1])["label"], sentence)


def _not_above_chance(primary: pd.DataFrame) -> str:
    """Name the variants whose interval reaches chance."""
    is_low = primary["ci_low"] <= CHANCE  # an interval that could not be made says nothing
    names = [variant_style(name)["label"] for name in primary.loc[is_low, "variant"]]
    if not names:
        return ""
    return (
        f"Not above chance in this run (interval not wholly above 0.5): {', '.join(names)}. Such a "
        "model has learnt little or nothing that shows here; its risks and maps carry no message."
    )


def _repeats(tables: Mapping[str, pd.DataFrame]) -> str:
    """Say which models were fitted in more than one repeat of the folds."""
    found = tables["patients"].groupby("variant", sort=False)["repeat"].nunique()
    texts = [
        f" {variant_style(str(name))['label']}: mean of {n} repeats of the folds."
        for name, n in found.items()
        if n > 1
    ]
    return "".join(texts)


def _not_trusted(primary: pd.DataFrame) -> str:
    """Say where the interval of the primary figure covers less than it says."""
    if "trust" not in primary:
        return ""
    return next((text for text in primary["trust"] if "too narrow" in text), "")


def _few_events_a_fold(tables: Mapping[str, pd.DataFrame]) -> str:
    """Say how few events the smallest test fold has."""
    patients = tables["patients"]
    per_fold = patients.groupby(["variant", "repeat", "fold"])["y_true"].sum()
    smallest = int(per_fold.min())
    if smallest >= 10:
        return ""
    return (
        f"The smallest test fold has {smallest} events: the AUROC of a single fold means little; "
        "only the mean over folds with its interval is to be read."
    )
