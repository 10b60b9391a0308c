"""Names, formats and schemas of everything a run writes: the contract between notebooks.

Everything lies under one run folder. Readers validate columns, types and schema version and name
the file and the column; writers write aside and rename, so a kill leaves no half file.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from workflow.schemas import DOCUMENTS, SCHEMA_VERSION, SIGNALS, TABLES

# Imported where they are used: a run in which nothing has changed ends before pandas is loaded.
if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

PROJECT_ROOT = Path(__file__).resolve().parents[1]
SYNTHETIC_MARK = "SYNTHETIC DATA"


class ArtifactError(ValueError):
    """A file of the run folder does not hold what its schema says."""


class MissingArtifactError(FileNotFoundError):
    """A file of the run folder is not there; the message says which notebook writes it."""


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a path beside `path`; when the block ends well it is renamed to `path`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{uuid4().hex[:8]}-{path.name}")
    try:
        yield aside
        with aside.open("rb") as file:
            os.fsync(file.fileno())
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)


def write_json(path: Path, content: Any) -> None:
    """Write `content` as JSON, atomically."""
    with atomic_path(path) as aside:
        aside.write_text(json.dumps(content, indent=1, ensure_ascii=False, default=_plain) + "\n")


def _plain(value: Any) -> Any:
    """Return the JSON form of a NumPy or path value."""
    if isinstance(value, Path):
        return str(value)
    if hasattr(value, "tolist"):  # a NumPy scalar or array
        return value.tolist()
    raise TypeError(f"value must be plain data, got {type(value).__name__}. Convert it first.")


def _column_kinds() -> dict[str, Callable[[pd.Series], bool]]:
    """Return what a column of each kind must be."""
    from pandas.api import types

    return {
        "text": lambda s: types.is_string_dtype(s) or types.is_object_dtype(s),
        "integer": types.is_integer_dtype,
        "number": types.is_numeric_dtype,
        "date": types.is_datetime64_any_dtype,
    }


class Artifacts:
    """The files of one run, read and written through their schemas.

    Parameters
    ----------
    run_directory
        Folder of the run; a relative one lies below the project's root whatever the current
        folder is, so that notebooks work from anywhere.
    """

    def __init__(self, run_directory: str | Path) -> None:
        self.directory = PROJECT_ROOT / run_directory

    def path(self, name: str, variant: str = "") -> Path:
        """Return the path of a table, document, or of a path relative to the run folder."""
        if name in TABLES:
            name = TABLES[name].path
        elif name in DOCUMENTS:
            name = DOCUMENTS[name][0]
        if "{variant}" in name and not variant:
            raise ValueError(f"variant must be given for {name}, got ''. Name the variant.")
        return self.directory / name.format(variant=variant)

    def _existing(self, name: str, written_by: str, variant: str = "") -> Path:
        path = self.path(name, variant)
        if not path.exists():
            shown = path.relative_to(self.directory)
            raise MissingArtifactError(
                f"{shown} must exist in the run folder, got nothing. Run notebook {written_by} "
                "for this run first."
            )
        return path

    def read_table(self, name: str, variant: str = "") -> pd.DataFrame:
        """Return a table of the run after checking its columns, types and schema version."""
        import pandas as pd

        table = TABLES[name]
        path = self._existing(name, table.written_by, variant)
        if path.suffix == ".csv":
            frame = pd.read_csv(path)
        else:
            frame = pd.read_parquet(path)
            version = frame.attrs.pop("schema_version", None)
            if version != SCHEMA_VERSION:
                raise ArtifactError(
                    f"{table.path} must have schema version {SCHEMA_VERSION}, got {version}. "
                    f"Run notebook {table.written_by} again."
                )
        return self._checked(frame, name)

    def read_found(self, names: Iterable[str], variant: str = "") -> dict[str, pd.DataFrame]:
        """Return those of the tables that the run has, by name."""
        return {
            name: self.read_table(name, variant)
            for name in names
            if self.path(name, variant).exists()
        }

    def write_table(self, name: str, frame: pd.DataFrame, variant: str = "") -> Path:
        """Write a table of the run after checking it against its schema."""
        self._checked(frame, name)
        path = self.path(name, variant)
        with atomic_path(path) as aside:
            if path.suffix == ".csv":
                frame.to_csv(aside, index=False)
            else:
                stamped = frame.copy()
                stamped.attrs = {"schema_version": SCHEMA_VERSION}
                stamped.to_parquet(aside, index=False)
        return path

    @staticmethod
    def _checked(frame: pd.DataFrame, name: str) -> pd.DataFrame:
        table = TABLES[name]
        kinds = _column_kinds()
        missing = [column for column in table.columns if column not in frame]
        if missing:
            raise ArtifactError(
                f"{table.path} must have the columns {', '.join(table.columns)}, "
                f"missing: {', '.join(missing)}. Run notebook {table.written_by} again."
            )
        for column, kind in {**table.columns, **table.optional}.items():
            if column in frame and len(frame) and not kinds[kind](frame[column]):
                raise ArtifactError(
                    f"{table.path}: column {column} must hold {kind} values, "
                    f"got {frame[column].dtype}. Run notebook {table.written_by} again."
                )
        return frame

    def read_document(self, name: str, variant: str = "") -> dict[str, Any]:
        """Return a JSON document of the run; its schema version is checked."""
        shown, written_by = DOCUMENTS[name]
        content = json.loads(self._existing(name, written_by, variant).read_text())
        if content.get("schema_version") != SCHEMA_VERSION:
            raise ArtifactError(
                f"{shown} must have schema version {SCHEMA_VERSION}, "
                f"got {content.get('schema_version')}. Run notebook {written_by} again."
            )
        return content

    def write_document(self, name: str, content: dict[str, Any], variant: str = "") -> Path:
        """Write a JSON document of the run, with the schema version."""
        path = self.path(name, variant)
        write_json(path, {"schema_version": SCHEMA_VERSION, **content})
        return path

    def signals(self) -> np.ndarray:
        """Return the prepared ECGs: read-only memory map, (records, samples, 12), float32 mV.

        Row ``signal_row`` of the ``records`` table; the rate is in ``dataset.json``.
        """
        import numpy as np

        path = self._existing(SIGNALS, "01_prepare_data")
        signals = np.load(path, mmap_mode="r", allow_pickle=False)
        n_samples = self.read_document("dataset")["n_samples"]
        if signals.ndim != 3 or signals.shape[1:] != (n_samples, 12) or signals.dtype != "float32":
            raise ArtifactError(
                f"{SIGNALS} must be float32 of shape (records, {n_samples}, 12), "
                f"got {signals.dtype} {signals.shape}. Run notebook 01_prepare_data again."
            )
        return signals

    def trained_variants(self) -> list[str]:
        """Return the variants with predictions, in the order of the report."""
        found = {
            path.parent.name for path in self.directory.glob("02_models/*/predictions.parquet")
        }
        order = ("clinical", "ecg", "ecg_age", "ecg_covariates")
        return [variant for variant in order if variant in found]

    def save_panel(self, path: str, panel: tuple[Any, str, pd.DataFrame | None]) -> None:
        """Save a figure that comes with its caption and table; see `save_figure`."""
        figure, caption, table = panel
        self.save_figure(figure, path, caption, table)

    def save_panels(self, folder: str, panels: Mapping[str, Any]) -> None:
        """Save figures with captions and tables under their names below a folder of the run."""
        for name, panel in panels.items():
            self.save_panel(f"{folder}/{name}", panel)

    def save_figure(
        self,
        figure: Any,
        path: str,
        caption: str,
        table: pd.DataFrame | None = None,
        mark: str | None = None,
    ) -> None:
        """Save a figure as SVG and PNG, with its caption and the table it was drawn from.

        Parameters
        ----------
        figure
            A matplotlib figure; of a synthetic cohort it is marked as such on its face.
        path
            Folder of the stage and name, ``03_evaluation/5_roc``; the report shows the figures of
            a stage in the order of their names.
        caption
            What to see in it, one or two sentences; the report prints it.
        table
            What the figure was drawn from.
        mark
            What is written on its face; without it, whether the run's cohort is synthetic.
        """
        if mark is None:
            mark = SYNTHETIC_MARK if self.read_document("dataset")["is_synthetic"] else ""
        if mark:
            style = {"ha": "right", "va": "bottom", "fontsize": 8, "color": "#B00000"}
            figure.text(1.0, 1.0, mark, **style)  # outside: it covers nothing
        folder, _, name = path.rpartition("/")
        base = self.directory / folder / "figures" / name
        for suffix, options in ((".svg", {"metadata": {"Date": None}}), (".png", {"dpi": 110})):
            with atomic_path(base.with_suffix(suffix)) as aside:
                figure.savefig(aside, format=suffix[1:], bbox_inches="tight", **options)
        with atomic_path(base.with_suffix(".txt")) as aside:
            aside.write_text(caption + "\n", encoding="utf-8")
        if table is not None:
            with atomic_path(base.with_suffix(".csv")) as aside:
                table.to_csv(aside, index=False)
