"""New BatchNorm statistics for the weights that are kept.

Moving statistics lag behind the weights, and averaged weights never had any of their own. So some
training batches run through the network, and the means of their statistics replace the moving ones.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import keras
import numpy as np
import tensorflow as tf

from trainer.models.batch_norms import batch_norms


@contextlib.contextmanager
def recalibrated(
    model: keras.Model, batches: tf.data.Dataset, between_batches: Callable[[], None]
) -> Iterator[None]:
    """Within the block, the network's BatchNorms have the mean statistics of the batches.

    Everything that running the batches changes is as before afterwards: the moving statistics, and
    the seeds of dropout.

    Args:
      model: the network, with the weights to keep. Frozen BatchNorms stay as they are.
      batches: elements (inputs, ...).
      between_batches: called after each batch; an exception from it ends the block.
    """
    layers = [layer for layer in batch_norms(model) if layer.trainable]
    if not layers:
        yield
        return
    state = [(variable, variable.numpy()) for variable in model.non_trainable_variables]
    try:
        for layer, statistics in zip(
            layers, _mean_statistics(model, layers, batches, between_batches), strict=True
        ):
            for variable, value in zip(_moving(layer), statistics, strict=True):
                variable.assign(value)
        yield
    finally:
        # Also restores the statistics of frozen layers and the seeds, which did not change or must
        # not have changed.
        for variable, value in state:
            variable.assign(value)


def _mean_statistics(
    model: keras.Model,
    layers: list[keras.layers.BatchNormalization],
    batches: tf.data.Dataset,
    between_batches: Callable[[], None],
) -> list[list[np.ndarray]]:
    """(mean, variance) of each layer, averaged over the batches."""
    momenta = [layer.momentum for layer in layers]
    sums = [[np.zeros(variable.shape) for variable in _moving(layer)] for layer in layers]
    count = 0
    try:
        for layer in layers:
            layer.momentum = 0.0  # the moving statistics become those of the last batch
        run = tf.function(lambda inputs: model(inputs, training=True), autograph=False)
        for inputs, *_ in batches:
            run(inputs)
            for totals, layer in zip(sums, layers, strict=True):
                for total, variable in zip(totals, _moving(layer), strict=True):
                    total += variable.numpy()
            count += 1
            between_batches()
    finally:
        for layer, momentum in zip(layers, momenta, strict=True):
            layer.momentum = momentum
    return [[total / count for total in totals] for totals in sums]


def _moving(layer: keras.layers.BatchNormalization) -> tuple[keras.Variable, keras.Variable]:
    return layer.moving_mean, layer.moving_variance
