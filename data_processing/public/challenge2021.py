"""PhysioNet/CinC Challenge 2021 1.0.3 (Reyna et al. 2021, doi:10.13026/34va-7q14): 88,253 ECGs.

Age, sex and diagnoses (SNOMED CT) stand in the comments of each WFDB header. Patients have no
numbers: each ECG counts as a patient, though some of the eight collections hold several of one.
PTB-XL is one of the collections: its records are named HR00001 and so on.
"""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd

from data_processing.cohort import Cohort
from data_processing.cohort_definition import CohortDefinition
from data_processing.public.rows import AGE_AND_SEX, cohort_of_rows, unknown_target
from data_processing.tables import Problems

_TABLE = "headers"
_MOST_BYTES = 20_000  # of a header
_COMMENT = re.compile(r"^#\s*(Age|Sex|Dx)\s*:\s*(.*?)\s*$", re.MULTILINE)
_SEX = {"m": "male", "male": "male", "f": "female", "female": "female"}


def read_challenge2021(directory: Path, *, target: str = "") -> Cohort:
    """Read the Challenge's training data: one or more SNOMED CT codes as outcome.

    Parameters
    ----------
    directory
        Holds headers and samples, at any depth (``training/<collection>/g1/``).
    target
        Codes, separated by blanks or commas: any of them counts. Default 284470004 (premature
        atrial contraction).

    Returns
    -------
    Cohort
        One ECG a patient, undated; age and sex as covariates (an age above 120 is no age).

    Raises
    ------
    ValueError
        If a code is no number, or no header has one of them.
    """
    wanted = set(re.split(r"[\s,]+", (target or "284470004").strip()))
    paths = sorted(directory.rglob("*.hea"))
    found = [_comments(path) for path in paths]
    codes = [set(re.split(r"[\s,]+", comments.get("Dx", ""))) - {""} for comments in found]
    if not all(code.isdigit() for code in wanted) or not any(wanted & each for each in codes):
        common = pd.Series([code for each in codes for code in each]).value_counts()
        raise unknown_target(target, [str(code) for code in common.index[:12]], "Challenge 2021")
    names = [path.relative_to(directory).as_posix() for path in paths]
    rows = pd.DataFrame(
        {
            "patient_id": names,
            "age_years": [_age(comments.get("Age", "")) for comments in found],
            "sex": [_SEX.get(comments.get("Sex", "").lower(), "") for comments in found],
            "outcome": [str(int(bool(wanted & each))) for each in codes],
            "ecg_file": names,
        },
        index=pd.RangeIndex(1, len(names) + 1),
    )
    definition = CohortDefinition(
        name="challenge2021",
        title="PhysioNet/CinC Challenge 2021 1.0.3",
        target="_or_".join(sorted(wanted)),
        target_label=f"the diagnosis with SNOMED CT code {' or '.join(sorted(wanted))}",
        licence="CC BY 4.0",
        citation="Reyna et al. 2021, doi:10.13026/34va-7q14",
        contains=("ptbxl",) if any(path.stem.startswith("HR") for path in paths) else (),
        covariates=AGE_AND_SEX,
        outcome_column="outcome",
        default_duplicates="merge",
        patients_file=_TABLE,
        ecgs_file=_TABLE,
        recorded_at_column="",
    )
    return cohort_of_rows(rows, directory, definition, problems=Problems())


def _comments(header: Path) -> dict[str, str]:
    with header.open("rb") as file:
        text = file.read(_MOST_BYTES).decode("utf-8", "replace")
    return dict(_COMMENT.findall(text))


def _age(text: str) -> str:
    """Return an age in years; empty where there is none, or one nobody has."""
    age = pd.to_numeric(text, errors="coerce")
    return text if 0 <= age <= 120 else ""
