"""Gradients of a score under TensorFlow and JAX; the only code that knows the back end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from explainability.model_access import to_numpy

# From so many calls on, compiling costs less than it saves.
CALLS_THAT_PAY = 20

Differentiate = Callable[[list[Any]], tuple[np.ndarray, list[np.ndarray]]]


def gradient_function(
    function: Callable[[list[Any]], Any],
    *,
    n_watched: int | None = None,
    is_compiled: bool = False,
) -> Differentiate:
    """Return a function that gives scores and their gradients.

    Parameters
    ----------
    function : callable
        Takes a list of tensors, each (n_records, ...), and returns one score a record, shape
        (n_records,). Records must not influence one another.
    n_watched : int, optional
        Gradients are taken with respect to so many of the first tensors; all when left out.
    is_compiled : bool
        Trace once, then run two to three times faster: pays from `CALLS_THAT_PAY` calls on.
        JAX always compiles.

    Returns
    -------
    callable
        From a list of arrays to scores, float32 (n_records,), and a list of float32 gradients
        shaped like the watched arrays, zero where the score does not depend on one.

    Raises
    ------
    NotImplementedError
        On a back end other than TensorFlow and JAX.
    """
    backend = keras.backend.backend()
    if backend == "tensorflow":
        run = _under_tensorflow(function, n_watched, is_compiled)
    elif backend == "jax":
        run = _under_jax(function, n_watched)
    else:
        raise NotImplementedError(
            f"The Keras back end must be tensorflow or jax, got {backend}. "
            "Set KERAS_BACKEND=tensorflow for explanations."
        )

    def evaluate(points: list[Any]) -> tuple[np.ndarray, list[np.ndarray]]:
        scores, gradients = run([keras.ops.convert_to_tensor(point) for point in points])
        return to_numpy(scores), [to_numpy(gradient) for gradient in gradients]

    return evaluate


def compiled(function: Callable[..., Any], *, is_compiled: bool = True) -> Callable[..., Any]:
    """Return a function of tensors, traced once for batches of any size where asked for."""
    if not is_compiled:
        return function
    if keras.backend.backend() == "jax":
        import jax  # here, so that importing the package stays cheap

        return jax.jit(function)
    import tensorflow as tf

    # reduce_retracing: the last, smaller batch gives one trace for any size, not one each.
    return tf.function(function, reduce_retracing=True)


def _under_tensorflow(
    function: Callable[[list[Any]], Any], n_watched: int | None, is_compiled: bool
) -> Callable[[list[Any]], tuple[Any, list[Any]]]:
    import tensorflow as tf

    def differentiate(tensors: list[Any]) -> tuple[Any, list[Any]]:
        watched = tensors[:n_watched]
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(watched)
            scores = function(tensors)
        return scores, tape.gradient(scores, watched, unconnected_gradients="zero")

    return compiled(differentiate, is_compiled=is_compiled)


def _under_jax(
    function: Callable[[list[Any]], Any], n_watched: int | None
) -> Callable[[list[Any]], tuple[Any, list[Any]]]:
    import jax

    def total(watched: list[Any], fixed: list[Any]) -> tuple[Any, Any]:
        scores = function([*watched, *fixed])
        return keras.ops.sum(scores), scores

    def differentiate(tensors: list[Any]) -> tuple[Any, list[Any]]:
        n = len(tensors) if n_watched is None else n_watched
        (_, scores), gradients = jax.value_and_grad(total, has_aux=True)(tensors[:n], tensors[n:])
        return scores, gradients

    return jax.jit(differentiate)
