"""The pipeline of TFDS's guide: `as_dataset` with its own decoding, then map and batch."""

from __future__ import annotations

import pathlib
from collections.abc import Iterator

import tensorflow as tf
import tensorflow_datasets as tfds

# A shuffle buffer of decoded pictures must be small: this one takes 100 MB at 180 x 180.
SHUFFLE_BUFFER = 1024


def batches(data_path: str | pathlib.Path, batch_size: int) -> Iterator[tuple[tf.Tensor, ...]]:
    """Endless (pictures uint8 [b, size, size, 3], categories int64 [b]), shuffled.

    Args:
      data_path: version folder of the built data set.
      batch_size: b.
    """
    builder = tfds.builder_from_directory(str(data_path))
    config = tfds.ReadConfig(try_autocache=False)
    dataset = builder.as_dataset(split="train", shuffle_files=True, read_config=config)

    def pictures_of(product: dict[str, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
        pictures = product["images"]
        return pictures, tf.repeat(product["category"], tf.shape(pictures)[0])

    dataset = (
        dataset.map(pictures_of, num_parallel_calls=tf.data.AUTOTUNE)
        .unbatch()
        .shuffle(SHUFFLE_BUFFER)
        .repeat()
        .batch(batch_size)
        .prefetch(tf.data.AUTOTUNE)
    )
    return iter(dataset)
