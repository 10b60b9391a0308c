"""PTB-XL 1.0.3 (Wagner et al. 2020, doi:10.1038/s41597-020-0495-6), in its original tree."""

from __future__ import annotations

import ast
from dataclasses import replace
from pathlib import Path

import pandas as pd

from data_processing.cohort import Cohort
from data_processing.cohort_definition import CohortDefinition
from data_processing.public.rows import AGE_AND_SEX, cohort_of_rows, split_targets, unknown_target
from data_processing.tables import Problems, read_table

SUPERCLASSES = {
    "NORM": "a normal ECG",
    "MI": "myocardial infarction",
    "STTC": "an ST or T change",
    "CD": "a conduction disturbance",
    "HYP": "hypertrophy",
}
_TABLE, _STATEMENTS = "ptbxl_database.csv", "scp_statements.csv"
_FILES = {100: "filename_lr", 500: "filename_hr"}
_OVER_89 = 300.0  # how the publisher writes ages above 89
_COLUMNS = ("ecg_id", "patient_id", "age", "sex", "recording_date", "scp_codes", "strat_fold")


def read_ptbxl(directory: Path, *, target: str = "", source_rate_hz: int = 0) -> Cohort:
    """Read PTB-XL: a diagnostic superclass or a single SCP statement as outcome.

    Parameters
    ----------
    directory
        Holds ``ptbxl_database.csv``, ``scp_statements.csv``, ``records100`` and ``records500``.
    target
        NORM, MI (the default), STTC, CD or HYP, or the code of a statement (``AFIB``). Several,
        joined by commas, for the task ``several``: the first is the outcome.
    source_rate_hz
        100 (the default) or 500: which of the two published files of an ECG is read.

    Returns
    -------
    Cohort
        The first ECG of each patient that is on this machine; age and sex as covariates, the
        publisher's ``strat_fold`` as a descriptive column.

    Raises
    ------
    ValueError
        If the target or the rate is unknown, or the tables have problems.

    Notes
    -----
    A statement counts wherever it is listed, whatever its likelihood: 0 stands for an unknown one
    (rhythm and form statements have no other), as in the publisher's example. A superclass counts
    if one of its diagnostic statements does. Ages above 89 are published as 300; here they are 90.
    """
    rate_hz = source_rate_hz or 100
    if rate_hz not in _FILES:
        raise ValueError(
            f"source_rate_hz must be 100 or 500 for PTB-XL, got {rate_hz}. Choose one, or 0."
        )
    problems = Problems()
    table = read_table(directory, _TABLE, [*_COLUMNS, *_FILES.values()], problems)
    statements = superclass_of_statements(directory, problems)
    problems.raise_if_any()
    target, *labels = split_targets(target or "MI")
    codes = {name: _codes_for(name, statements) for name in (target, *labels)}
    listed = table["scp_codes"].map(_codes_of)
    problems.add(_TABLE, listed.isna(), "scp_codes must be a list of statements with likelihoods")
    problems.raise_if_any()
    age = pd.to_numeric(table["age"], errors="coerce")
    rows = pd.DataFrame(
        {
            "patient_id": table["patient_id"],
            "age_years": table["age"].mask(age == _OVER_89, "90"),
            "sex": table["sex"].replace({"0": "male", "1": "female"}),
            "outcome": _is_in_report(codes[target], listed),
            **{name: _is_in_report(codes[name], listed) for name in labels},
            "strat_fold": table["strat_fold"],
            "recorded_at": table["recording_date"],
            "ecg_file": table[_FILES[rate_hz]],
        }
    ).sort_values("recorded_at", kind="stable")
    definition = replace(_definition(target), label_columns=tuple(labels))
    return cohort_of_rows(rows, directory, definition, problems=problems)


def _codes_for(target: str, statements: dict[str, str]) -> set[str]:
    """Return the statements of a superclass, or the one of that code."""
    codes = {code for code, superclass in statements.items() if superclass == target}
    codes = codes if target in SUPERCLASSES else {target} & set(statements)
    if not codes:
        raise unknown_target(target, [*SUPERCLASSES, *sorted(statements)], "PTB-XL")
    return codes


def _is_in_report(codes: set[str], listed: pd.Series) -> pd.Series:
    return listed.map(lambda found: str(int(bool(codes & found))))


def superclass_of_statements(directory: Path, problems: Problems) -> dict[str, str]:
    """Return the diagnostic superclass of each statement; empty for form and rhythm."""
    columns = ["description", "diagnostic", "diagnostic_class"]
    table = read_table(directory, _STATEMENTS, columns, problems)
    is_diagnostic = table["diagnostic"].isin(("1", "1.0"))
    superclass = table["diagnostic_class"].where(is_diagnostic, "")
    return dict(zip(table.iloc[:, 0], superclass, strict=True))


def _codes_of(cell: str) -> frozenset[str] | None:
    """Return the statements of ``{'NORM': 100.0, 'SR': 0.0}``; None if it is something else."""
    try:
        found = ast.literal_eval(cell) if len(cell) < 10_000 else None
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return None
    return frozenset(map(str, found)) if isinstance(found, dict) else None


def _definition(target: str) -> CohortDefinition:
    age = {**AGE_AND_SEX[0], "label": "Age (90: above 89)"}
    return CohortDefinition(
        name="ptbxl",
        title="PTB-XL 1.0.3",
        target=target,
        target_label=SUPERCLASSES.get(target, f"the SCP statement {target}") + " in the report",
        licence="CC BY 4.0",
        citation="Wagner et al. 2020, doi:10.1038/s41597-020-0495-6",
        covariates=(age, AGE_AND_SEX[1]),
        outcome_column="outcome",
        descriptive_columns=("strat_fold",),
        default_duplicates="merge",
        patients_file=_TABLE,
        ecgs_file=_TABLE,
    )
