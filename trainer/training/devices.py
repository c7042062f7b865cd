"""The devices of training: the machine's GPUs, or its processor.

Several GPUs of one machine share each batch equally.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import keras
import tensorflow as tf

from trainer.data.decoding import Batches, OnDevice
from trainer.data.lanes import Worker


def choose_strategy(devices: Sequence[str] | None = None) -> tf.distribute.Strategy:
    """The strategy that trains on all of `devices`.

    Args:
      devices: names of logical devices; None: the machine's GPUs.

    Returns:
      A `MirroredStrategy` for two or more devices, else the default strategy, which uses the GPU if
      there is one. Gradients are summed over the devices; each device computes its own BatchNorm
      statistics.
    """
    if devices is None:
        devices = accelerators()
    if len(devices) < 2:
        return tf.distribute.get_strategy()
    return _mirrored(tuple(devices))


def accelerators() -> tuple[str, ...]:
    """Names of the machine's GPUs, e.g. `/device:GPU:0`."""
    return tuple(device.name for device in tf.config.list_logical_devices("GPU"))


def prefetched(batches: Batches) -> Batches:
    """The same batches on the GPU, if there is one: the next two get there during a step."""
    if not accelerators() or isinstance(batches, OnDevice):
        return batches
    to_device = tf.data.experimental.prefetch_to_device(accelerators()[0], buffer_size=2)
    return batches.apply(to_device)


def distributed(batches: Batches, strategy: tf.distribute.Strategy) -> Iterator[Any]:
    """Iterates over the batches of this machine, shared out to its devices."""
    if strategy.num_replicas_in_sync == 1:
        return iter(prefetched(batches))
    own = len(strategy.extended.worker_devices)
    if own == 1:
        return iter(prefetched(batches))
    if own == strategy.num_replicas_in_sync:
        return iter(strategy.experimental_distribute_dataset(batches))

    # With several machines, each device takes the next element.
    def in_shares(*batch: Any) -> Any:
        shares = tf.nest.map_structure(
            lambda tensor: tf.reshape(tensor, tf.concat([[own, -1], tf.shape(tensor)[1:]], 0)),
            batch,
        )
        return tf.data.Dataset.from_tensor_slices(shares)

    return iter(strategy.distribute_datasets_from_function(lambda _: batches.flat_map(in_shares)))


# One per process: two strategies would number their exchanges between devices alike, and TensorFlow
# would confuse those of the second network with those of the first.
@functools.cache
def _mirrored(devices: tuple[str, ...]) -> tf.distribute.MirroredStrategy:
    return tf.distribute.MirroredStrategy(list(devices))


def share_of_batches(dataset: Batches, worker: Worker) -> Batches:
    """A worker's share of batches that all workers have; filled up as by `even_batches`.

    Args:
      dataset: as in `even_batches`.
      worker: the worker.
    """
    if worker.count == 1:
        return dataset

    def share(*batch: Any) -> Any:
        size = tf.shape(tf.nest.flatten(batch)[0])[0] // worker.count
        begin = worker.index * size
        return tf.nest.map_structure(lambda tensor: tensor[begin : begin + size], batch)

    return even_batches(dataset, worker.count).map(share)


def even_batches(dataset: Batches, replicas: int) -> Batches:
    """Batches that `replicas` devices can share equally; `dataset` itself for one device.

    Keras takes the mean of the devices' mean losses, so shares of different sizes would weight
    pictures differently. If the last batch had fewer pictures than devices, an empty share would
    make the loss NaN. So a batch that cannot be shared equally is padded with its own first
    pictures, which have weight 0 in the loss; the other pictures get higher weights to compensate.

    Args:
      dataset: elements (inputs [b, ...], labels [b, ...]) or (inputs, labels, shares), where
        shares, float32, have the labels' shape, [b] or [b, k]. Inputs may be a dict of tensors.
      replicas: number of devices.

    Yields:
      (inputs [n, ...], labels [n, ...], weights float32 of the labels' shape), where n is b rounded
      up to a multiple of `replicas`; with shares, the weights are multiplied by them.
    """
    if replicas == 1:
        return dataset

    def fill_up(*batch: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        size = tf.shape(tf.nest.flatten(batch)[0])[0]
        filled = -(-size // replicas) * replicas
        places = tf.range(filled)
        weights = tf.where(places < size, tf.cast(filled / size, tf.float32), 0.0)
        inputs, labels, *shares = tf.cond(
            filled == size,
            lambda: batch,
            lambda: tf.nest.map_structure(lambda tensor: tf.gather(tensor, places % size), batch),
        )
        if not shares:
            return inputs, labels, weights
        own = shares[0]
        return inputs, labels, own * (weights if own.shape.rank == 1 else weights[:, None])

    return dataset.map(fill_up, num_parallel_calls=1).prefetch(1)


def share_sums(metrics: Iterable[keras.Variable], replicas: int) -> None:
    """Gives each device an equal part of the running metrics, as restoring a checkpoint does.

    Each device keeps its part of a metric's sum, but a checkpoint holds only the total. Sums of
    floats depend on their order: without this, a run that continues after a checkpoint could print
    another last digit of its loss than a run restored from it.
    """
    if replicas > 1:
        for variable in metrics:
            variable.assign(variable.numpy())
