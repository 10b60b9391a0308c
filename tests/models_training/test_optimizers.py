"""AdamW in one piece gives the numbers of Keras' own."""

import keras
import numpy as np

from models_training.optimizers import FlatAdamW


def test_it_is_keras_adamw_without_decay_of_vectors():
    rng = np.random.default_rng(0)
    start = [rng.normal(size=shape).astype("float32") for shape in ((3, 4), (4,), (2, 3, 1))]
    ours = [keras.Variable(value) for value in start]
    theirs = [
        keras.Variable(value, name=name)
        for value, name in zip(start, ("kernel", "bias", "kernel_2"), strict=True)
    ]
    flat = FlatAdamW(0.01, weight_decay=0.1)
    reference = keras.optimizers.AdamW(0.01, weight_decay=0.1)
    reference.exclude_from_weight_decay(var_names=["bias"])
    for _ in range(20):
        gradients = [rng.normal(size=value.shape).astype("float32") for value in start]
        flat.apply([keras.ops.convert_to_tensor(g) for g in gradients], ours)
        reference.apply([keras.ops.convert_to_tensor(g) for g in gradients], theirs)
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(np.asarray(a), np.asarray(b), rtol=2e-4, atol=1e-6)
