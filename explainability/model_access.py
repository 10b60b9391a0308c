"""Reach into a flat functional Keras model: inputs, inner layers, gradients, parts of the graph.

Everything here rests on the public names of the graph: inputs ``ecg`` (samples, leads) in
millivolts and, in two-input networks, ``covariates`` (columns) with NaN for missing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping
from typing import Any
from weakref import WeakKeyDictionary

import keras
import numpy as np

ECG_INPUT = "ecg"
COVARIATE_INPUT = "covariates"

Inputs = Mapping[str, np.ndarray]


_CUTS: MutableMapping[keras.Model, dict[tuple[str, str], tuple[keras.Model, ...]]]
_CUTS = WeakKeyDictionary()  # see `split_at_layer`


def ecg_samples(model: keras.Model) -> int:
    """Return how many samples of an ECG a network takes."""
    return next(tensor.shape[1] for tensor in model.inputs if tensor.name == ECG_INPUT)


def input_names(model: keras.Model) -> list[str]:
    """Return the names of a model's inputs in the order it takes them.

    Parameters
    ----------
    model : keras.Model
        Functional model with an input named ``ecg``.

    Raises
    ------
    TypeError
        If `model` is no Keras model.
    ValueError
        If no input is called ``ecg``.
    """
    if not isinstance(model, keras.Model):
        raise TypeError(
            f"model must be a keras.Model, got {type(model).__name__}. Load the bundle first."
        )
    names = [tensor.name for tensor in model.inputs]
    if ECG_INPUT not in names:
        raise ValueError(
            f"model must have an input named {ECG_INPUT!r}, got {names}. "
            "Name it: keras.Input((n_samples, 12), name='ecg')."
        )
    return names


def check_inputs(model: keras.Model, inputs: Inputs | np.ndarray) -> dict[str, np.ndarray]:
    """Name the input arrays and check that they fit the model and each other.

    Parameters
    ----------
    model : keras.Model
        The network.
    inputs : mapping of str to array, or array of shape (n_records, n_samples, n_leads)
        One array an input; a bare array is the ECG in millivolts. Memory maps stay on disk.

    Returns
    -------
    dict of str to array
        In the order of the model's inputs.

    Raises
    ------
    ValueError
        If names, shapes or lengths do not fit.
    """
    names = input_names(model)
    arrays = dict(inputs) if isinstance(inputs, Mapping) else {ECG_INPUT: inputs}
    if set(arrays) != set(names):
        raise ValueError(
            f"inputs must name exactly {names}, got {list(arrays)}. "
            "Pass a dict with one array for each input of the model."
        )
    for tensor in model.inputs:
        array = arrays[tensor.name]
        wanted = tuple(tensor.shape[1:])
        shape = tuple(np.shape(array))
        fits = len(shape) == len(wanted) + 1 and all(
            rule in (None, size) for rule, size in zip(wanted, shape[1:], strict=True)
        )
        if not fits:
            raise ValueError(
                f"inputs[{tensor.name!r}] must be of shape (n_records, *{wanted}), got {shape}. "
                "Bring the arrays to the form the network was trained with."
            )
    lengths = {name: len(arrays[name]) for name in names}
    if len(set(lengths.values())) != 1:
        raise ValueError(
            f"inputs must all hold the same number of records, got {lengths}. "
            "Select the same rows from each array."
        )
    return {name: arrays[name] for name in names}


def batches(
    inputs: Inputs, *, batch_size: int = 32
) -> Iterator[tuple[slice, dict[str, np.ndarray]]]:
    """Yield the records in batches, read from disk only when their turn comes.

    Parameters
    ----------
    inputs : mapping of str to array
        As returned by `check_inputs`; memory maps are read slice by slice.
    batch_size : int
        Records a batch.

    Yields
    ------
    rows : slice
        Which records.
    batch : dict of str to float32 array

    Raises
    ------
    ValueError
        If `batch_size` is below 1, or an ECG holds values that are not finite.
    """
    if batch_size < 1:
        raise ValueError(f"batch_size must be at least 1, got {batch_size}. Use 16 to 64.")
    n_records = len(next(iter(inputs.values())))
    for start in range(0, n_records, batch_size):
        rows = slice(start, min(start + batch_size, n_records))
        batch = {name: np.asarray(array[rows], dtype=np.float32) for name, array in inputs.items()}
        if ECG_INPUT in batch and not np.isfinite(batch[ECG_INPUT]).all():
            bad = ~np.isfinite(batch[ECG_INPUT]).all(axis=(1, 2))
            raise ValueError(
                f"inputs['ecg'] must be finite, got NaN or infinity in row {start + bad.argmax()}. "
                "Leave such records out (data_processing rejects them)."
            )
        yield rows, batch


def layer_output(model: keras.Model, layer_name: str) -> Any:
    """Return the symbolic output of a layer of the flat graph.

    Raises
    ------
    ValueError
        If the model has no such layer at its top level (a backbone nested as one layer hides
        its own; Grad-CAM cannot reach through it).
    """
    names = [layer.name for layer in model.layers]
    if layer_name not in names:
        ends = [name for name in names if name.endswith("_out")]
        advice = f"Choose one of {', '.join(ends)}." if ends else "This network has no such maps."
        raise ValueError(
            f"layer_name must be a layer of the flat graph, got {layer_name!r}. {advice}"
        )
    return model.get_layer(layer_name).output


def private_copy(model: keras.Model) -> keras.Model:
    """Return a model of the same graph and weights that shares nothing with the original.

    Keras 3.15 builds a model from an inner tensor by adding nodes to the layers it passes; the
    original then can't be saved any more ("could not find node key"). So graphs are cut on a copy.
    """
    copy = type(model).from_config(model.get_config())
    _take_weights(copy, model)
    return copy


def _take_weights(copy: keras.Model, model: keras.Model) -> None:
    copy.set_weights(model.get_weights())
    for layer in copy.layers:
        if isinstance(layer, keras.layers.Normalization):
            layer.finalize_state()  # an adapted layer computes with constants derived from weights


def tensor_ancestors(model: keras.Model) -> dict[int, frozenset[str]]:
    """Map each tensor of the graph (by ``id``) to the names of the operations before it.

    The operation that made the tensor is included, as are the inputs. Operations are visited in
    the order in which Keras runs them, so parents come first.
    """
    ancestors: dict[int, frozenset[str]] = {}
    for operation in model.operations:
        before: set[str] = {operation.name}
        if not isinstance(operation, keras.layers.InputLayer):
            for tensor in keras.tree.flatten(operation.input):
                before |= ancestors.get(id(tensor), frozenset())
        for tensor in keras.tree.flatten(operation.output):
            ancestors[id(tensor)] = frozenset(before)
    return ancestors


def check_has_gradient(model: keras.Model, score_layer: str) -> None:
    """Refuse a network whose score has no gradient at the ECG: its maps would be empty or false.

    A layer says so by ``has_gradient = False``: random kernels count how often a convolution
    exceeds a bias, and a count does not change with a small change of the ECG.

    Raises
    ------
    ValueError
        If such a layer lies between the ECG and the score.
    """
    ancestors = tensor_ancestors(model)
    on_the_way = ancestors[id(layer_output(model, score_layer))]
    without = [
        layer.name
        for layer in model.layers
        if layer.name in on_the_way and not getattr(layer, "has_gradient", True)
    ]
    if without:
        raise ValueError(
            f"model must have a gradient at its ECG, got the layer {without[0]!r}, which has none. "
            "Use occlusion by lead or by wave."
        )


def split_at_layer(
    model: keras.Model, layer_name: str, score_layer: str
) -> tuple[keras.Model, keras.Model]:
    """Cut the graph at a layer: inputs to its output, and that output (plus inputs) to the score.

    Both parts are cut from a copy, so `model` stays untouched (see `private_copy`); the copy is
    kept as long as the model and takes its present weights each time. The original inputs are
    passed to the upper part too, because shortcuts may run around the layer and the covariates join
    above it.

    Raises
    ------
    ValueError
        If the score does not depend on the layer, or the layer not on the ECG.
    """
    layer_output(model, layer_name)  # a plain refusal before the copy is made
    kept = _CUTS.setdefault(model, {})
    if found := kept.get((layer_name, score_layer)):
        copy, lower, upper = found
        _take_weights(copy, model)
        return lower, upper
    original, model = model, private_copy(model)
    inner, score = layer_output(model, layer_name), layer_output(model, score_layer)
    ancestors = tensor_ancestors(model)
    if ECG_INPUT not in ancestors[id(inner)] or layer_name not in ancestors[id(score)]:
        raise ValueError(
            f"layer_name must lie between the input 'ecg' and the layer {score_layer!r}, "
            f"got {layer_name!r}. Choose a stage output such as 'conv5_block3_out'."
        )
    lower = keras.Model(model.inputs, inner)
    upper = keras.Model([inner, *model.inputs], score)
    _CUTS[original][layer_name, score_layer] = (model, lower, upper)
    return lower, upper


def split_covariate_head(model: keras.Model, score_layer: str) -> tuple[keras.Model, keras.Model]:
    """Cut a two-input graph where covariates meet the ECG: embedding, and head above it.

    Parameters
    ----------
    model : keras.Model
        Two-input network.
    score_layer : str
        Output of the head, for example ``logit``.

    Returns
    -------
    embedding : keras.Model
        ``ecg`` to a list of tensors that depend on the ECG alone.
    head : keras.Model
        That list followed by ``covariates``, to the score.

    Raises
    ------
    ValueError
        If the model has no covariates, or they never meet the ECG.
    """
    if COVARIATE_INPUT not in input_names(model):
        raise ValueError(
            f"model must have an input named {COVARIATE_INPUT!r}, got {input_names(model)}. "
            "Covariate SHAP is for two-input networks; for a plain function use explain_function."
        )
    layer_output(model, score_layer)
    model = private_copy(model)
    ancestors = tensor_ancestors(model)
    crossing: dict[int, Any] = {}
    for operation in model.operations:
        if isinstance(operation, keras.layers.InputLayer):
            continue
        tensors = keras.tree.flatten(operation.input)
        before = frozenset[str]().union(*(ancestors[id(tensor)] for tensor in tensors))
        if ECG_INPUT in before and COVARIATE_INPUT in before:
            for tensor in tensors:
                if COVARIATE_INPUT not in ancestors[id(tensor)]:
                    crossing[id(tensor)] = tensor
    score = layer_output(model, score_layer)
    if not crossing or COVARIATE_INPUT not in ancestors[id(score)]:
        raise ValueError(
            f"model must join covariates and ECG below {score_layer!r}, got separate branches. "
            "Explain the layer that sees both."
        )
    by_name = {tensor.name: tensor for tensor in model.inputs}
    cuts = list(crossing.values())
    embedding = keras.Model(by_name[ECG_INPUT], cuts)
    head = keras.Model([*cuts, by_name[COVARIATE_INPUT]], score)
    return embedding, head


def to_numpy(tensor: Any) -> np.ndarray:
    """Return a tensor of any precision as float32 array."""
    return keras.ops.convert_to_numpy(keras.ops.cast(tensor, "float32"))  # pyright: ignore[reportReturnType]
