"""Trains, evaluates and submits on the data set that cdisc_tfds builds."""

import os

# The networks run on Keras 3 over TensorFlow. A person's own environment may ask for another
# backend or for Keras 2; both variables count only until Keras is imported.
os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ.pop("TF_USE_LEGACY_KERAS", None)
