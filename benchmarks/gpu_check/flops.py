"""Counts the operations of a network's layers."""

from __future__ import annotations

import math
from collections.abc import Iterator

import keras
from keras import layers


def forward_flops(model: keras.Model) -> float:
    """Floating-point operations for one picture, forwards: two for each multiplication and sum.

    It counts convolutions and dense layers, where nearly all of the work is, and leaves out
    normalisation, activations and pooling, so that the share of a card's peak is not flattered.

    Args:
      model: a built network with a static picture size.
    """
    return 2.0 * sum(map(_multiplications, _layers(model)))


def training_flops(model: keras.Model) -> float:
    """The same for one training step: forwards, and twice as much backwards.

    Gradients of a layer's inputs and of its weights cost a forward pass each.
    """
    return 3 * forward_flops(model)


def _layers(model: keras.Model) -> Iterator[layers.Layer]:
    """The layers of a network and of the networks in it."""
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from _layers(layer)
        else:
            yield layer


def _multiplications(layer: layers.Layer) -> float:
    if isinstance(layer, layers.SeparableConv2D):
        kernels = layer.depthwise_kernel, layer.pointwise_kernel
        return sum(_places(layer) * math.prod(kernel.shape) for kernel in kernels)
    if isinstance(layer, layers.Conv2D | layers.DepthwiseConv2D | layers.Dense):
        # A group of a convolution sees only its own channels, and so does its kernel.
        return _places(layer) * math.prod(layer.kernel.shape)
    return 0.0


def _places(layer: layers.Layer) -> int:
    """The number of places at which a kernel is applied."""
    return math.prod(layer.output.shape[1:-1])
