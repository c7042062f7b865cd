"""A network with a frozen base, like InceptionV3, that builds in a second."""

import keras
from keras import layers

from trainer.models import networks as models

NAME = "tiny"


def body(x, dropout):
    inner = pictures = keras.Input(x.shape[1:])
    inner = layers.Conv2D(8, 3, strides=2, activation="relu", name="stem")(inner)
    inner = layers.BatchNormalization(name="bn")(inner)
    x = keras.Model(pictures, inner, name="base")(x)
    x = layers.GlobalAveragePooling2D(name="features")(x)
    x = layers.Dense(16, activation="relu", name="dense_1")(x)
    return layers.Dropout(dropout, name="dropout_1")(x)


def add_to_models(monkeypatch):
    """Adds the network to `trainer.models.networks.MODELS`; it has no files of weights."""
    base = models.BaseEntry(__name__, "tiny", "", "", group_ends="stem")
    entry = models.ModelEntry(f"{__name__}:body", 8, base=base)
    monkeypatch.setitem(models.MODELS, NAME, entry)
