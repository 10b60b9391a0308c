"""The checklists and model cards as Markdown."""

from __future__ import annotations

from itertools import groupby

import pandas as pd

from workflow.reporting import BLANK, Checklist, Entry, counts, entry_table


def escaped(text: str) -> str:
    r"""Return a text that stays in its table cell and shows as it is.

    Examples
    --------
    >>> escaped("a | b")
    'a \\| b'
    """
    for sign, safe in (("\\", "\\\\"), ("&", "&amp;"), ("<", "&lt;"), ("|", "\\|"), ("*", "\\*")):
        text = text.replace(sign, safe)
    return " ".join(text.split())


def table_lines(table: pd.DataFrame) -> list[str]:
    """Return a table of texts as Markdown lines; line feeds in a cell become ``<br>``."""
    rows = [
        ["<br>".join(escaped(line) for line in str(cell).splitlines()) for cell in row]
        for row in table.itertuples(index=False, name=None)
    ]
    lines = [list(table.columns), ["---"] * len(table.columns), *rows]
    return ["| " + " | ".join(cells) + " |" for cells in lines]


def checklist_page(title: str, checklist: Checklist, entries: list[Entry], *, mark: str) -> str:
    """Return a checklist as a page: one table a section.

    Parameters
    ----------
    title, checklist, entries
        What is shown; see `reporting.filled_lists`.
    mark
        Line that marks simulated data; empty for real ones.
    """
    lines = _head(title, checklist, entries, mark)
    for section, group in groupby(entries, key=lambda entry: entry.item.section):
        table = entry_table(list(group)).drop(columns="Section")
        lines += ["", f"## {escaped(section)}", "", *table_lines(table)]
    return "\n".join(lines) + "\n"


def card_page(title: str, checklist: Checklist, entries: list[Entry], *, mark: str) -> str:
    """Return a model card as a page: one heading a section, one list an item."""
    lines = _head(title, checklist, entries, mark)
    for section, group in groupby(entries, key=lambda entry: entry.item.section):
        lines += ["", f"## {escaped(section)}"]
        for entry in group:
            lines += ["", f"**{escaped(entry.item.ask)}** (`{entry.item.id}`)", ""]
            lines += [f"- {escaped(line)}" for line in entry.lines]
            lines += [f"- **{BLANK}{escaped(text)}**" for text in entry.to_write]
    return "\n".join(lines) + "\n"


def _head(title: str, checklist: Checklist, entries: list[Entry], mark: str) -> list[str]:
    lines = [f"# {escaped(title)}", ""]
    lines += [f"**{mark}**", ""] if mark else []
    lines += [checklist.about, "", f"{counts(entries)} Source: {checklist.reference}."]
    lines += ["", checklist.checked.strip()] if checklist.checked else []
    return lines
