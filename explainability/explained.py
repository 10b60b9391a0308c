"""What the explained score is, in the words of the target: a risk, a risk by a day, or a number."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import logit

_LIMIT = 1e-6  # a stored risk of 0 or 1 has no logit


@dataclass(frozen=True)
class Explained:
    """The words of an explanation; by default those of one outcome.

    Patients are told apart in two groups whatever the target: with and without the event, or a
    number above its median and not.

    Attributes
    ----------
    score : str
        What is explained, for axes: "logit".
    about : str
        The same in full.
    told : str
        What a reader is told of it: "risk", or "predicted LVEF".
    unit : str
        Of that.
    groups : tuple of str
        The two groups, 0 and 1: "no event" and "event".
    without, had : str
        Of training patients: "without the event", and what those of the second group had.
    is_number : bool
        Whether a number is predicted, not a risk.
    """

    score: str = "logit"
    about: str = "logit of the predicted risk"
    told: str = "risk"
    unit: str = ""
    groups: tuple[str, str] = ("no event", "event")
    without: str = "without the event"
    had: str = "had the event"
    is_number: bool = False

    @classmethod
    def of_target(cls, target: Mapping[str, Any], patients: pd.DataFrame) -> Explained:
        """Return the words of a target of ``dataset.json``.

        Parameters
        ----------
        target : mapping
            ``kind, label, unit, column, horizon_days``.
        patients : DataFrame
            With the column of a number, for its median.
        """
        if target["kind"] == "continuous":
            label, unit = str(target["label"]), str(target["unit"])
            limit = f"{patients[target['column']].median():.1f} {unit}".rstrip()
            return cls(
                score=f"{label} in SD",
                about=f"predicted {label} in standard deviations (SD) of the training patients",
                told=f"predicted {label}",
                unit=unit,
                groups=(f"measured up to {limit}", f"measured above {limit}"),
                without=f"with {label} up to {limit}",
                had=f"had {label} above {limit}",
                is_number=True,
            )
        if target["kind"] == "time_to_event":
            by = f"by day {target['horizon_days']}"
            return cls(
                score=f"log odds {by}",
                about=f"log odds of the cumulative risk {by}",
                told=f"risk {by}",
                groups=(f"no event {by}", f"event {by}"),
                without=f"without the event {by}",
                had=f"had the event {by}",
            )
        return cls()

    def sentence(self) -> str:
        """Return in one sentence what the maps explain, and who is told apart."""
        first, second = self.groups
        return f"Explained: the {self.about}. Patients are told apart by: {second}, or {first}."

    def scores(self, y_score: pd.Series | np.ndarray) -> np.ndarray:
        """Return predicted values on the scale that is explained, up to scale and origin."""
        values = np.asarray(y_score, float)
        return values if self.is_number else logit(np.clip(values, _LIMIT, 1 - _LIMIT))

    def value(self, told: float) -> str:
        """Return a predicted value as a reader is told it: "0.23", or "31.2 %"."""
        return f"{told:.1f} {self.unit}".rstrip() if self.is_number else f"{told:.2f}"

    def prediction(self, y_score: float) -> str:
        """Return what is told, with its value: "risk = 0.23"."""
        return f"{self.told} = {self.value(y_score)}"

    def group(self, y_true: float) -> str:
        """Return the words of the group of a patient, 0 or 1."""
        return self.groups[int(y_true == 1)]

    def heading(self, record: pd.Series) -> str:
        """Return a record's title from its ``record_id, y_score, y_true``."""
        found = self.prediction(record["y_score"])
        return f"{record['record_id']}: {found}, {self.group(record['y_true'])}"


RISK = Explained()
