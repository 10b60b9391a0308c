"""What a training batch goes through between the cohort and the network, all of it off by default.

A random piece of each ECG, augmentation, mixup, label smoothing: in this order.
"""

from __future__ import annotations

import numpy as np

from models_training.augmentations import augment, settings_for
from models_training.crops import random_crops
from models_training.heads import BinaryHead, Head
from models_training.inputs import ECG_INPUT, Inputs
from models_training.mixing import mixed, mixup_shares
from models_training.sampling import check_imbalance
from models_training.settings import TrainingSettings

Batch = tuple[Inputs, np.ndarray, np.ndarray]


def check_settings(settings: TrainingSettings, head: Head) -> None:
    """Refuse what does not go together."""
    check_imbalance(settings.imbalance)
    if settings.imbalance != "none" and not isinstance(head, BinaryHead):
        raise ValueError(
            f"imbalance must be none for {type(head).__name__}, got {settings.imbalance!r}. Only "
            "the risk of one binary outcome can be recalibrated."
        )
    for name in ("mixup_alpha", "label_smoothing"):
        if getattr(settings, name) and not head.has_soft_targets:
            raise ValueError(
                f"{name} must be 0 for {type(head).__name__}, got {getattr(settings, name):g}. "
                "Its targets cannot be mixed."
            )


def crop_samples(settings: TrainingSettings, n_samples: int) -> int:
    """Return the samples a network sees: all of them, or those of `crop_seconds`.

    Raises
    ------
    ValueError
        If the sampling rate is needed and not given, or the piece is longer than the ECG.
    """
    needs_rate = settings.crop_seconds or settings.augment_strength
    if needs_rate and not settings.rate_hz > 0:
        raise ValueError(
            f"rate_hz must be above 0 for crops and augmentation, got {settings.rate_hz:g}. Pass "
            "the sampling rate of the prepared ECGs."
        )
    if not settings.crop_seconds:
        if settings.n_crops > 1:
            raise ValueError(
                f"n_crops must be 1 for networks that see whole ECGs, got {settings.n_crops}. Set "
                "crop_seconds."
            )
        return n_samples
    found = round(settings.crop_seconds * settings.rate_hz)
    if not 0 < found <= n_samples:
        raise ValueError(
            f"crop_seconds must be at most the {n_samples / settings.rate_hz:g} seconds of an "
            f"ECG, got {settings.crop_seconds:g}."
        )
    return found


def changed_batch(
    batch: Batch, *, settings: TrainingSettings, n_samples: int, rng: np.random.Generator
) -> Batch:
    """Return a training batch as the network is to see it.

    Parameters
    ----------
    batch : tuple
        Inputs, targets (n, n_columns) and weights (n,); records of weight 0 fill it up.
    settings : TrainingSettings
        Which changes are made.
    n_samples : int
        Of a piece, see `crop_samples`.
    rng : numpy.random.Generator
        The only source of chance.

    Returns
    -------
    tuple
        The same, with ECGs of `n_samples`; unchanged where nothing is switched on.
    """
    inputs, y_true, weights = batch
    ecg = random_crops(inputs[ECG_INPUT], n_samples, rng)
    if settings.augment_strength:
        changes = settings_for(settings.augment_strength, rate_hz=settings.rate_hz)
        ecg = augment(ecg, rate_hz=settings.rate_hz, settings=changes, rng=rng)
    inputs = inputs | {ECG_INPUT: ecg}
    if settings.mixup_alpha:
        n_filling = int((weights == 0).sum())  # at the end
        partner, share = mixup_shares(len(weights) - n_filling, alpha=settings.mixup_alpha, rng=rng)
        partner = np.concatenate([partner, np.arange(len(partner), len(weights))])
        share = np.concatenate([share, np.ones(n_filling, "float32")])
        inputs = {name: mixed(values, partner, share) for name, values in inputs.items()}
        y_true, weights = mixed(y_true, partner, share), mixed(weights, partner, share)
    if settings.label_smoothing:
        smoothing = settings.label_smoothing
        y_true = (1 - smoothing) * y_true + smoothing / 2
    return inputs, np.asarray(y_true, "float32"), weights
