"""The command line: ``python -m workflow run | validate | lab | checklist | predict | ...``."""

from __future__ import annotations

import argparse
import difflib
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from workflow import labs, notebooks
from workflow.artifacts import PROJECT_ROOT, Artifacts, atomic_path
from workflow.external import STAGES_OF_VALIDATION, find_model_run, parameters_of, summary_lines
from workflow.parameter_rules import ParameterError, rule_of
from workflow.parameters import PUBLIC_COHORTS
from workflow.profiles import load_profile, profile_names, resolve, settable
from workflow.stages import Step, plan

_ANSWERS = "YAML file of your texts for the checklists, by item; kept in the run folder"


def _parser() -> argparse.ArgumentParser:
    """Return the parser; one flag for every parameter of the notebooks."""
    parser = argparse.ArgumentParser(prog="python -m workflow", allow_abbrev=False)
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="run the notebooks in order", allow_abbrev=False)
    run.add_argument("--profile", default="quickstart", help=" | ".join(profile_names()))
    run.add_argument("--name", default="", help="folder below runs/; default: cohort and profile")
    run.add_argument("--from", dest="first", default="", help="number of the first stage")
    run.add_argument("--only", default="", help="number of the only stage")
    run.add_argument("--variants", nargs="+", help="variants to train")
    run.add_argument("--answers", default="", help=_ANSWERS)
    run.add_argument("--no-reuse", action="store_true", help="run every step, changed or not")
    _add_flags(run, settable())
    validate = commands.add_parser(
        "validate", help="judge the finished models of a run on another cohort", allow_abbrev=False
    )
    validate.add_argument("model_run", help="name or folder of the run with the models")
    validate.add_argument("--name", default="", help="folder below runs/; default: both names")
    validate.add_argument("--no-reuse", action="store_true", help="run every step again")
    _add_flags(validate, settable(STAGES_OF_VALIDATION))
    lab = commands.add_parser("lab", help="run a lab beside the chain", allow_abbrev=False)
    labs.add_flags(lab)
    status = commands.add_parser("status", help="what a run has done, and what has changed since")
    status.add_argument("name", help="name of the run")
    compare = commands.add_parser("compare", help="what differs between two runs, and by how much")
    compare.add_argument("first", help="name of a run")
    compare.add_argument("second", help="name of another")
    checklist = commands.add_parser("checklist", help="what is still to be written for a paper")
    checklist.add_argument("name", help="name of the run")
    checklist.add_argument("--answers", default="", help=_ANSWERS)
    own = commands.add_parser("new-cohort", help="write a mapping file for a folder of your own")
    own.add_argument("folder", help="folder of your ECGs and tables (.csv, .xlsx)")
    own.add_argument("--patients", default="", help="table of patients; default: guessed")
    own.add_argument("--ecgs", default="", help="table of ECGs; default: guessed")
    own.add_argument("--output", default="my_cohort.yaml", help="mapping file to write")
    commands.add_parser("check", help="check the notebooks against the project's rules")
    commands.add_parser("sync", help="write the parameters cells from the dataclasses")
    download = commands.add_parser("download", help="fetch a public dataset, checked and resumable")
    download.add_argument("dataset", choices=PUBLIC_COHORTS)
    download.add_argument("--data-root", required=True, help="folder of public datasets")
    download.add_argument("--mirror", default="", help="address of a copy with the same files")
    predict = commands.add_parser("predict", help="risk of one ECG from a trained model")
    predict.add_argument("bundle", help="runs/<run>/02_models/<variant>, or a registered name")
    predict.add_argument("ecg", help="an ECG file, in any format that is read")
    predict.add_argument("--covariates", nargs="*", default=[], metavar="NAME=VALUE")
    share = commands.add_parser("share-model", help="keep a network or encoder under a name")
    share.add_argument("model", help="runs/<run>/02_models/<variant>, or folder of an encoder")
    share.add_argument("name", help="new name in pre_trained_models")
    legacy = commands.add_parser("import-legacy", help="make a bundle of a Keras-2 .h5 model")
    legacy.add_argument("model", help="the .h5 file")
    legacy.add_argument("--card", required=True, help="YAML file that declares what it is fed")
    legacy.add_argument("--output", required=True, help="folder: runs/<name>/02_models/<variant>")
    return parser


def _add_flags(parser: argparse.ArgumentParser, known: Mapping[str, list[Any]]) -> None:
    """Add one flag for every parameter."""
    flags = parser.add_argument_group("parameters of the notebooks (they override the profile)")
    for name, places in known.items():
        item = places[0][1]
        where = ", ".join(notebook[:2] for notebook, _ in places)
        text = f"{item.metadata['meaning']} [{rule_of(item)}; default {item.default}; {where}]"
        flags.add_argument(_flag(name), dest=f"p_{name}", help=text.replace("%", "%%"))


def _given(options: argparse.Namespace) -> dict[str, str]:
    """Return the parameters named on the command line."""
    return {
        key[2:]: value
        for key, value in vars(options).items()
        if key.startswith("p_") and value is not None
    }


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def _run(options: argparse.Namespace) -> None:
    """Check everything first, then run the notebooks and write the report."""
    from workflow.runner import Runner

    profile = load_profile(options.profile)
    parameters = resolve(profile, _given(options))
    cohort = parameters["01_prepare_data"]["cohort"]
    name = options.name or "-".join(
        [*([] if cohort == "synthetic_nicm" else [Path(cohort).stem]), profile.name]
    )
    run = Artifacts(Path("runs") / name)
    task = _task_of(run, parameters, options)
    variants = options.variants or profile.variants
    steps = plan(variants, first=options.first, only=options.only, task=task)
    if options.answers or (run.directory / "reporting.yaml").exists():
        from workflow.reporting_answers import keep_answers

        keep_answers(run, options.answers)  # what is wrong with them is said before any work
    sys.stderr.write(f"Run {name} ({profile.name}): {profile.about}\n")
    header = {"name": name, "profile": profile.name, "about": profile.about}
    Runner(run, parameters, header, reuse=not options.no_reuse).execute(steps)
    if run.path("claim").exists():
        print(_summary(run))


def _task_of(run: Artifacts, parameters: Mapping[str, Any], options: argparse.Namespace) -> str:
    """Return what is predicted: as the parameters say, or as the data of the run were prepared."""
    is_prepared = (options.first or options.only) > "01" and run.path("dataset").exists()
    if is_prepared:
        return run.read_document("dataset").get("task", "binary")
    return parameters["01_prepare_data"]["task"]


def _validate(options: argparse.Namespace) -> None:
    """Prepare the cohort as the models' cards say, then judge the models on it."""
    from workflow.runner import Runner

    model_run = find_model_run(options.model_run)
    parameters = parameters_of(model_run, _given(options))
    cohort = Path(parameters["01_prepare_data"]["cohort"]).stem
    name = options.name or f"{model_run.name}-on-{cohort}"
    run = Artifacts(Path("runs") / name)
    if run.directory.resolve() == model_run:
        raise ParameterError("--name must not be the run of the models. Choose another name.")
    about = f"The models of {model_run.name}, frozen, on the cohort {cohort}."
    sys.stderr.write(f"Run {name}: {about}\n")
    header = {"name": name, "profile": "external validation", "about": about}
    steps = [Step(stage) for stage in STAGES_OF_VALIDATION]
    Runner(run, parameters, header, reuse=not options.no_reuse).execute(steps)
    from workflow.external_report import write_external_report

    print("\n".join([*summary_lines(run), "", f"Report: {write_external_report(run)}"]))


def _summary(run: Artifacts) -> str:
    """Return the table of the result and the path of the report, both made unless they are new."""
    report, summary = run.directory / "report.html", run.directory / "summary.txt"
    made_of = [run.directory / name for name in ("run.json", "reporting.yaml")]
    newest = max(_newest_source(), *(path.stat().st_mtime for path in made_of if path.exists()))
    if not (summary.exists() and report.exists() and summary.stat().st_mtime > newest):
        from workflow.report import summary_lines, write_report
        from workflow.reporting import is_for, write_reporting

        if is_for(run):
            write_reporting(run)
        write_report(run)
        with atomic_path(summary) as aside:
            aside.write_text("\n".join(summary_lines(run)) + "\n", encoding="utf-8")
    return f"{summary.read_text(encoding='utf-8')}\nReport: {report}"


def _newest_source() -> float:
    """Return when the own code of report and checklists was changed last."""
    folder = Path(__file__).parent
    sources = [*folder.glob("report*"), *folder.glob("*.yaml"), *folder.glob("*.j2")]
    return max(path.stat().st_mtime for path in sources)


def _status(options: argparse.Namespace) -> None:
    from workflow.record import status_of

    for row in status_of(Artifacts(Path("runs") / options.name).directory):
        print(f"{row['step']:32} {row['seconds']!s:>8} s  {row['status']}  {row['why']}")


def _checklist(options: argparse.Namespace) -> None:
    from workflow.reporting import write_reporting
    from workflow.reporting_answers import blank_lines, keep_answers

    run = Artifacts(Path("runs") / options.name)
    if not run.path("dataset").exists():
        raise FileNotFoundError(
            f"name must be a run that has prepared its data, got {options.name!r}. Name an "
            "existing run."
        )
    keep_answers(run, options.answers)
    write_reporting(run)
    print("\n".join(blank_lines(run)))


def _compare(options: argparse.Namespace) -> None:
    from workflow.compare import compare_runs

    names = (options.first, options.second)
    print("\n".join(compare_runs(*(Artifacts(Path("runs") / name) for name in names))))


def _lab(options: argparse.Namespace) -> None:
    print(f"Executed notebook: {labs.run_lab(options)}")


def _check() -> int:
    problems = notebooks.check()
    print("\n".join(problems) or "The notebooks keep the rules.")
    return int(bool(problems))


def _download(options: argparse.Namespace) -> None:
    from workflow.commands import download_dataset

    print(download_dataset(options.dataset, Path(options.data_root), options.mirror))


def _new_cohort(options: argparse.Namespace) -> None:
    from workflow.commands import new_cohort

    output = Path(options.output)
    needed = new_cohort(Path(options.folder), output, patients=options.patients, ecgs=options.ecgs)
    print(
        f"Wrote {output}. Check what was guessed; still needed: {', '.join(needed) or 'nothing'}."
    )
    print(f"Then: python -m workflow run --cohort {output}")


def _predict(options: argparse.Namespace) -> None:
    from workflow.commands import predict_file

    print(json.dumps(predict_file(Path(options.bundle), Path(options.ecg), options.covariates)))


def _share(options: argparse.Namespace) -> None:
    from workflow.commands import share_model

    print(f"Wrote {share_model(Path(options.model), options.name)}.")


def _import_legacy(options: argparse.Namespace) -> None:
    from workflow.commands import import_legacy_model

    output = Path(options.output)
    import_legacy_model(Path(options.model), Path(options.card), output)
    print(f"Wrote {output}. Then: python -m workflow predict {output} ECG")


def _unknown_flags(words: Sequence[str]) -> str:
    """Return the sentence for flags that do not exist, with the nearest ones."""
    names = {**settable(), **settable(STAGES_OF_VALIDATION), **labs.SETTABLE}
    known = [_flag(name) for name in names] + ["--profile", "--name", "--from", "--only"]
    known += ["--answers"]
    lines: list[str] = []
    for word in words:
        near = difflib.get_close_matches(word.split("=")[0], known, n=1)
        lines.append(f"{word!r} is not known." + (f" Did you mean {near[0]}?" if near else ""))
    return "\n".join(lines)


_COMMANDS = {
    "run": _run,
    "validate": _validate,
    "lab": _lab,
    "status": _status,
    "compare": _compare,
    "checklist": _checklist,
    "new-cohort": _new_cohort,
    "download": _download,
    "predict": _predict,
    "share-model": _share,
    "import-legacy": _import_legacy,
}


def main(words: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    from workflow.record import RunInUseError
    from workflow.runner import StageError

    options, rest = _parser().parse_known_args(words)
    try:
        if rest:
            raise ParameterError(_unknown_flags(rest))
        if options.command == "check":
            return _check()
        if options.command == "sync":
            print("\n".join(notebooks.sync()) or "Nothing to change.")
        else:
            _COMMANDS[options.command](options)
    except (FileNotFoundError, RunInUseError, StageError, ValueError) as error:
        sys.stderr.write(f"\nError: {error}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write(f"\nStopped. The run folder below {PROJECT_ROOT / 'runs'} is valid.\n")
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
