"""What a map of a convolutional layer can resolve in time, and bringing it to ECG samples."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import keras
import numpy as np

from explainability.model_access import ECG_INPUT, ecg_samples, input_names, layer_output

# Layers that act on each time point alone; what is not known here makes the field "not known".
_POINTWISE = (
    "Activation", "Add", "Average", "BatchNormalization", "Dense", "Dropout", "ELU",
    "LayerNormalization",
    "LeakyReLU", "Maximum", "Normalization", "PReLU", "ReLU", "Rescaling", "SpatialDropout1D",
    "Subtract",
)  # fmt: skip
_SCALING_LAYER = "ecg_scaling"


@dataclass(frozen=True)
class MapResolution:
    """Time resolution of a layer's map.

    Attributes
    ----------
    n_steps : int
        Values of the map along the record.
    seconds_per_value : float
        Distance between neighbouring values.
    receptive_field_seconds : float or None
        Stretch of ECG one value can see (theoretical); None where the graph has a layer that
        sees the whole record or that is not known here.
    has_lead_axis : bool
        Always False: convolutions mix the leads at the first layer.
    """

    n_steps: int
    seconds_per_value: float
    receptive_field_seconds: float | None
    has_lead_axis: bool = False

    def __str__(self) -> str:
        """Say it in one sentence, for captions."""
        field = (
            "sees an unknown stretch"
            if self.receptive_field_seconds is None
            else f"can see {self.receptive_field_seconds:.2f} s"
        )
        return (
            f"{self.n_steps} values, one every {self.seconds_per_value:.2f} s; each {field} of "
            "ECG; no lead axis (a Grad-CAM map says when, not in which lead)"
        )


def map_resolution(model: keras.Model, layer_name: str, *, rate_hz: float) -> MapResolution:
    """Return what one value of a layer's map stands for.

    Parameters
    ----------
    model : keras.Model
        Network with the input ``ecg``.
    layer_name : str
        Convolutional layer or stage output, shape (steps, channels).
    rate_hz : float
        Sampling rate of the ECG the network takes.

    Returns
    -------
    MapResolution

    Raises
    ------
    ValueError
        If the rate is not positive, or the layer is missing or has no time axis.

    Notes
    -----
    Receptive field r, jump j and centre c of the first value grow as r' = r + (k - 1) d j, j' = j s
    and c' = c + ((k - 1) d / 2 - p) j (kernel k, dilation d, stride s, padding p on the left);
    where branches meet, the largest r and the mean c count. Araujo et al. 2019,
    doi 10.23915/distill.00021.
    """
    if not rate_hz > 0:
        raise ValueError(f"rate_hz must be positive, got {rate_hz}. Read it from dataset.json.")
    input_names(model)
    inner = layer_output(model, layer_name)
    if len(inner.shape) != 3 or inner.shape[1] is None:
        raise ValueError(
            f"layer_name must have outputs of shape (steps, channels), got {tuple(inner.shape[1:])}"
            f" from {layer_name!r}. Choose a stage output such as 'conv5_block3_out'."
        )
    n_samples = ecg_samples(model)
    field = _receptive_fields(model).get(id(inner))
    return MapResolution(
        n_steps=int(inner.shape[1]),
        seconds_per_value=(field.jump if field else n_samples / inner.shape[1]) / rate_hz,
        receptive_field_seconds=None if field is None else min(field.size, n_samples) / rate_hz,
    )


def step_centres(model: keras.Model, layer_name: str) -> np.ndarray:
    """Return the sample of the ECG at the centre of each value of a layer, shape (n_steps,).

    Strided layers that take the first of two values draw it to an earlier time, layer by layer.
    Where the graph is not known (see `map_resolution`) the values are spread evenly.
    """
    inner = layer_output(model, layer_name)
    field = _receptive_fields(model).get(id(inner))
    if field is None:
        return _even_centres(inner.shape[1], ecg_samples(model))
    return field.centre + np.arange(inner.shape[1]) * float(field.jump)


def _even_centres(n_steps: int, n_samples: int) -> np.ndarray:
    return (np.arange(n_steps) + 0.5) * n_samples / n_steps - 0.5


def samples_a_step(model: keras.Model) -> int:
    """Return the samples between neighbouring values of the coarsest layer, 1 where not known.

    Shifted by a multiple of it, an ECG goes through the strides of the network as before.
    """
    return max((field.jump for field in _receptive_fields(model).values()), default=1)


class _Field(NamedTuple):
    """What one value of a tensor sees, in samples: how many, the next how far, the first where."""

    size: int
    jump: int
    centre: float


def _receptive_fields(model: keras.Model) -> dict[int, _Field]:
    """Return the fields of tensors (by id) where they are known."""
    fields: dict[int, _Field] = {}
    for operation in model.operations:
        if operation.name == ECG_INPUT:
            fields[id(operation.output)] = _Field(1, 1, 0.0)
            continue
        if isinstance(operation, keras.layers.InputLayer):
            continue
        tensors = keras.tree.flatten(operation.input)
        known = [fields[id(tensor)] for tensor in tensors if id(tensor) in fields]
        if not known or len(known) < len(tensors):
            continue
        sizes, jumps, centres = zip(*known, strict=True)
        before = _Field(max(sizes), max(jumps), sum(centres) / len(centres))
        grown = _grow(operation, tensors[0].shape[1], before)
        if grown is not None:
            for tensor in keras.tree.flatten(operation.output):
                fields[id(tensor)] = grown
    return fields


def _grow(operation: Any, n_steps: int, before: _Field) -> _Field | None:
    """Return the field after one operation on `n_steps` values, None where it can't be said."""
    kind = type(operation).__name__
    if kind in _POINTWISE or operation.name == _SCALING_LAYER:
        return before
    if kind == "Concatenate" and operation.axis in (-1, 2):
        return before
    if kind == "ZeroPadding1D":
        return before._replace(centre=before.centre - operation.padding[0] * before.jump)
    if kind in ("Conv1D", "SeparableConv1D", "DepthwiseConv1D"):
        reach = (operation.kernel_size[0] - 1) * operation.dilation_rate[0]
        stride = operation.strides[0]
    elif kind in ("MaxPooling1D", "AveragePooling1D"):
        reach = int(np.ravel(operation.pool_size)[0]) - 1
        stride = int(np.ravel(operation.strides)[0])
    else:
        return None
    n_padded = (-(-n_steps // stride) - 1) * stride + reach + 1 - n_steps
    left = {"same": max(n_padded, 0) // 2, "causal": reach}.get(operation.padding, 0)
    centre = before.centre + (reach / 2 - left) * before.jump
    return _Field(before.size + reach * before.jump, before.jump * stride, centre)


def resize_map(maps: np.ndarray, n_samples: int, centres: np.ndarray | None = None) -> np.ndarray:
    """Bring maps to one value a sample, by linear interpolation between the steps' centres.

    Parameters
    ----------
    maps : array of shape (n_records, n_steps)
        Output of `attribution.grad_cam`.
    n_samples : int
        Samples of the ECG.
    centres : array of shape (n_steps,), optional
        `step_centres` of the layer; evenly spread by default.

    Returns
    -------
    float32 array of shape (n_records, n_samples)
        Values between those of the map; nothing is normalised. Smoothness between the steps is
        interpolation, not knowledge.

    Raises
    ------
    ValueError
        If `maps` is not two-dimensional or would have to be shortened.

    Notes
    -----
    Evenly spread, step k stands for samples [k s, (k + 1) s) with s = n_samples / n_steps, so its
    centre is at (k + 0.5) s - 0.5. Outside the first and last centre the value is held.

    Examples
    --------
    >>> resize_map(np.array([[0.0, 1.0]]), 4).round(2).tolist()
    [[0.0, 0.25, 0.75, 1.0]]
    """
    maps = np.asarray(maps, dtype=np.float32)
    if maps.ndim != 2 or maps.shape[1] < 1:
        raise ValueError(
            f"maps must be of shape (n_records, n_steps), got {maps.shape}. "
            "Pass what grad_cam returned."
        )
    n_steps = maps.shape[1]
    if n_samples < n_steps:
        raise ValueError(
            f"n_samples must be at least the map's {n_steps} steps, got {n_samples}. "
            "Pass the number of samples of the ECG."
        )
    if centres is None:
        centres = _even_centres(n_steps, n_samples)
    position = np.interp(np.arange(n_samples), centres, np.arange(n_steps))
    left = np.minimum(position.astype(int), max(n_steps - 2, 0))
    right = np.minimum(left + 1, n_steps - 1)
    weight = (position - left).astype(np.float32)
    return maps[:, left] * (1 - weight) + maps[:, right] * weight
