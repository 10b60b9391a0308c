"""Write a commented mapping file for a folder of ECGs and tables, for people to correct."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import yaml

from data_processing.errors import MappingError
from data_processing.mapping_guess import Guess, guess_mapping, suggested_covariate
from data_processing.mapping_words import Column, is_personal, plain

_BY_NAME = "guessed from the column's name: check"
_BY_COLUMNS = "guessed from its columns: check"
_BY_FILES = "guessed from the files that are there: check"
_BY_VALUES = "guessed from the values: check"
_HEAD = """\
# How the tables of a folder are to be read. Correct what is wrong, fill in what is "needed", then:
#     python -m workflow run --cohort {name}
# Names of columns and tables are those of your files. Nothing about a single patient stands here.
"""
_DATED = """\
#   or events with dates (then the outcome has a horizon): column is taken out, and instead
#   components: {sustained_vt: COLUMN of its date, sudden_cardiac_death: COLUMN}
#   competing: {death_other: COLUMN, transplant: COLUMN}
#   last_contact: COLUMN
#   index_date: COLUMN
#   or, where one column names the event and another has its date,
#   event_type: COLUMN
#   events: [WORDS that are the event]
#   competing: [WORDS that end its possibility, such as other death]
#   no_event: [WORDS that mean none; an empty cell means none as well]
#   event_date: COLUMN
#   last_contact: COLUMN
#   index_date: COLUMN
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
    lines += [_line("title", "My cohort", "heading of figures and report: choose your own")]
    target = plain(guess.outcome.get("column", "") or "event") or "event"
    target = target if target[:1].isalpha() else f"outcome_{target}"
    lines += [_line("target", target, "short name of the outcome: check")]
    lines += [_line("target_label", "", "the outcome in words, as the report should say it")]
    lines += [_line("folder", folder, "relative to this file")]
    if guess.is_synthetic:
        lines += [_line("is_synthetic", True, "marks every figure; the folder holds truth.json")]
    one = "one table with one row an ECG: guessed, check" if guess.has_one_table else _BY_COLUMNS
    lines += ["", "tables:", _line("  patients", guess.patients.name, one)]
    lines += [_line("  ecgs", guess.ecgs.name, one)]
    lines += _columns(guess)
    form = "iso (2015-12-31), dmy (31.12.2015) or mdy (12/31/2015)"
    hint = f"{form}; {_BY_VALUES}" if guess.date_format else f"needed: {form}"
    lines += ["", _line("date_format", guess.date_format, hint)]
    lines += [_line("missing_files", "stop", "or reject: go on without ECG files not there")]
    lines += _outcome(guess)
    lines += _devices(guess)
    lines += _EXCLUSIONS.splitlines()
    lines += _covariates(guess)
    return "\n".join(lines) + "\n"


def _columns(guess: Guess) -> list[str]:
    patient, other = guess.patients.patient, guess.ecgs.patient
    ecg = _BY_FILES if guess.ecgs.is_by_files else _BY_NAME
    lines = ["", "columns:", _guessed("  patient", patient, "the column of the patient's number")]
    if other != patient or not other:
        lines += [_guessed("  ecg_patient", other, f"the same in {guess.ecgs.name}")]
    ecg_file = guess.ecgs.ecg_column
    lines += [_guessed("  ecg_file", ecg_file, "the column that names the ECG's file", ecg)]
    hint = _BY_NAME if guess.ecg_date else "date of the ECG; empty: undated"
    lines += [_line("  ecg_date", guess.ecg_date, hint)]
    if guess.ecg_paced:
        return [*lines, _line("  ecg_paced", guess.ecg_paced, f"0/1, flags the ECG; {_BY_NAME}")]
    return [*lines, "#   ecg_paced: COLUMN (0/1) that marks paced ECGs"]


def _outcome(guess: Guess) -> list[str]:
    found = guess.outcome
    lines = ["", "outcome:"]
    if "column" in found:
        needed = "the column of the outcome, 0/1; or events with dates, see below"
        binary = [column.heading for column in guess.others if column.kind == "binary"]
        needed += f". Columns of 0/1: {', '.join(binary[:8])}" if binary else ""
        lines += [_guessed("  column", found["column"], needed)]
        if found["words"]:
            lines += [_line("  words", found["words"], f"for 0 and 1; {_BY_VALUES}")]
        lines += [_line("  missing", "stop", "or exclude: patients without an outcome")]
        lines += ["#   uncertain: WORD of cases that are neither and are left out"]
        return [*lines, _DATED.rstrip()]
    if "components" in found:
        return lines + _dated_components(guess)
    lines += [_guessed("  event_type", found["event_type"], "the column of the event's type")]
    texts = {
        "events": "count as the event",
        "competing": "end its possibility, such as other death",
        "no_event": "mean none; an empty cell means none as well",
    }
    for key, text in texts.items():
        hint = f"words that {text}"
        if key == "events" and not found[key]:
            lines += [_line("  events", "", f"needed: {hint}")]
            continue
        more = f"; {found['n_left_out']} rare ones are not shown" if found["n_left_out"] else ""
        lines += [_line(f"  {key}", found[key], f"{hint}; {_BY_VALUES}{more}")]
    lines += [_guessed("  event_date", found["event_date"], "the column of the date of the event")]
    lines += _follow_up(guess)
    return [*lines, "#   or, without dates: column: COLUMN (0/1) alone"]


def _dated_components(guess: Guess) -> list[str]:
    """Return the components with a date column each."""
    lines = [
        "  # The first date counts; on one day an event comes before a competing one. Nothing may"
    ]
    lines += ["  # come after a name with `death` in it; a name with `icd` in it needs an ICD."]
    for key, text in (("components", "the event"), ("competing", "what ends its possibility")):
        lines += [f"  {key}:  # {text}"]
        block = guess.outcome[key]
        lines += [_line(f"    {name}", column, _BY_NAME) for name, column in block.items()]
        lines += [] if block else ["#    death_other: COLUMN"]
    return lines + _follow_up(guess)


def _follow_up(guess: Guess) -> list[str]:
    """Return the lines on follow-up, index date and events before it."""
    found, lines = guess.outcome, []
    for key, text in (
        ("last_contact", "the end of follow-up"),
        ("index_date", "the day from which time is counted"),
    ):
        lines += [_guessed(f"  {key}", found[key], f"the column of {text}")]
    if found["covariates_date"]:
        lines += [_line("  covariates_date", found["covariates_date"], _BY_NAME)]
    if guess.dates.prior_event:
        hint = f"0/1 or a date: who had the event before is left out; {_BY_NAME}"
        return [*lines, _line("  prior_event", guess.dates.prior_event, hint)]
    return [*lines, "#   prior_event: COLUMN (0/1 or a date) of who had the event before: left out"]


def _devices(guess: Guess) -> list[str]:
    """Return the devices: active where recognised, else as an example."""
    if "column" in guess.outcome:
        return []
    found = guess.dates.devices
    mark = "" if found else "#"
    lines = [
        "",
        f"{mark}devices:{'' if found else ' {icd: COLUMN, crt: COLUMN, pacemaker: COLUMN}'}",
    ]
    lines[-1] += "  # dates of implantation; ECGs from that day on are flagged"
    lines += [_line(f"  {name}", column, _BY_NAME) for name, column in found.items()]
    shown = ", ".join(f"{name}: keep" for name in found or ("icd", "crt", "pacemaker"))
    return [*lines, f"#ecgs_with_device: {{{shown}}}  # or drop: these ECGs do not count"]


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
        lines += [f"#{line}" for line in _entry(suggested_covariate(column))]
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
    lines = [_line("  - name", item["name"], "")]
    lines += [_line("    label", item["label"], "")]
    lines += [_line("    unit", item["unit"], "")] if item["unit"] else []
    lines += [_line("    kind", item["kind"], _BY_VALUES)]
    if item.get("is_birth_date"):
        hint = f"age at the index date; the date itself is not kept; {_BY_NAME}"
        lines += [_line("    birth_date", item["column"], hint)]
    else:
        lines += [_line("    column", item["column"], _BY_NAME)]
    if item["unit"] == "%":
        lines += ["#    unit_in_table: fraction  # where the table has 0.35 for 35 %"]
    if item["kind"] == "number":
        for key, word in (("low", "least"), ("high", "most")):
            hint = f"{word} that is possible; outside is an error"
            lines += [_line(f"    {key}", item.get(key, ""), hint)]
    if "categories" not in item:
        return lines
    hint = "words for 0 and 1" if item["kind"] == "binary" else "the first is the reference"
    hint = "the words for female and male" if item["name"] == "is_male" else hint
    if not item["categories"]:
        return [*lines, "    categories: []  # needed: " + hint + ', such as ["0", "1"]']
    n_more = item.get("n_left_out", 0)
    more = f"; {n_more} that only one patient has are not shown" if n_more else ""
    return [*lines, _line("    categories", item["categories"], f"{hint}; {_BY_VALUES}{more}")]


def _guessed(key: str, value: str, needed: str, how: str = _BY_NAME) -> str:
    return _line(key, value, how if value else f"needed: {needed}")


def _line(key: str, value: Any, comment: str) -> str:
    """Return one line of YAML with its comment."""
    text, comment = _scalar(value), " ".join(comment.split())  # headings may have line breaks
    return f"{key}: {text}".rstrip() + (f"  # {comment}" if comment else "")


def _scalar(value: Any) -> str:
    """Return a value as YAML that reads back as the same."""
    if isinstance(value, list):
        return "[" + ", ".join(_scalar(word) for word in value) + "]"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:g}"
    if value == "":
        return ""
    is_plain = re.fullmatch(r"[A-Za-z][\w./-]*(?: [\w./-]+)*", value, flags=re.ASCII)
    if is_plain and yaml.safe_load(value) == value:
        return value
    return json.dumps(value, ensure_ascii=False)
