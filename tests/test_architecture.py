"""Who may import whom (DESIGN section 2), checked on the source and on a fresh process."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
STAGE_PACKAGES = ("data_processing", "models_training", "evaluation", "explainability")


def imported_by(path):
    """Return the top-level names a file imports, anywhere in it."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names.add((node.module or "").split(".")[0])
    return names


@pytest.mark.parametrize("package", STAGE_PACKAGES)
def test_stage_packages_import_neither_one_another_nor_the_workflow(package):
    others = {*STAGE_PACKAGES, "workflow"} - {package}
    offenders = {
        str(path.relative_to(ROOT)): sorted(imported_by(path) & others)
        for path in (ROOT / package).rglob("*.py")
        if imported_by(path) & others
    }
    assert offenders == {}


def test_in_the_workflow_only_commands_joins_the_packages():
    offenders = {
        path.name
        for path in (ROOT / "workflow").glob("*.py")
        if imported_by(path) & {*STAGE_PACKAGES, "keras", "tensorflow"}
    }
    assert offenders <= {"commands.py"}


def test_evaluation_names_neither_keras_nor_tensorflow():
    for path in (ROOT / "evaluation").rglob("*.py"):
        assert not imported_by(path) & {"keras", "tensorflow"}, path.name


@pytest.mark.parametrize("package", ["evaluation", "data_processing", "workflow"])
def test_importing_every_module_does_not_start_tensorflow(package):
    modules = [
        ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for path in (ROOT / package).rglob("*.py")
        if path.stem not in ("__init__", "__main__")
    ]
    code = f"import {', '.join(modules)}, sys; sys.exit('tensorflow' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


def test_packages_are_those_of_this_checkout():
    code = "import data_processing, evaluation; print(data_processing.__file__)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True
    )
    assert Path(done.stdout.strip()).is_relative_to(ROOT)


def test_no_package_hides_in_the_tests():
    assert not list((ROOT / "tests").rglob("__init__.py"))


def test_modules_stay_readable_in_one_sitting():
    long = {
        str(path.relative_to(ROOT)): n
        for package in (*STAGE_PACKAGES, "workflow")
        for path in (ROOT / package).rglob("*.py")
        if (n := len(path.read_text().splitlines())) > 330
    }
    assert long == {}


def test_keras_is_loaded_by_networks_only():
    code = (
        "from data_processing import covariates, leakage, sources\n"
        "from evaluation import scores, thresholds\n"
        "from models_training import bundle, figures, inputs, variants\n"
        "import sys; print([n for n in ('keras', 'tensorflow', 'jax') if n in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"  # what 02_train_model needs for the clinical variant
