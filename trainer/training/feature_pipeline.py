"""Turns cached features into batches, as `trainer.data.input_pipeline` does with pictures."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator

import numpy as np
import tensorflow as tf

from trainer.data.labelled_split import LabelledSplit
from trainer.data.pipeline_threads import pipeline_options
from trainer.data.shuffle import derived_seed
from trainer.training.feature_files import Features

# Bytes of features to hold in memory and shuffle at a time. The order of the files is also
# shuffled; each file is read from start to end.
_SHUFFLE_BYTES = 256 << 20

# A function that loads some rows, and their classes.
_Source = tuple[Callable[[], np.ndarray], np.ndarray]


def train_features(
    features: Features,
    split: LabelledSplit,
    *,
    batch_size: int,
    seed: int,
    epoch: int,
    skip_steps: int = 0,
) -> tf.data.Dataset:
    """The batches of one epoch: the features of every picture with a class of the run, shuffled.

    The same (seed, epoch) gives the same batches, as many as in `train_dataset`: the features of a
    white picture replace those of a picture that cannot be decoded.

    Args:
      features: features of the split's products that have a class.
      split: the products and their classes.
      batch_size: pictures per batch; the last batch may be smaller.
      seed, epoch: seed and epoch of the shuffle.
      skip_steps: batches to skip at the start; the others do not change.

    Yields:
      (features [b, f], classes int32 [b]).
    """
    classes = split.classes
    sources = _sources(features, classes, split.split.index.num_pictures)
    epoch_seed = derived_seed(seed, epoch, "features")

    def batches() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        skip = skip_steps * batch_size
        rows, labels = features.white[None][:0], classes[:0]
        for number, group in enumerate(_groups(sources, features, epoch_seed)):
            group_labels = np.concatenate([labels for _, labels in group])
            order = np.random.default_rng([epoch_seed, number]).permutation(len(group_labels))
            order, skip = order[skip:], max(0, skip - len(order))
            if not len(order):
                continue
            group_rows = np.concatenate([load() for load, _ in group])
            while len(order):
                # Rows left over from the previous group come first.
                some, order = np.split(order, [batch_size - len(labels)])
                rows = np.concatenate([rows, group_rows[some]])
                labels = np.concatenate([labels, group_labels[some]])
                if len(labels) == batch_size:
                    yield rows, labels
                    rows, labels = rows[:0], labels[:0]
        if len(labels):
            yield rows, labels

    steps = split.steps(batch_size)
    return (
        tf.data.Dataset.from_generator(
            batches, output_signature=(_spec(features), tf.TensorSpec([None], tf.int32))
        )
        .apply(tf.data.experimental.assert_cardinality(max(0, steps - skip_steps)))
        .prefetch(8)
        .with_options(pipeline_options())
    )


def inference_features(features: Features, batch_size: int) -> tf.data.Dataset:
    """The features of every picture once, in the records' order.

    Yields:
      {"inputs": [b, f], "product": int64 [b]}, like `inference_dataset`, with features instead of
      pictures.
    """

    def batches() -> Iterator[dict[str, np.ndarray]]:
        ordinals = np.split(features.ordinals, np.cumsum(features.lengths)[:-1])
        for number, file_ordinals in enumerate(ordinals[: len(features.lengths)]):
            rows = features.rows(number)
            for start in range(0, len(rows), batch_size):
                stop = start + batch_size
                yield {"inputs": rows[start:stop], "product": file_ordinals[start:stop]}

    signature = {"inputs": _spec(features), "product": tf.TensorSpec([None], tf.int64)}
    return (
        tf.data.Dataset.from_generator(batches, output_signature=signature)
        .prefetch(8)
        .with_options(pipeline_options())
    )


def _spec(features: Features) -> tf.TensorSpec:
    return tf.TensorSpec([None, len(features.white)], features.dtype)


def _sources(features: Features, classes: np.ndarray, num_pictures: np.ndarray) -> list[_Source]:
    """One source per file, and one of a white picture for each that could not be decoded."""
    starts = np.cumsum([0, *features.lengths])
    sources: list[_Source] = [
        (functools.partial(features.rows, number), classes[features.ordinals[start:end]])
        for number, (start, end) in enumerate(zip(starts[:-1], starts[1:], strict=True))
    ]
    decoded = np.bincount(features.ordinals, minlength=len(classes))
    missing = np.repeat(classes, np.where(classes >= 0, num_pictures - decoded, 0))
    white = np.broadcast_to(features.white, [len(missing), len(features.white)])
    return [*sources, (lambda: white, missing)]


def _groups(sources: list[_Source], features: Features, seed: int) -> Iterator[list[_Source]]:
    """Yields the sources in random order, in groups of about _SHUFFLE_BYTES."""
    row_bytes = len(features.white) * features.dtype.size
    for group in shuffled_groups([len(labels) for _, labels in sources], row_bytes, seed):
        yield [sources[place] for place in group]


def shuffled_groups(sizes: list[int], row_bytes: int, seed: int) -> Iterator[list[int]]:
    """Puts sources in random order, in groups of about _SHUFFLE_BYTES.

    Args:
      sizes: number of rows of each source.
      row_bytes: bytes of a row.
      seed: seed of the order.

    Yields:
      The places of a group's sources in `sizes`.
    """
    group_rows = max(1, _SHUFFLE_BYTES // row_bytes)
    group: list[int] = []
    for number in np.random.default_rng(seed).permutation(len(sizes)).tolist():
        group.append(number)
        if sum(sizes[place] for place in group) >= group_rows:
            yield group
            group = []
    if group:
        yield group
