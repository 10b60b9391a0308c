"""What a run was made with: commit, versions, hardware, checksums."""

from __future__ import annotations

import functools
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


@functools.cache
def package_versions() -> dict[str, str]:
    """Return the versions of the packages results depend on."""
    versions: dict[str, str] = {}
    for package in PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            versions[package] = "not installed"
    return versions


def describe() -> dict[str, Any]:
    """Return commit, package versions and hardware of this process."""
    return {
        "commit": _git("rev-parse", "HEAD"),
        "uncommitted_changes": bool(_git("status", "--porcelain")),
        "python": platform.python_version(),
        "packages": package_versions(),
        "system": platform.platform(),
        "processor": _processor(),
        "n_cores": os.cpu_count(),
        "memory_gib": _memory_gib(),
    }


def _processor() -> str:
    """Return the processor's name where the system tells it, else its family."""
    information = Path("/proc/cpuinfo")
    names = information.read_text().splitlines() if information.exists() else []
    named = [line.split(":", 1)[1].strip() for line in names if line.startswith("model name")]
    return named[0] if named else platform.processor() or platform.machine()


def _memory_gib() -> float | None:
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1)
    except (AttributeError, OSError, ValueError):  # Windows
        return None
