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

from trainer.cluster.shared_work import work_of
from trainer.cluster.workers import ALONE, Workers
from trainer.models.batch_norms import batch_norms


@contextlib.contextmanager
def recalibrated(
    model: keras.Model,
    batches: tf.data.Dataset,
    between_batches: Callable[[], None],
    workers: Workers = ALONE,
) -> Iterator[None]:
    """Within the block, the network's BatchNorms have the mean statistics of the batches.

    Everything that running the batches changes is as before afterwards: the moving statistics, and
    the seeds of dropout.

    Args:
      model: the network, with the weights to keep. Frozen BatchNorms stay as they are.
      batches: elements (inputs, ...).
      between_batches: called after each batch; an exception from it ends the block.
      workers: those that run their own batches, equally many; all get the means over all.

    Raises:
      StopAsked, WorkersError, WorkerLost: as in SharedWork.
    """
    layers = [layer for layer in batch_norms(model) if layer.trainable]
    if not layers:
        yield
        return
    state = [(variable, variable.numpy()) for variable in model.non_trainable_variables]
    try:
        means = _mean_statistics(model, layers, batches, between_batches, workers)
        for layer, statistics in zip(layers, means, strict=True):
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
    workers: Workers,
) -> list[list[np.ndarray]]:
    """(mean, variance) of each layer, averaged over the batches."""
    momenta = [layer.momentum for layer in layers]
    variables = [variable for layer in layers for variable in _moving(layer)]
    sums = [np.zeros(variable.shape) for variable in variables]
    count = 0
    total = len(batches) * workers.this.count
    try:
        for layer in layers:
            layer.momentum = 0.0  # the moving statistics become those of the last batch
        run = tf.function(lambda inputs: model(inputs, training=True), autograph=False)
        with work_of(workers, "recalibrating", total, "batches") as work:
            for inputs, *_ in batches:
                run(inputs)
                for own, variable in zip(sums, variables, strict=True):
                    own += variable.numpy()
                count += 1
                work.did(1)
                between_batches()
    finally:
        for layer, momentum in zip(layers, momenta, strict=True):
            layer.momentum = momentum
    joined = workers.sums(np.concatenate([own.ravel() for own in sums])) / (
        count * workers.this.count
    )
    ends = np.cumsum([own.size for own in sums])[:-1]
    means = [
        part.reshape(own.shape) for part, own in zip(np.split(joined, ends), sums, strict=True)
    ]
    return [means[place : place + 2] for place in range(0, len(means), 2)]


def _moving(layer: keras.layers.BatchNormalization) -> tuple[keras.Variable, keras.Variable]:
    return layer.moving_mean, layer.moving_variance
