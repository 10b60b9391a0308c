"""Random convolution kernels (MiniRocket) as a layer without trainable weights."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import combinations
from typing import Any

import keras
import numpy as np
from keras import ops

from models_training.settings import ArchitectureSettings

KERNEL_SAMPLES = 9
N_KERNELS = math.comb(KERNEL_SAMPLES, 3)
MOST_DILATIONS = 32
# Of random_kernels' training ECGs held in memory at a time while biases are set.
_ECGS_AT_A_TIME = 28


def random_kernels(x: Any, settings: ArchitectureSettings) -> Any:
    """Add the features of Dempster et al. 2021 (doi 10.1145/3447548.3467231).

    Returns
    -------
    tensor of shape (batch, n_random_features)
        Shares of positive values, 0 to 1, of the layer ``random_kernels``. They mean nothing
        before its `fit` has seen training ECGs.
    """
    return RandomKernels(settings.n_random_features, name="random_kernels")(x)


@keras.saving.register_keras_serializable(package="ecg_risk")
class RandomKernels(keras.layers.Layer):
    """Share of time in which a dilated convolution exceeds a bias, for many fixed kernels.

    The 84 kernels of nine samples hold three values of 2 and six of -1. Each is used with up to
    32 dilations, exponentially spaced up to the whole ECG, on the sum of a random set of leads
    (1 to 9, small sets more often), with several biases: quantiles of its output on one training
    ECG. Half of the kernels see the zero-padded ECG, half the valid part only. Always in float32.

    Parameters
    ----------
    n_features : int
        Features wanted; at least 84, rounded down to a multiple of 84.

    Attributes
    ----------
    has_gradient : bool
        False: counts do not change with a small change of the ECG. Explanations read it.
    """

    has_gradient = False

    def __init__(self, n_features: int, *, name: str | None = None, **options: Any) -> None:
        super().__init__(name=name, **{**options, "dtype": "float32", "trainable": False})
        if n_features < N_KERNELS:
            raise ValueError(
                f"n_random_features must be at least {N_KERNELS}, got {n_features}. Use 9996."
            )
        self.n_features = n_features // N_KERNELS * N_KERNELS

    def get_config(self) -> dict[str, Any]:
        """Return what rebuilds the layer."""
        return {"name": self.name, "n_features": self.n_features}

    def build(self, input_shape: Sequence[int | None]) -> None:
        """Create lead sets and biases; the first sets are those of seed 0, the biases 0."""
        _, n_samples, self.n_leads = input_shape
        per_kernel = self.n_features // N_KERNELS
        self.dilations, self.n_biases = dilations_of(int(n_samples or 0), per_kernel)
        self.lead_sets = self.add_weight(
            shape=(len(self.dilations), self.n_leads, N_KERNELS),
            initializer=lambda *_, **__: self._draw_lead_sets(np.random.default_rng(0)),
            trainable=False,
            name="lead_sets",
        )
        self.biases = self.add_weight(
            shape=(per_kernel, N_KERNELS), initializer="zeros", trainable=False, name="biases"
        )
        super().build(input_shape)

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> tuple[int | None, int]:
        """Return (batch, n_features)."""
        return input_shape[0], self.n_features

    def call(self, inputs: Any) -> Any:
        """Return the share of positive values of each kernel, dilation and bias."""
        parts, first = [], 0
        for index, (dilation, n_biases) in enumerate(
            zip(self.dilations, self.n_biases, strict=True)
        ):
            found = self._convolve(inputs, index)
            margin = dilation * (KERNEL_SAMPLES // 2)
            for parity in (0, 1):
                seen = found[:, :, parity::2]
                if (parity + index) % 2:
                    seen = seen[:, margin:-margin]
                # One bias after another: all at once would hold n_biases copies of the output.
                for bias in range(first, first + n_biases):
                    above = ops.cast(seen > self.biases[bias, parity::2], "float32")
                    parts.append(ops.mean(above, axis=1))
            first += n_biases
        return ops.concatenate(parts, axis=-1)

    def _convolve(self, ecg: Any, index: int) -> Any:
        """Return the output of the 84 kernels at one dilation, (batch, n_samples, 84)."""
        weights = ops.expand_dims(ops.convert_to_tensor(_kernels()), 1)
        kernel = ops.multiply(weights, ops.expand_dims(self.lead_sets[index], 0))
        dilation = self.dilations[index]
        return ops.conv(ecg, kernel, padding="same", dilation_rate=dilation)

    def _draw_lead_sets(self, rng: np.random.Generator) -> np.ndarray:
        """Return 1 where a kernel uses a lead, (n_dilations, n_leads, 84)."""
        shape = (len(self.dilations), N_KERNELS)
        most = min(self.n_leads, KERNEL_SAMPLES)
        n_used = (2 ** rng.uniform(0, math.log2(most + 1), shape)).astype(int)
        rank = rng.random((*shape, self.n_leads)).argsort(axis=-1).argsort(axis=-1)
        return (rank < n_used[..., None]).transpose(0, 2, 1).astype("float32")

    def fit(self, read: Callable[[np.ndarray], Any], n_records: int, *, seed: int) -> None:
        """Draw the lead sets, and take each bias from the output on a random training ECG.

        Parameters
        ----------
        read : callable
            From row numbers below `n_records` to these ECGs as the layer sees them, float32
            (n, n_samples, n_leads); training rows only. At most 28 are asked for at a time.
        n_records : int
            Training ECGs.
        seed : int
            Of lead sets and of which ECGs are used.
        """
        rng = np.random.default_rng(seed)
        self.lead_sets.assign(self._draw_lead_sets(rng))
        # The golden ratio's multiples spread over (0, 1) however many are taken.
        count = np.arange(1, self.n_features + 1)
        quantiles = np.reshape(count * (np.sqrt(5) + 1) / 2 % 1, (-1, N_KERNELS))
        biases, first = np.empty_like(quantiles), 0
        for index, n_biases in enumerate(self.n_biases):
            part = slice(first, first + n_biases)
            rows = rng.integers(n_records, size=N_KERNELS)
            for start in range(0, N_KERNELS, _ECGS_AT_A_TIME):
                kernels = np.arange(start, min(start + _ECGS_AT_A_TIME, N_KERNELS))
                found = np.asarray(self._convolve(read(rows[kernels]), index))
                for ecg, kernel in enumerate(kernels):
                    wanted = quantiles[part, kernel]
                    biases[part, kernel] = np.quantile(found[ecg, :, kernel], wanted)
            first += n_biases
        self.biases.assign(biases)


def dilations_of(n_samples: int, n_features: int) -> tuple[list[int], list[int]]:
    """Return the dilations for a length of ECG, and how many of a kernel's biases each has.

    Raises
    ------
    ValueError
        If the ECG is shorter than a kernel.

    Examples
    --------
    >>> dilations_of(41, 6)
    ([1, 2, 3, 5], [3, 1, 1, 1])
    """
    if n_samples < KERNEL_SAMPLES:
        raise ValueError(
            f"n_samples must be at least {KERNEL_SAMPLES} for random_kernels, got {n_samples}. "
            "Use longer ECGs."
        )
    n_dilations = min(n_features, MOST_DILATIONS)
    longest = math.log2((n_samples - 1) / (KERNEL_SAMPLES - 1))
    # A little is added because the last power may fall below the whole number it stands for.
    spaced = (np.logspace(0, longest, n_dilations, base=2) + 1e-9).astype(int)
    dilations, counts = np.unique(spaced, return_counts=True)
    counts = counts * n_features // n_dilations
    counts[: n_features - counts.sum()] += 1
    return dilations.tolist(), counts.tolist()


def _kernels() -> np.ndarray:
    """Return the 84 kernels, float32 (9, 84)."""
    kernels = np.full((KERNEL_SAMPLES, N_KERNELS), -1.0, dtype="float32")
    for column, raised in enumerate(combinations(range(KERNEL_SAMPLES), 3)):
        kernels[list(raised), column] = 2.0
    return kernels
