"""Same seed, same result to the last digit, at the price of some speed."""

from __future__ import annotations

import keras


def make_deterministic(seed: int) -> None:
    """Seed all generators and ask the back end for operations that repeat exactly.

    TensorFlow then refuses or replaces operations whose order of summation changes from run to
    run; it cannot be switched off again in a process. JAX repeats exactly on processors as it is.

    Parameters
    ----------
    seed : int
        Of Python, NumPy and the back end.
    """
    keras.utils.set_random_seed(seed)
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        tf.config.experimental.enable_op_determinism()
