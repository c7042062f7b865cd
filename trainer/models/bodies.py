"""The layers between a network's scaled pictures and its last dense layer."""

from __future__ import annotations

import importlib
from collections.abc import Sequence

import keras
from keras import layers

from trainer.models.model_entry import BaseEntry

_LOGISTIC_SIZE = 36


def study_body(
    x: keras.KerasTensor,
    dropout: float,
    *,
    convolutions: Sequence[tuple[int, int, int]],
    dense: Sequence[int],
) -> keras.KerasTensor:
    """The study's own networks; each convolution is (filters, kernel size, stride)."""
    for number, (filters, kernel, stride) in enumerate(convolutions, 1):
        x = layers.Conv2D(
            filters, kernel, strides=stride, activation="relu", name=f"conv_{number}"
        )(x)
        x = layers.Dropout(dropout, name=f"dropout_{number}")(x)
        x = layers.MaxPooling2D(2, name=f"pool_{number}")(x)
    # Applied to the last axis of the feature map, at each position, before flattening.
    for number, units in enumerate(dense, 1):
        x = layers.Dense(units, activation="relu", name=f"dense_{number}")(x)
    return layers.Flatten(name="features")(x)


def inception_body(x: keras.KerasTensor, dropout: float, *, base: BaseEntry) -> keras.KerasTensor:
    """As in keras.io's fine-tuning example: the base, pooling, and a dense layer of 1024 units."""
    x = _features(x, base)
    x = layers.Dense(1024, activation="relu", name="dense_1")(x)
    return layers.Dropout(dropout, name="dropout_1")(x)


def pretrained_body(x: keras.KerasTensor, dropout: float, *, base: BaseEntry) -> keras.KerasTensor:
    """A base and pooling, with dropout before the last dense layer, as the bases' authors have."""
    return layers.Dropout(dropout, name="dropout_1")(_features(x, base))


def _features(x: keras.KerasTensor, base: BaseEntry) -> keras.KerasTensor:
    network = importlib.import_module(base.module).build_base(base, x.shape[1])
    return layers.GlobalAveragePooling2D(name="features")(network(x))


def logistic_body(x: keras.KerasTensor, dropout: float) -> keras.KerasTensor:
    """Logistic regression on the picture averaged down to 36x36.

    With all 97,200 values of a 180x180 picture, 5270 classes would need 512 million weights: 2 GB,
    or 8 GB with gradients and Adam's moments. With 36x36 pixels, they need 20 million.
    """
    x = layers.AveragePooling2D(max(1, x.shape[1] // _LOGISTIC_SIZE), name="thumbnail")(x)
    return layers.Flatten(name="features")(x)
