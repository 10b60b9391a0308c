"""What is explained: an explicit object that turns a layer's output into one number a record."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import keras

from explainability.model_access import layer_output


class Score(Protocol):
    """What is explained: a layer, and how its output becomes one number a record."""

    layer_name: str

    def __call__(self, output: Any) -> Any:
        """Reduce the layer's output (n_records, ...) to scores (n_records,)."""


@dataclass(frozen=True)
class LogitScore:
    """Log-odds of the event, before the sigmoid.

    Parameters
    ----------
    layer_name : str
        Layer that gives the logit.
    column : int
        Which head, for networks with several outcomes.
    toward : {"higher risk", "lower risk"}
        Grad-CAM keeps what pushes the score up; "lower risk" shows what speaks against the event.
    """

    layer_name: str = "logit"
    column: int = 0
    toward: str = "higher risk"

    def __post_init__(self) -> None:
        """Refuse what would silently explain something else."""
        if self.toward not in ("higher risk", "lower risk"):
            raise ValueError(
                f"toward must be 'higher risk' or 'lower risk', got {self.toward!r}. "
                "Choose the side to explain."
            )

    def __call__(self, output: Any) -> Any:
        """Return the signed logit, shape (n_records,)."""
        sign = 1.0 if self.toward == "higher risk" else -1.0
        return sign * keras.ops.cast(output[:, self.column], "float32")  # pyright: ignore[reportOperatorIssue]


def check_score(score: Score | None) -> Score:
    """Return the score object, `LogitScore` by default."""
    if score is None:
        return LogitScore()  # pyright: ignore[reportReturnType]
    if not (callable(score) and hasattr(score, "layer_name")):
        raise TypeError(
            f"score must be a score object such as LogitScore(), got {score!r}. "
            "A bare index does not say which output is explained."
        )
    return score


def score_function(
    model: keras.Model, score: Score | None
) -> tuple[Callable[[list[Any]], Any], Score]:
    """Return a function from the list of inputs to scores (n_records,), and the score object."""
    checked = check_score(score)
    network = keras.Model(model.inputs, layer_output(model, checked.layer_name))

    def function(points: list[Any]) -> Any:
        tensors = [keras.ops.convert_to_tensor(point) for point in points]
        return checked(network(tensors, training=False))

    return function, checked
