"""What each variant may see, and which variants a cohort cannot serve. Imports nothing heavy."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

# Age, LVEF, LGE presence and type, pathogenic variant: fixed before any data were seen.
PRESPECIFIED = ("age_years", "lvef_percent", "lge_present", "lge_pattern", "pathogenic_variant")


def prespecified_columns(columns: Sequence[str]) -> list[str]:
    """Return the encoded columns of the prespecified covariates that are there."""
    return [name for name in columns if name.split("=")[0] in PRESPECIFIED]


def skipped_variants(
    columns: Sequence[str], targets: Sequence[Mapping[str, Any]] = ()
) -> dict[str, str]:
    """Return the variants a cohort cannot serve, with the reason.

    Parameters
    ----------
    columns : sequence of str
        Encoded covariates of the cohort.
    targets : sequence of mappings
        ``kind`` of what is predicted.
    """
    found: dict[str, str] = {}
    if "age_years" not in columns:
        found["ecg_age"] = "the cohort has no age."
    if not columns:
        found["ecg_covariates"] = "the cohort has no covariates."
    if not prespecified_columns(columns):
        found["clinical"] = "the cohort has none of the clinical model's covariates."
    if any(item["kind"] == "continuous" for item in targets):
        found["clinical"] = "a number is predicted, and the clinical model is one of outcomes."
    return found


def columns_of(variant: str, columns: Sequence[str]) -> list[str]:
    """Return the encoded covariates a variant sees.

    Raises
    ------
    ValueError
        If the variant is unknown or the cohort cannot serve it.
    """
    choices: dict[str, Callable[[], list[str]]] = {
        "ecg": list,
        "ecg_age": lambda: ["age_years"],
        "ecg_covariates": lambda: list(columns),
        "clinical": lambda: prespecified_columns(columns),
    }
    if variant not in choices:
        raise ValueError(f"variant must be one of {', '.join(choices)}, got {variant!r}.")
    reason = skipped_variants(columns).get(variant)
    if reason:
        raise ValueError(f"variant {variant} cannot be trained: {reason} Choose another variant.")
    return choices[variant]()
