"""Rules that leave patients or ECGs out, judged by what was known at the index date.

A verdict is True (the rule applies), False, or NA where the cell holds no value. A rule never
excludes for a missing value, unless it asks for exactly that (``is_missing: true``).
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import pandas as pd

from data_processing.tables import Problems, is_missing, iso_dates, parse_dates, parse_numbers

INDEX_DATE = "index_date"  # the word for it in before and after
OPERATORS = ("is", "is_not", "above", "below", "before", "after", "is_missing")
TABLES = ("patients", "ecgs")
_FEW = 5  # patients under which "all had the event" says nothing


@dataclass(frozen=True)
class ExclusionRule:
    """One rule on one column.

    Parameters
    ----------
    label
        For the flow: "Ischaemic aetiology".
    column
        Heading of the table, or the name of a covariate that is a number (then in its unit).
    operator
        ``is`` or ``is_not`` one of some words, ``above`` or ``below`` a number (not equal to it),
        ``before`` or ``after`` a date (not on it), ``is_missing``.
    value
        The words as a tuple, the number, the date as ISO text or ``"index_date"``, or a bool.
    table
        ``patients`` (the patient is left out) or ``ecgs`` (that ECG).
    """

    label: str
    column: str
    operator: str
    value: tuple[str, ...] | float | str | bool
    table: str = "patients"

    def in_words(self) -> str:
        """Return the rule as text: ``lvef_percent above 50``."""
        if self.operator == "is_missing":
            return f"{self.column} {'missing' if self.value else 'not missing'}"
        value = f"{self.value:g}" if isinstance(self.value, float) else self.value
        shown = " or ".join(value) if isinstance(value, tuple) else value
        return f"{self.column} {self.operator.replace('_', ' ')} {shown}"

    def looks_ahead(self, outcome_columns: Collection[str]) -> str:
        """Return why the rule uses what was not known at the index date; empty if it does not."""
        if self.column in outcome_columns:
            return "is the outcome's or its follow-up's, which nobody knew at the index date"
        if (self.operator, self.value) == ("after", INDEX_DATE):
            return "would be compared with what came after the index date, which nobody knew then"
        return ""

    def applies(self, verdict: pd.Series) -> pd.Series:
        """Return which rows are left out, from their verdicts."""
        is_out_if_missing = self.operator == "is_missing" and self.value is True
        return verdict.fillna(is_out_if_missing).astype(bool)


def judge(
    rule: ExclusionRule,
    cells: pd.Series,
    *,
    table: str,
    problems: Problems,
    index_date: pd.Series | None = None,
    date_format: str = "iso",
    numbers: pd.Series | None = None,
) -> tuple[pd.Series, str]:
    """Return a rule's verdict on each row.

    Parameters
    ----------
    rule
        What to judge by.
    cells
        The column as text.
    table
        Name of the table, for problems.
    problems
        Where cells that are no number or date are added.
    index_date
        Of each row's patient. A date after it was not known yet and counts as missing.
    date_format
        Of the table.
    numbers
        The column in the unit of its covariate, where it is one's.

    Returns
    -------
    verdict, note
        Nullable booleans; the note says which words of the rule occur nowhere.
    """
    blank, note = is_missing(cells), ""
    if rule.operator in ("is", "is_not"):
        words = {_same_word(word): word for word in rule.value}  # type: ignore[union-attr]
        found = cells.map(_same_word)
        is_word = found.isin(words)
        blank &= ~is_word  # "unknown" may be meant as a word
        never = [word for key, word in words.items() if key not in set(found)]
        note = f"occurs nowhere: {', '.join(never)}; check the spelling" if never else ""
        verdict = is_word == (rule.operator == "is")
    elif rule.operator in ("above", "below"):
        values = parse_numbers(cells, table, problems) if numbers is None else numbers
        blank = values.isna()
        verdict = values > rule.value if rule.operator == "above" else values < rule.value
    else:
        verdict, blank = _judge_dates(rule, cells, index_date, (table, date_format, problems))
    return verdict.astype("boolean").mask(blank), note


def _judge_dates(
    rule: ExclusionRule,
    cells: pd.Series,
    index_date: pd.Series | None,
    reading: tuple[str, str, Problems],
) -> tuple[pd.Series, pd.Series]:
    """Return the verdicts and which cells are missing or not yet known."""
    table, date_format, problems = reading
    blank = is_missing(cells)
    if rule.operator == "is_missing":
        dates = iso_dates(cells.where(~blank), date_format)
        is_dated = bool((dates.notna() | blank).all())
    else:
        dates = parse_dates(cells, table, problems, date_format=date_format)
        is_dated = True
    days = dates.dt.normalize()
    if is_dated and index_date is not None:
        blank = blank | (days > index_date.dt.normalize())
    if rule.operator == "is_missing":
        return pd.Series(not rule.value, index=cells.index), blank
    limit = index_date if rule.value == INDEX_DATE else pd.Timestamp(str(rule.value))
    limit = limit.dt.normalize() if isinstance(limit, pd.Series) else limit
    return (days < limit) if rule.operator == "before" else (days > limit), blank


def _same_word(cell: str) -> str:
    """Return a cell without case, and 1 for 1.0: spreadsheets add decimals to coded words."""
    text = " ".join(cell.split()).casefold()
    try:
        return f"{float(text):.12g}"
    except ValueError:
        return text


def doubtful(n_patients: int, n_events: int) -> str:
    """Return a warning if a rule left out patients with the event only."""
    if n_patients >= _FEW and n_events == n_patients:
        return "everyone left out had the event: was this known at the index date?"
    return ""
