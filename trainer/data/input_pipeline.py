"""Input pipelines from records to batches: one for training, one for all predictions.

Pictures stay JPEG bytes while they are shuffled, batched and skipped; decoding comes last. Pixels
stay uint8; the network's first layer scales them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from cdisc_tfds.machine import num_cores
from trainer.data.augmentation import Changes, Drawer, Draws
from trainer.data.augmentation_table import Augmentation
from trainer.data.dali_rows import Packing, unpacked, warn_of_missing
from trainer.data.dataset import Split
from trainer.data.decoding import Batches, decode_batches, decode_on
from trainer.data.labelled_split import LabelledSplit
from trainer.data.laned_batches import laned_batches
from trainer.data.lanes import ALONE, Lanes, SharedBatches, Worker
from trainer.data.picture_selection import PictureSelection
from trainer.data.pipeline_threads import pipeline_options, with_low_priority
from trainer.data.record_reading import numbered_records, picture_parser
from trainer.data.shuffle import Shuffle, derived_seed

NO_AUGMENTATION = Augmentation()


# The functions of the pipelines below are graph code already. Converting each of them by AutoGraph
# would take a second at the start of a run.
_without_autograph = tf.autograph.experimental.do_not_convert


@_without_autograph
def train_dataset(
    split: LabelledSplit,
    *,
    batch_size: int,
    image_size: int,
    seed: int,
    epoch: int,
    skip_steps: int = 0,
    augment: Augmentation = NO_AUGMENTATION,
    shuffle_buffer: int = 16384,
    decoder: str = "tf",
    selection: PictureSelection | None = None,
    device: str | None = None,
    lanes: int = 1,
    worker: Worker = ALONE,
) -> Batches:
    """The batches of one epoch: every picture that has a class of the run, once, shuffled.

    The same (seed, epoch, lanes) gives the same batches.

    Args:
      split: the products and their classes; products without a class are left out.
      batch_size: pictures per batch; the last batch may be smaller.
      image_size: pictures are resized to this width and height if theirs differ.
      seed: seed of the shuffle and the augmentation.
      epoch: number of the epoch; each has its own order and augmentations.
      skip_steps: batches to skip at the start, before decoding; the others do not change.
      augment: the random changes to the pictures.
      shuffle_buffer: pictures (as JPEGs) to shuffle among; the files' order is shuffled as well.
      decoder: the decoder, `tf` or `dali`, as `resolve_decoder` returns it.
      selection: how often to show each picture; None: once.
      device: the device where `FinishInStep` finishes the batches; None: the pipeline does.
      lanes: number of lanes (`trainer.data.lanes`), which share the buffer; 1 with DALI.
      worker: the machine that reads its share of each batch.

    Yields:
      (pictures uint8 [b, image_size, image_size, 3], classes int32 [b]). If `augment` mixes
      pictures: (pictures, classes int32 [b, 2], shares float32 [b, 2] of the two classes). A white
      picture replaces one that cannot be decoded, with a warning on stderr. With several workers,
      weights [b] or [b, 2] come last: all have as many pictures, some of weight 0. With `device`:
      what `FinishInStep` takes.

    Raises:
      DataLossError, InvalidArgumentError: while iterating, if a record is damaged or does not match
        the index; `clear_record_errors` turns these errors into clear messages.
    """
    drawer = Drawer(augment, derived_seed(seed, epoch, "augmentation"), image_size)
    shuffle = Shuffle(split, seed, epoch, shuffle_buffer, selection)
    batches = with_low_priority(_drawn(shuffle, drawer, batch_size, skip_steps, lanes, worker))
    if device is not None and decoder == "dali":
        batches = batches.prefetch(2).with_options(pipeline_options())
        return decode_on(device, batches, image_size, batch_size)
    steps = max(0, math.ceil(shuffle.num_pictures / batch_size) - skip_steps)
    decoded = decode_batches(batches, image_size, batch_size, decoder).map(_white_for_missing)
    return (
        _prepared(decoded, None if device is not None else augment)
        .apply(tf.data.experimental.assert_cardinality(steps))
        .prefetch(2)
        .with_options(pipeline_options())
    )


def _drawn(
    shuffle: Shuffle, drawer: Drawer, batch_size: int, skip_steps: int, lanes: int, worker: Worker
) -> tf.data.Dataset:
    """The batches as JPEGs, with the random numbers of their changes."""
    if lanes == 1:
        batches = shuffle.jpegs().batch(batch_size).enumerate().skip(skip_steps)
        return batches.map(_with_draws(drawer))
    dealt = Lanes.deal(shuffle.split, shuffle.selection, lanes)
    shared = SharedBatches(dealt, batch_size, worker)
    return laned_batches(shuffle, dealt, shared, drawer, skip_steps)


def _prepared(decoded: tf.data.Dataset, augment: Augmentation | None) -> tf.data.Dataset:
    """Makes the random changes; None: prepares them for `FinishInStep`."""
    if augment is None:
        return decoded.map(_to_be_changed)
    changes = Changes(augment)

    def change(
        pictures: tf.Tensor, labels: tf.Tensor, draws: Draws, weights: tf.Tensor | None = None
    ) -> tuple[tf.Tensor, ...]:
        return _weighted(weights, *changes(pictures, labels, draws))

    # Handing a batch to another thread costs time, so only real changes are made in parallel.
    at_once = None if augment == NO_AUGMENTATION else num_cores()
    return decoded.map(change, num_parallel_calls=at_once)


def _weighted(
    weights: tf.Tensor | None, pictures: tf.Tensor, labels: tf.Tensor, *shares: tf.Tensor
) -> tuple[tf.Tensor, ...]:
    """A batch with the weights of its pictures, float32 [b], in the shares of their labels."""
    if weights is None:
        return pictures, labels, *shares
    return pictures, labels, (shares[0] * weights[:, None] if shares else weights)


class FinishInStep:
    """Finishes the batches of `train_dataset` on the device, as the pipeline would.

    Args:
      augment: the random changes to the pictures.
      decoder: the decoder, `tf` or `dali`.
    """

    def __init__(self, augment: Augmentation, decoder: str):
        self._changes = Changes(augment)
        self._packing = Packing(_labels_and_draws(augment)) if decoder == "dali" else None

    def __call__(
        self, inputs: Any, labels: tf.Tensor, weights: tf.Tensor | None = None, *, is_part: bool
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor | None]:
        """Finishes a batch.

        Args:
          inputs, labels: an element of `train_dataset` with a device.
          weights: float32 [b], of the pictures, or None.
          is_part: whether the batch may be smaller than the others.

        Returns:
          (pictures, labels, weights), where the shares of mixed pictures are weights [b, 2].
        """
        if self._packing is None:
            pictures, draws = inputs["pictures"], inputs["draws"]
        else:
            pictures, (labels, draws) = unpacked(inputs, labels, self._packing, is_part)
        batch = _weighted(weights, *self._changes(pictures, labels, draws))
        return batch[0], batch[1], batch[2] if len(batch) > 2 else None


def _labels_and_draws(augment: Augmentation) -> Any:
    """Specs of what travels with the JPEGs of a batch."""
    draws = Drawer(augment, 0, 1).draws(tf.constant(0, tf.int64), tf.constant(1))
    return tf.nest.map_structure(
        lambda one: tf.TensorSpec([None, *one.shape[1:]], one.dtype),
        (tf.zeros([1], tf.int32), draws),
    )


@_without_autograph
def inference_dataset(
    split: Split,
    *,
    batch_size: int,
    image_size: int,
    products: np.ndarray | None = None,
    decoder: str = "tf",
    steps: tuple[int, int | None] = (0, None),
) -> tf.data.Dataset:
    """Every picture of the split once, in the records' order.

    Args:
      split: the products.
      batch_size: pictures per batch.
      image_size: pictures are resized to this width and height if theirs differ.
      products: int64, ordinals of the products to read; None: all. Pictures of other products are
        not decoded.
      decoder: the decoder, `tf` or `dali`, as `resolve_decoder` returns it.
      steps: (first, end) of the batches to read, end None for all; they do not depend on it. Files
        before the first and after the last of them are not opened.

    Yields:
      {"inputs": uint8 [b, image_size, image_size, 3], "product": int64 [b]}, where "product" is the
      ordinal in `split.index` of each picture's product. The pictures of a product are consecutive.
      A picture that cannot be decoded is left out, with a warning on stderr.

    Raises:
      DataLossError, InvalidArgumentError: as in `train_dataset`.
    """
    first, end = (None if step is None else step * batch_size for step in steps)
    every = np.arange(split.num_products) if products is None else products
    some, skip = _of_pictures(split, every, first or 0, end)
    records = numbered_records(split, *((some[0], some[-1] + 1) if len(some) else (0, 0)))
    jpegs = records.map(_flat_parser(split, products), num_parallel_calls=num_cores()).unbatch()
    if (first, end) != (0, None):
        jpegs = jpegs.skip(skip).take(-1 if end is None else end - (first or 0))
    batches = with_low_priority(jpegs.batch(batch_size))
    return (
        decode_batches(batches, image_size, batch_size, decoder)
        .map(_without_missing)
        .prefetch(2)
        .with_options(pipeline_options())
    )


def _flat_parser(
    split: Split, products: np.ndarray | None
) -> Callable[[tf.Tensor, tf.Tensor], tuple[tf.Tensor, tf.Tensor]]:
    """Returns a function from records to the JPEGs of some products (None: all), and ordinals."""
    pictures_of = picture_parser(split)
    wanted = None
    if products is not None:
        mask = np.zeros(split.num_products, bool)
        mask[products] = True
        wanted = tf.constant(mask)

    def parse(ordinals: tf.Tensor, records: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        jpegs = pictures_of(ordinals, records)
        if wanted is not None:
            chosen = tf.gather(wanted, ordinals)
            jpegs, ordinals = tf.ragged.boolean_mask(jpegs, chosen), ordinals[chosen]
        return jpegs.flat_values, tf.repeat(ordinals, jpegs.row_lengths())

    return parse


def _of_pictures(
    split: Split, products: np.ndarray, first: int, end: int | None
) -> tuple[np.ndarray, int]:
    """The products that hold the pictures at [first, end) of some products' pictures.

    Returns:
      Their ordinals, and how many pictures of theirs come before `first`.
    """
    if (first, end) == (0, None):
        return products, 0
    ends = np.cumsum(split.index.num_pictures[products], dtype=np.int64)
    begin = int(np.searchsorted(ends, first, side="right"))
    last = len(ends) if end is None else int(np.searchsorted(ends, end)) + 1
    return products[begin:last], first - (int(ends[begin - 1]) if begin else 0)


def _with_draws(drawer: Drawer) -> Callable[..., tuple[tf.Tensor, Any]]:
    """Returns a function that adds random numbers: step, (jpegs, labels) -> jpegs, others."""

    def add(step: tf.Tensor, batch: tuple[tf.Tensor, tf.Tensor]) -> tuple[tf.Tensor, Any]:
        jpegs, labels = batch
        return jpegs, (labels, drawer.draws(step, tf.size(labels)))

    return add


def _to_be_changed(
    pictures: tf.Tensor, labels: tf.Tensor, draws: Draws, *weights: tf.Tensor
) -> tuple[Any, ...]:
    return {"pictures": pictures, "draws": draws}, labels, *weights


def _white_for_missing(
    pictures: tf.Tensor, positions: tf.Tensor, others: tuple[Any, ...]
) -> tuple[Any, ...]:
    """Replaces pictures that did not decode with white ones, so that the counts stay exact."""
    labels = others[0]

    def fill() -> tf.Tensor:
        missing = tf.size(labels) - tf.size(positions)
        with tf.control_dependencies([warn_of_missing(missing, "White ones stand in for them.")]):
            shape = tf.concat([tf.shape(labels), tf.shape(pictures)[1:]], axis=0)
            white = tf.fill(shape, tf.constant(255, tf.uint8))
        return tf.tensor_scatter_nd_update(white, positions[:, None], pictures)

    complete = tf.equal(tf.size(positions), tf.size(labels))
    filled = tf.cond(complete, lambda: pictures, fill)
    return tf.ensure_shape(filled, [None, *pictures.shape[1:]]), *others


def _without_missing(
    pictures: tf.Tensor, positions: tf.Tensor, ordinals: tf.Tensor
) -> dict[str, tf.Tensor]:
    missing = tf.size(ordinals) - tf.size(positions)
    warning = tf.cond(
        missing > 0, lambda: warn_of_missing(missing, "They are left out."), lambda: tf.no_op()
    )
    with tf.control_dependencies([warning]):
        return {"inputs": pictures, "product": tf.gather(ordinals, positions)}
