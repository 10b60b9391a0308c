"""What every test may use: the folder of public datasets, and figures without a screen."""

import os
from pathlib import Path

import matplotlib as mpl
import pytest

mpl.use("Agg")


def pytest_collection_modifyitems(items):
    """Put the longest files first, which run notebooks: begun last, one process would wait."""
    items.sort(key=lambda item: not {"notebooks", "test_kills.py"} & set(item.path.parts))


@pytest.fixture(scope="session")
def data_root():
    """Return the folder of public datasets; skip, or fail where CI demands them."""
    root = os.environ.get("ECG_DATA_ROOT", "")
    if root and Path(root).is_dir():
        return Path(root)
    reason = "ECG_DATA_ROOT must be the folder of public datasets, it is not set or not there"
    if os.environ.get("ECG_REQUIRE_REAL_DATA"):
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(autouse=True)
def _close_figures():
    """Close what a test has drawn; matplotlib warns at 20 open figures."""
    yield
    if "matplotlib.pyplot" in __import__("sys").modules:
        import matplotlib.pyplot as plt

        plt.close("all")
