"""Lines of the commented YAML that ``new-cohort`` writes."""

from __future__ import annotations

import json
import re
from typing import Any

import yaml

BY_NAME = "guessed from the column's name: check"
BY_COLUMNS = "guessed from its columns: check"
BY_FILES = "guessed from the files that are there: check"
BY_VALUES = "guessed from the values: check"


def guessed(key: str, value: str, needed: str, how: str = BY_NAME) -> str:
    """Return the line of a guessed column, or what is needed where none was found."""
    return line(key, value, how if value else f"needed: {needed}")


def line(key: str, value: Any, comment: str) -> str:
    """Return one line of YAML with its comment."""
    text, comment = scalar(value), " ".join(comment.split())  # headings may have line breaks
    return f"{key}: {text}".rstrip() + (f"  # {comment}" if comment else "")


def scalar(value: Any) -> str:
    """Return a value as YAML that reads back as the same."""
    if isinstance(value, list):
        return "[" + ", ".join(scalar(word) for word in value) + "]"
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
