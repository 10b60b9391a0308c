"""What papermill finds by the name ``ecg_risk``.

Papermill looks here while it is itself being imported, so nothing of it is imported before a
notebook is run.
"""

from __future__ import annotations

from typing import Any


class Engine:
    """Hands over to ``workflow.engine.WorkflowEngine``."""

    @classmethod
    def execute_notebook(cls, nb: Any, kernel_name: str, **options: Any) -> Any:
        """Run a notebook; called by papermill."""
        from workflow.engine import WorkflowEngine

        return WorkflowEngine.execute_notebook(nb, kernel_name, **options)

    @classmethod
    def nb_kernel_name(cls, nb: Any, name: str | None = None) -> str:
        """Return the kernel to use: the one asked for, else the notebook's."""
        from papermill.utils import nb_kernel_name

        return nb_kernel_name(nb, name)

    @classmethod
    def nb_language(cls, nb: Any, language: str | None = None) -> str:
        """Return the language to use: the one asked for, else the notebook's."""
        from papermill.utils import nb_language

        return nb_language(nb, language)
