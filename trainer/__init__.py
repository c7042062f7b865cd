"""Trains, evaluates and submits on the data set that cdisc_tfds builds."""

import os

# The networks need Keras 3 on TensorFlow, but the user's environment may select another backend or
# Keras 2. Both variables only take effect before Keras is imported.
os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ.pop("TF_USE_LEGACY_KERAS", None)
