"""Which head fits the targets of a cohort, and which head a card tells of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from models_training.columns_head import ColumnsHead
from models_training.hazard_head import HazardHead
from models_training.heads import BinaryHead, Head
from models_training.targets import Targets


def choose_head(patients: pd.DataFrame, targets: Targets) -> Head:
    """Return the head for the targets of a cohort.

    Parameters
    ----------
    patients : DataFrame
        With ``event`` where the time to the event is predicted; an event 2 competes.
    targets : sequence of mappings
        ``kind`` (binary, continuous, time_to_event) and ``horizon_days`` of each.
    """
    kinds = [str(item["kind"]) for item in targets]
    if "time_to_event" in kinds:
        n_causes = 2 if (patients["event"] == 2).any() else 1
        return HazardHead([item["horizon_days"] for item in targets], n_causes=n_causes)
    return BinaryHead() if kinds == ["binary"] else ColumnsHead(kinds)


def head_from_config(config: Mapping[str, Any]) -> Head:
    """Return the head of a bundle from ``head`` of its card.

    Raises
    ------
    ValueError
        If its kind is unknown.

    Examples
    --------
    >>> head_from_config({"kind": "hazard", "horizons_days": [90, 365], "n_causes": 2}).n_outputs
    4
    """
    heads = {"binary": BinaryHead, "columns": ColumnsHead, "hazard": HazardHead}
    options = {name: value for name, value in config.items() if name != "kind"}
    if config.get("kind") not in heads:
        raise ValueError(
            f"kind of a head must be one of {', '.join(heads)}, got {config.get('kind')!r}. Train "
            "again with this version."
        )
    return heads[config["kind"]](**options)
