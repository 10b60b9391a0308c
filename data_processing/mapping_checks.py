"""Read values out of a mapping file and collect everything that is wrong with them."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from data_processing.cohort_definition import DEVICES, PACED
from data_processing.errors import MappingError
from data_processing.exclusions import OPERATORS

KEYS = {
    "": (
        *("title", "target", "target_label", "is_synthetic", "licence", "citation", "folder"),
        *("tables", "columns", "date_format", "missing_files", "outcome", "covariates"),
        *("exclusions", "devices", "ecgs_with_device", "signals", "pseudonym_key", "labels"),
    ),
    "tables": ("patients", "ecgs"),
    "columns": (
        *("patient", "ecg_patient", "ecg_file", "ecg_record", "ecg_date", "ecg_paced", "site"),
    ),
    "signals": ("unit", "rate_hz", "leads"),
    "outcome": (
        *("column", "words", "uncertain", "missing", "event_type", "events", "competing"),
        *("no_event", "event_date", "last_contact", "index_date", "covariates_date"),
        *("components", "prior_event"),
    ),
    "covariates": (
        *("name", "label", "unit", "unit_in_table", "kind", "column", "birth_date"),
        *("low", "high", "categories"),
    ),
    "exclusions": ("label", "table", "column", *OPERATORS),
    "devices": DEVICES,
    "ecgs_with_device": (*DEVICES, PACED),
}
_NAME = re.compile(r"[a-z][a-z0-9_]*")


class MappingCheck:
    """Reads values out of the parsed file and collects what is wrong with them."""

    def __init__(self) -> None:
        self.problems: list[str] = []

    def parsed(self, path: Path) -> dict[str, Any]:
        """Return the file's content; a file that is no YAML raises at once."""
        try:
            text = path.read_text(encoding="utf-8-sig")
            self._find_repeated_keys(yaml.compose(text, Loader=yaml.SafeLoader))
            content = yaml.safe_load(text)
        except FileNotFoundError:
            raise MappingError(
                f"cohort must be an existing mapping file, got none called {path.name}. Make one "
                "with: python -m workflow new-cohort FOLDER."
            ) from None
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            mark = getattr(error, "problem_mark", None)
            where = f"line {mark.line + 1}" if mark else "it"
            raise MappingError(
                f"{path.name} must be a YAML file in UTF-8, got one in which {where} cannot be "
                "read. Look for a missing quote, colon or indent there."
            ) from None
        return self.section(content, "", "the file")

    def _find_repeated_keys(self, node: yaml.Node | None) -> None:
        """YAML would take the last of two equal keys without a word."""
        if isinstance(node, yaml.MappingNode):
            seen: set[str] = set()
            for key, value in node.value:
                if str(key.value) in seen:
                    self.problems.append(
                        f"line {key.start_mark.line + 1}: {key.value} occurs twice"
                    )
                seen.add(str(key.value))
                self._find_repeated_keys(value)
        elif isinstance(node, yaml.SequenceNode):
            for value in node.value:
                self._find_repeated_keys(value)

    def section(self, content: Any, kind: str, where: str) -> dict[str, Any]:
        """Return a block of keys without the unknown ones."""
        if content is None:
            return {}
        if not isinstance(content, dict):
            self.problems.append(f"{where} must be a block of `key: value` lines")
            return {}
        for key in content:
            if key not in KEYS[kind]:
                self.problems.append(f"{where}: {_unknown(str(key), KEYS[kind])}")
        return {key: value for key, value in content.items() if key in KEYS[kind]}

    def text(self, content: dict[str, Any], key: str, where: str, *, needed: str = "") -> str:
        """Return a text, empty if it is not given; `needed` says what is missing then."""
        value = content.get(key)
        name = f"{where}.{key}".lstrip(".")
        if isinstance(value, bool | dict | list):
            kind = "true or false" if isinstance(value, bool) else "a block or list"
            self.problems.append(f"{name} must be text, got {kind}; put yes and no in quotes")
            return ""
        text = "" if value is None else str(value).strip()
        if needed and not text:
            self.problems.append(f"{name} must be given: {needed}")
        return text

    def words(self, content: dict[str, Any], key: str, where: str) -> tuple[str, ...]:
        """Return a list of words."""
        value = content.get(key)
        words = [] if value is None else value if isinstance(value, list) else [value]
        name = f"{where}.{key}".lstrip(".")
        if any(isinstance(word, bool | dict | list) or word is None for word in words):
            self.problems.append(f'{name} must be words such as ["no", "yes"], each in quotes')
            return ()
        texts = tuple(str(word).strip() for word in words)
        if len({text.lower() for text in texts}) < len(texts):
            self.problems.append(f"{name} must be words that differ, one occurs twice")
        return texts

    def columns(self, content: dict[str, Any], key: str, where: str) -> tuple[tuple[str, str], ...]:
        """Return a block of `name: column` lines; names are short, columns must be given."""
        name = f"{where}.{key}".lstrip(".")
        block = content.get(key)
        if block is None:
            return ()
        if not isinstance(block, dict):
            self.problems.append(f"{name} must be a block of `name: COLUMN` lines")
            return ()
        pairs = []
        for short, column in block.items():
            self.name({"name": short}, "name", name, "a short name")
            given = isinstance(column, str | int) and not isinstance(column, bool)
            if not given or not str(column).strip():
                self.problems.append(f"{name}.{short} must be a column")
            else:
                pairs.append((str(short), str(column).strip()))
        return tuple(pairs)

    def choice(
        self, content: dict[str, Any], key: str, where: str, choices: Iterable[str], default: str
    ) -> str:
        """Return one of some words."""
        choices = list(choices)
        text = self.text(content, key, where) or default
        if text in choices:
            return text
        name = f"{where}.{key}".lstrip(".")
        near = difflib.get_close_matches(text, choices, n=1)
        hint = f". Did you mean {near[0]!r}?" if near else ""
        got = f", got {text!r}{hint}" if text else ""
        self.problems.append(f"{name} must be one of {', '.join(choices)}{got}")
        return choices[0]

    def name(self, content: dict[str, Any], key: str, where: str, needed: str) -> str:
        """Return a short name in lower-case letters, digits and underscores."""
        text = self.text(content, key, where, needed=needed)
        if text and not _NAME.fullmatch(text):
            name = f"{where}.{key}".lstrip(".")
            self.problems.append(f"{name} must be lower-case letters, digits and _, got {text!r}")
        return text

    def limit(self, content: dict[str, Any], key: str, where: str) -> float | None:
        """Return a number, None if it is not given."""
        value = content.get(key)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float):
            self.problems.append(f"{where}.{key} must be a number or empty")
            return None
        return float(value)

    def raise_if_any(self, path: Path) -> None:
        """Raise one MappingError with every problem found."""
        if self.problems:
            n = len(self.problems)
            raise MappingError(
                f"{path.name} must say how to read the cohort, got {n} "
                f"{'problem' if n == 1 else 'problems'}. Correct these lines:\n- "
                + "\n- ".join(self.problems)
            )


def _unknown(key: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(key, list(known), n=1, cutoff=0.5)
    hint = f"Did you mean {near[0]!r}?" if near else f"Known keys: {', '.join(known)}."
    return f"{key!r} is not a key. {hint}"
