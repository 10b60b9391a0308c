"""LUDB 1.0.1 (Kalyakulina et al. 2020, doi:10.1109/ACCESS.2020.3029211): 200 ECGs of 10 s.

The gains of its headers contradict the limb leads and are not used; see ``lead_gains``.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pandas as pd

from data_processing.cohort import Cohort
from data_processing.cohort_definition import CohortDefinition
from data_processing.public.rows import AGE_AND_SEX, cohort_of_rows, unknown_target
from data_processing.tables import Problems, read_table

_TABLE = "ludb.csv"
_PERSONAL = ("ID", "Sex", "Age")


def read_ludb(directory: Path, *, target: str = "") -> Cohort:
    """Read LUDB: one of its diagnoses as outcome.

    Parameters
    ----------
    directory
        Holds ``ludb.csv`` and ``data/<ID>.hea``.
    target
        A diagnosis as the table words it, or the beginning of several; default "Left ventricular
        hypertrophy".

    Returns
    -------
    Cohort
        One ECG a patient, undated; age and sex as covariates.

    Raises
    ------
    ValueError
        If no row has the diagnosis, or the table has problems.
    """
    problems = Problems()
    table = read_table(directory, _TABLE, list(_PERSONAL), problems)
    problems.raise_if_any()
    target = target or "Left ventricular hypertrophy"
    cells = table.drop(columns=list(_PERSONAL)).agg("\n".join, axis=1)
    diagnoses = cells.map(lambda text: [line.strip() for line in text.splitlines() if line.strip()])
    is_found = diagnoses.map(
        lambda found: any(line.casefold().startswith(target.casefold()) for line in found)
    )
    if not is_found.any():
        common = Counter(line for found in diagnoses for line in found).most_common(12)
        raise unknown_target(target, [line for line, _ in common], "LUDB")
    rows = pd.DataFrame(
        {
            "patient_id": table["ID"],
            "age_years": table["Age"].replace({">89": "90"}),
            "sex": table["Sex"].replace({"M": "male", "F": "female"}),
            "outcome": is_found.map({True: "1", False: "0"}),
            "ecg_file": table["ID"],
        }
    )
    definition = CohortDefinition(
        name="ludb",
        title="LUDB 1.0.1",
        target=target,
        target_label=f"the diagnosis {target}",
        licence="ODC-By 1.0",
        citation="Kalyakulina et al. 2020, doi:10.1109/ACCESS.2020.3029211",
        covariates=({**AGE_AND_SEX[0], "label": "Age (90: above 89)"}, AGE_AND_SEX[1]),
        outcome_column="outcome",
        patients_file=_TABLE,
        ecgs_file=_TABLE,
        ecg_path="data/{}.hea",
        recorded_at_column="",
    )
    return cohort_of_rows(rows, directory, definition, problems=problems)
