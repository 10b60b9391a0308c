"""Profiles and command-line values turned into the checked parameters of each stage."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import Field, asdict, dataclass, fields
from pathlib import Path
from typing import Any

from workflow.parameter_rules import ParameterError, build, is_file_name, unknown_name
from workflow.stages import STAGES, Stage

_PROFILES = Path(__file__).with_name("profiles.toml")
_FIXED = ("run_directory", "variant", "model_run")  # set by the runner
_WORDS = {"true": True, "false": False}


@dataclass(frozen=True)
class Profile:
    """A named set of overrides: ``overrides[notebook][parameter]``."""

    name: str
    about: str
    variants: tuple[str, ...]
    overrides: Mapping[str, Mapping[str, Any]]


def profile_names() -> list[str]:
    """Return the names of the profiles."""
    return list(tomllib.loads(_PROFILES.read_text()))


def load_profile(name: str) -> Profile:
    """Return a profile by name.

    Raises
    ------
    ParameterError
        If there is no such profile, or the profile sets something no stage has.
    """
    profiles = tomllib.loads(_PROFILES.read_text())
    if name not in profiles:
        raise ParameterError(f"profile must be one of {', '.join(profiles)}, got {name!r}.")
    content = dict(profiles[name])
    about, variants = content.pop("about"), tuple(content.pop("variants"))
    short = {stage.notebook.split("_", 1)[1]: stage.notebook for stage in STAGES}
    for key in content:
        if key not in short:
            raise ParameterError(unknown_name(key, short, f"profile {name}"))
    return Profile(name, about, variants, {short[key]: value for key, value in content.items()})


def settable(stages: Sequence[Stage] = STAGES) -> dict[str, list[tuple[str, Field[Any]]]]:
    """Return every parameter a user may set in some stages: name -> [(notebook, field)]."""
    found: dict[str, list[tuple[str, Field[Any]]]] = {}
    for stage in stages:
        for item in fields(stage.parameters):
            if item.name not in _FIXED:
                found.setdefault(item.name, []).append((stage.notebook, item))
    return found


def from_text(item: Field[Any], text: str) -> Any:
    """Return the value a command-line word stands for; a wrong word stays text and is refused."""
    try:
        if item.type == "bool":
            return _WORDS.get(text.lower(), text)
        if item.type == "int":
            return int(text)
        if item.type == "float":
            return float(text)
    except ValueError:
        return text
    # The notebooks run in another folder than the one a file is named in.
    return str(Path(text).resolve()) if is_file_name(item, text) else text


def resolve(
    profile: Profile, given: Mapping[str, str], stages: Sequence[Stage] = STAGES
) -> dict[str, dict[str, Any]]:
    """Return the parameters of every notebook: defaults, then profile, then the command line.

    Parameters
    ----------
    profile
        Overrides of the defaults.
    given
        Words from the command line by parameter name; a name several notebooks share, such as
        ``seed``, is set in all of them.
    stages
        Which notebooks will be run.

    Raises
    ------
    ParameterError
        Listing every unknown name and wrong value of all stages at once.
    """
    known = settable(stages)
    problems = [unknown_name(name, known, "any stage") for name in given if name not in known]
    resolved: dict[str, dict[str, Any]] = {}
    for stage in stages:
        values = dict(profile.overrides.get(stage.notebook, {}))
        for name, text in given.items():
            for notebook, item in known.get(name, []):
                if notebook == stage.notebook:
                    values[name] = from_text(item, text)
        try:
            resolved[stage.notebook] = asdict(build(stage.parameters, values))
        except ParameterError as error:
            problems.append(str(error))
    if problems:
        raise ParameterError("\n".join(dict.fromkeys(problems)))
    return resolved
