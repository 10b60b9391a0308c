"""What an encoder is trained on and how; nothing here loads Keras."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from models_training.augmentations import AugmentationSettings
from models_training.settings import ArchitectureSettings

MEASURES = ["age_years"]


@dataclass(frozen=True)
class PretrainingData:
    """Scaled ECGs and what is known of each.

    Parameters
    ----------
    signals : float32 array of shape (n, n_samples, 12)
        Each lead with mean 0 and SD 1 over its record; may be a memory map.
    labels : DataFrame
        One column a binary target, 0 or 1 (or a probability), NaN where unknown.
    label_weights : sequence of float
        Weight of each label in the loss.
    measures : DataFrame
        One column a continuous target; standardised by the training rows.
    measure_weights : sequence of float
        Weight of each measure.
    """

    signals: np.ndarray
    labels: pd.DataFrame
    label_weights: Sequence[float]
    measures: pd.DataFrame
    measure_weights: Sequence[float]

    @property
    def target_names(self) -> list[str]:
        """Names of labels and measures, in the order of the network's outputs."""
        return [*self.labels.columns, *self.measures.columns]


def multi_task_data(
    signals: np.ndarray, labels: pd.DataFrame, records: pd.DataFrame, *, n_classes: int
) -> PretrainingData:
    """Return a corpus with the weights that were used for the shipped encoder.

    The superclasses count 1 together, the statements 1, sex and age 0.2 each.

    Parameters
    ----------
    signals : float32 array of shape (n, n_samples, 12)
    labels : DataFrame
        Superclasses in the first `n_classes` columns, then statements.
    records : DataFrame
        ``is_male`` and ``age_years``.
    n_classes : int
    """
    n_statements = labels.shape[1] - n_classes
    weights = [*[1 / n_classes] * n_classes, *[1 / max(n_statements, 1)] * n_statements, 0.2]
    return PretrainingData(
        signals=signals,
        labels=labels.assign(is_male=records["is_male"]).astype("float32"),
        label_weights=weights,
        measures=records[MEASURES].astype("float32"),
        measure_weights=[0.2],
    )


@dataclass(frozen=True)
class PretrainingSettings:
    """How an encoder is trained; the defaults are those of the shipped one.

    Parameters
    ----------
    n_epochs, batch_size : int
        An epoch takes one random piece of every record.
    learning_rate, weight_decay : float
        Highest rate of the cycle, and decay, of AdamW.
    schedule : str
        See `models_training.schedules`.
    crop_samples : int
        Length of a piece.
    augmentation : AugmentationSettings
        How pieces are changed, mixup included.
    precision : str
        See `TrainingSettings`.
    seed : int
        Of weights, dropout, order, pieces and changes.
    architecture : ArchitectureSettings
        Of the encoder.
    """

    n_epochs: int = 30
    batch_size: int = 64
    learning_rate: float = 2e-3
    weight_decay: float = 0.05
    schedule: str = "one_cycle"
    crop_samples: int = 250
    augmentation: AugmentationSettings = field(default_factory=AugmentationSettings)
    precision: str = "auto"
    seed: int = 0
    architecture: ArchitectureSettings = field(
        default_factory=lambda: ArchitectureSettings(normalisation="record")
    )


def recipe(
    architecture: str = "resnet50", *, width: int = 0, n_epochs: int = 0, seed: int = 0
) -> PretrainingSettings:
    """Return the settings of the shipped encoder, for any architecture.

    Chosen inside folds 1 to 8 of PTB-XL's scaled mirror with networks of a quarter of the width:
    see `docs/pretraining.md`.
    """
    changes = AugmentationSettings(
        probability=0.7,
        lead_dropout=0.1,
        amplitude_sd=0.2,
        wander_mv=0.2,
        cutout_seconds=0.6,
        is_relative=True,
        mixup_alpha=0.3,
    )
    return PretrainingSettings(
        n_epochs=n_epochs or PretrainingSettings.n_epochs,
        augmentation=changes,
        seed=seed,
        architecture=ArchitectureSettings(architecture, width=width, normalisation="record"),
    )
