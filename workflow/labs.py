"""Labs, ``python -m workflow lab NAME``: notebooks beside the chain, recorded like a stage."""

from __future__ import annotations

import argparse
from dataclasses import asdict, fields
from pathlib import Path

from workflow.artifacts import Artifacts
from workflow.parameter_rules import build, rule_of
from workflow.profiles import from_text
from workflow.stages import LABS, Step

NAMES = {Path(stage.notebook).name: stage for stage in LABS}
SETTABLE = {
    item.name: item
    for stage in LABS
    for item in fields(stage.parameters)
    if item.name != "run_directory"  # follows from --name
}


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Add one flag for every parameter of each lab."""
    parser.add_argument("lab", choices=list(NAMES))
    text = (
        "folder below runs/; default: lab-NAME, for the ladder that of a prepared run: quickstart"
    )
    parser.add_argument("--name", default="", help=text)
    parser.add_argument("--no-reuse", action="store_true", help="run it, changed or not")
    for name, item in SETTABLE.items():
        text = f"{item.metadata['meaning']} [{rule_of(item)}; default {item.default}]"
        flag = "--" + name.replace("_", "-")
        parser.add_argument(flag, dest=f"p_{name}", help=text.replace("%", "%%"))


def run_lab(options: argparse.Namespace) -> Path:
    """Check the parameters, execute the lab in its run folder, and return the executed notebook.

    Raises
    ------
    ParameterError
        If a value is of the wrong type or out of range.
    StageError
        If the notebook fails; its executed copy is kept.
    """
    from workflow.runner import Runner

    stage = NAMES[options.lab]
    given = {
        item.name: from_text(item, text)
        for item in fields(stage.parameters)
        if (text := getattr(options, f"p_{item.name}", None)) is not None
    }
    values = asdict(build(stage.parameters, given))
    folder = Path("runs") / options.name if options.name else Path(values["run_directory"])
    run, step = Artifacts(folder), Step(stage)
    header = {}  # a lab that reads a run belongs to it, and leaves what is said of that run
    if not stage.requires:
        simulated = "; everything is simulated" if "n_simulations" in values else ""
        about = f"Lab {options.lab}{simulated}."
        header = {"name": run.directory.name, "about": about}
    Runner(run, {stage.notebook: values}, header, reuse=not options.no_reuse).execute([step])
    return run.directory / step.outputs[1]
