"""Write a commented mapping file for a folder of ECGs and tables, for people to correct."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

from data_processing.errors import MappingError
from data_processing.mapping_guess import Guess, guess_mapping, suggested_covariate
from data_processing.mapping_lines import (
    BY_COLUMNS,
    BY_FILES,
    BY_NAME,
    BY_VALUES,
    guessed,
    line,
)
from data_processing.mapping_template_outcome import device_lines, outcome_lines
from data_processing.mapping_words import Column, is_personal, plain

_HEAD = """\
# How the tables of a folder are to be read. Correct what is wrong, fill in what is "needed", then:
#     python -m workflow run --cohort {name}
# Names of columns and tables are those of your files. Nothing about a single patient stands here.
"""
_SIGNALS = """
# ECG files that hold bare numbers (NPY, MATLAB, HDF5, some CSV): what they mean.
#signals: {unit: uV, rate_hz: 500, leads: [I, II, III, aVR, aVL, aVF, V1, V2, V3, V4, V5, V6]}
# With a secret key in a file, a patient has the same pseudonym in every cohort.
#pseudonym_key: FILE
"""
_EXCLUSIONS = """
# Who is left out, in this order, with a line of the flow each. Only what was known at the index
# date; an empty cell excludes nobody unless the rule says is_missing. One rule an entry: is, is_not
# (words), above, below (a number), before, after (a date, or index_date), is_missing (true, false).
#exclusions:
#  - {label: Ischaemic aetiology, column: COLUMN, is: [WORDS]}
#  - {label: LVEF above 50 %, column: lvef_percent, above: 50}
#  - {label: ICD before the index date, column: COLUMN, before: index_date}
#  - {label: Paced rhythm, table: ecgs, column: COLUMN, is: [WORDS]}
"""


def write_template(
    folder: str | Path, output: str | Path, *, patients: str = "", ecgs: str = ""
) -> list[str]:
    """Look into a folder and write its mapping file, with every guess marked as one.

    Parameters
    ----------
    folder
        Of the tables and ECG files; only headings and the first 1000 rows are read.
    output
        The mapping file; it must not exist yet.
    patients, ecgs
        Names of the tables below the folder, where they cannot be guessed.

    Returns
    -------
    list of str
        The keys that are still needed.

    Raises
    ------
    MappingError
        If the folder holds no table, or the file exists.
    """
    folder, output = Path(folder), Path(output)
    if output.exists():
        raise MappingError(
            f"output must be a new file, got {output.name!r}, which exists. Choose another name "
            "with --output, or remove it."
        )
    guess = guess_mapping(folder, patients=patients, ecgs=ecgs)
    try:
        shown = Path(os.path.relpath(folder.resolve(), output.resolve().parent)).as_posix()
    except ValueError:  # another drive
        shown = folder.resolve().as_posix()
    text = template_text(guess, folder=shown, name=output.name)
    output.write_text(text, encoding="utf-8")
    return re.findall(r"^[ -]*(\w+): *(?:\[\] *)?# needed", text, flags=re.MULTILINE)


def template_text(guess: Guess, *, folder: str, name: str) -> str:
    """Return the mapping as commented YAML."""
    lines = [_HEAD.format(name=name)]
    lines += [line("title", "My cohort", "heading of figures and report: choose your own")]
    target = plain(guess.outcome.get("column", "") or "event") or "event"
    target = target if target[:1].isalpha() else f"outcome_{target}"
    lines += [line("target", target, "short name of the outcome: check")]
    lines += [line("target_label", "", "the outcome in words, as the report should say it")]
    lines += [line("folder", folder, "relative to this file")]
    if guess.is_synthetic:
        lines += [line("is_synthetic", True, "marks every figure; the folder holds truth.json")]
    one = "one table with one row an ECG: guessed, check" if guess.has_one_table else BY_COLUMNS
    lines += ["", "tables:", line("  patients", guess.patients.name, one)]
    lines += [line("  ecgs", guess.ecgs.name, one)]
    lines += _columns(guess)
    form = "iso (2015-12-31), dmy (31.12.2015) or mdy (12/31/2015)"
    hint = f"{form}; {BY_VALUES}" if guess.date_format else f"needed: {form}"
    lines += ["", line("date_format", guess.date_format, hint)]
    lines += [line("missing_files", "stop", "or reject: go on without ECG files not there")]
    lines += _SIGNALS.splitlines()
    lines += outcome_lines(guess)
    lines += device_lines(guess)
    lines += _EXCLUSIONS.splitlines()
    lines += _covariates(guess)
    return "\n".join(lines) + "\n"


def _columns(guess: Guess) -> list[str]:
    patient, other = guess.patients.patient, guess.ecgs.patient
    ecg = BY_FILES if guess.ecgs.is_by_files else BY_NAME
    lines = ["", "columns:", guessed("  patient", patient, "the column of the patient's number")]
    if other != patient or not other:
        lines += [guessed("  ecg_patient", other, f"the same in {guess.ecgs.name}")]
    ecg_file = guess.ecgs.ecg_column
    lines += [guessed("  ecg_file", ecg_file, "the column that names the ECG's file", ecg)]
    lines += ["#   ecg_record: COLUMN that says which recording, where a file holds several"]
    hint = BY_NAME if guess.ecg_date else "date of the ECG; empty: undated"
    lines += [line("  ecg_date", guess.ecg_date, hint)]
    lines += ["#   site: COLUMN of the hospital, for --protocol leave_one_site_out"]
    if guess.ecg_paced:
        return [*lines, line("  ecg_paced", guess.ecg_paced, f"0/1, flags the ECG; {BY_NAME}")]
    return [*lines, "#   ecg_paced: COLUMN (0/1) that marks paced ECGs"]


def _covariates(guess: Guess) -> list[str]:
    """Return the list: known ones active, others commented out for the user to decide."""
    lines = ["", "# What was known at the index date. The clinical model uses age_years,"]
    lines += ["# lvef_percent, lge_present, lge_pattern and pathogenic_variant; other names"]
    lines += ["# serve the ECG model with covariates."]
    lines += ["covariates:" + ("" if guess.covariates else "  # none was recognised")]
    for item in guess.covariates:
        lines += _entry(item)
    takable = [column for column in guess.others if _is_takable(column)]
    others = [column for column in guess.others if column not in takable]
    if takable:
        lines += ["", "# Other columns. Was it known at the index date? Then take out the # of its"]
        lines += ["# lines. What came later gives the outcome away."]
    for column in takable:
        lines += [f"#{text}" for text in _entry(suggested_covariate(column))]
    if others:
        lines += ["", "# Not offered (dates, identifiers, names, free text, or no value):"]
        lines += [f"#   {json.dumps(column.heading, ensure_ascii=False)}" for column in others]
    return lines


def _is_takable(column: Column) -> bool:
    """Return whether a column of unknown meaning may be offered; its words would be shown."""
    if column.kind == "category":
        return len(column.words) > 1 and not column.n_left_out and not is_personal(column.heading)
    return column.kind in ("binary", "number")


def _entry(item: dict[str, Any]) -> list[str]:
    lines = [line("  - name", item["name"], "")]
    lines += [line("    label", item["label"], "")]
    lines += [line("    unit", item["unit"], "")] if item["unit"] else []
    lines += [line("    kind", item["kind"], BY_VALUES)]
    if item.get("is_birth_date"):
        hint = f"age at the index date; the date itself is not kept; {BY_NAME}"
        lines += [line("    birth_date", item["column"], hint)]
    else:
        lines += [line("    column", item["column"], BY_NAME)]
    if item["unit"] == "%":
        lines += ["#    unit_in_table: fraction  # where the table has 0.35 for 35 %"]
    if item["kind"] == "number":
        for key, word in (("low", "least"), ("high", "most")):
            hint = f"{word} that is possible; outside is an error"
            lines += [line(f"    {key}", item.get(key, ""), hint)]
    if "categories" not in item:
        return lines
    hint = "words for 0 and 1" if item["kind"] == "binary" else "the first is the reference"
    hint = "the words for female and male" if item["name"] == "is_male" else hint
    if not item["categories"]:
        return [*lines, "    categories: []  # needed: " + hint + ', such as ["0", "1"]']
    n_more = item.get("n_left_out", 0)
    more = f"; {n_more} that only one patient has are not shown" if n_more else ""
    return [*lines, line("    categories", item["categories"], f"{hint}; {BY_VALUES}{more}")]
