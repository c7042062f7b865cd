"""From records to batches: one pipeline for training, one for everything that predicts.

Pictures stay JPEG bytes until the last moment: bytes are shuffled, batched and skipped, then
decoded. Pixels stay uint8; the network's first layer scales them.
"""

from __future__ import annotations

import hashlib
import math
import sys
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from trainer.data.dataset import FilePart, Split
from trainer.data.decoding import decode_batches, num_cores
from trainer.data.label_map import LabelMap
from trainer.data.pipeline_threads import pipeline_options, step_back

AUGMENTATIONS = ("none", "flip", "flip_shift")
_RECORDS_A_STEP = 64  # parsed at once: a batch costs little more than a single record
_FILES_AT_ONCE = 8
_FEATURES = {
    "images": tf.io.RaggedFeature(tf.string),
    "category": tf.io.FixedLenFeature([], tf.int64),
    "product_id": tf.io.FixedLenFeature([], tf.int64),
}


def count_pictures(split: Split, label_map: LabelMap) -> int:
    """Pictures of the split that `train_dataset` yields an epoch: those with one of the classes."""
    known = label_map.classes_of(split.index.category) >= 0
    return int(split.index.num_pictures[known].sum(dtype=np.int64))


def steps_per_epoch(split: Split, label_map: LabelMap, batch_size: int) -> int:
    """Batches of an epoch; the last one may be smaller."""
    return math.ceil(count_pictures(split, label_map) / batch_size)


def train_dataset(
    split: Split,
    label_map: LabelMap,
    *,
    batch_size: int,
    image_size: int,
    seed: int,
    epoch: int,
    skip_steps: int = 0,
    augment: str = "none",
    shuffle_buffer: int = 16384,
    decoder: str = "auto",
) -> tf.data.Dataset:
    """The batches of one epoch: every picture with a class of the run once, shuffled.

    The same (seed, epoch) gives the same batches, whatever the number of cores.

    Args:
      split: the products.
      label_map: which classes there are; products of other categories are left out.
      batch_size: pictures a batch; the last batch may be smaller.
      image_size: pictures are resized to this width and height if theirs differ.
      seed: of the shuffle and the augmentation.
      epoch: each has another order and other augmentations.
      skip_steps: batches left out at the start, before they are decoded; the others are the same
        as without it.
      augment: one of AUGMENTATIONS: mirror half of the pictures; and shift each by up to a tenth.
      shuffle_buffer: pictures (as JPEGs) among which the shuffle draws; the order of the files is
        shuffled too.
      decoder: who decodes, one of `trainer.data.decoding.DECODERS`.

    Yields:
      (pictures uint8 [b, image_size, image_size, 3], classes int32 [b]). In place of a picture that
      cannot be decoded stands a white one, and a line on stderr says so.
    """
    if augment not in AUGMENTATIONS:
        raise ValueError(
            f"`augment` must be one of {', '.join(AUGMENTATIONS)}. Received: {augment!r}."
        )
    order = np.random.default_rng(derived_seed(seed, epoch, "files")).permutation(len(split.files))
    jpegs = (
        _records([split.files[i] for i in order], _FILES_AT_ONCE)
        .batch(_RECORDS_A_STEP)
        .map(_labelled_pictures(split, label_map), num_parallel_calls=num_cores())
        .unbatch()
        .shuffle(
            shuffle_buffer, derived_seed(seed, epoch, "pictures"), reshuffle_each_iteration=False
        )
    )
    draw = _augmentation_draws(augment, derived_seed(seed, epoch, "augmentation"), image_size)
    batches = (
        jpegs.batch(batch_size)
        .enumerate()
        .skip(skip_steps)
        .map(lambda step, batch: (*batch, draw(step, tf.size(batch[1]))))
    )
    steps = steps_per_epoch(split, label_map, batch_size)
    return (
        decode_batches(step_back(batches), image_size, batch_size, _AUGMENT[augment], decoder)
        .map(_white_for_missing)
        # An index that does not fit the records must not pass for a shorter or longer epoch.
        .apply(tf.data.experimental.assert_cardinality(max(0, steps - skip_steps)))
        .prefetch(2)
        .with_options(pipeline_options())
    )


def inference_dataset(
    split: Split,
    *,
    batch_size: int,
    image_size: int,
    products: np.ndarray | None = None,
    decoder: str = "auto",
    skip_steps: int = 0,
) -> tf.data.Dataset:
    """Every picture of the split once, in the records' order.

    Args:
      split: the products.
      batch_size: pictures a batch.
      image_size: pictures are resized to this width and height if theirs differ.
      products: int64, ordinals of the products wanted; None for all. The others' pictures are not
        decoded.
      skip_steps: batches left out at the start; the others are the same as without it.
      decoder: who decodes, one of `trainer.data.decoding.DECODERS`.

    Yields:
      {"image": uint8 [b, image_size, image_size, 3], "product": int64 [b]}, the latter the ordinal
      in `split.index` of each picture's product; the pictures of a product follow each other. -1
      stands for a record of another product than the index has in its place. A picture that cannot
      be decoded is left out, and a line on stderr says so.
    """
    wanted, ids = None, tf.constant(split.index.product_id)
    if products is not None:
        wanted = np.zeros(split.num_products, bool)
        wanted[products] = True
        wanted = tf.constant(wanted)

    def parse(step: tf.Tensor, records: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        record = tf.io.parse_example(records, {n: _FEATURES[n] for n in ("images", "product_id")})
        jpegs = record["images"]
        ordinals = step * _RECORDS_A_STEP + tf.range(tf.size(records, tf.int64))
        foreign = tf.gather(ids, ordinals) != record["product_id"]
        if wanted is not None:
            chosen = tf.gather(wanted, ordinals) | foreign
            jpegs, ordinals = tf.ragged.boolean_mask(jpegs, chosen), ordinals[chosen]
            foreign = foreign[chosen]
        ordinals = tf.where(foreign, tf.constant(-1, tf.int64), ordinals)
        return jpegs.flat_values, tf.repeat(ordinals, jpegs.row_lengths())

    batches = (
        _records(split.files, files_at_once=1)
        .batch(_RECORDS_A_STEP)
        .enumerate()
        .map(parse, num_parallel_calls=num_cores())
        .unbatch()
        .batch(batch_size)
        .skip(skip_steps)
        .map(lambda jpegs, ordinals: (jpegs, ordinals, ()))
    )
    return (
        decode_batches(step_back(batches), image_size, batch_size, decoder=decoder)
        .map(_without_missing)
        .prefetch(2)
        .with_options(pipeline_options())
    )


def _records(files: Sequence[FilePart], files_at_once: int) -> tf.data.Dataset:
    """Serialized records, a few from each of `files_at_once` files in turn."""

    def read(path: tf.Tensor, skip: tf.Tensor, take: tf.Tensor) -> tf.data.Dataset:
        return tf.data.TFRecordDataset(path).skip(skip).take(take)

    parts = tf.data.Dataset.from_tensor_slices(
        (
            [part.path for part in files],
            np.array([part.skip for part in files], np.int64),
            np.array([part.take for part in files], np.int64),
        )
    )
    at_once = min(files_at_once, len(files))
    return parts.interleave(read, cycle_length=at_once, block_length=16)


def _labelled_pictures(split: Split, label_map: LabelMap):
    """The function records [n] -> (jpegs [m], classes int32 [m]) of the pictures with a class."""
    class_of_category = tf.constant(label_map.class_of_category)
    all_known = (label_map.classes_of(split.index.category) >= 0).all()

    def parse(records: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        products = tf.io.parse_example(records, {n: _FEATURES[n] for n in ("images", "category")})
        jpegs, category = products["images"], products["category"]
        classes = tf.where(category < 0, -1, tf.gather(class_of_category, tf.maximum(category, 0)))
        if not all_known:
            known = classes >= 0
            jpegs, classes = tf.ragged.boolean_mask(jpegs, known), classes[known]
        return jpegs.flat_values, tf.repeat(classes, jpegs.row_lengths())

    return parse


def derived_seed(seed: int, epoch: int, purpose: str) -> int:
    """A number in [0, 2**63) that differs in every way between neighbouring seeds and epochs."""
    digest = hashlib.sha256(f"{purpose} {seed} {epoch}".encode()).digest()
    return int.from_bytes(digest[:8], "little") >> 1


def _augmentation_draws(augment: str, seed: int, image_size: int):
    """The function (step, n) -> random arguments of `_AUGMENT[augment]` for n pictures.

    They depend on the picture's place in the epoch alone: not on who decodes it when, nor on the
    steps that were skipped.
    """
    reach = round(image_size / 10)

    def draw(step: tf.Tensor, size: tf.Tensor) -> tuple[tf.Tensor, ...]:
        key = tf.stack([tf.constant(seed, tf.int64), step])
        flip = tf.random.stateless_uniform([size], key) < 0.5
        if augment == "none":
            return ()
        if augment == "flip":
            return (flip,)
        shift = tf.random.stateless_uniform([size, 2], key + [1, 0], -reach, reach + 1, tf.int32)
        return flip, shift

    return draw


def _flip(picture: tf.Tensor, flip: tf.Tensor) -> tf.Tensor:
    return tf.cond(flip, lambda: tf.reverse(picture, [1]), lambda: picture)


def _flip_shift(picture: tf.Tensor, flip: tf.Tensor, shift: tf.Tensor) -> tf.Tensor:
    """Mirrors the picture, and moves it by `shift` pixels down and right; what opens is white."""
    before, after = tf.maximum(shift, 0), tf.maximum(-shift, 0)
    height, width = picture.shape[0], picture.shape[1]
    kept = picture[after[0] : height - before[0], after[1] : width - before[1]]
    padding = [[before[0], after[0]], [before[1], after[1]], [0, 0]]
    moved = tf.ensure_shape(tf.pad(kept, padding, constant_values=255), picture.shape)
    return _flip(moved, flip)


_AUGMENT = {"none": None, "flip": _flip, "flip_shift": _flip_shift}


def _white_for_missing(
    pictures: tf.Tensor, positions: tf.Tensor, labels: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Puts white pictures where some did not decode, so that batches and steps stay as counted."""

    def fill() -> tf.Tensor:
        missing = tf.size(labels) - tf.size(positions)
        with tf.control_dependencies([_warn(missing, "White ones stand in for them.")]):
            shape = tf.concat([tf.shape(labels), tf.shape(pictures)[1:]], axis=0)
            white = tf.fill(shape, tf.constant(255, tf.uint8))
        return tf.tensor_scatter_nd_update(white, positions[:, None], pictures)

    complete = tf.equal(tf.size(positions), tf.size(labels))
    filled = tf.cond(complete, lambda: pictures, fill)
    return tf.ensure_shape(filled, [None, *pictures.shape[1:]]), labels


def _without_missing(
    pictures: tf.Tensor, positions: tf.Tensor, ordinals: tf.Tensor
) -> dict[str, tf.Tensor]:
    missing = tf.size(ordinals) - tf.size(positions)
    warning = tf.cond(missing > 0, lambda: _warn(missing, "They are left out."), lambda: tf.no_op())
    with tf.control_dependencies([warning]):
        return {"image": pictures, "product": tf.gather(ordinals, positions)}


def _warn(missing: tf.Tensor, consequence: str) -> tf.Operation:
    return tf.print(
        "WARNING:",
        missing,
        "picture(s) of a batch cannot be decoded.",
        consequence,
        output_stream=sys.stderr,
    )
