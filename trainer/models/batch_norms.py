"""The BatchNorm layers of a network: their momentum, and whether they learn."""

from __future__ import annotations

from collections.abc import Iterator

import keras


def batch_norms(model: keras.Model) -> Iterator[keras.layers.BatchNormalization]:
    """The BatchNorms of a network, including those of the networks in it, from input to output."""
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            yield layer
        elif isinstance(layer, keras.Model):
            yield from batch_norms(layer)


def set_momentum(model: keras.Model, momentum: float) -> None:
    """Sets the momentum of all moving statistics; call this before the network is traced."""
    for layer in batch_norms(model):
        layer.momentum = momentum


def synchronize(model: keras.Model) -> None:
    """Makes all BatchNorms normalise by the batches of all devices; call it before tracing."""
    for layer in batch_norms(model):
        layer.synchronized = True


def freeze(model: keras.Model) -> None:
    """Freezes all BatchNorms: their weights, and their statistics."""
    for layer in batch_norms(model):
        layer.trainable = False
