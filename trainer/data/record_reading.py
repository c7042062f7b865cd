"""Reads the records of a split, parses them and compares them with the split's index.

Shards and index are separate files. A shard from another build, or two swapped shards, would put
other products at the positions in the index, and every label would be silently wrong. So each
record comes with its position in the split, and its product id, number of pictures and category
must match the index at that position.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import tensorflow as tf

from cdisc_tfds.storage import is_remote
from trainer.data.dataset import OTHER_RECORDS, FilePart, Split, damaged_shard

# Records to parse at once: a batch costs little more than a single record.
RECORDS_PER_STEP = 64
_STORAGE_BUFFER = 8 << 20  # bytes
_SCHEMA = {
    "images": tf.io.RaggedFeature(tf.string),
    "image_hashes": tf.io.RaggedFeature(tf.int64),
    "category": tf.io.FixedLenFeature([], tf.int64),
    "product_id": tf.io.FixedLenFeature([], tf.int64),
}

# (ordinals int64 [n], records string [n]) -> ragged [n, pictures of each]
PictureParser = Callable[[tf.Tensor, tf.Tensor], tf.RaggedTensor]


def numbered_records(
    split: Split,
    begin: int = 0,
    end: int | None = None,
    *,
    records_per_step: int = RECORDS_PER_STEP,
) -> tf.data.Dataset:
    """The serialized records of a split, with their positions in it.

    Args:
      split: the products.
      begin, end: positions of the first one to read and of the first after the last; None: all.
      records_per_step: records per element; the last element may hold fewer.

    Yields:
      (ordinals int64 [n], records string [n]): positions in `split.index`, and `tf.train.Example`s.
    """
    parts = located_parts(split, begin, end)
    return read_parts(parts, files_at_once=1, records_per_step=records_per_step)


def located_parts(
    split: Split, begin: int = 0, end: int | None = None
) -> list[tuple[FilePart, int]]:
    """The files that hold the products at [begin, end) of a split, each with its first ordinal."""
    end = split.num_products if end is None else end
    located, first = [], 0
    for part in split.files:
        low, high = max(begin - first, 0), min(end - first, part.take)
        if low < high:
            located.append((FilePart(part.path, part.skip + low, high - low), first + low))
        first += part.take
    return located


def read_parts(
    parts: Sequence[tuple[FilePart, int]], *, files_at_once: int, records_per_step: int
) -> tf.data.Dataset:
    """The records of files with their ordinals, as `numbered_records`.

    Args:
      parts: the files, each with the ordinal of its first record, in the order to read them in.
      files_at_once: number of files to read in turn, 16 records from each.
      records_per_step: records per element.
    """
    paths = tf.constant([part.path for part, _ in parts], tf.string)
    skips, takes, firsts = (
        np.array(values, np.int64)
        for values in (
            [part.skip for part, _ in parts],
            [part.take for part, _ in parts],
            [first for _, first in parts],
        )
    )

    # A storage answers each request after a while, so ask for more at once.
    buffer = _STORAGE_BUFFER if parts and is_remote(parts[0][0].path) else None

    def read(
        path: tf.Tensor, skip: tf.Tensor, take: tf.Tensor, first: tf.Tensor
    ) -> tf.data.Dataset:
        return (
            tf.data.TFRecordDataset(path, buffer_size=buffer).skip(skip).take(take).enumerate(first)
        )

    at_once = max(1, min(files_at_once, len(parts)))
    files = tf.data.Dataset.from_tensor_slices((paths, skips, takes, firsts))
    return files.interleave(read, cycle_length=at_once, block_length=16).batch(records_per_step)


def picture_parser(split: Split, feature: str = "images") -> PictureParser:
    """Returns a parser of one feature of each picture; it checks records against the index.

    Args:
      split: the products.
      feature: `images` (string, the JPEG files) or `image_hashes` (int64).

    Raises:
      InvalidArgumentError: while iterating, if a record does not match the index;
        `clear_record_errors` turns this error into a clear message.
    """
    # Kept in their stored dtypes and cast after gathering: 13 bytes per product.
    ids, categories, num_pictures = (
        tf.constant(getattr(split.index, name))
        for name in ("product_id", "category", "num_pictures")
    )
    schema = {name: _SCHEMA[name] for name in (feature, "category", "product_id")}

    def of_index(column: tf.Tensor, ordinals: tf.Tensor) -> tf.Tensor:
        return tf.cast(tf.gather(column, ordinals), tf.int64)

    def parse(ordinals: tf.Tensor, records: tf.Tensor) -> tf.RaggedTensor:
        record = tf.io.parse_example(records, schema)
        pictures = record[feature]
        same = (
            (of_index(ids, ordinals) == record["product_id"])
            & (of_index(categories, ordinals) == record["category"])
            & (of_index(num_pictures, ordinals) == tf.cast(pictures.row_lengths(), tf.int64))
        )
        with tf.control_dependencies([tf.debugging.Assert(tf.reduce_all(same), [OTHER_RECORDS])]):
            return tf.identity(pictures)

    return parse


@contextlib.contextmanager
def clear_record_errors(split: Split) -> Iterator[None]:
    """Turns TensorFlow's errors about the records of a split into a clear DatasetError."""
    try:
        yield
    except (
        tf.errors.DataLossError,
        tf.errors.InvalidArgumentError,
        tf.errors.NotFoundError,
    ) as error:
        raise damaged_shard(split, error) from error
