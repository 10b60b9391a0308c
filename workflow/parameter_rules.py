"""How parameters are declared, checked, and written into notebooks.

Allowed types are ``int``, ``float``, ``bool`` and ``str``: what papermill passes without changing.
"""

from __future__ import annotations

import ast
import difflib
import math
from collections.abc import Iterable, Mapping
from dataclasses import Field, field, fields
from pathlib import Path
from typing import Any, TypeVar

PARAMETERS_MARK = "# Parameters"  # papermill starts its injected cell with the same words
LINE_LENGTH = 100
_TYPES: dict[str, type] = {"int": int, "float": float, "bool": bool, "str": str}

T = TypeVar("T")


class ParameterError(ValueError):
    """A parameter is unknown, of the wrong type or out of range."""


def parameter(
    default: Any,
    meaning: str,
    *,
    choices: tuple[str, ...] = (),
    minimum: float | None = None,
    above: float | None = None,
    below: float | None = None,
    suffixes: tuple[str, ...] = (),
) -> Any:
    """Return a dataclass field that carries its meaning and its rule.

    With `suffixes`, an existing file that ends so is allowed besides the choices.
    """
    rule = {"choices": choices, "minimum": minimum, "above": above, "below": below}
    rule["suffixes"] = suffixes
    return field(default=default, metadata={"meaning": meaning, **rule})


def same_as(owner: Any, name: str, **changed: Any) -> Any:
    """Return the field `name` of another parameters class again, with some of it `changed`.

    Examples
    --------
    >>> width: int = same_as(TrainingParameters, "width", default=0)
    """
    item = next(item for item in fields(owner) if item.name == name)
    default = changed.pop("default", item.default)
    return field(default=default, metadata={**item.metadata, **changed})


def rule_of(item: Field[Any]) -> str:
    """Return what a field accepts, in words: ``an int >= 1``."""
    words = {"int": "an int", "float": "a number", "bool": "true or false", "str": "text"}
    text = words[str(item.type)]
    meta = item.metadata
    if meta["suffixes"]:
        choices, suffixes = ", ".join(meta["choices"]), " or ".join(meta["suffixes"])
        return f"one of {choices}, or an existing file that ends with {suffixes}"
    if meta["choices"]:
        return "one of " + ", ".join(meta["choices"])
    bounds = (("minimum", ">="), ("above", ">"), ("below", "<"))
    limits = [f"{sign} {meta[key]}" for key, sign in bounds if meta[key] is not None]
    return " ".join([text, " and ".join(limits)]).strip()


def _is_valid(item: Field[Any], value: Any) -> bool:
    """Return whether type, choice and range fit; a bool is never a number."""
    kind, meta = str(item.type), item.metadata
    if isinstance(value, bool) != (kind == "bool"):
        return False
    if kind == "float" and isinstance(value, int):
        value = float(value)
    if not isinstance(value, _TYPES[kind]):
        return False
    if kind == "float" and not math.isfinite(value):
        return False
    if is_file_name(item, value):
        return Path(str(value)).is_file()
    if meta["choices"]:
        return value in meta["choices"]
    return (
        (meta["minimum"] is None or value >= meta["minimum"])
        and (meta["above"] is None or value > meta["above"])
        and (meta["below"] is None or value < meta["below"])
    )


def is_file_name(item: Field[Any], value: Any) -> bool:
    """Return whether a value names a file rather than one of the choices."""
    return str(value).lower().endswith(item.metadata["suffixes"])


def _advice(item: Field[Any], value: Any) -> str:
    """Return what to do about a wrong value where a file is allowed, or nothing."""
    if not item.metadata["suffixes"]:
        return ""
    if is_file_name(item, value):
        return " Make one with: python -m workflow new-cohort FOLDER."
    choices: list[str] = list(item.metadata["choices"])
    near = difflib.get_close_matches(str(value), choices, n=1, cutoff=0.5)
    return f" Did you mean {near[0]!r}?" if near else " Choose one."


def build(cls: type[T], values: Mapping[str, Any]) -> T:
    """Return ``cls(**values)`` after checking every name, type and range.

    Raises
    ------
    ParameterError
        Listing all that is wrong at once, with the nearest valid name for an unknown one.
    """
    known = {item.name: item for item in fields(cls)}  # type: ignore[arg-type]
    problems: list[str] = []
    for name, value in values.items():
        if name not in known:
            problems.append(unknown_name(name, known, cls.__name__))
        elif not _is_valid(known[name], value):
            got = f"{value!r} ({type(value).__name__})"
            rule, advice = rule_of(known[name]), _advice(known[name], value)
            problems.append(f"{cls.__name__}.{name} must be {rule}, got {got}.{advice}")
    if problems:
        raise ParameterError("\n".join(problems))
    converted = {
        name: float(value) if str(known[name].type) == "float" else value
        for name, value in values.items()
    }
    return cls(**converted)


def unknown_name(name: str, known: Iterable[str], where: str) -> str:
    """Return the sentence for an unknown name, with the nearest valid one."""
    near = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    hint = f"Did you mean {near[0]!r}?" if near else f"Valid names: {', '.join(sorted(known))}."
    return f"{name!r} is not a parameter of {where}. {hint}"


def _assigned_names(source: str) -> list[str]:
    """Return the names a cell assigns at top level."""
    names: list[str] = []
    for node in ast.parse(source).body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            names.append(node.target.id)
        elif isinstance(node, ast.Assign):
            names += [target.id for target in node.targets if isinstance(target, ast.Name)]
    return names


def read_parameters(cls: type[T], namespace: Mapping[str, Any]) -> T:
    """Return the validated parameters of a notebook from its ``globals()``.

    The cells that set parameters (the tagged one, and papermill's injected one) both start with
    ``# Parameters``; every name they assign must be a field of `cls`, so a misspelt parameter is an
    error and not papermill's mere warning.

    Raises
    ------
    ParameterError
        For an unknown or missing name, a wrong type or a value out of range.
    """
    known = [item.name for item in fields(cls)]  # type: ignore[arg-type]
    cells: list[str] = [
        str(cell) for cell in namespace.get("In", []) if str(cell).startswith(PARAMETERS_MARK)
    ]
    assigned = list(dict.fromkeys(name for cell in cells for name in _assigned_names(cell)))
    values = {name: namespace[name] for name in assigned if name in namespace}
    values |= {name: namespace[name] for name in known if name in namespace}
    parameters = build(cls, values)
    missing = [name for name in known if name not in namespace]
    if missing:
        raise ParameterError(
            f"{cls.__name__} must have all its parameters set, missing: {', '.join(missing)}. "
            "Run the cell above first."
        )
    return parameters


def cell_source(cls: type[Any]) -> str:
    """Return the text of the tagged ``parameters`` cell: one commented line a parameter."""
    lines = [f"{PARAMETERS_MARK} of this notebook: change them here, or with papermill"]
    for item in fields(cls):
        value = repr(item.default).replace("'", '"')
        line = f"{item.name}: {item.type} = {value}  # {item.metadata['meaning']}"
        words = [
            *item.metadata["choices"],
            *(f"FILE{end}" for end in item.metadata["suffixes"][:1]),
        ]
        choices = f" ({' | '.join(words)})" if words else ""
        # A longer line would be broken by the formatter, and papermill reads lines.
        lines.append(line + choices if len(line + choices) <= LINE_LENGTH else line)
    return "\n".join(lines)
