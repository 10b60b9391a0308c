"""Write the legacy models of these tests with a genuine Keras 2 (tf_keras, Apache-2.0).

    pip install tf_keras && python tests/models_training/legacy_files/make.py

Made with tf_keras 2.21.0. Beside each model lies what it gave for the ECGs (and covariates) that
`test_legacy.py` draws from the same seed.
"""

from pathlib import Path

import numpy as np
import tensorflow as tf
import tf_keras as keras

HERE = Path(__file__).parent
N_SAMPLES = 64


def trunk(ecg):
    layers = keras.layers
    x = layers.Conv1D(4, 7, strides=2, padding="same", name="conv1_conv")(ecg)
    x = layers.BatchNormalization(name="conv1_bn")(x)
    x = layers.ReLU(name="conv1_relu")(x)
    x = layers.MaxPooling1D(3, strides=2, padding="same", name="pool1_pool")(x)
    y = layers.Conv1D(4, 3, padding="same", name="conv2_conv")(x)
    y = layers.BatchNormalization(name="conv2_bn")(y)
    x = layers.ReLU(name="conv2_relu")(layers.Add(name="conv2_add")([x, y]))
    return layers.GlobalAveragePooling1D(name="avg_pool")(x)


def with_statistics(model, seed):
    """Give every weight, the batch statistics too, a value that matters."""
    rng = np.random.default_rng(seed)
    model.set_weights([np.abs(rng.normal(0.3, 0.3, w.shape)) + 0.01 for w in model.get_weights()])
    return model


def main():
    rng = np.random.default_rng(0)
    ecg = rng.normal(size=(3, N_SAMPLES, 12)).astype("float32")
    covariates = rng.normal(size=(3, 2)).astype("float32")
    one = keras.Input((N_SAMPLES, 12), name="input_1")
    two = keras.Input((2,), name="input_2")
    risk = keras.layers.Dense(1, "sigmoid", name="predictions")(trunk(one))
    plain = with_statistics(keras.Model(one, risk), 1)
    plain.compile("adam", "binary_crossentropy", metrics=["AUC"])
    plain.save(HERE / "plain.h5", include_optimizer=False)
    joined = keras.layers.Concatenate(name="joined")([trunk(one), two])
    both = keras.Model([one, two], keras.layers.Dense(1, name="logit")(joined))
    with_statistics(both, 2).save(HERE / "covariates.h5", include_optimizer=False)
    sequence = keras.Sequential(
        [
            keras.layers.Conv1D(4, 5, activation="relu", input_shape=(N_SAMPLES, 12)),
            keras.layers.GlobalMaxPooling1D(),
            keras.layers.Dense(1, "sigmoid"),
        ]
    )
    with_statistics(sequence, 3).save(HERE / "sequential.h5", include_optimizer=False)
    np.savez(
        HERE / "outputs.npz",
        plain=plain.predict(ecg, verbose=0),
        covariates=both.predict([ecg, covariates], verbose=0),
        sequential=sequence.predict(ecg, verbose=0),
    )
    code = keras.layers.Lambda(lambda x: x * 2.0, name="twice")(one)
    refused = {
        "lambda": keras.Model(one, keras.layers.Dense(1)(trunk(code))),
        "function": keras.Model(one, keras.layers.Dense(1)(tf.nn.relu(trunk(one)))),
    }
    for name, model in refused.items():
        model.save(HERE / f"{name}.h5", include_optimizer=False)
    small = keras.Sequential([keras.layers.Dense(1, input_shape=(2,))])
    small.save(HERE / "keras2.keras")


if __name__ == "__main__":
    main()
