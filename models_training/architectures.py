"""Every network by its name: one flat functional graph from millivolts to a risk."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import keras

from models_training.fcn import fcn_wang
from models_training.heads import BinaryHead, Head
from models_training.inception import inception_time
from models_training.inputs import COVARIATE_INPUT, ECG_INPUT
from models_training.layers import LeadAmplitude, RecordScale, TrainingScale
from models_training.random_kernels import KERNEL_SAMPLES, random_kernels
from models_training.resnet import resnet, resnet50
from models_training.settings import ArchitectureSettings
from models_training.wide_resnet import LEAST_VALUES, wide_resnet
from models_training.xresnet import xresnet1d


@dataclass(frozen=True)
class Architecture:
    """One family of networks.

    Parameters
    ----------
    trunk : callable
        From the scaled ECG (batch, n_samples, n_leads) to its features (batch, n_features).
        Blocks are named ``conv<stage>_block<block>`` and end in ``..._out``.
    least_samples : callable
        Shortest ECG it takes.
    features : str
        Layer that gives the features.
    """

    trunk: Callable[[Any, ArchitectureSettings], Any]
    least_samples: Callable[[ArchitectureSettings], int]
    features: str = "avg_pool"


def _halved_stages(settings: ArchitectureSettings) -> int:
    """Return what leaves one value of the last stage; the first stage follows a pooling."""
    return settings.stem_stride * 2 ** len(settings.stage_blocks)


def _one_kernel(settings: ArchitectureSettings) -> int:
    """Return what the longest convolution of blocks that shorten nothing covers."""
    return settings.stem_stride * settings.kernel_samples


ARCHITECTURES: dict[str, Architecture] = {
    "resnet18": Architecture(resnet, _halved_stages),
    "resnet34": Architecture(resnet, _halved_stages),
    "resnet50": Architecture(resnet50, _halved_stages),
    "wide_resnet": Architecture(wide_resnet, lambda settings: LEAST_VALUES * settings.stem_stride),
    "fcn_wang": Architecture(fcn_wang, _one_kernel),
    "xresnet1d": Architecture(xresnet1d, _halved_stages, "pooled"),
    "inception_time": Architecture(inception_time, _one_kernel),
    "random_kernels": Architecture(random_kernels, lambda _: KERNEL_SAMPLES, "random_kernels"),
}


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
        Name, size and inputs of the network.
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
        If the ECG is too short for the network.

    Examples
    --------
    >>> model = build_network(n_samples=1000, settings=ArchitectureSettings(width=4))
    >>> model.output_shape
    (None, 1)
    """
    settings, head = settings or ArchitectureSettings(), head or BinaryHead()
    family = ARCHITECTURES[settings.name]
    least = family.least_samples(settings)
    if n_samples < least:
        raise ValueError(
            f"n_samples must be at least {least} for {settings.name}, got {n_samples}. Use longer "
            "ECGs, or a smaller network: stem_stride, kernel_samples or another architecture."
        )
    keras.utils.set_random_seed(seed)
    ecg = keras.Input((n_samples, n_leads), name=ECG_INPUT)
    inputs = [ecg]
    scale = RecordScale if settings.normalisation == "record" else TrainingScale
    features = [family.trunk(scale(name="ecg_scaling")(ecg), settings)]
    if settings.use_amplitude:  # before the covariates: the trunk is all that sees the ECG
        amplitude = TrainingScale(name="amplitude_scaling")(LeadAmplitude(name="amplitude")(ecg))
        features.append(keras.layers.Dense(n_leads, "relu", name="amplitude_dense")(amplitude))
    if covariate_names:
        covariates = keras.Input((len(covariate_names),), name=COVARIATE_INPUT)
        inputs.append(covariates)
        branch = TrainingScale(name="covariate_scaling")(covariates)
        features.append(
            keras.layers.Dense(settings.covariate_units, "relu", name="covariate_dense")(branch)
        )
    joined = features[0]
    if len(features) > 1:
        joined = keras.layers.Concatenate(name="features")(features)
    joined = keras.layers.Dropout(settings.dropout, name="dropout")(joined)
    logit = keras.layers.Dense(head.n_outputs, name="logit", dtype="float32")(joined)
    return keras.Model(inputs, head.risk(logit), name=f"{settings.name}_1d")
