"""Networks and the clinical model: architectures, training by fold, bundles. Uses Keras."""
