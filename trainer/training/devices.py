"""One training step on several GPUs of a machine: each takes an equal share of the batch."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence

import keras
import tensorflow as tf


def choose_strategy(devices: Sequence[str] | None = None) -> tf.distribute.Strategy:
    """The strategy that trains on all of `devices`.

    Args:
      devices: names of logical devices; None: the machine's GPUs.

    Returns:
      A `MirroredStrategy` for two or more devices, else the default strategy, which takes the GPU
      if there is one. Gradients are summed over the devices; BatchNorm's statistics of a step are
      each device's own.
    """
    if devices is None:
        devices = [device.name for device in tf.config.list_logical_devices("GPU")]
    if len(devices) < 2:
        return tf.distribute.get_strategy()
    return _mirrored(tuple(devices))


# One a process: two strategies number their exchanges between devices alike, and TensorFlow takes
# those of the second network for the first one's.
@functools.cache
def _mirrored(devices: tuple[str, ...]) -> tf.distribute.MirroredStrategy:
    return tf.distribute.MirroredStrategy(list(devices))


def even_batches(dataset: tf.data.Dataset, replicas: int) -> tf.data.Dataset:
    """Batches that `replicas` devices can share equally; `dataset` itself for one device.

    Keras takes the mean of the devices' mean losses, so shares of different sizes would weigh
    pictures differently, and an empty share, of a last batch smaller than the number of devices,
    would make the loss NaN. A batch that cannot be shared equally is filled up with its own first
    pictures, which weigh nothing in the loss; the others' weights make up for that.

    Args:
      dataset: elements (inputs [b, ...], labels [b]).
      replicas: number of devices.

    Yields:
      (inputs [n, ...], labels [n], weights float32 [n]), n the next multiple of `replicas`.
    """
    if replicas == 1:
        return dataset

    def fill_up(inputs: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        size = tf.shape(labels)[0]
        filled = -(-size // replicas) * replicas
        places = tf.range(filled)
        weights = tf.where(places < size, tf.cast(filled / size, tf.float32), 0.0)
        inputs, labels = tf.cond(
            filled == size,
            lambda: (inputs, labels),
            lambda: (tf.gather(inputs, places % size), tf.gather(labels, places % size)),
        )
        return inputs, labels, weights

    return dataset.map(fill_up, num_parallel_calls=1).prefetch(1)


def share_sums(metrics: Iterable[keras.Variable], replicas: int) -> None:
    """Gives each device an equal part of the running metrics, as restoring a checkpoint does.

    A metric's sum is kept in parts, one a device, and a checkpoint holds the sum alone. Sums of
    floats depend on their order: without this, a run that goes on after a checkpoint would print
    another last digit of its loss than one that is restored from it.
    """
    if replicas > 1:
        for variable in metrics:
            variable.assign(variable.numpy())
