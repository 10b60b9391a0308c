"""The 1D ResNet-50 as one flat functional graph with Keras' layer names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from models_training.inputs import COVARIATE_INPUT, ECG_INPUT
from models_training.settings import ArchitectureSettings

EXPANSION = 4
# The default of 0.99 needs hundreds of steps; small cohorts have tens.
BATCH_NORM_MOMENTUM = 0.9


@keras.saving.register_keras_serializable(package="ecg_risk")
class TrainingScale(keras.layers.Layer):
    """Standardise with means and scales of the training rows; a missing value (NaN) becomes 0.

    A missing covariate is thus replaced by the training mean. The statistics are weights, so they
    are saved with the network; ``set_statistics`` writes them. Always in float32.
    """

    def __init__(self, *, name: str | None = None, **options: Any) -> None:
        super().__init__(name=name, **{**options, "dtype": "float32"})

    def get_config(self) -> dict[str, Any]:
        """Return what rebuilds the layer; its name is part of the network's contract."""
        return {"name": self.name, "trainable": self.trainable}

    def build(self, input_shape: Sequence[int | None]) -> None:
        """Create one mean and one scale a column."""
        shape = (input_shape[-1],)
        self.mean = self.add_weight(shape=shape, initializer="zeros", trainable=False, name="mean")
        self.scale = self.add_weight(shape=shape, initializer="ones", trainable=False, name="scale")
        super().build(input_shape)

    def call(self, inputs: Any) -> Any:
        """Return (inputs - mean) / scale, 0 where missing."""
        is_missing = ops.isnan(inputs)
        # The mean is put in before any arithmetic: a NaN behind `where` still spoils gradients.
        known = ops.where(is_missing, self.mean, inputs)
        return (known - self.mean) / self.scale

    def set_statistics(self, mean: Any, scale: Any) -> None:
        """Write the statistics, shape (n_columns,); a constant column is left unscaled."""
        self.mean.assign(mean)
        self.scale.assign(ops.where(ops.convert_to_tensor(scale) > 0, scale, 1.0))  # pyright: ignore[reportOperatorIssue]


def build_resnet50(
    *,
    n_samples: int,
    n_leads: int = 12,
    covariate_names: Sequence[str] = (),
    settings: ArchitectureSettings | None = None,
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
        Size of the network.
    seed : int
        Of the initial weights and of dropout.

    Returns
    -------
    keras.Model
        Inputs ``ecg`` (n_samples, n_leads) and ``covariates``; layers ``logit`` and, as output,
        ``risk`` (1,), 0 to 1, float32. Blocks end in ``conv2_block3_out`` ... ``conv5_block3_out``.

    Raises
    ------
    ValueError
        If the ECG is shorter than one value of the last stage.

    References
    ----------
    He et al. 2016, doi 10.1109/CVPR.2016.90.

    Examples
    --------
    >>> model = build_resnet50(n_samples=1000, settings=ArchitectureSettings(width=4))
    >>> model.output_shape
    (None, 1)
    """
    settings = settings or ArchitectureSettings()
    n_strided = settings.stem_stride * 2 ** len(settings.stage_blocks)
    if n_samples < n_strided:
        raise ValueError(
            f"n_samples must be at least {n_strided}, got {n_samples}. Use longer ECGs or a "
            "smaller stem_stride."
        )
    keras.utils.set_random_seed(seed)
    ecg = keras.Input((n_samples, n_leads), name=ECG_INPUT)
    inputs = [ecg]
    features = _trunk(TrainingScale(name="ecg_scaling")(ecg), settings)
    if covariate_names:
        covariates = keras.Input((len(covariate_names),), name=COVARIATE_INPUT)
        inputs.append(covariates)
        branch = TrainingScale(name="covariate_scaling")(covariates)
        hidden = keras.layers.Dense(settings.covariate_units, "relu", name="covariate_dense")(
            branch
        )
        features = keras.layers.Concatenate(name="features")([features, hidden])
    features = keras.layers.Dropout(settings.dropout, name="dropout")(features)
    logit = keras.layers.Dense(1, name="logit", dtype="float32")(features)
    risk = keras.layers.Activation("sigmoid", name="risk", dtype="float32")(logit)
    return keras.Model(inputs, risk, name="resnet50_1d")


def _trunk(x: Any, settings: ArchitectureSettings) -> Any:
    """Return the pooled features of the scaled ECG."""
    x = keras.layers.Conv1D(
        settings.width,
        settings.stem_kernel_samples,
        strides=settings.stem_stride,
        padding="same",
        use_bias=False,
        name="conv1_conv",
    )(x)
    x = _norm_relu(x, "conv1")
    x = keras.layers.MaxPooling1D(3, strides=2, padding="same", name="pool1_pool")(x)
    for stage, n_blocks in enumerate(settings.stage_blocks):
        filters = settings.width * 2**stage
        for block in range(n_blocks):
            halves = stage > 0 and block == 0
            name = f"conv{stage + 2}_block{block + 1}"
            x = _bottleneck(x, filters, name, settings, is_first=block == 0, halves=halves)
    return keras.layers.GlobalAveragePooling1D(name="avg_pool")(x)


def _bottleneck(
    x: Any,
    filters: int,
    name: str,
    settings: ArchitectureSettings,
    *,
    is_first: bool,
    halves: bool,
) -> Any:
    """Add one bottleneck block: 1x1, k x 1, 1x1, and the shortcut.

    The 1x1 convolutions are dense layers over the channels: the same operation, as one matrix
    product, which is faster on processors.
    """
    if halves:
        x = keras.layers.AveragePooling1D(1, strides=2, name=f"{name}_subsample")(x)
    shortcut = x
    if is_first:
        shortcut = _pointwise(x, filters * EXPANSION, f"{name}_0")
    y = _pointwise(x, filters, f"{name}_1")
    y = keras.layers.Activation("relu", name=f"{name}_1_relu")(y)
    y = keras.layers.Conv1D(
        filters, settings.kernel_samples, padding="same", use_bias=False, name=f"{name}_2_conv"
    )(y)
    y = _norm_relu(y, f"{name}_2")
    # Starting as its shortcut, a block cannot drown the signal: without this, 16 blocks learn
    # nothing from a few hundred ECGs (Goyal et al. 2017, arXiv:1706.02677).
    y = _pointwise(y, filters * EXPANSION, f"{name}_3", gamma_initializer="zeros")
    y = keras.layers.Add(name=f"{name}_add")([shortcut, y])
    return keras.layers.Activation("relu", name=f"{name}_out")(y)


def _pointwise(x: Any, filters: int, name: str, gamma_initializer: str = "ones") -> Any:
    x = keras.layers.Dense(filters, use_bias=False, name=f"{name}_conv")(x)
    return keras.layers.BatchNormalization(
        momentum=BATCH_NORM_MOMENTUM, gamma_initializer=gamma_initializer, name=f"{name}_bn"
    )(x)


def _norm_relu(x: Any, name: str) -> Any:
    x = keras.layers.BatchNormalization(momentum=BATCH_NORM_MOMENTUM, name=f"{name}_bn")(x)
    return keras.layers.Activation("relu", name=f"{name}_relu")(x)
