"""What a run was made with: commit, versions, hardware, checksums."""

from __future__ import annotations

import hashlib
import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

from workflow.artifacts import PROJECT_ROOT

PACKAGES = (
    "dcurves",
    "keras",
    "lifelines",
    "matplotlib",
    "neurokit2",
    "numpy",
    "pandas",
    "papermill",
    "scikit-learn",
    "scipy",
    "shap",
    "statsmodels",
    "tensorflow",
    "tf-keras-vis",
    "wfdb",
)


def sha256_of(path: Path) -> str:
    """Return the sha256 of a file, read in pieces."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()


def _git(*words: str) -> str:
    """Return what git prints, or nothing where there is no git or no repository."""
    try:
        done = subprocess.run(
            ["git", *words], cwd=PROJECT_ROOT, capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return ""
    return done.stdout.strip()


def describe() -> dict[str, Any]:
    """Return commit, package versions and hardware of this process."""
    versions: dict[str, str] = {}
    for package in PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            versions[package] = "not installed"
    return {
        "commit": _git("rev-parse", "HEAD"),
        "uncommitted_changes": bool(_git("status", "--porcelain")),
        "python": platform.python_version(),
        "packages": versions,
        "system": platform.platform(),
        "processor": platform.machine(),
        "n_cores": os.cpu_count(),
    }
