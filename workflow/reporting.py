"""TRIPOD+AI, PROBAST+AI and model cards from the files of a run: filled where the run knows.

A checklist is a data file of items; an item names the facts that speak to it and what only an
author can add. Nothing is judged here that a fact does not decide, and no overall judgement is
ever made.
"""

from __future__ import annotations

import functools
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from workflow.artifacts import ArtifactError, Artifacts, atomic_path
from workflow.report_tables import VARIANT_NAMES
from workflow.reporting_data import DATA_FACTS
from workflow.reporting_design import DESIGN_FACTS
from workflow.reporting_facts import Finding, RunFacts
from workflow.reporting_models import MODEL_FACTS
from workflow.reporting_results import RESULT_FACTS

FACTS = {**DATA_FACTS, **DESIGN_FACTS, **MODEL_FACTS, **RESULT_FACTS}
CHECKLISTS = ("tripod_ai", "probast_ai")
MODEL_CARD = "model_card"
FILLED, PARTLY, TO_FILL, NOT_APPLICABLE = "filled", "partly", "to be filled", "not applicable"
BLANK = "TO BE FILLED: "
# What an older or unfinished run lacks: a file, a column, an entry.
NOT_THERE = (FileNotFoundError, ArtifactError, KeyError, json.JSONDecodeError)
_PARTS = {"D": "Development", "E": "Evaluation"}


@dataclass(frozen=True)
class Item:
    """One line of a checklist: what is asked, which facts speak to it, what stays to be written."""

    id: str
    section: str
    ask: str
    topic: str = ""
    sources: tuple[str, ...] = ()
    method: str = ""
    write: str = ""
    kind: str = ""


@dataclass(frozen=True)
class Checklist:
    """A list of items with its source."""

    title: str
    file: str
    about: str
    reference: str
    checked: str
    items: tuple[Item, ...]


@dataclass(frozen=True)
class Entry:
    """An item as one run fills it."""

    item: Item
    status: str
    lines: tuple[str, ...] = ()
    to_write: tuple[str, ...] = field(default=())
    proposed: str = ""


@functools.cache
def load_checklist(name: str) -> Checklist:
    """Return ``tripod_ai``, ``probast_ai`` or ``model_card``; items of two parts are made two."""
    path = Path(__file__).with_name(f"{name}.yaml")
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    items: list[Item] = []
    for given in content.pop("items"):
        values = {key: value for key, value in given.items() if key not in ("for", "parts")}
        values["sources"] = tuple(given.get("sources", ()))
        if "parts" not in given:
            items.append(Item(**values))
            continue
        values.setdefault("kind", "question")
        for part in given["parts"]:
            names = {"id": part + given["id"], "section": f"{_PARTS[part]}: {given['section']}"}
            items.append(Item(**{**values, **names}))
    order = {section: place for place, section in enumerate(_sections(items))}
    return Checklist(**content, items=tuple(sorted(items, key=lambda i: order[i.section])))


def _sections(items: list[Item]) -> list[str]:
    """Return the sections in order of appearance; those of development before evaluation."""
    found = list(dict.fromkeys(item.section for item in items))
    return sorted(found, key=lambda section: section.startswith(f"{_PARTS['E']}:"))


def fill(checklist: Checklist, facts: RunFacts, answers: Mapping[str, str]) -> list[Entry]:
    """Return every item with what the run and the author say.

    Parameters
    ----------
    checklist
        From `load_checklist`.
    facts
        The files of the run.
    answers
        The author's texts by item; see `reporting_answers`.
    """
    return [_fill_item(item, facts, answers.get(item.id, "")) for item in checklist.items]


def _fill_item(item: Item, facts: RunFacts, answer: str) -> Entry:
    found: list[Finding] = []
    absent: list[str] = []
    for name in item.sources:
        try:
            found.append(FACTS[name](facts))
        except NOT_THERE as error:
            absent.append(f"not in this run as needed: {_what_is_missing(error)}")
    lines = [line for finding in found for line in finding.lines]
    lines += [item.method] if item.method else []
    proposed = next((finding.answer for finding in found if finding.answer), "")
    if answer:
        return Entry(item, FILLED, (*lines, f"Author: {answer}"), (), proposed)
    if any(not finding.is_applicable for finding in found):
        return Entry(item, NOT_APPLICABLE, tuple(lines))
    wanted = [item.write] if item.write else []
    wanted += dict.fromkeys(absent)
    if not lines and not wanted:
        wanted = [item.ask]
    if not wanted and item.kind != "question":
        return Entry(item, FILLED, tuple(lines), (), proposed)
    if item.kind == "question" and not wanted:
        wanted = ["a reader must confirm the proposal" if proposed else "a reader must judge"]
    return Entry(item, PARTLY if lines else TO_FILL, tuple(lines), tuple(wanted), proposed)


def _what_is_missing(error: Exception) -> str:
    """Return the file or entry an error speaks of, in the first words of its message."""
    if isinstance(error, KeyError):
        return f"the entry {error.args[0]!r}, which an older version did not write"
    return str(error).split(" must ")[0]


def counts(entries: list[Entry]) -> str:
    """Return how many items are filled, in a sentence; judgements are counted apart."""
    asked = [entry for entry in entries if entry.item.kind == "question"]
    if asked:
        judged = [entry for entry in entries if entry.item.kind == "judgement"]
        n_proposed = sum(bool(entry.proposed) for entry in asked)
        n_facts = sum(entry.status == PARTLY for entry in asked if not entry.proposed)
        return (
            f"{len(asked)} questions: {n_proposed} with an answer proposed from this run, "
            f"{n_facts} with facts only; a reader has answered {_n_filled(asked)} of them and "
            f"given {_n_filled(judged)} of {len(judged)} judgements."
        )
    n = Counter(entry.status for entry in entries)
    return (
        f"{n[FILLED]} of {len(entries)} items filled, {n[PARTLY]} in part, {n[TO_FILL]} to be "
        f"filled, {n[NOT_APPLICABLE]} not applicable."
    )


def _n_filled(entries: list[Entry]) -> int:
    return sum(entry.status == FILLED for entry in entries)


def entry_table(entries: list[Entry]) -> pd.DataFrame:
    """Return filled items as a table of texts, one row an item; lines of a cell end in a line feed.

    Returns
    -------
    DataFrame
        ``Item, Section, Asked, Status, Proposed answer, Known, To be filled``; the proposal only
        where a list has signalling questions.
    """
    rows = [
        {
            "Item": entry.item.id,
            "Section": entry.item.section,
            "Asked": ": ".join(filter(None, (entry.item.topic, entry.item.ask))),
            "Status": entry.status,
            "Proposed answer": entry.proposed,
            "Known": "\n".join(entry.lines),
            "To be filled": BLANK + "; ".join(entry.to_write) if entry.to_write else "",
        }
        for entry in entries
    ]
    table = pd.DataFrame(rows)
    if not any(entry.item.kind for entry in entries):
        table = table.drop(columns="Proposed answer")
    return table


def filled_lists(
    run: Artifacts, answers: Mapping[str, str]
) -> list[tuple[str, Checklist, list[Entry]]]:
    """Return path, list and filled items of both checklists and of every model card."""
    facts = RunFacts(run)
    made: list[tuple[str, Checklist, list[Entry]]] = []
    for name in CHECKLISTS:
        checklist = load_checklist(name)
        made.append((checklist.file, checklist, fill(checklist, facts, answers)))
    card = load_checklist(MODEL_CARD)
    for variant in facts.variants:
        entries = fill(card, RunFacts(run, [variant]), answers)
        made.append((f"02_models/{variant}/{card.file}", card, entries))
    return made


def title_of(path: str, checklist: Checklist) -> str:
    """Return the title of a list; a model card names its variant."""
    folder = Path(path).parent.name
    return f"{checklist.title}: {VARIANT_NAMES[folder]}" if folder else checklist.title


def reporting_sections(run: Artifacts) -> list[dict[str, Any]]:
    """Return what ``reporting.html.j2`` shows, one entry a checklist or model card.

    Returns
    -------
    list of dict
        ``title, about, counts, reference, checked, columns, groups`` (heading and rows, a row a
        dictionary of texts by column) and ``table`` (the same as one DataFrame).
    """
    from workflow.reporting_answers import answers_of

    sections: list[dict[str, Any]] = []
    for path, checklist, entries in filled_lists(run, answers_of(run)):
        table = entry_table(entries)
        groups = table.groupby("Section", sort=False)
        sections.append(
            {
                "title": title_of(path, checklist),
                "about": checklist.about,
                "counts": counts(entries),
                "reference": checklist.reference,
                "checked": checklist.checked,
                "columns": [name for name in table.columns if name != "Section"],
                "groups": [(name, rows.to_dict("records")) for name, rows in groups],
                "table": table,
            }
        )
    return sections


def is_for(run: Artifacts) -> bool:
    """Return whether the checklists fit the run: their facts are those of an outcome."""
    is_prepared = run.path("dataset").exists()
    return not is_prepared or run.read_document("dataset").get("task", "binary") != "regression"


def write_reporting(run: Artifacts) -> list[Path]:
    """Write both checklists and a card beside every model as Markdown; return the paths.

    Raises
    ------
    ValueError
        If the run predicts a number, see `is_for`.
    """
    if not is_for(run):
        raise ValueError(
            "task must be that of an outcome for the checklists, got regression. Their sentences "
            "speak of events and risks; fill them in by hand."
        )
    from workflow.reporting_answers import answers_of
    from workflow.reporting_markdown import card_page, checklist_page

    written: list[Path] = []
    mark = _synthetic_mark(run)
    for path, checklist, entries in filled_lists(run, answers_of(run)):
        page = card_page if checklist.file == "MODEL_CARD.md" else checklist_page
        text = page(title_of(path, checklist), checklist, entries, mark=mark)
        with atomic_path(run.directory / path) as aside:
            aside.write_text(text, encoding="utf-8")
        written.append(run.directory / path)
    return written


def _synthetic_mark(run: Artifacts) -> str:
    try:
        is_synthetic = RunFacts(run).is_synthetic
    except NOT_THERE:
        return ""
    return "SYNTHETIC DATA: simulated patients and ECGs." if is_synthetic else ""
