"""Where the stage packages meet besides the notebooks: commands that need none.

``download``, ``new-cohort``, ``predict``, ``share-model``, ``import-legacy``, and which files
outside of the run a stage reads.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from workflow.artifacts import PROJECT_ROOT
from workflow.parameters import MAPPINGS


def source_data(parameters: Mapping[str, Any]) -> list[Path]:
    """Return what a stage reads outside of the run, as far as it is on this machine."""
    if "model_run" in parameters:
        return model_files(Path(parameters["model_run"]))
    if "cohort" not in parameters:  # a lab: tables that lie beside it
        return sorted((PROJECT_ROOT / "notebooks" / "labs").glob("*.csv"))
    cohort, root = parameters["cohort"], parameters["data_root"]
    if cohort == "synthetic_nicm":
        return []
    if cohort == "folder":
        return [Path(root)]
    if cohort.lower().endswith(MAPPINGS):
        return [Path(cohort), Path(root or _mapped_folder(Path(cohort)))]
    from data_processing.datasets import locate_dataset

    try:
        return [locate_dataset(cohort, root)]
    except FileNotFoundError:
        return []


def model_files(model_run: Path) -> list[Path]:
    """Return the files of a run that an external validation reads: models, and their patients."""
    patterns = ("card.json", "model.keras", "clinical_model.json", "predictions.parquet")
    found = [path for name in patterns for path in model_run.glob(f"02_models/*/{name}")]
    found += [model_run / "01_data" / name for name in ("dataset.json", "patients.parquet")]
    return sorted(path for path in found if path.is_file())


def _mapped_folder(mapping: Path) -> Path:
    """Return the folder a mapping file names; what is wrong with the file is said by its reader."""
    import yaml

    try:
        content = yaml.safe_load(mapping.read_text(encoding="utf-8"))
        return mapping.parent / str(content["folder"])
    except (yaml.YAMLError, KeyError, TypeError):
        return mapping.parent


def download_dataset(name: str, data_root: Path, mirror: str = "") -> Path:
    """Fetch a public dataset below `data_root`, resuming and checking; return its folder."""
    from data_processing.datasets import download

    return download(name, data_root, base_url=mirror or None)


def new_cohort(folder: Path, output: Path, *, patients: str, ecgs: str) -> list[str]:
    """Write a mapping file for a folder of ECGs and tables; return what is still needed."""
    from data_processing.mapping_template import write_template

    return write_template(folder, output, patients=patients, ecgs=ecgs)


def predict_file(bundle: Path, ecg: Path, covariates: Sequence[str]) -> dict[str, Any]:
    """Return the risk of one ECG file by a trained model: the bundle and the file are enough.

    Parameters
    ----------
    bundle
        Folder with ``model.keras`` and ``card.json``, or a name of the registry.
    ecg
        An ECG in a format the readers know.
    covariates
        ``NAME=VALUE`` in the units of the card; what is left out counts as missing.

    Raises
    ------
    ValueError
        If the bundle or the ECG is refused, or a covariate is unknown or no number.
    """
    import numpy as np

    from data_processing.readers import read_ecg
    from data_processing.signals import SignalChain
    from models_training.bundle import load_bundle
    from models_training.crops import network_scores
    from models_training.registry import RISK_MODEL, find_model

    model, card = load_bundle(find_model(bundle, kind=RISK_MODEL))
    names: list[str] = card["covariate_names"]
    values = dict.fromkeys(names, float("nan"))
    for text in covariates:
        name, _, value = text.partition("=")
        if name not in values:
            known = ", ".join(names) or "none: this model sees the ECG only"
            raise ValueError(f"covariate must be one of {known}, got {name!r}.")
        values[name] = float(value)
    record = read_ecg(ecg)
    signal = SignalChain.from_dict(card["signal_chain"]).apply(record.signal_mv, record.rate_hz)
    inputs = {"ecg": signal[None]}
    if names:
        inputs["covariates"] = np.array([[values[name] for name in names]], dtype="float32")
    found = np.ravel(network_scores(model, inputs, n_crops=card.get("n_crops", 1)))
    # A card without targets is older than models of several.
    targets = card.get("targets") or [{"name": card["target"], "kind": "binary"}]
    scores = {item["name"]: float(value) for item, value in zip(targets, found, strict=True)}
    decided = card["threshold"].get("target") or targets[0]["name"]
    risk, threshold = scores[decided], card["threshold"]["value"]
    first = {"risk": round(risk, 4)} if targets[0]["kind"] != "continuous" else {}
    if len(scores) > 1 or not first:
        first["scores"] = {name: round(value, 4) for name, value in scores.items()}
    return first | {
        "target": card["target"],
        "horizon_days": card["horizon_days"],
        "threshold": threshold,
        "is_above_threshold": None if threshold is None else risk >= threshold,
        "missing_covariates": [name for name, value in values.items() if np.isnan(value)],
        "is_synthetic": card["is_synthetic"],
        "warning": "For research; not a medical device.",
    }


def share_model(directory: Path, name: str) -> Path:
    """Copy a model to ``pre_trained_models`` under a name; return its folder there."""
    from models_training.registry import share

    return share(directory, name)


def import_legacy_model(model: Path, card: Path, output: Path) -> None:
    """Make a bundle of a Keras-2 ``.h5`` file and a YAML file that declares what it is fed."""
    import yaml

    from data_processing.signals import LEADS, SignalChain
    from models_training.legacy_import import import_legacy

    declared = yaml.safe_load(card.read_text(encoding="utf-8")) or {}
    if "signal_chain" in declared:
        declared["signal_chain"] = SignalChain.from_dict(declared["signal_chain"]).to_dict()
    if declared.get("leads", list(LEADS)) != list(LEADS):
        raise ValueError(f"leads must be {', '.join(LEADS)}, got {declared['leads']}. Reorder it.")
    import_legacy(model, declared, output)
