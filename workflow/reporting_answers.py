"""The author's own texts for the checklists: ``reporting.yaml`` in the run folder."""

from __future__ import annotations

import difflib
from pathlib import Path

import yaml

from workflow.artifacts import Artifacts, atomic_path
from workflow.reporting import CHECKLISTS, MODEL_CARD, Item, counts, filled_lists, load_checklist
from workflow.reporting import title_of as _title_of

ANSWERS = "reporting.yaml"
WORDS = {
    "question": ("yes", "probably yes", "probably no", "no", "no information", "not applicable"),
    "judgement": ("low", "high", "unclear"),
}


def known_items() -> dict[str, Item]:
    """Return the items of all lists by their id."""
    return {
        item.id: item for name in (*CHECKLISTS, MODEL_CARD) for item in load_checklist(name).items
    }


def read_answers(path: Path) -> dict[str, str]:
    """Return the texts of an answer file by item; blank ones are left out.

    The file is YAML, one item a line: ``"17": Approved by ...``. An answer to PROBAST+AI begins
    with its word: ``E4.5: yes, checked by ...``.

    Raises
    ------
    ValueError
        If the file is no such table, an item is unknown or occurs twice, or an answer to PROBAST+AI
        does not begin with one of its words.
    """
    try:
        node = yaml.compose(path.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        line = getattr(getattr(error, "problem_mark", None), "line", 0) + 1
        raise ValueError(
            f"{path.name} must be YAML, got an error in line {line}. Put texts that hold a colon "
            "in quotation marks."
        ) from None
    if node is None:
        return {}
    pairs = node.value if isinstance(node, yaml.MappingNode) else [(node, node)]
    if any(not isinstance(part, yaml.ScalarNode) for pair in pairs for part in pair) or (
        not isinstance(node, yaml.MappingNode)
    ):
        raise ValueError(
            f"{path.name} must be a table of items and texts, got another structure. Write one "
            'item a line: "17": your text.'
        )
    items = known_items()
    answers: dict[str, str] = {}
    for key, value in pairs:  # as written: "yes" stays a word, 18e a name
        _check_item(key.value, path.name, items, answers)
        answers[key.value] = "" if value.tag.endswith(":null") else value.value.strip()
        _check_words(items[key.value], answers[key.value], path.name)
    return {name: text for name, text in answers.items() if text}


def _check_item(name: str, file: str, items: dict[str, Item], before: dict[str, str]) -> None:
    if name in before:
        raise ValueError(f"item {name} must occur once in {file}, got it twice. Join the texts.")
    if name not in items:
        near = difflib.get_close_matches(name, items, n=1, cutoff=0.0)[0]
        raise ValueError(
            f"items in {file} must be those of the checklists, got {name!r}. Did you mean {near}?"
        )


def _check_words(item: Item, text: str, file: str) -> None:
    words = WORDS.get(item.kind, ())
    if text and words and not text.lower().startswith(words):
        raise ValueError(
            f"{item.id} in {file} must begin with one of {', '.join(words)}, got {text[:20]!r}. "
            "Give the answer first, then the reason."
        )


def answers_of(run: Artifacts) -> dict[str, str]:
    """Return the author's texts kept in a run folder."""
    path = run.directory / ANSWERS
    return read_answers(path) if path.exists() else {}


def keep_answers(run: Artifacts, given: str) -> None:
    """Check the texts of a run folder and join those of a file to them; the new ones win.

    Parameters
    ----------
    run
        The run folder.
    given
        Name of the file; empty: only what the folder holds is checked.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        See `read_answers`.
    """
    kept = answers_of(run)
    if not given:
        return
    if not Path(given).is_file():
        raise FileNotFoundError(
            f"--answers must be an existing file, got {given}. Make one with: python -m workflow "
            "checklist NAME > my_answers.yaml"
        )
    joined = kept | read_answers(Path(given))
    text = yaml.safe_dump(joined, allow_unicode=True, sort_keys=False, width=100)
    with atomic_path(run.directory / ANSWERS) as aside:
        aside.write_text(text, encoding="utf-8")


def blank_lines(run: Artifacts) -> list[str]:
    """Return what is still to be filled: an answer file with empty texts, ready to be filled."""
    lines: list[str] = []
    shown: set[str] = set()
    for path, checklist, entries in filled_lists(run, answers_of(run)):
        lines += ["", f"# {_title_of(path, checklist)}: {counts(entries)}"]
        for entry in entries:
            if entry.to_write and entry.item.id not in shown:
                shown.add(entry.item.id)
                lines.append(f'"{entry.item.id}": ""  # {"; ".join(entry.to_write)}')
    return lines[1:]
