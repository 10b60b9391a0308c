"""Every network by its name: one flat functional graph from millivolts to a risk."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras

from models_training.heads import BinaryHead, Head
from models_training.inputs import COVARIATE_INPUT, ECG_INPUT
from models_training.layers import TrainingScale
from models_training.resnet import resnet50
from models_training.settings import ArchitectureSettings

# name -> function from the scaled ECG to its pooled features, shape (batch, n_features)
ARCHITECTURES: dict[str, Callable[[Any, ArchitectureSettings], Any]] = {"resnet50": resnet50}


def build_network(
    *,
    n_samples: int,
    n_leads: int = 12,
    covariate_names: Sequence[str] = (),
    settings: ArchitectureSettings | None = None,
    head: Head | None = None,
    seed: int = 0,
) -> keras.Model:
    """Build the network from an ECG in millivolts, and covariates, to a risk.

    Parameters
    ----------
    n_samples, n_leads : int
        Shape of an ECG.
    covariate_names : sequence of str
        Columns of the input ``covariates`` (NaN for missing); none gives a one-input network.
    settings : ArchitectureSettings
        Name and size of the network.
    head : Head
        What is predicted; a binary outcome by default.
    seed : int
        Of the initial weights and of dropout.

    Returns
    -------
    keras.Model
        Inputs ``ecg`` (n_samples, n_leads) and ``covariates``; layers ``logit`` and, as output,
        ``risk``, float32.

    Raises
    ------
    ValueError
        If the name is unknown, or the ECG is shorter than one value of the last stage.

    Examples
    --------
    >>> model = build_network(n_samples=1000, settings=ArchitectureSettings(width=4))
    >>> model.output_shape
    (None, 1)
    """
    settings, head = settings or ArchitectureSettings(), head or BinaryHead()
    if settings.name not in ARCHITECTURES:
        raise ValueError(
            f"architecture must be one of {', '.join(ARCHITECTURES)}, got {settings.name!r}."
        )
    n_strided = settings.stem_stride * 2 ** len(settings.stage_blocks)
    if n_samples < n_strided:
        raise ValueError(
            f"n_samples must be at least {n_strided}, got {n_samples}. Use longer ECGs or a "
            "smaller stem_stride."
        )
    keras.utils.set_random_seed(seed)
    ecg = keras.Input((n_samples, n_leads), name=ECG_INPUT)
    inputs = [ecg]
    trunk = ARCHITECTURES[settings.name]
    features = trunk(TrainingScale(name="ecg_scaling")(ecg), settings)
    if covariate_names:
        covariates = keras.Input((len(covariate_names),), name=COVARIATE_INPUT)
        inputs.append(covariates)
        branch = TrainingScale(name="covariate_scaling")(covariates)
        hidden = keras.layers.Dense(settings.covariate_units, "relu", name="covariate_dense")(
            branch
        )
        features = keras.layers.Concatenate(name="features")([features, hidden])
    features = keras.layers.Dropout(settings.dropout, name="dropout")(features)
    logit = keras.layers.Dense(head.n_outputs, name="logit", dtype="float32")(features)
    return keras.Model(inputs, head.risk(logit), name=f"{settings.name}_1d")
