"""Covariates as numbers for models, and as the first table of a paper."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from data_processing.definitions import NICM_COVARIATES

__all__ = ["NICM_COVARIATES", "encode_covariates", "encoded_names", "table_one"]

Spec = Sequence[dict[str, Any]]


def encoded_names(spec: Spec) -> list[str]:
    """Return the columns of the encoded matrix.

    Examples
    --------
    >>> encoded_names([{"name": "age_years", "kind": "number"},
    ...                {"name": "site", "kind": "category", "categories": ["a", "b", "c"]}])
    ['age_years', 'site=b', 'site=c']
    """
    names = []
    for item in spec:
        if item["kind"] == "category":
            names += [f"{item['name']}={word}" for word in item["categories"][1:]]
        else:
            names.append(item["name"])
    return names


def encode_covariates(patients: pd.DataFrame, spec: Spec) -> pd.DataFrame:
    """Return the covariates as float64, one row a patient, missing as NaN.

    Nothing is imputed or scaled here: that is fitted on training rows, inside the model.

    Parameters
    ----------
    patients
        ``patient_id`` and the raw columns.
    spec
        Numbers and binaries become one column of their name; a category becomes 0/1 columns
        ``name=category`` without its first (the reference), all NaN where it is missing.

    Returns
    -------
    DataFrame
        Index ``patient_id``, columns ``encoded_names(spec)``.

    Raises
    ------
    ValueError
        If a column is missing, a word is no category, or a number is out of its range.
    """
    columns: dict[str, np.ndarray] = {}
    for item in spec:
        raw = _raw(patients, item)
        if item["kind"] != "category":
            columns[item["name"]] = _as_number(raw, item)
            continue
        _check_words(raw, item)
        missing = raw.isna().to_numpy()
        for word in item["categories"][1:]:
            is_word = (raw == word).to_numpy(dtype=np.float64)
            columns[f"{item['name']}={word}"] = np.where(missing, np.nan, is_word)
    index = pd.Index(patients["patient_id"], name="patient_id")
    return pd.DataFrame(columns, index=index, columns=encoded_names(spec), dtype=np.float64)


def _raw(patients: pd.DataFrame, item: dict[str, Any]) -> pd.Series:
    column = item.get("column", item["name"])
    if column not in patients:
        raise ValueError(
            f"patients must have the column {column} for covariate {item['name']}, got none. "
            "Prepare the data again with the cohort's definition."
        )
    return patients[column]


def _check_words(raw: pd.Series, item: dict[str, Any]) -> None:
    is_wrong = raw.notna() & ~raw.isin(item["categories"])
    if is_wrong.any():
        raise ValueError(
            f"{item['name']} must be one of {', '.join(map(str, item['categories']))}, got "
            f"{int(is_wrong.sum())} other values. Correct the table."
        )


def _as_number(raw: pd.Series, item: dict[str, Any]) -> np.ndarray:
    """Return a number or binary as float64."""
    if item["kind"] == "binary" and item.get("categories"):
        _check_words(raw, item)
        no, yes = item["categories"]
        values = raw.map({no: 0.0, yes: 1.0}).to_numpy(dtype=np.float64, na_value=np.nan)
    else:
        values = raw.to_numpy(dtype=np.float64, na_value=np.nan)
    low, high = (0.0, 1.0) if item["kind"] == "binary" else (item.get("low"), item.get("high"))
    low, high = (-np.inf if low is None else low), (np.inf if high is None else high)
    is_wrong = (values < low) | (values > high)
    if item["kind"] == "binary":
        is_wrong |= np.isfinite(values) & ~np.isin(values, (0.0, 1.0))
    if is_wrong.any():
        raise ValueError(
            f"{item['name']} must be between {low:g} and {high:g}"
            f"{' (0 or 1)' if item['kind'] == 'binary' else ''}, got {int(is_wrong.sum())} other "
            "values. Correct the table."
        )
    return values


def table_one(
    patients: pd.DataFrame, spec: Spec, *, outcome: str | None = "outcome"
) -> pd.DataFrame:
    """Describe the cohort, overall and by outcome.

    Parameters
    ----------
    patients
        Raw covariates and the outcome (0/1, missing where the status at the horizon is unknown).
    spec
        Covariates to describe.
    outcome
        Its column; None for the overall column alone.

    Returns
    -------
    DataFrame
        Columns ``characteristic``, ``overall``, ``no_event``, ``event``, ``unknown`` (where the
        outcome of some is), ``smd``, ``missing``: text ready to print. Numbers as median
        [quartiles], others as n (% of those known). ``smd`` is the absolute standardised mean
        difference between the outcomes: (m1 - m0) / sqrt((v1 + v0) / 2), for a category each level
        as a proportion.

    References
    ----------
    Austin 2009, doi:10.1002/sim.3697.
    """
    groups = {"overall": np.ones(len(patients), dtype=bool)}
    if outcome is not None:
        y = patients[outcome].to_numpy(dtype=np.float64, na_value=np.nan)
        groups |= {"no_event": y == 0, "event": y == 1}
        if np.isnan(y).any():
            groups["unknown"] = np.isnan(y)
    counts = {name: str(int(rows.sum())) for name, rows in groups.items()}
    table = [{"characteristic": "Patients, n", **counts, "smd": "", "missing": ""}]
    for item in spec:
        unit = f", {item['unit']}" if item.get("unit") else ""
        n_missing = int(_raw(patients, item).isna().sum())
        missing = f"{n_missing} ({n_missing / max(len(patients), 1):.0%})"
        if item["kind"] == "number":
            heading = f"{item['label']}{unit}, median [quartiles]"
            table.append(_line(heading, _as_number(_raw(patients, item), item), groups, missing))
        elif item["kind"] == "binary":
            heading = f"{item['label']}{unit}, n (%)"
            values = _as_number(_raw(patients, item), item)
            table.append(_line(heading, values, groups, missing, is_share=True))
        else:
            table += _category_lines(patients, item, groups, missing)
    columns = ["characteristic", *groups, *(["smd"] if outcome else []), "missing"]
    return pd.DataFrame(table, columns=columns)


def _category_lines(
    patients: pd.DataFrame, item: dict[str, Any], groups: dict[str, np.ndarray], missing: str
) -> list[dict[str, str]]:
    raw = _raw(patients, item)
    _check_words(raw, item)
    blank = dict.fromkeys([*groups, "smd"], "")
    lines = [{"characteristic": f"{item['label']}, n (%)", **blank, "missing": missing}]
    for word in item["categories"]:
        values = np.where(raw.isna(), np.nan, (raw == word).to_numpy(dtype=np.float64))
        heading = f"    {str(word).replace('_', ' ')}"
        lines.append(_line(heading, values, groups, "", is_share=True))
    return lines


def _line(
    heading: str,
    values: np.ndarray,
    groups: dict[str, np.ndarray],
    missing: str,
    *,
    is_share: bool = False,
) -> dict[str, str]:
    shown = {name: _described(values[rows], is_share) for name, rows in groups.items()}
    smd = ""
    if "event" in groups:
        difference = standardised_difference(values[groups["event"]], values[groups["no_event"]])
        smd = "" if np.isnan(difference) else f"{abs(difference):.2f}"
    return {"characteristic": heading, **shown, "smd": smd, "missing": missing}


def _described(values: np.ndarray, is_share: bool) -> str:
    known = values[np.isfinite(values)]
    if not len(known):
        return "–"
    if is_share:
        return f"{int(known.sum())} ({known.mean():.0%})"
    low, middle, high = np.percentile(known, [25, 50, 75])
    return f"{middle:.3g} [{low:.3g}, {high:.3g}]"


def standardised_difference(values_1: np.ndarray, values_0: np.ndarray) -> float:
    """Return (mean 1 - mean 0) / sqrt((variance 1 + variance 0) / 2), missing values left out.

    Parameters
    ----------
    values_1, values_0
        One group each; 0/1 values give the difference of proportions with p (1 - p) as variance.

    Returns
    -------
    float
        NaN if a group has fewer than two known values or nothing varies.
    """
    one, zero = (values[np.isfinite(values)] for values in (values_1, values_0))
    if min(len(one), len(zero)) < 2:
        return float("nan")
    is_binary = np.isin(np.concatenate([one, zero]), (0.0, 1.0)).all()
    variances = [np.var(group, ddof=0 if is_binary else 1) for group in (one, zero)]
    spread = float(np.sqrt(np.mean(variances)))
    return float((one.mean() - zero.mean()) / spread) if spread > 0 else float("nan")
